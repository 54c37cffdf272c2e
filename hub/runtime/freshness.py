"""How long a change in the CRM took to reach the directory, measured on every change that came (X9)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from hub.core.records import Company, Contact, Deal, RecordRef, Task

__all__ = ["Freshness", "Measured", "Path"]

#: the CRM told us, or we asked
Path: TypeAlias = Literal["webhook", "poll"]
#: records whose last change is remembered, so that a second reading of it is no second measurement
_MOST_KNOWN = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The delays of the last hour; zero where nothing changed."""

    count: int
    median: timedelta = timedelta(0)
    p95: timedelta = timedelta(0)
    slowest: timedelta = timedelta(0)


class Freshness:
    """Delays between a record's change in the CRM, by the CRM's own clock, and its being in the directory.

    The CRM tells whole seconds, so a delay may be told up to a second too long.
    """

    #: how far back `measured` looks
    WINDOW = timedelta(hours=1)

    def __init__(self, since: datetime) -> None:
        #: earlier changes are history that the feed catches up with, not news
        self._since = since.replace(microsecond=0)
        self._samples: deque[tuple[datetime, Path, timedelta]] = deque()
        self._known: dict[RecordRef, datetime] = {}

    def note(self, records: Iterable[Contact | Company | Deal | Task], path: Path, now: datetime) -> list[RecordRef]:
        """Measure ``records``, which are in the directory ``now``; those that were news."""
        news: list[RecordRef] = []
        for record in records:
            changed, ref = record.updated_at, record.ref
            if changed is None or changed < self._known.get(ref, self._since) or self._known.get(ref) == changed:
                continue
            self._known[ref] = changed
            self._samples.append((now, path, max(timedelta(0), now - changed)))
            news.append(ref)
        self._forget(now)
        return news

    def unknown(self, records: Iterable[Contact | Company | Deal | Task], before: datetime) -> list[RecordRef]:
        """Those of ``records`` whose last change, made before ``before``, is news to the directory."""
        return [
            record.ref
            for record in records
            if record.updated_at is not None
            and self._since <= record.updated_at < before
            and self._known.get(record.ref, self._since) < record.updated_at
        ]

    def measured(self, now: datetime, path: Path | None = None) -> Measured:
        """What the last hour showed, over both ways or one of them."""
        self._forget(now)
        delays = sorted(delay for _, by, delay in self._samples if path is None or by == path)
        if not delays:
            return Measured(count=0)
        return Measured(
            count=len(delays),
            median=delays[len(delays) // 2],
            p95=delays[min(len(delays) - 1, len(delays) * 95 // 100)],
            slowest=delays[-1],
        )

    def _forget(self, now: datetime) -> None:
        while self._samples and now - self._samples[0][0] > self.WINDOW:
            self._samples.popleft()
        if len(self._known) > _MOST_KNOWN:
            oldest = sorted(self._known, key=self._known.__getitem__)[: _MOST_KNOWN // 2]
            for ref in oldest:
                del self._known[ref]
