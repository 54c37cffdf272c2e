"""Looks at single clients that fall due: overdue call-backs, unanswered messages (H7, X10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select

from hub.core.interaction import ClientId
from hub.store import codec
from hub.store.dialect import insert_or
from hub.store.schema import due

__all__ = ["Due", "cancel", "list_of_client", "next_at", "put", "take"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One look at one client."""

    project: str
    client_id: ClientId
    key: str
    at: datetime
    body: Mapping[str, Any] = field(default_factory=dict)


def put(conn: Connection, found: Due) -> None:
    """Set or move the look with this key."""
    statement = insert_or(conn, due).values(
        project=found.project,
        client_id=found.client_id,
        key=found.key,
        at=found.at,
        body=codec.dump_json(found.body),
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "client_id", "key"],
            set_={"at": statement.excluded.at, "body": statement.excluded.body},
        )
    )


def cancel(conn: Connection, project: str, client_id: ClientId, key: str) -> bool:
    """Take the look back; False if there was none."""
    return bool(
        conn.execute(
            delete(due).where(due.c.project == project, due.c.client_id == client_id, due.c.key == key)
        ).rowcount
    )


def _due(row: Any) -> Due:
    return Due(
        project=row.project,
        client_id=ClientId(row.client_id),
        key=row.key,
        at=row.at,
        body=codec.load_json(row.body),
    )


def take(conn: Connection, now: datetime, limit: int = 100) -> list[Due]:
    """Remove and return what is due, the longest overdue first.

    The caller writes the inbox rows in the same transaction, so that no look is lost or doubled.
    """
    rows = conn.execute(select(due).where(due.c.at <= now).order_by(due.c.at, due.c.key).limit(limit))
    found = [_due(row) for row in rows]
    return [item for item in found if cancel(conn, item.project, item.client_id, item.key)]


def list_of_client(conn: Connection, project: str, client_id: ClientId) -> list[Due]:
    """The client's looks, the next first."""
    rows = conn.execute(
        select(due).where(due.c.project == project, due.c.client_id == client_id).order_by(due.c.at, due.c.key)
    )
    return [_due(row) for row in rows]


def next_at(conn: Connection) -> datetime | None:
    """When the next look is due; None if there is none."""
    found: datetime | None = conn.execute(select(func.min(due.c.at))).scalar()
    return found
