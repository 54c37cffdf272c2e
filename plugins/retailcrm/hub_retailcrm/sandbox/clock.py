"""The account's own time: the sandbox's clock, told in the account's zone without an offset."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hub_sandbox import SandboxClock

__all__ = ["AccountClock"]


class AccountClock(SandboxClock):
    """Knows the account's zone."""

    def __init__(self, zone: str, start_at: float | None = None) -> None:
        super().__init__(start_at)
        self.zone = ZoneInfo(zone)

    def told(self) -> str:
        """Now as the vendor writes a date-time: ``Y-m-d H:i:s``, in the account's zone."""
        return datetime.fromtimestamp(self.now(), UTC).astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")
