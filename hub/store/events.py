"""What the live views are told: rows, so that nobody misses one (DESIGN 8).

An event's id is the place in the order of reading. On SQLite they are given one by one by the one writer. On
PostgreSQL ids that a sequence gives are not those in the order of commits: a view that has read 11 would never look
for 10, committed a moment later. There an id begins with the number of its transaction (the column's default), and
readers stop before the oldest transaction that still writes: what is committed afterwards has a larger id. So a
transaction that writes for long holds the views of all up; the hub's own are short.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnClause, Connection, Select, delete, func, insert, literal_column, select, update

from hub.store import codec
from hub.store.prepared import Prepared
from hub.store.schema import event

__all__ = ["OVERLAP", "Event", "append", "forget_before", "last_id", "of_kind", "read_after", "recent", "renumber"]

#: how far back whoever reads rows beside events looks for what an older transaction committed late
OVERLAP = timedelta(seconds=5)

#: PostgreSQL: ids below are those of transactions that have ended; ids from the second on nobody has given yet
_HORIZON: ColumnClause[int] = literal_column("(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20)")
_BEYOND: ColumnClause[int] = literal_column("(pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 20)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that a view may want to show."""

    id: int
    project: str
    at: datetime
    kind: str
    body: Mapping[str, Any]


_INSERT = Prepared(insert(event).returning(event.c.id), columns=("project", "at", "kind", "body"))


def append(conn: Connection, *, project: str, kind: str, body: Mapping[str, Any], now: datetime) -> int:
    """Tell the views; the event's id."""
    return int(_INSERT.scalar(conn, project=project, at=now, kind=kind, body=codec.dump_json(body)))


def read_after(
    conn: Connection,
    after: int,
    *,
    projects: Collection[str] | None = None,
    limit: int = 500,
) -> list[Event]:
    """Events beyond the id ``after``, in order; whoever goes on from the last one's id misses none and has none twice.

    On PostgreSQL an event may be a moment late, while an older transaction is being written.
    """
    wanted = _settled(conn, select(event)).where(event.c.id > after).order_by(event.c.id).limit(limit)
    if projects is not None:
        wanted = wanted.where(event.c.project.in_(sorted(projects)))
    return [
        Event(id=row.id, project=row.project, at=row.at, kind=row.kind, body=codec.load_json(row.body))
        for row in conn.execute(wanted)
    ]


def recent(conn: Connection, kind: str, since: datetime, *, limit: int = 500) -> list[Event]:
    """The newest events of a kind that were appended after ``since``, in order."""
    newest = select(event).order_by(event.c.id.desc()).limit(limit).subquery()
    rows = conn.execute(select(newest).where(newest.c.kind == kind, newest.c.at >= since).order_by(newest.c.id))
    return [
        Event(id=row.id, project=row.project, at=row.at, kind=row.kind, body=codec.load_json(row.body)) for row in rows
    ]


def of_kind(conn: Connection, project: str, kind: str, since: datetime) -> list[Event]:
    """The project's events of one kind since then, in order."""
    rows = conn.execute(
        select(event).where(event.c.project == project, event.c.kind == kind, event.c.at >= since).order_by(event.c.id)
    )
    return [
        Event(id=row.id, project=row.project, at=row.at, kind=row.kind, body=codec.load_json(row.body)) for row in rows
    ]


def last_id(conn: Connection) -> int:
    """Where a reader who wants only news begins."""
    return int(conn.execute(_settled(conn, select(func.coalesce(func.max(event.c.id), 0)))).scalar_one())


def _settled(conn: Connection, statement: Select[Any]) -> Select[Any]:
    return statement.where(event.c.id < _HORIZON) if conn.dialect.name == "postgresql" else statement


def renumber(conn: Connection) -> int:
    """After a restore into another PostgreSQL, whose transactions count anew: ids that lie ahead go to the front.

    They keep their order, and what is told from now on comes after them. How many there were.
    """
    if conn.dialect.name != "postgresql" or conn.execute(_AHEAD).first() is None:
        return 0
    # in two steps, since each row's new id is compared with the old ones at once; ids of transactions begin higher
    numbers = select(event.c.id, func.row_number().over(order_by=event.c.id).label("number")).subquery()
    conn.execute(update(event).where(event.c.id == numbers.c.id).values(id=-numbers.c.number))
    return conn.execute(update(event).values(id=-event.c.id)).rowcount


_AHEAD = select(event.c.id).where(event.c.id >= _BEYOND).limit(1)


def forget_before(conn: Connection, moment: datetime) -> int:
    """Drop old events; how many."""
    return conn.execute(delete(event).where(event.c.at < moment)).rowcount
