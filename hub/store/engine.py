"""Opening the truth, writing it with shared commits, reading it: SQLite by default, PostgreSQL for more.

On SQLite one thread writes. Whatever waits when it is free shares one transaction and one commit (group commit), so
that an fsync is paid once for many webhooks; a caller hears of success only after the commit (H3). On PostgreSQL
every write is a transaction of its own in a thread (`hub.store.postgres`), and many write at once: what reads before
it writes holds the row, or the lock of `hub.store.locks`, first.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event, make_url

from hub.clock import Clock, SystemClock
from hub.errors import ConfigurationError
from hub.store import locks, migrations
from hub.store.group import GroupWriter
from hub.store.pending import PendingWrite
from hub.store.tenure import Tenure
from hub.store.turns import Shares, whose
from hub.store.turns_pool import TurnsPool
from hub.store.wal import AT_MOST, LogCopier

if TYPE_CHECKING:
    from hub.store.postgres import Postgres

__all__ = ["Store", "driver_connection", "open_store", "problem_of", "sqlite_url"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: milliseconds that a connection waits for another process's write
BUSY_TIMEOUT = 15_000

PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT}",
    "PRAGMA journal_mode = WAL",
    # an accepted webhook survives a power loss, not only a crash of the process (H3)
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16000",
    "PRAGMA journal_size_limit = 67108864",
    # in a thread of its own before that (`LogCopier`)
    f"PRAGMA wal_autocheckpoint = {AT_MOST}",
)


def sqlite_url(path: Path) -> URL:
    """The database URL of the SQLite file at ``path``."""
    return URL.create("sqlite", database=str(path))


def problem_of(err: BaseException) -> str:
    """What is wrong in the driver's own words, without the statement and its values: these may hold a client's data."""
    return (str(getattr(err, "orig", None) or err) or type(err).__name__).strip().split("\n", 1)[0]


def driver_connection(conn: Connection) -> sqlite3.Connection | None:
    """The sqlite3 connection under ``conn``, for the few statements where Core's overhead counts; None elsewhere."""
    driver = conn.connection.dbapi_connection
    return driver if isinstance(driver, sqlite3.Connection) else None


class Store:
    """The truth: ``write`` and ``read`` run plain functions of a connection in a transaction.

    A function gets a SQLAlchemy Core `Connection`, must not commit, and must not keep it. What it raises reaches
    its own caller only, and nothing of it stays in the database.
    """

    def __init__(
        self,
        url: str | URL,
        *,
        clock: Clock | None = None,
        readers: int = 4,
        prepare: Callable[[Connection, datetime], object] = migrations.apply,
    ) -> None:
        self.url = make_url(url)
        self._clock = clock or SystemClock()
        self._readers_wanted = readers
        #: makes the tables; the hub's own unless the file is another one (`hub.store.spool`)
        self._prepare = prepare
        self._local = threading.local()
        #: what each project's background work has used of this process (H8)
        self.shares = Shares(self._clock.monotonic)
        self._copier = LogCopier(lambda: self._reader()[1])
        self._group = GroupWriter(self.shares, self._copier)
        self._turns: TurnsPool | None = None
        self._writer: threading.Thread | None = None
        self._write_engine: Engine | None = None
        self._read_engine: Engine | None = None
        self._postgres: Postgres | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._reader_connections: list[Connection] = []
        self._guard = threading.Lock()
        #: on PostgreSQL a worker writes over the connection that holds its locks, and over no other
        self.tenure: Tenure | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def is_open(self) -> bool:
        return self._pool is not None

    # --- opening and closing ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, bring the tables up to date, start the writer. Raises what the driver raises."""
        # one core reads SQLite, so that two reads of one project help nobody; over a network they do
        threads, each = self._readers_wanted, 1
        if self.is_sqlite:
            self._open_sqlite()
        else:
            threads, each = self._readers_wanted * 2, self._readers_wanted
            self._postgres = _connect(self.url, threads)
            self._postgres.write(self._migrate)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hub-store")
        self._turns = TurnsPool(self.shares, self.read_now, threads=threads, each=each, is_near=self.is_sqlite)

    def _migrate(self, conn: Connection) -> None:
        if migrations.is_current(conn):
            return
        # of several processes that start at once one does it
        locks.hold(conn, "migrations")
        migrations.apply(conn, self._clock.now())

    def _open_sqlite(self) -> None:
        if not self.url.database or self.url.database == ":memory:":
            raise ValueError("the store needs a file: several connections share it")
        path = Path(self.url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        # clients' names and numbers are nobody else's on this machine; what SQLite keeps beside it has the same rights
        path.touch(mode=0o600)
        self._write_engine = _sqlite_engine(self.url, PRAGMAS)
        self._read_engine = _sqlite_engine(self.url, (*PRAGMAS, "PRAGMA query_only = ON"))
        opened: Future[None] = Future()
        self._writer = threading.Thread(target=self._write_forever, args=(opened,), name="hub-writer", daemon=True)
        self._writer.start()
        opened.result()
        self._copier.start()

    def close(self) -> None:
        """Finish what was queued, then release everything; may be called twice."""
        if self._writer is not None:
            self._group.close()
            self._writer.join()
            self._writer = None
            self._copier.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
        if self._turns is not None:
            self._turns.close()
            self._turns = None
        with self._guard:
            for conn in self._reader_connections:
                conn.close()
            self._reader_connections.clear()
            self._local = threading.local()
        for engine in (self._write_engine, self._read_engine):
            if engine is not None:
                engine.dispose()
        self._write_engine = self._read_engine = None
        if self._postgres is not None:
            self._postgres.close()
            self._postgres = None

    def __enter__(self) -> Store:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- writing ------------------------------------------------------------------------------------------------

    async def write(self, fn: Callable[[Connection], T], *, is_one: bool = False) -> T:
        """What ``fn`` returns, after its writes are durable; raises what ``fn`` raises, nothing of it kept.

        ``is_one``: it runs one statement and nothing that could fail after it, so that there is nothing to take back
        (a savepoint costs a webhook as much as its row does). Cancelling the wait does not take the write back.
        """
        loop = asyncio.get_running_loop()
        if self.tenure is not None:
            return await self.tenure.write(fn)
        if not self.is_sqlite:
            return await loop.run_in_executor(self._opened(), partial(self._write_in_thread, fn, is_short=True))
        self._opened()
        future: asyncio.Future[T] = loop.create_future()
        owner = whose()
        self._group.put(PendingWrite(fn, loop, future, owner=owner, is_one=is_one))
        return await self.shares.serve(owner, future)

    def write_now(self, fn: Callable[[Connection], T]) -> T:
        """`write` for threads and commands that have no event loop: blocks until durable."""
        self._opened()
        if self.tenure is not None:
            return self.tenure.write_now(fn)
        if not self.is_sqlite:
            return self._write_in_thread(fn)
        future: Future[T] = Future()
        self._group.put(PendingWrite(fn, None, future, owner=whose()))
        return future.result()

    def _write_in_thread(self, fn: Callable[[Connection], T], *, is_short: bool = False) -> T:
        assert self._postgres is not None
        return self._postgres.write(fn, is_short=is_short)

    def _write_forever(self, opened: Future[None]) -> None:
        assert self._write_engine is not None
        try:
            conn = self._write_engine.connect()
            driver = driver_connection(conn)
            assert driver is not None
            driver.execute("BEGIN IMMEDIATE")
            try:
                self._prepare(conn, self._clock.now())
            except BaseException:
                driver.execute("ROLLBACK")
                raise
            driver.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 — handed to the thread that opens the store
            opened.set_exception(error)
            return
        opened.set_result(None)
        self._group.run(conn, driver)
        conn.close()

    # --- reading ------------------------------------------------------------------------------------------------

    async def read(self, fn: Callable[[Connection], T], *, is_short: bool = False) -> T:
        """What ``fn`` reads from one consistent state, in a thread; a write in ``fn`` raises.

        Of background work (`hub.store.turns`) one read of each project runs at a time, and none before a request's.
        ``is_short``: it takes a fraction of a millisecond, however much the database holds. On SQLite it then runs
        where it is called: a thread would cost more, and in a busy hub a wait for the interpreter at either end (H8).
        """
        if is_short and self.is_sqlite:
            return self.read_now(fn)
        owner = whose()
        if owner is not None and self._turns is not None:
            return await self._turns.run(owner, fn)
        return await asyncio.get_running_loop().run_in_executor(self._opened(), self.read_now, fn)

    def read_now(self, fn: Callable[[Connection], T]) -> T:
        """`read` on the calling thread, with a connection of its own: for look-ups of microseconds, and commands."""
        if not self.is_sqlite:
            self._opened()
            assert self._postgres is not None
            return self._postgres.read(fn)
        conn, driver = self._reader()
        driver.execute("BEGIN")
        try:
            return fn(conn)
        finally:
            if driver.in_transaction:
                driver.execute("ROLLBACK")

    def _reader(self) -> tuple[Connection, sqlite3.Connection]:
        found: tuple[Connection, sqlite3.Connection] | None = getattr(self._local, "reader", None)
        if found is None:
            self._opened()
            assert self._read_engine is not None
            conn = self._read_engine.connect()
            driver = driver_connection(conn)
            assert driver is not None
            found = self._local.reader = (conn, driver)
            with self._guard:
                self._reader_connections.append(conn)
        return found

    @contextlib.asynccontextmanager
    async def locked(self, *words: str) -> AsyncIterator[None]:
        """Be the only process that holds ``words``, for longer than a transaction; on SQLite it is the only one.

        On PostgreSQL it takes a connection of its own. Raises what the driver raises, TimeoutError after a minute.
        """
        if self._postgres is None:
            yield
            return
        async with self._postgres.locked(*words):
            yield

    async def data_version(self) -> int:
        """A number that changes when another process has committed (`hub replay`, `policy import`).

        On SQLite our own commits do not change it; on PostgreSQL any commit does.
        """
        if self.is_sqlite:
            # asked on the writer's own connection: the pragma counts the commits of all others
            return await self.write(lambda conn: int(conn.exec_driver_sql("PRAGMA data_version").scalar_one()))
        return await self.read(
            lambda conn: int(
                conn.exec_driver_sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").scalar_one()
            )
        )

    def _opened(self) -> ThreadPoolExecutor:
        if self._pool is None:
            raise RuntimeError("the store is not open")
        return self._pool


def open_store(url: str | URL, *, clock: Clock | None = None) -> Store:
    """A `Store` that is open."""
    store = Store(url, clock=clock)
    store.open()
    return store


def _connect(url: URL, size: int) -> Postgres:
    # only here: a hub on SQLite needs no driver of PostgreSQL, and starts sooner without one
    try:
        from hub.store.postgres import Postgres
    except ImportError as err:
        raise ConfigurationError(
            "the driver of PostgreSQL is missing: install crm-hub[postgres]", path="HUB_DATABASE_URL"
        ) from err
    return Postgres(url, size)


def _sqlite_engine(url: URL, pragmas: tuple[str, ...]) -> Engine:
    # AUTOCOMMIT: the driver must not begin transactions by itself; `Store` says BEGIN and COMMIT
    engine = sqlalchemy.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=sqlalchemy.NullPool,
        connect_args={"check_same_thread": False, "cached_statements": 512, "timeout": BUSY_TIMEOUT / 1000},
    )

    @event.listens_for(engine, "connect")
    def prepare(driver: sqlite3.Connection, _: object) -> None:
        for pragma in pragmas:
            driver.execute(pragma).close()

    return engine
