"""The writer thread, its shared commits, the readers (H3, H9)."""

from __future__ import annotations

import asyncio
import stat
import threading
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError

from hub.store import directory_file, schema
from hub.store.engine import Store, driver_connection, sqlite_url
from tests.postgres import on_postgres, on_sqlite


def add_project(conn: Connection, name: str, now: datetime) -> str:
    conn.execute(insert(schema.project).values(name=name, created_at=now))
    return name


def names(conn: Connection) -> list[str]:
    return sorted(conn.execute(select(schema.project.c.name)).scalars())


@on_sqlite
@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 15_000)],
)
async def test_pragmas_are_what_durability_needs(store: Store, pragma: str, value: object) -> None:
    """H3: an accepted webhook survives a power loss (synchronous 2 is FULL)."""
    assert await store.write(lambda conn: conn.exec_driver_sql(f"PRAGMA {pragma}").scalar_one()) == value


@on_sqlite
def test_nobody_else_on_the_machine_reads_what_is_kept(store: Store, now: datetime, tmp_path: Path) -> None:
    """H8: clients' names and numbers; the files that SQLite keeps beside have the same rights."""
    store.write_now(lambda conn: add_project(conn, "crm", now))
    directory_file.connect(tmp_path / "directory.db").close()
    files = [*Path(store.url.database or "").parent.glob("*.db*"), *tmp_path.glob("directory.db*")]
    assert len(files) >= 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@on_postgres
async def test_a_commit_waits_for_the_disk_whatever_the_server_says(store: Store) -> None:
    """H3: the tests' server is told not to wait by default."""
    assert await store.write(lambda conn: conn.exec_driver_sql("SHOW synchronous_commit").scalar_one()) == "on"


async def test_a_reader_cannot_write(store: Store, now: datetime) -> None:
    with pytest.raises(DBAPIError, match=r"read-?only"):
        await store.read(lambda conn: add_project(conn, "crm", now))
    assert await store.read(names) == []


async def test_a_hundred_tasks_write_at_once_and_all_is_kept(store: Store, now: datetime) -> None:
    await asyncio.gather(*(store.write(lambda conn, n=n: add_project(conn, f"p{n:03}", now)) for n in range(100)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert await store.read(names) == [f"p{n:03}" for n in range(100)]


@on_sqlite
async def test_waiting_writes_share_one_commit(store: Store, now: datetime) -> None:
    """Group commit: what queued up while the writer was busy is one transaction."""
    gate, began = threading.Event(), threading.Event()
    commits: list[int] = []

    def block(conn: Connection) -> None:
        began.set()
        gate.wait(5)

    def write(number: int) -> None:
        def fn(conn: Connection) -> str:
            driver = driver_connection(conn)
            assert driver is not None
            commits.append(driver.execute("PRAGMA data_version").fetchone()[0])
            if number == 0:
                driver.set_trace_callback(lambda text: seen.append(text) if text == "COMMIT" else None)
            return add_project(conn, f"p{number}", now)

        waiting.append(asyncio.ensure_future(store.write(fn)))

    seen: list[str] = []
    waiting: list[asyncio.Future[str]] = []
    blocker = asyncio.ensure_future(store.write(block))
    await asyncio.to_thread(began.wait, 5)
    for number in range(20):
        write(number)
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(blocker, *waiting)
    assert seen == ["COMMIT"]
    assert len(await store.read(names)) == 20


async def test_a_write_that_raises_loses_none_of_its_neighbours(store: Store, now: datetime) -> None:
    def bad(conn: Connection) -> str:
        add_project(conn, "half", now)
        raise RuntimeError("on purpose")

    def one(number: int) -> asyncio.Future[str]:
        fn = bad if number % 7 == 3 else lambda conn: add_project(conn, f"p{number:02}", now)
        return asyncio.ensure_future(store.write(fn))

    results = await asyncio.gather(*(one(number) for number in range(40)), return_exceptions=True)
    failed = [number for number, result in enumerate(results) if isinstance(result, RuntimeError)]
    assert failed == [number for number in range(40) if number % 7 == 3]
    assert await store.read(names) == [f"p{number:02}" for number in range(40) if number % 7 != 3]


async def test_single_statements_among_others_fail_alone_and_leave_nothing(store: Store, now: datetime) -> None:
    """H3: a webhook's row needs no savepoint, whoever fails before or after it in the same commit."""

    def half(conn: Connection) -> str:
        add_project(conn, "half", now)
        raise RuntimeError("on purpose")

    def one(number: int) -> asyncio.Future[str]:
        if number % 5 == 4:
            return asyncio.ensure_future(store.write(half))
        # every third name was there before
        name = "p00" if number % 3 == 2 else f"p{number:02}"
        return asyncio.ensure_future(store.write(lambda conn: add_project(conn, name, now), is_one=True))

    results = await asyncio.gather(*(one(number) for number in range(40)), return_exceptions=True)
    told = sorted(result for result in results if isinstance(result, str))
    assert told == [f"p{number:02}" for number in range(40) if number % 5 != 4 and number % 3 != 2]
    assert await store.read(names) == told


async def test_a_lone_write_that_raises_leaves_nothing(store: Store, now: datetime) -> None:
    await store.write(lambda conn: add_project(conn, "a", now))
    with pytest.raises(IntegrityError):
        await store.write(lambda conn: (add_project(conn, "b", now), add_project(conn, "a", now)))
    assert await store.read(names) == ["a"]
    assert await store.write(lambda conn: add_project(conn, "c", now)) == "c"


@on_sqlite
async def test_a_write_that_ends_the_transaction_fails_its_group_and_not_the_writer(
    store: Store, now: datetime
) -> None:
    """A full disk rolls everything back; whoever was told nothing yet hears of it, later writes go on."""

    def disk_full(conn: Connection) -> None:
        driver = driver_connection(conn)
        assert driver is not None
        driver.execute("ROLLBACK")
        raise OSError("no space left")

    gate = threading.Event()
    blocker = asyncio.ensure_future(store.write(lambda conn: gate.wait(5)))
    first = asyncio.ensure_future(store.write(lambda conn: add_project(conn, "first", now)))
    second = asyncio.ensure_future(store.write(disk_full))
    third = asyncio.ensure_future(store.write(lambda conn: add_project(conn, "third", now)))
    await asyncio.sleep(0)
    gate.set()
    results = await asyncio.gather(blocker, first, second, third, return_exceptions=True)
    kept = await store.read(names)
    told = [name for name, result in zip(["first", "third"], (results[1], results[3]), strict=True) if result == name]
    assert isinstance(results[2], OSError)
    assert told == kept
    assert await store.write(lambda conn: add_project(conn, "later", now)) == "later"


async def test_a_write_is_seen_by_the_very_next_read(store: Store, now: datetime) -> None:
    for number in range(20):
        await store.write(lambda conn, n=number: add_project(conn, f"p{n:02}", now))  # type: ignore[misc]  # lambda with a default
        assert f"p{number:02}" in store.read_now(names)


def test_write_now_works_without_a_loop(store: Store, now: datetime) -> None:
    assert store.write_now(lambda conn: add_project(conn, "a", now)) == "a"
    with pytest.raises(IntegrityError):
        store.write_now(lambda conn: add_project(conn, "a", now))
    assert store.read_now(names) == ["a"]


@on_postgres
async def test_data_version_changes_with_every_commit(store: Store, now: datetime) -> None:
    before = await store.data_version()
    assert await store.data_version() == before
    await store.write(lambda conn: add_project(conn, "own", now))
    assert await store.data_version() != before


@on_sqlite
async def test_data_version_changes_with_other_processes_only(store: Store, now: datetime, database_url: str) -> None:
    before = await store.data_version()
    await store.write(lambda conn: add_project(conn, "own", now))
    assert await store.data_version() == before
    with Store(database_url) as other:
        other.write_now(lambda conn: add_project(conn, "other", now))
    assert await store.data_version() != before


async def test_close_finishes_what_was_queued(database_url: str, now: datetime) -> None:
    store = Store(database_url)
    store.open()
    waiting = [asyncio.ensure_future(store.write(lambda conn: add_project(conn, "a", now)))]
    await asyncio.sleep(0)
    store.close()
    assert await waiting[0] == "a"
    with pytest.raises(RuntimeError, match="not open"):
        await store.write(names)
    with Store(database_url) as again:
        assert again.read_now(names) == ["a"]


def test_a_database_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(b"this is not a database, it is a letter " * 50)
    store = Store(sqlite_url(path))
    with pytest.raises(DatabaseError, match="not a database"):
        store.open()
    store.close()
