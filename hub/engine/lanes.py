"""The embedded engine: wakes `advance` for lanes, each lane by one task at a time (DESIGN 3).

Order lives in the tables; losing every wake-up loses nothing, since a sweep finds lanes whose head could go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from hub.clock import Clock
from hub.engine.resting import Resting
from hub.store import sweep
from hub.store.engine import Store
from hub.store.turns import Turns, on_behalf_of
from hub.store.work import Lane

__all__ = ["Lanes", "account_of"]

log = logging.getLogger(__name__)


class Lanes:
    """Runs ``advance(lane)`` for every woken lane; ``advance`` returns when to look again, None = when woken.

    Whose lane breaks `MOST_ATTEMPTS` times in a row is handed to ``give_up``, and the lane goes on (H4).
    """

    #: how often lost wake-ups are looked for
    SWEEP = timedelta(seconds=1)
    LONGEST_SWEEP = timedelta(seconds=10)
    #: how often a lane may break before its interaction needs attention: over half a minute, for what passes
    MOST_ATTEMPTS = 5
    #: how long a broken lane is left alone, doubled each time, and at most
    PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=5)
    #: of many replays so many are decided at once: what is fresh goes before, and the writer finds its turn (X6, X13)
    MOST_PATIENT = 8
    #: so many lanes of one account run at once: one whose CRM hangs holds up no other account (H8, C8)
    MOST_OF_ONE = 12

    def __init__(
        self,
        store: Store,
        clock: Clock,
        advance: Callable[[Lane], Awaitable[datetime | None]],
        *,
        give_up: Callable[[Lane, Exception], Awaitable[None]],
        room: Callable[[str, str], int] = lambda *_: Resting.MANY,
    ) -> None:
        """``room``: how many lanes of an account a sweep may wake (`Resting.room`)."""
        self._room = room
        self._store, self._clock, self._advance, self._give_up = store, clock, advance, give_up
        #: woken, and not begun
        self._ready: Turns[Lane] = Turns(account_of)
        #: lanes with nothing but one of many replays: taken up when nothing else of their account is ready (X13)
        self._patient: Turns[Lane] = Turns(account_of)
        self._running: set[Lane] = set()
        #: how many of ``_running`` each account has
        self._counts: Counter[str] = Counter()
        #: those of ``_running`` that were taken from ``_patient``
        self._of_replays: set[Lane] = set()
        self._again: set[Lane] = set()
        self._timed: list[tuple[datetime, int, Lane]] = []
        self._numbers = itertools.count()
        self._arrived = asyncio.Event()
        self._timer_changed = asyncio.Event()
        #: lanes that broke, and how often in a row: they are left alone for a growing time
        self._broken: dict[Lane, int] = {}

    def wake(self, lane: Lane, *, patiently: bool = False) -> None:
        """Look at ``lane`` soon, ``patiently`` after all others; waking twice is the same as once."""
        if lane in self._running:
            self._again.add(lane)
        elif lane not in self._ready:
            if not patiently:
                if lane in self._patient:
                    self._patient.remove(lane)
                self._ready.append(lane)
            else:
                self._patient.append(lane)
            self._arrived.set()

    def wake_at(self, lane: Lane, moment: datetime) -> None:
        """Look at ``lane`` at ``moment``."""
        heapq.heappush(self._timed, (moment, next(self._numbers), lane))
        self._timer_changed.set()

    @property
    def is_idle(self) -> bool:
        """True if nothing runs, waits or is timed."""
        return not (self._ready or self._patient or self._running or self._timed)

    async def run(self) -> None:
        """Work until cancelled."""
        for lane in await self._store.read(sweep.lanes_writing):
            self.wake(lane)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep_forever(), name="lanes sweep")
            tasks.create_task(self._time_forever(), name="lanes timer")
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                self._begin_ready(tasks)

    def _begin_ready(self, tasks: asyncio.TaskGroup) -> None:
        """Begin what may run; who of all that has begun goes on first is the gate's choice (`hub.engine.gate`)."""
        while lane := self._next():
            self._running.add(lane)
            self._counts[account_of(lane)] += 1
            with on_behalf_of(lane.project):
                tasks.create_task(self._run_lane(lane), name="lane")

    def _next(self) -> Lane | None:
        full = {account for account, count in self._counts.items() if count >= self.MOST_OF_ONE}
        with contextlib.suppress(KeyError):
            return self._ready.popleft(but_not=full)
        if len(self._of_replays) < self.MOST_PATIENT:
            with contextlib.suppress(KeyError):
                lane = self._patient.popleft(but_not=full | self._ready.owners)
                self._of_replays.add(lane)
                return lane
        return None

    async def _run_lane(self, lane: Lane) -> None:
        try:
            again = await self._advance(lane)
            self._broken.pop(lane, None)
        except Exception as err:  # noqa: BLE001 - logged there
            again = await self._broke(lane, err)
        finally:
            self._running.discard(lane)
            self._of_replays.discard(lane)
            self._counts[account_of(lane)] -= 1
            if not self._counts[account_of(lane)]:
                del self._counts[account_of(lane)]
            self._arrived.set()
        self._look_again(lane, again)

    def _look_again(self, lane: Lane, at: datetime | None) -> None:
        """``lane`` has run: at once if somebody woke it meanwhile, else ``at`` its own moment."""
        if lane in self._again:
            self._again.discard(lane)
            self.wake(lane)
        elif at is not None:
            self.wake_at(lane, at)

    async def _broke(self, lane: Lane, err: Exception) -> datetime:
        """A fault in deciding one client must not stop the others; when to try again, ever more rarely."""
        count = self._broken[lane] = self._broken.get(lane, 0) + 1
        again = self._clock.now() + min(self.LONGEST_PAUSE, self.PAUSE * (1 << min(count - 1, 20)))
        log.error("lane %s of %s broke", lane.client_id, lane.connection, exc_info=err, extra={"action": "lane.broken"})
        # a database or disk that is gone is not the interaction's fault
        if count < self.MOST_ATTEMPTS or isinstance(err, SQLAlchemyError | sqlite3.Error | OSError):
            return again
        try:
            await self._give_up(lane, err)
        except Exception:
            log.exception(
                "lane %s of %s stays broken", lane.client_id, lane.connection, extra={"action": "lane.broken"}
            )
            return again
        self._broken.pop(lane, None)
        return self._clock.now()

    async def _time_forever(self) -> None:
        while True:
            self._timer_changed.clear()
            now = self._clock.now()
            while self._timed and self._timed[0][0] <= now:
                self.wake(heapq.heappop(self._timed)[2])
            seconds = (self._timed[0][0] - now).total_seconds() if self._timed else None
            try:
                async with asyncio.timeout(seconds):
                    await self._timer_changed.wait()
            except TimeoutError:
                pass

    async def _sweep_forever(self) -> None:
        while True:
            now, began = self._clock.now(), self._clock.monotonic()
            for lane in await self._store.read(lambda conn, now=now: sweep.lanes_to_wake(conn, now, room=self._room)):  # type: ignore[misc]
                if lane not in self._broken:
                    self.wake(lane)
            for lane in await self._store.read(lambda conn, now=now: sweep.lanes_to_replay(conn, now)):  # type: ignore[misc]
                if lane not in self._broken:
                    self.wake(lane, patiently=True)
            await asyncio.sleep(self._rest_after(self._clock.monotonic() - began))

    def _rest_after(self, took: float) -> float:
        """Seconds until the next sweep: where tens of thousands wait, looking takes a tenth of the time."""
        return max(self.SWEEP.total_seconds(), min(took * 9, self.LONGEST_SWEEP.total_seconds()))


def account_of(lane: Lane) -> str:
    """The account whose lane it is, in all projects."""
    return f"{lane.project}/{lane.connection}"
