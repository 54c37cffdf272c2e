"""Every worker has its part of the projects, whoever comes or goes, and no project is ever two workers' (H9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection, text

from hub.clock import FakeClock, SystemClock
from hub.engine.placement import Placement, parts
from hub.store import cluster
from hub.store.engine import Store

pytestmark = pytest.mark.postgres

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STALLED = timedelta(seconds=8)


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with Store(postgres_url, clock=FakeClock(NOW)) as opened:
        opened.write_now(cluster.prepare)
        yield opened


@dataclass(slots=True, kw_only=True)
class Town:
    """Projects, and who has each of them by the workers' own word."""

    names: list[str]
    holders: dict[str, str] = field(default_factory=dict)
    #: two at once
    doubled: list[str] = field(default_factory=list)

    def all(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in self.names]

    def counts(self, workers: list[Worker]) -> list[int]:
        return [sum(holder == worker.name for holder in self.holders.values()) for worker in workers]


@dataclass(slots=True, kw_only=True)
class Worker:
    name: str
    placement: Placement
    running: asyncio.Task[None]

    async def leave(self) -> None:
        """End in order."""
        await self.placement.end()
        await self._stop()

    async def die(self, store: Store, town: Town) -> None:
        """As a process that is killed: its connection ends, and nobody says so."""
        await self._stop()
        tenure = self.placement.tenure
        assert tenure is not None
        town.holders = {project: name for project, name in town.holders.items() if name != self.name}
        ended = text("SELECT pg_terminate_backend(backend, 5000) FROM hub_process WHERE id = :id")
        await store.write(lambda conn: conn.execute(ended, {"id": tenure.id}).all())

    async def _stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


@asynccontextmanager
async def work(store: Store, town: Town, name: str) -> AsyncIterator[Worker]:
    """One worker of its own store, as in a process of its own."""

    async def gained(project: str) -> None:
        if project in town.holders:
            town.doubled.append(project)
        town.holders[project] = name

    async def giving(project: str) -> None:
        # what runs ends before it is given
        await asyncio.sleep(0)
        del town.holders[project]

    async def dropped() -> None:
        town.holders = {project: holder for project, holder in town.holders.items() if holder != name}

    with Store(store.url, clock=FakeClock(NOW)) as own:
        placement = Placement(
            own,
            SystemClock(),
            town,  # type: ignore[arg-type]
            role="worker",
            host=name,
            gained=gained,
            giving=giving,
            dropped=dropped,
            stalled=STALLED,
        )
        await placement.begin()
        worker = Worker(name=name, placement=placement, running=asyncio.create_task(placement.run()))
        try:
            yield worker
        finally:
            await worker._stop()
            if placement.tenure is not None:
                await asyncio.to_thread(placement.tenure.close)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - other threads and the server do the work
            await asyncio.sleep(0.03)


def alive(conn: Connection) -> list[cluster.Peer]:
    return cluster.peers(conn, STALLED)


@pytest.mark.parametrize(
    ("projects", "workers", "expected"),
    [(7, 3, [3, 2, 2]), (4, 3, [2, 1, 1]), (2, 3, [1, 1, 0]), (0, 2, [0, 0]), (6, 4, [2, 2, 1, 1]), (100, 1, [100])],
)
def test_parts_are_even_and_together_everything(projects: int, workers: int, expected: list[int]) -> None:
    """H9: no worker stands by while another has two more than it."""
    assert parts(projects, workers) == expected


def test_who_stays_gives_nothing_when_one_goes_and_takes_nothing_when_one_comes() -> None:
    """H9: a project that need not move stays where it is."""
    for projects in range(40):
        for workers in range(1, 9):
            before, after = parts(projects, workers), parts(projects, workers + 1)
            assert sum(before) == projects
            assert all(fewer <= more for fewer, more in zip(after, before, strict=False))


async def test_workers_that_come_and_go_share_the_projects_evenly(store: Store) -> None:
    """H9: one, two, three workers; one ends in order, one is killed: always even, and never one project twice."""
    town = Town(names=[f"shop-{number}" for number in range(7)])
    async with work(store, town, "first") as first:
        await until(lambda: town.counts([first]) == [7])
        async with work(store, town, "second") as second:
            await until(lambda: town.counts([first, second]) == [4, 3])
            async with work(store, town, "third") as third:
                await until(lambda: town.counts([first, second, third]) == [3, 2, 2])
                # and so every process tells it
                await until(lambda: [len(peer.owns) for peer in store.read_now(alive)] == [3, 2, 2])
                await first.leave()
                await until(lambda: town.counts([second, third]) == [4, 3])
                await second.die(store, town)
                await until(lambda: town.counts([third]) == [7])
    assert town.doubled == []


async def test_a_killed_workers_projects_are_taken_before_its_silence_is_over(store: Store) -> None:
    """H9: its connection has ended, so its locks have; nobody waits for the 8 s in which it might still speak."""
    town = Town(names=["auto", "shop"])
    async with work(store, town, "first") as first, work(store, town, "second") as second:
        await until(lambda: town.counts([first, second]) == [1, 1])
        await first.die(store, town)
        # as if it had spoken this moment, and for the next hours
        spoken = text("UPDATE hub_process SET beat_at = now() + interval '9 hours' WHERE host = 'first'")
        await store.write(lambda conn: conn.execute(spoken))
        await until(lambda: town.counts([second]) == [2])
    assert town.doubled == []
