"""The sandbox's own clock: real time, until a test sets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["SandboxClock", "stamp"]


class SandboxClock:
    """Tells the vendor's "now"; ``advance`` moves it on."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return (datetime.now(UTC) if self._at is None else self._at) + self._ahead

    def set(self, at: datetime) -> None:
        """Stand at ``at`` (aware) from here on."""
        if at.tzinfo is None:
            raise ValueError("the clock takes an aware moment")
        self._at, self._ahead = at, timedelta(0)

    def advance(self, step: timedelta) -> None:
        self._ahead += step


def stamp(at: datetime) -> str:
    """``2026-03-02T08:15:11.421Z``"""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
