"""Scheduled jobs: each instant runs once, whoever ticks, and is taken over when its process died (H7).

APScheduler only ticks. What counts is the row ``{job}@{instant}`` of `hub.store.runs`: several schedulers on one
store are harmless, since only one of them can claim it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # it ships no types
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]

from hub.clock import Clock
from hub.errors import LeaseLost
from hub.store import runs
from hub.store.engine import Store

__all__ = ["Job", "Scheduler"]

log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: how often a run may be taken over before it is given up: it may be what kills the process
_MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that is done once in every ``period``, whole seconds, counted from 1970 UTC.

    ``run`` gets the instant that it is named by. It may be called again for an instant whose first process died, so
    what it did before must not do harm twice.
    """

    name: str
    period: timedelta
    run: Callable[[datetime], Awaitable[None]]

    def __post_init__(self) -> None:
        if "@" in self.name or not self.name:
            raise ValueError(f"{self.name!r} cannot name a job")
        if self.period < timedelta(seconds=1) or self.period % timedelta(seconds=1):
            raise ValueError(f"job {self.name}: the period must be whole seconds")


class Scheduler:
    """Runs ``jobs`` until cancelled; at start, the present instant of each job that nobody has run yet."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        jobs: Iterable[Job],
        *,
        lease: timedelta = timedelta(seconds=60),
        sweep: timedelta = timedelta(seconds=20),
    ) -> None:
        self._store, self._clock = store, clock
        self._jobs = {job.name: job for job in jobs}
        self._lease, self._sweep = lease, sweep
        #: the last instant of each job that this process tried to claim
        self._tried: dict[str, datetime] = {}
        self._running: set[asyncio.Task[bool]] = set()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What is scheduled, by name."""
        return tuple(self._jobs[name] for name in sorted(self._jobs))

    async def run(self) -> None:
        """Tick until cancelled. A run that is cut short keeps its lease and is taken over when that has expired."""
        # the library tells of every tick
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        ticker = AsyncIOScheduler(timezone=UTC)
        for job in self._jobs.values():
            trigger = IntervalTrigger(seconds=int(job.period.total_seconds()), start_date=_EPOCH, timezone=UTC)
            ticker.add_job(
                self._tick, trigger, args=[job], id=job.name, max_instances=1, coalesce=True, misfire_grace_time=None
            )
        try:
            ticker.start()
            while True:
                await self.sweep()
                await asyncio.sleep(self._sweep.total_seconds())
        finally:
            ticker.shutdown(wait=False)
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def sweep(self) -> None:
        """Begin what is due and not begun (a tick may be lost, a clock may jump), and what another process left."""
        now = self._clock.now()
        for run in await self._store.read(lambda conn: runs.expired(conn, now)):
            job = self._jobs.get(run.job)
            if job is not None:
                instant = datetime.fromisoformat(run.name.rpartition("@")[2])
                self._begin(job, instant)
        for job in self._jobs.values():
            await self._tick(job)

    async def settle(self) -> None:
        """Wait for the runs that this process has begun."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def run_once(self, name: str, instant: datetime) -> bool:
        """Run one instant of a job here and now; False if it is done, or somebody else is at it."""
        return await self._run(self._jobs[name], instant)

    async def _tick(self, job: Job) -> None:
        instant = runs.floor_instant(self._clock.now(), job.period)
        if self._tried.get(job.name) != instant:
            self._tried[job.name] = instant
            self._begin(job, instant)

    def _begin(self, job: Job, instant: datetime) -> None:
        name = runs.run_name(job.name, instant)
        if any(task.get_name() == name for task in self._running):
            return
        task = asyncio.create_task(self._run(job, instant), name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # the store failed: the sweep finds the run again when its lease has expired
            log.error("run %s broke", task.get_name(), exc_info=task.exception(), extra={"action": "run.broken"})

    async def _run(self, job: Job, instant: datetime) -> bool:
        name, lease = runs.run_name(job.name, instant), uuid.uuid4().hex
        now = self._clock.now()
        run = await self._store.write(lambda conn: runs.claim(conn, name, lease, now=now, lease_for=self._lease))
        if run is None:
            return False
        if run.attempts > _MOST_ATTEMPTS:
            await self._finish(name, lease, is_failed=True, note=f"given up: {_MOST_ATTEMPTS} processes died with it")
            return False
        if run.attempts > 1:
            log.warning("run %s is taken over", name, extra={"action": "run.taken_over", "attempt": run.attempts})
        try:
            await self._run_leased(job, instant, name, lease)
        except LeaseLost:
            log.warning("run %s was taken over by another process", name, extra={"action": "run.lost"})
            return False
        except Exception as err:
            # a job that fails must not stop the others; its row says why, and its next instant tries again
            log.exception("job %s failed", name, extra={"action": "run.failed", "job": job.name})
            await self._finish(name, lease, is_failed=True, note=f"{type(err).__name__}: {err}")
            return True
        await self._finish(name, lease)
        return True

    async def _run_leased(self, job: Job, instant: datetime, name: str, lease: str) -> None:
        """Run the job and keep its lease; raises LeaseLost as soon as somebody else has it."""
        work = asyncio.ensure_future(job.run(instant))
        try:
            while True:
                done, _ = await asyncio.wait([work], timeout=self._lease.total_seconds() / 3)
                if done:
                    return await work
                now = self._clock.now()
                await self._store.write(
                    lambda conn, now=now: runs.renew(conn, name, lease, now=now, lease_for=self._lease)  # type: ignore[misc]
                )
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _finish(self, name: str, lease: str, *, is_failed: bool = False, note: str = "") -> None:
        now = self._clock.now()
        try:
            await self._store.write(
                lambda conn: runs.finish(conn, name, lease, now=now, is_failed=is_failed, note=note)
            )
        except LeaseLost:
            log.warning("run %s ended after it was taken over", name, extra={"action": "run.lost"})
