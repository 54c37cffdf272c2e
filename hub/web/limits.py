"""What keeps one caller from taking everything: bodies bounded in size and time, requests bounded in number.

A timer for each request would cost more than the rest of a forwarding answer, so one `Watch` looks at all of them a
few times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

__all__ = ["FORM_LIMIT", "FORM_TIME", "Rate", "Unread", "Watch", "read_body", "read_form"]

#: bytes of a form that a person sends
FORM_LIMIT = 1_000_000
#: within which the whole of it must have come; nobody types while it is on its way
FORM_TIME = timedelta(seconds=20)


class Unread(StrEnum):
    """Why there is no body."""

    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    #: the caller hung up
    GONE = "gone"


async def read_body(receive: Receive, most: int) -> bytes | Unread:
    """The whole body of a request, if it has at most ``most`` bytes; the caller watches the time."""
    message = await receive()
    if message["type"] != "http.request":
        return Unread.GONE
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body if len(body) <= most else Unread.TOO_LARGE
    parts, size = [body], len(body)
    while size <= most:
        message = await receive()
        if message["type"] != "http.request":
            return Unread.GONE
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if not message.get("more_body", False):
            return b"".join(parts) if size <= most else Unread.TOO_LARGE
    return Unread.TOO_LARGE


async def read_form(request: Request, *, max_fields: int) -> FormData:
    """The fields of a form of at most `FORM_LIMIT` bytes, however its length is told, and within `FORM_TIME`.

    Raises HTTPException: 415 for a form that is no page's of ours (its letters could be told in any code), 413, 408.
    """
    size = 0
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise HTTPException(415, "this is no form of ours")

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > FORM_LIMIT:
            raise HTTPException(413, "this form is too large")
        return message

    try:
        async with asyncio.timeout(FORM_TIME.total_seconds()):
            return await Request(request.scope, receive).form(max_files=0, max_fields=max_fields)
    except TimeoutError:
        raise HTTPException(408, "this form came too slowly", headers={"Connection": "close"}) from None


class Watch:
    """Ends requests that take longer than ``longest``, and knows how many are under way.

    ::

        task = watch.enter()
        try:
            ...
        except asyncio.CancelledError:
            if not watch.was_late():
                raise
            ...  # too slow
        finally:
            watch.leave(task)
    """

    #: how often the requests are looked at, and so how much later than `longest` one may end
    EVERY = timedelta(milliseconds=250)

    def __init__(self, longest: timedelta, monotonic: Callable[[], float]) -> None:
        #: seconds
        self.longest = longest.total_seconds()
        self._monotonic = monotonic
        #: until when each may take
        self._watched: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._begun = asyncio.Event()

    @property
    def under_way(self) -> int:
        """How many requests are between `enter` and `leave`."""
        return len(self._watched)

    def enter(self) -> asyncio.Task[object]:
        """The current task begins a request; it is to `leave`."""
        task = asyncio.current_task()
        assert task is not None
        if not self._watched:
            self._begun.set()
        self._watched[task] = self._monotonic() + self.longest
        return task

    def leave(self, task: asyncio.Task[object] | None = None) -> None:
        """``task``, the current one if it is not given, is done with its request."""
        task = task or asyncio.current_task()
        assert task is not None
        del self._watched[task]

    def was_late(self) -> bool:
        """True if the current task was cancelled for its time alone; the cancellation is then taken back."""
        task = asyncio.current_task()
        assert task is not None
        if task not in self._late:
            return False
        self._late.discard(task)
        return task.uncancel() == 0

    async def run(self) -> None:
        """Look at the requests until cancelled; sleeps while there are none."""
        while True:
            await self._begun.wait()
            await asyncio.sleep(self.EVERY.total_seconds())
            self.look()
            if not self._watched:
                self._begun.clear()

    def look(self) -> None:
        """End the requests that are late now."""
        now = self._monotonic()
        for task, until in self._watched.items():
            if until < now and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._late &= self._watched.keys()


class Rate:
    """At most ``most`` in any ``per`` for each key, roughly: two windows are weighed, nothing is kept per request."""

    def __init__(self, most: int, per: timedelta, monotonic: Callable[[], float]) -> None:
        self._most, self._per, self._monotonic = most, per.total_seconds(), monotonic
        self._window = 0
        self._now: dict[str, int] = {}
        self._before: Mapping[str, int] = {}

    def allows(self, key: str) -> bool:
        """Count one more for ``key``; False if that is too many."""
        window, passed = divmod(self._monotonic(), self._per)
        if int(window) != self._window:
            self._before = self._now if int(window) == self._window + 1 else {}
            self._now, self._window = {}, int(window)
        weighed = self._now.get(key, 0) + self._before.get(key, 0) * (1 - passed / self._per)
        if weighed >= self._most:
            return False
        self._now[key] = self._now.get(key, 0) + 1
        return True
