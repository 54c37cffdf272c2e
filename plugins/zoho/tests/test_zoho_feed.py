"""Feeds, imports, search and barriers against the sandbox: nothing is lost while people work (H6, X6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task
from hub.ports import Changes
from hub.testing.crm_bench import MovingClock

CLIENT = Phone("+380671230001")
DEALS = "Standard (Standard)"


def ref(kind: RecordKind, record_id: object) -> RecordRef:
    return RecordRef(kind=kind, id=str(record_id))


def records_of(page: Changes) -> list[Contact | Company | Deal | Task]:
    """Everything that is told as it is; a completed task is as good as deleted."""
    return [*page.contacts, *page.companies, *page.deals, *(task for task in page.tasks if task.is_open)]


async def gathered(pages: Any) -> tuple[list[Changes], str]:
    """All pages, and the last cursor."""
    found, cursor = [], ""
    async for page in pages:
        found.append(page)
        cursor = page.cursor or cursor
    return found, cursor


def told(pages: list[Changes]) -> set[str]:
    """The ids of everything that the pages name as it is."""
    return {f"{record.ref.kind} {record.id}" for page in pages for record in records_of(page)}


async def test_a_converted_lead_is_gone_and_what_it_became_is_named_with_its_tasks(office: Any) -> None:
    """H6: tasks go along without a change of their own time."""
    lead = office.someone("Leads")
    task = office.person("create", module="Tasks", Subject="Позвонить", What_Id={"id": lead}, **{"$se_module": "Leads"})
    _, cursor = await gathered(office.session.changes(""))
    stock = {"Deal_Name": "Чай", "Closing_Date": "2030-01-01", "Stage": "Qualification", "Pipeline": DEALS}
    office.person("convert", id=lead, Deals=stock)
    pages, _ = await gathered(office.session.changes(cursor))
    (deal,), (contact,) = office.records("Deals"), office.records("Contacts")
    gone = {one for page in pages for one in page.deleted}
    assert {ref(RecordKind.CONTACT, f"Leads/{lead}"), ref(RecordKind.DEAL, f"Leads/{lead}")} <= gone
    named = told(pages) | {f"{one.kind} {one.id}" for page in pages for one in page.touched}
    assert {f"contact {contact['id']}", f"deal {deal['id']}"} <= named
    tasks = [one for page in pages for one in page.tasks if one.id == task]
    assert tasks[-1].on == ref(RecordKind.DEAL, deal["id"])


async def test_merged_contacts_are_told_as_a_deletion_and_a_change(office: Any) -> None:
    master, victim = office.someone(), office.someone(phone="+380671230002")
    _, cursor = await gathered(office.session.changes(""))
    office.person("merge", module="Contacts", master=master, id=victim)
    pages, _ = await gathered(office.session.changes(cursor))
    assert ref(RecordKind.CONTACT, victim) in {one for page in pages for one in page.deleted}
    assert f"contact {master}" in told(pages)


async def test_more_changes_in_one_second_than_a_page_holds_are_all_told(office: Any) -> None:
    """3: a mass update gives a thousand records one time; paging by time alone would stop there."""
    small = office.with_settings(page_size=7)
    _, cursor = await gathered(small.session.changes(""))
    ids = {office.someone(phone=f"+38067123{number:04d}") for number in range(40)}
    at = office.sandbox.world.clock.now()
    for record in office.sandbox.world.records["Contacts"].values():
        record.modified = at
    pages, cursor = await gathered(small.session.changes(cursor))
    assert {f"contact {one}" for one in ids} <= told(pages)
    assert told((await gathered(small.session.changes(cursor)))[0]) == set()


async def test_an_edit_among_records_of_one_second_draws_nobody_past_the_reader(office: Any) -> None:
    """H6: within one second pages go by number, and whoever leaves the second makes the others move up."""
    small = office.with_settings(page_size=5)
    _, cursor = await gathered(small.session.changes(""))
    ids = [office.someone(phone=f"+38067123{number:04d}") for number in range(23)]
    contacts = office.sandbox.world.records["Contacts"]
    for record in contacts.values():
        record.modified = office.sandbox.world.clock.now()
    office.sandbox.advance(5)
    leaving = iter(ids[:6])

    async def edit(request: httpx.Request) -> None:
        if request.url.path.endswith("/Contacts") and (record_id := next(leaving, None)):
            office.person("update", module="Contacts", id=record_id, Last_Name="Другая")

    office.context.http.event_hooks["request"].append(edit)
    pages, cursor = await gathered(small.session.changes(cursor))
    office.context.http.event_hooks["request"].clear()
    rest, _ = await gathered(small.session.changes(cursor))
    names = {one.id: one.name for page in [*pages, *rest] for one in page.contacts}
    assert set(names) == set(ids)
    assert [names[one] for one in ids[:6]] == ["Другая"] * 6


async def test_a_quiet_poll_costs_two_requests_for_each_module(office: Any) -> None:
    """H5."""
    office.someone()
    _, cursor = await gathered(office.session.changes(""))
    _, cursor = await gathered(office.session.changes(cursor))
    office.sandbox.reset_stats()
    pages, _ = await gathered(office.session.changes(cursor))
    assert told(pages) == set()
    assert len(office.asked()) == 10


async def test_an_unreadable_cursor_starts_from_now(office: Any) -> None:
    office.someone()
    pages, cursor = await gathered(office.session.changes("{nonsense"))
    assert told(pages) == set()
    assert cursor


async def test_an_import_brings_everything_open_deals_first_and_goes_on_after_a_break(office: Any) -> None:
    """H6: interrupted after every page in turn, it ends with the same records."""
    contact = office.someone()
    open_deal, closed = office.sale(contact), office.sale(contact, Stage="Closed Won")
    lead, account = (
        office.someone("Leads", "+380671230003"),
        office.person("create", module="Accounts", Account_Name="N"),
    )
    done = office.person("create", module="Tasks", Subject="Сделано", Status="Completed")
    task = office.person(
        "create", module="Tasks", Subject="Позвонить", Who_Id={"id": contact}, **{"$se_module": "Contacts"}
    )
    expected = {
        *(f"contact {one}" for one in (contact, f"Leads/{lead}")),
        *(f"deal {one}" for one in (open_deal, closed, f"Leads/{lead}")),
        f"company {account}",
        f"task {task}",
    }
    whole, _ = await gathered(office.session.import_all(""))
    assert told(whole) == expected
    assert f"task {done}" not in told(whole)
    assert whole[0].deals[0].id == open_deal
    assert {deal.is_won for page in whole for deal in page.deals if deal.id == closed} == {True}
    for stop in range(1, len(whole)):
        seen: list[Changes] = []
        async for page in office.session.import_all(""):
            seen.append(page)
            if len(seen) == stop:
                break
        rest, cursor = await gathered(office.session.import_all(seen[-1].cursor))
        assert told([*seen, *rest]) == expected
        assert await gathered(office.session.import_all(cursor or seen[-1].cursor)) == ([], "")


async def test_search_finds_a_number_however_it_was_typed_and_what_the_index_lacks(office: Any) -> None:
    """C4, 4: search for spellings, COQL for what was written a moment ago; digits of others are not taken."""
    typed = office.someone(phone="067 123-00-01")
    office.someone("Contacts", phone="+480671230001")
    office.sandbox.switch(search_lag_seconds=60)
    fresh = office.someone("Leads")
    office.sale(typed)
    office.person("create", module="Tasks", Subject="Звонок", What_Id={"id": fresh}, **{"$se_module": "Leads"})
    found = await office.session.search(Identity(phones=(CLIENT,)))
    assert {one.id for one in found.contacts} == {typed, f"Leads/{fresh}"}
    assert len(found.deals) == 2
    assert [one.on for one in found.tasks] == [ref(RecordKind.DEAL, f"Leads/{fresh}")]


async def test_search_by_email_and_of_nobody(office: Any) -> None:
    someone = office.someone(Email="O'Neil@shop.example")
    found = await office.session.search(Identity(emails=("o'neil@shop.example",)))
    assert [one.id for one in found.contacts] == [someone]
    assert await office.session.search(Identity(phones=(Phone("+380999999999"),))) == Changes()


async def test_the_barrier_sees_leads_as_contacts_and_as_deals(office: Any) -> None:
    """DESIGN 2: three requests prove that a new client's contact is absent."""
    await office.session.catalogue()
    since = datetime.now(UTC) - timedelta(minutes=5)
    lead = office.someone("Leads")
    office.sandbox.reset_stats()
    found = await office.session.barrier({RecordKind.CONTACT, RecordKind.COMPANY}, since)
    assert [one.id for one in found.contacts] == [f"Leads/{lead}"]
    assert len(office.asked()) == 3
    assert found.as_of is not None


@pytest.mark.parametrize("stage", ["Closed Won", "Closed Lost", "Closed Lost to Competition", "Qualification"])
async def test_what_a_stage_means_is_asked_and_not_guessed(office: Any, stage: str) -> None:
    """3: by the forecast type of the stage."""
    deal = office.sale(office.someone(), Stage=stage)
    (read,) = (await office.session.read([ref(RecordKind.DEAL, deal)])).deals
    assert (read.is_open, read.is_won) == (stage == "Qualification", stage == "Closed Won")


async def test_the_catalogue_offers_leads_and_deals_as_pipelines(office: Any) -> None:
    """H12: chosen by name; deactivated users are told as such."""
    catalogue = await office.session.connect()
    assert [(one.name, one.is_main) for one in catalogue.pipelines] == [("Leads", True), (DEALS, False)]
    leads, deals = catalogue.pipelines
    # what nobody has chosen yet is offered by Zoho's word, and shown to nobody as a stage
    assert [stage.name for stage in leads.stages if not stage.shown] == ["-None-"]
    assert [stage.name for stage in leads.stages if stage.is_final] == ["Junk Lead", "Lost Lead", "Not Qualified"]
    assert [stage.name for stage in deals.stages if stage.is_won] == ["Closed Won"]
    assert {user.name: user.is_active for user in catalogue.users}["Pavlo Gone"] is False
    assert {"utm_source", "Lead_Source"} <= {field.id for field in catalogue.fields}
    assert "Hub_ID" not in {field.id for field in catalogue.fields}
    as_deals = await office.with_settings(new_enquiries="deals").session.connect()
    assert [(one.name, one.is_main) for one in as_deals.pipelines] == [(DEALS, True), ("Leads", False)]


async def test_few_credits_left_are_told(office: Any) -> None:
    """2: the vendor tells after half of them are gone."""
    office.sandbox.switch(credits=20)
    await office.session.catalogue()
    catalogue = await office.session.catalogue()
    assert any("credits are left" in warning for warning in catalogue.warnings)


@pytest.mark.parametrize(
    ("kind", "record_id", "path"),
    [
        (RecordKind.CONTACT, "5", "/crm/tab/Contacts/5"),
        (RecordKind.DEAL, "6", "/crm/tab/Potentials/6"),
        (RecordKind.DEAL, "Leads/7", "/crm/tab/Leads/7"),
        (RecordKind.CONTACT, "Leads/7", "/crm/tab/Leads/7"),
        (RecordKind.TASK, "8", "/crm/tab/Tasks/8"),
        (RecordKind.COMPANY, "9", "/crm/tab/Accounts/9"),
    ],
)
def test_cards_have_addresses(office: Any, kind: RecordKind, record_id: str, path: str) -> None:
    assert office.session.record_url(ref(kind, record_id)).endswith(path)


async def test_a_hub_whose_clock_is_ahead_hears_of_what_is_deleted_after_its_feed_began(office: Any) -> None:
    """H6: the recycle bin is asked by Zoho's clock; how far ours is ahead the first answers show."""
    clock, ahead = MovingClock(), timedelta(minutes=10)
    clock.offset = ahead
    contact = office.someone("Contacts")
    context = replace(office.context, clock=clock, lead=lambda: ahead if office.sandbox.requests() else timedelta())
    session = office.sink.open(context)
    _, cursor = await gathered(session.changes(""))
    office.person("delete", module="Contacts", id=contact)
    pages, _ = await gathered(session.changes(cursor))
    assert ref(RecordKind.CONTACT, contact) in {one for page in pages for one in page.deleted}
