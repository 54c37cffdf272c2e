"""The window of one vendor limit that several processes share: in a file beside SQLite, in PostgreSQL (DESIGN 4).

A process that asks a vendor takes a place here besides its own pacer's, and gives it back when the answer has come.
The places of a process that dies are free again after one window, like all others. Nothing of this has to survive
anything: where it cannot be asked, each process keeps the pace for itself.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.clock import Clock

__all__ = ["FilePace", "PostgresPace"]

log = logging.getLogger(__name__)

_FILE_TABLES = """
CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY, scope TEXT NOT NULL, free_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS place_scope ON place (scope, free_at);
CREATE TABLE IF NOT EXISTS pause (scope TEXT PRIMARY KEY, until REAL NOT NULL);
"""


class FilePace:
    """Shared by the processes of one machine: the hub, and the commands that people run beside it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._driver: sqlite3.Connection | None = None
        self._is_away = False

    def close(self) -> None:
        """Release the file; may be called twice."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    async def take(self, scope: str, most: int, hold: float) -> tuple[int, float]:
        """A place for ``hold`` seconds, as (its number, 0); or (0, seconds to wait) while ``most`` are taken."""

        def take(driver: sqlite3.Connection) -> tuple[int, float]:
            # all processes of the machine share this clock
            now = self._clock.monotonic()
            paused = driver.execute("SELECT until FROM pause WHERE scope = ?", (scope,)).fetchone()
            # a pause of before the machine started says nothing
            if paused is not None and now < paused[0] < now + 120:
                return 0, paused[0] - now
            driver.execute("DELETE FROM place WHERE free_at <= ? OR free_at > ?", (now, now + 120))
            taken, first = driver.execute(
                "SELECT count(*), min(free_at) FROM place WHERE scope = ?", (scope,)
            ).fetchone()
            if taken >= most:
                return 0, max(0.001, first - now)
            cursor = driver.execute("INSERT INTO place (scope, free_at) VALUES (?, ?)", (scope, now + hold))
            return cursor.lastrowid or 0, 0.0

        found: tuple[int, float] = self._do(take, (0, 0.0))
        return found

    async def give(self, place: int, hold: float) -> None:
        """The place is free again in ``hold`` seconds."""
        free_at = self._clock.monotonic() + hold
        self._do(
            lambda driver: driver.execute("UPDATE place SET free_at = min(free_at, ?) WHERE id = ?", (free_at, place)),
            None,
        )

    async def pause(self, scope: str, seconds: float) -> None:
        """Nobody gets a place for so long."""
        until = self._clock.monotonic() + seconds
        self._do(
            lambda driver: driver.execute(
                "INSERT INTO pause VALUES (?1, ?2) ON CONFLICT DO UPDATE SET until = max(until, ?2)", (scope, until)
            ),
            None,
        )

    def _do(self, fn: Callable[[sqlite3.Connection], Any], otherwise: Any) -> Any:
        """Run ``fn`` in a transaction: tens of microseconds, and milliseconds where another process is at it."""
        try:
            driver = self._opened()
            driver.execute("BEGIN IMMEDIATE")
            try:
                return fn(driver)
            finally:
                driver.execute("COMMIT")
        except sqlite3.Error as error:
            if not self._is_away:
                log.warning("the pace is not shared: %s", error, extra={"action": "pace.alone"})
            self._is_away = True
            return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._driver is None:
            driver = sqlite3.connect(self._path, isolation_level=None, timeout=0.5, check_same_thread=False)
            for pragma in ("journal_mode = WAL", "synchronous = OFF"):
                driver.execute(f"PRAGMA {pragma}").close()
            driver.executescript(_FILE_TABLES)
            self._driver = driver
        return self._driver


class PostgresPace:
    """Shared by all processes on all machines; the clock is the server's."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._conn: Any = None
        self._lock = asyncio.Lock()
        #: a command may have several loops, one after the other
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_away = self._is_closed = False

    def close(self) -> None:
        """Release the connection and share nothing any more; may be called twice."""
        self._is_closed = True
        self._let_go()

    def _let_go(self) -> None:
        if self._conn is not None:
            self._conn.pgconn.finish()
            self._conn = None

    async def take(self, scope: str, most: int, hold: float) -> tuple[int, float]:
        """A place for ``hold`` seconds, as (its number, 0); or (0, seconds to wait) while ``most`` are taken."""
        found = await self._do("SELECT place, wait FROM hub_take_place(%s, %s, %s)", (scope, most, hold))
        return (0, 0.0) if found is None else (int(found[0]), float(found[1]))

    async def give(self, place: int, hold: float) -> None:
        """The place is free again in ``hold`` seconds."""
        await self._do(
            "UPDATE hub_place SET free_at = least(free_at, clock_timestamp() + %s * interval '1 s') WHERE id = %s"
            " RETURNING id, 0",
            (hold, place),
        )

    async def pause(self, scope: str, seconds: float) -> None:
        """Nobody gets a place for so long."""
        await self._do(
            "INSERT INTO hub_pace AS known VALUES (%s, clock_timestamp() + %s * interval '1 s')"
            " ON CONFLICT (scope) DO UPDATE SET paused_until = greatest(known.paused_until, excluded.paused_until)"
            " RETURNING 0, 0",
            (scope, seconds),
        )

    async def _do(self, statement: str, values: tuple[Any, ...]) -> Any:
        import psycopg

        if self._loop is not asyncio.get_running_loop():
            self._let_go()
            self._loop, self._lock = asyncio.get_running_loop(), asyncio.Lock()
        async with self._lock:
            if self._is_closed:
                return None
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = await psycopg.AsyncConnection.connect(
                        self._conninfo, autocommit=True, connect_timeout=2, application_name="hub pace"
                    )
                    if self._is_closed:
                        self._let_go()
                        return None
                found = await (await self._conn.execute(statement, values)).fetchone()
            except (psycopg.Error, OSError) as error:
                is_closed = self._conn is None
                if not self._is_away and not is_closed:
                    log.warning("the pace is not shared: %s", error, extra={"action": "pace.alone"})
                self._is_away = True
                return None
            self._is_away = False
            return found
