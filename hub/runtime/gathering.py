"""When a request that is not full waits for more of its kind (X6).

Alone, an action goes at once. While the account's requests are scarce every request that leaves half empty is one that
a later interaction lacks: then of each kind only so many leave with room in them, as long as more of the kind is on
its way.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from hub.runtime.batches import Batch
from hub.runtime.pace import Urgency

__all__ = ["Gathering"]


class Gathering:
    """Which requests of one account wait for more; ``is_on`` while one does, since the last look at what waits."""

    #: nobody waits longer than this for the answer to the last request of the kind: it may hang
    ANSWER = timedelta(seconds=1)
    #: between two requests of a kind that leave with room in them
    REST = timedelta(seconds=2)
    #: a kind that leaves no full request for so long goes before those that are full
    LONGEST = timedelta(seconds=10)
    #: so many decisions may be made before it is looked what they want; a twentieth of a second each in a burst
    UNSEEN = 25

    def __init__(self) -> None:
        self.is_on = False
        #: decisions made since the last look
        self._unseen = 0
        #: when the last request of each kind left, and that of those that have no answer yet
        self._left: dict[str, datetime] = {}
        self._begun: dict[str, datetime] = {}

    def left(self, kind: str, now: datetime) -> None:
        """A request of ``kind`` leaves."""
        self._left[kind] = self._begun[kind] = now

    def answered(self, kind: str) -> None:
        """It has its answer."""
        self._begun.pop(kind, None)

    def looks(self) -> None:
        """A look at what waits begins: decisions made from now on may be missing in it."""
        self._unseen = 0

    def saw(self) -> None:
        """It is known what waits; what has to wait for more is asked anew."""
        self.is_on = False

    def is_enough(self, further: int = 1) -> bool:
        """Of ``further`` decisions, which are in no hurry: whether what is not seen yet is worth a look."""
        self._unseen += further
        return self._unseen > 0 and (not self.is_on or self._unseen >= self.UNSEEN)

    def turn(self, batch: Batch, *, size: int, now: datetime) -> int:
        """In which turn ``batch`` leaves, of those that are as urgent: what has room goes last, while places last.

        What must not wait for ever is taken for full: a place that a half-empty request gets is one that a full one
        lacks, but only as long as there are full ones.
        """
        left = self._left.get(batch.kind)
        return int(len(batch.units) < size and left is not None and _is_within(now - left, self.LONGEST))

    def until(self, batch: Batch, *, size: int, coming: int, is_scarce: bool, now: datetime) -> datetime | None:
        """Until when ``batch`` waits for more to join it; None if it goes now.

        ``size`` is what a request takes, ``coming`` how many may join soon. Nobody waits for a person's popup.
        """
        if len(batch.units) >= size or batch.urgency <= Urgency.POPUP:
            return None
        begun, left = self._begun.get(batch.kind), self._left.get(batch.kind)
        if begun is not None and _is_within(now - begun, self.ANSWER):
            until = begun + self.ANSWER
        elif is_scarce and left is not None and _is_within(now - left, self.REST) and coming * 2 > len(batch.units):
            until = left + self.REST
        else:
            return None
        self.is_on = True
        return until


def _is_within(passed: timedelta, longest: timedelta) -> bool:
    """Whether less than ``longest`` has passed; nobody waits until a clock that was set back is there again."""
    return timedelta() <= passed < longest
