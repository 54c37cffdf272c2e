"""How far this machine's clock runs ahead of a vendor's, by the ``Date`` of its answers (X5).

What was lost is looked for in lists "changed since": the moment is one of our clock, the times of the records are the
vendor's. A clock that runs ahead would ask for a time after the record was made, and prove that it is not there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from hub.clock import Clock

__all__ = ["TOLERATED", "DatedTransport", "VendorClock"]

log = logging.getLogger(__name__)

T = TypeVar("T")

#: clocks that are further apart are a person's to mend
TOLERATED = timedelta(seconds=30)
#: no clock that serves TLS is further ahead; a header that says so is not allowed for in full
_MOST = timedelta(days=1)
#: ``Date`` has no fractions of a second
_SECOND = timedelta(seconds=1)
#: a lead that has grown by less is covered by the plugins' own allowance for clocks
_JITTER = timedelta(seconds=10)


class VendorClock:
    """What the answers of one account said of its vendor's clock."""

    def __init__(self, name: str = "") -> None:
        """``name``: of the connection, for the log."""
        self._name = name
        self._last = ""
        #: how far our clock certainly is ahead, by the last answer; negative if it is behind
        self.ahead = timedelta()
        #: the most that it was ahead since this process began: what was sent then bears that time, whatever the clock
        #: was set to since. Never negative: who is behind asks for too much, which harms nothing
        self.lead = timedelta()

    def theirs(self, moment: datetime) -> datetime:
        """What the vendor's clock shows when ours shows ``moment``, by the last answer."""
        return moment - max(-_MOST, min(self.ahead, _MOST))

    @property
    def is_wrong(self) -> bool:
        """True if a person should set one of the clocks."""
        return abs(self.ahead) > TOLERATED

    def heard(self, date: str, asked: datetime, answered: datetime) -> None:
        """An answer to what was asked at ``asked`` came at ``answered`` and bore ``date``; never raises."""
        if date == self._last:
            return
        self._last = date
        try:
            said = parsedate_to_datetime(date)
        except ValueError:
            return
        said = said.replace(tzinfo=UTC) if said.tzinfo is None else said
        was_wrong = self.is_wrong
        # it was said at some moment between question and answer, and up to a second after what it says
        self.ahead = max(asked - said - _SECOND, timedelta()) or min(answered - said, timedelta())
        self.lead = max(self.lead, min(self.ahead, _MOST))
        if self.is_wrong and not was_wrong:
            log.warning(
                "this machine's clock is %d s %s that of %s: set it, e.g. by NTP",
                abs(self.ahead).total_seconds(),
                "ahead of" if self.ahead > timedelta() else "behind",
                self._name,
                extra={"action": "connection.clock", "seconds": self.ahead.total_seconds()},
            )

    async def allowing(self, ask: Callable[[timedelta], Awaitable[T]]) -> T:
        """What ``ask`` answers when it is told how much earlier to begin; asked again if its answers show a greater
        lead than was known, as after a start."""
        while True:
            allowed = self.lead
            answer = await ask(allowed)
            if self.lead <= allowed + _JITTER:
                return answer


class DatedTransport(httpx.AsyncBaseTransport):
    """Reads the ``Date`` of every answer."""

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: Clock, heard: VendorClock) -> None:
        self._inner, self._clock, self._heard = inner, clock, heard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = self._clock.now()
        response = await self._inner.handle_async_request(request)
        if date := response.headers.get("date", ""):
            self._heard.heard(date, asked, self._clock.now())
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
