"""Moving the truth from one database to another: everything or nothing, counted and hashed on both sides (H9).

What is copied are the tables of `hub.store.migrations`, cell by cell as they lie there, so that secrets stay
encrypted with the same key. Tables that the processes of a PostgreSQL make for themselves (`hub.store.cluster`, the
queue) are made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, func, insert, select, text
from sqlalchemy.sql.type_api import TypeEngine

from hub.errors import ConfigurationError
from hub.store import events
from hub.store.column import UtcTime
from hub.store.engine import Store, driver_connection
from hub.store.migrations import TABLES

__all__ = ["Moved", "digest_of", "filled_tables", "move", "require_empty"]

#: rows that are read and written at once
_PAGE = 1000
#: which migrations ran is the target's own; everything else is moved
_OWN = frozenset({"migration"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One table on both sides."""

    table: str
    rows: int
    #: of all rows, in whatever order they lie
    digest: str


def filled_tables(conn: Connection) -> list[str]:
    """The hub's tables that hold anything."""
    found = [table for table in _tables() if conn.execute(select(table).limit(1)).first() is not None]
    return [table.name for table in found]


def move(source: Store, target: Store, told: Callable[[Moved], None] = lambda _: None) -> list[Moved]:
    """Copy everything of ``source`` into ``target``, which is empty; both are open.

    One transaction there, one consistent state here: whatever goes wrong, the target stays empty. Raises
    ConfigurationError if the target holds anything, or if what arrived is not what was there.
    """
    return source.read_now(lambda origin: target.write_now(lambda conn: _move(origin, conn, told)))


def require_empty(conn: Connection) -> None:
    """Raises ConfigurationError if the target holds anything."""
    filled = filled_tables(conn)
    if filled:
        raise ConfigurationError(
            f"the target holds a hub already ({', '.join(filled[:3])} …): give an empty database", path="--to"
        )


def _move(origin: Connection, conn: Connection, told: Callable[[Moved], None]) -> list[Moved]:
    require_empty(conn)
    moved = []
    for table in _tables():
        sent = _Digest(table)
        for page in _pages(origin, table):
            sent.add(page)
            _insert(conn, table, page)
        arrived = _Digest(table)
        for page in _pages(conn, table):
            arrived.add(page)
        if (sent.rows, sent.value) != (arrived.rows, arrived.value):
            raise ConfigurationError(
                f"table {table.name}: {sent.rows} rows were sent, {arrived.rows} arrived, or their content differs:"
                " nothing was kept",
                path="--to",
            )
        found = Moved(table=table.name, rows=sent.rows, digest=f"{sent.value:032x}")
        told(found)
        moved.append(found)
    if conn.dialect.name == "postgresql":
        _go_on_counting(conn)
        events.renumber(conn)
    return moved


def digest_of(conn: Connection, name: str) -> Moved:
    """How many rows a table has, and the hash of them all, whatever engine it lies in."""
    [table] = [table for table in _tables() if table.name == name]
    found = _Digest(table)
    for page in _pages(conn, table):
        found.add(page)
    return Moved(table=name, rows=found.rows, digest=f"{found.value:032x}")


class _Digest:
    """The sum of the rows' hashes: the engines need not give rows in one order."""

    def __init__(self, table: Table) -> None:
        self._name = table.name.encode()
        self.rows = self.value = 0

    def add(self, page: Sequence[Sequence[Any]]) -> None:
        for row in page:
            told = hashlib.blake2b(self._name, digest_size=16)
            for cell in row:
                kind, body = _told(cell)
                told.update(kind + b"%d:" % len(body))
                told.update(body)
            self.value = (self.value + int.from_bytes(told.digest(), "big")) % (1 << 128)
            self.rows += 1


def _told(cell: Any) -> tuple[bytes, bytes]:
    match cell:
        case None:
            return b"n", b""
        case bytes() | memoryview():
            return b"b", bytes(cell)
        case str():
            # the one character that PostgreSQL does not take (`hub.store.postgres`)
            return b"t", cell.replace("\x00", "\ufffd").encode()
        case _:
            # a truth value is a number in SQLite
            return b"i", str(int(cell)).encode()


def _tables() -> list[Table]:
    """The tables with their cells as they lie there: no instant is read and written again."""
    plain = MetaData()
    return [
        Table(table.name, plain, *(Column(column.name, _as_it_lies(column.type)) for column in table.columns))
        for table in TABLES
        if table.name not in _OWN
    ]


def _as_it_lies(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return BigInteger() if isinstance(kind, UtcTime) else kind


def _pages(conn: Connection, table: Table) -> Iterator[Sequence[Sequence[Any]]]:
    yield from conn.execute(select(table).execution_options(yield_per=_PAGE)).partitions()


def _insert(conn: Connection, table: Table, page: Sequence[Sequence[Any]]) -> None:
    names = [column.name for column in table.columns]
    if driver_connection(conn) is not None:
        conn.execute(insert(table), [dict(zip(names, row, strict=True)) for row in page])
        return
    # many times faster than statements
    driver: Any = conn.connection.dbapi_connection
    quoted = conn.dialect.identifier_preparer
    columns = ", ".join(quoted.quote(name) for name in names)
    with driver.cursor() as cursor, cursor.copy(f"COPY {quoted.quote(table.name)} ({columns}) FROM STDIN") as copy:
        for row in page:
            copy.write_row(row)


def _go_on_counting(conn: Connection) -> None:
    """The next number is one more than the largest that was moved."""
    for table in TABLES:
        for column in table.primary_key.columns:
            if not isinstance(column.type, BigInteger) or table.name == "event":
                continue
            name = conn.execute(
                text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
            ).scalar()
            if name is not None:
                _set(conn, name, table, column)
    interaction = next(table for table in TABLES if table.name == "interaction")
    _set(conn, "interaction_sequence", interaction, interaction.c.sequence)


def _set(conn: Connection, sequence: str, table: Table, column: Column[Any]) -> None:
    largest = conn.execute(select(func.max(table.c[column.name]))).scalar()
    if largest is not None:
        conn.execute(text("SELECT setval(:sequence, :value)"), {"sequence": sequence, "value": largest})
