"""What changed since a moment: lists by change time and the event log, polled without loss (H6)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from hub.clock import Clock
from hub.core.records import RecordKind, RecordRef
from hub.ports import Changes
from hub_amocrm import wire
from hub_amocrm.client import AmoCrmClient
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import CARDS, SINGULAR
from hub_amocrm.reading import COLLECTIONS, Collected, Found, Listed, Records, to_changes

__all__ = ["Feed", "Position"]

_LINKED = tuple(
    f"{name}_{verb}" for name in ("lead", "contact", "company", "entity") for verb in ("linked", "unlinked")
)
_GONE = ("contact_deleted", "company_deleted", "lead_deleted", "task_deleted")
_RESTORED = ("contact_restored", "company_restored", "lead_restored")
#: what the lists by change time may not tell
EVENT_TYPES = (*_GONE, *_RESTORED, "entity_merged", "entity_responsible_changed", *_LINKED)


class Position(BaseModel):
    """Where the feed stands: the newest change seen, by collection, and what was told of the moments before it."""

    marks: dict[Listed, int]
    #: checksums of records within the overlap, so that they are told again only if they changed
    seen: dict[Listed, dict[int, int]] = {}
    event_mark: int = 0
    events: list[str] = []

    @classmethod
    def parse(cls, cursor: str) -> Position | None:
        """None for "" and for a cursor that cannot be read: the feed then starts from now."""
        try:
            return cls.model_validate_json(cursor) if cursor else None
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Polls one account."""

    client: AmoCrmClient
    settings: AmoCrmSettings
    records: Records
    clock: Clock

    async def start(self) -> Position:
        """The present position: everything that happens from here on will be told."""
        marks: dict[Listed, int] = {}
        for collection in COLLECTIONS.values():
            order = "id" if collection == "tasks" else "updated_at"
            page = await self.records.lister(collection)([(f"order[{order}]", "desc"), ("limit", "1")])
            marks[collection] = max((item.updated_at or 0 for item in page.items), default=0)
        events = await self.client.events([("filter[type]", ",".join(EVENT_TYPES)), ("limit", "1")])
        event_mark = max((event.created_at for event in events.items), default=0)
        # tasks have no order by change; whatever the account did last is not later than now
        marks["tasks"] = max(event_mark, *marks.values())
        return Position(marks=marks, event_mark=event_mark, events=[event.id for event in events.items])

    async def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """See `hub.ports.SinkSession.changes`; a page for each collection that has news, then the event log.

        The log is read first: a record that a list shows afterwards is at least as new as its events.
        """
        began = self.clock.now()
        position = Position.parse(cursor)
        if position is None:
            position = await self.start()
            yield Changes(cursor=position.model_dump_json(), as_of=began)
            return
        events = await self._events(position)
        listed: set[RecordRef] = set()
        for collection in COLLECTIONS.values():
            fresh = await self._fresh(collection, position)
            found = Collected.empty()
            found.add(fresh)
            listed |= found.refs()
            if fresh:
                yield to_changes(found, self.records.reader, cursor=position.model_dump_json())
        known = set(position.events)
        news = [event for event in events if event.id not in known]
        deleted, touched = _told(news)
        for kind in {SINGULAR[e.entity_type] for e in news if e.type == "entity_merged" and e.entity_type in SINGULAR}:
            deleted |= await self._binned(kind, position.event_mark - self._overlap)
        self._move_events(position, events)
        yield Changes(
            deleted=tuple(deleted - listed),
            touched=tuple(touched - listed - deleted),
            cursor=position.model_dump_json(),
            as_of=began,
        )

    @property
    def _overlap(self) -> int:
        return int(self.settings.feed_overlap.total_seconds())

    async def _fresh(self, collection: Listed, position: Position) -> list[Found]:
        """Records that changed and were not told yet; moves the position past them."""
        mark = position.marks.get(collection, 0)
        sweep = await self.records.changed(collection, max(0, mark - self._overlap))
        seen = position.seen.get(collection, {})
        sums = {record_id: _checksum(record) for record_id, record in sweep.records.items()}
        fresh = [record for record_id, record in sweep.records.items() if seen.get(record_id) != sums[record_id]]
        position.marks[collection] = newest = max(mark, sweep.newest)
        position.seen[collection] = {
            record_id: sums[record_id]
            for record_id, record in sweep.records.items()
            if not record.updated_at or record.updated_at >= newest - self._overlap
        }
        return fresh

    # --- the event log ------------------------------------------------------------------------------------------

    async def _events(self, position: Position) -> list[wire.Event]:
        """Events from a little before the mark, oldest first; the log only grows, so pages lose nothing."""
        since = max(0, position.event_mark - self._overlap)
        params = [
            ("filter[type]", ",".join(EVENT_TYPES)),
            ("filter[created_at][from]", str(since)),
            ("limit", str(self.settings.events_page_size)),
        ]
        found: dict[str, wire.Event] = {}
        async for events in self.records.pages(self.client.events, params):
            found |= {event.id: event for event in events if event.created_at >= since and event.type in EVENT_TYPES}
            if any(event.created_at < since for event in events):
                break
        return sorted(found.values(), key=lambda event: event.created_at)

    def _move_events(self, position: Position, events: Sequence[wire.Event]) -> None:
        position.event_mark = max([position.event_mark, *(event.created_at for event in events)])
        since = position.event_mark - self._overlap
        position.events = [event.id for event in events if event.created_at >= since]

    async def _binned(self, kind: RecordKind, since: int) -> set[RecordRef]:
        """Cards that a merge swallowed: the log names the survivor, the bin its victims (22.16)."""
        if kind not in CARDS:
            return set()
        params = [("order[updated_at]", "desc"), ("limit", str(self.settings.page_size))]
        page = await self.client.deleted_cards(CARDS[kind], params)
        return {
            RecordRef(kind=kind, id=str(card.id))
            for card in page.items
            if card.is_deleted and (card.updated_at is None or card.updated_at >= since)
        }


def _told(events: Iterable[wire.Event]) -> tuple[set[RecordRef], set[RecordRef]]:
    """Which records are gone and which changed, after all of ``events``, oldest first."""
    deleted: set[RecordRef] = set()
    touched: set[RecordRef] = set()
    for event in events:
        kind = SINGULAR.get(event.entity_type or "")
        if kind is None or event.entity_id is None:
            continue
        ref = RecordRef(kind=kind, id=str(event.entity_id))
        if event.type in _GONE:
            deleted.add(ref)
            touched.discard(ref)
            continue
        if event.type in _RESTORED:
            deleted.discard(ref)
        touched |= {ref, *_linked(event)}
    return deleted, touched - deleted


def _linked(event: wire.Event) -> Iterable[RecordRef]:
    """The other end of a link: ``[{"link":{"entity":{"type","id"}}}]``."""
    for side in (event.value_after, event.value_before):
        for item in side if isinstance(side, list) else ():
            entity = _at(_at(item, "link"), "entity")
            kind = SINGULAR.get(str(_at(entity, "type")))
            record_id = _at(entity, "id")
            if kind is not None and record_id:
                yield RecordRef(kind=kind, id=str(record_id))


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _checksum(record: Found) -> int:
    """Tells a second change within one second from a repetition."""
    return zlib.crc32(msgspec.json.encode(record))
