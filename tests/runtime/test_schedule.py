"""Each instant of a job runs once, on whichever scheduler; what a dead process left is taken over (H7)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.clock import FakeClock, SystemClock
from hub.engine.schedule import Job, Scheduler
from hub.store import runs
from hub.store.engine import Store
from hub.store.runs import RunState

NOW = datetime(2026, 3, 2, 9, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with Store(database_url) as opened:
        yield opened


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is another process's or a row of the store
            await asyncio.sleep(0.01)


def noting(seen: list[datetime]) -> Callable[[datetime], Awaitable[None]]:
    async def run(instant: datetime) -> None:
        seen.append(instant)

    return run


async def test_two_schedulers_run_each_instant_once(store: Store, database_url: str) -> None:
    clock = FakeClock(NOW)
    seen: list[datetime] = []
    with Store(database_url) as other:
        pair = [Scheduler(each, clock, [Job(name="sync", period=HOUR, run=noting(seen))]) for each in (store, other)]
        for _ in range(5):
            await asyncio.gather(*(one.sweep() for one in pair))
            await asyncio.gather(*(one.settle() for one in pair))
            clock.advance(HOUR)
    first = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert seen == [first + number * HOUR for number in range(5)]


async def test_a_second_look_at_the_same_instant_runs_nothing(store: Store) -> None:
    seen: list[datetime] = []
    for _ in range(3):
        scheduler = Scheduler(store, FakeClock(NOW), [Job(name="sync", period=HOUR, run=noting(seen))])
        await scheduler.sweep()
        await scheduler.settle()
    assert len(seen) == 1


async def test_a_job_that_fails_is_noted_and_runs_at_its_next_instant(store: Store) -> None:
    clock = FakeClock(NOW)
    seen: list[datetime] = []

    async def fail_once(instant: datetime) -> None:
        seen.append(instant)
        if len(seen) == 1:
            raise RuntimeError("the vendor is on holiday")

    scheduler = Scheduler(store, clock, [Job(name="sync", period=HOUR, run=fail_once)])
    await scheduler.sweep()
    await scheduler.settle()
    run = await store.read(lambda conn: runs.find(conn, "sync@2026-03-02T09:00:00+00:00"))
    assert run is not None
    assert (run.state, run.note) == (RunState.FAILED, "RuntimeError: the vendor is on holiday")
    clock.advance(HOUR)
    await scheduler.sweep()
    await scheduler.settle()
    assert [run.state for run in await store.read(lambda conn: runs.latest(conn, "sync"))] == ["done", "failed"]


async def test_a_run_that_takes_long_keeps_its_lease(store: Store) -> None:
    release = asyncio.Event()
    seen: list[datetime] = []

    async def slow(instant: datetime) -> None:
        seen.append(instant)
        await release.wait()

    # renewed three times in it, on a machine that others keep busy
    lease = timedelta(seconds=1.5)
    pair = [Scheduler(store, SystemClock(), [Job(name="slow", period=HOUR, run=slow)], lease=lease) for _ in range(2)]
    await pair[0].sweep()
    await until(lambda: bool(seen))
    began = SystemClock().now()
    while SystemClock().now() - began < 1.5 * lease:
        await pair[1].sweep()
        await asyncio.sleep(0.02)
    release.set()
    for one in pair:
        await one.settle()
    assert len(seen) == 1


async def test_a_run_whose_process_hangs_is_taken_over_and_the_old_one_stops(store: Store) -> None:
    """A process that stood still (SIGSTOP) finds its lease gone and gives up."""
    clock = FakeClock(NOW)
    ended: list[str] = []

    def job(name: str, release: asyncio.Event) -> Job:
        async def run(instant: datetime) -> None:
            try:
                await release.wait()
                ended.append(name)
            except asyncio.CancelledError:
                ended.append(f"{name} stopped")
                raise

        return Job(name="sync", period=HOUR, run=run)

    free = asyncio.Event()
    free.set()
    first = Scheduler(store, clock, [job("first", asyncio.Event())], lease=timedelta(seconds=1))
    second = Scheduler(store, clock, [job("second", free)], lease=timedelta(seconds=1))
    await first.sweep()
    await asyncio.sleep(0)
    await until(lambda: store.read_now(lambda conn: runs.latest(conn, "sync")) != [])
    clock.advance(timedelta(seconds=2))
    await second.sweep()
    await second.settle()
    await first.settle()
    assert ended == ["second", "first stopped"]


CHILD = """
import asyncio, sys
from datetime import timedelta
from hub.clock import SystemClock
from hub.engine.schedule import Job, Scheduler
from hub.store.engine import Store

async def hang(instant):
    print(instant.isoformat(), flush=True)
    await asyncio.sleep(600)

with Store(sys.argv[1]) as store:
    jobs = [Job(name="sync", period=timedelta(days=3650), run=hang)]
    asyncio.run(Scheduler(store, SystemClock(), jobs, lease=timedelta(seconds=1)).run())
"""


async def test_the_run_of_a_killed_process_is_taken_over(store: Store, database_url: str) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, database_url, stdout=subprocess.PIPE)
    assert child.stdout is not None
    instant = datetime.fromisoformat((await child.stdout.readline()).decode().strip())
    child.kill()
    await child.communicate()
    seen: list[datetime] = []
    jobs = [Job(name="sync", period=timedelta(days=3650), run=noting(seen))]
    scheduler = Scheduler(store, SystemClock(), jobs, lease=timedelta(seconds=1), sweep=timedelta(seconds=0.05))
    running = asyncio.create_task(scheduler.run())
    await until(lambda: bool(seen))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert seen == [instant]


async def test_a_run_that_kills_every_process_is_given_up(store: Store) -> None:
    clock = FakeClock(NOW)
    name = "sync@2026-03-02T09:00:00+00:00"
    for attempt in range(3):
        lease = f"process {attempt}"
        now = clock.now()
        await store.write(
            lambda conn, now=now, lease=lease: runs.claim(conn, name, lease, now=now, lease_for=timedelta(seconds=1))  # type: ignore[misc]
        )
        clock.advance(timedelta(seconds=2))
    seen: list[datetime] = []
    scheduler = Scheduler(store, clock, [Job(name="sync", period=HOUR, run=noting(seen))])
    await scheduler.sweep()
    await scheduler.settle()
    run = await store.read(lambda conn: runs.find(conn, name))
    assert run is not None
    assert (run.state, seen) == (RunState.FAILED, [])


async def test_the_ticker_itself_names_runs_by_the_floored_instant(store: Store) -> None:
    seen: list[datetime] = []
    jobs = [Job(name="tick", period=timedelta(seconds=1), run=noting(seen))]
    pair = [Scheduler(store, SystemClock(), jobs, sweep=timedelta(hours=1)) for _ in range(2)]
    running = [asyncio.create_task(one.run()) for one in pair]
    await until(lambda: len(seen) >= 3)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert len(set(seen)) == len(seen)
    assert all(instant.microsecond == 0 for instant in seen)


@pytest.mark.parametrize(("name", "seconds"), [("", 60), ("a@b", 60), ("often", 0.5), ("odd", 1.5)])
def test_a_job_that_could_not_be_named_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"job|period"):
        Job(name=name, period=timedelta(seconds=seconds), run=noting([]))
