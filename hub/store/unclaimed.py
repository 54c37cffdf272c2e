"""Deals that the hub made for nobody, and that nobody has claimed by answering (W2)."""

from __future__ import annotations

from sqlalchemy import Connection

from hub.core.interaction import ClientId
from hub.core.plan import CreateDeal, UpdateDeal
from hub.core.records import RecordRef
from hub.core.revise import StepState
from hub.store import steps

__all__ = ["unclaimed_deals"]


def unclaimed_deals(conn: Connection, client_id: ClientId, connection: str) -> frozenset[str]:
    """The CRM's ids of such deals of the client, for CRMs that have no inbox of undecided enquiries themselves."""
    made = {
        step.record.id
        for step in steps.of_client(conn, client_id, connection, kind="create_deal")
        if step.state is StepState.DONE
        and step.record is not None
        and isinstance(step.action, CreateDeal)
        and step.action.is_unsorted
    }
    if not made:
        return frozenset()
    claimed = {
        step.action.deal.id
        for step in steps.of_client(conn, client_id, connection, kind="update_deal")
        if step.state is StepState.DONE
        and isinstance(step.action, UpdateDeal)
        and step.action.accepts
        and isinstance(step.action.deal, RecordRef)
    }
    return frozenset(made - claimed)
