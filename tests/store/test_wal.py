"""SQLite's log is copied beside the writer, and begins anew before commits have to wait for that (H3)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hub.store.engine import Store, sqlite_url
from hub.store.wal import AT_MOST, LogCopier

PAGE = 4096


def log_of(path: Path) -> tuple[bytes, int]:
    """By what the log is told from the one before it, and how many pages it has taken."""
    file = path.with_name(path.name + "-wal")
    with file.open("rb") as opened:
        head = opened.read(32)
    return head[16:24], file.stat().st_size // PAGE


def put(conn: Connection) -> None:
    conn.exec_driver_sql("INSERT INTO kept VALUES (zeroblob(6000))")


def count(conn: Connection) -> int:
    return int(conn.exec_driver_sql("SELECT count(*) FROM kept").scalar_one())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
def store(path: Path) -> Store:
    return Store(sqlite_url(path), prepare=lambda conn, _: conn.exec_driver_sql("CREATE TABLE IF NOT EXISTS kept (it)"))


def test_log_begins_anew_long_before_a_commit_would_copy_it(store: Store, path: Path) -> None:
    with store:
        store.write_now(put)
        first, _ = log_of(path)
        written, until = 1, time.monotonic() + 20
        while log_of(path)[0] == first:
            assert time.monotonic() < until
            store.write_now(put)
            written += 1
        assert written >= LogCopier.EVERY
        assert log_of(path)[1] < AT_MOST / 2
        assert store.read_now(count) == written
    with store.__class__(store.url, prepare=lambda *_: None) as again:
        assert again.read_now(count) == written


async def test_who_reads_an_old_state_stops_no_write_and_still_reads_it(store: Store, path: Path) -> None:
    with store:
        store.write_now(put)
        conn, driver = store._reader()
        driver.execute("BEGIN")
        assert count(conn) == 1
        await asyncio.gather(*(store.write(put) for _ in range(LogCopier.EVERY * 2)))
        assert count(conn) == 1
        first, _ = log_of(path)
        driver.execute("ROLLBACK")
        until = time.monotonic() + 20
        while log_of(path)[0] == first:
            assert time.monotonic() < until
            await store.write(put)
        assert await store.read(count) > LogCopier.EVERY * 2


def test_who_is_waited_for_copies_nothing(store: Store, path: Path) -> None:
    with store:
        driver = store._reader()[1]
        said: list[str] = []
        driver.set_trace_callback(said.append)
        copier = LogCopier(lambda: driver)
        copier._is_nearly_done = True
        copier.written(driver, 1, is_awaited=True)
        assert said == []
        copier.written(driver, 1, is_awaited=False)
        copier.written(driver, 1, is_awaited=False)
        assert said == ["PRAGMA wal_checkpoint(PASSIVE)"]
        driver.set_trace_callback(None)
