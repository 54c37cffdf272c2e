"""The sandbox's own clock: real time until a test sets it, then that moment going on at real pace or standing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class SandboxClock:
    """Tells the vendor's "now". ``set`` makes it stand at a moment; ``advance`` moves it on."""

    def __init__(self, at: datetime | None = None) -> None:
        self._at = at

    def now(self) -> datetime:
        return datetime.now(UTC) if self._at is None else self._at

    def set(self, at: datetime | None) -> None:
        """Stand at ``at`` (aware); None goes back to real time."""
        if at is not None and at.tzinfo is None:
            raise ValueError("the clock takes an aware moment")
        self._at = at

    def advance(self, step: timedelta) -> None:
        self._at = self.now() + step
