"""What changed since a moment: lists by change time and the recycle bin, polled without loss (H6)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.clock import Clock
from hub.core.records import RecordKind, RecordRef
from hub.ports import Changes
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import LEADS, refs_of
from hub_zoho.reading import Records
from hub_zoho.wire import Row

__all__ = ["Feed", "Position"]

#: modules whose records can be merged
_CARDS = ("Contacts", "Accounts")
#: changed cards that are remembered from one poll to the next
_RECENT = 200


class Position(BaseModel):
    """Where the feed stands: the newest change seen, by module, and what was told of the moments before it."""

    model_config = ConfigDict(extra="forbid")

    marks: dict[str, int]
    #: checksums of records within the overlap, so that they are told again only if they changed
    seen: dict[str, dict[str, tuple[int, int]]] = {}
    #: the newest deletion seen, by module, and the ids told of the moments before it
    bins: dict[str, int] = {}
    gone: dict[str, dict[str, int]] = {}
    #: cards that the last poll told of, by module
    recent: dict[str, list[str]] = {}

    @classmethod
    def parse(cls, cursor: str) -> Position | None:
        """None for "" and for a cursor that cannot be read: the feed then starts from now."""
        try:
            return cls.model_validate_json(cursor) if cursor else None
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Polls one organisation."""

    settings: ZohoSettings
    records: Records
    clock: Clock
    #: how far ``clock`` is ahead of Zoho's, as far as its answers have shown
    lead: Callable[[], timedelta]

    async def start(self) -> Position:
        """The present position: everything that happens from here on will be told."""
        modules = self.records.modules
        began = self.clock.now()
        position = Position(marks={module: await self.records.newest_change(module) for module in modules})
        # known by now, whatever was heard before
        now = int((began - self.lead() - self.settings.clock_skew).timestamp())
        for module in modules:
            # what is deleted from now on; the bin is not asked for what went before
            position.bins[module] = max(position.marks[module], now)
        return position

    async def changes(self, cursor: str) -> AsyncIterator[Changes]:
        """See `hub.ports.SinkSession.changes`; a page for each page of news, then the deletions.

        The bin is read first: a record that a list shows afterwards was restored. A converted lead is told as
        deleted, what it became as touched, with the tasks that went along without a change of their own. A merged
        card is told as deleted; what hung on it moves to the survivor, which has changed, without a change of its own
        (?), so the deals and tasks of cards that changed just now are read again.
        """
        began = self.clock.now()
        position = Position.parse(cursor)
        if position is None:
            position = await self.start()
            yield Changes(cursor=position.model_dump_json(), as_of=began)
            return
        gone = [ref for module in self.records.modules for ref in await self._gone(module, position)]
        listed: set[RecordRef] = set()
        cards = {module: list(position.recent.get(module, ())) for module in _CARDS}
        position.recent = {}
        for module in self.records.modules:
            async for rows in self._fresh(module, position):
                if module in _CARDS:
                    ids = [row.id for row in rows if row.id]
                    cards[module] += ids
                    position.recent[module] = [*position.recent.get(module, ()), *ids][-_RECENT:]
                changes = self.records.reader.changes(rows, cursor=position.model_dump_json())
                listed |= {ref for row in rows for ref in refs_of(module, row.id)}
                yield await self._with_moved_tasks(changes, rows)
        if any(ref.kind in (RecordKind.CONTACT, RecordKind.COMPANY) for ref in gone):
            for module in _CARDS:
                # a merge that adds nothing, in the very second of an edit that was told, is no news of the survivor
                cards[module] += position.seen.get(module, {})
            yield self.records.reader.changes(await self._hanging_on(cards), cursor=position.model_dump_json())
        yield Changes(
            deleted=tuple(ref for ref in dict.fromkeys(gone) if ref not in listed),
            cursor=position.model_dump_json(),
            as_of=began,
        )

    @property
    def _overlap(self) -> int:
        return int(self.settings.feed_overlap.total_seconds())

    async def _fresh(self, module: str, position: Position) -> AsyncIterator[list[Row]]:
        """Records that changed and were not told yet, page by page; moves the position past them."""
        mark = position.marks.get(module, 0)
        seen = position.seen.setdefault(module, {})
        async for page in self.records.changed(module, max(0, mark - self._overlap)):
            sums = {row.id: (row.changed_at, zlib.crc32(row.fingerprint())) for row in page}
            fresh = [row for row in page if seen.get(row.id) != sums[row.id]]
            mark = max(mark, *(row.changed_at for row in page))
            position.marks[module] = mark
            seen.update(sums)
            for record_id in [i for i, (at, _) in seen.items() if at < mark - self._overlap]:
                del seen[record_id]
            if fresh:
                yield fresh

    async def _gone(self, module: str, position: Position) -> list[RecordRef]:
        """Deletions that were not told yet; moves the position past them."""
        mark = position.bins.get(module, 0)
        told = position.gone.setdefault(module, {})
        found = await self.records.deleted(module, max(0, mark - self._overlap))
        news = [one for one in found if told.get(one.id) != one.at]
        mark = max([mark, *(one.at for one in found)])
        position.bins[module] = mark
        kept = {one.id: one.at for one in found if one.at >= mark - self._overlap}
        position.gone[module] = kept
        return [ref for one in news for ref in refs_of(module, one.id)]

    async def _hanging_on(self, cards: Mapping[str, Sequence[str]]) -> list[Row]:
        """The deals and open tasks of ``cards``."""
        contacts, accounts = (list(dict.fromkeys(cards[module])) for module in _CARDS)
        rows = await self.records.pointing("Deals", "Contact_Name", contacts)
        rows += await self.records.pointing("Deals", "Account_Name", accounts)
        deals = list(dict.fromkeys(row.id for row in rows))
        return [*rows, *await self.records.open_tasks(contacts, [*accounts, *deals])]

    async def _with_moved_tasks(self, changes: Changes, rows: list[Row]) -> Changes:
        """Tasks of converted leads hang on the contact and the deal since."""
        converted = [row for row in rows if row.module == LEADS and row.is_set("Converted__s")]
        if not converted:
            return changes
        who = [i for row in converted if (i := row.lookup("Converted_Contact"))]
        what = [i for row in converted if (i := row.lookup("Converted_Deal"))]
        tasks = self.records.reader.changes(await self.records.open_tasks(who, what)).tasks
        return replace(changes, tasks=(*changes.tasks, *tasks))
