"""Feeds, import, barrier and search stay complete while people work in the CRM (H6, DESIGN 2 and 5)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task, crm_user
from hub.ports import Changes

CLIENT = Phone("+380671234567")
ALL_KINDS = frozenset({RecordKind.CONTACT, RecordKind.COMPANY, RecordKind.DEAL, RecordKind.TASK})


class Directory:
    """What somebody who follows the feeds knows."""

    def __init__(self) -> None:
        self.records: dict[RecordRef, Contact | Company | Deal | Task] = {}
        self.cursor = ""

    async def fold(self, office: Any, feed: AsyncIterator[Changes]) -> list[Changes]:
        pages = []
        async for page in feed:
            pages.append(page)
            self.take(page)
            if page.touched:
                self.take(await office.session.read(page.touched))
            self.cursor = page.cursor or self.cursor
        return pages

    def take(self, page: Changes) -> None:
        for records in (page.contacts, page.companies, page.deals, page.tasks):
            self.records |= {record.ref: record for record in records}
        for ref in page.deleted:
            self.records.pop(ref, None)

    def names(self, kind: RecordKind) -> dict[str, tuple[str, Any]]:
        """Name (or text) and responsible of everything open of one kind."""
        return {
            ref.id: (record.text if isinstance(record, Task) else record.name, record.responsible)
            for ref, record in self.records.items()
            if ref.kind is kind and getattr(record, "is_open", True)
        }


def truth(office: Any, kind: RecordKind) -> dict[str, tuple[str, Any]]:
    """The same, from the sandbox's own records."""
    word = {"contact": "contacts", "company": "companies", "deal": "leads", "task": "tasks"}[kind.value]
    return {
        str(record["id"]): (record.get("text") or record.get("name"), crm_user(record["responsible_user_id"]))
        for record in office.records(word)
        if not record.get("is_deleted") and not record.get("is_completed") and record.get("status_id") not in (142, 143)
    }


def people_at_work(office: Any, seed: int, *, every: int = 2) -> Callable[[httpx.Response], Any]:
    """Lets people create, edit, merge, close and delete between any two requests of the plugin."""
    chance = random.Random(seed)
    people, leads, tasks = (
        [record["id"] for record in office.records(word)] for word in ("contacts", "leads", "tasks")
    )
    count = 0

    def act() -> None:
        do, name = office.sandbox.person, f"Имя {count}"
        match chance.choice(("new", "edit", "edit", "delete", "drop", "merge", "close", "give", "done")):
            case "new":
                people.append(office.person("create_contact", name=name))
            case "edit":
                do("update", entity="contacts", id=chance.choice(people), name=name)
            case "delete" if len(people) > 5:
                do("delete", entity="contacts", id=people.pop(chance.randrange(len(people))))
            case "drop" if len(leads) > 3:
                do("delete", entity="leads", id=leads.pop(chance.randrange(len(leads))))
            case "merge" if len(people) > 5:
                kept, lost = chance.sample(people, 2)
                do("merge_contacts", survivor=kept, losers=[lost])
                people.remove(lost)
            case "close" if leads:
                do("close_lead", id=chance.choice(leads), won=chance.random() < 0.5)
            case "give" if leads:
                do("change_responsible", entity="leads", id=chance.choice(leads), user_id=8800105)
            case "done" if tasks:
                do("complete_task", id=tasks.pop(chance.randrange(len(tasks))))

    async def work(response: httpx.Response) -> None:
        nonlocal count
        count += 1
        if count % every == 0:
            if chance.random() < 0.3:
                office.sandbox.advance(1)
            act()

    return work


def fill(office: Any, contacts: int, leads: int) -> None:
    """An account with some past, spread over seconds."""
    for number in range(contacts):
        contact = office.person("create_contact", name=f"Клиент {number}", phone=f"+38067{number:07d}")
        if number < leads:
            office.person("create_lead", name=f"Сделка {number}", contact_id=contact)
            office.person("create_task", text=f"Дело {number}", entity_type="contacts", entity_id=contact)
        if number % 3 == 0:
            office.sandbox.advance(1)
    office.person("create_company", name="ТОВ Чай", phone="+380441112233")


# --- polling ------------------------------------------------------------------------------------------------------


async def test_a_new_feed_starts_from_now_and_then_tells_each_change_once(office: Any) -> None:
    office.person("create_contact", name="Старый", phone="+380671111111")
    office.sandbox.advance(60)
    directory = Directory()
    (first,) = await directory.fold(office, office.session.changes(""))
    assert (first.contacts, first.as_of is not None) == ((), True)

    new = office.person("create_contact", name="Ольга", phone="067 123 45 67")
    pages = await directory.fold(office, office.session.changes(directory.cursor))
    assert [contact.phones for page in pages for contact in page.contacts if contact.id == str(new)] == [(CLIENT,)]
    assert pages[-1].as_of is not None

    quiet = await directory.fold(office, office.session.changes(directory.cursor))
    assert [page.contacts for page in quiet] == [()]


async def test_two_edits_in_one_second_are_both_told(office: Any) -> None:
    """Ties: the second edit has the same time of change as the first."""
    directory = Directory()
    await directory.fold(office, office.session.changes(""))
    contact = office.person("create_contact", name="Раз")
    await directory.fold(office, office.session.changes(directory.cursor))
    office.sandbox.person("update", entity="contacts", id=contact, name="Два")
    await directory.fold(office, office.session.changes(directory.cursor))
    assert [name for name, _ in directory.names(RecordKind.CONTACT).values()] == ["Два"]


DEEDS = {
    "a contact is deleted": lambda o, i: o.sandbox.person("delete", entity="contacts", id=i["contact"]),
    "a lead is deleted": lambda o, i: o.sandbox.person("delete", entity="leads", id=i["lead"]),
    "a task is deleted": lambda o, i: o.sandbox.person("delete", entity="tasks", id=i["task"]),
    "contacts are merged": lambda o, i: o.sandbox.person("merge_contacts", survivor=i["contact"], losers=[i["other"]]),
    "a lead changes hands": lambda o, i: o.sandbox.person(
        "change_responsible", entity="leads", id=i["lead"], user_id=8800105
    ),
    "a lead is lost": lambda o, i: o.sandbox.person("close_lead", id=i["lead"], won=False),
    "a task is done": lambda o, i: o.sandbox.person("complete_task", id=i["task"]),
    "a contact joins a lead": lambda o, i: o.sandbox.person(
        "link_records", entity="leads", id=i["lead"], to_entity="contacts", to_id=i["other"]
    ),
}


@pytest.mark.parametrize("has_filters", [True, False], ids=["filters", "no filters"])
@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
async def test_what_a_person_does_reaches_the_directory(
    office: Any, deed: Callable[[Any, dict[str, int]], Any], has_filters: bool
) -> None:
    office.sandbox.switch(is_api_filter_enabled=has_filters)
    contact = office.person("create_contact", name="Иван")
    made = {
        "contact": contact,
        "other": office.person("create_contact", name="Пётр"),
        "lead": office.person("create_lead", name="Чай", contact_id=contact),
        "task": office.person("create_task", text="Дело", entity_type="contacts", entity_id=contact),
    }
    directory = Directory()
    await directory.fold(office, office.session.import_all(""))
    office.sandbox.advance(100)
    deed(office, made)
    await directory.fold(office, office.session.changes(directory.cursor))
    for kind in ALL_KINDS:
        assert directory.names(kind) == truth(office, kind), kind
    lead = directory.records.get(RecordRef(kind=RecordKind.DEAL, id=str(made["lead"])))
    held = [record for record in office.records("leads") if record["id"] == made["lead"]]
    if isinstance(lead, Deal) and held and not held[0]["is_deleted"]:
        assert set(lead.contact_ids) == {str(item["id"]) for item in held[0]["_embedded"]["contacts"]}


@pytest.mark.parametrize("seed", range(3))
async def test_polling_loses_nothing_while_people_work(office: Any, seed: int) -> None:
    """H6: create, edit, merge, close, delete between any two requests, pages of four, filters on and off."""
    office.sandbox.switch(is_api_filter_enabled=seed % 2 == 0)
    fill(office, 20, 10)
    small = office.with_settings(page_size=4, events_page_size=4)
    directory = Directory()
    await directory.fold(small, small.session.import_all(""))
    office.context.http.event_hooks["response"] = [people_at_work(office, seed)]
    for _ in range(3):
        await directory.fold(small, small.session.changes(directory.cursor))
    office.context.http.event_hooks["response"] = []
    await directory.fold(small, small.session.changes(directory.cursor))
    for kind in ALL_KINDS:
        assert directory.names(kind) == truth(office, kind), kind


# --- import -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_an_import_loses_nothing_while_people_work(office: Any, seed: int) -> None:
    """Pages of four and windows of three pages: every window is met, by both ways of reading."""
    office.sandbox.switch(is_api_filter_enabled=seed != 3)
    fill(office, 45, 25)
    small = office.with_settings(page_size=4, page_window=3, events_page_size=20)
    directory = Directory()
    office.context.http.event_hooks["response"] = [people_at_work(office, seed, every=1 + seed % 3)]
    await directory.fold(small, small.session.import_all(""))
    office.context.http.event_hooks["response"] = []
    await directory.fold(small, small.session.changes(directory.cursor))
    for kind in ALL_KINDS:
        assert directory.names(kind) == truth(office, kind), kind


@pytest.mark.parametrize("stop_after", [1, 7, 14, 25])
async def test_an_interrupted_import_goes_on_where_it_stopped(office: Any, stop_after: int) -> None:
    fill(office, 40, 20)
    small = office.with_settings(page_size=4, page_window=3)
    directory = Directory()

    async def some(feed: AsyncIterator[Changes]) -> AsyncIterator[Changes]:
        left = stop_after
        async for page in feed:
            yield page
            left -= 1
            if not left:
                return

    await directory.fold(small, some(small.session.import_all("")))
    again = small.with_settings()
    await directory.fold(again, again.session.import_all(directory.cursor))
    for kind in ALL_KINDS:
        assert directory.names(kind) == truth(office, kind), kind
    assert await directory.fold(again, again.session.import_all(directory.cursor)) == []


async def test_open_deals_and_their_contacts_come_first_and_progress_only_grows(office: Any) -> None:
    fill(office, 30, 25)
    small = office.with_settings(page_size=2, ids_per_request=3)
    pages = [page async for page in small.session.import_all("")]
    assert pages[0].deals
    first_contacts = next(index for index, page in enumerate(pages) if page.contacts)
    assert pages[first_contacts].deals or any(page.deals for page in pages[first_contacts:])
    progress = [page.progress for page in pages if page.progress is not None]
    assert progress == sorted(progress)


async def test_an_import_costs_little_more_than_its_pages(office: Any) -> None:
    """1.15 times the minimum (DESIGN 11), here with 300 pages of contacts and a window of 100."""
    office.sandbox.seed(contacts=6_000, leads=4_000)
    small = office.with_settings(page_size=20)
    await small.session.catalogue()
    office.sandbox.reset_stats()
    counts: dict[str, set[str]] = {"contacts": set(), "deals": set()}
    async for page in small.session.import_all(""):
        counts["contacts"] |= {contact.id for contact in page.contacts}
        counts["deals"] |= {deal.id for deal in page.deals if deal.is_open}
    records = office.sandbox.records(seeded=True)
    open_leads = [lead for lead in records["leads"] if lead["status_id"] not in (142, 143)]
    assert len(counts["contacts"]) == len(records["contacts"])
    assert len(counts["deals"]) == len(open_leads)
    kinds = (records["contacts"], open_leads, records["companies"], records["tasks"])
    minimum = sum(-(-len(kind) // 20) for kind in kinds)
    assert len(office.asked()) <= 1.15 * minimum, (len(office.asked()), minimum)


class Hollow(httpx.AsyncBaseTransport):
    """The sandbox, but for an empty page with a further one behind it between a list's first page and its second."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self.emptied = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number, path = int(request.url.params.get("page", 1)), request.url.path
        if path not in ("/api/v4/leads", "/api/v4/contacts") or number == 1:
            return await self._inner.handle_async_request(request)
        if number == 2:
            self.emptied += 1
            word = path.rsplit("/", 1)[-1]
            told = {"_page": 2, "_links": {"next": {"href": f"{request.url}"}}, "_embedded": {word: []}}
            return httpx.Response(200, json=told, request=request)
        url = request.url.copy_set_param("page", number - 1)
        moved = httpx.Request(request.method, url, headers=request.headers, stream=request.stream)
        return await self._inner.handle_async_request(moved)

    async def aclose(self) -> None:
        await self._inner.aclose()


# --- barrier, read, search ----------------------------------------------------------------------------------------


async def test_a_barrier_shows_what_search_does_not_know_yet(office: Any) -> None:
    """DESIGN 2: lists do not lag."""
    office.sandbox.switch(search_lag_seconds=60)
    before = datetime.now(UTC)
    contact = office.person("create_contact", name="Ольга", phone=CLIENT)
    assert (await office.session.search(Identity(phones=(CLIENT,)))).contacts == ()
    seen = await office.session.barrier({RecordKind.CONTACT, RecordKind.COMPANY}, before)
    assert [found.id for found in seen.contacts] == [str(contact)]
    office.sandbox.switch(search_lag_seconds=0)


@pytest.mark.parametrize("has_filters", [True, False], ids=["filters", "no filters"])
async def test_a_barrier_costs_one_request_a_kind_and_leaves_out_what_is_older(office: Any, has_filters: bool) -> None:
    office.sandbox.switch(is_api_filter_enabled=has_filters)
    for number in range(8):
        office.person("create_contact", name=f"Старый {number}")
    now = datetime.now(UTC)
    office.sandbox.advance(1000)
    contact = office.person("create_contact", name="Новый")
    await office.session.catalogue()
    office.sandbox.reset_stats()
    seen = await office.session.barrier({RecordKind.CONTACT}, now + timedelta(seconds=900))
    assert [found.id for found in seen.contacts] == [str(contact)]
    assert office.asked() == ["GET /api/v4/contacts"]


async def test_a_barrier_of_many_pages_is_proof_while_people_work(office: Any) -> None:
    began = datetime.now(UTC)
    fill(office, 30, 0)
    small = office.with_settings(page_size=4)
    await small.session.catalogue()
    held = set(truth(office, RecordKind.CONTACT))
    office.context.http.event_hooks["response"] = [people_at_work(office, 5, every=1)]
    seen = await small.session.barrier({RecordKind.CONTACT}, began)
    office.context.http.event_hooks["response"] = []
    still_there = held & set(truth(office, RecordKind.CONTACT))
    assert still_there <= {contact.id for contact in seen.contacts}


@pytest.mark.parametrize("has_filters", [True, False], ids=["filters", "no filters"])
async def test_reading_tells_what_is_there_and_what_is_gone(office: Any, has_filters: bool) -> None:
    office.sandbox.switch(is_api_filter_enabled=has_filters)
    contact = office.person("create_contact", name="Ольга")
    lead = office.person("create_lead", name="Чай", contact_id=contact)
    task = office.person("create_task", text="Дело")
    refs = [
        RecordRef(kind=RecordKind.CONTACT, id=str(contact)),
        RecordRef(kind=RecordKind.DEAL, id=str(lead)),
        RecordRef(kind=RecordKind.TASK, id=str(task)),
    ]
    gone = [RecordRef(kind=kind, id="999999999") for kind in (RecordKind.CONTACT, RecordKind.DEAL, RecordKind.TASK)]
    seen = await office.session.read([*refs, *gone])
    assert [record.ref for record in (*seen.contacts, *seen.deals, *seen.tasks)] == refs
    assert set(seen.deleted) == set(gone)


async def test_search_compares_numbers_itself_and_brings_open_work(office: Any) -> None:
    """19: a query also hits other numbers with the same last seven digits (C4)."""
    wanted = office.person("create_contact", name="Ольга", phone="(067) 123-45-67")
    office.person("create_contact", name="Двойник", phone="+380501234567")
    company = office.person("create_company", name="ТОВ Чай", phone="380671234567")
    lead = office.person("create_lead", name="Чай", contact_id=wanted)
    task = office.person("create_task", text="Дело", entity_type="leads", entity_id=lead)
    done = office.person("create_task", text="Сделано", entity_type="contacts", entity_id=wanted)
    office.sandbox.person("complete_task", id=done)
    seen = await office.session.search(Identity(phones=(CLIENT,)))
    assert [found.id for found in seen.contacts] == [str(wanted)]
    assert [found.id for found in seen.companies] == [str(company)]
    assert [found.id for found in seen.deals] == [str(lead)]
    assert [found.id for found in seen.tasks] == [str(task)]
    assert seen.tasks[0].on == RecordRef(kind=RecordKind.DEAL, id=str(lead))


async def test_search_finds_by_a_further_field_and_compares_it_itself(office: Any) -> None:
    """J4: contacts and companies; a query also hits numbers that merely end alike, and values that only contain it."""

    def tax(entity: str) -> int:
        return int(office.sandbox.add_field(entity=entity, name="ИНН", type="text").id)

    def held(field_id: int, value: str) -> list[dict[str, Any]]:
        return [{"field_id": field_id, "values": [{"value": value}]}]

    person, firm = tax("contacts"), tax("companies")
    contact = office.person("create_contact", name="Ольга", custom_fields_values=held(person, "7701234567"))
    company = office.person("create_company", name="ТОВ Чай", custom_fields_values=held(firm, "7701234567"))
    office.person("create_contact", name="Иван", custom_fields_values=held(person, "9901234567"))
    office.person("create_contact", name="Пётр", phone="+380671234567")
    seen = await office.session.search(Identity(fields={"ИНН": "7701234567", "token": ""}))
    assert [found.id for found in seen.contacts] == [str(contact)]
    assert [found.id for found in seen.companies] == [str(company)]


async def test_an_empty_page_that_promises_more_ends_no_list(office: Any) -> None:
    """H6, X5: an import would lose what stands behind it, and a barrier take it for the end of what there is."""
    fill(office, 14, 7)
    small = office.with_settings(page_size=5)
    begun = datetime.now(UTC) - timedelta(hours=1)
    wire = Hollow()
    async with httpx.AsyncClient(transport=wire, trust_env=False) as http:
        context = replace(small.context, http=http)
        session = small.sink.open(context)
        known = Directory()
        await known.fold(replace(small, session=session), session.import_all(""))
        shown = await session.barrier({RecordKind.CONTACT}, begun)
    for kind in (RecordKind.CONTACT, RecordKind.DEAL):
        assert known.names(kind) == truth(office, kind)
    assert {one.id for one in shown.contacts} == set(truth(office, RecordKind.CONTACT))
    assert wire.emptied
