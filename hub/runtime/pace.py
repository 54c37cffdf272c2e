"""One pace for everything that asks one vendor account, with the urgent first (H5, X6).

The limit is a sliding window, not a bucket: a bucket of 6 would let 12 requests out within one second. The vendor
counts when a request arrives, which is some time between its beginning and its answer: a new connection has to be
made first, a warm one has not. So a request holds its place until `Pace.per` after its answer, and no jitter can bring
more than `Pace.requests` into one window. Who waits is served by class, then the project that asked least of late,
then by age. A pause (after a 429) stops the
whole scope.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from functools import partial
from typing import Any, Protocol

import httpx

from hub.clock import Clock, SystemClock
from hub.ports import Pace
from hub.store.turns import OWN, Shares, whose

__all__ = [
    "AT_ONCE",
    "Cost",
    "PacedTransport",
    "Pacer",
    "Place",
    "SharedPace",
    "Urgency",
    "charge",
    "counted",
    "urgency",
]

#: for what lies under a `PacedTransport`: who got a place waits for no connection. Those who wait for one would all
#: leave at the same moment, when a vendor that hung answers again
AT_ONCE = httpx.Limits(max_connections=None, max_keepalive_connections=16)

#: when this process began, in monotonic seconds: what an earlier one asked before that is not known
started = SystemClock().monotonic()


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


def charge(requests: int) -> None:
    """Count ``requests`` that were sent elsewhere for what is done here."""
    cost = _cost.get()
    if cost is not None:
        cost.requests += requests


@dataclass(slots=True, eq=False)
class Place:
    """One request's place in the window; until ``free_at`` (monotonic seconds) nobody else gets it."""

    free_at: float
    #: None before it leaves; then whether it still waits for its answer
    is_under_way: bool | None = None
    #: its number in the window that processes share, 0 if it has none
    shared: int = 0

    def is_in_flight(self, now: float) -> bool:
        """Whether it counts among those on their way; one that never leaves counts for a window."""
        return self.free_at > now if self.is_under_way is None else self.is_under_way


class SharedPace(Protocol):
    """The window that all processes share which ask one vendor; `hub.store.shared_pace`."""

    async def take(self, scope: str, most: int, hold: float) -> tuple[int, float]:
        """(Number of a place, 0), or (0, seconds to wait); (0, 0) where nothing can be shared now."""

    async def give(self, place: int, hold: float) -> None:
        """Free the place in ``hold`` seconds."""

    async def pause(self, scope: str, seconds: float) -> None:
        """Nobody gets a place for so long."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Turn:
    urgency: int
    number: int
    #: the project that asks; where several share one limit they take turns (H8)
    owner: str
    granted: asyncio.Future[Place]


class Pacer:
    """Grants the right to begin one request; one per scope (account, integration or host)."""

    #: a vendor's clock and ours run at slightly different speeds
    MARGIN = timedelta(milliseconds=20)
    #: a request that hangs has arrived by then, if it ever does
    LONGEST = timedelta(seconds=1)
    #: longer than any time-out lets a request look for a connection
    LEAVING = timedelta(minutes=1)

    def __init__(self, pace: Pace, clock: Clock, *, scope: str = "", shared: SharedPace | None = None) -> None:
        """``shared``: the window of ``scope`` in which other processes take places too (H9)."""
        self.pace = pace
        self._scope, self._shared = scope, shared
        self._telling: set[asyncio.Task[None]] = set()
        self._clock = clock
        self._window = (pace.per + self.MARGIN).total_seconds()
        #: those that are not free, at most `Pace.requests`
        self._places: list[Place] = []
        self._waiting: list[_Turn] = []
        #: how much of the limit each project has used of late
        self._shares = Shares(clock.monotonic)
        self._numbers = itertools.count()
        # a process that died just now may have used up the window
        self._paused_until = started + self._window if isinstance(clock, SystemClock) else 0.0
        self._backoff = 0.0
        self._timer: asyncio.TimerHandle | None = None
        #: raises where this process may not ask any more, right before a request leaves (H9)
        self.guard: Callable[[], None] = lambda: None
        #: requests granted since the start
        self.granted = 0

    async def acquire(self) -> Place:
        """Wait for this request's turn. Unless it is told by `sent`, its place is free again after one window."""
        loop = asyncio.get_running_loop()
        turn = _Turn(
            urgency=_urgency.get(), number=next(self._numbers), owner=whose() or OWN, granted=loop.create_future()
        )
        self._waiting.append(turn)
        self._serve()
        place = await turn.granted
        if self._shared is not None:
            await self._share(place, self._shared)
        charge(1)
        return place

    async def _share(self, place: Place, shared: SharedPace) -> None:
        """Wait for a place among all processes; a turn of this one keeps its order."""
        longest = self.LONGEST.total_seconds() + self._window
        while True:
            place.shared, wait = await shared.take(self._scope, self.pace.requests, longest)
            if not wait:
                return
            await asyncio.sleep(min(wait, 1.0))

    def _tell(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(telling, name="shared pace")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def idle(self) -> None:
        """Wait a moment for the other processes to know what they were to be told: before what is shared closes."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=1)

    def begun(self, place: Place) -> None:
        """The request looks for its way out: a connection is made, and this process may stand still meanwhile.

        Its place is held until it is `sent` or over, however long that takes.
        """
        self._hold(place, self.LEAVING)

    def sent(self, place: Place) -> None:
        """The request has left: it may arrive at any moment until it is `answered`."""
        self._hold(place, self.LONGEST)
        self._serve()

    def _hold(self, place: Place, longest: timedelta) -> None:
        place.free_at = self._clock.monotonic() + longest.total_seconds() + self._window
        place.is_under_way = True
        # who was granted it was long in coming, and it was taken for free
        if place not in self._places:
            self._places.append(place)

    def answered(self, place: Place) -> None:
        """The request has certainly arrived, or never will."""
        place.free_at = min(place.free_at, self._clock.monotonic() + self._window)
        if self._shared is not None and place.shared:
            self._tell(self._shared.give(place.shared, self._window))
        self.given_up(place)

    def given_up(self, place: Place) -> None:
        """Nobody waits for the answer any more, but the request may still arrive."""
        place.free_at = min(place.free_at, self._clock.monotonic() + self.LONGEST.total_seconds() + self._window)
        place.is_under_way = False
        self._serve()

    def pause(self, retry_after: timedelta | None = None) -> float:
        """Stop the scope: for ``retry_after`` if the vendor named it, else for a growing time from 1 s to 60 s.

        Returns the seconds of the pause.
        """
        self._backoff = min(60.0, max(1.0, self._backoff * 2))
        seconds = retry_after.total_seconds() if retry_after else self._backoff * random.uniform(0.9, 1.1)
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        if self._shared is not None:
            self._tell(self._shared.pause(self._scope, seconds))
        self._serve()
        return seconds

    def succeeded(self) -> None:
        """The vendor answered: the next pause starts small again."""
        self._backoff = 0.0

    @property
    def headroom(self) -> float:
        """The share of the window that is unused now, 0 to 1, for the metric of the same name."""
        return self._free(self._clock.monotonic()) / min(self.pace.requests, self.pace.in_flight or self.pace.requests)

    def room_for(self, how: Urgency, *, has_some: bool = True, within: float = 0.0) -> int:
        """How many more requests of this class are worth being put together now.

        As many as can leave at once; and one while only less urgent ones wait, or they would take every place that
        becomes free, and a popup would wait for an import after all. Also one for who ``has_some`` not, behind those
        that wait: a feed that asks for page after page would always be before them. ``within``: seconds that it takes
        to put one together.
        """
        now = self._clock.monotonic()
        if self._paused_until > now:
            return 0
        own = whose() or OWN
        used = self._shares.used(own)
        ahead = sum(
            1
            for turn in self._waiting
            if not turn.granted.cancelled()
            and turn.urgency <= how
            and (turn.urgency < how or turn.owner == own or self._shares.used(turn.owner) <= used)
        )
        room = self._free(now) + sum(1 for place in self._places if now < place.free_at <= now + within) - ahead
        return max(room, 1 if self.waiting and not (ahead and has_some) else 0)

    @property
    def ready_in(self) -> float:
        """Seconds until a place may be free, 0 if one is."""
        now = self._clock.monotonic()
        return max(0.0, self._next_start(now) - now)

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return sum(1 for turn in self._waiting if not turn.granted.cancelled())

    def _free(self, now: float) -> int:
        """How many requests may begin now."""
        self._places = [place for place in self._places if place.free_at > now or self._counts(place, now)]
        begun = sum(1 for place in self._places if place.free_at > now)
        free = self.pace.requests - begun
        if self.pace.in_flight is not None:
            free = min(free, self.pace.in_flight - sum(1 for place in self._places if place.is_in_flight(now)))
        return free

    def _counts(self, place: Place, now: float) -> bool:
        return self.pace.in_flight is not None and place.is_in_flight(now)

    def _next_start(self, now: float) -> float:
        if self._free(now) > 0:
            return max(now, self._paused_until)
        # a place that waits for its answer is freed by the answer, at no moment known before
        known = [place.free_at for place in self._places if place.free_at > now]
        is_full = self.pace.in_flight is not None and self.pace.in_flight <= sum(
            1 for place in self._places if place.is_under_way
        )
        return math.inf if is_full or not known else max(min(known), self._paused_until)

    def _serve(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = [turn for turn in self._waiting if not turn.granted.cancelled()]
        while self._waiting:
            now = self._clock.monotonic()
            start = self._next_start(now)
            if start == math.inf:
                return
            if start > now:
                self._timer = asyncio.get_running_loop().call_later(start - now, self._serve)
                return
            turn = min(self._waiting, key=lambda turn: (turn.urgency, self._shares.used(turn.owner), turn.number))
            self._waiting.remove(turn)
            self._shares.charge(turn.owner, 1)
            place = Place(now + self._window)
            self._places.append(place)
            self.granted += 1
            turn.granted.set_result(place)


class PacedTransport(httpx.AsyncBaseTransport):
    """Sends each request when its scope's pacer allows; the only way out to a vendor.

    Whoever still asks while it closes is told that there is no connection: nobody has to be stopped before, and no
    connection is made that nobody would close.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, pacer: Pacer) -> None:
        self._inner = inner
        self.pacer = pacer
        self._is_closed = False
        #: the requests that have no answer yet
        self._asking: set[asyncio.Timeout] = set()
        self._is_quiet = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        is_sent = False
        try:
            async with self._until_closed():
                place = await self.pacer.acquire()
                self.pacer.guard()
                self.pacer.begun(place)
                request.extensions = {**request.extensions, "trace": partial(self._hear, place)}
                is_sent = True
                done = self.pacer.answered
                try:
                    return await self._inner.handle_async_request(request)
                except (asyncio.CancelledError, httpx.TimeoutException):
                    done = self.pacer.given_up
                    raise
                finally:
                    done(place)
        except TimeoutError as err:
            if is_sent:
                raise httpx.ReadError("the connection was closed before the answer came", request=request) from err
            raise httpx.ConnectError("the connection is closed", request=request) from err

    async def _hear(self, place: Place, event: str, _: Any) -> None:
        """What httpcore tells of a request on its way; the body is sent also where it is empty."""
        if event.endswith(".send_request_body.complete"):
            self.pacer.sent(place)

    @asynccontextmanager
    async def _until_closed(self) -> AsyncIterator[None]:
        """Raises TimeoutError where `aclose` came before."""
        if self._is_closed:
            raise TimeoutError
        async with asyncio.timeout(None) as asking:
            self._asking.add(asking)
            try:
                yield
            finally:
                self._asking.discard(asking)
                if not self._asking:
                    self._is_quiet.set()

    async def aclose(self) -> None:
        """Cut off what has no answer yet, refuse what comes, release the connections; may be called twice."""
        self._is_closed = True
        now = asyncio.get_running_loop().time()
        for asking in list(self._asking):
            asking.reschedule(now)
        while self._asking:
            self._is_quiet.clear()
            await self._is_quiet.wait()
        await self._inner.aclose()
        # a socket says goodbye on the loop's next turn; if the loop ends before, it is left open
        await asyncio.sleep(0)
