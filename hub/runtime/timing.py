"""When an account's writer asks, waits and gives up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["WriterTiming"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterTiming:
    """The times of one account's writer."""

    #: how long after a request could last have been applied it is looked for (policy ``timing.doubt_wait``)
    doubt_wait: timedelta = timedelta(seconds=30)
    #: how often a step may fail for itself before it needs attention
    most_attempts: int = 6
    #: requests on their way at the same time
    parallel: int = 4
    #: how long a barrier counts
    barrier_life: timedelta = timedelta(seconds=30)
    #: how long a write may stay unseen in the vendor's lists for clocks that differ
    clock_skew: timedelta = timedelta(seconds=30)
