"""The histories as a feed, the full import, the barrier and the search (5, H6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hub_retailcrm.moment import to_floor, to_moment

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.plan import CreateContact
from hub.core.records import Company, Contact, Deal, RecordKind, RecordRef, Task, crm_user
from hub.ports import Changes

from .conftest import WHY, Office, ref

CLIENT = Phone("+380501112233")
KYIV = ZoneInfo("Europe/Kyiv")


async def started(office: Office) -> str:
    """A feed's position now."""
    return (await office.changes(""))[-1].cursor


def told(pages: list[Changes]) -> set[RecordRef]:
    """Everything that the pages tell of, without what is gone."""
    found = {record.ref for page in pages for record in records_of(page)}
    return found - {one for page in pages for one in page.deleted}


def gone(pages: list[Changes]) -> set[RecordRef]:
    return {one for page in pages for one in page.deleted}


def records_of(page: Changes) -> list[Contact | Company | Deal | Task]:
    return [*page.contacts, *page.companies, *page.deals, *page.tasks]


async def test_feed_begins_now_and_tells_what_people_do(office: Office) -> None:
    """H6: each kind of record, as it is now; the quiet poll costs one request for each history."""
    before = office.person("create_customer", firstName="Раньше", phone="0501110000")
    cursor = await started(office)
    customer = office.person("create_customer", firstName="Ольга", phone="050 111-22-33", managerId=23)
    order = office.person("create_order", customer_id=customer, status="client-confirmed")
    task = office.person("create_task", text="Перезвонить", performerId=22, order_id=order)
    company = office.person("create_corporate", nickName="Чай и Ко", contacts=[customer])
    pages = await office.changes(cursor)
    [contact] = [one for page in pages for one in page.contacts]
    [deal] = [one for page in pages for one in page.deals]
    [found] = [one for page in pages for one in page.tasks]
    [firm] = [one for page in pages for one in page.companies]
    assert (contact.id, contact.phones, contact.responsible) == (str(customer), (CLIENT,), crm_user(23))
    assert (deal.id, deal.is_open, deal.contact_ids) == (str(order), True, (str(customer),))
    assert (found.id, found.on, found.is_open) == (str(task), ref(RecordKind.DEAL, order), True)
    assert (firm.id, firm.name, firm.contact_ids) == (str(company), "Чай и Ко", (str(customer),))
    assert ref(RecordKind.CONTACT, before) not in told(pages)
    office.sandbox.reset_stats()
    quiet = await office.changes(pages[-1].cursor)
    assert [told(quiet), quiet[-1].as_of is not None, len(office.asked())] == [set(), True, 4]


async def test_own_changes_are_no_news_and_those_of_other_keys_are(office: Office) -> None:
    """5: `apiKey.current` marks our own; following it would make loops."""
    office.sandbox.add_key("another-module")
    cursor = await started(office)
    own = CreateContact(key=office.key(), name="Наша", phones=(CLIENT,), reason=WHY)
    await office.session.apply([office.write(own)])
    other = office.person("create_customer", firstName="Чужая", key="another-module")
    assert told(await office.changes(cursor)) == {ref(RecordKind.CONTACT, other)}


async def test_deleted_and_merged_customers_leave_and_their_orders_move(office: Office) -> None:
    """5: the history of the swallowed one names the survivor; its orders are read again as the survivor's."""
    survivor = office.person("create_customer", firstName="Ольга", phone="0501112233")
    victim = office.person("create_customer", firstName="Оля", phone="0671112233")
    deleted = office.person("create_customer", firstName="Никто")
    order = office.person("create_order", customer_id=victim)
    cursor = await started(office)
    office.person("combine", id=survivor, victims=[victim])
    office.person("delete", kind="customers", id=deleted)
    pages = await office.changes(cursor)
    assert gone(pages) == {ref(RecordKind.CONTACT, victim), ref(RecordKind.CONTACT, deleted)}
    [deal] = [one for page in pages for one in page.deals]
    assert (deal.id, deal.contact_ids) == (str(order), (str(survivor),))
    [kept] = [one for page in pages for one in page.contacts]
    assert kept.phones == (CLIENT, Phone("+380671112233"))


async def test_what_is_made_and_deleted_between_two_polls_is_gone(office: Office) -> None:
    cursor = await started(office)
    order = office.person("create_order", phone="0501112233")
    office.person("delete", kind="orders", id=order)
    pages = await office.changes(cursor)
    assert ref(RecordKind.DEAL, order) in gone(pages)
    assert ref(RecordKind.DEAL, order) not in told(pages)


async def test_order_in_a_new_status_is_read_once_its_group_is_known(office: Office) -> None:
    """4: closed is decided by group; a status that is in no reference costs one look, not one at each poll."""
    cursor = await started(office)
    statuses = office.sandbox.world.account.statuses
    statuses.append({**statuses[-1], "code": "refused", "name": "Отказ", "group": "cancel", "active": True})
    order = office.person("create_order", phone="0501112233", status="refused")
    pages = await office.changes(cursor)
    deal = ref(RecordKind.DEAL, order)
    assert [page.touched for page in pages if page.touched] == [(deal,)]
    assert [one.is_open for one in (await office.session.read([deal])).deals] == [False]
    statuses.pop()
    office.sandbox.world.account.statuses.append({**statuses[0], "code": "vanished"})
    office.person("edit_order", id=order, status="vanished")
    office.sandbox.world.account.statuses.pop()
    await office.changes(pages[-1].cursor)
    office.sandbox.reset_stats()
    assert told(await office.changes(pages[-1].cursor)) == {deal}
    assert "GET /reference/statuses" not in office.asked()


async def test_long_history_is_read_to_its_end_by_since_id(office: Office) -> None:
    """5: never by page number; every record once."""
    office = office.with_settings(page_size=20)
    cursor = await started(office)
    made = {office.person("create_customer", firstName=f"К{number}") for number in range(45)}
    pages = await office.changes(cursor)
    assert told(pages) == {ref(RecordKind.CONTACT, one) for one in made}
    asked = [one["query"] for one in office.sandbox.requests() if one["path"].endswith("/customers/history")]
    assert all("page=" not in query for query in asked)


async def test_history_that_lags_loses_nothing(office: Office) -> None:
    """An entry that appears late has a later id than all that was seen."""
    office.sandbox.switch(history_lag_seconds=60)
    cursor = await started(office)
    customer = office.person("create_customer", firstName="Ольга")
    pages = await office.changes(cursor)
    assert told(pages) == set()
    office.sandbox.switch(history_lag_seconds=0)
    assert told(await office.changes(pages[-1].cursor)) == {ref(RecordKind.CONTACT, customer)}


@pytest.mark.parametrize("cursor", ["", "nonsense", "{}", '{"last": 5}'])
async def test_unreadable_position_begins_anew(office: Office, cursor: str) -> None:
    assert (await office.changes(cursor))[-1].cursor.startswith('{"last":')


async def imported(office: Office, cursor: str = "") -> list[Changes]:
    return [page async for page in office.session.import_all(cursor)]


async def test_import_brings_open_orders_with_their_customers_first(office: Office) -> None:
    """R3, C5: then everything else, closed orders last; open tasks only."""
    owner, other = (office.person("create_customer", firstName=name) for name in ("Ольга", "Пётр"))
    open_order = office.person("create_order", customer_id=owner, status="assembling")
    closed = office.person("create_order", customer_id=other, status="no-call")
    task = office.person("create_task", text="Перезвонить", performerId=22)
    done = office.person("create_task", text="Готово", performerId=22, complete=True)
    pages = await imported(office)
    assert told(pages[:1]) == {ref(RecordKind.DEAL, open_order), ref(RecordKind.CONTACT, owner)}
    everything = told(pages)
    assert ref(RecordKind.CONTACT, other) in everything
    assert ref(RecordKind.DEAL, closed) in everything
    assert ref(RecordKind.TASK, task) in everything
    assert ref(RecordKind.TASK, done) not in everything
    shares = [page.progress for page in pages if page.progress is not None]
    assert shares == sorted(shares)
    # the last cursor is the feed's
    assert [told(await office.changes(pages[-1].cursor)), await imported(office, pages[-1].cursor)] == [set(), []]


async def test_import_goes_on_where_it_was_interrupted(office: Office) -> None:
    office = office.with_settings(page_size=20)
    made = {office.person("create_customer", firstName=f"К{number}") for number in range(50)}
    found: set[RecordRef] = set()
    cursor = ""
    async for page in office.session.import_all(""):
        found |= told([page])
        cursor = page.cursor
        if len(found) >= 20:
            break
    pages = await imported(office, cursor)
    assert found | told(pages) >= {ref(RecordKind.CONTACT, one) for one in made}
    assert len(told(pages)) < 50


@pytest.mark.parametrize("also_makes", [0, 5])
async def test_import_loses_none_while_people_delete(office: Office, also_makes: int) -> None:
    """H6: deleted ones draw others past the reader; also where as many are made meanwhile and the total hides it."""
    office = office.with_settings(page_size=20)
    made = [office.person("create_customer", firstName=f"К{number}") for number in range(65)]
    found: set[RecordRef] = set()
    is_first = True
    async for page in office.session.import_all(""):
        found |= told([page])
        if is_first and page.contacts:
            is_first = False
            for victim in made[-5:]:
                office.person("delete", kind="customers", id=victim)
            for number in range(also_makes):
                office.person("create_customer", firstName=f"Н{number}")
    assert found >= {ref(RecordKind.CONTACT, one) for one in made[:-5]}


async def test_barrier_tells_who_appeared_since(office: Office) -> None:
    """DESIGN 2: absence is proven by the history, our own changes included."""
    began = datetime.now(UTC)
    old = office.person("create_customer", firstName="Давно")
    office.sandbox.advance(120)
    fresh = office.person("create_customer", firstName="Ольга", phone="0501112233")
    own = CreateContact(key=office.key(), name="Наша", phones=(Phone("+380671112233"),), reason=WHY)
    await office.session.apply([office.write(own)])
    kinds = (RecordKind.CONTACT, RecordKind.COMPANY)
    found = await office.session.barrier(kinds, began + timedelta(seconds=100))
    assert {contact.name for contact in found.contacts} == {"Ольга", "Наша"}
    assert str(old) not in {contact.id for contact in found.contacts}
    assert str(fresh) in {contact.id for contact in found.contacts}
    office.sandbox.reset_stats()
    await office.session.barrier(kinds, began + timedelta(hours=1))
    assert office.asked() == ["GET /customers/history", "GET /customers-corporate/history"]


@pytest.mark.parametrize("typed", ["+380 (50) 111-22-33", "380501112233", "050 111 22 33", "80501112233"])
async def test_search_finds_the_client_however_the_number_was_typed(office: Office, typed: str) -> None:
    """C4: all digits, then the last ten; whom the search merely resembles is left out."""
    customer = office.person("create_customer", firstName="Ольга", phone=typed)
    order = office.person("create_order", customer_id=customer)
    task = office.person("create_task", text="Перезвонить", performerId=22, order_id=order)
    office.person("create_customer", firstName="0501112233", phone="0671112233")
    found = await office.session.search(Identity(phones=(CLIENT,)))
    assert [contact.id for contact in found.contacts] == [str(customer)]
    assert [deal.id for deal in found.deals] == [str(order)]
    assert [one.id for one in found.tasks] == [str(task)]


async def test_number_that_the_search_misses_is_found_by_the_telephony(office: Office) -> None:
    """C4: the vendor reads numbers itself there; a key without that right finds nobody, and says nothing."""
    customer = office.person("create_customer", firstName="Ольга", phone="050 111-22-33")
    office.sandbox.switch(search_lag_seconds=60)
    found = await office.session.search(Identity(phones=(CLIENT,)))
    assert [contact.id for contact in found.contacts] == [str(customer)]
    office.sandbox.add_key("plain", scopes=("customer_read", "reference_read", "user_read", "task_read", "order_read"))
    found = await office.with_settings(api_key="plain").session.search(Identity(phones=(CLIENT,)))
    office.sandbox.switch(search_lag_seconds=0.0)
    assert found.contacts == ()


async def test_search_by_e_mail_compares_the_whole_address(office: Office) -> None:
    customer = office.person("create_customer", firstName="Ольга", email="Olga@Example.com")
    office.person("create_customer", firstName="Другая", email="not-olga@example.com")
    found = await office.session.search(Identity(emails=("olga@example.com",)))
    assert [contact.id for contact in found.contacts] == [str(customer)]


async def test_companies_are_left_out_by_one_setting(office: Office) -> None:
    office = office.with_settings(reads_corporate=False)
    cursor = await started(office)
    company = office.person("create_corporate", nickName="Чай и Ко")
    assert told(await office.changes(cursor)) == set()
    found = await office.session.read([ref(RecordKind.COMPANY, company)])
    assert found.deleted == (ref(RecordKind.COMPANY, company),)
    assert not any("corporate" in line for line in office.asked())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-29 11:05:45", datetime(2026, 7, 29, 8, 5, 45, tzinfo=UTC)),
        ("2026-01-29 11:05", datetime(2026, 1, 29, 9, 5, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("yesterday", None),
    ],
)
def test_times_are_the_accounts_own(text: str | None, expected: datetime | None) -> None:
    """1: no offset is ever sent."""
    assert to_moment(text, KYIV) == expected


def test_in_autumns_repeated_hour_a_poll_reads_an_hour_more() -> None:
    """A local time that happens twice must not hide what the first of them holds."""
    assert to_floor(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), KYIV) == "2026-10-25 02:30:00"
    assert to_floor(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), KYIV) == "2026-10-25 02:30:00"
    assert to_floor(datetime(2026, 7, 25, 1, 30, tzinfo=UTC), KYIV) == "2026-07-25 04:30:00"


async def test_feed_of_a_hub_whose_clock_is_ahead_begins_by_the_crms_clock(office: Office) -> None:
    """H6: what happens before our clock's "now" is told too; how far it is ahead the first answers show."""
    ahead = timedelta(minutes=10)
    office = office.with_wrong_clock(ahead)
    cursor = await started(office)
    office.person("create_customer", firstName="Ольга", phone="050 111-22-33")
    assert [one.phones for page in await office.changes(cursor) for one in page.contacts] == [(CLIENT,)]
