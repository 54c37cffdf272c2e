"""The steps of plans: what is to be sent, was sent, is in doubt, or is done (DESIGN 2, X5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import Action, StepKey
from hub.core.records import RecordKind, RecordRef
from hub.core.revise import StepState, needs
from hub.store import codec
from hub.store.schema import step, work
from hub.store.work import WorkState

__all__ = [
    "Step",
    "add",
    "by_keys",
    "count_states",
    "due_doubts",
    "hub_id_of",
    "mark_sent",
    "next_moment",
    "of_interaction",
    "outstanding",
    "recover",
    "replace_action",
    "set_state",
    "since",
    "waiting",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of a plan on its way to the CRM."""

    id: int
    project: str
    connection: str
    key: StepKey
    interaction_id: InteractionId
    client_id: ClientId
    action: Action
    urgency: int
    position: int
    state: StepState
    needs: tuple[StepKey, ...]
    hub_id: str
    attempts: int
    doubt_checks: int
    not_before: datetime | None
    batch_id: str | None
    created_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    record: RecordRef | None
    note: str


def hub_id_of(project: str, connection: str, key: StepKey) -> str:
    """The short id by which the CRM's record of a step is found again; the same for the same step, for ever."""
    digest = hashlib.sha256(f"{project}\n{connection}\n{key}".encode()).hexdigest()
    return f"hub-{digest[:20]}"


def _step(row: Row[Any]) -> Step:
    return Step(
        id=row.id,
        project=row.project,
        connection=row.connection,
        key=StepKey(row.key),
        interaction_id=InteractionId(row.interaction_id),
        client_id=ClientId(row.client_id),
        action=codec.load_action(row.action),
        urgency=row._mapping["class"],
        position=row.position,
        state=StepState(row.state),
        needs=tuple(StepKey(name) for name in json.loads(row.needs)),
        hub_id=row.hub_id,
        attempts=row.attempts,
        doubt_checks=row.doubt_checks,
        not_before=row.not_before,
        batch_id=row.batch_id,
        created_at=row.created_at,
        sent_at=row.sent_at,
        ended_at=row.ended_at,
        record=RecordRef(kind=RecordKind(row.record_kind), id=row.record_id) if row.record_id else None,
        note=row.note,
    )


def add(
    conn: Connection,
    actions: Sequence[Action],
    *,
    project: str,
    connection: str,
    interaction_id: InteractionId,
    client_id: ClientId,
    urgency: int,
    now: datetime,
    first_position: int = 0,
) -> None:
    """Store new steps, waiting, in the order of ``actions``."""
    if not actions:
        return
    conn.execute(
        insert(step),
        [
            {
                "project": project,
                "connection": connection,
                "key": action.key,
                "interaction_id": interaction_id,
                "client_id": client_id,
                "kind": action.kind,
                "action": codec.dump_action(action),
                "class": 0 if action.kind == "notify" else urgency,
                "position": first_position + place,
                "state": StepState.WAITING.value,
                "needs": json.dumps(needs(action)).encode(),
                "hub_id": hub_id_of(project, connection, action.key),
                "created_at": now,
            }
            for place, action in enumerate(actions)
        ],
    )


def replace_action(
    conn: Connection,
    action: Action,
    *,
    project: str,
    connection: str,
    interaction_id: InteractionId,
    urgency: int,
) -> None:
    """Make an existing step wait with new content, whatever it was before; its attempts start again."""
    conn.execute(
        update(step)
        .where(step.c.project == project, step.c.connection == connection, step.c.key == action.key)
        .values(
            {
                "interaction_id": interaction_id,
                "kind": action.kind,
                "action": codec.dump_action(action),
                "class": 0 if action.kind == "notify" else urgency,
                "needs": json.dumps(needs(action)).encode(),
                "state": StepState.WAITING.value,
                "attempts": 0,
                "doubt_checks": 0,
                "not_before": None,
                "batch_id": None,
                "sent_at": None,
                "ended_at": None,
                "record_kind": None,
                "record_id": None,
                "effect": None,
                "note": "",
            }
        )
    )


def by_keys(conn: Connection, project: str, connection: str, keys: Collection[StepKey]) -> dict[StepKey, Step]:
    """The steps with these keys."""
    if not keys:
        return {}
    rows = conn.execute(
        select(step).where(step.c.project == project, step.c.connection == connection, step.c.key.in_(sorted(keys)))
    )
    return {found.key: found for found in (_step(row) for row in rows)}


def of_interaction(conn: Connection, interaction_id: InteractionId, connection: str | None = None) -> list[Step]:
    """The interaction's steps, in the order in which they were decided."""
    statement = select(step).where(step.c.interaction_id == interaction_id)
    if connection is not None:
        statement = statement.where(step.c.connection == connection)
    return [_step(row) for row in conn.execute(statement.order_by(step.c.connection, step.c.id))]


def of_client(conn: Connection, client_id: ClientId, connection: str, kind: str | None = None) -> list[Step]:
    """The client's steps in one CRM, oldest first."""
    statement = select(step).where(step.c.client_id == client_id, step.c.connection == connection)
    if kind is not None:
        statement = statement.where(step.c.kind == kind)
    return [_step(row) for row in conn.execute(statement.order_by(step.c.id))]


def outstanding(conn: Connection, interaction_id: InteractionId, connection: str) -> dict[str, int]:
    """How many of the interaction's steps stand in which state."""
    rows = conn.execute(
        select(step.c.state, func.count())
        .where(step.c.interaction_id == interaction_id, step.c.connection == connection)
        .group_by(step.c.state)
    )
    return {row[0]: row[1] for row in rows}


def waiting(conn: Connection, project: str, connection: str, now: datetime, limit: int = 1000) -> list[Step]:
    """Steps that may be sent now, the most urgent and oldest first; what they need may still be missing.

    Only of interactions whose decision stands: one that is to be decided again keeps its steps back.
    """
    rows = conn.execute(
        select(step)
        .join(work, and_(work.c.interaction_id == step.c.interaction_id, work.c.connection == step.c.connection))
        .where(
            work.c.state == WorkState.WRITING.value,
            step.c.connection == connection,
            step.c.project == project,
            step.c.state == StepState.WAITING.value,
            (step.c.not_before.is_(None)) | (step.c.not_before <= now),
        )
        .order_by(step.c["class"], step.c.id)
        .limit(limit)
    )
    return [_step(row) for row in rows]


def due_doubts(conn: Connection, project: str, connection: str, now: datetime, limit: int = 500) -> list[Step]:
    """Steps in doubt that may be looked for now."""
    rows = conn.execute(
        select(step)
        .where(
            step.c.connection == connection,
            step.c.project == project,
            step.c.state == StepState.IN_DOUBT.value,
            (step.c.not_before.is_(None)) | (step.c.not_before <= now),
        )
        .order_by(step.c.id)
        .limit(limit)
    )
    return [_step(row) for row in rows]


def next_moment(conn: Connection, project: str, connection: str, now: datetime) -> datetime | None:
    """When the next step that waits for a moment may be looked at; None if no step does."""
    found: datetime | None = conn.execute(
        select(func.min(step.c.not_before)).where(
            step.c.project == project,
            step.c.connection == connection,
            step.c.state.in_([StepState.WAITING.value, StepState.IN_DOUBT.value]),
            step.c.not_before > now,
        )
    ).scalar()
    return found


def mark_sent(conn: Connection, ids: Sequence[int], batch_id: str, now: datetime) -> int:
    """Say that the request of these steps is about to leave; how many were still waiting.

    Those of an interaction that is to be decided again stay: the decision must not find them half-way.
    """
    stands = (
        select(work.c.interaction_id)
        .where(
            work.c.interaction_id == step.c.interaction_id,
            work.c.connection == step.c.connection,
            work.c.state == WorkState.WRITING.value,
        )
        .exists()
    )
    result = conn.execute(
        update(step)
        .where(step.c.id.in_(ids), step.c.state == StepState.WAITING.value, stands)
        .values(state=StepState.SENT.value, sent_at=now, batch_id=batch_id)
    )
    return result.rowcount


def set_state(
    conn: Connection,
    ids: Sequence[int],
    state: StepState,
    *,
    now: datetime,
    record: RecordRef | None = None,
    effect: bytes | None = None,
    note: str = "",
    not_before: datetime | None = None,
    add_attempt: bool = False,
    doubt_checks: int | None = None,
    urgency: int | None = None,
) -> None:
    """Move steps to ``state``; everything about the state is set anew, attempts only grow."""
    if not ids:
        return
    values: dict[str, object] = {"state": state.value, "note": note, "not_before": not_before}
    if not state.is_outstanding:
        values["ended_at"] = now
    if record is not None:
        values["record_kind"], values["record_id"] = record.kind.value, record.id
    if effect is not None:
        values["effect"] = effect
    if add_attempt:
        values["attempts"] = step.c.attempts + 1
    if doubt_checks is not None:
        values["doubt_checks"] = doubt_checks
    if urgency is not None:
        values["class"] = urgency
    conn.execute(update(step).where(step.c.id.in_(ids)).values(values))


def withdraw(conn: Connection, project: str, connection: str, keys: Collection[StepKey], now: datetime) -> None:
    """Take back steps that wait or were refused, and are no longer wanted."""
    if keys:
        conn.execute(
            update(step)
            .where(
                step.c.project == project,
                step.c.connection == connection,
                step.c.key.in_(sorted(keys)),
                step.c.state.in_([StepState.WAITING.value, StepState.REJECTED.value]),
            )
            .values(state=StepState.WITHDRAWN.value, ended_at=now)
        )


def recover(
    conn: Connection,
    project: str,
    connection: str,
    *,
    now: datetime,
    not_before: datetime,
    note: str,
    only: Collection[int] | None = None,
) -> dict[str, int]:
    """Whatever was sent, and whose answer nobody will hear any more, is in doubt. Counts by kind of action.

    A popup is not: it may have been shown, and is shown at most once. ``only`` names the steps; None = all of them.
    """
    where = and_(step.c.project == project, step.c.connection == connection, step.c.state == StepState.SENT.value)
    if only is not None:
        where = and_(where, step.c.id.in_(sorted(only)))
    rows = conn.execute(select(step.c.kind, func.count()).where(where).group_by(step.c.kind)).all()
    conn.execute(
        update(step)
        .where(where, step.c.kind == "notify")
        .values(state=StepState.DONE.value, ended_at=now, note=f"not known to be shown: {note}")
    )
    conn.execute(update(step).where(where).values(state=StepState.IN_DOUBT.value, not_before=not_before, note=note))
    return {row[0]: row[1] for row in rows}


def since(conn: Connection, project: str, connection: str, ended: datetime) -> Iterable[tuple[datetime, bytes]]:
    """Effects of steps that were done at ``ended`` or later, oldest first, for the directory's replay at start."""
    rows = conn.execute(
        select(step.c.ended_at, step.c.effect)
        .where(
            and_(
                step.c.project == project,
                step.c.connection == connection,
                step.c.effect.is_not(None),
                step.c.ended_at >= ended,
            )
        )
        .order_by(step.c.ended_at, step.c.id)
    )
    return [(row[0], row[1]) for row in rows]


def count_states(conn: Connection, project: str | None = None) -> Mapping[tuple[str, str, str], int]:
    """How many steps stand in which state, by (connection, kind of action, state)."""
    statement = select(step.c.connection, step.c.kind, step.c.state, func.count()).group_by(
        step.c.connection, step.c.kind, step.c.state
    )
    if project is not None:
        statement = statement.where(step.c.project == project)
    return {(row[0], row[1], row[2]): row[3] for row in conn.execute(statement)}
