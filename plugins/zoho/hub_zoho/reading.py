"""Reading records of one organisation: by id, by time of change, by number (H6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hub.core.interaction import Identity
from hub.core.records import RecordKind, RecordRef
from hub.errors import Unavailable
from hub.ports import Changes
from hub_zoho.client import Deleted, Page, Params, ZohoClient
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import COMPLETED, LEADS, Reader, module_of, refs_of
from hub_zoho.profile import Profile
from hub_zoho.wire import Row

__all__ = ["MODULES_OF", "MOST_PAGES", "Records", "chunks", "quoted", "repeating"]

#: where records of a kind live
MODULES_OF: dict[RecordKind, tuple[str, ...]] = {
    RecordKind.COMPANY: ("Accounts",),
    RecordKind.CONTACT: ("Contacts", LEADS),
    RecordKind.DEAL: ("Deals", LEADS),
    RecordKind.TASK: ("Tasks",),
}
#: pages that can be asked for by number (3)
MOST_PAGES = 10
#: passes over one second's records before a busy organisation is taken as it is; the next poll tells the rest
_MOST_ROUNDS = 5
ItemT = TypeVar("ItemT")


def chunks(items: Sequence[ItemT], size: int) -> Iterable[Sequence[ItemT]]:
    """``items`` in runs of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def quoted(values: Iterable[str]) -> str:
    """Values of a COQL list; a quote inside is doubled (4)."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Reads one organisation's records."""

    client: ZohoClient
    settings: ZohoSettings
    profile: Profile
    reader: Reader

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the directory is made of."""
        return (LEADS, "Contacts", *(("Accounts",) if self.settings.uses_accounts else ()), "Deals", "Tasks")

    def _columns(self, module: str) -> tuple[str, str]:
        return "fields", ",".join(self.profile.columns(module))

    # --- by id --------------------------------------------------------------------------------------------------

    async def by_id(self, module: str, ids: Iterable[str]) -> list[Row]:
        """GET /{module}?ids=…: the records of ``ids`` that exist; converted leads too."""
        found: list[Row] = []
        # a page must hold all that were asked for, or the rest would look deleted
        size = min(self.settings.ids_per_request, self.settings.page_size)
        for chunk in chunks(list(dict.fromkeys(ids)), size):
            params = [self._columns(module), ("ids", ",".join(chunk)), ("per_page", str(self.settings.page_size))]
            if module == LEADS:
                params.append(("converted", "both"))
            wanted = set(chunk)
            page = await self.client.records(module, params)
            found += [row for row in _named(page.rows) if row.id in wanted]
        return found

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        """The records as they are now; those that do not exist, and converted leads, come back as deleted."""
        wanted: dict[str, list[str]] = {}
        for ref in refs:
            module, record_id = module_of(ref)
            if module in ("Contacts", "Accounts", "Deals", "Tasks", LEADS):
                wanted.setdefault(module, []).append(record_id)
        rows: list[Row] = []
        for module, ids in wanted.items():
            rows += await self.by_id(module, ids)
        seen = {ref for row in rows for ref in refs_of(row.module, row.id)}
        return self.reader.changes(rows, deleted=[ref for ref in refs if ref not in seen])

    # --- by time of change --------------------------------------------------------------------------------------

    async def changed(self, module: str, since: int) -> AsyncIterator[tuple[Row, ...]]:
        """Every record changed at ``since`` (unix seconds) or later, oldest change first, page by page.

        Each page begins where the last one ended, by time and not by number: an edit moves a record to the end,
        where it is met again, and a deletion draws nobody past us. Only within one second pages have to go by number:
        such a second is read until a pass over it brings nothing new.
        """
        mark, number, token = since, 1, ""
        seen: set[tuple[str, int]] = set()
        last_page: tuple[Row, ...] = ()
        has_news, rounds = False, 0
        while True:
            page = await self._changed_page(module, mark, number, token)
            if not page.rows:
                return
            if page.rows == last_page:
                raise repeating(module)
            last_page = page.rows
            # what nobody can read the time of is taken: to leave it out would be to say that it is not there
            fresh = tuple(row for row in page.rows if (row.changed_at or mark) >= mark and _state(row) not in seen)
            seen.update(map(_state, fresh))
            has_news = has_news or bool(fresh)
            if fresh:
                yield fresh
            moments = [row.changed_at for row in page.rows if row.changed_at] or [mark]
            newest = moments[-1]
            if number == 1 and not token:
                if not page.has_more:
                    return
                # a page of one second is the first page of what comes next, so go on with its second
                is_one_second = newest <= mark or moments[0] == newest
                if newest > mark:
                    mark, rounds, has_news = newest, 0, True
                    seen = {key for key in seen if not key[1] or key[1] >= newest}
                number, last_page = (2, last_page) if is_one_second else (1, ())
                continue
            # more in one second than a page holds: an import or a mass update of somebody's
            if page.has_more and newest <= mark:
                number, token = (number + 1, "") if number < MOST_PAGES else (number, page.next_token)
                if number < MOST_PAGES or token:
                    continue
            if has_news and rounds < _MOST_ROUNDS:
                # an edit meanwhile drew others past us, for here pages are told apart by number
                number, token, last_page, has_news, rounds = 1, "", (), False, rounds + 1
                continue
            if not page.has_more:
                return
            mark, number, token, last_page, has_news, rounds = max(mark + 1, newest), 1, "", (), True, 0

    async def _changed_page(self, module: str, mark: int, number: int, token: str) -> Page:
        params = [
            self._columns(module),
            ("sort_by", "Modified_Time"),
            ("sort_order", "asc"),
            ("per_page", str(self.settings.page_size)),
            ("page_token", token) if token else ("page", str(number)),
        ]
        if module == LEADS:
            params.append(("converted", "both"))
        # whether the bound itself is included is not documented
        return await self.client.records(module, params, since=mark - 1)

    async def newest_change(self, module: str) -> int:
        """When the module's newest change was, in unix seconds; 0 if it holds nothing."""
        params: Params = [
            ("fields", "Modified_Time"),
            ("sort_by", "Modified_Time"),
            ("sort_order", "desc"),
            ("per_page", "1"),
        ]
        page = await self.client.records(module, params)
        return max((row.changed_at for row in page.rows), default=0)

    async def deleted(self, module: str, since: int) -> list[Deleted]:
        """What was deleted at ``since`` or later; merged records stand here too."""
        found: dict[str, Deleted] = {}
        for number in range(1, MOST_PAGES + 1):
            rows, has_more = await self.client.deleted(module, since - 1, number)
            found |= {row.id: row for row in rows if row.at >= since}
            if not has_more or not rows:
                break
        return list(found.values())

    # --- by query -----------------------------------------------------------------------------------------------

    async def query(self, module: str, columns: str, where: str) -> AsyncIterator[tuple[Row, ...]]:
        """POST /coql, page by page, newest record first: each page goes on below the last one's lowest id."""
        below = ""
        while True:
            bound = f"({where} and id < '{below}')" if below else where
            order = f"order by id desc limit 0, {self.settings.page_size}"
            # every value in it went through `quoted`
            query = f"select {columns} from {module} where {bound} {order}"  # noqa: S608
            page = await self.client.coql(module, query)
            if page.rows:
                yield _named(page.rows)
            if not page.has_more or not page.rows or page.rows[-1].id == below:
                return
            below = page.rows[-1].id

    async def search(self, identity: Identity) -> Changes:
        """The client's records: the search for numbers however they were typed, COQL for what the index lacks yet.

        The search hits other fields' digits too, so numbers are compared here (4).
        """
        found: dict[tuple[str, str], Row] = {}
        modules = [module for module in self.modules if module in (LEADS, "Contacts", "Accounts")]
        for module in modules:
            for row in await self._search_in(module, identity):
                found[module, row.id] = row
        await self.add_open_work(found)
        return self.reader.changes(found.values())

    async def _search_in(self, module: str, identity: Identity) -> list[Row]:
        columns, size = self._columns(module), ("per_page", str(self.settings.page_size))
        found: list[Row] = []
        for phone in identity.phones:
            digits = phone[1:][-self.settings.search_digits :]
            rows = list(_named((await self.client.search(module, [columns, ("phone", digits), size])).rows))
            names = self.profile.phone_fields(module)
            if names:
                rows += await self._fresh(module, _any_of(names, f"like '%{digits}'"), rows)
            found += [row for row in rows if phone in self.reader.phones(row)]
        for email in identity.emails:
            names = self.profile.email_fields(module)
            if not names:
                continue
            rows = list(_named((await self.client.search(module, [columns, ("email", email), size])).rows))
            rows += await self._fresh(module, _any_of(names, f"= {quoted([email])}"), rows)
            found += [row for row in rows if email.strip().lower() in self.reader.emails(row)]
        return found

    async def _fresh(self, module: str, where: str, known: Sequence[Row]) -> list[Row]:
        """What COQL finds beyond ``known``; whole records."""
        ids = {row.id for row in known}
        query = f"select id from {module} where {where} limit 0, 200"  # noqa: S608 - digits and `quoted` values
        page = await self.client.coql(module, query)
        return await self.by_id(module, [row.id for row in _named(page.rows) if row.id not in ids])

    async def add_open_work(self, found: dict[tuple[str, str], Row]) -> None:
        """The deals of the cards in ``found``, and the open tasks on all of them."""
        contacts = [i for module, i in found if module == "Contacts"]
        accounts = [i for module, i in found if module == "Accounts"]
        for name, ids in (("Contact_Name", contacts), ("Account_Name", accounts)):
            for row in await self.pointing("Deals", name, ids):
                found["Deals", row.id] = row
        for row in await self.open_tasks(contacts, [i for module, i in found if module != "Contacts"]):
            found["Tasks", row.id] = row

    async def pointing(self, module: str, name: str, ids: Sequence[str]) -> list[Row]:
        """Records whose lookup ``name`` is one of ``ids``."""
        hits: list[str] = []
        for chunk in chunks(ids, self.settings.list_limit):
            async for rows in self.query(module, "id", f"{name} in ({quoted(chunk)})"):
                hits += [row.id for row in rows]
        return await self.by_id(module, hits)

    async def open_tasks(self, who: Sequence[str], what: Sequence[str]) -> list[Row]:
        """The open tasks on these contacts, and on these leads, deals and accounts."""
        hits: list[str] = []
        for name, ids in (("Who_Id", who), ("What_Id", what)):
            for chunk in chunks(ids, self.settings.list_limit):
                where = f"({name} in ({quoted(chunk)}) and Status != '{COMPLETED}')"
                async for rows in self.query("Tasks", "id", where):
                    hits += [row.id for row in rows]
        return await self.by_id("Tasks", hits)


def repeating(module: str) -> Unavailable:
    """The same page again: no endless reading on a bug of the vendor's, nor a part that is taken for the whole (X5)."""
    return Unavailable(f"Zoho tells the same page of {module} again instead of the next one", operation=module)


def _state(row: Row) -> tuple[str, int]:
    """What tells a record's states apart, with the second of the change."""
    return row.id or row.fingerprint().decode(), row.changed_at


def _named(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """``rows``, each with an id: who asked for certain records must not take one without for deleted."""
    if not all(row.id for row in rows):
        raise Unavailable(
            "Zoho answered in an unknown form: a record without an id", maybe_applied=False, operation=rows[0].module
        )
    return rows


def _any_of(names: Sequence[str], test: str) -> str:
    """``A or B or C``, bracketed in pairs as COQL wants it (4)."""
    joined = f"{names[0]} {test}"
    for name in names[1:]:
        joined = f"({joined} or {name} {test})"
    return joined
