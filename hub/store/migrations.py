"""How the tables come to be what `hub.store.schema` says: functions, appended and never changed once released."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, insert, inspect, select

from hub.store import live_schema, messenger_schema, schema

__all__ = ["MIGRATIONS", "applied", "apply"]

Migration: TypeAlias = Callable[[Connection], None]

MIGRATIONS: list[Migration] = []


def _migration(fn: Migration) -> Migration:
    MIGRATIONS.append(fn)
    return fn


@_migration
def m0001_truth(conn: Connection) -> None:
    """All tables of the first release.

    Until that release the tables still move; afterwards this function gets a frozen copy of them.
    """
    # named, so that its tables are among them
    messenger_schema.outgoing.metadata.create_all(conn)


@_migration
def m0002_popups(conn: Connection) -> None:
    """What pops up, for whom, and whose tabs are open."""
    for table in live_schema.TABLES:
        table.create(conn, checkfirst=True)


def applied(conn: Connection) -> tuple[str, ...]:
    """The names of the migrations that this database has seen, in their order; () for an empty database."""
    if not inspect(conn).has_table(schema.migration.name):
        return ()
    seen = set(conn.execute(select(schema.migration.c.name)).scalars())
    return tuple(fn.__name__ for fn in MIGRATIONS if fn.__name__ in seen)


def apply(conn: Connection, now: datetime) -> tuple[str, ...]:
    """Run what is missing, in order, within the caller's transaction; the names that were run."""
    schema.migration.create(conn, checkfirst=True)
    seen = set(applied(conn))
    missing = [fn for fn in MIGRATIONS if fn.__name__ not in seen]
    for fn in missing:
        fn(conn)
        conn.execute(insert(schema.migration).values(name=fn.__name__, applied_at=now))
    return tuple(fn.__name__ for fn in missing)
