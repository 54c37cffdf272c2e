"""Steps that people wanted from a card or popup: found by their keys (U1)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, or_, select

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import StepKey
from hub.core.revise import BY_HAND, ON_THE_WAY, StepState
from hub.store import steps
from hub.store.schema import client, interaction, step, work
from hub.store.steps import Step
from hub.store.work import WorkState

__all__ = ["anchor_of", "has_left", "making", "may_be_taken", "personal_steps"]


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


def making(
    conn: Connection, clients: Collection[ClientId], project: str, connection: str, *, since: datetime
) -> list[Step]:
    """The steps that are about to make contact, deal or task of these clients, and of whom they were joined with, or
    that did so ``since`` then; the oldest first."""
    is_theirs = or_(client.c.id.in_(sorted(clients)), client.c.merged_into.in_(sorted(clients)))
    keys = conn.execute(
        select(step.c.key)
        .join(client, client.c.id == step.c.client_id)
        .where(
            is_theirs,
            step.c.connection == connection,
            step.c.kind.in_(["create_contact", "create_deal", "create_task"]),
            or_(step.c.ended_at.is_(None), step.c.ended_at >= since),
        )
    )
    found = steps.by_keys(conn, project, connection, [StepKey(row.key) for row in keys])
    stand = [one for one in found.values() if one.state.is_outstanding or one.state is StepState.DONE]
    return sorted(stand, key=lambda one: one.id)


def may_be_taken(made: Step) -> bool:
    """Whether a person may still have it their way: it has not left, and nobody else's wish is behind it."""
    return made.state is StepState.WAITING and made.action.reason.code != BY_HAND


def has_left(made: Step) -> bool:
    """Whether it is on its way, or may be, as the hub wanted it."""
    return made.state in ON_THE_WAY and made.action.reason.code != BY_HAND


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
