"""How a database is, seen without changing it: for ``hub db status`` (H9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from sqlalchemy import URL, Connection, func, inspect, select, text

from hub.errors import ConfigurationError
from hub.store import migrations

__all__ = ["Database", "exists", "look", "running"]

#: seconds of silence after which a process counts as gone (`hub.store.tenure` takes its work over sooner)
_SILENCE = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """What stands in the database."""

    engine: str
    version: str
    #: without the password
    address: str
    #: bytes
    size: int
    applied: Sequence[str]
    #: migrations that are still to run; all of them if there is no hub in it yet
    pending: Sequence[str]
    #: by table, in alphabetical order; tables that are still to be made are left out
    rows: Mapping[str, int]


def exists(url: URL) -> bool:
    """Whether there is anything to look at; a PostgreSQL is found out by asking."""
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


def look(url: URL) -> Database:
    """Read everything. Raises ConfigurationError if there is no file, or a newer hub was there, and what drivers do."""
    if not exists(url):
        raise ConfigurationError(
            f"there is no database at {url.database}: the hub makes it when it first starts, and HUB_DATA_DIRECTORY or"
            " HUB_DATABASE_URL say where another one is"
        )
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as conn:
            migrations.is_current(conn)
            there = set(inspect(conn).get_table_names())
            known = sorted((table for table in migrations.TABLES if table.name in there), key=lambda table: table.name)
            return Database(
                engine="PostgreSQL" if conn.dialect.name == "postgresql" else "SQLite",
                version=".".join(str(part) for part in conn.dialect.server_version_info or ()),
                address=url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True),
                size=_size(conn, url),
                applied=migrations.applied(conn),
                pending=migrations.pending(conn),
                rows={
                    table.name: int(conn.execute(select(func.count()).select_from(table)).scalar_one())
                    for table in known
                },
            )
    finally:
        engine.dispose()


def _size(conn: Connection, url: URL) -> int:
    if conn.dialect.name == "postgresql":
        return int(conn.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    path = Path(url.database or "")
    # what is written and not yet put into the file lies beside it
    beside = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in beside if part.exists())


def running(url: URL) -> int:
    """How many processes of a hub live on a PostgreSQL."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as conn:
            if not inspect(conn).has_table("hub_process"):
                return 0
            alive = text("SELECT count(*) FROM hub_process WHERE beat_at > now() - make_interval(secs => :silence)")
            return int(conn.execute(alive, {"silence": _SILENCE}).scalar_one())
    finally:
        engine.dispose()
