"""Reading a whole account: what forwarding needs first, in pages that lose nothing while people work (H6).

Each kind is read newest change first, `page_window` pages from the top; the rest is narrowed by change time. Two ways
of reading a window:

- *forward* from the top, unbounded: an edited record jumps to the top (the closing poll tells it), which moves others
  down, so that they are read twice. Only a record that leaves the list draws others past us: if the event log shows
  one, the window is read again the other way.
- *backward*: oldest change first, from the last page to the first. Whatever leaves the window, others move towards the
  pages that are still to come. Nothing can be lost, but the last page has to be found first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ValidationError

from hub.errors import Unavailable
from hub.ports import Changes
from hub_amocrm import wire
from hub_amocrm.client import AmoCrmClient
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.feed import Feed, Position
from hub_amocrm.mapping import CLOSED
from hub_amocrm.reading import DEEPEST, Collected, Found, Listed, Records, to_changes

__all__ = ["Import"]

#: in this order; the share of the whole at which each begins, for people who wait
_PHASES: tuple[tuple[Listed, float], ...] = (("leads", 0.0), ("contacts", 0.35), ("companies", 0.8), ("tasks", 0.9))
_LEAVING: dict[Listed, str] = {
    "leads": "lead_deleted,entity_merged,lead_status_changed",
    "contacts": "contact_deleted,entity_merged",
    "companies": "company_deleted,entity_merged",
    "tasks": "task_deleted,task_completed",
}
#: pairs of pipeline and stage that still fit into an address
_MOST_STAGES = 60


class _Place(BaseModel):
    """Where an import stands."""

    #: index into the phases
    phase: int = 0
    way: Literal["forward", "probe", "backward"] = "forward"
    page: int = 1
    #: bounds of the window, unix seconds; None = open
    first: int | None = None
    last: int | None = None
    #: the newest change when the phase began: events from then on may have moved records past us
    newest: int = 0
    #: after reading a window again: the phase is at its end, nothing older is left
    is_oldest: bool = False
    pages_read: int = 0
    #: the feed's position when the import began; the closing poll starts there
    feed: str = ""
    is_finished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Reads one account."""

    client: AmoCrmClient
    settings: AmoCrmSettings
    records: Records
    feed: Feed
    #: pipeline and stage of each open stage
    open_stages: tuple[tuple[str, str], ...]

    async def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """See `hub.ports.SinkSession.import_all`. The last page's cursor goes on as a cursor of `changes`."""
        if cursor and Position.parse(cursor) is not None:
            return  # finished before: the cursor is the feed's
        place = _parse(cursor)
        if not place.feed:
            place.feed = (await self.feed.start()).model_dump_json()
        while place.phase < len(_PHASES):
            async for changes in self._phase(place):
                yield changes
            # a new phase keeps nothing of the old one but where the feed began
            place = _Place(phase=place.phase + 1, feed=place.feed)
        async for changes in self.feed.changes(place.feed):
            yield changes

    # --- one kind -----------------------------------------------------------------------------------------------

    async def _phase(self, place: _Place) -> AsyncIterator[Changes]:
        collection = _PHASES[place.phase][0]
        ahead = _ContactsAhead(self.records, self.settings.ids_per_request)
        while not place.is_finished:
            async for items in self._window(collection, place):
                place.pages_read += 1
                found = Collected.empty()
                found.add(self._wanted(items))
                if collection == "leads":
                    found.add(await ahead.of(found.leads.values(), place.pages_read))
                yield self._told(found, place)
        if collection == "leads":
            rest = Collected.empty()
            rest.add(await ahead.rest(place.pages_read))
            if rest.contacts:
                yield self._told(rest, place)

    def _told(self, found: Collected, place: _Place) -> Changes:
        start = _PHASES[place.phase][1]
        end = _PHASES[place.phase + 1][1] if place.phase + 1 < len(_PHASES) else 0.97
        share = start + (end - start) * (1 - 1 / (1 + place.pages_read / 40))
        return to_changes(found, self.records.reader, cursor=place.model_dump_json(), progress=round(share, 4))

    async def _window(self, collection: Listed, place: _Place) -> AsyncIterator[tuple[Found, ...]]:
        """The pages of one window; ``place`` is moved before a page is handed out, so that its cursor goes on after
        it, and ends at the next window or at the end of the phase."""
        match place.way:
            case "forward":
                async for items in self._forward(collection, place):
                    yield items
            case "probe":
                await self._bound(collection, place)
            case "backward":
                while place.page >= 1:
                    items = await self.records.page(collection, self._bounded(collection, place), place.page)
                    place.page -= 1
                    if items:
                        yield items
                self._next_window(place)

    async def _forward(self, collection: Listed, place: _Place) -> AsyncIterator[tuple[Found, ...]]:
        # without filters there is no narrowing: the whole list, however deep
        can_narrow = self.records.has_filters and collection != "tasks"
        oldest: int | None = None
        is_last = False
        before: tuple[Found, ...] | None = None
        while not is_last and not (can_narrow and place.page > self.settings.page_window):
            page = await self.records.lister(collection)([*self._params(collection, "desc"), ("page", str(place.page))])
            is_last = not page.has_more
            if page.items == before or place.page > DEEPEST:
                raise _repeating(collection)
            before = page.items
            if not page.items:
                # an empty page with a further one behind it is no end: what stands there would be lost
                place.page += 1
            else:
                changed = [item.updated_at for item in page.items if item.updated_at] or [oldest or 0]
                place.newest = max(place.newest, *changed) if place.page == 1 else place.newest
                oldest = min(changed)
                place.page += 1
                place.last = oldest
                yield page.items
        if place.page > 2 and await self._has_left(collection, place.newest):
            known = place.page - 1
            place.first, place.last, place.is_oldest = (oldest or place.last) if not is_last else None, None, is_last
            if collection == "tasks" or not self.records.has_filters:
                place.first = None
            place.page = await self.records.last_page(collection, self._bounded(collection, place), known=known - 1)
            place.way = "backward"
        elif is_last:
            place.is_finished = True
        else:
            place.way, place.page = "probe", 1

    async def _bound(self, collection: Listed, place: _Place) -> None:
        """Find the next window below ``place.last``: at most `page_window` pages, and its last page."""
        place.first = None
        deepest = self.settings.page_window
        items = await self.records.page(collection, self._bounded(collection, place, "desc"), deepest)
        if items:
            place.first = min((item.updated_at for item in items if item.updated_at), default=0)
            if place.last is not None and place.first > place.last:
                raise _repeating(collection)
        place.is_oldest = not items
        pages = {"known": deepest} if items else {"known": 0, "empty": deepest}
        place.page = await self.records.last_page(collection, self._bounded(collection, place), **pages)
        place.way = "backward"

    def _next_window(self, place: _Place) -> None:
        if place.is_oldest or place.first is None:
            place.is_finished = True
            return
        place.way, place.last, place.page = "probe", place.first - 1, 1

    def _bounded(
        self, collection: Listed, place: _Place, order: Literal["asc", "desc"] = "asc"
    ) -> list[tuple[str, str]]:
        bounds: list[tuple[str, str]] = []
        if place.first is not None:
            bounds.append(("filter[updated_at][from]", str(place.first)))
        if place.last is not None:
            bounds.append(("filter[updated_at][to]", str(place.last)))
        return [*self._params(collection, order), *bounds]

    def _params(self, collection: Listed, order: str) -> list[tuple[str, str]]:
        params = [("limit", str(self.settings.page_size))]
        if collection == "tasks":
            return [*params, ("filter[is_completed]", "0"), ("order[id]", order)]
        if collection == "leads" and self.records.has_filters and len(self.open_stages) <= _MOST_STAGES:
            for index, (pipeline_id, stage_id) in enumerate(self.open_stages):
                params.append((f"filter[statuses][{index}][pipeline_id]", pipeline_id))
                params.append((f"filter[statuses][{index}][status_id]", stage_id))
        return [*params, ("order[updated_at]", order)]

    def _wanted(self, items: tuple[Found, ...]) -> list[Found]:
        """Open deals and open tasks only, since a filter may have been ignored (1.2)."""
        return [
            item
            for item in items
            if not (isinstance(item, wire.Lead) and item.status_id in CLOSED)
            and not (isinstance(item, wire.Task) and item.is_completed)
        ]

    async def _has_left(self, collection: Listed, since: int) -> bool:
        """Whether a record left the list since: deleted, merged away, closed, completed."""
        params = [("filter[type]", _LEAVING[collection]), ("filter[created_at][from]", str(since))]
        page = await self.client.events([*params, ("limit", str(self.settings.events_page_size))])
        return any(
            event.type != "lead_status_changed" or _is_closing(event)
            for event in page.items
            if event.created_at >= since and event.type in _LEAVING[collection].split(",")
        )


def _parse(cursor: str) -> _Place:
    """Where to go on; from the start if the cursor cannot be read."""
    try:
        return _Place.model_validate_json(cursor) if cursor else _Place()
    except ValidationError:
        return _Place()


def _repeating(collection: Listed) -> Unavailable:
    """No endless reading on a bug of the vendor's: the same page again, or a bound that is ignored."""
    return Unavailable(f"amoCRM tells the same {collection} again instead of the next page", operation="import")


def _is_closing(event: wire.Event) -> bool:
    """``[{"lead_status":{"id","pipeline_id"}}]``; an unknown shape counts as closing."""
    after = event.value_after
    if not isinstance(after, list) or not after or not isinstance(after[0], dict):
        return True
    status = after[0].get("lead_status")
    return not isinstance(status, dict) or status.get("id") in CLOSED


class _ContactsAhead:
    """Reads the contacts of the newest open deals before all others, for one request in twenty more (R3)."""

    def __init__(self, records: Records, ids_per_request: int) -> None:
        self._records = records
        self._size = ids_per_request
        self._waiting: dict[str, None] = {}
        self._done: set[str] = set()
        self._requests = 0

    async def of(self, leads: Collection[wire.Lead], pages: int) -> list[wire.Contact]:
        for lead in leads:
            for contact in lead.relations.contacts or ():
                if str(contact.id) not in self._done:
                    self._waiting.setdefault(str(contact.id))
        if len(self._waiting) < self._size or self._requests >= max(1, pages // 20):
            return []
        return await self._take()

    async def rest(self, pages: int) -> list[wire.Contact]:
        """What the share allows at the end; nothing in an account so small that its contacts follow at once."""
        found: list[wire.Contact] = []
        while self._waiting and self._requests < pages // 20:
            found += await self._take()
        return found

    async def _take(self) -> list[wire.Contact]:
        ids = list(self._waiting)[: self._size]
        for contact_id in ids:
            del self._waiting[contact_id]
        self._done.update(ids)
        self._requests += 1
        return await self._records.contacts(ids)
