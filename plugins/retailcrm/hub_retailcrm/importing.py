"""Reading a whole account: what forwarding needs first, in pages that lose nothing while people work (H6).

Lists come newest first (?), so a record that is made meanwhile moves others down, where they are read twice, and the
closing poll tells of it. Only a record that leaves a list (deleted, merged, closed, done) draws others past the
reader: if the history shows one, the list is read once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from hub.ports import Changes
from hub_retailcrm import wire
from hub_retailcrm.client import Params
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.feed import Feed, Position
from hub_retailcrm.reading import Collected, Found, Listed, Records

__all__ = ["Import"]

#: in this order; the share of the whole at which each begins, for people who wait
_PHASES: tuple[tuple[Listed, float], ...] = (
    ("orders", 0.0),
    ("customers", 0.3),
    ("customers-corporate", 0.85),
    ("tasks", 0.9),
)
#: readings of a list that keeps losing records; the feed tells the rest
_MOST_ROUNDS = 3


class _Place(BaseModel):
    """Where an import stands."""

    phase: int = 0
    page: int = 1
    round: int = 1
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
            word = _PHASES[place.phase][0]
            if word in self.records.words:
                async for changes in self._phase(word, place):
                    yield changes
            place.phase, place.page, place.round = place.phase + 1, 1, 1
            place.began = ""
        async for changes in self.feed.changes(place.feed):
            yield changes

    async def _phase(self, word: Listed, place: _Place) -> AsyncIterator[Changes]:
        while True:
            if not place.began:
                place.began = (await self.feed.start()).model_dump_json()
            pages, last = place.page, ()  # type: int, tuple[Found, ...]
            while place.page <= pages:
                page = await self.records.lister(word)([*self._params(word), ("page", str(place.page))])
                if not page.size or page.items == last:
                    break
                pages, last = page.pages, page.items
                place.page += 1
                found = Collected()
                found.add(word, page.items)
                if word == "orders":
                    found.add("customers", await self.records.customers(_clients(page.items)))
                yield self._told(found, place, pages)
            if place.round >= _MOST_ROUNDS or pages < 2 or not await self.feed.has_left(word, place.began):
                return
            place.page, place.round, place.began = 1, place.round + 1, ""

    def _told(self, found: Collected, place: _Place, pages: int) -> Changes:
        start = _PHASES[place.phase][1]
        end = _PHASES[place.phase + 1][1] if place.phase + 1 < len(_PHASES) else 0.97
        share = start + (end - start) * min(1.0, (place.page - 1) / max(1, pages))
        return found.changes(self.records.reader, cursor=place.model_dump_json(), progress=round(share, 4))

    def _params(self, word: Listed) -> Params:
        params = [("limit", str(self.settings.page_size))]
        match word:
            case "orders":
                # the list knows no groups of statuses for certain: each open status is named (3)
                params += [("filter[extendedStatus][]", status) for status in self.open_statuses]
            case "tasks":
                params.append(("filter[status]", "performing"))
            case _:
                pass
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
