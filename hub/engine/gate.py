"""The gate before the event loop: background work passes it one short slice at a time (H8, DESIGN 11).

One loop answers the telephony and the browsers, and does all that follows. What follows may be far more than the core
can do, so everything between two awaits of a background coroutine is a slice that needs leave: one slice in a pass of
the loop, then the loop looks at its sockets and answers whoever asks, then the slice of the project that used the
processor least of late. Requests pass no gate.

A slice that has begun is not cut short. So who uses more than half of all begins none while somebody else's work is
about to go on: while the writer commits for it, and for two passes after each of its slices. The same holds while the
writer commits for a request: it would want the interpreter, and the core, against the background (H3).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from hub.store.turns import OWN, Shares, Turns, whose

__all__ = ["Gate"]

T = TypeVar("T")


class _Leave(asyncio.Future[None]):
    """One slice that waits for its turn."""

    owner: str


class Gate:
    """One per event loop. ``processor_time`` tells seconds that the calling thread has used."""

    #: slices together may take so much of one pass of the loop, in seconds: then whoever asks something is answered
    PASS = 0.0005
    #: then so many passes are theirs alone: to be let in, to be read, to be answered
    GAP = 3
    #: seconds that go on at once, without either, between two such gaps: of projects that use little beside others
    LIGHT = 0.002
    #: so many passes may bring the next slice of one who uses little, before anybody begins who uses much
    LEAD = 2
    #: so long, in seconds, those who use much are held up for requests at most, between two of their slices
    HOLD = 0.006
    #: the same for projects that use little: longer, since who is held up for long uses less than half soon
    HOLD_FOR_LIGHT = 0.025

    def __init__(self, shares: Shares, *, processor_time: Callable[[], float] = time.thread_time) -> None:
        self.shares, self.processor_time = shares, processor_time
        self._waiting: Turns[_Leave] = Turns(lambda leave: leave.owner, shares)
        #: what slices have taken of this pass; more than `PASS` while nobody may go on in it
        self._taken = 0.0
        #: what the slices of projects that use little may still take at once
        self._light_left = self.LIGHT
        #: who has leave and has not begun yet
        self._given: str | None = None
        self._is_pass_counted = False
        #: passes that belong to requests before the next slice
        self._gap = 0
        #: passes that belong to one who uses little before the next slice of one who uses much
        self._lead = 0
        #: the loop's time since when the next of these is held up
        self._held_since: float | None = None
        #: ends that, where no pass comes before
        self._timer: asyncio.TimerHandle | None = None
        shares.served = self._served

    def make_task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        """For `asyncio.AbstractEventLoop.set_task_factory`: whatever is begun in the background passes the gate."""
        if whose() is None or not asyncio.iscoroutine(work):
            return asyncio.Task(work, loop=loop, **options)
        task = _Gated(self._pass(work), work=work, loop=loop, **options)
        # a task that is cancelled before it began never comes to the work, and nobody else would end it
        task.add_done_callback(lambda _: work.close())
        return task

    async def _pass(self, work: Coroutine[Any, Any, T]) -> T:
        return await _Sliced(self, work)

    # --- of one slice -------------------------------------------------------------------------------------------

    def is_open(self, owner: str) -> bool:
        """Whether a slice of ``owner`` may begin at once."""
        if self._given == owner or self._waiting.has(owner):
            # one's own slices keep their order: what was told first is done first
            return False
        if self._light_left > 0 and self.shares.is_light(owner):
            # of a flood's slices those under way are enough to wait for, each time that there is an answer (H8)
            return not self._waiting or self.shares.used(self._waiting.first_owner()) >= self.shares.used(owner)
        return self._given is None and not self._waiting and self._taken < self.PASS and not self._is_serving

    async def leave(self, owner: str) -> None:
        """Wait for ``owner``'s turn."""
        loop = asyncio.get_running_loop()
        leave = _Leave(loop=loop)
        leave.owner = owner
        self._waiting.append(leave)
        self._count_pass(loop)
        try:
            await leave
        finally:
            if leave.done() and not leave.cancelled():
                self._given = None
            elif leave in self._waiting:
                self._waiting.remove(leave)

    def ended(self, owner: str, seconds: float) -> None:
        """A slice of ``owner`` has taken ``seconds``."""
        self.shares.charge(owner, seconds)
        self._taken += seconds
        if self.shares.is_light(owner):
            self._light_left -= seconds
            self._lead = self.LEAD
        self._gap = self.GAP
        self._count_pass(asyncio.get_running_loop())

    # --- of one pass --------------------------------------------------------------------------------------------

    def _count_pass(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_pass_counted:
            self._is_pass_counted = True
            loop.call_soon(self._begin_pass, loop)

    def _begin_pass(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop has looked at its sockets since the last one: the next in turn may go on."""
        self._is_pass_counted = False
        if self._gap and self._taken >= self.PASS:
            self._gap -= 1
            self._count_pass(loop)
            return
        self._taken, self._light_left = 0.0, self.LIGHT
        if self._is_held(loop):
            return
        while self._waiting and self._given is None:
            leave = self._waiting.popleft()
            if not leave.done():
                self._given = leave.owner
                leave.set_result(None)
        if self._waiting:
            self._count_pass(loop)

    def _is_held(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether whoever waits here, and uses much, is to wait on, since somebody else goes on at once (H8)."""
        if not (self._waiting and (self._is_serving or self._lead)):
            self._held_since = None
            return False
        if self.shares.is_light(self._waiting.first_owner()):
            return False
        now = loop.time()
        if self._held_since is None:
            self._held_since = now
        is_for_light = self.shares.is_serving or self._lead
        left = self._held_since + (self.HOLD_FOR_LIGHT if is_for_light else self.HOLD) - now
        if left <= 0:
            self._held_since = None
            return False
        if not self._is_serving:
            self._lead -= 1
            self._count_pass(loop)
        elif self._timer is None:
            # no pass may come by itself
            self._timer = loop.call_later(left, self._held_enough, loop)
        return True

    def _held_enough(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._count_pass(loop)

    @property
    def _is_serving(self) -> bool:
        return self.shares.is_serving or self.shares.is_answering

    def _served(self) -> None:
        """A thread has done what somebody waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._held_enough(asyncio.get_running_loop())


class _Gated(asyncio.Task[Any]):
    """Tells the coroutine that it was made of: who asks whether that has begun is not told that the gate has.

    Anyio does not cancel what has not begun, since a part of that would be left over.
    """

    def __init__(self, passing: Coroutine[Any, Any, Any], *, work: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._work = work
        super().__init__(passing, **options)

    def get_coro(self) -> Any:
        """What was to be run."""
        return self._work


class _Sliced(Generic[T]):
    """Drives a coroutine as its task would, but asks the gate before each slice, for whom it works then."""

    def __init__(self, gate: Gate, work: Coroutine[Any, Any, T]) -> None:
        self._gate, self._work = gate, work

    def __await__(self) -> Generator[Any, Any, T]:
        gate, work = self._gate, self._work
        error: BaseException | None = None
        try:
            while True:
                owner = whose() or OWN
                # who is cancelled ends at once
                if not isinstance(error, asyncio.CancelledError) and not gate.is_open(owner):
                    try:
                        yield from gate.leave(owner).__await__()
                    except asyncio.CancelledError as cancelled:
                        error = cancelled
                began = gate.processor_time()
                try:
                    awaited = work.send(None) if error is None else work.throw(error)
                except StopIteration as ended:
                    result: T = ended.value
                    return result
                finally:
                    gate.ended(owner, gate.processor_time() - began)
                error = None
                try:
                    yield awaited
                except GeneratorExit:
                    raise
                except BaseException as raised:  # noqa: BLE001 - it is the coroutine's own
                    error = raised
        finally:
            work.close()
