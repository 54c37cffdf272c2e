"""Lanes that could go on and do not: what a lost wake-up, a join of clients, a crash or a takeover left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Integer, and_, bindparam, func, or_, select, text

from hub.core.interaction import ClientId
from hub.store.prepared import Prepared
from hub.store.schema import interaction, step, work
from hub.store.work import BULK, IS_OUTSTANDING, JOINED, Lane, WorkState

__all__ = ["lanes_to_replay", "lanes_to_wake", "lanes_writing"]

_EARLIER = work.alias("earlier")
_IS_BLOCKED = (
    select(_EARLIER.c.interaction_id)
    .where(
        _EARLIER.c.client_id == work.c.client_id,
        _EARLIER.c.connection == work.c.connection,
        _EARLIER.c.sequence < work.c.sequence,
        _EARLIER.c.state == WorkState.WRITING.value,
    )
    .exists()
)
_HAS_OUTSTANDING = (
    select(step.c.id)
    .where(
        step.c.interaction_id == work.c.interaction_id,
        step.c.connection == work.c.connection,
        IS_OUTSTANDING,
    )
    .exists()
)
_LANES = select(work.c.client_id, work.c.connection, work.c.project).distinct().select_from(JOINED)
#: word for word the condition of the partial index
_IS_OPEN = text("work.state = 'open'")
_IS_RIPE = and_(_IS_OPEN, interaction.c.decide_at <= bindparam("now"), ~_IS_BLOCKED)
#: word for word the condition of the partial index
_IS_BULK = text("work.urgency = 3")
_BULK_ACCOUNTS = (
    select(work.c.project, work.c.connection).distinct().where(_IS_BULK, work.c.state == WorkState.OPEN.value)
)
_OPEN_ACCOUNTS = Prepared(select(work.c.project, work.c.connection).distinct().where(_IS_OPEN))
_OF_ACCOUNT = and_(work.c.project == bindparam("of_project"), work.c.connection == bindparam("of_connection"))
#: may be decided and has not been; the oldest, so that no more are looked at than are wanted
_RIPE = Prepared(
    select(work.c.client_id)
    .select_from(JOINED)
    .where(_IS_RIPE, work.c.urgency < BULK, _OF_ACCOUNT)
    .order_by(work.c.sequence)
    .limit(bindparam("most", type_=Integer))
)
_RIPE_IN_BULK = Prepared(_LANES.where(_IS_RIPE, _IS_BULK, _OF_ACCOUNT).limit(bindparam("most", type_=Integer)))
_BULK_WAITING = Prepared(
    select(func.count()).where(
        step.c.connection == bindparam("of_connection"),
        step.c.project == bindparam("of_project"),
        IS_OUTSTANDING,
        step.c.state == "waiting",
        step.c["class"] == BULK,
    )
)
#: all steps have ended without anybody having looked, or the interaction has a newer revision
_ENDED = Prepared(
    _LANES.where(
        work.c.state == WorkState.WRITING.value,
        or_(~_HAS_OUTSTANDING, interaction.c.revision > work.c.decided_revision),
    ).limit(bindparam("most", type_=Integer))
)
_ENDED_OF = Prepared(
    _LANES.where(
        work.c.state == WorkState.WRITING.value,
        work.c.project.in_(bindparam("projects", expanding=True)),
        or_(~_HAS_OUTSTANDING, interaction.c.revision > work.c.decided_revision),
    ).limit(bindparam("most", type_=Integer))
)


def lanes_to_wake(
    conn: Connection,
    now: datetime,
    limit: int = 1000,
    *,
    projects: Sequence[str] | None = None,
    room: Callable[[str, str], int] = lambda *_: 200,
) -> list[Lane]:
    """Lanes that could go on and do not.

    ``projects`` names those of which one worker's accounts are; None = all. ``room`` says how many of an account that
    may be decided are wanted: no account's thousands hide another's one.
    """
    found: list[Lane] = []
    for project, connection in _OPEN_ACCOUNTS.rows(conn):
        most = room(project, connection) if projects is None or project in projects else 0
        if most:
            rows = _RIPE.rows(conn, now=now, most=most, of_project=project, of_connection=connection)
            found += [Lane(client_id=ClientId(row[0]), connection=connection, project=project) for row in rows]
    if projects is None:
        ended = _ENDED.rows(conn, most=limit)
    else:
        ended = _ENDED_OF.rows(conn, most=limit, projects=list(projects)) if projects else []
    found += [Lane(client_id=ClientId(row[0]), connection=row[1], project=row[2]) for row in ended]
    return list(dict.fromkeys(found))


def lanes_to_replay(conn: Connection, now: datetime, most: int = 200) -> list[Lane]:
    """Lanes in which one of many waits to be decided anew (X13).

    Few at a time, and none for a CRM that has ``most`` steps of theirs to write: they can wait, what is fresh cannot.
    """
    found: list[Lane] = []
    for project, connection in conn.execute(_BULK_ACCOUNTS).all():
        waiting = _BULK_WAITING.scalar(conn, of_project=project, of_connection=connection)
        if waiting < most:
            rows = _RIPE_IN_BULK.rows(
                conn, now=now, of_project=project, of_connection=connection, most=most - int(waiting)
            )
            found += [Lane(client_id=ClientId(row[0]), connection=row[1], project=row[2]) for row in rows]
    return found


def lanes_writing(conn: Connection, connection: str | None = None) -> list[Lane]:
    """Lanes with decided work: at start they are looked at once, in case all their steps have ended."""
    where = [work.c.state == WorkState.WRITING.value]
    if connection is not None:
        where.append(work.c.connection == connection)
    rows = conn.execute(select(work.c.client_id, work.c.connection, work.c.project).distinct().where(and_(*where)))
    return [Lane(client_id=ClientId(row[0]), connection=row[1], project=row[2]) for row in rows]
