"""The sandbox's own time: real seconds plus what a test has added, told in the account's zone without an offset."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class SandboxClock:
    """Runs with real time and can be advanced. The rate limit and latency do not read it."""

    def __init__(self, zone: str, start_at: float | None = None) -> None:
        self.zone = ZoneInfo(zone)
        self._start_at = start_at
        self.restart()

    def restart(self) -> None:
        """Back to the time at which the sandbox was opened."""
        self._added = 0.0 if self._start_at is None else self._start_at - time.time()

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self._added

    def advance(self, seconds: float) -> float:
        """Go ``seconds`` forward; the new now."""
        if seconds < 0:
            raise ValueError("the sandbox's clock only goes forward")
        self._added += seconds
        return self.now()

    def told(self) -> str:
        """Now as the vendor writes a date-time: ``Y-m-d H:i:s``, in the account's zone."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")
