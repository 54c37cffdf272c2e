"""Lanes that could go on and do not: what a lost wake-up, a join of clients, a crash or a takeover left behind."""

from __future__ import annotations

from collections.abc import Sequence
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
_IS_RIPE = and_(work.c.state == WorkState.OPEN.value, interaction.c.decide_at <= bindparam("now"), ~_IS_BLOCKED)
#: may be decided and has not been
_RIPE = Prepared(_LANES.where(_IS_RIPE, work.c.urgency < BULK).limit(bindparam("most", type_=Integer)))
_RIPE_OF = Prepared(
    _LANES.where(_IS_RIPE, work.c.urgency < BULK, work.c.project.in_(bindparam("projects", expanding=True))).limit(
        bindparam("most", type_=Integer)
    )
)
#: word for word the condition of the partial index
_IS_BULK = text("work.urgency = 3")
_BULK_ACCOUNTS = (
    select(work.c.project, work.c.connection).distinct().where(_IS_BULK, work.c.state == WorkState.OPEN.value)
)
_OF_ACCOUNT = and_(work.c.project == bindparam("of_project"), work.c.connection == bindparam("of_connection"))
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
    conn: Connection, now: datetime, limit: int = 1000, *, projects: Sequence[str] | None = None
) -> list[Lane]:
    """Lanes that could go on and do not: what a lost wake-up, a join of clients or a crash left behind.

    ``projects`` names those of which one worker's accounts are; None = all.
    """
    if projects is None:
        rows = [*_RIPE.rows(conn, now=now, most=limit), *_ENDED.rows(conn, most=limit)]
    else:
        of = list(projects)
        rows = [*_RIPE_OF.rows(conn, now=now, most=limit, projects=of), *_ENDED_OF.rows(conn, most=limit, projects=of)]
    return [Lane(client_id=ClientId(row[0]), connection=row[1], project=row[2]) for row in rows]


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
