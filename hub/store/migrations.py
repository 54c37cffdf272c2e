"""How the tables come to be what `hub.store.schema` says: functions, appended and never changed once released.

To change the tables:

1. change `hub.store.schema` (or the module beside it) to what they shall be;
2. append a function ``mNNNN_what_it_does(conn)`` here, decorated with ``@_migration``. It runs once for each database,
   in the same transaction as its neighbours, on SQLite (where there is hardly any ALTER: a new table and ``ADD COLUMN``
   with a default are what is simple) and on PostgreSQL. New tables are written down as they are then, in
   ``hub/store/released/mNNNN_sqlite.sql`` and ``mNNNN_postgresql.sql`` for `run_script`, and never made from the
   living schema: what a released version did must not change with it. On PostgreSQL text is ``TEXT COLLATE "C"``, so
   that both engines put it into the same order.
   ``python -m hub.store.migrations TABLE …`` prints both texts for tables of the schema;
3. append a state to ``tests/store/released_rows.py`` if the new tables should be seen through later migrations;
   ``tests/store/test_migrations.py`` runs from every released state, and compares the outcome with the schema.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from datetime import datetime
from importlib import resources
from typing import TypeAlias

from sqlalchemy import Connection, Table, insert, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from hub.errors import ConfigurationError
from hub.store import live_schema, messenger_schema, schema

__all__ = ["MIGRATIONS", "TABLES", "applied", "apply", "describe", "is_current", "pending", "run_script"]

Migration: TypeAlias = Callable[[Connection], None]

MIGRATIONS: list[Migration] = []

#: every table of the truth; the modules beside `schema` are named, so that theirs are among them
TABLES: tuple[Table, ...] = tuple(schema.metadata.sorted_tables)
assert {messenger_schema.outgoing, live_schema.popup} <= set(TABLES)


def _migration(fn: Migration) -> Migration:
    MIGRATIONS.append(fn)
    return fn


@_migration
def m0001_truth(conn: Connection) -> None:
    """All tables of the first release."""
    run_script(conn, "m0001")


@_migration
def m0002_popups(conn: Connection) -> None:
    """What pops up, for whom, and whose tabs are open."""
    run_script(conn, "m0002")


@_migration
def m0003_spool(conn: Connection) -> None:
    """By what name a process keeps a request while the database is away."""
    run_script(conn, "m0003")


@_migration
def m0004_turns(conn: Connection) -> None:
    """Who has something unread, at a glance: projects are read in turn."""
    run_script(conn, "m0004")


@_migration
def m0005_outstanding(conn: Connection) -> None:
    """An account's writer finds its own steps, however many wait for another account."""
    run_script(conn, "m0005")


@_migration
def m0006_asked_before(conn: Connection) -> None:
    """What was asked twice is known in memory: the answers' journal is written without an index for it."""
    run_script(conn, "m0006")


# --- running them -----------------------------------------------------------------------------------------------


def run_script(conn: Connection, name: str) -> None:
    """Run the statements of ``hub/store/released/{name}_{engine}.sql``; each ends with a semicolon at a line's end."""
    script = resources.files("hub.store").joinpath("released", f"{name}_{conn.dialect.name}.sql")
    for statement in script.read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            conn.exec_driver_sql(statement)


def applied(conn: Connection) -> tuple[str, ...]:
    """The names of the migrations that this database has seen, in their order; () for an empty database."""
    seen = _seen(conn)
    return tuple(fn.__name__ for fn in MIGRATIONS if fn.__name__ in seen)


def pending(conn: Connection) -> tuple[str, ...]:
    """The names of those that are still to run."""
    seen = _seen(conn)
    return tuple(fn.__name__ for fn in MIGRATIONS if fn.__name__ not in seen)


def is_current(conn: Connection) -> bool:
    """Whether nothing is to be done. Raises ConfigurationError if a newer hub was here."""
    seen = _seen(conn)
    newer = sorted(seen - {fn.__name__ for fn in MIGRATIONS})
    if newer:
        raise ConfigurationError(
            f"a newer version of the hub has changed this database ({newer[-1]}): run that version, or restore a backup"
        )
    return len(seen) == len(MIGRATIONS)


def _seen(conn: Connection) -> set[str]:
    if not inspect(conn).has_table(schema.migration.name):
        return set()
    return set(conn.execute(select(schema.migration.c.name)).scalars())


def apply(conn: Connection, now: datetime) -> tuple[str, ...]:
    """Run what is missing, in order, within the caller's transaction; the names that were run.

    Raises ConfigurationError if a newer hub was here.
    """
    schema.migration.create(conn, checkfirst=True)
    if is_current(conn):
        return ()
    seen = _seen(conn)
    missing = [fn for fn in MIGRATIONS if fn.__name__ not in seen]
    for fn in missing:
        fn(conn)
        conn.execute(insert(schema.migration).values(name=fn.__name__, applied_at=now))
    return tuple(fn.__name__ for fn in missing)


# --- writing one ------------------------------------------------------------------------------------------------


def describe(names: Collection[str], engine: str) -> str:
    """The statements that make these tables as the living schema has them, for a new script."""
    dialect = postgresql.dialect() if engine == "postgresql" else sqlite.dialect()  # type: ignore[no-untyped-call]
    statements = []
    for table in TABLES:
        if table.name in names:
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            found: list[CreateTable | CreateIndex] = [CreateTable(table), *(CreateIndex(index) for index in indexes)]
            statements += [str(one.compile(dialect=dialect)).strip().replace("\t", "    ") for one in found]
    text = ";\n\n".join(line.replace(", \n", ",\n") for line in statements) + ";\n"
    return text.replace(" TEXT", ' TEXT COLLATE "C"') if engine == "postgresql" else text


if __name__ == "__main__":
    for engine in ("sqlite", "postgresql"):
        sys.stdout.write(f"-- {engine}\n{describe(sys.argv[1:], engine)}\n")
