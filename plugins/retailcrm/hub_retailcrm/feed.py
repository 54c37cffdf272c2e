"""What changed since a moment: the histories, by ``sinceId``, without the hub's own changes (H6, reference 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, ValidationError

from hub.clock import Clock
from hub.core.records import RecordRef
from hub.ports import Changes
from hub_retailcrm import wire
from hub_retailcrm.client import RetailCrmClient
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.moment import to_floor
from hub_retailcrm.reading import Collected, Listed, Records, refs_of, repeating, subject

__all__ = ["Feed", "News", "Position"]

#: how far back the newest entry is looked for when a feed begins
_LOOK_BACK = timedelta(minutes=2)
#: what was looked back covers a lead that has grown by less
_JITTER = timedelta(seconds=10)


class Position(BaseModel):
    """Where the feed stands: the last entry seen of each history, or the moment it began while there was none."""

    last: dict[Listed, int] = {}
    since: str = ""

    @classmethod
    def parse(cls, cursor: str) -> Position | None:
        """None for "" and for a cursor that cannot be read: the feed then starts from now."""
        try:
            found = cls.model_validate_json(cursor) if cursor else None
        except ValidationError:
            return None
        return found if found is not None and (found.since or found.last) else None


@dataclass(slots=True)
class News:
    """What a stretch of one history came to."""

    touched: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    #: into these, others were merged: their orders may be others' now
    survivors: set[int] = field(default_factory=set)
    #: records that are no longer in the list, or no longer open
    removed: int = 0
    ended: int = 0

    def take(self, word: Listed, change: wire.Change) -> None:
        """Take one entry in; later ones win."""
        record_id = subject(word, change)
        if record_id is None:
            return
        if change.deleted or change.combinedTo.id is not None:
            self.deleted.add(record_id)
            self.touched.discard(record_id)
            self.removed += 1
            if change.combinedTo.id is not None:
                self.touched.add(change.combinedTo.id)
                self.survivors.add(change.combinedTo.id)
        elif record_id not in self.deleted:
            self.touched.add(record_id)
            self.ended += change.field in ("status", "complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Polls one account."""

    client: RetailCrmClient
    settings: RetailCrmSettings
    records: Records
    clock: Clock
    #: how far ``clock`` is ahead of RetailCRM's, as far as its answers have shown
    lead: Callable[[], timedelta]

    async def start(self) -> Position:
        """The present position: everything that happens from here on will be told. A request for each history; twice if
        the answers show that our clock is ahead."""
        lead = self.lead()
        position = await self._position(lead)
        return position if self.lead() <= lead + _JITTER else await self._position(self.lead())

    async def _position(self, lead: timedelta) -> Position:
        now = self.clock.now() - lead
        since = to_floor(now - self.settings.clock_skew - _LOOK_BACK, self.records.reader.zone)
        last: dict[Listed, int] = {}
        for word in self.records.words:
            async for change in self._entries(word, [("filter[startDate]", since)]):
                last[word] = change.id
        return Position(last=last, since=since)

    async def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """See `hub.ports.SinkSession.changes`: a request for each history, and one for the records that changed.

        What our own key changed is skipped (``apiKey.current``): the hub knows it, and loops would follow.
        """
        began = self.clock.now()
        position = Position.parse(cursor)
        if position is None:
            position = await self.start()
            yield Changes(cursor=position.model_dump_json(), as_of=began)
            return
        for word in self.records.words:
            news = News()
            async for change in self._entries(word, self._after(position, word)):
                position.last[word] = max(change.id, position.last.get(word, 0))
                if not change.is_own:
                    news.take(word, change)
            if news.touched or news.deleted:
                found, gone = await self.read(word, news)
                yield found.changes(self.records.reader, deleted=gone, cursor=position.model_dump_json())
        yield Changes(cursor=position.model_dump_json(), as_of=began)

    async def since(self, word: Listed, moment: datetime) -> tuple[Collected, set[RecordRef]]:
        """The records of a list that anybody changed at ``moment`` or later, and those that are gone."""
        news = News()
        start = to_floor(moment - self.settings.clock_skew, self.records.reader.zone)
        async for change in self._entries(word, [("filter[startDate]", start)]):
            news.take(word, change)
        return await self.read(word, news)

    async def departures(self, word: Listed, cursor: str, *, of_open: bool) -> int:
        """How many records left a list since ``cursor``, or with ``of_open`` the list of its open ones, at most.

        Each may have drawn another past a reader of pages.
        """
        position, news = Position.parse(cursor) or Position(), News()
        async for change in self._entries(word, self._after(position, word)):
            news.take(word, change)
        return news.removed + (news.ended if of_open else 0)

    async def read(self, word: Listed, news: News) -> tuple[Collected, set[RecordRef]]:
        """The touched records as they are now; what is not there any more is gone."""
        found = Collected()
        if news.touched:
            found.add(word, await self.records.by_id(word, sorted(news.touched)))
        if word in ("customers", "customers-corporate"):
            for survivor in sorted(news.survivors):
                await self.records.add_orders(found, survivor)
        return found, refs_of(word, news.touched | news.deleted) - found.refs()

    # --- the history --------------------------------------------------------------------------------------------

    def _after(self, position: Position, word: Listed) -> Sequence[tuple[str, str]]:
        last = position.last.get(word)
        return [("filter[sinceId]", str(last))] if last is not None else [("filter[startDate]", position.since)]

    async def _entries(self, word: Listed, params: Sequence[tuple[str, str]]) -> AsyncIterator[wire.Change]:
        """Entries oldest first. It is asked again with the last id as ``sinceId``, never by page number (5), until a
        page is not full. Raises Unavailable for a full one that brings nothing newer (a vendor's bug)."""
        limit, last = ("limit", str(self.settings.page_size)), -1
        while True:
            page = await self.client.history(word, [*params, limit])
            fresh = sorted((change for change in page.items if change.id > last), key=lambda change: change.id)
            for change in fresh:
                yield change
            if page.size < self.settings.page_size:
                return
            if not fresh:
                raise repeating()
            last = fresh[-1].id
            params = [("filter[sinceId]", str(last))]
