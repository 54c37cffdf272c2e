"""PostgreSQL's driver under Core, for what Core makes dear: a small statement costs psycopg a quarter of it (H9).

Connections are in autocommit, and transactions begin and end in words: so the words of several moments go at once, and
a reading transaction that ends does not make the driver forget what it has prepared, as its own rollback does.
"""

from __future__ import annotations

from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

__all__ = ["raise_as_core", "tell"]

#: what psycopg calls a transaction that was refused, and can only be taken back
_REFUSED = 3


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
        # past the driver's own cursor, which would count these as statements worth preparing
        found = driver.pgconn.exec_(said)
        if found.status != psycopg.pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(found)
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
