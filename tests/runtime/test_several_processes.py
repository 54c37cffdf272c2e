"""What several processes on one PostgreSQL share: the right to write, wake-ups (H9, H3)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from hub.clock import FakeClock, SystemClock
from hub.compose import Hub
from hub.core.interaction import ClientId
from hub.engine.procrastinate_lanes import ProcrastinateLanes, prepare_queue
from hub.errors import LeaseLost
from hub.ports import RawRequest
from hub.settings import Settings
from hub.store import cluster, events, inbox, policies, projects
from hub.store.bell import Bell
from hub.store.engine import Store
from hub.store.locks import hold_arrivals, key_of
from hub.store.tenure import Tenure
from hub.store.turns import Shares, on_behalf_of
from hub.store.work import Lane
from tests.postgres import Server

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with Store(postgres_url, clock=FakeClock(NOW)) as opened:
        opened.write_now(cluster.prepare)
        yield opened


async def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - another thread or process does the work
            await asyncio.sleep(0.03)


# --- the right to write -------------------------------------------------------------------------------------------


async def test_who_loses_the_connection_loses_the_lock_and_the_means_to_write(
    store: Store, postgres_server: Server
) -> None:
    """H9: of two workers one owns a project; it is cut off, and from the same moment it can write nothing."""
    lost = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        loop.call_soon_threadsafe(lost.set)

    first = Tenure(store.url, SystemClock(), role="worker", host="a", lost=tell)
    second = Tenure(store.url, SystemClock(), role="worker", host="b")
    first.open()
    second.open()
    assert await first.take("project", "auto")
    assert not await second.take("project", "auto")
    await first.write(lambda conn: append(conn, 1))
    with contextlib.closing(postgres_server.connect(store.url.database or "")) as conn:
        conn.execute("SELECT pg_terminate_backend(backend) FROM hub_process WHERE id = %s", (first.id,))
    with pytest.raises(LeaseLost):
        await first.write(lambda conn: append(conn, 2))
    async with asyncio.timeout(10):
        await lost.wait()
    assert first.is_over
    with pytest.raises(LeaseLost):
        first.assert_fresh()
    assert await second.take("project", "auto")
    await second.write(lambda conn: append(conn, 3))
    assert [event.body for event in store.read_now(lambda conn: events.read_after(conn, 0))] == [
        {"n": 1},
        {"n": 3},
    ]
    first.close()
    second.close()


async def test_a_silent_worker_may_not_ask_and_is_cut_off_by_the_others(store: Store) -> None:
    """H9, X5: by its own clock before the others act by the server's."""
    clock = FakeClock(NOW)
    silent = Tenure(store.url, clock, role="worker", host="a", stalled=timedelta(seconds=8))
    silent.open()
    silent.assert_fresh()
    clock.advance(timedelta(seconds=7))
    with pytest.raises(LeaseLost):
        silent.assert_fresh()
    store.write_now(lambda conn: conn.execute(text("UPDATE hub_process SET beat_at = beat_at - interval '9 s'")))
    assert store.write_now(lambda conn: cluster.cut_off_stalled(conn, timedelta(seconds=8))) == 1
    assert store.read_now(lambda conn: cluster.peers(conn, timedelta(seconds=8))) == []
    with pytest.raises(LeaseLost):
        await silent.write(lambda conn: append(conn, 1))
    silent.close()


async def test_a_lock_taken_in_a_commit_that_failed_is_free_for_others(store: Store) -> None:
    """H9: PostgreSQL keeps such a lock, and counts one taken twice; a project nobody knows to have is nobody's work."""
    first = Tenure(store.url, SystemClock(), role="worker", host="a")
    second = Tenure(store.url, SystemClock(), role="worker", host="b")
    first.open()
    second.open()

    def fails_at_commit(conn: Connection) -> None:
        conn.execute(text("CREATE TEMPORARY TABLE late (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        conn.execute(text("INSERT INTO late VALUES (1), (1)"))

    held = asyncio.Event()

    loop = asyncio.get_running_loop()

    def hold(conn: Connection) -> None:
        # what is asked meanwhile comes into one transaction
        loop.call_soon_threadsafe(held.set)
        conn.execute(text("SELECT pg_sleep(0.5)"))

    holding = asyncio.create_task(first.write(hold))
    await held.wait()
    results = await asyncio.gather(first.take("project", "auto"), first.write(fails_at_commit), return_exceptions=True)
    await holding
    assert all(isinstance(result, Exception) for result in results)
    await first.write(lambda _: None)
    assert await second.take("project", "auto")
    assert not await first.take("project", "auto")
    await second.give("project", "auto")
    for _ in range(2):
        assert await first.take("project", "auto")
    await first.give("project", "auto")
    assert await second.take("project", "auto")
    first.close()
    second.close()


async def test_work_that_fails_while_it_is_being_ended_ends(tmp_path: Path) -> None:
    """H9: a worker that goes on after a minute gives its accounts up, although their feeds fail in the same moment."""
    began = asyncio.Event()
    wakes = asyncio.Event()

    async def fails() -> None:
        await wakes.wait()
        raise LeaseLost("another worker has it by now")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            began.set()
            await asyncio.Event().wait()

    hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
    kept = hub._keep(work, "feed")
    await began.wait()
    wakes.set()
    # the failure is on its way, and has not arrived
    await asyncio.sleep(0)
    kept.cancel()
    async with asyncio.timeout(60):
        await asyncio.gather(kept, return_exceptions=True)
    assert kept.cancelled()
    hub.services.close()


async def test_one_that_fails_leaves_its_neighbours_of_the_same_commit_alone(store: Store) -> None:
    """H4: writes share a commit; what one of them raises reaches its own caller only."""
    tenure = Tenure(store.url, SystemClock(), role="worker", host="a")
    tenure.open()

    def breaks(conn: Connection) -> None:
        append(conn, 99)
        conn.execute(text("SELECT nonsense"))

    results = await asyncio.gather(
        *(tenure.write(breaks if n == 5 else lambda conn, n=n: append(conn, n)) for n in range(10)),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [n for n, result in enumerate(results) if isinstance(result, Exception)] == [5]
    found = [event.body["n"] for event in store.read_now(lambda conn: events.read_after(conn, 0))]
    assert found == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    tenure.close()


async def test_who_has_one_write_is_not_behind_a_floods_in_a_workers_commits(store: Store) -> None:
    """H8: a request's goes first, then that of the project that used little; of one project each in its order."""
    shares = Shares(lambda: 0.0)
    shares.charge("flood", 1.0)
    tenure = Tenure(store.url, SystemClock(), role="worker", host="a", shares=shares)
    tenure.open()
    began, may_end, order = threading.Event(), threading.Event(), list[tuple[str | None, int]]()

    def holds_up(_: Connection) -> None:
        began.set()
        may_end.wait(5)

    def begin(owner: str | None, number: int) -> asyncio.Task[None]:
        with on_behalf_of(owner):
            return asyncio.create_task(tenure.write(lambda _: order.append((owner, number))))

    held = asyncio.create_task(tenure.write(holds_up))
    await asyncio.to_thread(began.wait, 30)
    waiting = [begin("flood", number) for number in range(300)]
    waiting += [begin("shop", 0), begin("shop", 1), begin(None, 0)]
    # each has put what it wants
    await asyncio.sleep(0)
    may_end.set()
    await asyncio.gather(held, *waiting)
    tenure.close()
    assert order == [(None, 0), ("shop", 0), ("shop", 1), *(("flood", number) for number in range(300))]


async def test_writes_that_wait_for_another_process_hardly_hold_their_neighbours_up(
    store: Store, postgres_server: Server
) -> None:
    """H8, H9: a web process was stopped with a lock of one project; the other project's writes go on meanwhile."""
    tenure = Tenure(store.url, SystemClock(), role="worker", host="a")
    tenure.open()
    began, may_end, tried, before = threading.Event(), threading.Event(), list[int](), list[int]()

    def holds_up(_: Connection) -> None:
        began.set()
        may_end.wait(60)

    def wants(conn: Connection, number: int) -> None:
        tried.append(number)
        hold_arrivals(conn, "auto")
        append(conn, number)

    def neighbour(conn: Connection, number: int) -> None:
        append(conn, 100 + number)
        before.append(len(tried))

    def begin(owner: str, run: Callable[[Connection, int], None], number: int) -> asyncio.Task[None]:
        with on_behalf_of(owner):
            return asyncio.create_task(tenure.write(lambda conn: run(conn, number)))

    with contextlib.closing(postgres_server.connect(store.url.database or "")) as stopped:
        stopped.execute("SELECT pg_advisory_lock(%s)", (key_of("transaction", "arrivals", "auto"),))
        holding = asyncio.create_task(tenure.write(holds_up))
        await asyncio.to_thread(began.wait, 60)
        held = [begin("auto", wants, number) for number in range(40)]
        beside = [begin("shop", neighbour, number) for number in range(5)]
        # each has put what it wants
        await asyncio.sleep(0)
        may_end.set()
        await asyncio.gather(holding, *beside)
        assert not any(task.done() for task in held)
        # one before them, it again by itself, one among them; a busy machine makes two groups of them
        assert before[-1] <= 6
        stopped.execute("SELECT pg_advisory_unlock_all()")
        await asyncio.gather(*held)
    found = [event.body["n"] for event in store.read_now(lambda conn: events.read_after(conn, 0))]
    assert found[:5] == [100, 101, 102, 103, 104]
    assert sorted(found[5:]) == list(range(40))
    tenure.close()


def append(conn: Connection, n: int) -> None:
    events.append(conn, project="auto", kind="test", body={"n": n}, now=NOW)


# --- wake-ups -----------------------------------------------------------------------------------------------------


class _Desk:
    """Counts what is wanted of each lane, and what a lane saw when it ran."""

    def __init__(self) -> None:
        self.wanted: Counter[Lane] = Counter()
        self.seen: Counter[Lane] = Counter()
        self.running: set[Lane] = set()
        self.together = 0

    async def advance(self, lane: Lane) -> datetime | None:
        self.together += lane in self.running
        self.running.add(lane)
        seen = self.wanted[lane]
        await asyncio.sleep(0.002)
        self.seen[lane] = seen
        self.running.discard(lane)
        return None


@contextlib.asynccontextmanager
async def lanes_of(store: Store, desk: _Desk) -> AsyncIterator[ProcrastinateLanes]:
    async def give_up(lane: Lane, error: Exception) -> None:
        raise AssertionError(lane) from error

    lanes = ProcrastinateLanes(store, SystemClock(), desk.advance, url=store.url, give_up=give_up)
    running = asyncio.create_task(lanes.run())
    try:
        yield lanes
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_processes_that_begin_at_once_on_an_empty_database_make_one_queue(store: Store) -> None:
    """H9: the first start of a web process and three workers, all of which find nothing there."""
    await asyncio.gather(*(prepare_queue(store) for _ in range(4)))
    assert store.read_now(lambda conn: conn.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar()) == 0


async def test_deferring_twice_inside_traffic_loses_no_accepted_webhook(store: Store) -> None:
    """H3, H9: a wake-up that is "already enqueued" is put beside the intake, never inside it: every row is there."""
    await prepare_queue(store)
    desk = _Desk()
    some = [Lane(client_id=ClientId(f"c{n}"), connection="amocrm", project="auto") for n in range(12)]
    async with lanes_of(store, desk) as own, lanes_of(store, desk) as other:
        own.serve(["auto"])

        async def accept(number: int) -> int:
            request = RawRequest(method="POST", body=b"%d" % number, received_at=NOW)
            row = await store.write(
                lambda conn: inbox.add(conn, project="auto", channel="phone", kind="hook", request=request)
            )
            lane = some[number % len(some)]
            desk.wanted[lane] += 1
            # the same lane from both processes at once
            own.wake(lane)
            other.wake(lane)
            return row

        accepted = await asyncio.gather(*(accept(number) for number in range(120)))
        await until(lambda: desk.seen == desk.wanted)
    assert len(set(accepted)) == 120
    assert store.read_now(inbox.counts) == {inbox.InboxStatus.NEW: 120}
    assert desk.together == 0


async def test_the_jobs_of_a_silent_worker_are_woken_elsewhere(store: Store, postgres_server: Server) -> None:
    """H9: the library lists stalled jobs, the hub gives them to whoever has the project now."""
    await prepare_queue(store)
    desk = _Desk()
    lane = Lane(client_id=ClientId("c1"), connection="amocrm", project="auto")
    with contextlib.closing(postgres_server.connect(store.url.database or "")) as conn:
        worker = conn.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '20 s') RETURNING id"
        ).fetchone()
        assert worker is not None
        conn.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, status, worker_id)"
            " VALUES ('hub/auto', 'advance', %(lock)s, %(lock)s, %(args)s, 'doing', %(worker)s)",
            {
                "lock": "auto/amocrm/c1",
                "args": psycopg.types.json.Jsonb({"project": "auto", "connection": "amocrm", "client": "c1"}),
                "worker": worker[0],
            },
        )
        desk.wanted[lane] = 1
        async with lanes_of(store, desk) as lanes:
            lanes.RESCUE = timedelta(milliseconds=100)
            lanes.serve(["auto"])
            await until(lambda: desk.seen[lane] == 1)
            await until(lambda: conn.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,))


async def test_what_one_process_publishes_every_process_hears(store: Store) -> None:
    """H9, DESIGN 8: the tables themselves tell of policies, settings, events and messages; others ring for webhooks."""
    heard: list[str] = []
    bell = Bell(store.url, words=("started",), heard=heard.append)
    listening = asyncio.create_task(bell.run())
    await until(lambda: "started" in heard)
    store.write_now(lambda conn: projects.add_project(conn, "auto", now=NOW))
    await until(lambda: "changed" in heard)
    heard.clear()
    store.write_now(lambda conn: policies.publish(conn, "auto", text="", author="me", based_on=None, now=NOW))
    await until(lambda: "changed" in heard)
    assert "event" not in heard
    store.write_now(lambda conn: append(conn, 1))
    await until(lambda: "event" in heard)
    bell.ring("inbox")
    await until(lambda: "inbox" in heard)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


# --- events -------------------------------------------------------------------------------------------------------


def test_a_reader_misses_no_event_that_is_committed_after_a_later_one(store: Store) -> None:
    """DESIGN 8: whoever goes on from the last id that they saw gets every event once, however late it was committed."""
    with Store(store.url) as other:
        assert other._postgres is not None
        with other._postgres.engine.connect() as held:
            append(held, 1)
            store.write_now(lambda conn: append(conn, 2))
            seen = store.read_now(lambda conn: events.read_after(conn, 0))
            last = max((event.id for event in seen), default=0)
            held.commit()
    seen += store.read_now(lambda conn: events.read_after(conn, last))
    assert sorted(event.body["n"] for event in seen) == [1, 2]
