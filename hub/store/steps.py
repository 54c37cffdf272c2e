"""The steps of plans: what is to be sent, was sent, is in doubt, or is done (DESIGN 2, X5)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Integer, LargeBinary, Text, and_, bindparam, func, select, type_coerce, update

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import Action, StepKey
from hub.core.records import RecordKind, RecordRef
from hub.core.remark import joined, remark
from hub.core.revise import StepState, needs
from hub.core.slots import by_slots
from hub.store import codec
from hub.store.instant import moment
from hub.store.prepared import Prepared
from hub.store.schema import UtcTime, step, work
from hub.store.work import IS_OUTSTANDING, WorkState

__all__ = [
    "Step",
    "add",
    "by_keys",
    "count_states",
    "due_doubts",
    "hub_id_of",
    "made_since",
    "made_tasks",
    "mark_sent",
    "moved",
    "next_moment",
    "of_interaction",
    "outstanding",
    "recover",
    "replace_action",
    "set_states",
    "since",
    "states",
    "waiting",
]


@by_slots
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


#: as `_step` takes them
_NAMES = (
    "id project connection key interaction_id client_id action class position state needs hub_id attempts doubt_checks"
    " not_before batch_id created_at sent_at ended_at record_kind record_id note"
)
#: instants as numbers: of rows that `_step` has read before none is made
_COLUMNS = tuple(
    type_coerce(step.c[name], Integer) if isinstance(step.c[name].type, UtcTime) else step.c[name]
    for name in _NAMES.split()
)

#: the writer looks at what waits again and again; actions never change, so the same bytes are read once
_STATE_OF = {state.value: state for state in StepState}
_load_action = lru_cache(maxsize=4096)(codec.load_action)


# in a burst the same thousand wait, and are read, for each of the requests that they leave in
@lru_cache(maxsize=4096)
def _step(row: tuple[Any, ...]) -> Step:
    id, project, connection, key, interaction_id, client_id, action, urgency, position, state, needed, *others = row
    hub_id, attempts, doubt_checks, not_before, batch_id, created_at, sent_at, ended_at, kind, record_id, note = others
    return Step(
        id=id,
        project=project,
        connection=connection,
        key=StepKey(key),
        interaction_id=InteractionId(interaction_id),
        client_id=ClientId(client_id),
        action=_load_action(action),
        urgency=urgency,
        position=position,
        state=_STATE_OF[state],
        needs=() if needed == b"[]" else tuple(StepKey(name) for name in json.loads(needed)),
        hub_id=hub_id,
        attempts=attempts,
        doubt_checks=doubt_checks,
        not_before=None if not_before is None else moment(not_before),
        batch_id=batch_id,
        created_at=moment(created_at),
        sent_at=None if sent_at is None else moment(sent_at),
        ended_at=None if ended_at is None else moment(ended_at),
        record=RecordRef(kind=RecordKind(kind), id=record_id) if record_id else None,
        note=note,
    )


_INSERT = Prepared(
    step.insert().inline(),
    columns=(
        "project",
        "connection",
        "key",
        "interaction_id",
        "client_id",
        "kind",
        "action",
        "class",
        "position",
        "state",
        "needs",
        "hub_id",
        "created_at",
    ),
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
    _INSERT.change_many(
        conn,
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


_OF_CONNECTION = and_(step.c.project == bindparam("of_project"), step.c.connection == bindparam("of_connection"))
_BY_KEYS = Prepared(select(*_COLUMNS).where(_OF_CONNECTION, step.c.key.in_(bindparam("keys", expanding=True))))
_STATES = Prepared(
    select(step.c.key, step.c.state).where(_OF_CONNECTION, step.c.key.in_(bindparam("keys", expanding=True)))
)
_OURS = step.c.interaction_id == bindparam("of_interaction")
_OURS_THERE = and_(_OURS, step.c.connection == bindparam("of_connection"))
_OF_INTERACTION = Prepared(select(*_COLUMNS).where(_OURS).order_by(step.c.connection, step.c.id))
_OF_INTERACTION_THERE = Prepared(select(*_COLUMNS).where(_OURS_THERE).order_by(step.c.id))
_MADE_TASKS = Prepared(
    select(step.c.key, step.c.record_id)
    .where(
        step.c.client_id == bindparam("of_client"),
        step.c.connection == bindparam("of_connection"),
        step.c.kind == "create_task",
        step.c.state == StepState.DONE.value,
        step.c.record_id.is_not(None),
        step.c.interaction_id != bindparam("but_not_of"),
    )
    .order_by(step.c.id)
)
# counted here: to group by state SQLite would go through all steps of the connection
_OUTSTANDING = Prepared(select(step.c.state).where(_OURS_THERE))
_IS_DUE = (step.c.not_before.is_(None)) | (step.c.not_before <= bindparam("now"))
_MAY_GO = and_(_OF_CONNECTION, IS_OUTSTANDING, _IS_DUE)
_WAITING = Prepared(
    select(*_COLUMNS)
    .join(work, and_(work.c.interaction_id == step.c.interaction_id, work.c.connection == step.c.connection))
    .where(work.c.state == WorkState.WRITING.value, _MAY_GO, step.c.state == StepState.WAITING.value)
    .order_by(step.c["class"], step.c.id)
    .limit(bindparam("most", type_=Integer))
)
_DUE_DOUBTS = Prepared(
    select(*_COLUMNS)
    .where(_MAY_GO, step.c.state == StepState.IN_DOUBT.value)
    .order_by(step.c.id)
    .limit(bindparam("most", type_=Integer))
)
_NEXT_MOMENT = Prepared(
    select(func.min(step.c.not_before)).where(
        # few have a moment, however many wait
        and_(_OF_CONNECTION, step.c.not_before > bindparam("now")),
        step.c.state.in_([StepState.WAITING.value, StepState.IN_DOUBT.value]),
    )
)


def by_keys(conn: Connection, project: str, connection: str, keys: Collection[StepKey]) -> dict[StepKey, Step]:
    """The steps with these keys."""
    if not keys:
        return {}
    rows = _BY_KEYS.rows(conn, of_project=project, of_connection=connection, keys=sorted(keys))
    return {found.key: found for found in (_step(row) for row in rows)}


def states(conn: Connection, project: str, connection: str, keys: Collection[StepKey]) -> dict[StepKey, StepState]:
    """How the steps with these keys stand."""
    if not keys:
        return {}
    rows = _STATES.rows(conn, of_project=project, of_connection=connection, keys=sorted(keys))
    return {StepKey(row[0]): StepState(row[1]) for row in rows}


def of_interaction(conn: Connection, interaction_id: InteractionId, connection: str | None = None) -> list[Step]:
    """The interaction's steps, in the order in which they were decided."""
    if connection is None:
        rows = _OF_INTERACTION.rows(conn, of_interaction=interaction_id)
    else:
        rows = _OF_INTERACTION_THERE.rows(conn, of_interaction=interaction_id, of_connection=connection)
    return [_step(row) for row in rows]


def of_client(conn: Connection, client_id: ClientId, connection: str, kind: str | None = None) -> list[Step]:
    """The client's steps in one CRM, oldest first."""
    statement = select(*_COLUMNS).where(step.c.client_id == client_id, step.c.connection == connection)
    if kind is not None:
        statement = statement.where(step.c.kind == kind)
    return [_step(row) for row in conn.execute(statement.order_by(step.c.id))]


def made_since(conn: Connection, project: str, connection: str, since: datetime, *, kind: str) -> list[Step]:
    """Steps of ``kind`` that are still on their way, or that were done since then."""
    where = and_(step.c.project == project, step.c.connection == connection, step.c.kind == kind)
    is_made = and_(step.c.state == StepState.DONE.value, step.c.ended_at >= since)
    # two statements, for an index each: by OR an engine goes through all that the connection ever had
    found = [conn.execute(select(*_COLUMNS).where(where, condition)).all() for condition in (is_made, IS_OUTSTANDING)]
    return [_step(tuple(row)) for rows in found for row in rows]


def made_tasks(
    conn: Connection, client_id: ClientId, connection: str, *, but_not_of: InteractionId
) -> dict[StepKey, str]:
    """The CRM's ids of the tasks that were made for the client's other interactions, by step."""
    rows = _MADE_TASKS.rows(conn, of_client=client_id, of_connection=connection, but_not_of=but_not_of)
    return {StepKey(row[0]): row[1] for row in rows}


def outstanding(conn: Connection, interaction_id: InteractionId, connection: str) -> dict[str, int]:
    """How many of the interaction's steps stand in which state."""
    rows = _OUTSTANDING.rows(conn, of_interaction=interaction_id, of_connection=connection)
    return Counter(row[0] for row in rows)


def waiting(conn: Connection, project: str, connection: str, now: datetime, limit: int = 600) -> list[Step]:
    """Steps that may be sent now, the most urgent and oldest first; what they need may still be missing.

    Only of interactions whose decision stands: one that is to be decided again keeps its steps back.
    """
    rows = _WAITING.rows(conn, of_project=project, of_connection=connection, now=now, most=limit)
    return [_step(row) for row in rows]


def due_doubts(conn: Connection, project: str, connection: str, now: datetime, limit: int = 500) -> list[Step]:
    """Steps in doubt that may be looked for now."""
    rows = _DUE_DOUBTS.rows(conn, of_project=project, of_connection=connection, now=now, most=limit)
    return [_step(row) for row in rows]


def next_moment(conn: Connection, project: str, connection: str, now: datetime) -> datetime | None:
    """When the next step that waits for a moment may be looked at; None if no step does."""
    found: datetime | None = _NEXT_MOMENT.scalar(conn, of_project=project, of_connection=connection, now=now)
    return found


_DECISION_STANDS = (
    select(work.c.interaction_id)
    .where(
        work.c.interaction_id == step.c.interaction_id,
        work.c.connection == step.c.connection,
        work.c.state == WorkState.WRITING.value,
    )
    .exists()
)
_MARK_SENT = Prepared(
    update(step)
    .where(step.c.id.in_(bindparam("ids", expanding=True)), step.c.state == StepState.WAITING.value, _DECISION_STANDS)
    .values(state=StepState.SENT.value, sent_at=bindparam("now"), batch_id=bindparam("new_batch_id"))
    .returning(*_COLUMNS)
)
_SET_STATE = Prepared(
    update(step)
    .where(step.c.id == bindparam("by_id"))
    .values(
        {
            "state": bindparam("new_state"),
            "note": bindparam("new_note"),
            "not_before": bindparam("new_not_before"),
            "ended_at": func.coalesce(bindparam("ended", type_=UtcTime), step.c.ended_at),
            "record_kind": func.coalesce(bindparam("new_record_kind", type_=Text), step.c.record_kind),
            "record_id": func.coalesce(bindparam("new_record_id", type_=Text), step.c.record_id),
            "effect": func.coalesce(bindparam("new_effect", type_=LargeBinary), step.c.effect),
            "attempts": step.c.attempts + bindparam("more_attempts", type_=Integer),
            "doubt_checks": func.coalesce(bindparam("new_checks", type_=Integer), step.c.doubt_checks),
            "class": func.coalesce(bindparam("new_class", type_=Integer), step.c["class"]),
        }
    )
)


def mark_sent(conn: Connection, ids: Sequence[int], batch_id: str, now: datetime) -> list[Step]:
    """Say that the request of these steps is about to leave; those that were still waiting, as they are now.

    Those of an interaction that is to be decided again stay: the decision must not find them half-way.
    """
    return [_step(row) for row in _MARK_SENT.rows(conn, ids=list(ids), now=now, new_batch_id=batch_id)] if ids else []


def moved(
    id: int,
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
) -> dict[str, Any]:
    """A step's way to ``state``, for `set_states`; everything about the state is set anew, attempts only grow."""
    return {
        "by_id": id,
        "new_state": state.value,
        "new_note": note,
        "new_not_before": not_before,
        "ended": None if state.is_outstanding else now,
        "new_record_kind": None if record is None else record.kind.value,
        "new_record_id": None if record is None else record.id,
        "new_effect": effect,
        "more_attempts": int(add_attempt),
        "new_checks": doubt_checks,
        "new_class": urgency,
    }


def set_states(conn: Connection, moves: Collection[Mapping[str, Any]]) -> None:
    """Take all of them there, as `moved` told it."""
    _SET_STATE.change_many(conn, moves)


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
    is_sent = and_(IS_OUTSTANDING, step.c.state == StepState.SENT.value)
    where = and_(step.c.project == project, step.c.connection == connection, is_sent)
    if only is not None:
        where = and_(where, step.c.id.in_(sorted(only)))
    rows = conn.execute(select(step.c.kind, func.count()).where(where).group_by(step.c.kind)).all()
    conn.execute(
        update(step)
        .where(where, step.c.kind == "notify")
        .values(state=StepState.DONE.value, ended_at=now, note=joined(remark("shown_perhaps"), note))
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
