"""What came in, exactly as it came: the copy from which everything else can be made again (H3, H11)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, Integer, Row, bindparam, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from hub.ports import RawRequest
from hub.store import codec
from hub.store.engine import driver_connection
from hub.store.instant import microseconds
from hub.store.prepared import Prepared
from hub.store.schema import inbox

__all__ = [
    "InboxKind",
    "InboxStatus",
    "Received",
    "add",
    "add_many",
    "counts",
    "get",
    "list_received",
    "mark",
    "unread",
    "unread_by_project",
    "waiting_by_project",
]

InboxKind: TypeAlias = Literal["hook", "form", "crm", "due", "recovered"]


class InboxStatus(StrEnum):
    """What became of what came in."""

    NEW = "new"
    DONE = "done"
    #: understood, and on purpose not an interaction
    IGNORED = "ignored"
    UNREADABLE = "unreadable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One row of the inbox."""

    id: int
    project: str
    #: the channel or, for kind ``crm``, the connection
    channel: str
    kind: InboxKind
    request: RawRequest = field(repr=False)
    status: InboxStatus = InboxStatus.NEW
    #: for unreadable: the field at fault
    field: str = ""
    note: str = ""
    interaction_id: str | None = None
    read_at: datetime | None = None


# Core takes ten times as long for this statement as SQLite does, and every webhook waits for it (DESIGN 11)
_INSERT = (
    "INSERT INTO inbox (project, channel, kind, received_at, method, query, headers, body, status, field, note)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'new', '', '')"
)
_ADD = Prepared(
    sqlite.insert(inbox).on_conflict_do_nothing().returning(inbox.c.id),
    columns=("project", "channel", "kind", "received_at", "method", "query", "headers", "body", "spool_id"),
    postgresql=postgresql.insert(inbox).on_conflict_do_nothing().returning(inbox.c.id),
)


def add(
    conn: Connection, *, project: str, channel: str, kind: InboxKind, request: RawRequest, spool_id: str | None = None
) -> int:
    """Store one request; its id, 0 if ``spool_id`` is there already. Secrets were removed from its headers before."""
    headers = codec.dump_json(request.headers)
    driver = driver_connection(conn)
    if driver is None or spool_id is not None:
        added = _ADD.scalar(
            conn,
            project=project,
            channel=channel,
            kind=kind,
            received_at=request.received_at,
            method=request.method,
            query=request.query,
            headers=headers,
            body=request.body,
            spool_id=spool_id,
        )
        return int(added or 0)
    moment = microseconds(request.received_at)
    cursor = driver.execute(
        _INSERT, (project, channel, kind, moment, request.method, request.query, headers, request.body)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def add_many(
    conn: Connection, *, project: str, channel: str, kind: InboxKind, requests: Iterable[RawRequest]
) -> list[int]:
    """Store several requests in their order; their ids."""
    return [add(conn, project=project, channel=channel, kind=kind, request=request) for request in requests]


def request_of(row: Row[Any]) -> RawRequest:
    """The request that a row holds, of the inbox or of a spool."""
    return RawRequest(
        method=row.method,
        query=row.query,
        headers=tuple((name, value) for name, value in codec.load_json(row.headers)),
        body=row.body,
        received_at=row.received_at,
    )


def _received(row: Row[Any]) -> Received:
    return Received(
        id=row.id,
        project=row.project,
        channel=row.channel,
        kind=row.kind,
        request=request_of(row),
        status=InboxStatus(row.status),
        field=row.field,
        note=row.note,
        interaction_id=row.interaction_id,
        read_at=row.read_at,
    )


def unread(
    conn: Connection,
    *,
    limit: int = 100,
    after: int = 0,
    project: str | None = None,
    but_not: Sequence[InboxKind] = (),
) -> list[Received]:
    """The oldest rows that nobody has read, in the order in which they came, beyond the id ``after``."""
    statement = (
        select(inbox)
        .where(inbox.c.status == InboxStatus.NEW.value, inbox.c.id > after)
        .order_by(inbox.c.id)
        .limit(limit)
    )
    if project is not None:
        statement = statement.where(inbox.c.project == project)
    if but_not:
        statement = statement.where(inbox.c.kind.not_in(list(but_not)))
    return [_received(row) for row in conn.execute(statement)]


#: as the index of what is unread says it: a bound value would not be seen to be the same
_IS_UNREAD = text("inbox.status = 'new'")
_OWNERS = Prepared(select(inbox.c.project).where(_IS_UNREAD).distinct())
_OLDEST_OF = (
    select(inbox)
    .where(_IS_UNREAD, inbox.c.project == bindparam("of_project"))
    .order_by(inbox.c.id)
    .limit(bindparam("most", type_=Integer))
)


def unread_by_project(conn: Connection, *, share: int, but_not: Collection[str] = ()) -> dict[str, list[Received]]:
    """The oldest ``share`` unread rows of each project, in the order in which they came; ``but_not`` of these."""
    owners = [row[0] for row in _OWNERS.rows(conn) if row[0] not in but_not]
    return {
        owner: [_received(row) for row in conn.execute(_OLDEST_OF, {"of_project": owner, "most": share})]
        for owner in owners
    }


_WAITING = Prepared(
    select(inbox.c.project, func.min(inbox.c.received_at))
    .where(inbox.c.status == InboxStatus.NEW.value)
    .group_by(inbox.c.project)
)


def waiting_by_project(conn: Connection) -> list[tuple[str, datetime]]:
    """Of which projects rows are unread, and since when."""
    return [(row[0], row[1]) for row in _WAITING.rows(conn)]


_MARK = Prepared(
    update(inbox)
    .where(inbox.c.id == bindparam("by_id"))
    .values(
        status=bindparam("new_status"),
        interaction_id=bindparam("new_interaction"),
        field=bindparam("new_field"),
        note=bindparam("new_note"),
        read_at=bindparam("new_read_at"),
    )
)


def mark(
    conn: Connection,
    ids: int | Sequence[int],
    status: InboxStatus,
    *,
    now: datetime,
    interaction_id: str | None = None,
    field: str = "",
    note: str = "",
) -> None:
    """Say what became of a row, or of several alike."""
    chosen = [ids] if isinstance(ids, int) else ids
    values = {
        "new_status": status.value,
        "new_interaction": interaction_id,
        "new_field": field,
        "new_note": note,
        "new_read_at": None if status is InboxStatus.NEW else now,
    }
    _MARK.change_many(conn, [{"by_id": id, **values} for id in chosen])


def get(conn: Connection, id: int) -> Received | None:
    """One row."""
    row = conn.execute(select(inbox).where(inbox.c.id == id)).first()
    return None if row is None else _received(row)


def list_received(
    conn: Connection,
    *,
    project: str | None = None,
    statuses: Sequence[InboxStatus] = (),
    interaction_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Received]:
    """Rows, newest first; page on with ``before`` = the last id seen."""
    statement = select(inbox).order_by(inbox.c.id.desc()).limit(limit)
    if project is not None:
        statement = statement.where(inbox.c.project == project)
    if statuses:
        statement = statement.where(inbox.c.status.in_([status.value for status in statuses]))
    if interaction_id is not None:
        statement = statement.where(inbox.c.interaction_id == interaction_id)
    if before is not None:
        statement = statement.where(inbox.c.id < before)
    return [_received(row) for row in conn.execute(statement)]


def counts(conn: Connection, project: str | None = None) -> dict[InboxStatus, int]:
    """How many rows stand in which status."""
    statement = select(inbox.c.status, func.count()).group_by(inbox.c.status)
    if project is not None:
        statement = statement.where(inbox.c.project == project)
    return {InboxStatus(row[0]): row[1] for row in conn.execute(statement)}
