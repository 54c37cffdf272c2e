"""Every kind of action, applied to the sandbox and found again after a lost answer (H5, X5, X6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.core.phone import Phone
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Notify,
    Reason,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import RecordKind, RecordRef, UserId
from hub.errors import Banned, NeedsCredentials, Rejected, Stale, Throttled, Unavailable, VendorError
from hub.ports import Done, Refused, Write

WHY = Reason(code="test")
MARINA, GONE = UserId("8800105"), UserId("8800107")
OTHER = Phone("+380501112233")


def contact_ref(record_id: object) -> RecordRef:
    return RecordRef(kind=RecordKind.CONTACT, id=str(record_id))


def deal_ref(record_id: object) -> RecordRef:
    return RecordRef(kind=RecordKind.DEAL, id=str(record_id))


def task_ref(record_id: object) -> RecordRef:
    return RecordRef(kind=RecordKind.TASK, id=str(record_id))


def values(record: dict[str, Any], name: str) -> list[Any]:
    """The values of a custom field, by its code or name."""
    for field in record["custom_fields_values"] or ():
        if name in (field["field_code"], field["field_name"], field["field_id"]):
            return [value["value"] for value in field["values"]]
    return []


async def only(office: Any, write: Write) -> RecordRef:
    """Apply one step that must succeed; the record."""
    done = (await office.session.apply([write]))[write.key]
    assert isinstance(done, Done), done
    assert done.record is not None
    return done.record


# --- one of each kind, as (what to prepare and write) -------------------------------------------------------------

#: gives the `Write` of a step in an office
Make = Callable[[Any], Any]


def new_contact(office: Any) -> Any:
    return office.contact(user=MARINA)


def new_deal(office: Any) -> Any:
    person = office.person("create_contact", name="Иван", phone="+380931112233")
    return office.deal(refs={"contact": contact_ref(person)}, user=MARINA)


def new_deal_with_contact(office: Any) -> Any:
    return office.deal(with_contact=office.contact(), user=MARINA)


def incoming_deal(office: Any) -> Any:
    action = CreateDeal(key=office.key("deal"), name="Заявка", is_unsorted=True, reason=WHY)
    return office.write(action, with_contact=office.contact())


def new_task(office: Any) -> Any:
    person = office.person("create_contact", name="Иван")
    return office.task(on=contact_ref(person), user=MARINA, task_type_id="2300001")


def done_task(office: Any) -> Any:
    write = office.task("Разговор", on=deal_ref(office.person("create_lead", name="Чай")))
    return replace(write, action=replace(write.action, completed_at=datetime.now(UTC), result="Поговорили"))


def call_on_contact(office: Any) -> Any:
    return office.call(contact_ref(office.person("create_contact", name="Иван")), user=MARINA)


def call_on_deal(office: Any) -> Any:
    return office.call(deal_ref(office.person("create_lead", name="Чай")), user=MARINA)


def plain_note(office: Any) -> Any:
    on = deal_ref(office.person("create_lead", name="Чай"))
    action = AddNote(key=office.key("note"), on=on, text="Нога 1: не ответил", reason=WHY)
    return office.write(action, refs={"on": on})


def long_note(office: Any) -> Any:
    on = contact_ref(office.person("create_contact", name="Иван"))
    action = AddNote(key=office.key("note"), on=on, text="Стенограмма " * 50, is_long=True, reason=WHY)
    return office.write(action, refs={"on": on})


def more_phones(office: Any) -> Any:
    found = contact_ref(office.person("create_contact", name="Иван", phone="067 123-45-67"))
    action = UpdateContact(
        key=office.key("update"), contact=found, name="Иван Петров", add_phones=(OTHER,), add_tags=("vip",), reason=WHY
    )
    return office.write(action, refs={"contact": found}, user=MARINA)


def moved_deal(office: Any) -> Any:
    found = deal_ref(office.person("create_lead", name="Чай"))
    action = UpdateDeal(key=office.key("update"), deal=found, price=1500.0, reason=WHY)
    return office.write(action, refs={"deal": found}, stage_id="9100012", pipeline_id="9100001", user=MARINA)


def moved_task(office: Any) -> Any:
    found = task_ref(office.person("create_task", text="Позвонить"))
    action = UpdateTask(key=office.key("update"), task=found, text="Позвонить сегодня", reason=WHY)
    return office.write(action, refs={"task": found}, user=MARINA)


def closed_task(office: Any) -> Any:
    found = task_ref(office.person("create_task", text="Позвонить"))
    action = CompleteTask(key=office.key("done"), task=found, result="Дозвонились", reason=WHY)
    return office.write(action, refs={"task": found})


EVERY_KIND: dict[str, tuple[Make, str]] = {
    "a contact": (new_contact, "POST /api/v4/contacts"),
    "a deal of a known contact": (new_deal, "POST /api/v4/leads"),
    "a deal with its contact": (new_deal_with_contact, "POST /api/v4/leads/complex"),
    "an incoming lead": (incoming_deal, "POST /api/v4/leads/unsorted/sip"),
    "a task": (new_task, "POST /api/v4/tasks"),
    "a completed task": (done_task, "POST /api/v4/tasks"),
    "a call on a contact": (call_on_contact, "POST /api/v4/contacts/notes"),
    "a call on a deal": (call_on_deal, "POST /api/v4/leads/notes"),
    "a note": (plain_note, "POST /api/v4/leads/notes"),
    "a long note": (long_note, "POST /api/v4/contacts/notes"),
    "a number for a contact": (more_phones, "PATCH /api/v4/contacts"),
    "a deal's stage": (moved_deal, "PATCH /api/v4/leads"),
    "a task's employee": (moved_task, "PATCH /api/v4/tasks"),
    "a task's end": (closed_task, "PATCH /api/v4/tasks"),
}


@pytest.mark.parametrize("has_mark", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize(("make", "request_line"), EVERY_KIND.values(), ids=EVERY_KIND)
async def test_a_lost_answer_is_found_again_and_only_if_it_was_applied(
    office: Any, make: Make, request_line: str, has_mark: bool
) -> None:
    """X5: applied and lost is found; not applied and lost is not; afterwards the step is done once."""
    await (office.session.connect() if has_mark else office.session.catalogue())
    method, path = request_line.split()

    write = make(office)
    office.sandbox.fail_next(method, path, status=502, applied=False, exact=True)
    with pytest.raises(Unavailable) as lost:
        await office.session.apply([write])
    assert lost.value.maybe_applied
    assert await office.session.find_done([write]) == {}

    office.sandbox.fail_next(method, path, kind="disconnect", applied=True, exact=True)
    with pytest.raises(Unavailable) as lost:
        await office.session.apply([write])
    assert lost.value.maybe_applied
    found = await office.session.find_done([write])
    assert write.key in found
    if write.with_contact is not None:
        assert write.with_contact.key in found


@pytest.mark.parametrize(("make", "request_line"), EVERY_KIND.values(), ids=EVERY_KIND)
async def test_an_answer_names_the_record_that_doubt_would_find(office: Any, make: Make, request_line: str) -> None:
    await office.session.connect()
    write = make(office)
    office.sandbox.reset_stats()
    applied = dict(await office.session.apply([write]))
    assert office.asked(*request_line.split()).count(request_line) == 1
    assert await office.session.find_done([write]) == applied


# --- contents -------------------------------------------------------------------------------------------------------


async def test_a_contact_bears_name_numbers_fields_tags_and_our_mark(office: Any) -> None:
    await office.session.connect()
    action = CreateContact(
        key=office.key("contact"),
        name="Ольга",
        phones=(Phone("+380671234567"), OTHER),
        emails=("olga@example.com",),
        tags=("ringostat",),
        reason=WHY,
    )
    fields = {"770201": "Сайт", "770203": "да", "770202": "1990-05-17"}
    write = office.write(action, user=MARINA, fields=fields)
    await only(office, write)
    (contact,) = office.records("contacts")
    assert contact["name"] == "Ольга"
    assert contact["responsible_user_id"] == int(MARINA)
    assert values(contact, "PHONE") == ["+380671234567", "+380501112233"]
    assert values(contact, "EMAIL") == ["olga@example.com"]
    assert values(contact, "Откуда узнали") == ["Сайт"]
    assert values(contact, "Постоянный клиент") == [True]
    assert values(contact, "Hub ID") == [write.hub_id]
    assert [tag["name"] for tag in contact["_embedded"]["tags"]] == ["ringostat"]


async def test_a_deal_bears_attribution_stage_and_price(office: Any) -> None:
    """R7: utm tags by their code, other fields by their type."""
    await office.session.connect()
    fields = {"772007": "google", "772101": "Продажи", "772103": "1 200,50", "772105": "Чай, Кофе"}
    action = CreateDeal(key=office.key("deal"), name="Звонок", price=99.6, tags=("call",), reason=WHY)
    await only(office, office.write(action, fields=fields, pipeline_id="9100002", stage_id="9100022"))
    (lead,) = office.records("leads")
    assert (lead["pipeline_id"], lead["status_id"], lead["price"]) == (9100002, 9100022, 100)
    assert values(lead, "UTM_SOURCE") == ["google"]
    assert values(lead, "Отдел") == ["Продажи"]
    assert [float(value) for value in values(lead, "Бюджет проекта")] == [1200.5]
    assert values(lead, "Продукт") == ["Чай", "Кофе"]


async def test_a_call_record_says_who_talked_and_where_to_listen(office: Any) -> None:
    """A6: one note on the record that the plan names, without nulls."""
    on = contact_ref(office.person("create_contact", name="Иван"))
    await only(office, office.call(on, "ru-77", user=MARINA))
    (note,) = [note for note in office.records("notes") if note["note_type"] == "call_in"]
    assert note["entity_id"] == int(on.id)
    params = {name: value for name, value in note["params"].items() if value is not None}
    assert params == {
        "uniq": "ru-77",
        "duration": 61,
        "source": "Ringostat",
        "link": "https://rec.example/1.mp3",
        "phone": "+380671234567",
        "call_responsible": int(MARINA),
        "call_status": 4,
    }


async def test_a_completed_task_is_born_done_with_its_result(office: Any) -> None:
    await only(office, done_task(office))
    (task,) = office.records("tasks")
    assert task["is_completed"]
    assert task["result"]["text"] == "Поговорили"


async def test_where_amocrm_ignores_it_a_task_is_completed_by_a_second_request(office: Any) -> None:
    doubtful = office.with_settings(creates_completed_tasks=False)
    write = done_task(office)
    office.sandbox.fail_next("PATCH", "/api/v4/tasks", status=502)
    with pytest.raises(Unavailable):
        await doubtful.session.apply([write])
    assert not office.records("tasks")[0]["is_completed"]
    assert write.key in await doubtful.session.find_done([write])
    assert [task["is_completed"] for task in office.records("tasks")] == [True]


async def test_adding_a_number_keeps_the_numbers_that_are_there(office: Any) -> None:
    """6.1: a phone field that is sent replaces all; a number spelt otherwise is not added twice (C4)."""
    await office.session.connect()
    found = contact_ref(office.person("create_contact", name="Иван", phone="067 123-45-67"))
    same, new = Phone("+380671234567"), OTHER
    writes = [
        office.write(
            UpdateContact(key=office.key("update"), contact=found, add_phones=phones, reason=WHY),
            refs={"contact": found},
        )
        for phones in ((same, new), (Phone("+380441112233"),))
    ]
    office.sandbox.reset_stats()
    answer = await office.session.apply(writes)
    assert all(isinstance(done, Done) for done in answer.values())
    (contact,) = office.records("contacts")
    assert values(contact, "PHONE") == ["067 123-45-67", "+380501112233", "+380441112233"]
    assert len(office.asked("GET", "/contacts")) == 1
    assert len(office.asked("PATCH", "/contacts")) == 1


async def test_a_new_contact_of_a_company_is_linked_even_if_that_answer_is_lost(office: Any) -> None:
    """J10: the link is a request of its own; doubt finishes it."""
    await office.session.connect()
    company = RecordRef(kind=RecordKind.COMPANY, id=str(office.person("create_company", name="ТОВ Чай")))
    write = office.contact(refs={"company": company})
    office.sandbox.fail_next("POST", "/api/v4/contacts/link", status=502)
    with pytest.raises(Unavailable):
        await office.session.apply([write])
    assert write.key in await office.session.find_done([write])
    (contact,) = office.records("contacts")
    assert [item["id"] for item in contact["_embedded"]["companies"]] == [int(company.id)]


async def test_long_texts_are_cut_on_our_side(office: Any) -> None:
    small = office.with_settings(name_limit=20)
    await only(small, office.contact("Очень длинное имя клиента из Киева"))
    assert office.records("contacts")[0]["name"] == "Очень длинное имя к…"


async def test_a_popup_reaches_the_named_employees_only(office: Any) -> None:
    """C7: without users everybody would see it, so nobody is asked to."""
    notify = Notify(key=office.key("notify"), employees=(), text="Звонок", phone=OTHER, reason=WHY)
    shown = office.write(notify, users=(MARINA,))
    hidden = office.write(replace(notify, key=office.key("notify")))
    answer = await office.session.apply([shown, hidden])
    assert answer[shown.key] == Done()
    assert isinstance(answer[hidden.key], Refused)
    (popup,) = office.records("popups")
    assert popup["users"] == [int(MARINA)]
    assert await office.session.find_done([shown]) == {}


# --- batches --------------------------------------------------------------------------------------------------------


async def test_fifty_contacts_cost_one_request(office: Any) -> None:
    await office.session.connect()
    office.sandbox.reset_stats()
    writes = [office.contact(f"Клиент {n}", Phone(f"+3806710000{n:02d}")) for n in range(50)]
    answer = await office.session.apply(writes)
    assert len({done.record.id for done in answer.values() if isinstance(done, Done) and done.record}) == 50
    assert office.asked() == ["POST /api/v4/contacts"]
    office.sandbox.reset_stats()
    assert await office.session.find_done(writes) == answer
    assert len(office.asked()) == 1


async def test_a_bad_item_is_named_and_the_rest_goes_through_without_it(office: Any) -> None:
    """X6: one bad item takes nobody with it."""
    writes = [office.contact(f"Клиент {n}", fields={"770201": "Нет такого"} if n == 2 else {}) for n in range(4)]
    with pytest.raises(Rejected) as refused:
        await office.session.apply(writes)
    assert set(refused.value.problems) == {writes[2].key}
    assert office.records("contacts") == []
    rest = [write for write in writes if write.key not in refused.value.problems]
    assert set(await office.session.apply(rest)) == {write.key for write in rest}
    assert len(office.records("contacts")) == 3


async def test_a_deactivated_responsible_is_stale_not_wrong(office: Any) -> None:
    """Deactivated in amoCRM, still in our policy: read the employees, decide again (DESIGN 4)."""
    good, bad = office.contact(user=MARINA), office.contact(user=GONE)
    with pytest.raises(Rejected) as refused:
        await office.session.apply([good, bad])
    assert [problem.code for problem in refused.value.problems[bad.key]] == ["stale_user"]
    await office.session.apply([good, replace(bad, user=MARINA)])
    assert len(office.records("contacts")) == 2


async def test_changing_a_deleted_record_is_stale(office: Any) -> None:
    kept, gone = office.person("create_lead", name="Чай"), office.person("create_lead", name="Кофе")
    office.person("delete", entity="leads", id=gone)
    writes = [
        office.write(
            UpdateDeal(key=office.key("update"), deal=deal_ref(lead), price=5.0, reason=WHY),
            refs={"deal": deal_ref(lead)},
        )
        for lead in (kept, gone)
    ]
    try:
        answer = dict(await office.session.apply(writes))
    except Rejected as err:
        codes = {key: [problem.code for problem in problems] for key, problems in err.problems.items()}
        assert codes in ({writes[1].key: ["stale_record"]}, {"": ["stale_record"]})
        answer = dict(await office.session.apply(writes[:1]))
    assert isinstance(answer[writes[0].key], Done)
    assert office.records("leads")


async def test_two_quick_deals_of_known_and_new_clients_are_both_made(office: Any) -> None:
    """Mixed kinds of creation in one call: a request for each, every step answered."""
    known = office.person("create_contact", name="Иван")
    plain = office.deal(refs={"contact": contact_ref(known)})
    combined = office.deal(with_contact=office.contact())
    office.sandbox.reset_stats()
    answer = await office.session.apply([plain, combined])
    assert set(answer) == {plain.key, combined.key, combined.with_contact.key}
    assert sorted(office.asked("POST")) == ["POST /api/v4/leads", "POST /api/v4/leads/complex"]
    assert office.session.request_group(plain) != office.session.request_group(combined)


async def test_trouble_with_the_second_request_does_not_hide_the_first(office: Any) -> None:
    on_contact = office.call(contact_ref(office.person("create_contact", name="Иван")), "ru-1")
    on_deal = office.call(deal_ref(office.person("create_lead", name="Чай")), "ru-2")
    office.sandbox.fail_next("POST", "/api/v4/leads/notes", status=502)
    answer = await office.session.apply([on_contact, on_deal])
    assert set(answer) == {on_contact.key}
    assert set(await office.session.find_done([on_contact, on_deal])) == {on_contact.key}
    assert set(await office.session.apply([on_deal])) == {on_deal.key}


async def test_equal_notes_need_as_many_notes_in_the_crm(office: Any) -> None:
    first = plain_note(office)
    second = replace(first, key=office.key("note"))
    await office.session.apply([first])
    assert len(await office.session.find_done([first, second])) == 1


async def test_duplicate_control_that_joins_is_told(office: Any) -> None:
    """9.1: amoCRM may put the data into a lead that exists."""
    office.sandbox.switch(duplicate_control=True)
    await only(office, office.deal(with_contact=office.contact()))
    again = office.deal(with_contact=office.contact())
    answer = await office.session.apply([again])
    assert answer[again.key].is_merged
    assert len(office.records("leads")) == 1
    office.sandbox.switch(duplicate_control=False)


# --- every error ends in recovery -----------------------------------------------------------------------------------

ERRORS: dict[str, tuple[dict[str, Any], type[VendorError]]] = {
    "throttled": ({"kind": "throttle"}, Throttled),
    "server error": ({"status": 500}, Unavailable),
    "batch too large": ({"status": 504}, Unavailable),
    "cut off": ({"kind": "disconnect"}, Unavailable),
    "unpaid": ({"status": 402}, NeedsCredentials),
    "not found": ({"status": 404}, Stale),
}


@pytest.mark.parametrize(("fault", "error"), ERRORS.values(), ids=ERRORS)
async def test_after_each_error_the_same_step_goes_through(
    office: Any, fault: dict[str, Any], error: type[VendorError]
) -> None:
    write = office.contact()
    await office.session.catalogue()
    office.sandbox.fail_next("POST", "/api/v4/contacts", **fault)
    with pytest.raises(error) as met:
        await office.session.apply([write])
    if isinstance(met.value, Unavailable):
        assert met.value.too_large == (fault.get("status") == 504)
        assert await office.session.find_done([write]) == {}
    await only(office, write)


async def test_a_ban_is_told_apart_and_ends_when_it_is_lifted(office: Any) -> None:
    office.sandbox.fail_next("POST", "/api/v4/contacts", kind="ban")
    write = office.contact()
    with pytest.raises(Banned):
        await office.session.apply([write])
    office.sandbox.lift_ban()
    await only(office, write)


async def test_a_refused_connection_leaves_nothing_in_doubt(office: Any) -> None:
    await office.session.catalogue()
    nowhere = office.with_settings(address="http://127.0.0.1:1")
    write = office.contact()
    with pytest.raises(Unavailable) as refused:
        await nowhere.session.apply([write])
    assert not refused.value.maybe_applied
    await only(office, write)


async def test_a_task_of_another_employee_is_not_taken_for_ours(office: Any) -> None:
    """A5: "call back" of the responsible and of the senior differ in the employee alone."""
    on = contact_ref(office.person("create_contact", name="Иван"))
    ours, theirs = office.task(on=on, user=MARINA), office.task(on=on, user=UserId("8800108"))
    await only(office, theirs)
    assert set(await office.session.find_done([ours, theirs])) == {theirs.key}
    assert isinstance(ours.action, CreateTask)


async def test_what_was_never_sent_costs_no_search(office: Any) -> None:
    await office.session.catalogue()
    office.sandbox.reset_stats()
    assert await office.session.find_done([replace(office.contact(), sent_at=None)]) == {}
    assert office.asked() == []
