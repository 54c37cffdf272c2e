"""PostgreSQL: how transactions are opened there, and run again when two processes made each other wait (H9)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import psycopg
import sqlalchemy
from psycopg.types.string import StrDumper
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError

from hub.store.driver import tell
from hub.store.locks import is_conflict, key_of

__all__ = ["SESSION", "Postgres", "prepare_driver"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: how often a function is run that meets others, and how long it stands back at most before the next time, seconds
MOST_TRIES = 8
LONGEST_PAUSE = 0.2
#: how long a lock that another process holds is waited for, seconds
LOCK_PATIENCE = 60
#: an accepted webhook is on disk whatever the server's own default says (H3); nobody waits for ever for a lock
SESSION = "-c synchronous_commit=on -c lock_timeout=15s -c client_encoding=utf8"

#: a process that is stopped in the middle of a write holds nobody up for longer: its write is undone, and tried again
#: when it goes on, but for one that stood right before its commit: of that it hears that it failed
_CUT_OFF = b"SET LOCAL idle_in_transaction_session_timeout = '10s'"

#: a server whose machine is gone without a word is given up within seconds; in seconds, the last in milliseconds
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


class Postgres:
    """The connections of one process; a connection is known by its ``application_name``, ``hub`` by default."""

    def __init__(self, url: URL, size: int) -> None:
        options = " ".join((SESSION, str(url.query.get("options", "")))).strip()
        connect_args: dict[str, Any] = {"options": options, **_PATIENCE}
        if "application_name" not in url.query:
            connect_args["application_name"] = "hub"
        self.engine = sqlalchemy.create_engine(
            url.difference_update_query(["options"]),
            pool_size=size,
            max_overflow=size,
            # transactions are told in words (`hub.store.driver`)
            isolation_level="AUTOCOMMIT",
            connect_args=connect_args,
        )
        event.listen(self.engine, "connect", prepare_driver)

    def write(self, fn: Callable[[Connection], T], *, is_short: bool = False) -> T:
        """Run ``fn`` in a transaction of its own and commit it; again if it met another one, or a connection was stale.

        ``is_short``: it never stands still, so that the server may undo it where the process does.

        ``fn`` has no effect but through its connection, so that what was undone can be repeated. A connection that
        goes while the commit is under way is not repeated: nobody knows whether it was taken.
        """
        tries = 0
        while True:
            tries += 1
            is_committing = False
            try:
                with self.engine.connect() as conn:
                    tell(conn, b"BEGIN", *((_CUT_OFF,) if is_short else ()))
                    result = fn(conn)
                    is_committing = True
                    tell(conn, b"COMMIT", is_commit=True)
                    return result
            except DBAPIError as error:
                if is_conflict(error):
                    if tries >= MOST_TRIES:
                        raise
                    log.debug("two writes met: %s", error.orig, extra={"action": "store.conflict"})
                    time.sleep(random.uniform(0, LONGEST_PAUSE * tries / MOST_TRIES))
                # the server was restarted since: the pool has thrown all its connections away
                elif tries > 1 or is_committing or not error.connection_invalidated:
                    raise

    def read(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` reads from one consistent state; once more if the connection, or what it prepared, was stale."""
        try:
            return self._read(fn)
        except DBAPIError as error:
            if not (error.connection_invalidated or is_conflict(error)):
                raise
        return self._read(fn)

    def _read(self, fn: Callable[[Connection], T]) -> T:
        with self.engine.connect() as conn:
            tell(conn, b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            result = fn(conn)
            # nothing was written: this ends it without the driver forgetting what it has prepared
            tell(conn, b"COMMIT", is_commit=True)
            return result

    @contextlib.asynccontextmanager
    async def locked(self, *words: str) -> AsyncIterator[None]:
        """Be the only one in the installation who holds ``words``; the lock goes with the connection that has it."""
        _, args = self.engine.dialect.create_connect_args(self.engine.url)
        async with await psycopg.AsyncConnection.connect(**args, autocommit=True, connect_timeout=5) as conn:
            async with asyncio.timeout(LOCK_PATIENCE):
                # asked again and again, so that nothing is left behind by whoever stops waiting
                while not await _is_taken(conn, key_of("session", *words)):  # noqa: ASYNC110
                    await asyncio.sleep(random.uniform(0.01, 0.05))
            yield

    def close(self) -> None:
        """Give all connections back to the server."""
        self.engine.dispose()


async def _is_taken(conn: psycopg.AsyncConnection[Any], key: int) -> bool:
    row = await (await conn.execute("SELECT pg_try_advisory_lock(%s)", (key,))).fetchone()
    return row is not None and bool(row[0])


def prepare_driver(driver: psycopg.Connection[Any], _: object) -> None:
    """Make a new connection as the hub wants it."""
    driver.adapters.register_dumper(str, _Words)
    # what is asked often is prepared by `hub.store.driver`; the driver would throw that away with its own
    driver.prepare_threshold = None


class _Words(StrDumper):
    """Text as vendors send it may hold the character NUL; PostgreSQL takes any but that one."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\x00", "\ufffd") if "\x00" in obj else obj)
