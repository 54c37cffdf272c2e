"""Reading a whole organisation: what forwarding needs first, in pages that lose nothing while people work (H6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, ValidationError

from hub.ports import Changes
from hub_zoho.config import ZohoSettings
from hub_zoho.feed import Feed, Position
from hub_zoho.mapping import COMPLETED
from hub_zoho.profile import Profile
from hub_zoho.reading import Records, quoted
from hub_zoho.wire import Row

__all__ = ["Import"]

#: in this order; the share of the whole at which each begins, for people who wait
_PHASES: tuple[tuple[str, float], ...] = (
    ("open deals", 0.0),
    ("Leads", 0.15),
    ("Contacts", 0.4),
    ("Accounts", 0.7),
    ("Deals", 0.75),
    ("open tasks", 0.9),
)


class _Place(BaseModel):
    """Where an import stands."""

    model_config = ConfigDict(extra="forbid")

    phase: int = 0
    #: the newest change read of the phase, unix seconds; or the lowest id
    mark: int = 0
    below: str = ""
    pages: int = 0
    #: the feed's position when the import began; the closing poll starts there
    feed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Reads one organisation.

    Open deals come first, newest first, with their contacts. Then each module is read by time of change, oldest
    first: an edit moves a record to where the reading has not been, a deletion draws nobody past it.
    """

    settings: ZohoSettings
    records: Records
    feed: Feed
    profile: Profile

    async def import_all(self, cursor: str) -> AsyncIterator[Changes]:
        """See `hub.ports.SinkSession.import_all`. The last page's cursor goes on as a cursor of `changes`."""
        if cursor and Position.parse(cursor) is not None:
            return  # finished before: the cursor is the feed's
        place = _parse(cursor)
        if not place.feed:
            place.feed = (await self.feed.start()).model_dump_json()
        while place.phase < len(_PHASES):
            name = _PHASES[place.phase][0]
            match name:
                case "open deals":
                    pages = self._open_deals(place)
                case "open tasks":
                    pages = self._open_tasks(place)
                case _ if name in self.records.modules:
                    pages = self._module(name, place)
                case _:
                    pages = _nothing()
            async for rows in pages:
                place.pages += 1
                yield self._told(rows, place)
            # a new phase keeps nothing of the old one but where the feed began
            place = _Place(phase=place.phase + 1, feed=place.feed)
        async for changes in self.feed.changes(place.feed):
            yield changes

    async def _open_deals(self, place: _Place) -> AsyncIterator[Sequence[Row]]:
        stages = [stage for stage in self.profile.stages if self.profile.is_open(stage)][: self.settings.list_limit]
        if not stages:
            return
        where = f"Stage in ({quoted(stages)})"
        if place.below:
            where = f"({where} and id < '{place.below}')"
        async for hits in self.records.query("Deals", "id", where):
            deals = await self.records.by_id("Deals", [row.id for row in hits])
            people = await self.records.by_id("Contacts", [i for row in deals if (i := row.lookup("Contact_Name"))])
            place.below = hits[-1].id
            yield [*people, *deals]

    async def _open_tasks(self, place: _Place) -> AsyncIterator[Sequence[Row]]:
        where = f"Status != '{COMPLETED}'"
        if place.below:
            where = f"({where} and id < '{place.below}')"
        async for hits in self.records.query("Tasks", "id", where):
            tasks = await self.records.by_id("Tasks", [row.id for row in hits])
            place.below = hits[-1].id
            yield tasks

    async def _module(self, module: str, place: _Place) -> AsyncIterator[Sequence[Row]]:
        async for rows in self.records.changed(module, place.mark):
            place.mark = max(place.mark, rows[-1].changed_at)
            # a lead that was converted is not news to a directory that never had it
            yield [row for row in rows if not row.is_set("Converted__s")]

    def _told(self, rows: Sequence[Row], place: _Place) -> Changes:
        start = _PHASES[place.phase][1]
        end = _PHASES[place.phase + 1][1] if place.phase + 1 < len(_PHASES) else 0.97
        share = start + (end - start) * (1 - 1 / (1 + place.pages / 40))
        changes = self.records.reader.changes(rows, cursor=place.model_dump_json())
        return replace(changes, progress=round(share, 4))


async def _nothing() -> AsyncIterator[Sequence[Row]]:
    rows: Sequence[Sequence[Row]] = ()
    for page in rows:
        yield page


def _parse(cursor: str) -> _Place:
    """Where to go on; from the start if it cannot be read."""
    try:
        return _Place.model_validate_json(cursor) if cursor else _Place()
    except ValidationError:
        return _Place()
