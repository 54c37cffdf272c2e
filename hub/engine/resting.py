"""Accounts whose CRM could not be asked for what a decision wants: their lanes rest until it can (H4)."""

from __future__ import annotations

from datetime import timedelta

from hub.clock import Clock
from hub.errors import Banned, NeedsCredentials, Unavailable, VendorError
from hub.store.work import Lane

__all__ = ["Resting"]


class Resting:
    """How many of an account's undecided lanes are worth waking.

    Thousands of clients of a CRM that is dead and was never read whole would ask for it again and again, each of them;
    so a few do, and once one of them is answered all others follow.
    """

    #: of an account that answers, at one sweep; and of one that did not
    MANY, FEW = 200, 8
    #: how long such an account is left alone
    PAUSE = timedelta(seconds=5)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: monotonic seconds
        self._until: dict[tuple[str, str], float] = {}

    def failed(self, lane: Lane, why: VendorError) -> bool:
        """The lane's question failed; whether nobody of the account could ask, and it is left alone for a while."""
        is_away = isinstance(why, Unavailable | NeedsCredentials | Banned)
        if is_away:
            self._until[lane.project, lane.connection] = self._clock.monotonic() + self.PAUSE.total_seconds()
        return is_away

    def answered(self, lane: Lane) -> None:
        """The account answers."""
        self._until.pop((lane.project, lane.connection), None)

    def is_well(self, lane: Lane) -> bool:
        """Whether no question to the account has failed since the last that was answered."""
        return (lane.project, lane.connection) not in self._until

    def room(self, project: str, connection: str) -> int:
        """How many lanes of the account may be woken now; 0 while it is left alone."""
        until = self._until.get((project, connection))
        if until is None:
            return self.MANY
        return self.FEW if until <= self._clock.monotonic() else 0
