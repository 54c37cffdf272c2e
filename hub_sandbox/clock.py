"""A sandbox's own time: the real one, plus what a test has added to it."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SandboxClock"]


class SandboxClock:
    """Unix seconds that run with real time and can be advanced from outside.

    Tokens, repeats and search indexes read this clock. Rate limits and latency do not: they are measured on real
    monotonic time, for that is what a client feels.
    """

    def __init__(self, start_at: float | None = None) -> None:
        self._start_at = start_at
        self._watchers: list[Callable[[], None]] = []
        self.restart()

    def now(self) -> float:
        """Unix seconds with fractions."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> float:
        """Add ``seconds`` (they cannot be taken back) and return the new now."""
        if seconds < 0:
            raise ValueError("the sandbox's clock only goes forward")
        self._offset += seconds
        for watcher in list(self._watchers):
            watcher()
        return self.now()

    def restart(self) -> None:
        """Back to the time at which the sandbox was opened: real time, or ``start_at``."""
        self._offset = 0.0 if self._start_at is None else self._start_at - time.time()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` after each jump, so that whoever waits for an hour can look again."""
        self._watchers.append(watcher)
