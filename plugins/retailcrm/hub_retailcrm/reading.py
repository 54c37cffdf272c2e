"""Reading records: by id, page after page, and by search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias, TypeVar, cast

from hub.core.damage import is_named
from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.records import RecordKind, RecordRef
from hub.errors import Rejected, Stale, Unavailable
from hub.ports import Changes
from hub_retailcrm import wire
from hub_retailcrm.client import Page, Params, RetailCrmClient
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.mapping import Reader
from hub_retailcrm.problem import LacksRight

__all__ = ["HISTORIES", "KINDS", "LISTS", "Collected", "Found", "Listed", "Records", "chunks", "refs_of", "repeating"]

#: RetailCRM's words for what the hub reads; also the first part of their paths
Listed: TypeAlias = Literal["customers", "customers-corporate", "orders", "tasks"]
Found: TypeAlias = wire.Customer | wire.Corporate | wire.Order | wire.Task
LISTS: dict[RecordKind, Listed] = {
    RecordKind.CONTACT: "customers",
    RecordKind.COMPANY: "customers-corporate",
    RecordKind.DEAL: "orders",
    RecordKind.TASK: "tasks",
}
KINDS: dict[Listed, RecordKind] = {word: kind for kind, word in LISTS.items()}
HISTORIES: tuple[Listed, ...] = tuple(KINDS)
_ATTRIBUTES: dict[Listed, Literal["customer", "order", "task"]] = {
    "customers": "customer",
    "customers-corporate": "customer",
    "orders": "order",
    "tasks": "task",
}
#: ``filter[ids][]`` in one request: a page holds no more than 100
_MOST_IDS = 100
ItemT = TypeVar("ItemT")
ModelT = TypeVar("ModelT", bound=wire.Wire)


def chunks(items: Sequence[ItemT], size: int) -> Iterable[Sequence[ItemT]]:
    """``items`` in runs of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def refs_of(word: Listed, ids: Iterable[int | str]) -> set[RecordRef]:
    """What ``ids`` of a list point at."""
    return {RecordRef(kind=KINDS[word], id=str(record_id)) for record_id in ids}


def subject(word: Listed, change: wire.Change) -> int | None:
    """The id of the record that an entry of a history is about."""
    return cast("int | None", getattr(change, _ATTRIBUTES[word]).id)


@dataclass(slots=True)
class Collected:
    """Records of every kind, each once, the latest reading last."""

    found: dict[tuple[Listed, int], Found] = field(default_factory=dict)

    def add(self, word: Listed, items: Iterable[Found]) -> None:
        """What has no readable number is left out: nothing could be done with it."""
        for item in filter(is_named, items):
            self.found[word, item.id] = item

    def refs(self) -> set[RecordRef]:
        return {ref for word, record_id in self.found for ref in refs_of(word, [record_id])}

    def changes(
        self,
        reader: Reader,
        *,
        deleted: Iterable[RecordRef] = (),
        cursor: str = "",
        as_of: datetime | None = None,
        progress: float | None = None,
    ) -> Changes:
        """Everything in the hub's words."""
        values = self.found.values()
        return Changes(
            contacts=tuple(reader.contact(item) for item in values if isinstance(item, wire.Customer)),
            companies=tuple(reader.company(item) for item in values if isinstance(item, wire.Corporate)),
            deals=tuple(reader.deal(item) for item in values if isinstance(item, wire.Order)),
            tasks=tuple(reader.task(item) for item in values if isinstance(item, wire.Task)),
            deleted=tuple(sorted(set(deleted) - self.refs(), key=str)),
            cursor=cursor,
            as_of=as_of,
            progress=progress,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Reads one account's records."""

    client: RetailCrmClient
    settings: RetailCrmSettings
    reader: Reader
    has_corporate: bool

    @property
    def words(self) -> tuple[Listed, ...]:
        """The lists that this account has."""
        return tuple(word for word in HISTORIES if self.has_corporate or word != "customers-corporate")

    def lister(self, word: Listed) -> Callable[[Params], Awaitable[Page[Found]]]:
        listers = {
            "customers": self.client.customers,
            "customers-corporate": self.client.corporate,
            "orders": self.client.orders,
            "tasks": self.client.tasks,
        }
        return cast("Callable[[Params], Awaitable[Page[Found]]]", listers[word])

    async def by_id(self, word: Listed, ids: Iterable[int | str]) -> list[Found]:
        """The records of ``ids`` that exist: a request for every 100."""
        found: list[Found] = []
        for chunk in chunks(list(dict.fromkeys(str(one) for one in ids)), _MOST_IDS):
            params = [*(("filter[ids][]", record_id) for record_id in chunk), ("limit", str(_MOST_IDS))]
            wanted, items = set(chunk), (await self.lister(word)(params)).items
            if not all(is_named(item) for item in items):
                # not taken for deleted
                raise Unavailable(
                    f"RetailCRM tells {word} without readable numbers", maybe_applied=False, operation=f"GET {word}"
                )
            found += [item for item in items if str(item.id) in wanted]
        return found

    async def customers(self, ids: Iterable[int | str]) -> list[wire.Customer]:
        return [item for item in await self.by_id("customers", ids) if isinstance(item, wire.Customer)]

    async def by_external(self, word: Listed, external_ids: Sequence[str]) -> list[Found]:
        """The records that bear our marks."""
        found: list[Found] = []
        for chunk in chunks(external_ids, _MOST_IDS):
            params = [*(("filter[externalIds][]", one) for one in chunk), ("limit", str(_MOST_IDS))]
            found += [item async for item in self.all(self.lister(word), params)]
        return found

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """The records as they are now; those that do not exist come back as deleted."""
        found, asked = Collected(), set[RecordRef]()
        for word in HISTORIES:
            wanted = [ref for ref in refs if ref.kind is KINDS[word]]
            asked |= set(wanted)
            if wanted and word in self.words:
                found.add(word, await self.by_id(word, [ref.id for ref in wanted]))
        return found.changes(self.reader, deleted=asked)

    async def all(self, lister: Callable[[Params], Awaitable[Page[ModelT]]], params: Params) -> AsyncIterator[ModelT]:
        """Every record of a list, up to an empty page.

        Raises Unavailable for a page that repeats its predecessor (a vendor's bug): what stands further on is unknown,
        and whoever looks whether a lost write arrived would believe that it did not (X5).
        """
        number, last = 1, ()  # type: int, tuple[ModelT, ...]
        while True:
            page = await lister([*params, ("page", str(number))])
            if not page.size:
                return
            if page.items and page.items == last:
                raise repeating()
            for item in page.items:
                yield item
            if number >= page.pages:
                return
            number, last = number + 1, page.items

    # --- by search ----------------------------------------------------------------------------------------------

    async def search(self, identity: Identity) -> Changes:
        """The client's records by ``filter[name]``, a search that hits names too: numbers are compared again here.

        How it normalises numbers is not documented (?): all digits are tried first, then the last ten, then the
        telephony's own look-up (C4).
        """
        found = Collected()
        for phone in identity.phones:
            hits: list[wire.Customer] = []
            for text in dict.fromkeys((phone[1:], phone[1:][-self.settings.search_digits :])):
                hits = [one async for one in self._customers("name", text) if phone in self.reader.phones(one)]
                if hits:
                    break
            found.add("customers", hits or await self._by_telephony(phone))
        for email in dict.fromkeys(email.strip().lower() for email in identity.emails):
            hits = [one async for one in self._customers("email", email) if (one.email or "").strip().lower() == email]
            found.add("customers", hits)
        await self._add_work(found, identity)
        return found.changes(self.reader)

    async def _by_telephony(self, phone: Phone) -> list[wire.Customer]:
        """The one method that takes a number as such; a key without the right to it knows nobody."""
        try:
            customer_id = await self.client.customer_of(phone)
        except (LacksRight, Rejected, Stale):
            return []
        if customer_id is None:
            return []
        return [one for one in await self.customers([customer_id]) if phone in self.reader.phones(one)]

    async def _customers(self, name: str, text: str) -> AsyncIterator[wire.Customer]:
        async for item in self.all(self.client.customers, [(f"filter[{name}]", text), ("limit", "100")]):
            yield item

    async def _add_work(self, found: Collected, identity: Identity) -> None:
        """The customers' companies, orders and open tasks."""
        people = [record_id for word, record_id in found.found if word == "customers"]
        if people and self.has_corporate:
            params = [*(("filter[contactIds][]", str(one)) for one in people), ("limit", "100")]
            found.add("customers-corporate", [one async for one in self.all(self.client.corporate, params)])
        companies = [record_id for word, record_id in found.found if word == "customers-corporate"]
        for customer_id in (*people, *companies):
            await self.add_orders(found, customer_id)
        ours = {(word, record_id) for word, record_id in found.found}
        for text in dict.fromkeys(phone[1:][-self.settings.search_digits :] for phone in identity.phones if people):
            params = [("filter[customer]", text), ("filter[status]", "performing"), ("limit", "100")]
            async for task in self.all(self.client.tasks, params):
                if {("orders", task.order.id), ("customers", task.customer.id)} & ours:
                    found.add("tasks", [task])

    async def add_orders(self, found: Collected, customer_id: int) -> None:
        """All orders of a customer."""
        params = [("filter[customerId]", str(customer_id)), ("limit", "100")]
        found.add("orders", [one async for one in self.all(self.client.orders, params)])


def repeating() -> Unavailable:
    """The same page again: no endless reading on a bug of the vendor's, nor a part that is taken for the whole."""
    return Unavailable("RetailCRM tells the same page again instead of the next one", operation="GET pages")
