"""The only place that reads the wall clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "FakeClock", "Stamp", "SystemClock"]


class Clock(Protocol):
    """Tells the time; everything else receives ``now`` as an argument."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, for measuring and pacing."""
        ...


@dataclass(frozen=True, slots=True)
class Stamp:
    """What time it was, and how long ago that is, whatever the wall clock is set to since."""

    at: datetime
    #: `Clock.monotonic` then
    tick: float

    @classmethod
    def of(cls, clock: Clock, at: datetime | None = None) -> Stamp:
        """Now, or ``at``, which is not later."""
        now, tick = clock.now(), clock.monotonic()
        return cls(now, tick) if at is None else cls(at, tick - max(0.0, (now - at).total_seconds()))

    def age(self, clock: Clock) -> timedelta:
        """The time that has passed since."""
        return timedelta(seconds=clock.monotonic() - self.tick)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class FakeClock:
    """A clock that stands still until it is told to advance, for tests and rehearsals."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("FakeClock needs an aware datetime")
        self._now = start.astimezone(UTC)
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, by: timedelta) -> None:
        """Move time forward by ``by``."""
        self._now += by
        self._elapsed += by.total_seconds()

    def step(self, by: timedelta) -> None:
        """Set the wall clock ``by`` further, or back: no time passes (NTP)."""
        self._now += by
