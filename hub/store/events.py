"""What the live views are told: rows, so that nobody misses one (DESIGN 8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from hub.store import codec
from hub.store.prepared import Prepared
from hub.store.schema import event

__all__ = ["OVERLAP", "Event", "append", "forget_before", "last_id", "read_after", "recent"]

#: ids are not given in the order of commits where several processes write: readers look back this far
OVERLAP = timedelta(seconds=5)


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
    now: datetime,
    projects: Collection[str] | None = None,
    overlap: timedelta = OVERLAP,
    limit: int = 500,
) -> list[Event]:
    """Events beyond the id ``after``, in order; the reader drops ids that it has seen.

    On PostgreSQL those of the last moments come again: one with a lower id may have been committed since.
    """
    wanted = select(event).order_by(event.c.id).limit(limit)
    if projects is not None:
        wanted = wanted.where(event.c.project.in_(sorted(projects)))
    rows = list(conn.execute(wanted.where(event.c.id > after)))
    if conn.dialect.name == "postgresql":
        rows = [*conn.execute(wanted.where(event.c.id <= after, event.c.at >= now - overlap)), *rows]
    return [
        Event(id=row.id, project=row.project, at=row.at, kind=row.kind, body=codec.load_json(row.body)) for row in rows
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
    return int(conn.execute(select(func.coalesce(func.max(event.c.id), 0))).scalar_one())


def forget_before(conn: Connection, moment: datetime) -> int:
    """Drop old events; how many."""
    return conn.execute(delete(event).where(event.c.at < moment)).rowcount
