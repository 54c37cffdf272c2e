"""What the hub's actions become in RetailCRM, and what becomes of refusals (2, 3, 6, 7)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hub_retailcrm.sandbox.account import _site

from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Notify,
    RecordCall,
    UpdateContact,
    UpdateDeal,
)
from hub.core.records import RecordKind, RecordRef, UserId
from hub.errors import NeedsCredentials, Rejected
from hub.ports import Done, Refused, Write

from .conftest import WHY, Office, ref

CLIENT = Phone("+380501112233")
OLEG, GONE = UserId("22"), UserId("29")
DUE = datetime(2030, 1, 1, 10, 0, tzinfo=UTC)


def contact(office: Office, **more: Any) -> Write:
    action = CreateContact(key=office.key("contact"), name="Ольга", phones=(CLIENT,), tags=("звонок",), reason=WHY)
    return office.write(action, user=OLEG, **more)


def order(office: Office, on: RecordRef | None = None, price: float | None = None, **more: Any) -> Write:
    action = CreateDeal(key=office.key("deal"), name="Обращение: Ольга", contact=on, price=price, reason=WHY)
    return office.write(action, pipeline_id="eshop-individual", stage_id="new", user=OLEG, **more)


async def test_customer_and_order_bear_what_the_policy_fills(office: Office) -> None:
    """R7, J5: custom fields by their type, utm tags in the source, the GA client id where RetailCRM keeps it."""
    fields = {
        "customFields.club": "A-17",
        "utm_source": "google",
        "utm_term": "чай",
        "clientId": "10.42",
    }
    made = await office.session.apply([contact(office, fields=fields)])
    [customer] = office.records("customers")
    assert customer["customFields"] == {"club": "A-17"}
    assert customer["source"] == {"source": "google", "keyword": "чай"}
    assert (customer["lastClientId"], customer["managerId"]) == ("10.42", 22)
    assert [tag["name"] for tag in customer["tags"]] == ["звонок"]
    [done] = made.values()
    assert isinstance(done, Done)
    fields = {"customFields.urgent": "да", "customFields.guests": "4", "orderMethod": "missed-call", "call": "true"}
    await office.session.apply([order(office, done.record, 990.5, fields=fields)])
    [found] = office.records("orders")
    assert found["customFields"] == {"urgent": True, "guests": 4}
    assert (found["orderMethod"], found["call"], found["totalSumm"]) == ("missed-call", True, 990.5)
    assert (found["firstName"], found["phone"], found["managerComment"]) == ("Ольга", CLIENT, "Обращение: Ольга")
    # the customer was made a moment ago: nobody had to read it
    assert "GET /customers" not in office.asked()


async def test_partly_failed_batch_keeps_the_good_and_names_each_reason(office: Office) -> None:
    """460: the failed ones are sent again alone, which is how their own reason is learnt."""
    good, unknown, gone = contact(office), contact(office, fields={"customFields.none": "x"}), contact(office)
    gone = replace(gone, user=GONE)
    answer = await office.session.apply([good, unknown, gone])
    assert isinstance(answer[good.key], Done)
    assert answer[unknown.key] == Refused(text="customFields Custom field with code 'none' does not exist.")
    refused = answer[gone.key]
    assert isinstance(refused, Refused)
    assert (refused.is_stale, refused.is_user_stale) == (True, True)
    assert len(office.records("customers")) == 1


async def test_deactivated_employee_is_stale_and_not_the_steps_fault(office: Office) -> None:
    with pytest.raises(Rejected) as caught:
        await office.session.apply([replace(contact(office), user=GONE)])
    assert [problem.code for problem in caught.value.problems[next(iter(caught.value.problems))]] == ["stale_user"]


async def test_second_shop_is_chosen_by_the_policys_field(office: Office) -> None:
    """Several shops: a parameter of the request, so each shop has a request of its own."""
    office.sandbox.world.account.sites.append(_site(2, "second", "Овощи"))
    warned = (await office.session.connect()).warnings
    assert any("several shops (main, second)" in text and "'main'" in text for text in warned)
    writes = [contact(office), contact(office, fields={"site": "second"}), contact(office)]
    answer = await office.session.apply(writes)
    assert all(isinstance(done, Done) for done in answer.values())
    assert sorted(one["site"] for one in office.records("customers")) == ["main", "main", "second"]


async def test_numbers_and_e_mails_are_added_to_what_is_there(office: Office) -> None:
    """A list that is sent replaces the stored one, so it is read first; there is room for one e-mail."""
    held = office.person("create_customer", firstName="Ольга", phone="067 000 00 01", email="")
    action = UpdateContact(
        key=office.key(),
        contact=ref(RecordKind.CONTACT, held),
        add_phones=(CLIENT, Phone("+380670000001")),
        add_emails=("olga@example.com", "second@example.com"),
        add_tags=("важно",),
        reason=WHY,
    )
    await office.session.apply([office.write(action)])
    [customer] = office.records("customers")
    assert [one["number"] for one in customer["phones"]] == ["067 000 00 01", CLIENT]
    assert customer["email"] == "olga@example.com"
    assert [tag["name"] for tag in customer["tags"]] == ["важно"]


async def test_new_contact_is_linked_to_its_company(office: Office) -> None:
    """J10: a second request; a company that is known keeps its contacts."""
    company = office.person("create_corporate", nickName="Чай и Ко")
    held = ref(RecordKind.COMPANY, company)
    write = contact(office, refs={"company": held})
    answer = await office.session.apply([write])
    done = answer[write.key]
    assert isinstance(done, Done)
    found = await office.session.read([held])
    assert done.record is not None
    assert found.companies[0].contact_ids == (done.record.id,)
    await office.session.apply([order(office, done.record, refs={"contact": done.record, "company": held})])
    [made] = office.records("orders")
    assert (made["customer"]["type"], made["contact"]["id"]) == ("customer_corporate", int(done.record.id))


def task(office: Office, user: UserId | None, *, done: bool = False, text: str = "Перезвонить") -> Write:
    on = ref(RecordKind.DEAL, office.person("create_order", phone="0501112233"))
    action = CreateTask(
        key=office.key("task"),
        task="call_back",
        text=text,
        on=on,
        assignee=None,
        due_at=DUE,
        completed_at=DUE if done else None,
        result="Дозвонились" if done else "",
        reason=WHY,
    )
    return office.write(action, user=user)


async def test_task_is_due_in_the_accounts_time_and_says_everything(office: Office) -> None:
    """Due times have no seconds and no offset; what does not fit the title stands in the commentary."""
    await office.session.apply([task(office, OLEG, text="Перезвонить\nЗапись: https://rec.example/1.mp3")])
    [found] = office.records("tasks")
    assert (found["datetime"], found["text"]) == ("2030-01-01 12:00", "Перезвонить")
    assert found["commentary"] == "Запись: https://rec.example/1.mp3"


@pytest.mark.parametrize("at_once", [False, True])
async def test_completed_task_is_completed_with_its_result(office: Office, at_once: bool) -> None:
    """Z: whichever way RetailCRM takes it, one setting."""
    office = office.with_settings(creates_completed_tasks=at_once)
    await office.session.apply([task(office, OLEG, done=True)])
    [found] = office.records("tasks")
    assert (found["complete"], found["commentary"]) == (True, "Дозвонились")


async def test_task_without_an_employee_goes_to_the_one_who_is_named_for_it(office: Office) -> None:
    """RetailCRM refuses a task without a performer; the setting names one."""
    write = task(office, None)
    answer = await office.session.apply([write])
    assert isinstance(answer[write.key], Refused)
    await office.with_settings(default_user="23").session.apply([task(office, None)])
    assert [found["performer"] for found in office.records("tasks")] == [23]


async def test_result_of_a_closed_task_is_added_to_its_commentary(office: Office) -> None:
    """A5: what people wrote there stays; closing twice adds nothing."""
    held = office.person("create_task", text="Звонок", commentary="важный клиент", performerId=22)
    on = ref(RecordKind.TASK, held)
    for _ in range(2):
        action = CompleteTask(key=office.key(), task=on, result="Дозвонились", reason=WHY)
        await office.session.apply([office.write(action)])
    [found] = office.records("tasks")
    assert (found["complete"], found["commentary"]) == (True, "важный клиент\nДозвонились")


async def test_note_on_an_order_is_a_note_on_its_customer(office: Office) -> None:
    held = office.person("create_order", phone="0501112233", number="77A")
    action = AddNote(key=office.key(), on=ref(RecordKind.DEAL, held), text="Просит скидку", reason=WHY)
    await office.session.apply([office.write(action)])
    [note] = office.records("notes")
    assert note["text"] == "№ 77A: Просит скидку"
    assert note["customer"]["id"] == office.records("orders")[0]["customer"]["id"]


async def test_price_never_overwrites_lines_from_the_catalogue(office: Office) -> None:
    """An order's sum is that of its lines."""
    free = office.person("create_order", phone="0501112233")
    sold = office.person("create_order", phone="0501112233")
    office.sandbox.world.records["orders"][sold] |= {
        "items": [{"offer": {"id": 5}, "initialPrice": 70}],
        "totalSumm": 70,
    }
    for held in (free, sold):
        action = UpdateDeal(key=office.key(), deal=ref(RecordKind.DEAL, held), price=500.0, reason=WHY)
        await office.session.apply([office.write(action)])
    assert [found["totalSumm"] for found in office.records("orders")] == [500.0, 70]


def call(office: Office, **more: Any) -> Write:
    values: dict[str, Any] = {
        "direction": Direction.INBOUND,
        "disposition": Disposition.ANSWERED,
        "phone": CLIENT,
        "talk_seconds": 61,
        "recording": "https://rec.example/1.mp3",
    }
    action = RecordCall(
        key=office.key("call"),
        on=ref(RecordKind.CONTACT, office.person("create_customer", firstName="Ольга", phone=CLIENT)),
        uniq=f"rs-{next(office.numbers)}",
        started_at=datetime(2026, 7, 29, 8, 5, 45, tzinfo=UTC),
        reason=WHY,
        **(values | more),
    )
    return office.write(action, user=OLEG)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, ("in", "answered", 22, 61)),
        ({"direction": Direction.OUTBOUND}, ("out", "answered", 22, 61)),
        ({"disposition": Disposition.MISSED}, ("in", "no answer", None, None)),
        ({"disposition": Disposition.VOICEMAIL}, ("in", "no answer", None, None)),
        ({"disposition": Disposition.BUSY, "direction": Direction.OUTBOUND}, ("out", "busy", 22, None)),
        ({"disposition": Disposition.FAILED}, ("in", "failed", None, None)),
    ],
)
async def test_call_record_in_the_vendors_words(
    office: Office, told: dict[str, Any], expected: tuple[str, str, int | None, int | None]
) -> None:
    """A6: nobody handled a missed call; the account's own time; the recording's link."""
    await office.session.apply([call(office, **told)])
    [found] = office.records("calls")
    assert (found["type"], found["result"], found.get("userId"), found.get("duration")) == expected
    assert (found["date"], found["recordUrl"]) == ("2026-07-29 11:05:45", "https://rec.example/1.mp3")


async def test_call_with_a_hidden_number_is_recorded_too(office: Office) -> None:
    await office.session.apply([call(office, phone=None)])
    assert [found["phone"] for found in office.records("calls")] == ["anonymous"]


async def test_legs_of_a_repeated_call_are_kept_once(office: Office) -> None:
    """C6, X5: a call that is sent again after a lost answer makes no second note."""
    text = "Анна: 0:20 https://rec.example/0.mp3\nОлег: 1:01 https://rec.example/1.mp3"
    write = call(office, text=text)
    for _ in range(2):
        assert isinstance((await office.session.apply([write]))[write.key], Done)
    [note] = office.records("notes")
    assert text in note["text"]
    await office.session.apply([call(office, text="Олег: 1:01 https://rec.example/1.mp3")])
    assert len(office.records("notes")) == 1


def popup(office: Office, users: tuple[str, ...] = ("22",), phone: Phone | None = CLIENT) -> Write:
    on = ref(RecordKind.DEAL, office.person("create_order", phone="0501112233"))
    action = Notify(key=office.key("notify"), employees=(), text="Новый <клиент>", phone=phone, on=on, reason=WHY)
    return office.write(action, users=tuple(UserId(user) for user in users))


@pytest.mark.parametrize(
    ("setting", "popups", "notices"), [("both", [22], 1), ("card", [22], 0), ("notification", [], 1)]
)
async def test_popup_is_card_text_or_both(office: Office, setting: str, popups: list[int], notices: int) -> None:
    """C7: the text holds number and link, as text and never as markup."""
    office = office.with_settings(popup=setting)
    await office.session.connect()
    write = popup(office)
    assert await office.session.apply([write]) == {write.key: Done()}
    assert [shown["user"] for shown in office.records("popups")] == popups
    found = office.records("notifications")
    assert len(found) == notices
    for notice in found:
        assert "Новый &lt;клиент&gt;" in notice["message"]
        assert CLIENT in notice["message"]
        assert "/orders/" in notice["message"]


async def test_popup_without_a_number_is_a_notification(office: Office) -> None:
    """A form or a hidden number: there is no card to pop up."""
    write = popup(office.with_settings(popup="card"), phone=None)
    assert await office.session.apply([write]) == {write.key: Done()}
    assert len(office.records("notifications")) == 1


async def test_popup_that_the_key_may_not_show_stops_nothing(office: Office) -> None:
    """The right to telephony is missing: the step is told, the connection goes on."""
    office.sandbox.add_key("plain", scopes=("customer_read", "customer_write", "reference_read", "user_read"))
    poor = office.with_settings(api_key="plain", popup="card", reads_corporate=False)
    write = popup(office)
    answer = await poor.session.apply([write])
    refused = answer[write.key]
    assert isinstance(refused, Refused)
    assert "lacks the right" in refused.text
    assert isinstance((await poor.session.apply([made := contact(office)]))[made.key], Done)
    with pytest.raises(NeedsCredentials, match="lacks the right for POST orders/create"):
        await poor.session.apply([order(office)])


async def test_popup_for_strangers_is_refused(office: Office) -> None:
    write = popup(office.with_settings(popup="card"), users=("29",))
    answer = await office.with_settings(popup="card").session.apply([write])
    assert answer[write.key] == Refused(text="RetailCRM knows none of these employees")


async def test_key_is_never_sent_elsewhere(office: Office) -> None:
    """H8: neither to another host, nor over plain HTTP, nor to this machine unasked."""
    for address in ("https://evil.example", "http://shop.retailcrm.ru", "https://retailcrm.ru", office.url):
        other = office.with_settings(address=address, is_loopback_allowed=False)
        with pytest.raises(NeedsCredentials, match="key is not sent there"):
            await other.session.connect()
    assert office.asked() == []


async def test_objects_travel_as_json_in_form_fields(office: Office) -> None:
    """1: form-encoded; nested values are one field of JSON; the key is in the header, never in the address."""
    sent: list[httpx.Request] = []

    async def keep(request: httpx.Request) -> None:
        sent.append(request)

    await office.session.connect()
    office.context.http.event_hooks = {"request": [keep]}
    await office.session.apply([contact(office)])
    [request] = sent
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = parse_qs(request.content.decode())
    assert form["site"] == ["main"]
    assert json.loads(form["customer"][0])["firstName"] == "Ольга"
    assert request.headers["x-api-key"] == office.sandbox.api_key
    assert office.sandbox.api_key not in str(request.url)


async def test_account_without_rights_or_address_says_what_is_missing(office: Office) -> None:
    """H12: one sentence each, and the rest works."""
    office.sandbox.add_key("plain", scopes=("reference_read",))
    warned = (await office.with_settings(api_key="plain", order_method="terminal").session.connect()).warnings
    told = " ".join(warned)
    for part in ("Employees cannot be read", "Corporate customers", "order method 'terminal'", "telephony module"):
        assert part in told


async def test_doubt_looks_for_popups_and_unsent_steps_nowhere(office: Office) -> None:
    await office.session.connect()
    before = len(office.asked())
    writes = [popup(office), replace(contact(office), sent_at=None)]
    assert await office.session.find_done(writes) == {}
    assert len(office.asked()) == before


async def test_interrupted_customer_is_finished_when_it_is_found(office: Office) -> None:
    """X5: made, and the answer to what follows was lost: the client id is written by whoever finds the customer."""
    write = contact(office, fields={"clientId": "10.42"})
    office.sandbox.fail_next("POST", "/api/v5/web-analytics", status=500)
    with pytest.raises(Exception, match="created, but not finished"):
        await office.session.apply([write])
    found = await office.session.find_done([replace(write, sent_at=datetime.now(UTC) - timedelta(seconds=5))])
    assert set(found) == {write.key}
    assert office.records("customers")[0]["lastClientId"] == "10.42"
