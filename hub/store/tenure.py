"""What a worker owns on PostgreSQL, it owns through one connection: locks, beats and every write go over it (DESIGN 3).

A session's advisory lock lives exactly as long as its connection. Since a worker writes over the very connection that
holds its locks, no other lease is needed: whoever lost the connection, or had it cut while the process was stopped,
has lost the right and the means to write in the same moment. The writes of one process share commits, and projects take
turns in them, as on SQLite (H8, `hub.store.group`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import URL, Connection, bindparam, event, text
from sqlalchemy.exc import DBAPIError

from hub.clock import Clock
from hub.errors import LeaseLost
from hub.store.arrivals import Arrivals
from hub.store.driver import tell
from hub.store.locks import is_conflict, key_of
from hub.store.pending import PendingWrite, settle
from hub.store.turns import Shares, whose

__all__ = ["BEAT", "STALLED", "Tenure"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: how often a process says that it lives, and after how long a silence its work is somebody else's
BEAT, STALLED = timedelta(seconds=2), timedelta(seconds=8)
#: how many functions may share a commit: every one is a sub-transaction, and PostgreSQL keeps some sixty cheaply
_GROUP_LIMIT = 48
#: seconds after which a group commits what it has: as long as a quiet project's write waits for a flood's
_LONGEST_GROUP = 0.1
#: milliseconds for which a function waits for what another process holds; nobody else of this one can write meanwhile
_LOCK_WAIT = 250
#: how often it is run again, some 12 s in all: a process that was stopped in the middle of a write is cut off before
_MOST_TRIES = 48

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
        shares: Shares | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.beat_every, self.stalled = beat, stalled
        self._url, self._clock, self._role, self._host, self._lost = url, clock, role, host, lost
        self._shares = shares or Shares(clock.monotonic)
        self._arrivals = Arrivals(self._shares)
        #: whether each function of the next group can be taken back by itself: in the one before, one failed
        self._is_careful = False
        #: to how many the next group is limited: those who shared one with a function that met another process
        self._most = _GROUP_LIMIT
        #: functions that met another process: each is run by itself, in turns with the groups of all others
        self._apart: deque[PendingWrite] = deque()
        self._thread: threading.Thread | None = None
        self._engine: sqlalchemy.Engine | None = None
        self._guard = threading.Lock()
        self._is_over = False
        self._beat_at = 0.0
        #: the locks that this connection has
        self._held: set[int] = set()
        #: what the process owns, and what of that the others were told
        self._owns: tuple[str, ...] = ()
        self._owns_told: tuple[str, ...] = ()
        #: when the loop last said that it turns
        self._alive_at = 0.0

    # --- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and say that this process lives. Raises what the driver raises."""
        # only here: a hub on SQLite needs no driver of PostgreSQL
        from hub.store.postgres import SESSION, prepare_driver

        # a process that is stopped in the middle of a write holds nobody up
        patience = (
            f"-c lock_timeout={_LOCK_WAIT}"
            f" -c idle_in_transaction_session_timeout={int(self.stalled.total_seconds() * 1000)}"
        )
        self._engine = sqlalchemy.create_engine(
            self._url.difference_update_query(["options"]),
            poolclass=sqlalchemy.NullPool,
            # transactions are told in words (`hub.store.driver`)
            isolation_level="AUTOCOMMIT",
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
        except BaseException:
            conn.close()
            raise
        self._beat_at = self._alive_at = self._clock.monotonic()
        self._thread = threading.Thread(target=self._work, args=(conn,), name="hub-tenure", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what was queued and let everything go; may be called twice."""
        if self._thread is not None:
            self._arrivals.close()
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
        """The loop turns and has ``owns``: call it every beat, and whenever that has changed, which is told at once.

        Beating itself goes before every write that waits.
        """
        self._alive_at, self._owns = self._clock.monotonic(), owns
        if not self._is_over:
            self._arrivals.put(PendingWrite(lambda _: None, None, Future()))

    def _beat(self, conn: Connection) -> None:
        """Say that this process lives, if it is time to and the loop still turns."""
        now = self._clock.monotonic()
        owns = self._owns
        is_due = owns != self._owns_told or now - self._beat_at >= self.beat_every.total_seconds() / 2
        if is_due and now - self._alive_at < self.stalled.total_seconds():
            conn.execute(_BEAT, self._told(owns))
            self._beat_at, self._owns_told = now, owns

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
                # behind the taking, which may still wait for its turn
                self._put(PendingWrite(lambda conn: _give(conn, key), None, Future(), owner=whose()))
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

        What somebody waits to be answered for goes first, then the projects' background work in their turns; of one
        project in the order in which it came, but for one that met another process: it is run again by itself, and
        others go on meanwhile. Who wants two writes in an order awaits the first, or lets each store what holds when
        it runs.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(PendingWrite(fn, loop, future, owner=whose()))
        return await future

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        """`write` for threads."""
        future: Future[T] = Future()
        self._put(PendingWrite(fn, None, future, owner=whose()))
        return future.result()

    def _put(self, job: PendingWrite) -> None:
        with self._guard:
            if self._is_over or self._thread is None:
                raise LeaseLost("this worker has lost its connection to the database")
            self._arrivals.put(job)

    def _work(self, conn: Connection) -> None:
        while not self._is_over and (self._apart or self._arrivals.wait()):
            self._arrivals.sort()
            is_undone = bool(self._arrivals) and self._write(conn, None)
            # whoever was undone for its sake goes first
            if self._apart and not (is_undone or self._is_over):
                self._write(conn, self._apart.popleft())
        if not self._is_over:
            # closed in order: from now on others take what was this process's
            with contextlib.suppress(DBAPIError, LeaseLost):
                conn.execute(_END, {"id": self.id})
        conn.close()
        # whatever came in between is told so
        with self._guard:
            self._is_over = True
        self._fail_queued()

    def _write(self, conn: Connection, alone: PendingWrite | None) -> bool:
        """One transaction of what waits, or of ``alone``; whether some have to be run again."""
        group: list[PendingWrite] = []
        again = self._run(conn, group, alone)
        settle([done for done in group if done.result is not _AGAIN])
        # before what came in since
        self._arrivals.requested.extendleft(reversed(again))
        return bool(again)

    def _next(self) -> PendingWrite | None:
        self._arrivals.sort()
        return self._arrivals.popleft() if self._arrivals else None

    def _run(self, conn: Connection, group: list[PendingWrite], alone: PendingWrite | None) -> list[PendingWrite]:
        """Run what waits in one transaction; each one's result or error is left in it, all in ``group``.

        Those of the group that have to be run again are returned. One that met another process stands apart from then
        on, and those before it are run again among themselves, so that it makes them wait once. Where one fails by
        itself, all are run again, and then each can be taken back alone: hardly any fails, and a savepoint for each
        would be a sixteenth of all that is told the server.
        """
        began = self._clock.monotonic()
        job, most, is_careful = alone, 1, False
        if alone is None:
            job, most, is_careful = self._next(), self._most, self._is_careful
            self._most, self._is_careful = _GROUP_LIMIT, False
        is_alone = most == 1 or not self._arrivals
        is_careful = is_careful and not is_alone
        try:
            self._beat(conn)
            tell(conn, b"BEGIN", *((_SAVE,) if is_careful else ()))
            while job is not None:
                group.append(job)
                used = time.thread_time()
                job.error, job.result = None, None
                try:
                    job.result = job.run(conn)
                except BaseException as error:  # it belongs to whoever asked for this write
                    if is_alone or _is_lost(conn, error):
                        raise
                    has_met = self._has_met(job, error)
                    if not is_careful:
                        tell(conn, b"ROLLBACK")
                        again = [one for one in group if one is not job] if has_met else list(group)
                        self._is_careful, self._most = not has_met, len(again) or _GROUP_LIMIT
                        for one in again:
                            one.error, one.result = None, _AGAIN
                        return again
                    tell(conn, _UNDO)
                    if not has_met:
                        job.error = error
                if job.owner is not None:
                    self._shares.charge(job.owner, time.thread_time() - used)
                # beats and commits go between: nobody else waits longer than for these
                is_full = len(group) >= most or self._clock.monotonic() - began > _LONGEST_GROUP
                job = None if is_alone or is_full else self._next()
                if job is not None and is_careful:
                    tell(conn, _KEEP, _SAVE)
            tell(conn, b"COMMIT", is_commit=True)
        except BaseException as error:  # noqa: BLE001 - nothing was committed, or nobody knows; everybody hears of it
            if job is not None and job not in group:
                group.append(job)
            self._undo(conn, group, error)
        return []

    def _has_met(self, job: PendingWrite, error: BaseException) -> bool:
        """Whether ``job`` was undone for another process's sake only; then it stands apart, to be run again."""
        if not is_conflict(error, is_hasty=True) or job.tries >= _MOST_TRIES:
            return False
        job.tries += 1
        job.error, job.result = None, _AGAIN
        if job.owner is not None:
            # it kept all others from writing: those of its project who may want the same go behind them
            self._shares.charge(job.owner, _LOCK_WAIT / 1000)
        self._apart.append(job)
        return True

    def _undo(self, conn: Connection, group: list[PendingWrite], error: BaseException) -> None:
        """Nothing of ``group`` was kept: take back what the server still has, and say why."""
        is_gone = _is_lost(conn, error)
        if not is_gone:
            try:
                tell(conn, b"ROLLBACK")
            except DBAPIError as lost:
                is_gone, error = True, lost
        if is_gone:
            reason: BaseException = LeaseLost(f"the connection to the database is lost: {error}")
        else:
            reason = error
        # those that stand apart were taken back before
        kept = [job for job in group if job.result is not _AGAIN]
        if len(group) == 1 and kept and not is_gone:
            if not self._has_met(group[0], error):
                group[0].error = error
            return
        log.error("a commit failed: %s", error, extra={"action": "store.commit_failed"})
        for job in kept:
            job.result = None
            if job.error is None or is_gone:
                job.error = reason
        if is_gone:
            self._end()

    def _end(self) -> None:
        with self._guard:
            was_over, self._is_over = self._is_over, True
        if not was_over:
            self._lost()

    def _fail_queued(self) -> None:
        left = list(self._apart)
        self._apart.clear()
        while (job := self._next()) is not None:
            left.append(job)
        for one in left:
            one.error, one.result = LeaseLost("this worker has lost its connection to the database"), None
        settle(left)


class _ConnectionGone(LeaseLost):
    """The one connection is gone; other leases, such as a scheduled run's, may be lost while it is well."""


def _refuse(*_: object) -> None:
    raise _ConnectionGone("this worker has lost its connection to the database")


#: each function of a group can be taken back by itself
_SAVE, _KEEP, _UNDO = b"SAVEPOINT one", b"RELEASE SAVEPOINT one", b"ROLLBACK TO SAVEPOINT one"

#: the result of a function that is to be run again
_AGAIN = object()


def _give(conn: Connection, key: int) -> None:
    conn.execute(_GIVE, {"key": key})


def _is_lost(conn: Connection, error: BaseException) -> bool:
    """Whether the connection is gone, and with it all locks."""
    if isinstance(error, _ConnectionGone) or (isinstance(error, DBAPIError) and error.connection_invalidated):
        return True
    if conn.invalidated or conn.closed:
        return True
    driver: Any = conn.connection.dbapi_connection
    return driver is None or bool(driver.closed)
