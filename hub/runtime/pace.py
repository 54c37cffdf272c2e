"""One pace for everything that asks one vendor account, with the urgent first (H5, X6).

The limit is a sliding window, not a bucket: a bucket of 6 would let 12 requests out within one second. Requests
begin at least `Pace.per` after the one `Pace.requests` places before them. Who waits is served by class, then by
age. A pause (after a 429) stops the whole scope.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum

import httpx

from hub.clock import Clock
from hub.ports import Pace

__all__ = ["Cost", "PacedTransport", "Pacer", "Urgency", "counted", "urgency"]


class Urgency(IntEnum):
    """The classes of one account's budget; lower goes first."""

    POPUP = 0
    RECORD = 1
    RETRY = 2
    IMPORT = 3


_urgency: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.RECORD)


@dataclass(slots=True)
class Cost:
    """Counts the requests sent inside `counted`."""

    requests: int = 0


_cost: ContextVar[Cost | None] = ContextVar("cost", default=None)


@contextmanager
def urgency(value: Urgency) -> Iterator[None]:
    """Everything asked inside goes in this class."""
    token = _urgency.set(value)
    try:
        yield
    finally:
        _urgency.reset(token)


@contextmanager
def counted() -> Iterator[Cost]:
    """Count the requests that are sent inside, retries and token refreshes included."""
    cost = Cost()
    token = _cost.set(cost)
    try:
        yield cost
    finally:
        _cost.reset(token)


@dataclass(order=True, slots=True)
class _Turn:
    urgency: int
    number: int
    granted: asyncio.Future[None] = field(compare=False)


class Pacer:
    """Grants the right to begin one request; one per scope (account, integration or host)."""

    #: a vendor's clock and ours disagree by some milliseconds, and requests travel at uneven speed
    MARGIN = timedelta(milliseconds=40)

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self.pace = pace
        self._clock = clock
        self._begun: deque[float] = deque(maxlen=pace.requests)
        self._waiting: list[_Turn] = []
        self._numbers = itertools.count()
        self._paused_until = 0.0
        self._backoff = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: requests granted since the start
        self.granted = 0

    async def acquire(self) -> None:
        """Wait for this request's turn."""
        loop = asyncio.get_running_loop()
        turn = _Turn(_urgency.get(), next(self._numbers), loop.create_future())
        heapq.heappush(self._waiting, turn)
        self._serve()
        await turn.granted
        cost = _cost.get()
        if cost is not None:
            cost.requests += 1

    def pause(self, retry_after: timedelta | None = None) -> float:
        """Stop the scope: for ``retry_after`` if the vendor named it, else for a growing time from 1 s to 60 s.

        Returns the seconds of the pause.
        """
        self._backoff = min(60.0, max(1.0, self._backoff * 2))
        seconds = retry_after.total_seconds() if retry_after else self._backoff * random.uniform(0.9, 1.1)
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        self._serve()
        return seconds

    def succeeded(self) -> None:
        """The vendor answered: the next pause starts small again."""
        self._backoff = 0.0

    @property
    def headroom(self) -> float:
        """The share of the window that is unused now, 0 to 1, for the metric of the same name."""
        now = self._clock.monotonic()
        window = self.pace.per.total_seconds()
        return 1 - sum(1 for begun in self._begun if now - begun < window) / self.pace.requests

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(1 for turn in self._waiting if not turn.granted.cancelled())

    def _next_start(self, now: float) -> float:
        ready = now
        if len(self._begun) == self.pace.requests:
            ready = self._begun[0] + (self.pace.per + self.MARGIN).total_seconds()
        return max(ready, self._paused_until)

    def _serve(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            if self._waiting[0].granted.cancelled():
                heapq.heappop(self._waiting)
                continue
            now = self._clock.monotonic()
            start = self._next_start(now)
            if start > now:
                self._timer = asyncio.get_running_loop().call_later(start - now, self._serve)
                return
            turn = heapq.heappop(self._waiting)
            self._begun.append(now)
            self.granted += 1
            turn.granted.set_result(None)


class PacedTransport(httpx.AsyncBaseTransport):
    """Sends each request when its scope's pacer allows; the only way out to a vendor."""

    def __init__(self, inner: httpx.AsyncBaseTransport, pacer: Pacer) -> None:
        self._inner = inner
        self.pacer = pacer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.pacer.acquire()
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
