"""Reading records: by id, by change time without loss, and by search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias, TypeVar, cast

from hub.core.damage import is_named
from hub.core.interaction import Identity
from hub.core.records import RecordKind, RecordRef
from hub.errors import Unavailable
from hub.ports import Changes
from hub_amocrm import wire
from hub_amocrm.client import AmoCrmClient, Page, Params
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import Reader, emails, field_texts
from hub_amocrm.wire import Card

__all__ = ["COLLECTIONS", "DEEPEST", "Collected", "Found", "Listed", "Records", "Sweep", "chunks", "to_changes"]

Listed: TypeAlias = Literal["contacts", "companies", "leads", "tasks"]
Found: TypeAlias = wire.Contact | wire.Company | wire.Lead | wire.Task
COLLECTIONS: dict[RecordKind, Listed] = {
    RecordKind.CONTACT: "contacts",
    RecordKind.COMPANY: "companies",
    RecordKind.DEAL: "leads",
    RecordKind.TASK: "tasks",
}
_DELETIONS: dict[Listed, str] = {
    "contacts": "contact_deleted",
    "companies": "company_deleted",
    "leads": "lead_deleted",
    "tasks": "task_deleted",
}
#: no account has so many pages: a list that still goes on is a bug of the vendor's
DEEPEST = 1_000_000
#: repeated readings before a busy account is taken as it is; the next poll tells the rest
_MOST_ROUNDS = 5
ItemT = TypeVar("ItemT")
ModelT = TypeVar("ModelT", bound=wire.Wire)


def chunks(items: Sequence[ItemT], size: int) -> Iterable[Sequence[ItemT]]:
    """``items`` in runs of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


@dataclass(slots=True)
class Collected:
    """Records of every kind, each once, the latest reading last."""

    contacts: dict[int, wire.Contact]
    companies: dict[int, wire.Company]
    leads: dict[int, wire.Lead]
    tasks: dict[int, wire.Task]

    @classmethod
    def empty(cls) -> Collected:
        return cls({}, {}, {}, {})

    def add(self, items: Iterable[Found]) -> None:
        """What has no readable number is left out: nothing could be done with it."""
        for item in filter(is_named, items):
            match item:
                case wire.Contact():
                    self.contacts[item.id] = item
                case wire.Company():
                    self.companies[item.id] = item
                case wire.Lead():
                    self.leads[item.id] = item
                case wire.Task():
                    self.tasks[item.id] = item

    def refs(self) -> set[RecordRef]:
        return {
            *(RecordRef(kind=RecordKind.CONTACT, id=str(i)) for i in self.contacts),
            *(RecordRef(kind=RecordKind.COMPANY, id=str(i)) for i in self.companies),
            *(RecordRef(kind=RecordKind.DEAL, id=str(i)) for i in self.leads),
            *(RecordRef(kind=RecordKind.TASK, id=str(i)) for i in self.tasks),
        }


def to_changes(
    found: Collected,
    reader: Reader,
    *,
    deleted: Iterable[RecordRef] = (),
    touched: Iterable[RecordRef] = (),
    cursor: str = "",
    as_of: datetime | None = None,
    progress: float | None = None,
) -> Changes:
    """``found`` in the hub's words; what amoCRM marks as deleted is told as deleted."""
    gone = [ref for kind, cards in _cards(found) for ref in _deleted(kind, cards)]
    return Changes(
        contacts=tuple([reader.contact(item) for item in found.contacts.values() if not item.is_deleted]),
        companies=tuple([reader.company(item) for item in found.companies.values() if not item.is_deleted]),
        deals=tuple([reader.deal(item) for item in found.leads.values() if not item.is_deleted]),
        tasks=tuple([reader.task(item) for item in found.tasks.values()]),
        deleted=tuple({*deleted, *gone}),
        touched=tuple(touched),
        cursor=cursor,
        as_of=as_of,
        progress=progress,
    )


def _cards(found: Collected) -> Iterable[tuple[RecordKind, Iterable[wire.Entity]]]:
    yield RecordKind.CONTACT, found.contacts.values()
    yield RecordKind.COMPANY, found.companies.values()
    yield RecordKind.DEAL, found.leads.values()


def _deleted(kind: RecordKind, cards: Iterable[wire.Entity]) -> Iterable[RecordRef]:
    return [RecordRef(kind=kind, id=str(card.id)) for card in cards if card.is_deleted]


def _is_since(item: Found, moment: int) -> bool:
    """Whether it changed at ``moment`` or later; so it is taken if nobody can read when it changed."""
    return not item.updated_at or item.updated_at >= moment


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a reading by change time brought: the records by id, the newest change seen, pages read."""

    records: dict[int, Found]
    newest: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Reads one account's records; filters are trusted only where the account has them, and re-checked (1.2)."""

    client: AmoCrmClient
    settings: AmoCrmSettings
    reader: Reader
    has_filters: bool

    def lister(self, collection: Listed) -> Callable[[Params], Awaitable[Page[Found]]]:
        listers = {
            "contacts": self.client.contacts,
            "companies": self.client.companies,
            "leads": self.client.leads,
            "tasks": self.client.tasks,
        }
        return cast("Callable[[Params], Awaitable[Page[Found]]]", listers[collection])

    # --- by id --------------------------------------------------------------------------------------------------

    async def contacts(self, ids: Sequence[str]) -> list[wire.Contact]:
        return [item for item in await self.by_id("contacts", ids) if isinstance(item, wire.Contact)]

    async def by_id(self, collection: Listed, ids: Sequence[str]) -> list[Found]:
        """The records of ``ids`` that exist; one request for many where the account has filters."""
        found: list[Found] = []
        if not self.has_filters and collection != "tasks":
            for record_id in ids:
                one = await self._one(collection, record_id)
                if one is not None:
                    found.append(one)
            return found
        lister = self.lister(collection)
        # a page must hold all that were asked for, or the rest would look deleted
        size = min(self.settings.ids_per_request, self.settings.page_size)
        for chunk in chunks(list(dict.fromkeys(ids)), size):
            params = [("filter[id][]", record_id) for record_id in chunk]
            page = await lister([*params, ("limit", str(self.settings.page_size))])
            if not all(is_named(item) for item in page.items):
                # not taken for deleted
                raise Unavailable(f"amoCRM tells {collection} without readable numbers", operation=f"GET {collection}")
            wanted = set(chunk)
            found += [item for item in page.items if str(item.id) in wanted]
        return found

    async def _one(self, collection: Listed, record_id: str) -> Found | None:
        match collection:
            case "contacts":
                return await self.client.contact(record_id)
            case "companies":
                return await self.client.company(record_id)
            case _:
                return await self.client.lead(record_id)

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """The records as they are now; those that do not exist come back as deleted."""
        found = Collected.empty()
        asked: set[RecordRef] = set()
        for kind, collection in COLLECTIONS.items():
            ids = [ref.id for ref in refs if ref.kind is kind]
            if ids:
                found.add(await self.by_id(collection, ids))
                asked |= {ref for ref in refs if ref.kind is kind}
        return to_changes(found, self.reader, deleted=asked - found.refs())

    # --- by change time -----------------------------------------------------------------------------------------

    async def changed(self, collection: Listed, since: int) -> Sweep:
        """Every record of ``collection`` changed at ``since`` (unix seconds) or later, whatever happens meanwhile.

        Newest first: an edit during the reading moves others down, so that they are read twice. What it may cost is
        looked after when there were several pages (one page needs nothing): a record edited before its page came
        jumped above us, so the top is read again; a deleted one drew others past us, so the list is read the other
        way round, which nothing can escape.
        """
        sweep = await self._sweep(collection, since)
        if sweep.pages <= 1:
            return sweep
        records, newest = dict(sweep.records), sweep.newest
        deletions: set[str] = set()
        for _round in range(_MOST_ROUNDS):
            found = await self._deletions(collection, sweep.newest)
            if found <= deletions:
                break
            deletions |= found
            if self.has_filters or collection == "tasks":
                records |= await self._backwards(collection, since, sweep.pages)
                break
            # without filters the other way round begins at the account's oldest record: repeat until it was quiet
            records |= (await self._sweep(collection, since)).records
        for _round in range(_MOST_ROUNDS):
            closing = await self._sweep(collection, newest)
            records |= closing.records
            newest = closing.newest
            if closing.pages <= 1:
                break
        return Sweep(records, newest, sweep.pages)

    async def _backwards(self, collection: Listed, since: int, pages: int) -> dict[int, Found]:
        order = "id" if collection == "tasks" else "updated_at"
        params = [
            ("limit", str(self.settings.page_size)),
            ("filter[updated_at][from]", str(since)),
            (f"order[{order}]", "asc"),
        ]
        records: dict[int, Found] = {}
        for number in range(await self.last_page(collection, params, known=pages - 1), 0, -1):
            for item in await self.page(collection, params, number):
                if _is_since(item, since):
                    records[item.id] = item
        return records

    async def page(self, collection: Listed, params: Params, number: int) -> tuple[Found, ...]:
        """One page of a list."""
        return (await self.lister(collection)([*params, ("page", str(number))])).items

    async def last_page(self, collection: Listed, params: Params, *, known: int, empty: int | None = None) -> int:
        """The number of the last page that holds anything: amoCRM tells no totals (1.1).

        Pages up to ``known`` are taken to hold something; ``empty`` is a page that is known to hold nothing.
        """
        low, high, step = known, empty, 1
        while high is None:
            if low > DEEPEST:
                raise Unavailable(f"amoCRM's list of {collection} has no end", operation=f"GET {collection}")
            if await self.page(collection, params, low + step):
                low, step = low + step, step * 2
            else:
                high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if await self.page(collection, params, middle):
                low = middle
            else:
                high = middle
        return low

    async def _sweep(self, collection: Listed, since: int) -> Sweep:
        params: list[tuple[str, str]] = [("limit", str(self.settings.page_size))]
        if self.has_filters or collection == "tasks":
            params.append(("filter[updated_at][from]", str(since)))
        # tasks know no order by change: their filter alone bounds the list
        is_ordered = collection != "tasks"
        params.append(("order[updated_at]", "desc") if is_ordered else ("order[id]", "desc"))
        records: dict[int, Found] = {}
        newest, pages = since, 0
        async for page in self.pages(self.lister(collection), params):
            pages += 1
            fresh = [item for item in page if _is_since(item, since)]
            for item in fresh:
                records[item.id] = item
                newest = max(newest, item.updated_at or 0)
            if is_ordered and len(fresh) < len(page):
                break
        return Sweep(records, newest, pages)

    async def _deletions(self, collection: Listed, since: int) -> set[str]:
        types = f"{_DELETIONS[collection]},entity_merged"
        params = [("filter[type]", types), ("filter[created_at][from]", str(since))]
        page = await self.client.events([*params, ("limit", str(self.settings.events_page_size))])
        return {event.id for event in page.items if event.created_at >= since}

    async def pages(
        self, lister: Callable[[Params], Awaitable[Page[ModelT]]], params: Params, first: int = 1
    ) -> AsyncIterator[tuple[ModelT, ...]]:
        """Page after page, past one that is empty, as long as amoCRM says that there is more.

        Raises Unavailable for a list that goes round in circles (a vendor's bug): what stands further on is unknown,
        and whoever looks whether a lost write arrived would believe that it did not (X5).
        """
        number, last = first, None  # type: int, tuple[ModelT, ...] | None
        while True:
            page = await lister([*params, ("page", str(number))])
            if page.items == last or number > DEEPEST:
                raise Unavailable("amoCRM tells the same page again instead of the next one", operation="GET pages")
            if page.items:
                yield page.items
            if not page.has_more:
                return
            number, last = number + 1, page.items

    # --- by search ----------------------------------------------------------------------------------------------

    async def search(self, identity: Identity) -> Changes:
        """The client's records by ``query``, compared again here: it also hits other fields and 7-digit tails, and lags
        behind writes by a second or more (19)."""
        found = Collected.empty()
        for phone in identity.phones:
            for card in await self._query(phone[1:][-self.settings.search_digits :]):
                if phone in self.reader.phones(card):
                    found.add([card])
        wanted = {email.strip().lower() for email in identity.emails}
        for email in sorted(wanted):
            for card in await self._query(email):
                if email in emails(card):
                    found.add([card])
        for value in sorted({value.strip() for value in identity.fields.values()} - {""}):
            for card in await self._query(value):
                if value in field_texts(card):
                    found.add([card])
        await self.add_open_work(found)
        return to_changes(found, self.reader)

    async def _query(self, text: str) -> list[wire.Contact | wire.Company]:
        params = [("query", text), ("limit", str(self.settings.page_size))]
        found: list[wire.Contact | wire.Company] = []
        async for contacts in self.pages(self.client.contacts, params):
            found += contacts
        async for companies in self.pages(self.client.companies, params):
            found += companies
        return found

    async def add_open_work(self, found: Collected) -> None:
        """The deals of the cards in ``found``, and the open tasks on all of them."""
        cards: list[wire.Entity] = [*found.contacts.values(), *found.companies.values()]
        deal_ids = [str(deal.id) for card in cards for deal in card.relations.leads or ()]
        if deal_ids:
            found.add(await self.by_id("leads", deal_ids))
        owners: list[tuple[Card, Collection[int]]] = [
            ("contacts", found.contacts),
            ("companies", found.companies),
            ("leads", found.leads),
        ]
        for card_word, ids in owners:
            if ids:
                found.add(await self.open_tasks(card_word, [str(i) for i in ids]))

    async def open_tasks(self, card: Card, ids: Sequence[str]) -> list[wire.Task]:
        """GET /tasks of these cards, open ones only."""
        found: list[wire.Task] = []
        for chunk in chunks(ids, self.settings.ids_per_request):
            owners = [("filter[entity_id][]", record_id) for record_id in chunk]
            params = [("filter[is_completed]", "0"), ("filter[entity_type]", card), *owners]
            wanted = set(chunk)
            async for tasks in self.pages(self.client.tasks, [*params, ("limit", str(self.settings.page_size))]):
                found += [
                    task
                    for task in tasks
                    if not task.is_completed and task.entity_type == card and str(task.entity_id) in wanted
                ]
        return found
