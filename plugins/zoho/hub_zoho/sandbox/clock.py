"""The sandbox's own time: the real one, plus what a test has added to it."""

from __future__ import annotations

import time


class SandboxClock:
    """Unix seconds that run with real time and can be advanced from outside.

    Tokens, channels, credits and the search index read this clock; concurrency and latency are real.
    """

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Unix seconds with fractions."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> float:
        """Add ``seconds`` (they cannot be taken back) and return the new now."""
        if seconds < 0:
            raise ValueError("the sandbox's clock only goes forward")
        self._offset += seconds
        return self.now()

    def restart(self) -> None:
        """Back to real time."""
        self._offset = 0.0
