"""PostgreSQL's client library under the driver and Core, for what these make dear (H9).

A small statement costs the client 20 microseconds of a processor here, six times as many through psycopg's cursor, and
ten times and more through Core. Connections are in autocommit, and transactions begin and end in words, so that the
words of one moment go together. Whoever wants a statement prepared has it prepared by `ask`, once for each connection.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

__all__ = ["Answer", "ask", "ask_many", "raise_as_core", "tell"]

_Loader = Callable[[bytes], Any]

#: the state of a transaction that was refused, and can only be taken back
_REFUSED = 3
_TEXT, _BINARY = 0, 1
_COMMAND_OK, _TUPLES_OK = 1, 2
#: how many statements a connection keeps prepared; the hub has fewer, in a few lengths of their lists each
_MOST = 400
#: how many statements are sent before an answer is read: their answers fit into any buffer between
_TOGETHER = 64
#: a statement is not prepared any more, or stands for what a table was like before it was changed
_FORGOTTEN = frozenset({"26000", "0A000"})


@dataclass(slots=True)
class _Kept:
    """What one connection has prepared."""

    statements: dict[str, _Statement] = field(default_factory=dict)
    made: int = 0


@dataclass(frozen=True, slots=True)
class _Statement:
    name: bytes
    #: by column; empty until it was answered
    loaders: list[_Loader | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """``rows`` in the order in which they came, and how many were found or changed."""

    rows: list[tuple[Any, ...]]
    count: int


def ask(conn: Connection, sql: str, values: Sequence[Any]) -> Answer:
    """The answer to ``sql``, whose ``$1`` and so on are ``values``: text, bytes, numbers, truths or None.

    Raises DBAPIError.
    """
    fairy: Any = conn.connection
    driver: Any = fairy.dbapi_connection
    try:
        library = driver.pgconn
        statement = _prepared(conn, fairy, library, sql)
        found = library.exec_prepared(statement.name, *_given(values), _BINARY)
        if found.status == _COMMAND_OK:
            return Answer([], found.command_tuples or 0)
        if found.status != _TUPLES_OK:
            raise _error(conn, found)
        return Answer(_rows(driver, found, statement.loaders), found.ntuples)
    except conn.dialect.loaded_dbapi.Error as error:
        _refused(conn, fairy, sql, error)


def ask_many(conn: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """`ask` for each of ``rows``, whose answers nobody wants: many go at once, and are waited for once.

    Raises DBAPIError; what went behind the one that failed has not been done.
    """
    if len(rows) == 1:
        ask(conn, sql, rows[0])
        return
    for start in range(0, len(rows), _TOGETHER):
        _ask_together(conn, sql, rows[start : start + _TOGETHER])


def _ask_together(conn: Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    fairy: Any = conn.connection
    library: Any = fairy.dbapi_connection.pgconn
    try:
        name = _prepared(conn, fairy, library, sql).name
        library.enter_pipeline_mode()
        for values in rows:
            library.send_query_prepared(name, *_given(values), _BINARY)
        library.pipeline_sync()
        failed = _first_failed(conn, library)
        library.exit_pipeline_mode()
        if failed is not None:
            raise _error(conn, failed)
    except conn.dialect.loaded_dbapi.Error as error:
        _refused(conn, fairy, sql, error)


def _given(values: Sequence[Any]) -> tuple[list[bytes | None], list[int]]:
    """``values`` as the library takes them, and the form of each."""
    return [_dump(value) for value in values], [_BINARY if isinstance(value, bytes) else _TEXT for value in values]


def _refused(conn: Connection, fairy: Any, sql: str, error: Exception) -> NoReturn:
    if getattr(error, "sqlstate", None) in _FORGOTTEN:
        # prepared anew under names of their own
        fairy.info[_Kept].statements.clear()
    raise_as_core(conn, sql, error)


def _first_failed(conn: Connection, library: Any) -> Any:
    """What was refused first of what was sent together, once all is answered; None if nothing was."""
    psycopg: Any = conn.dialect.loaded_dbapi
    ready = select.poll()
    ready.register(library.socket, select.POLLIN)
    failed = None
    while True:
        # other threads go on meanwhile: the library itself would hold them up while it waits for a result
        while library.is_busy():
            ready.poll()
            library.consume_input()
        found = library.get_result()
        if found is None:
            if library.status != psycopg.pq.ConnStatus.OK:
                raise psycopg.OperationalError("the connection is lost")
        elif found.status == psycopg.pq.ExecStatus.PIPELINE_SYNC:
            return failed
        elif failed is None and found.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            failed = found


def _prepared(conn: Connection, fairy: Any, library: Any, sql: str) -> _Statement:
    """What this connection has prepared for ``sql``, now if it had not."""
    kept: _Kept | None = fairy.info.get(_Kept)
    if kept is None:
        kept = fairy.info[_Kept] = _Kept()
    known = kept.statements.get(sql)
    if known is not None:
        return known
    if len(kept.statements) >= _MOST:
        # the oldest is forgotten here and there
        oldest = kept.statements.pop(next(iter(kept.statements)))
        library.exec_(b"DEALLOCATE " + oldest.name)
    kept.made += 1
    statement = _Statement(b"hub_%d" % kept.made, [])
    found = library.prepare(statement.name, sql.encode())
    if found.status != _COMMAND_OK:
        raise _error(conn, found)
    kept.statements[sql] = statement
    return statement


def tell(conn: Connection, *words: bytes, is_commit: bool = False) -> None:
    """Tell the server ``words`` that begin, end or part transactions, in one round trip.

    ``is_commit``: raise when the transaction was refused before, for the server would take it back without a word.
    Raises DBAPIError.
    """
    driver: Any = conn.connection.dbapi_connection
    psycopg: Any = conn.dialect.loaded_dbapi
    said = b"; ".join(words)
    try:
        if is_commit and driver.pgconn.transaction_status == _REFUSED:
            raise psycopg.errors.InFailedSqlTransaction("a statement failed, and what came with it cannot be kept")
        found = driver.pgconn.exec_(said)
        if found.status != _COMMAND_OK:
            raise _error(conn, found)
    except psycopg.Error as error:
        raise_as_core(conn, said.decode(), error)


def raise_as_core(conn: Connection, sql: str, error: Exception) -> NoReturn:
    """What the driver says, without the values, as whoever runs transactions again expects it: a DBAPIError."""
    driver: Any = conn.connection.dbapi_connection
    if driver is None or driver.closed:
        # Core sees for itself that it is gone, and throws away what else the pool has of that server
        conn.exec_driver_sql("SELECT 1")
    raised: Any = DBAPIError.instance(sql, None, error, conn.dialect.loaded_dbapi.Error, dialect=conn.dialect)
    raise raised from error


def _error(conn: Connection, found: Any) -> Exception:
    error: Exception = conn.dialect.loaded_dbapi.errors.error_from_result(found)
    return error


def _dump(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        # text as vendors send it may hold the character NUL; PostgreSQL takes any but that one
        return (value.replace("\x00", "\ufffd") if "\x00" in value else value).encode()
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float):
        return repr(value).encode()
    raise TypeError(f"a {type(value).__name__} is nothing that a prepared statement is given")


def _rows(driver: Any, found: Any, loaders: list[_Loader | None]) -> list[tuple[Any, ...]]:
    count = found.ntuples
    if not count:
        return []
    if not loaders:
        loaders += [_loader(driver, found.ftype(place)) for place in range(found.nfields)]
    value_of, places = found.get_value, list(enumerate(loaders))
    rows = []
    for number in range(count):
        row = []
        for place, load in places:
            value = value_of(number, place)
            row.append(value if value is None or load is None else load(value))
        rows.append(tuple(row))
    return rows


def _integer(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _truth(value: bytes) -> bool:
    return value == b"\x01"


def _number(value: bytes) -> float:
    return float(struct.unpack(">d", value)[0])


#: by the server's numbers of types, in binary: bool, bytea, int8, int2, int4, text, float8, varchar
_LOADERS: dict[int, _Loader | None] = {
    16: _truth,
    17: None,
    20: _integer,
    21: _integer,
    23: _integer,
    25: bytes.decode,
    701: _number,
    1043: bytes.decode,
}


def _loader(driver: Any, type_number: int) -> _Loader | None:
    if type_number in _LOADERS:
        return _LOADERS[type_number]
    made = driver.adapters.get_loader(type_number, _BINARY)
    if made is None:
        raise TypeError(f"no prepared statement finds values of PostgreSQL's type {type_number}")
    load: _Loader = made(type_number, driver).load
    return load
