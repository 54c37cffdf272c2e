"""Steps that people wanted from a card or popup: found by their keys (U1)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import StepKey
from hub.store import steps
from hub.store.schema import interaction, step, work
from hub.store.steps import Step
from hub.store.work import WorkState

__all__ = ["anchor_of", "outstanding_contact", "personal_steps"]


def personal_steps(conn: Connection, clients: Collection[ClientId], project: str, connection: str) -> list[Step]:
    """The personal steps of these clients in one CRM, the newest first."""
    if not clients:
        return []
    keys = conn.execute(
        select(step.c.key).where(
            step.c.client_id.in_(sorted(clients)),
            step.c.connection == connection,
            step.c.kind.in_(["update_contact", "update_deal", "update_task", "complete_task"]),
            step.c.key.contains("~by/", autoescape=True),
        )
    )
    found = steps.by_keys(conn, project, connection, [StepKey(row.key) for row in keys])
    return sorted(found.values(), key=lambda one: one.id, reverse=True)


def outstanding_contact(conn: Connection, client: ClientId, connection: str) -> Step | None:
    """The step that is about to make the client's contact, None if none is."""
    made = steps.of_client(conn, client, connection, kind="create_contact")
    return next((one for one in reversed(made) if one.state.is_outstanding), None)


def anchor_of(
    conn: Connection, clients: Collection[ClientId], connection: str, wanted: InteractionId | None
) -> InteractionId | None:
    """The interaction to which a personal step belongs: ``wanted`` if it is the clients', else the latest that is
    being written or ended there, else the latest of all; None for clients who never turned to the company."""
    if not clients:
        return None
    base = select(interaction.c.id).where(interaction.c.client_id.in_(sorted(clients)))
    if wanted is not None:
        found = conn.execute(base.where(interaction.c.id == wanted)).scalar()
        if found is not None:
            return InteractionId(found)
    of_work = (
        base.join(work, work.c.interaction_id == interaction.c.id)
        .where(work.c.connection == connection, work.c.state != WorkState.OPEN.value)
        .order_by(interaction.c.sequence.desc())
    )
    for statement in (of_work, base.order_by(interaction.c.sequence.desc())):
        found = conn.execute(statement.limit(1)).scalar()
        if found is not None:
            return InteractionId(found)
    return None
