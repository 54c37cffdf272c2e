"""What came in while the database was away: a SQLite file of the process's own, FULL like the truth (DESIGN 3).

Rows leave it in the order in which they came, once the database has them. Each bears a name that nobody else gives,
by which the database knows what it has already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, delete, func, insert, select

from hub.ports import RawRequest
from hub.store import codec
from hub.store.column import UtcTime, request_columns
from hub.store.engine import Store, sqlite_url
from hub.store.inbox import InboxKind, request_of

__all__ = [
    "FILE",
    "Spooled",
    "SpooledKind",
    "oldest",
    "open_file",
    "put",
    "refused",
    "remove",
    "set_aside",
    "try_again",
    "waiting",
]

#: its name in the process's place
FILE = "spool.db"

SpooledKind: TypeAlias = InboxKind | Literal["forwarding"]

_metadata = MetaData()
_spooled = Table(
    "spooled",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    #: kind: hook | form | crm, or forwarding: then the body is a batch of the journal
    *request_columns(),
    sqlite_autoincrement=True,
)
#: which of them the database will never take as they are; kept for people, out of the others' way
_refused = Table(
    "refused",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("refused_at", UtcTime, nullable=False),
)
#: what is still to be brought
_WAITS = _spooled.c.id.not_in(select(_refused.c.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """One request, or one batch of forwarding answers, that the database does not have yet."""

    #: where it stands in the file; 0 before it is there
    id: int = 0
    name: str
    project: str
    channel: str
    kind: SpooledKind
    request: RawRequest = field(repr=False)


def open_file(path: Path, *, most_bytes: int) -> Store:
    """The spool at ``path``, made if need be; whoever puts more than ``most_bytes`` into it gets an error."""

    def prepare(conn: Connection, _: datetime) -> None:
        _metadata.create_all(conn)

    store = Store(sqlite_url(path), readers=1, prepare=prepare)
    store.open()

    def bound(conn: Connection) -> None:
        page = int(conn.exec_driver_sql("PRAGMA page_size").scalar_one())
        conn.exec_driver_sql(f"PRAGMA max_page_count = {max(math.ceil(most_bytes / page), 8)}")

    store.write_now(bound)
    return store


def put(conn: Connection, found: Spooled) -> None:
    """Keep one."""
    request = found.request
    conn.execute(
        insert(_spooled).values(
            name=found.name,
            project=found.project,
            channel=found.channel,
            kind=found.kind,
            received_at=request.received_at,
            method=request.method,
            query=request.query,
            headers=codec.dump_json(request.headers),
            body=request.body,
        )
    )


def oldest(conn: Connection, limit: int) -> list[Spooled]:
    """The first that came, in their order."""
    rows = conn.execute(select(_spooled).where(_WAITS).order_by(_spooled.c.id).limit(limit))
    return [
        Spooled(
            id=row.id,
            name=row.name,
            project=row.project,
            channel=row.channel,
            kind=row.kind,
            request=request_of(row),
        )
        for row in rows
    ]


def remove(conn: Connection, found: Sequence[Spooled]) -> None:
    """The database has them."""
    conn.execute(delete(_spooled).where(_spooled.c.id.in_([one.id for one in found])))


def waiting(conn: Connection) -> tuple[int, datetime | None]:
    """How many wait, and since when the first does."""
    row = conn.execute(select(func.count(), func.min(_spooled.c.received_at)).where(_WAITS)).one()
    return int(row[0]), row[1]


def set_aside(conn: Connection, found: Spooled, *, reason: str, now: datetime) -> None:
    """Bring it no more until `try_again`: the database refuses it, whenever it is asked."""
    conn.execute(insert(_refused).values(id=found.id, reason=reason, refused_at=now))


def refused(conn: Connection) -> int:
    """How many are set aside."""
    return int(conn.execute(select(func.count()).select_from(_refused)).scalar_one())


def try_again(conn: Connection) -> None:
    """Bring what was set aside once more, in its old place: a newer hub may know how."""
    conn.execute(delete(_refused))
