"""What was decided, on what knowledge: kept for explain, rehearsal and replay (X1, X2, X13)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Row, bindparam, func, insert, select

from hub.core.interaction import InteractionId
from hub.core.plan import Plan
from hub.core.records import EmployeeId
from hub.core.snapshot import Snapshot
from hub.store import codec
from hub.store.prepared import Prepared
from hub.store.schema import decision

__all__ = ["Decision", "Purpose", "add", "chosen", "first", "latest", "latest_plans", "list_decisions"]

Purpose: TypeAlias = Literal["decision", "shadow", "replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision about one interaction in one CRM."""

    id: int
    interaction_id: InteractionId
    connection: str
    project: str
    #: the interaction's revision that was decided
    revision: int
    policy_version: int
    decided_at: datetime
    snapshot: Snapshot
    plan: Plan
    purpose: Purpose


_INSERT = Prepared(
    insert(decision).returning(decision.c.id),
    columns=(
        "interaction_id",
        "connection",
        "project",
        "revision",
        "policy_version",
        "decided_at",
        "snapshot",
        "plan",
        "purpose",
    ),
)


def add(
    conn: Connection,
    *,
    interaction_id: InteractionId,
    connection: str,
    project: str,
    revision: int,
    policy_version: int,
    snapshot: Snapshot,
    plan: Plan,
    now: datetime,
    purpose: Purpose = "decision",
) -> int:
    """Keep a decision; its id."""
    return int(
        _INSERT.scalar(
            conn,
            interaction_id=interaction_id,
            connection=connection,
            project=project,
            revision=revision,
            policy_version=policy_version,
            decided_at=now,
            snapshot=codec.dump_snapshot(snapshot),
            plan=codec.dump_plan(plan),
            purpose=purpose,
        )
    )


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        interaction_id=InteractionId(row.interaction_id),
        connection=row.connection,
        project=row.project,
        revision=row.revision,
        policy_version=row.policy_version,
        decided_at=row.decided_at,
        snapshot=codec.load_snapshot(row.snapshot),
        plan=codec.load_plan(row.plan),
        purpose=row.purpose,
    )


def latest(conn: Connection, interaction_id: InteractionId, connection: str) -> Decision | None:
    """The decision that holds now."""
    row = conn.execute(
        select(decision)
        .where(decision.c.interaction_id == interaction_id, decision.c.connection == connection)
        .order_by(decision.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _decision(row)


_NEWEST = (
    select(func.max(decision.c.id))
    .where(
        decision.c.interaction_id.in_(bindparam("of_interactions", expanding=True)),
        decision.c.connection == bindparam("of_connection"),
    )
    .group_by(decision.c.interaction_id)
)
_LATEST_PLANS = Prepared(select(decision.c.interaction_id, decision.c.plan).where(decision.c.id.in_(_NEWEST)))


def latest_plans(conn: Connection, ids: Collection[InteractionId], connection: str) -> dict[InteractionId, Plan]:
    """The plans that hold now, for a page of interactions, without what they were made on."""
    if not ids:
        return {}
    rows = _LATEST_PLANS.rows(conn, of_interactions=sorted(ids), of_connection=connection)
    return {InteractionId(row[0]): codec.load_plan(row[1]) for row in rows}


def first(conn: Connection, interaction_id: InteractionId, connection: str) -> Decision | None:
    """The first decision about the interaction in one CRM, None before it."""
    row = conn.execute(
        select(decision)
        .where(decision.c.interaction_id == interaction_id, decision.c.connection == connection)
        .order_by(decision.c.id)
        .limit(1)
    ).first()
    return None if row is None else _decision(row)


_FIRST_SNAPSHOT = Prepared(
    select(decision.c.snapshot)
    .where(
        decision.c.interaction_id == bindparam("of_interaction"), decision.c.connection == bindparam("of_connection")
    )
    .order_by(decision.c.id)
    .limit(1)
)


def first_snapshot(conn: Connection, interaction_id: InteractionId, connection: str) -> Snapshot | None:
    """What the first decision about the interaction in one CRM saw, None before it."""
    found: bytes | None = _FIRST_SNAPSHOT.scalar(conn, of_interaction=interaction_id, of_connection=connection)
    return None if found is None else codec.load_snapshot(found)


_FIRST_ANYWHERE = Prepared(
    select(decision.c.connection, decision.c.snapshot)
    .where(decision.c.interaction_id == bindparam("of_interaction"))
    .order_by(decision.c.id)
    .limit(1)
)


def first_anywhere(conn: Connection, interaction_id: InteractionId) -> tuple[str, Snapshot] | None:
    """In which CRM the interaction was decided first, and what that decision saw; None before it."""
    found = _FIRST_ANYWHERE.first(conn, of_interaction=interaction_id)
    return None if found is None else (found[0], codec.load_snapshot(found[1]))


_PLANS = Prepared(
    select(decision.c.plan).where(decision.c.interaction_id == bindparam("of_interaction")).order_by(decision.c.id)
)


def chosen(conn: Connection, interaction_id: InteractionId) -> dict[str, EmployeeId]:
    """Whom decisions about the interaction, in whatever CRM, took from which group: the first choice stands (C8)."""
    found: dict[str, EmployeeId] = {}
    for row in _PLANS.rows(conn, of_interaction=interaction_id):
        for group, employee in codec.load_plan(row[0]).chosen.items():
            found.setdefault(group, employee)
    return found


def list_decisions(conn: Connection, interaction_id: InteractionId, connection: str | None = None) -> list[Decision]:
    """Every decision about the interaction, in the order in which they were made."""
    statement = select(decision).where(decision.c.interaction_id == interaction_id).order_by(decision.c.id)
    if connection is not None:
        statement = statement.where(decision.c.connection == connection)
    return [_decision(row) for row in conn.execute(statement)]
