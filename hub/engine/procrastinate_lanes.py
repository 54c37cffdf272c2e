"""Lanes on PostgreSQL: Procrastinate runs `advance` wherever the project's accounts are (H9, DESIGN 3).

The queue only wakes. A job has the lane as its lock (one at a time) and as its queueing lock (waking twice is waking
once); it is neither retried nor given a date, for a job that waits holds up its lane: what waits is a row with its
moment, and a sweep every second finds what nobody woke. A project's jobs are in its own queue, which only the worker
reads that owns the project's accounts: a decision wants the directory as the last write left it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import procrastinate
import psycopg
import psycopg_pool
from procrastinate import exceptions
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from hub.clock import Clock
from hub.core.interaction import ClientId
from hub.engine.lanes import Lanes, account_of
from hub.engine.resting import Resting
from hub.errors import LeaseLost
from hub.store import sweep
from hub.store.engine import Store
from hub.store.tenure import BEAT, STALLED
from hub.store.turns import Turns, on_behalf_of
from hub.store.work import Lane

__all__ = ["ProcrastinateLanes", "prepare_queue"]

log = logging.getLogger(__name__)

_TASK = "advance"
#: how many lanes of a bulk replay are in the queue at once, before what is fresh (X13)
_PATIENT = 8
#: seconds after which a lane that was put into the queue and not begun is put there again
_LOST_AFTER = 10.0
#: how many wake-ups are put into the queue with one statement
_TOGETHER = 64
#: seconds for which a connection that lived is taken to live
_TRUSTED = 1.0


def _app(url: URL) -> procrastinate.App:
    return procrastinate.App(
        connector=procrastinate.PsycopgConnector(
            conninfo=url.set(drivername="postgresql").render_as_string(hide_password=False),
            kwargs={"connect_timeout": 5, "application_name": "hub queue"},
            configure=_in_autocommit,
            pool_factory=_pool,
            min_size=1,
            max_size=4,
            timeout=10,
        )
    )


async def _in_autocommit(conn: psycopg.AsyncConnection[Any]) -> None:
    """Each of the queue's statements is a transaction of its own: no need to begin and end one besides."""
    await conn.set_autocommit(True)


def _pool(**given: Any) -> psycopg_pool.AsyncConnectionPool[Any]:
    """The library asks before each statement whether the connection lives; of one that just did it is not asked."""
    asked: WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = WeakKeyDictionary()

    async def check(conn: psycopg.AsyncConnection[Any]) -> None:
        now = time.monotonic()
        if now - asked.get(conn, -math.inf) >= _TRUSTED:
            await psycopg_pool.AsyncConnectionPool.check_connection(conn)
            asked[conn] = now

    return psycopg_pool.AsyncConnectionPool(**{**given, "check": check})


async def prepare_queue(store: Store) -> None:
    """Make the queue's tables if they are missing; several processes may begin at once."""
    app = _app(store.url)
    async with store.locked("queue"), app.open_async():
        found = await app.connector.execute_query_one_async(
            "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS is_there"
        )
        if not found["is_there"]:
            await app.schema_manager.apply_schema_async()


class ProcrastinateLanes(Lanes):
    """`Lanes` over Procrastinate; `serve` says which projects' lanes run in this process."""

    #: how often jobs of workers that fell silent are given to others: after their silence, this and a look into the
    #: queue, work goes on within the promised 15 s with some to spare for a machine that is busy (H9)
    RESCUE = timedelta(seconds=3)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        advance: Callable[[Lane], Awaitable[datetime | None]],
        *,
        url: URL,
        give_up: Callable[[Lane, Exception], Awaitable[None]],
        room: Callable[[str, str], int] = lambda *_: Resting.MANY,
        workers: int = 8,
        beat: timedelta = BEAT,
        stalled: timedelta = STALLED,
    ) -> None:
        super().__init__(store, clock, advance, give_up=give_up, room=room)
        self._workers, self._beat, self._stalled = workers, beat, stalled
        self._app = _app(url)
        self._job = self._app.task(name=_TASK)(self._take)
        self._projects: frozenset[str] = frozenset()
        self._projects_changed = asyncio.Event()
        #: woken, and on their way into the queue
        self._woken: Turns[Lane] = Turns(account_of)
        self._patiently: dict[Lane, None] = {}
        self._waking = asyncio.Event()
        self._ended = asyncio.Event()
        #: put into the queue by this process, for itself, not begun; and when (monotonic seconds)
        self._in_queue: dict[Lane, float] = {}
        #: lanes that look at themselves at a moment: the sweep leaves them alone until then
        self._moments: dict[Lane, datetime] = {}

    # --- waking -------------------------------------------------------------------------------------------------

    def wake(self, lane: Lane, *, patiently: bool = False) -> None:
        """Look at ``lane`` soon, wherever it runs; waking twice is the same as once."""
        if lane in self._running:
            self._again.add(lane)
        elif patiently:
            if lane not in self._woken and not self._stands(lane):
                self._patiently[lane] = None
                self._waking.set()
        elif not self._stands(lane):
            self._patiently.pop(lane, None)
            self._woken.append(lane)
            self._waking.set()

    def wake_at(self, lane: Lane, moment: datetime) -> None:
        """Look at ``lane`` at ``moment``; if this process dies before, the sweep does."""
        self._moments[lane] = moment
        super().wake_at(lane, moment)

    def _stands(self, lane: Lane) -> bool:
        """Whether the lane was put into the queue a moment ago; one that is never begun was lost there."""
        put = self._in_queue.get(lane)
        return put is not None and self._clock.monotonic() - put < _LOST_AFTER

    @property
    def is_idle(self) -> bool:
        """True if nothing runs, waits or is timed in this process."""
        return not (self._woken or self._patiently or self._in_queue or self._running or self._timed)

    def serve(self, projects: Iterable[str]) -> None:
        """Run the lanes of ``projects`` and of no others."""
        wanted = frozenset(projects)
        if wanted != self._projects:
            gained, self._projects = wanted - self._projects, wanted
            self._in_queue = {lane: at for lane, at in self._in_queue.items() if lane.project in wanted}
            self._broken = {lane: count for lane, count in self._broken.items() if lane.project in wanted}
            self._moments = {lane: at for lane, at in self._moments.items() if lane.project not in gained}
            self._projects_changed.set()

    async def rest(self, project: str) -> None:
        """Wait until no lane of ``project`` runs in this process any more."""
        while any(lane.project == project for lane in self._running):
            self._ended.clear()
            await self._ended.wait()

    # --- running ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until cancelled."""
        # it tells of every job
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        await self._patiently_open()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sweep_forever(), name="lanes sweep")
                tasks.create_task(self._time_forever(), name="lanes timer")
                tasks.create_task(self._forever(self._put_woken), name="lanes queue")
                tasks.create_task(self._forever(self._rescue), name="lanes rescue")
                tasks.create_task(self._serve_forever(), name="lanes worker")
        finally:
            await self._app.close_async()

    async def _patiently_open(self) -> None:
        while True:
            try:
                await self._app.open_async()
                return
            except exceptions.ProcrastinateException as error:
                log.warning("the queue cannot be opened: %s", error, extra={"action": "queue.away"})
                await asyncio.sleep(1)

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - the database is away: rows say what is to be done when it is back
                log.warning("the queue cannot be used: %s", error, extra={"action": "queue.away"})
                await asyncio.sleep(1)

    async def _serve_forever(self) -> None:
        while True:
            self._projects_changed.clear()
            queues = [_queue(project) for project in sorted(self._projects)]
            working = asyncio.create_task(self._serve(queues), name="procrastinate") if queues else None
            try:
                await self._projects_changed.wait()
            finally:
                if working is not None:
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)

    async def _serve(self, queues: list[str]) -> None:
        while True:
            try:
                await self._app.run_worker_async(
                    queues=queues,
                    concurrency=self._workers,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    fetch_job_polling_interval=1.0,
                    update_heartbeat_interval=self._beat.total_seconds(),
                    stalled_worker_timeout=self._stalled.total_seconds(),
                    shutdown_graceful_timeout=5,
                )
            except Exception as error:  # noqa: BLE001 - the database is away, or was
                log.warning("the queue is not read: %s", error, extra={"action": "queue.away"})
            # it ends by itself when one of its connections did
            await asyncio.sleep(0.5)

    async def _take(self, project: str, connection: str, client: str) -> None:
        """Run one job; it never fails, for what is to be done stands in our tables."""
        lane = Lane(client_id=ClientId(client), connection=connection, project=project)
        self._in_queue.pop(lane, None)
        if project not in self._projects:
            # lost to another worker meanwhile, whose sweep finds the lane
            return
        if lane in self._running:
            self._again.add(lane)
            return
        self._running.add(lane)
        self._moments.pop(lane, None)
        try:
            with on_behalf_of(project):
                again = await self._advance(lane)
            self._broken.pop(lane, None)
        except LeaseLost:
            again = None
        except Exception as err:  # noqa: BLE001 - logged there
            again = await self._broke(lane, err)
        finally:
            self._running.discard(lane)
            self._ended.set()
            if self._woken or self._patiently:
                self._waking.set()
        self._look_again(lane, again)

    # --- the queue ----------------------------------------------------------------------------------------------

    async def _put_woken(self) -> None:
        await self._waking.wait()
        self._waking.clear()
        while lanes := self._next_woken():
            try:
                await self._put(lanes)
            except BaseException:
                for lane in lanes:
                    self._woken.append(lane)
                self._waking.set()
                raise
        while self._patiently and len(self._running) + len(self._in_queue) < _PATIENT:
            lane = next(iter(self._patiently))
            del self._patiently[lane]
            await self._put([lane])

    def _next_woken(self) -> list[Lane]:
        """Take some of what was woken; of each account here only as much as keeps its lanes busy.

        The queue is first in, first out over all projects: what stands in it keeps the others waiting (H8).
        """
        standing = Counter(account_of(lane) for lane in self._running)
        standing.update(account_of(lane) for lane in self._in_queue if self._stands(lane))
        full = {account for account, count in standing.items() if count >= self.MOST_OF_ONE}
        found: list[Lane] = []
        with contextlib.suppress(KeyError):
            while len(found) < _TOGETHER:
                lane = self._woken.popleft(but_not=full)
                found.append(lane)
                if lane.project in self._projects:
                    standing[account_of(lane)] += 1
                    if standing[account_of(lane)] >= self.MOST_OF_ONE:
                        full.add(account_of(lane))
        return found

    async def _put(self, lanes: list[Lane]) -> None:
        """Put ``lanes`` into the queue; those that stand there already are woken as well."""
        own = dict.fromkeys((lane for lane in lanes if lane.project in self._projects), self._clock.monotonic())
        self._in_queue |= own
        try:
            by_queue: dict[str, list[Lane]] = {}
            for lane in lanes:
                by_queue.setdefault(lane.project, []).append(lane)
            for found in by_queue.values():
                await self._put_in(found)
        except BaseException:
            for lane in own:
                self._in_queue.pop(lane, None)
            raise

    async def _put_in(self, lanes: list[Lane]) -> None:
        """``lanes`` of one project."""
        if len(lanes) > 1:
            # one of them already waiting refuses them all
            taken = await self._app.connector.execute_query_all_async(
                "SELECT queueing_lock FROM procrastinate_jobs WHERE status = 'todo' AND queueing_lock = ANY(%(locks)s)",
                locks=[_lock(lane) for lane in lanes],
            )
            standing = {row["queueing_lock"] for row in taken}
            lanes = [lane for lane in lanes if _lock(lane) not in standing]
        for lane in lanes:
            with contextlib.suppress(exceptions.AlreadyEnqueued):
                await self._job.configure(
                    queue=_queue(lane.project), lock=_lock(lane), queueing_lock=_lock(lane)
                ).defer_async(project=lane.project, connection=lane.connection, client=str(lane.client_id))

    async def _rescue(self) -> None:
        """Give the jobs of workers that fell silent to whoever reads their queue now; the library only lists them."""
        await asyncio.sleep(self.RESCUE.total_seconds())
        manager = self._app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=self._stalled.total_seconds()):
            assert job.id is not None
            log.warning("job %s of a silent worker is taken over", job.id, extra={"action": "queue.rescued"})
            try:
                await manager.finish_job_by_id_async(job_id=job.id, status=_ABORTED, delete_job=True)
            except exceptions.ConnectorException:
                continue
            kwargs: dict[str, Any] = job.task_kwargs
            lane = Lane(
                client_id=ClientId(kwargs["client"]), connection=kwargs["connection"], project=kwargs["project"]
            )
            self._in_queue.pop(lane, None)
            self.wake(lane)
        await manager.prune_stalled_workers(self._stalled.total_seconds())

    # --- sweeping -----------------------------------------------------------------------------------------------

    async def _sweep_forever(self) -> None:
        took = 0.0
        while True:
            await asyncio.sleep(self._rest_after(took))
            projects = sorted(self._projects)
            if not projects:
                continue
            now, began = self._clock.now(), self._clock.monotonic()
            try:
                fresh = await self._store.read(
                    lambda conn, now=now, projects=projects: sweep.lanes_to_wake(  # type: ignore[misc]
                        conn, now, projects=projects, room=self._room
                    )
                )
                bulk = await self._store.read(lambda conn, now=now: sweep.lanes_to_replay(conn, now))  # type: ignore[misc]
                took = self._clock.monotonic() - began
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                log.warning("lanes cannot be swept: %s", error, extra={"action": "lanes.unswept"})
                continue
            for lane in fresh:
                if lane not in self._broken and self._moments.get(lane, now) <= now:
                    self.wake(lane)
            for lane in bulk:
                if lane not in self._broken and lane.project in self._projects:
                    self.wake(lane, patiently=True)

    async def _time_forever(self) -> None:
        while True:
            self._timer_changed.clear()
            now = self._clock.now()
            while self._timed and self._timed[0][0] <= now:
                lane = heapq.heappop(self._timed)[2]
                if self._moments.get(lane, now) <= now:
                    self._moments.pop(lane, None)
                self.wake(lane)
            seconds = (self._timed[0][0] - now).total_seconds() if self._timed else None
            try:
                async with asyncio.timeout(seconds):
                    await self._timer_changed.wait()
            except TimeoutError:
                pass


_ABORTED = procrastinate.jobs.Status.ABORTED


def _queue(project: str) -> str:
    return f"hub/{project}"


def _lock(lane: Lane) -> str:
    return f"{lane.project}/{lane.connection}/{lane.client_id}"
