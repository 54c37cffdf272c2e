"""The rate limit per integration, and the ban that follows repeated violations (reference 2, 3)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from .config import Switches

_WINDOW = 1.0


class Verdict(Enum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    THROTTLED = "throttled"
    BANNED = "banned"


@dataclass(slots=True)
class _Account:
    admitted: deque[float] = field(default_factory=deque)
    arrived: deque[float] = field(default_factory=deque)
    violations: int = 0
    streak: int = 0
    last_violation: float = float("-inf")
    most_in_a_second: int = 0
    banned: bool = False


class Limiter:
    """Counts arrivals of real monotonic time in a sliding second."""

    def __init__(self, switches: Callable[[], Switches], now: Callable[[], float] = time.monotonic) -> None:
        self._switches = switches
        self._now = now
        self._accounts: dict[str, _Account] = {}

    def admit(self, client_id: str) -> Verdict:
        """Judge one request of an integration; counts it whatever the verdict."""
        now, switches = self._now(), self._switches()
        account = self._accounts.setdefault(client_id, _Account())
        account.arrived.append(now)
        _forget(account.arrived, now)
        account.most_in_a_second = max(account.most_in_a_second, len(account.arrived))
        if account.banned:
            return Verdict.BANNED
        limit = switches.limit_per_second
        if limit is None:
            return Verdict.ADMITTED
        _forget(account.admitted, now)
        if len(account.admitted) < limit:
            account.admitted.append(now)
            if now - account.last_violation >= _WINDOW:
                account.streak = 0
            return Verdict.ADMITTED
        account.violations += 1
        account.streak += 1
        account.last_violation = now
        if switches.ban_after is not None and account.streak >= switches.ban_after:
            account.banned = True
            return Verdict.BANNED
        return Verdict.THROTTLED

    def is_banned(self, client_id: str) -> bool:
        """Whether the integration is banned: then nothing is served to it, tokens neither."""
        account = self._accounts.get(client_id)
        return account is not None and account.banned

    def ban(self, client_id: str) -> None:
        """Ban at once."""
        self._accounts.setdefault(client_id, _Account()).banned = True

    def lift(self) -> None:
        """What the vendor's support does: every ban is lifted."""
        for account in self._accounts.values():
            account.banned, account.streak = False, 0

    def reset(self) -> None:
        """Forget all counts."""
        self._accounts.clear()

    @property
    def violations(self) -> int:
        """Requests that came over the limit, of all integrations."""
        return sum(account.violations for account in self._accounts.values())

    @property
    def most_in_a_second(self) -> int:
        """The most requests of one integration that arrived within any sliding second."""
        return max((account.most_in_a_second for account in self._accounts.values()), default=0)

    @property
    def banned(self) -> list[str]:
        """Integrations that are banned now."""
        return [client_id for client_id, account in self._accounts.items() if account.banned]


def _forget(moments: deque[float], now: float) -> None:
    while moments and now - moments[0] >= _WINDOW:
        moments.popleft()
