"""Reading a whole account: what forwarding needs first, in pages that lose nothing while people work (H6).

Lists come newest first (?), so a record that is made meanwhile moves others down, where they are read twice, and the
closing poll tells of it. Only a record that leaves a list (deleted, merged, closed, done) draws others past the
reader. The list's total then shrinks: as many pages are read again. If the history tells of more departures than were
noticed, since as many were made meanwhile, the whole list is read once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from math import ceil

from pydantic import BaseModel, ValidationError

from hub.ports import Changes
from hub_retailcrm import wire
from hub_retailcrm.client import Params
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.feed import Feed, Position
from hub_retailcrm.reading import Collected, Found, Listed, Records, repeating

__all__ = ["Import"]


@dataclass(frozen=True, slots=True)
class _Phase:
    """One list, and the share of the whole at which it begins, for people who wait."""

    word: Listed
    start: float
    of_open: bool = False


#: closed orders come last: nobody waits for them, but a task may have to hang on one (C5), and "closed" is not "never
#: had one" (Z16, Z17)
_PHASES = (
    _Phase("orders", 0.0, of_open=True),
    _Phase("customers", 0.2),
    _Phase("customers-corporate", 0.55),
    _Phase("tasks", 0.6, of_open=True),
    _Phase("orders", 0.65),
)
#: readings of a list that keeps losing records; the feed tells the rest
_MOST_ROUNDS = 3


class _Place(BaseModel):
    """Where an import stands."""

    phase: int = 0
    page: int = 1
    round: int = 1
    #: what the list held at the last page, and how many it lost while it was read
    total: int | None = None
    noticed: int = 0
    #: the feed's position when this reading of the list began
    began: str = ""
    #: and when the import began; the closing poll starts there
    feed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Reads one account."""

    settings: RetailCrmSettings
    records: Records
    feed: Feed
    #: statuses of open orders
    open_statuses: tuple[str, ...]

    async def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """See `hub.ports.SinkSession.import_all`. The last page's cursor goes on as a cursor of `changes`."""
        if cursor and Position.parse(cursor) is not None:
            return  # finished before: the cursor is the feed's
        place = _parse(cursor)
        if not place.feed:
            place.feed = place.began = (await self.feed.start()).model_dump_json()
        while place.phase < len(_PHASES):
            phase = _PHASES[place.phase]
            if phase.word in self.records.words:
                async for changes in self._phase(phase, place):
                    yield changes
            place = _Place(phase=place.phase + 1, feed=place.feed)
        async for changes in self.feed.changes(place.feed):
            yield changes

    async def _phase(self, phase: _Phase, place: _Place) -> AsyncIterator[Changes]:
        while True:
            if not place.began:
                place.began = (await self.feed.start()).model_dump_json()
            pages, last = place.page, ()  # type: int, tuple[Found, ...]
            while place.page <= pages:
                page = await self.records.lister(phase.word)([*self._params(phase), ("page", str(place.page))])
                lost = max(0, (place.total or 0) - page.total)
                if not page.size:
                    break
                if page.items and page.items == last and not lost:
                    raise repeating()
                pages, last, place.total = page.pages, page.items, page.total
                place.noticed += lost
                place.page = max(1, place.page + 1 if not lost else place.page - ceil(lost / self.settings.page_size))
                found = Collected()
                found.add(phase.word, page.items)
                if phase.word == "orders" and phase.of_open:
                    found.add("customers", await self.records.customers(_clients(page.items)))
                yield self._told(found, place, pages)
            if place.round >= _MOST_ROUNDS or pages < 2:
                return
            gone = await self.feed.departures(phase.word, place.began, of_open=phase.of_open)
            if gone <= place.noticed:
                return
            place.page, place.round, place.began, place.total, place.noticed = 1, place.round + 1, "", None, 0

    def _told(self, found: Collected, place: _Place, pages: int) -> Changes:
        start = _PHASES[place.phase].start
        end = _PHASES[place.phase + 1].start if place.phase + 1 < len(_PHASES) else 0.97
        share = start + (end - start) * min(1.0, (place.page - 1) / max(1, pages))
        return found.changes(self.records.reader, cursor=place.model_dump_json(), progress=round(share, 4))

    def _params(self, phase: _Phase) -> Params:
        params = [("limit", str(self.settings.page_size))]
        if phase.of_open and phase.word == "orders":
            # the list knows no groups of statuses for certain: each open status is named (3)
            params += [("filter[extendedStatus][]", status) for status in self.open_statuses]
        if phase.of_open and phase.word == "tasks":
            params.append(("filter[status]", "performing"))
        return params


def _clients(orders: Iterable[Found]) -> list[int]:
    """The persons that orders belong to; companies are read as their own kind."""
    found = (
        (order.contact.id if order.customer.type == "customer_corporate" else order.customer.id)
        for order in orders
        if isinstance(order, wire.Order)
    )
    return sorted({one for one in found if one is not None})


def _parse(cursor: str) -> _Place:
    """Where to go on; from the start if the cursor cannot be read."""
    try:
        return _Place.model_validate_json(cursor) if cursor else _Place()
    except ValidationError:
        return _Place()
