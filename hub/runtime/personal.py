"""What people did from cards and popups, as the steps tell it afterwards (U1, X1)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from hub.core.by_hand import read_personal_key
from hub.core.interaction import ClientId, InteractionId
from hub.core.records import EmployeeId
from hub.core.revise import StepState
from hub.store.deeds import personal_steps

__all__ = ["Deed", "deeds_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that an employee did."""

    what: str
    employee: EmployeeId
    at: datetime
    interaction_id: InteractionId


def deeds_of(conn: Connection, clients: Collection[ClientId], project: str, connection: str) -> list[Deed]:
    """What was done by hand for these clients in one CRM, the newest first; what was refused is left out."""
    found: list[Deed] = []
    for step in personal_steps(conn, clients, project, connection):
        told = read_personal_key(step.key)
        if told is None or step.state in (StepState.REJECTED, StepState.WITHDRAWN):
            continue
        employee, _, what = told
        found.append(Deed(what=what, employee=employee, at=step.created_at, interaction_id=step.interaction_id))
    return found
