"""What a worker owns on PostgreSQL, it owns through one connection: locks, beats and every write go over it (DESIGN 3).

A session's advisory lock lives exactly as long as its connection. Since a worker writes over the very connection that
holds its locks, no other lease is needed: whoever lost the connection, or had it cut while the process was stopped,
has lost the right and the means to write in the same moment. The writes of one process share commits, as on SQLite.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import URL, Connection, bindparam, event, text
from sqlalchemy.exc import DBAPIError

from hub.clock import Clock
from hub.errors import LeaseLost
from hub.store.locks import is_conflict, key_of
from hub.store.pending import PendingWrite, settle

__all__ = ["BEAT", "STALLED", "Tenure"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: how often a process says that it lives, and after how long a silence its work is somebody else's
BEAT, STALLED = timedelta(seconds=2), timedelta(seconds=8)
#: how many functions may share a commit: every one is a sub-transaction, and PostgreSQL keeps some sixty cheaply
_GROUP_LIMIT = 48
#: seconds after which a group commits what it has
_LONGEST_GROUP = 0.2
#: how often a function is run again that two processes made wait for each other
_MOST_TRIES = 5

#: a server that sees nothing of a machine for as long lets its locks go
_SESSION = (
    "SET tcp_keepalives_idle = 2",
    "SET tcp_keepalives_interval = 2",
    "SET tcp_keepalives_count = 3",
    "SET statement_timeout = '30s'",
)
_KEEPALIVE = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8000,
}

# a session counts how often it took a lock, also in a transaction that is undone and run again
_TAKE = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
    " AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = :key) OR pg_try_advisory_lock(:key)"
)
_GIVE = text("SELECT pg_advisory_unlock(:key)")
_BEAT = text(
    "INSERT INTO hub_process (id, role, host, backend, started_at, beat_at, owns)"
    " VALUES (:id, :role, :host, pg_backend_pid(), now(), now(), :owns)"
    " ON CONFLICT (id) DO UPDATE SET beat_at = now(), owns = excluded.owns, backend = excluded.backend"
).bindparams(bindparam("owns", type_=sqlalchemy.ARRAY(sqlalchemy.Text)))
_END = text("DELETE FROM hub_process WHERE id = :id")


class Tenure:
    """One worker's time at work; it ends when its connection does, and another one is begun.

    ``lost`` is called once, from whatever thread notices. Afterwards every write raises LeaseLost.
    """

    def __init__(
        self,
        url: URL,
        clock: Clock,
        *,
        role: str,
        host: str,
        beat: timedelta = BEAT,
        stalled: timedelta = STALLED,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.beat_every, self.stalled = beat, stalled
        self._url, self._clock, self._role, self._host, self._lost = url, clock, role, host, lost
        self._jobs: queue.SimpleQueue[PendingWrite | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._engine: sqlalchemy.Engine | None = None
        self._guard = threading.Lock()
        self._is_over = False
        self._beat_at = 0.0
        #: the locks that this connection has
        self._held: set[int] = set()
        #: what the process owns, told with each beat
        self._owns: tuple[str, ...] = ()
        #: when the loop last said that it turns
        self._alive_at = 0.0

    # --- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and say that this process lives. Raises what the driver raises."""
        # only here: a hub on SQLite needs no driver of PostgreSQL
        from hub.store.postgres import SESSION, prepare_driver

        # a process that is stopped in the middle of a write holds nobody up
        patience = (
            f"-c lock_timeout=2s -c idle_in_transaction_session_timeout={int(self.stalled.total_seconds() * 1000)}"
        )
        self._engine = sqlalchemy.create_engine(
            self._url.difference_update_query(["options"]),
            poolclass=sqlalchemy.NullPool,
            connect_args={
                **_KEEPALIVE,
                "application_name": f"hub {self._role} {self.id[:8]}",
                "options": " ".join((SESSION, patience, str(self._url.query.get("options", "")))).strip(),
            },
        )
        event.listen(self._engine, "connect", prepare_driver)
        conn = self._engine.connect()
        # the library would connect anew by itself, and write without a lock: there is no second connection
        event.listen(self._engine, "do_connect", _refuse)
        try:
            for statement in _SESSION:
                conn.exec_driver_sql(statement)
            conn.execute(_BEAT, self._told(()))
            conn.commit()
        except BaseException:
            conn.close()
            raise
        self._beat_at = self._alive_at = self._clock.monotonic()
        self._thread = threading.Thread(target=self._work, args=(conn,), name="hub-tenure", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was queued and let everything go; may be called twice."""
        if self._thread is not None:
            if not self._is_over:
                self._jobs.put(PendingWrite(lambda conn: conn.execute(_END, {"id": self.id}), None, Future()))
            self._jobs.put(None)
            self._thread.join(10)
            self._thread = None
        with self._guard:
            self._is_over = True
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    @property
    def is_over(self) -> bool:
        """True once nothing can be written any more."""
        return self._is_over

    @property
    def is_fresh(self) -> bool:
        """True while nobody can have taken over: the last beat is younger than the silence that makes others act."""
        return not self._is_over and self._clock.monotonic() - self._beat_at < self.stalled.total_seconds() * 0.75

    def assert_fresh(self) -> None:
        """Raise LeaseLost unless this process may still ask and write: right before a request leaves."""
        if not self.is_fresh:
            raise LeaseLost("this worker was silent for too long: its work may be another one's by now")

    def turns(self, owns: tuple[str, ...]) -> None:
        """The loop turns and has ``owns``: call it every beat. Beating itself goes before every write that waits."""
        self._alive_at, self._owns = self._clock.monotonic(), owns
        if not self._is_over:
            self._jobs.put(PendingWrite(lambda _: None, None, Future()))

    def _beat(self, conn: Connection) -> None:
        """Say that this process lives, if it is time to and the loop still turns."""
        now = self._clock.monotonic()
        is_due = now - self._beat_at >= self.beat_every.total_seconds() / 2
        if is_due and now - self._alive_at < self.stalled.total_seconds():
            with conn.begin():
                conn.execute(_BEAT, self._told(self._owns))
            self._beat_at = now

    def _told(self, owns: tuple[str, ...]) -> dict[str, Any]:
        return {"id": self.id, "role": self._role, "host": self._host, "owns": list(owns)}

    # --- locks --------------------------------------------------------------------------------------------------

    async def take(self, *words: str) -> bool:
        """Own ``words`` until `give` or the end; False if another process does. Taken twice is taken once.

        Raises what `write` raises; then nothing is owned that was not before.
        """
        key = key_of(*words)
        if key in self._held:
            return True
        try:
            is_taken = bool(await self.write(lambda conn: conn.execute(_TAKE, {"key": key}).scalar()))
        except BaseException:
            # the session has the lock even if the transaction in which it was taken came to nothing, or nobody waits
            # for it any more: a lock of which nobody knows would keep its project from everybody
            with contextlib.suppress(LeaseLost):
                self._put(PendingWrite(lambda conn: _give(conn, key), None, Future()))
            raise
        if is_taken:
            self._held.add(key)
        return is_taken

    async def give(self, *words: str) -> None:
        """Own ``words`` no longer."""
        key = key_of(*words)
        self._held.discard(key)
        await self.write(lambda conn: _give(conn, key))

    # --- writing ------------------------------------------------------------------------------------------------

    async def write(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` returns, once durable. Raises what ``fn`` raises, LeaseLost if the connection is gone.

        In the order in which they came, but for one that met another process: it is run again behind those that came
        with it. Who wants two writes in an order awaits the first, or lets each store what holds when it runs.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(PendingWrite(fn, loop, future))
        return await future

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        """`write` for threads."""
        future: Future[T] = Future()
        self._put(PendingWrite(fn, None, future))
        return future.result()

    def _put(self, job: PendingWrite) -> None:
        with self._guard:
            if self._is_over or self._thread is None:
                raise LeaseLost("this worker has lost its connection to the database")
            self._jobs.put(job)

    def _work(self, conn: Connection) -> None:
        is_running = True
        late: list[PendingWrite] = []
        while is_running or late:
            # those that did not get their turn go before what came in since
            group, late = late, []
            while is_running and len(group) < _GROUP_LIMIT:
                try:
                    job = self._jobs.get_nowait() if group else self._jobs.get()
                except queue.Empty:
                    break
                if job is None:
                    is_running = False
                else:
                    group.append(job)
            if group:
                late = self._run(conn, group)
                settle([done for done in group if done.result is not _AGAIN])
            if self._is_over:
                break
        for job in late:
            self._jobs.put(job)
        conn.close()
        if not is_running:
            # closed in order: whatever came in between is told so
            with self._guard:
                self._is_over = True
        self._fail_queued()

    def _run(self, conn: Connection, group: list[PendingWrite]) -> list[PendingWrite]:
        """Run ``group`` in one transaction; each one's result or error is left in it. Who has to be run again."""
        again: list[PendingWrite] = []
        try:
            self._beat(conn)
            with conn.begin():
                began = self._clock.monotonic()
                for place, job in enumerate(group):
                    if place and self._clock.monotonic() - began > _LONGEST_GROUP:
                        # beats and commits go between: nobody else waits longer than for these
                        again += group[place:]
                        for late in group[place:]:
                            late.result = _AGAIN
                        break
                    job.error = None
                    if len(group) == 1:
                        job.result = job.run(conn)
                        break
                    try:
                        with conn.begin_nested():
                            job.result = job.run(conn)
                    except DBAPIError as error:
                        if error.connection_invalidated or _is_gone(conn):
                            raise
                        job.error = error
                        if is_conflict(error, is_hasty=True) and job.tries < _MOST_TRIES:
                            job.tries += 1
                            job.error, job.result = None, _AGAIN
                            again.append(job)
                    except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked for this write
                        job.error = error
        except BaseException as error:  # noqa: BLE001 - nothing was committed, or nobody knows; everybody hears of it
            is_gone = _is_gone(conn) or isinstance(error, _ConnectionGone)
            is_gone |= isinstance(error, DBAPIError) and error.connection_invalidated
            if len(group) == 1 and not is_gone:
                if is_conflict(error, is_hasty=True) and group[0].tries < _MOST_TRIES:
                    group[0].tries += 1
                    group[0].result = _AGAIN
                    return group
                group[0].error = error
                return []
            log.error("a commit failed: %s", error, extra={"action": "store.commit_failed"})
            for job in group:
                job.result = None
                if job.error is None or is_gone:
                    job.error = LeaseLost(f"the connection to the database is lost: {error}") if is_gone else error
            if is_gone:
                self._end()
            return []
        return again

    def _end(self) -> None:
        with self._guard:
            was_over, self._is_over = self._is_over, True
        if not was_over:
            self._lost()

    def _fail_queued(self) -> None:
        left: list[PendingWrite] = []
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                job.error = LeaseLost("this worker has lost its connection to the database")
                left.append(job)
        settle(left)


class _ConnectionGone(LeaseLost):
    """The one connection is gone; other leases, such as a scheduled run's, may be lost while it is well."""


def _refuse(*_: object) -> None:
    raise _ConnectionGone("this worker has lost its connection to the database")


#: the result of a function that is to be run again
_AGAIN = object()


def _give(conn: Connection, key: int) -> None:
    conn.execute(_GIVE, {"key": key})


def _is_gone(conn: Connection) -> bool:
    if conn.invalidated or conn.closed:
        return True
    driver: Any = conn.connection.dbapi_connection
    return driver is None or bool(driver.closed)
