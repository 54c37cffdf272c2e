"""What waits for the store is done in the projects' turns, and after what somebody waits for (H8)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from hub.clock import FakeClock
from hub.store.engine import Store, sqlite_url
from hub.store.group import GroupWriter
from hub.store.pending import PendingWrite
from hub.store.turns import Shares, Turns, on_behalf_of
from hub.store.turns_pool import TurnsPool
from tests.store.conftest import NOW


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(sqlite_url(tmp_path / "hub.db"), clock=FakeClock(NOW))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.001, 0.02)), min_size=1, max_size=60))
def test_whose_turn_it_is_has_used_least(charges: list[tuple[str, float]]) -> None:
    """Whatever was charged before, the next slice is that of the least, and of a project its oldest."""
    shares = Shares(lambda: 0.0)
    waiting: Turns[tuple[str, int]] = Turns(lambda item: item[0], shares)
    for number, (owner, _) in enumerate(charges):
        waiting.append((owner, number))
    for owner, seconds in charges:
        shares.charge(owner, seconds)
    while waiting:
        least = min(shares.used(owner) for owner in waiting.owners)
        left = sorted(waiting.owners)
        owner, number = waiting.popleft()
        assert shares.used(owner) == least
        assert owner in left
        shares.charge(owner, 0.005)


def test_what_was_used_long_ago_counts_no_more() -> None:
    """A project that was busy for a minute is a newcomer again after a while, and nothing grows without end."""
    now = 0.0
    shares = Shares(lambda: now)
    for second in range(1, 61):
        now = float(second)
        shares.charge("busy", 0.9)
    now += 1.0
    shares.charge("shop", 0.9)
    assert shares.used("busy") < 2 * shares.used("shop")
    now += 1.0
    shares.charge("shop", 0.5)
    assert shares.used("busy") < shares.used("shop")
    now += 10_000
    shares.charge("late", 0.001)
    assert shares.used("late") > shares.used("busy") + shares.used("shop")
    assert shares.used("late") < 1


async def test_who_waits_for_an_answer_goes_first_and_the_quiet_project_next(store: Store) -> None:
    """500 writes of a flood are queued; a webhook is committed with the next, a shop's write right behind."""
    order: list[str] = []
    begun, may_go = threading.Event(), threading.Event()

    def holding(_: Connection) -> None:
        begun.set()
        may_go.wait(10)

    def note(word: str, conn: Connection) -> None:
        conn.execute(text("SELECT 1"))
        order.append(word)

    with store:
        with on_behalf_of("flood"):
            store.shares.charge("flood", 0.1)
            first = asyncio.create_task(store.write(holding))
            await asyncio.to_thread(begun.wait, 10)
            flood = [
                asyncio.create_task(store.write(lambda conn, number=number: note(f"flood {number}", conn)))  # type: ignore[misc]
                for number in range(500)
            ]
            await asyncio.sleep(0)
        with on_behalf_of("shop"):
            shop = asyncio.create_task(store.write(lambda conn: note("shop", conn)))
            await asyncio.sleep(0)
        request = asyncio.create_task(store.write(lambda conn: note("request", conn)))
        await asyncio.sleep(0)
        may_go.set()
        await asyncio.gather(first, shop, request, *flood)
    assert order[:2] == ["request", "shop"] or order[:3] == ["request", "flood 0", "shop"]
    assert [word for word in order if word.startswith("flood")] == [f"flood {number}" for number in range(500)]


async def test_a_flood_of_requests_lets_the_background_go_on(tmp_path: Path) -> None:
    """However many webhooks come, each commit takes along something of what waits behind them."""
    order: list[str] = []
    with Store(sqlite_url(tmp_path / "hub.db")) as store:
        writer = GroupWriter(Shares(lambda: 0.0), store._copier)
        requests = [PendingWrite(lambda _, n=n: order.append(f"request {n}"), None, Future()) for n in range(600)]  # type: ignore[misc]
        behind = [
            PendingWrite(lambda _, n=n: order.append(f"behind {n}"), None, Future(), owner="shop")  # type: ignore[misc]
            for n in range(3)
        ]
        for job in (*behind, *requests):
            writer.put(job)
        writer.close()
        assert store._write_engine is not None
        with store._write_engine.connect() as conn:
            driver = conn.connection.dbapi_connection
            writer.run(conn, driver)  # type: ignore[arg-type]
    assert all(job.future.done() for job in (*requests, *behind))
    # 600 requests are three commits, and each has one of the others
    assert order.index("behind 0") < order.index("behind 1") < order.index("behind 2") < len(order)
    assert order.index("behind 0") <= writer.LIMIT < 600


def test_who_waits_for_an_answer_waits_for_one_function_of_the_background(tmp_path: Path) -> None:
    """The rest of what nobody waits for has commits of its own, in which functions share what a commit costs (H8)."""
    order: list[str] = []
    with Store(sqlite_url(tmp_path / "hub.db")) as store:
        writer = GroupWriter(Shares(lambda: 0.0), store._copier)
        writer.put(PendingWrite(lambda _: order.append("request"), None, Future()))
        for n in range(3):
            writer.put(PendingWrite(lambda _, n=n: order.append(f"behind {n}"), None, Future(), owner="shop"))  # type: ignore[misc]
        writer.close()
        assert store._write_engine is not None
        with store._write_engine.connect() as conn:
            driver = conn.connection.dbapi_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.set_trace_callback(lambda said: order.append(said) if said == "COMMIT" else None)
            writer.run(conn, driver)
    assert order[:3] == ["request", "behind 0", "COMMIT"]
    assert order[-1] == "COMMIT"
    assert [word for word in order if word != "COMMIT"] == ["request", "behind 0", "behind 1", "behind 2"]


async def test_a_short_read_of_sqlite_waits_for_no_thread(store: Store) -> None:
    """It is read where it is asked for, and a write in it is refused as in any read."""
    with store, on_behalf_of("shop"):
        reading = store.read(lambda _: threading.current_thread(), is_short=True)
        with pytest.raises(StopIteration) as ended:
            reading.send(None)
        assert ended.value.value is threading.current_thread()
        with pytest.raises(OperationalError, match="readonly"):
            await store.read(lambda conn: conn.execute(text("DELETE FROM project")), is_short=True)
        assert await store.read(lambda conn: conn.execute(text("SELECT 1")).scalar_one(), is_short=True) == 1


async def test_who_uses_little_does_not_wait_for_a_flood_in_the_same_commit(store: Store) -> None:
    """What the flood still wants goes into the next one, so that a quiet project hears of its own first (H8)."""
    begun, may_go = threading.Event(), threading.Event()
    heard: list[str] = []

    def holding(_: Connection) -> None:
        begun.set()
        may_go.wait(10)

    async def write(word: str) -> None:
        await store.write(lambda conn: conn.execute(text("SELECT 1")))
        heard.append(word)

    with store:
        store.shares.charge("flood", 0.5)
        with on_behalf_of("flood"):
            first = asyncio.create_task(store.write(holding))
            await asyncio.to_thread(begun.wait, 10)
            flood = [asyncio.create_task(write("flood")) for _ in range(20)]
        with on_behalf_of("shop"):
            shop = asyncio.create_task(write("shop"))
        await asyncio.sleep(0)
        may_go.set()
        await asyncio.gather(first, shop, *flood)
    assert heard == ["shop", *["flood"] * 20]


async def test_of_a_project_one_read_runs_at_a_time_and_a_long_one_holds_up_nobody_else() -> None:
    shares = Shares(lambda: 0.0)
    pool = TurnsPool(shares, lambda fn: fn(None), threads=3)
    may_end, running = threading.Event(), []

    def long(_: object) -> str:
        running.append("flood")
        may_end.wait(10)
        return "long"

    try:
        flood = [asyncio.create_task(pool.run("flood", long)) for _ in range(5)]
        await asyncio.sleep(0)
        # the other threads are free for others
        assert await asyncio.wait_for(pool.run("shop", lambda _: "shop"), 10) == "shop"
        assert await asyncio.wait_for(pool.run("bank", lambda _: "bank"), 10) == "bank"
        assert running == ["flood"]
        may_end.set()
        assert await asyncio.gather(*flood) == ["long"] * 5
        with pytest.raises(ZeroDivisionError):
            await pool.run("shop", lambda _: 1 // 0)
    finally:
        may_end.set()
        await asyncio.to_thread(pool.close)
    with pytest.raises(RuntimeError):
        await pool.run("shop", lambda _: "closed")
