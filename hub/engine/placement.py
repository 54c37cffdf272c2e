"""Which worker has which projects: each project's accounts are one worker's, and all workers have about as many (H9).

Turns, timers and decisions of a project touch all of its accounts, so they move together. Who has a project holds its
advisory lock over the worker's `Tenure`; a worker that dies loses it with its connection, one that is stopped has its
connection cut off by the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection

from hub.clock import Clock
from hub.engine.projects import Projects
from hub.errors import LeaseLost
from hub.store import cluster
from hub.store.cluster import Peer
from hub.store.engine import Store
from hub.store.tenure import BEAT, STALLED, Tenure

__all__ = ["Placement", "PlacementFigures", "parts"]

log = logging.getLogger(__name__)

#: how often is looked whose projects are nobody's
_LOOK = timedelta(seconds=1)


def parts(projects: int, workers: int) -> list[int]:
    """How many projects each worker is to have, the longest at work first: all of them together, as even as can be.

    Who is there keeps or gets fewer when a worker comes, and keeps or gets more when one goes.
    """
    return [(projects - place + workers - 1) // workers for place in range(workers)]


@dataclass(slots=True)
class PlacementFigures:
    """What a worker counts about itself and the others."""

    #: silent workers whose connection this one has ended
    cut_off: int = 0
    #: how often this one's own connection was lost
    tenures_lost: int = 0
    #: gained | given | lost -> projects
    moved: Counter[str] = field(default_factory=Counter)


class Placement:
    """Takes projects, keeps them, gives some back when there are more workers; begins anew after a lost connection.

    ``gained`` is called for each project that this worker has from now on, ``giving`` before one is given back and may
    take its time, ``dropped`` when all are lost at once: nothing may be written or asked any more.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        projects: Projects,
        *,
        role: str,
        host: str,
        gained: Callable[[str], Awaitable[None]],
        giving: Callable[[str], Awaitable[None]],
        dropped: Callable[[], Awaitable[None]],
        beat: timedelta = BEAT,
        stalled: timedelta = STALLED,
    ) -> None:
        self._store, self._clock, self._projects = store, clock, projects
        self._role, self._host, self._beat, self._stalled = role, host, beat, stalled
        self._gained, self._giving, self._dropped = gained, giving, dropped
        self._over = asyncio.Event()
        self._is_ending = False
        #: a project is not given while it is being gained
        self._moving = asyncio.Lock()
        self.tenure: Tenure | None = None
        #: the projects whose accounts are this worker's
        self.own: frozenset[str] = frozenset()
        #: what happened since this process started
        self.figures = PlacementFigures()

    def is_own(self, project: str) -> bool:
        """Whether this worker has the project's accounts."""
        return project in self.own

    async def begin(self) -> None:
        """Take up work: connect. Raises what the driver raises."""
        loop = asyncio.get_running_loop()
        over = self._over = asyncio.Event()

        def lost() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(over.set)

        tenure = Tenure(
            self._store.url,
            self._clock,
            role=self._role,
            host=self._host,
            beat=self._beat,
            stalled=self._stalled,
            lost=lost,
            shares=self._store.shares,
        )
        await asyncio.to_thread(tenure.open)
        self.tenure = self._store.tenure = tenure

    async def run(self) -> None:
        """Work until cancelled; `begin` was called before."""
        while True:
            assert self.tenure is not None
            tenure = self.tenure
            beating = asyncio.create_task(self._beat_forever(tenure), name="beat")
            placing = asyncio.create_task(self._place_forever(tenure), name="placement")
            over = asyncio.create_task(self._over.wait(), name="tenure")
            try:
                await asyncio.wait([beating, placing, over], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (beating, placing, over):
                    task.cancel()
                await asyncio.gather(beating, placing, over, return_exceptions=True)
            log.error("this worker lost its connection to the database", extra={"action": "worker.cut_off"})
            self.figures.tenures_lost += 1
            self.figures.moved["lost"] += len(self.own)
            self.own = frozenset()
            await self._dropped()
            await asyncio.to_thread(tenure.close)
            await self._begin_again()

    async def _begin_again(self) -> None:
        while True:
            try:
                await self.begin()
            except Exception as error:  # noqa: BLE001 - the database is away: everything waits for it
                log.warning("the database cannot be reached: %s", error, extra={"action": "worker.waits"})
                await asyncio.sleep(1)
            else:
                log.info("this worker is at work again", extra={"action": "worker.back"})
                return

    async def end(self) -> None:
        """Give everything back in order, before the process ends."""
        # the beats go on meanwhile, or others would cut the connection off
        self._is_ending = True
        async with self._moving:
            for project in sorted(self.own):
                try:
                    await self._give(project)
                except LeaseLost:
                    break
        if self.tenure is not None:
            await asyncio.to_thread(self.tenure.close)
            self._store.tenure = None

    # --- beating and placing ------------------------------------------------------------------------------------

    async def _beat_forever(self, tenure: Tenure) -> None:
        while not tenure.is_over:
            tenure.turns(tuple(sorted(self.own)))
            await asyncio.sleep(self._beat.total_seconds())

    async def _place_forever(self, tenure: Tenure) -> None:
        while True:
            try:
                async with self._moving:
                    before = self.own
                    await self._place(tenure)
                    if self.own != before:
                        tenure.turns(tuple(sorted(self.own)))
            except LeaseLost:
                return
            except Exception:
                log.exception("projects cannot be placed", extra={"action": "worker.unplaced"})
            await asyncio.sleep(_LOOK.total_seconds())

    async def _place(self, tenure: Tenure) -> None:
        if self._is_ending:
            return
        found = await tenure.write(self._look)
        wanted = [project.name for project in self._projects.all()]
        for gone in sorted(self.own - set(wanted)):
            await self._give(gone)
        workers = [peer.id for peer in found if peer.role != "web"]
        if tenure.id not in workers:
            # silent for too long: the next beat says that it lives, or it is cut off
            return
        place, shares = workers.index(tenure.id), parts(len(wanted), len(workers))
        share = shares[place]
        for project in sorted(self.own, reverse=True)[: max(0, len(self.own) - share)]:
            await self._give(project)
        # each begins elsewhere, so that they seldom want the same
        first = sum(shares[:place])
        for project in wanted[first:] + wanted[:first]:
            if len(self.own) >= share:
                break
            if project not in self.own and await tenure.take("project", project):
                self.own |= {project}
                self.figures.moved["gained"] += 1
                log.info("this worker has %s now", project, extra={"action": "worker.gained", "project": project})
                await self._gained(project)

    def _look(self, conn: Connection) -> list[Peer]:
        if cut := cluster.cut_off_stalled(conn, self._stalled):
            self.figures.cut_off += cut
            log.warning("%d silent workers were cut off", cut, extra={"action": "worker.cut_others_off"})
        return cluster.peers(conn, self._stalled)

    async def _give(self, project: str) -> None:
        assert self.tenure is not None
        await self._giving(project)
        self.own -= {project}
        await self.tenure.give("project", project)
        self.figures.moved["given"] += 1
        log.info("this worker gave %s back", project, extra={"action": "worker.gave", "project": project})
