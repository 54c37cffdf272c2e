"""The rate limit per key: one for ordinary methods, another for telephony (1, Limits)."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

from .config import Switches


class Limiter:
    """Admits so many requests of a key in any sliding second of real time."""

    def __init__(self, switches: Callable[[], Switches], now: Callable[[], float] = time.monotonic) -> None:
        self._switches = switches
        #: seconds on the clock that it counts by; whoever stops it makes one window last
        self.now = now
        self._admitted: dict[tuple[str, bool], deque[float]] = defaultdict(deque)
        self.violations = 0
        self.most_in_a_second = 0

    def admits(self, key: str, *, is_telephony: bool) -> bool:
        """Whether the request may pass; it counts if it does."""
        switches = self._switches()
        limit = switches.telephony_per_second if is_telephony else switches.limit_per_second
        if limit is None:
            return True
        now, passed = self.now(), self._admitted[key, is_telephony]
        while passed and now - passed[0] >= 1.0:
            passed.popleft()
        if len(passed) >= limit:
            self.violations += 1
            return False
        passed.append(now)
        if not is_telephony:
            self.most_in_a_second = max(self.most_in_a_second, len(passed))
        return True

    def reset(self) -> None:
        """Forget all counts."""
        self._admitted.clear()
        self.violations = self.most_in_a_second = 0
