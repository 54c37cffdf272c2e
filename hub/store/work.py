"""Lanes: which interaction of a client is next in which CRM (DESIGN 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Integer, Table, Text, bindparam, exists, func, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

from hub.core.interaction import ClientId, InteractionId
from hub.store import locks
from hub.store.prepared import Prepared
from hub.store.schema import interaction, step, work

__all__ = [
    "BULK",
    "COLUMNS",
    "FRESH",
    "IS_OUTSTANDING",
    "JOINED",
    "Lane",
    "Work",
    "WorkState",
    "add",
    "count_states",
    "count_undecided",
    "end_replay",
    "get",
    "hasten",
    "head",
    "hold",
    "is_awaited",
    "list_work",
    "put",
    "read_work",
    "reopen",
]


#: the urgency of what comes by itself; a replay's is larger (`hub.runtime.pace.Urgency`)
FRESH = 1
#: the urgency of one of many that are replayed together
BULK = 3


class WorkState(StrEnum):
    """Where one interaction stands in one CRM."""

    #: waits for its turn or its decision
    OPEN = "open"
    #: decided; steps are outstanding
    WRITING = "writing"
    FINISHED = "finished"
    #: failed for itself; counts as finished for the order (H4)
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One client in one CRM: its interactions are applied in order."""

    client_id: ClientId
    connection: str
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One interaction in one CRM."""

    interaction_id: InteractionId
    connection: str
    project: str
    client_id: ClientId
    sequence: int
    state: WorkState
    decided_revision: int
    note: str
    seen: str
    cost: int
    #: of the interaction: when it may be decided, and its present revision
    decide_at: datetime | None
    revision: int
    #: 1 fresh; a replay goes behind what is fresh, one of many behind everything (X6, X13)
    urgency: int = 1
    #: the version of the policy that decides; 0 = the newest
    rules: int = 0
    #: decided on what its last decision saw, not on what the CRM holds now
    on_seen: bool = False

    @property
    def is_replay(self) -> bool:
        return self.urgency > FRESH


COLUMNS = (
    work.c.interaction_id,
    work.c.connection,
    work.c.project,
    work.c.client_id,
    work.c.sequence,
    work.c.state,
    work.c.decided_revision,
    work.c.note,
    work.c.seen,
    work.c.cost,
    interaction.c.decide_at,
    interaction.c.revision,
    work.c.urgency,
    work.c.rules,
    work.c.on_seen,
)
#: a step that is neither done nor given up: word for word the condition of its partial index, or no engine sees it
IS_OUTSTANDING = text("step.state IN ('waiting', 'sent', 'in_doubt')")
#: word for word the condition of its partial index too
IS_OPEN = text("work.state = 'open'")
JOINED = work.join(interaction, interaction.c.id == work.c.interaction_id)


def read_work(row: Sequence[Any]) -> Work:
    """A row of `COLUMNS`."""
    interaction_id, connection, project, client_id, sequence, state, *others = row
    decided_revision, note, seen, cost, decide_at, revision, urgency, rules, on_seen = others
    return Work(
        interaction_id=interaction_id,
        connection=connection,
        project=project,
        client_id=client_id,
        sequence=sequence,
        state=WorkState(state),
        decided_revision=decided_revision,
        note=note,
        seen=seen,
        cost=cost,
        decide_at=decide_at,
        revision=revision,
        urgency=urgency,
        rules=rules,
        on_seen=bool(on_seen),
    )


def _upsert(insert: Callable[[Table], sqlite.Insert | postgresql.Insert]) -> Executable:
    statement = insert(work).inline()
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["interaction_id", "connection"],
        set_={"state": new.state, "client_id": new.client_id, "updated_at": new.updated_at},
        where=or_(work.c.state == WorkState.FINISHED.value, work.c.state == WorkState.ATTENTION.value),
    )


_ADD = Prepared(
    _upsert(sqlite.insert),
    columns=("interaction_id", "connection", "project", "client_id", "sequence", "state", "updated_at"),
    postgresql=_upsert(postgresql.insert),
)


def add(
    conn: Connection,
    *,
    interaction_id: InteractionId,
    project: str,
    client_id: ClientId,
    sequence: int,
    connections: Iterable[str],
    now: datetime,
) -> None:
    """Make the interaction's work in each CRM; what exists and is ended is opened again for the new revision."""
    values = {
        "interaction_id": interaction_id,
        "project": project,
        "client_id": client_id,
        "sequence": sequence,
        "state": WorkState.OPEN.value,
        "updated_at": now,
    }
    _ADD.change_many(conn, [{"connection": name, **values} for name in connections])


_GET = Prepared(
    select(*COLUMNS)
    .select_from(JOINED)
    .where(work.c.interaction_id == bindparam("of_interaction"), work.c.connection == bindparam("of_connection"))
)
_HEAD = Prepared(
    select(*COLUMNS)
    .select_from(JOINED)
    .where(
        work.c.client_id == bindparam("of_client"),
        work.c.connection == bindparam("of_connection"),
        work.c.state.in_([WorkState.OPEN.value, WorkState.WRITING.value]),
        interaction.c.decide_at.is_not(None),
    )
    .order_by(
        (work.c.state != WorkState.WRITING.value),
        (work.c.urgency > FRESH),
        (work.c.decided_revision == 0),
        work.c.sequence,
    )
    .limit(1)
)
#: always in the same order, so that two never wait for each other
_LOCK = Prepared(
    select(work.c.state)
    .where(
        work.c.interaction_id.in_(bindparam("ids", expanding=True)),
        work.c.connection == bindparam("of_connection"),
    )
    .order_by(work.c.interaction_id)
    .with_for_update()
)
_IS_AWAITED = Prepared(
    select(func.count()).where(
        work.c.client_id == bindparam("of_client"),
        work.c.connection == bindparam("of_connection"),
        work.c.state == WorkState.OPEN.value,
        work.c.urgency == FRESH,
    )
)


def get(conn: Connection, interaction_id: InteractionId, connection: str, *, to_change: bool = False) -> Work | None:
    """The interaction's work in one CRM.

    ``to_change``: nobody else changes it, its client or the revision that it is held against until this transaction
    ends. On SQLite that is so anyway; on PostgreSQL ingest may run in another process.
    """
    if to_change:
        hold(conn, [interaction_id], connection)
    row = _GET.first(conn, of_interaction=interaction_id, of_connection=connection)
    return None if row is None else read_work(row)


def hold(conn: Connection, interaction_ids: Collection[InteractionId], connection: str) -> None:
    """`get` with ``to_change`` for several, without getting: whoever changes works or their steps holds them first."""
    if interaction_ids and locks.is_shared(conn):
        # a statement of its own: what it waited for is seen by the next one only
        _LOCK.rows(conn, ids=sorted(interaction_ids), of_connection=connection)


def head(conn: Connection, lane: Lane) -> Work | None:
    """The lane's next unfinished work whose interaction is over; None if the lane is idle.

    What is being written comes first, then the oldest: when two clients turned out to be one, work of the other may
    be under way that is younger than what waits here (DESIGN 2.2). What was begun and is revised comes before what was
    not begun: its steps still wait, and a decision that rests on them would wait for it for ever. What is replayed
    comes after what is fresh.
    """
    row = _HEAD.first(conn, of_client=lane.client_id, of_connection=lane.connection)
    return None if row is None else read_work(row)


def is_awaited(conn: Connection, lane: Lane) -> bool:
    """Whether something fresh of the lane waits for what is being written."""
    return bool(_IS_AWAITED.scalar(conn, of_client=lane.client_id, of_connection=lane.connection))


def list_work(conn: Connection, interaction_id: InteractionId) -> list[Work]:
    """The interaction's work in every CRM."""
    rows = conn.execute(
        select(*COLUMNS).select_from(JOINED).where(work.c.interaction_id == interaction_id).order_by(work.c.connection)
    )
    return [read_work(row) for row in rows]


_PUT = Prepared(
    update(work)
    .where(work.c.interaction_id == bindparam("of_interaction"), work.c.connection == bindparam("of_connection"))
    .values(
        state=bindparam("new_state"),
        updated_at=bindparam("now"),
        note=bindparam("new_note"),
        decided_revision=func.coalesce(bindparam("decided", type_=Integer), work.c.decided_revision),
        seen=func.coalesce(bindparam("new_seen", type_=Text), work.c.seen),
    )
)
_CHARGE = Prepared(
    update(work)
    .where(
        work.c.connection == bindparam("of_connection"),
        work.c.interaction_id.in_(bindparam("ids", expanding=True)),
    )
    .values(cost=work.c.cost + bindparam("more", type_=Integer))
)


def put(
    conn: Connection,
    found: Work,
    state: WorkState,
    *,
    now: datetime,
    decided_revision: int | None = None,
    seen: str | None = None,
    note: str = "",
) -> None:
    """Move the work to ``state``; what is None stays."""
    _PUT.change(
        conn,
        of_interaction=found.interaction_id,
        of_connection=found.connection,
        new_state=state.value,
        now=now,
        new_note=note,
        decided=decided_revision,
        new_seen=seen,
    )


def charge(conn: Connection, interaction_ids: Sequence[str], connection: str, requests: int) -> None:
    """Share the cost of ``requests`` among the interactions of one batch."""
    unique = sorted(set(interaction_ids))
    if unique and requests:
        _CHARGE.change(conn, of_connection=connection, ids=unique, more=requests * 1000 // len(unique))


def hasten(conn: Connection, found: Work) -> None:
    """Let the replay's waiting steps go as urgently as the fresh interaction that waits behind them."""
    conn.execute(
        update(step)
        .where(
            step.c.interaction_id == found.interaction_id,
            step.c.connection == found.connection,
            step.c.state == "waiting",
            step.c["class"] > FRESH,
        )
        .values({"class": FRESH})
    )


_COUNTS = Prepared(select(work.c.connection, work.c.state, func.count()).group_by(work.c.connection, work.c.state))
_COUNTS_OF_PROJECT = Prepared(
    select(work.c.connection, work.c.state, func.count())
    .where(work.c.project == bindparam("of_project"))
    .group_by(work.c.connection, work.c.state)
)


def count_states(conn: Connection, project: str | None = None) -> dict[tuple[str, str], int]:
    """How many works stand in which state, by (connection, state)."""
    rows = _COUNTS.rows(conn) if project is None else _COUNTS_OF_PROJECT.rows(conn, of_project=project)
    return {(row[0], row[1]): row[2] for row in rows}


_BEFORE = work.alias("before")
_UNDECIDED = Prepared(
    select(func.count()).select_from(
        select(work.c.interaction_id)
        .select_from(JOINED)
        .where(
            work.c.project == bindparam("of_project"),
            work.c.connection == bindparam("of_connection"),
            IS_OPEN,
            work.c.urgency < BULK,
            interaction.c.decide_at <= bindparam("now"),
            ~exists().where(
                _BEFORE.c.client_id == work.c.client_id,
                _BEFORE.c.connection == work.c.connection,
                _BEFORE.c.state == WorkState.WRITING.value,
            ),
        )
        .limit(bindparam("most", type_=Integer))
        .subquery()
    )
)


def count_undecided(conn: Connection, project: str, connection: str, now: datetime, *, most: int = 100) -> int:
    """How many works of the account may be decided now: their lanes have nothing to be written before, and no bulk."""
    found: int = _UNDECIDED.scalar(conn, of_project=project, of_connection=connection, now=now, most=most)
    return found


def attention(conn: Connection, project: str | None = None, limit: int = 200) -> list[Work]:
    """The needs-attention list, newest first."""
    statement = select(*COLUMNS).select_from(JOINED).where(work.c.state == WorkState.ATTENTION.value)
    if project is not None:
        statement = statement.where(work.c.project == project)
    return [read_work(row) for row in conn.execute(statement.order_by(work.c.sequence.desc()).limit(limit))]


def reopen(
    conn: Connection,
    interaction_id: InteractionId,
    connection: str,
    now: datetime,
    *,
    rules: int = 0,
    urgency: int = 2,
) -> bool:
    """Decide the interaction anew; False if it is not ended (X13).

    What needed attention is decided on what the CRM holds then (H4); what was finished on what its last decision saw,
    since later interactions have changed the CRM meanwhile. ``rules`` is a version of the policy, 0 = the newest.
    """
    result = conn.execute(
        update(work)
        .where(
            work.c.interaction_id == interaction_id,
            work.c.connection == connection,
            or_(work.c.state == WorkState.FINISHED.value, work.c.state == WorkState.ATTENTION.value),
        )
        .values(
            state=WorkState.OPEN.value,
            decided_revision=0,
            updated_at=now,
            note="",
            urgency=urgency,
            rules=rules,
            on_seen=work.c.state == WorkState.FINISHED.value,
        )
    )
    return bool(result.rowcount)


def end_replay(conn: Connection, interaction_id: InteractionId, connection: str) -> None:
    """The replay is over: what comes later of the interaction is fresh again, and by the newest rules."""
    conn.execute(
        update(work)
        .where(work.c.interaction_id == interaction_id, work.c.connection == connection)
        .values(urgency=FRESH, rules=0, on_seen=False)
    )
