"""Projects, their channels and their connections to CRMs; secrets are encrypted in the rows (H8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from hub.core.records import Catalogue
from hub.errors import ConfigurationError
from hub.store import codec, locks
from hub.store.crypto import Cipher, new_secret
from hub.store.prepared import Prepared
from hub.store.schema import UtcTime, channel, connection, project

__all__ = [
    "Channel",
    "CrmConnection",
    "Mode",
    "Project",
    "Status",
    "add_channel",
    "add_connection",
    "add_project",
    "change_channel",
    "change_connection",
    "change_project",
    "channel_cursor",
    "find_channel",
    "find_connection",
    "find_project",
    "forget_import",
    "import_cursor",
    "list_channels",
    "list_connections",
    "list_projects",
    "remove_channel",
    "remove_connection",
    "renew_secret",
    "set_catalogue",
    "set_channel_cursor",
    "set_feed",
    "set_import",
    "set_status",
    "touch_channel",
]

Mode: TypeAlias = Literal["shadow", "live"]


class Status(StrEnum):
    """Whether a connection works; the type of the error chooses it."""

    READY = "ready"
    #: the vendor cannot be reached; asked again with a growing pause
    RETRYING = "retrying"
    #: the account has to be connected again
    NEEDS_CREDENTIALS = "needs_credentials"
    MISCONFIGURED = "misconfigured"
    #: the vendor refuses everything; a person has to resume
    BANNED = "banned"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One company's set-up; projects never see each other."""

    name: str
    title: str
    mode: Mode
    is_paused: bool
    managed: Literal["file", "console"]
    created_at: datetime

    @property
    def is_writing(self) -> bool:
        """Whether steps may be sent to the project's CRMs."""
        return self.mode == "live" and not self.is_paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of a project, with its settings readable."""

    project: str
    name: str
    source: str
    settings: Mapping[str, Any] = field(repr=False)
    #: the last part of the channel's addresses
    secret: str = field(repr=False)
    created_at: datetime
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    #: where reading the vendor's own log goes on (X7)
    cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmConnection:
    """One account of one CRM in a project, with its settings readable."""

    project: str
    name: str
    sink: str
    settings: Mapping[str, Any] = field(repr=False)
    #: the last part of the address at which the CRM's webhooks arrive
    secret: str = field(repr=False)
    status: Status
    status_reason: str
    status_at: datetime | None
    catalogue: Catalogue | None = field(repr=False)
    catalogue_at: datetime | None
    feed_cursor: str
    feed_at: datetime | None
    import_cursor: str
    #: hundredths
    import_progress: int
    #: None until the first import is complete
    imported_at: datetime | None
    created_at: datetime


# --- projects ---------------------------------------------------------------------------------------------------


def _project(row: Row[Any]) -> Project:
    return Project(
        name=row.name,
        title=row.title,
        mode=row.mode,
        is_paused=row.is_paused,
        managed=row.managed,
        created_at=row.created_at,
    )


def add_project(
    conn: Connection,
    name: str,
    *,
    now: datetime,
    title: str = "",
    mode: Mode = "shadow",
    managed: Literal["file", "console"] = "file",
) -> Project:
    """A new project, in shadow unless told otherwise. Raises ConfigurationError if the name is taken."""
    locks.hold_setup(conn)
    if find_project(conn, name) is not None:
        raise ConfigurationError("this project exists already", path=f"project {name}")
    conn.execute(insert(project).values(name=name, title=title or name, mode=mode, managed=managed, created_at=now))
    found = find_project(conn, name)
    assert found is not None
    return found


def find_project(conn: Connection, name: str) -> Project | None:
    """The project called ``name``."""
    row = conn.execute(select(project).where(project.c.name == name)).first()
    return None if row is None else _project(row)


def list_projects(conn: Connection) -> list[Project]:
    """All projects, by name."""
    return [_project(row) for row in conn.execute(select(project).order_by(project.c.name))]


def change_project(
    conn: Connection,
    name: str,
    *,
    title: str | None = None,
    mode: Mode | None = None,
    is_paused: bool | None = None,
    managed: Literal["file", "console"] | None = None,
) -> None:
    """Change what is not None. Raises ConfigurationError if there is no such project."""
    given = {"title": title, "mode": mode, "is_paused": is_paused, "managed": managed}
    values = {key: value for key, value in given.items() if value is not None}
    statement = update(project).where(project.c.name == name)
    if values and not conn.execute(statement.values(**values)).rowcount:
        raise ConfigurationError("there is no such project", path=f"project {name}")


# --- channels ---------------------------------------------------------------------------------------------------


def _channel(row: Row[Any], cipher: Cipher) -> Channel:
    return Channel(
        project=row.project,
        name=row.name,
        source=row.source,
        settings=cipher.decrypt_json(row.settings),
        secret=cipher.decrypt(row.secret).decode(),
        created_at=row.created_at,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        cursor=row.cursor,
    )


def add_channel(
    conn: Connection,
    cipher: Cipher,
    *,
    project: str,
    name: str,
    source: str,
    settings: Mapping[str, Any],
    now: datetime,
    secret: str = "",
) -> Channel:
    """A new channel with a secret of its own. Raises ConfigurationError if the name is taken."""
    locks.hold_setup(conn)
    if find_channel(conn, cipher, project, name) is not None:
        raise ConfigurationError("this channel exists already", path=f"channel {project}/{name}")
    secret = secret or new_secret()
    conn.execute(
        insert(channel).values(
            project=project,
            name=name,
            source=source,
            settings=cipher.encrypt_json(settings),
            secret=cipher.encrypt(secret.encode()),
            secret_hash=cipher.hash_secret(secret),
            created_at=now,
        )
    )
    found = find_channel(conn, cipher, project, name)
    assert found is not None
    return found


def find_channel(conn: Connection, cipher: Cipher, project: str, name: str) -> Channel | None:
    """The channel ``name`` of ``project``."""
    row = conn.execute(select(channel).where(channel.c.project == project, channel.c.name == name)).first()
    return None if row is None else _channel(row, cipher)


def list_channels(conn: Connection, cipher: Cipher, project: str | None = None) -> list[Channel]:
    """The channels of ``project``, or all, by project and name."""
    statement = select(channel).order_by(channel.c.project, channel.c.name)
    if project is not None:
        statement = statement.where(channel.c.project == project)
    return [_channel(row, cipher) for row in conn.execute(statement)]


def change_channel(conn: Connection, cipher: Cipher, project: str, name: str, settings: Mapping[str, Any]) -> None:
    """Replace the channel's settings. Raises ConfigurationError if there is no such channel."""
    statement = update(channel).where(channel.c.project == project, channel.c.name == name)
    if not conn.execute(statement.values(settings=cipher.encrypt_json(settings))).rowcount:
        raise ConfigurationError("there is no such channel", path=f"channel {project}/{name}")


def remove_channel(conn: Connection, project: str, name: str) -> None:
    """Forget the channel; what came through it stays."""
    conn.execute(delete(channel).where(channel.c.project == project, channel.c.name == name))


_TOUCH_CHANNEL = Prepared(
    update(channel)
    .where(channel.c.project == bindparam("of_project"), channel.c.name == bindparam("by_name"))
    .values(
        first_seen_at=func.coalesce(channel.c.first_seen_at, bindparam("at", type_=UtcTime)),
        last_seen_at=bindparam("at", type_=UtcTime),
    )
)


def touch_channel(conn: Connection, project: str, name: str, now: datetime) -> None:
    """Something came through the channel: "waiting for the first webhook" ends (H12)."""
    _TOUCH_CHANNEL.change(conn, of_project=project, by_name=name, at=now)


def channel_cursor(conn: Connection, project: str, name: str) -> str:
    """Where reading the vendor's own log goes on; "" if it was never read."""
    found = conn.execute(select(channel.c.cursor).where(channel.c.project == project, channel.c.name == name)).scalar()
    return found or ""


def set_channel_cursor(conn: Connection, project: str, name: str, cursor: str) -> None:
    """Where reading the vendor's own log goes on (X7)."""
    conn.execute(update(channel).where(channel.c.project == project, channel.c.name == name).values(cursor=cursor))


# --- connections ------------------------------------------------------------------------------------------------


def _connection(row: Row[Any], cipher: Cipher) -> CrmConnection:
    return CrmConnection(
        project=row.project,
        name=row.name,
        sink=row.sink,
        settings=cipher.decrypt_json(row.settings),
        secret=cipher.decrypt(row.secret).decode(),
        status=Status(row.status),
        status_reason=row.status_reason,
        status_at=row.status_at,
        catalogue=None if row.catalogue is None else codec.load_catalogue(row.catalogue),
        catalogue_at=row.catalogue_at,
        feed_cursor=row.feed_cursor,
        feed_at=row.feed_at,
        import_cursor=row.import_cursor,
        import_progress=row.import_progress,
        imported_at=row.imported_at,
        created_at=row.created_at,
    )


def add_connection(
    conn: Connection,
    cipher: Cipher,
    *,
    project: str,
    name: str,
    sink: str,
    settings: Mapping[str, Any],
    now: datetime,
    secret: str = "",
) -> CrmConnection:
    """A new connection, off until it was tried. Raises ConfigurationError if the name is taken."""
    locks.hold_setup(conn)
    if find_connection(conn, cipher, project, name) is not None:
        raise ConfigurationError("this connection exists already", path=f"connection {project}/{name}")
    secret = secret or new_secret()
    conn.execute(
        insert(connection).values(
            project=project,
            name=name,
            sink=sink,
            settings=cipher.encrypt_json(settings),
            secret=cipher.encrypt(secret.encode()),
            secret_hash=cipher.hash_secret(secret),
            created_at=now,
        )
    )
    found = find_connection(conn, cipher, project, name)
    assert found is not None
    return found


def find_connection(conn: Connection, cipher: Cipher, project: str, name: str) -> CrmConnection | None:
    """The connection ``name`` of ``project``."""
    row = conn.execute(select(connection).where(connection.c.project == project, connection.c.name == name)).first()
    return None if row is None else _connection(row, cipher)


def list_connections(conn: Connection, cipher: Cipher, project: str | None = None) -> list[CrmConnection]:
    """The connections of ``project``, or all, by project and name."""
    statement = select(connection).order_by(connection.c.project, connection.c.name)
    if project is not None:
        statement = statement.where(connection.c.project == project)
    return [_connection(row, cipher) for row in conn.execute(statement)]


def _update_connection(conn: Connection, project: str, name: str, values: Mapping[str, Any]) -> None:
    statement = update(connection).where(connection.c.project == project, connection.c.name == name)
    if not conn.execute(statement.values(dict(values))).rowcount:
        raise ConfigurationError("there is no such connection", path=f"connection {project}/{name}")


def change_connection(conn: Connection, cipher: Cipher, project: str, name: str, settings: Mapping[str, Any]) -> None:
    """Replace the connection's settings. Raises ConfigurationError if there is no such connection."""
    _update_connection(conn, project, name, {"settings": cipher.encrypt_json(settings)})


def remove_connection(conn: Connection, project: str, name: str) -> None:
    """Forget the account with its tokens; what was written to it stays in the journal."""
    conn.execute(delete(connection).where(connection.c.project == project, connection.c.name == name))


def set_status(
    conn: Connection,
    project: str,
    name: str,
    status: Status,
    *,
    now: datetime,
    reason: str = "",
    opened_with: tuple[Cipher, Mapping[str, Any]] | None = None,
) -> bool:
    """Say how the connection is; True if that is a change, so that a vendor going away is one line in the log.

    ``opened_with``: it is so with these settings; if it has others by now, nothing is said.
    """
    before = conn.execute(
        select(connection.c.status).where(connection.c.project == project, connection.c.name == name).with_for_update()
    ).scalar()
    if opened_with is not None:
        cipher, settings = opened_with
        found = find_connection(conn, cipher, project, name)
        if found is None or found.settings != settings:
            return False
    values: dict[str, Any] = {"status": status.value, "status_reason": reason}
    if before != status.value:
        values["status_at"] = now
    _update_connection(conn, project, name, values)
    return before != status.value


def set_catalogue(conn: Connection, project: str, name: str, catalogue: Catalogue, now: datetime) -> None:
    """Keep what the account offers."""
    _update_connection(conn, project, name, {"catalogue": codec.dump_catalogue(catalogue), "catalogue_at": now})


def set_feed(conn: Connection, project: str, name: str, *, cursor: str, as_of: datetime | None) -> None:
    """Where the feed of changes goes on, and up to when it is complete (X9)."""
    values: dict[str, Any] = {"feed_cursor": cursor}
    if as_of is not None:
        values["feed_at"] = as_of
    _update_connection(conn, project, name, values)


def set_import(
    conn: Connection,
    project: str,
    name: str,
    *,
    cursor: str,
    progress: float = 0.0,
    finished_at: datetime | None = None,
) -> None:
    """How far the import is; ``progress`` from 0 to 1. A new import keeps the last complete one's moment."""
    values: dict[str, Any] = {"import_cursor": cursor, "import_progress": round(100 * progress)}
    if finished_at is not None:
        values["imported_at"] = finished_at
        values["import_progress"] = 100
    _update_connection(conn, project, name, values)


def import_cursor(conn: Connection, project: str, name: str) -> str:
    """Where the import goes on; "" = from the start."""
    found = conn.execute(
        select(connection.c.import_cursor).where(connection.c.project == project, connection.c.name == name)
    ).scalar()
    return found or ""


def forget_import(conn: Connection, project: str, name: str) -> None:
    """The directory no longer holds the account: what it does not know may exist in the CRM."""
    values = {"import_cursor": "", "import_progress": 0, "imported_at": None, "feed_cursor": "", "feed_at": None}
    _update_connection(conn, project, name, values)


def renew_secret(
    conn: Connection, cipher: Cipher, project: str, name: str, *, of: Literal["channel", "connection"] = "channel"
) -> str:
    """A new secret for the address; the old one stops working at once."""
    secret = new_secret()
    table = channel if of == "channel" else connection
    result = conn.execute(
        update(table)
        .where(table.c.project == project, table.c.name == name)
        .values(secret=cipher.encrypt(secret.encode()), secret_hash=cipher.hash_secret(secret))
    )
    if not result.rowcount:
        raise ConfigurationError(f"there is no such {of}", path=f"{of} {project}/{name}")
    return secret
