"""Zoho's own ways of being written to: leads, conversion, partial failure, relations, marks (H5, X5, X6, Z)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.plan import CompleteTask, CreateDeal, Notify, Reason, UpdateContact, UpdateDeal, UpdateTask
from hub.core.records import RecordKind, RecordRef, UserId
from hub.errors import Rejected, Throttled, Unavailable
from hub.ports import Done, Refused

WHY = Reason(code="test")
OLEH, GONE = UserId("5725767000000411002"), UserId("5725767000000411009")
OTHER = Phone("+380501112233")
LEADS, DEALS = "Leads", "Standard (Standard)"


def ref(kind: RecordKind, record_id: object) -> RecordRef:
    return RecordRef(kind=kind, id=str(record_id))


def contact_ref(record_id: object) -> RecordRef:
    return ref(RecordKind.CONTACT, record_id)


def deal_ref(record_id: object) -> RecordRef:
    return ref(RecordKind.DEAL, record_id)


# --- leads ------------------------------------------------------------------------------------------------------


async def test_a_new_clients_enquiry_is_one_lead_in_one_request(office: Any) -> None:
    """Z1, H5: contact and deal of the plan are one Zoho lead; both answers name it."""
    await office.session.catalogue()
    office.sandbox.reset_stats()
    write = office.lead("Ольга Белая", user=OLEH, fields={"utm_source": "google", "nothing": "here"})
    answer = await office.session.apply([write])
    (lead,) = office.records("Leads")
    assert answer[write.key] == Done(record=deal_ref(f"Leads/{lead['id']}"))
    assert answer[write.with_contact.key] == Done(record=contact_ref(f"Leads/{lead['id']}"))
    seen = {name: lead[name] for name in ("First_Name", "Last_Name", "Phone", "Company", "utm_source", "Lead_Status")}
    assert seen == {
        "First_Name": "Ольга",
        "Last_Name": "Белая",
        "Phone": "+380671230001",
        "Company": "-",
        "utm_source": "google",
        "Lead_Status": None,
    }
    assert lead["Owner"]["id"] == OLEH
    assert office.asked() == ["POST /crm/v8/Leads"]


async def test_a_lead_is_told_as_contact_and_open_deal(office: Any) -> None:
    """SPEC, vocabulary: a client with an open lead is an existing client with an open deal (Z3, Z7)."""
    lead_id = office.someone("Leads", "067 123 00 01", First_Name="Ольга", utm_source="google")
    changes = await office.session.read([deal_ref(f"Leads/{lead_id}")])
    (contact,), (deal,) = changes.contacts, changes.deals
    assert (contact.id, contact.name, contact.phones) == (f"Leads/{lead_id}", "Ольга Белая", ("+380671230001",))
    assert (deal.id, deal.is_open, deal.contact_ids) == (contact.id, True, (contact.id,))
    assert deal.fields == {"utm_source": "google"}


async def test_a_lead_in_a_final_status_is_a_closed_deal(office: Any) -> None:
    """Z16: the statuses that count as final are a setting, Zoho marks none."""
    lead_id = office.someone("Leads", Lead_Status="Junk Lead")
    changes = await office.session.read([deal_ref(f"Leads/{lead_id}")])
    assert [deal.is_open for deal in changes.deals] == [False]


async def test_an_enquiry_of_a_known_contact_is_a_lead_with_the_contacts_data(office: Any) -> None:
    """Z5, Z6: one read for the batch, then the lead."""
    account = office.person("create", module="Accounts", Account_Name="Nord Tea")
    contact_id = office.someone(First_Name="Ольга", Email="o@shop.example", Account_Name={"id": account})
    write = office.deal(refs={"contact": contact_ref(contact_id)}, pipeline_id=LEADS, stage_id="Leads/Contacted")
    await office.made(write)
    (lead,) = office.records("Leads")
    seen = [lead[name] for name in ("Full_Name", "Phone", "Email", "Company", "Lead_Status")]
    assert seen == ["Ольга Белая", "+380671230001", "o@shop.example", "Nord Tea", "Contacted"]


async def test_a_pipeline_of_deals_makes_a_contact_and_a_deal(office: Any) -> None:
    """A policy that names a pipeline of deals gets a deal, also where new enquiries become leads."""
    contact = office.contact()
    write = office.deal(with_contact=contact, pipeline_id=DEALS, stage_id=f"{DEALS}/Needs Analysis", user=OLEH)
    answer = await office.session.apply([write])
    (deal,), (person,) = office.records("Deals"), office.records("Contacts")
    assert answer == {
        write.key: Done(record=deal_ref(deal["id"])),
        contact.key: Done(record=contact_ref(person["id"])),
    }
    assert [deal[name] for name in ("Stage", "Pipeline")] == ["Needs Analysis", DEALS]
    assert deal["Contact_Name"]["id"] == person["id"]
    assert office.records("Leads") == []


# --- conversion -------------------------------------------------------------------------------------------------


async def test_moving_a_lead_into_a_pipeline_of_deals_converts_it(office: Any) -> None:
    lead_id = office.someone("Leads", First_Name="Ольга")
    action = UpdateDeal(key=office.key("update"), deal=deal_ref(f"Leads/{lead_id}"), price=900.0, reason=WHY)
    write = office.write(
        action,
        refs={"deal": deal_ref(f"Leads/{lead_id}")},
        pipeline_id=DEALS,
        stage_id=f"{DEALS}/Qualification",
        user=OLEH,
    )
    made = await office.made(write)
    (deal,) = office.records("Deals")
    assert made == deal_ref(deal["id"])
    assert [deal[name] for name in ("Deal_Name", "Stage", "Amount")] == ["Ольга Белая", "Qualification", 900.0]
    assert deal["Owner"]["id"] == OLEH
    assert [lead["Converted__s"] for lead in office.records("Leads")] == [True]
    assert (await office.session.find_done([write]))[write.key].record == made


async def test_a_deal_for_a_lead_converts_it_and_is_found_again(office: Any) -> None:
    """X5: the mark travels with the conversion."""
    lead_id = office.someone("Leads", Lead_Status="Junk Lead")
    refs = {"contact": contact_ref(f"Leads/{lead_id}")}
    write = office.deal(refs=refs, pipeline_id=DEALS, stage_id=f"{DEALS}/Qualification")
    office.sandbox.fail_next("POST", f"/crm/v8/Leads/{lead_id}", kind="disconnect", applied=True)
    with pytest.raises(Unavailable):
        await office.session.apply([write])
    (deal,) = office.records("Deals")
    assert (await office.session.find_done([write]))[write.key].record == deal_ref(deal["id"])


async def test_a_lead_that_a_person_converted_is_stale_and_what_it_became_is_found(office: Any) -> None:
    """X5: a lead that was converted after the answer was lost is found as what it became."""
    write = office.lead()
    lead = await office.made(write)
    lead_id = lead.id.removeprefix("Leads/")
    stock = {"Deal_Name": "Чай", "Closing_Date": "2030-01-01", "Stage": "Qualification", "Pipeline": DEALS}
    office.person("convert", id=lead_id, Deals=stock)
    action = UpdateDeal(key=office.key("update"), deal=lead, reason=WHY)
    moved = office.write(action, refs={"deal": lead}, pipeline_id=LEADS, stage_id="Leads/Contacted")
    applied = (await office.session.apply([moved]))[moved.key]
    assert isinstance(applied, Refused)
    assert applied.is_stale
    found = await office.session.find_done([write])
    (deal,), (contact,) = office.records("Deals"), office.records("Contacts")
    assert found[write.key].record == deal_ref(deal["id"])
    assert found[write.with_contact.key].record == contact_ref(contact["id"])
    changes = await office.session.read([lead])
    assert set(changes.deleted) == {lead, contact_ref(lead.id)}
    assert deal_ref(deal["id"]) in changes.touched


# --- partial failure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 202])
async def test_each_item_of_a_batch_is_answered_by_itself(office: Any, status: int) -> None:
    """X6: partial failure is Zoho's normal answer; when all fail the status differs by version."""
    office.sandbox.switch(all_failed_status=status)
    good, bad, gone = office.lead(), office.lead("", Phone("+380671230002")), office.lead(user=GONE)
    bad = replace(bad, fields={"Lead_Source": "Нет такого"})
    answer = await office.session.apply([good, bad, gone])
    assert isinstance(answer[good.key], Done)
    assert isinstance(answer[bad.key], Refused)
    assert "Lead_Source" in answer[bad.key].text
    assert not answer[bad.key].is_stale
    assert answer[gone.key].is_stale
    assert answer[gone.key].is_user_stale
    alone = await office.session.apply([bad])
    assert isinstance(alone[bad.key], Refused)
    # the fault is gone, the goal is reached
    mended = replace(bad, fields={})
    assert isinstance((await office.session.apply([mended]))[bad.key], Done)


async def test_a_unique_mark_makes_a_repeated_write_find_the_first(office: Any) -> None:
    """X5: where the field is unique Zoho itself refuses what would be doubled, and names what is there."""
    write = office.lead()
    first = await office.session.apply([write])
    assert await office.session.apply([write]) == first
    assert len(office.records("Leads")) == 1


async def test_another_unique_field_finds_the_client_whom_zoho_knows(office: Any) -> None:
    office.sandbox.world.modules["Contacts"].fields["Phone"].is_unique = True
    contact_id = office.someone()
    write = office.contact()
    assert (await office.session.apply([write]))[write.key] == Done(record=contact_ref(contact_id), is_merged=True)


async def test_a_vendors_failure_on_one_item_leaves_that_item_in_doubt(office: Any) -> None:
    """An item that is answered with INTERNAL_ERROR may be there."""
    await office.session.catalogue()
    write = office.contact()
    office.sandbox.fail_next("POST", "/crm/v8/Contacts", status=500, applied=True)
    with pytest.raises(Unavailable) as caught:
        await office.session.apply([write])
    assert caught.value.maybe_applied
    assert write.key in await office.session.find_done([write])


async def test_a_hundred_go_in_one_request_and_cost_ten_credits(office: Any) -> None:
    """X6, 2: one credit for ten records."""
    await office.session.catalogue()
    office.sandbox.reset_stats()
    writes = [office.lead(f"Клиент {n}", Phone(f"+38067123{n:04d}")) for n in range(100)]
    answer = await office.session.apply(writes)
    assert len(answer) == 200
    assert office.asked() == ["POST /crm/v8/Leads"]
    assert office.sandbox.stats()["credits"] == 10


# --- tasks, calls, notes ----------------------------------------------------------------------------------------


async def test_relations_follow_the_vendors_rules(office: Any) -> None:
    """3: a lead stands alone, a contact in Who_Id, a deal with its module."""
    lead = office.someone("Leads", "+380671230009")
    contact = office.someone()
    deal = office.sale(contact)
    places = [deal_ref(f"Leads/{lead}"), contact_ref(f"Leads/{lead}"), contact_ref(contact), deal_ref(deal)]
    for place in places:
        await office.made(office.task(on=place))
        await office.made(office.call(place))
        await office.made(office.note(place))
    for module in ("Tasks", "Calls"):
        seen = [
            (r["$se_module"], (r["What_Id"] or {}).get("id"), (r["Who_Id"] or {}).get("id"))
            for r in office.records(module)
        ]
        assert seen == [
            ("Leads", lead, None),
            ("Leads", lead, None),
            ("Contacts", None, contact),
            ("Deals", deal, None),
        ]
    assert [note["Parent_Id"]["module"]["api_name"] for note in office.records("Notes")] == [
        "Leads",
        "Leads",
        "Contacts",
        "Deals",
    ]


async def test_a_tasks_hour_stands_in_its_reminder_and_is_read_from_it(office: Any) -> None:
    """Z18: Zoho's tasks are due on a day; the deadline of four hours must not become midnight."""
    lead = await office.made(office.lead())
    write = office.task("Связаться\nс клиентом", on=lead)
    made = await office.made(write)
    (task,) = office.records("Tasks")
    assert task["Subject"] == "Связаться"
    assert task["Due_Date"] == "2030-01-01"
    (read,) = (await office.session.read([made])).tasks
    assert read.due_at == datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert read.text == "Связаться\nс клиентом"
    assert read.on == lead
    later = UpdateTask(key=office.key("move"), task=made, due_at=read.due_at + timedelta(hours=3), reason=WHY)
    await office.made(office.write(later, refs={"task": made}))
    (read,) = (await office.session.read([made])).tasks
    assert read.due_at == datetime(2030, 1, 1, 13, tzinfo=UTC)


async def test_a_completed_task_carries_the_calls_time_and_result(office: Any) -> None:
    """Z: every completed task carries the call's time."""
    lead = await office.made(office.lead())
    write = office.task("Разговор", on=lead)
    at = datetime(2026, 7, 29, 8, 5, tzinfo=UTC)
    write = replace(write, action=replace(write.action, completed_at=at, due_at=at, result="2:05"))
    await office.made(write)
    (task,) = office.records("Tasks")
    assert task["Status"] == "Completed"
    assert task["Description"].splitlines() == ["Разговор", "2026-07-29 11:05", "2:05"]
    assert task["Remind_At"] is None


async def test_completing_a_task_adds_the_result_to_its_text(office: Any) -> None:
    lead = await office.made(office.lead())
    task = await office.made(office.task(on=lead))
    action = CompleteTask(key=office.key("done"), task=task, result="Дозвонились", reason=WHY)
    await office.made(office.write(action, refs={"task": task}))
    (held,) = office.records("Tasks")
    assert (held["Status"], held["Description"]) == ("Completed", "Перезвонить\nДозвонились")


@pytest.mark.parametrize(
    ("direction", "disposition", "seconds", "seen"),
    [
        (Direction.INBOUND, Disposition.ANSWERED, 125, ("Inbound", "02:05", None)),
        (Direction.INBOUND, Disposition.MISSED, 0, ("Missed", None, None)),
        (Direction.INBOUND, Disposition.VOICEMAIL, 30, ("Missed", None, None)),
        (Direction.OUTBOUND, Disposition.ANSWERED, 4500, ("Outbound", "75:00", "Completed")),
        (Direction.OUTBOUND, Disposition.MISSED, 0, ("Outbound", "00:00", "Completed")),
        # a miscounted length costs its length, not the record
        (Direction.INBOUND, Disposition.ANSWERED, 10_000_000, ("Inbound", "9999:59", None)),
    ],
)
async def test_call_records_by_direction_and_outcome(
    office: Any, direction: Direction, disposition: Disposition, seconds: int, seen: tuple[str, str | None, str | None]
) -> None:
    """A6, 5: minutes and seconds; a missed call has no duration; no fraction of a second."""
    lead = await office.made(office.lead())
    write = office.call(lead)
    action = replace(write.action, direction=direction, disposition=disposition, talk_seconds=seconds)
    await office.made(replace(write, action=action))
    (call,) = office.records("Calls")
    assert (call["Call_Type"], call["Call_Duration"], call["Outgoing_Call_Status"]) == seen
    assert call["Voice_Recording__s"] == "https://rec.example/1.mp3"
    assert "ru-1" in call["Description"]


async def test_an_organisation_without_the_recording_field_keeps_the_link_in_the_text(office: Any) -> None:
    office.sandbox.drop_field("Calls", "Voice_Recording__s")
    lead = await office.made(office.lead())
    await office.made(office.call(lead))
    (call,) = office.records("Calls")
    assert "https://rec.example/1.mp3" in call["Description"]


# --- changing ---------------------------------------------------------------------------------------------------


async def test_numbers_fill_free_fields_and_replace_nothing(office: Any) -> None:
    """A9: what the card has stays."""
    contact_id = office.someone(Mobile="+380671230005")
    action = UpdateContact(
        key=office.key("update"),
        contact=contact_ref(contact_id),
        add_phones=(OTHER, Phone("+380671230005")),
        add_emails=("new@shop.example",),
        add_tags=("звонок",),
        reason=WHY,
    )
    write = office.write(action, refs={"contact": contact_ref(contact_id)})
    await office.made(write)
    (card,) = office.records("Contacts")
    assert [card[name] for name in ("Phone", "Mobile", "Home_Phone")] == ["+380671230001", "+380671230005", OTHER]
    assert card["Email"] == "new@shop.example"
    assert [tag["name"] for tag in card["Tag"]] == ["звонок"]
    assert write.key in await office.session.find_done([write])


@pytest.mark.parametrize("notes", [201, 2001], ids=["the second page", "beyond what has numbers"])
async def test_a_note_on_a_card_with_many_is_not_made_again(office: Any, notes: int) -> None:
    """X5: the vendor shows 200 at once, pages 1 to 10 by number; what comes after them is not absent."""
    contact = contact_ref(office.someone())
    writes = [office.note(contact, text=f"Заметка {number}") for number in range(notes)]
    for start in range(0, notes, 100):
        await office.session.apply(writes[start : start + 100])
    assert len(office.records("Notes")) == notes
    assert set(await office.session.find_done(writes[-1:])) == {writes[-1].key}


async def test_tags_join_those_of_the_record(office: Any) -> None:
    lead = await office.made(office.lead())
    for tag in ("первый", "второй"):
        action = UpdateDeal(key=office.key("tag"), deal=lead, add_tags=(tag,), reason=WHY)
        await office.made(office.write(action, refs={"deal": lead}))
    (held,) = office.records("Leads")
    assert [tag["name"] for tag in held["Tag"]] == ["первый", "второй"]


async def test_tags_that_did_not_arrive_leave_the_step_in_doubt(office: Any) -> None:
    """X5: the update is there, its tags are not; looked for, not found, sent again."""
    lead = await office.made(office.lead())
    action = UpdateDeal(key=office.key("tag"), deal=lead, add_tags=("звонок",), reason=WHY)
    write = office.write(action, refs={"deal": lead}, pipeline_id=LEADS, stage_id="Leads/Contacted")
    office.sandbox.fail_next("POST", "/crm/v8/Leads/actions/add_tags", kind="disconnect")
    with pytest.raises(Unavailable):
        await office.session.apply([write])
    assert await office.session.find_done([write]) == {}
    await office.made(write)
    assert write.key in await office.session.find_done([write])


async def test_a_popup_is_refused_and_costs_no_request(office: Any) -> None:
    """5: only a telephony registered with the vendor may show one; the hub's own tabs do (A12)."""
    await office.session.catalogue()
    office.sandbox.reset_stats()
    action = Notify(key=office.key("notify"), employees=(), text="Звонок", phone=OTHER, reason=WHY)
    write = office.write(action)
    assert isinstance((await office.session.apply([write]))[write.key], Refused)
    assert office.asked() == []


async def test_an_organisation_without_the_mark_field_has_the_mark_in_descriptions(office: Any) -> None:
    """X5 without an administrator: every kind is found again, and what people wrote stays readable."""
    for module in ("Leads", "Contacts", "Deals", "Tasks", "Calls"):
        office.sandbox.drop_field(module, "Hub_ID")
    catalogue = await office.session.catalogue()
    assert any("Hub ID" in warning for warning in catalogue.warnings)
    lead_write = office.lead()
    lead = await office.made(lead_write)
    contact_write = office.contact("Пётр", OTHER)
    writes = [lead_write, contact_write, office.task("Перезвонить", on=lead), office.call(lead)]
    for write in writes[1:]:
        await office.made(write)
    found = await office.session.find_done(writes)
    assert set(found) >= {write.key for write in writes}
    (held,) = office.records("Tasks")
    assert held["Description"].startswith("Перезвонить\n[Hub ID: ")
    (read,) = (await office.session.read([ref(RecordKind.TASK, held["id"])])).tasks
    assert read.text == "Перезвонить"


async def test_a_deal_cannot_become_a_lead_and_the_rest_is_refused_by_name(office: Any) -> None:
    contact = office.someone()
    deal = deal_ref(office.sale(contact))
    action = UpdateDeal(key=office.key("update"), deal=deal, reason=WHY)
    write = office.write(action, refs={"deal": deal}, pipeline_id=LEADS, stage_id="Leads/Contacted")
    applied = (await office.session.apply([write]))[write.key]
    assert isinstance(applied, Refused)
    assert "lead" in applied.text


async def test_whole_requests_that_are_throttled_or_refused_raise(office: Any) -> None:
    await office.session.catalogue()
    write = office.contact()
    office.sandbox.fail_next("POST", "/crm/v8/Contacts", kind="throttle")
    with pytest.raises(Throttled):
        await office.session.apply([write])
    office.sandbox.fail_next("POST", "/crm/v8/Contacts", status=403)
    with pytest.raises(Rejected):
        await office.session.apply([write])
    assert isinstance((await office.session.apply([write]))[write.key], Done)


async def test_a_deal_without_a_contact_is_a_lead_by_its_name(office: Any) -> None:
    """Z9's policy: deals but no contacts."""
    action = CreateDeal(key=office.key("deal"), name="Обращение: +380671230001", reason=WHY)
    await office.made(office.write(action, pipeline_id=LEADS, stage_id="Leads/-None-"))
    (lead,) = office.records("Leads")
    assert lead["Last_Name"] == "Обращение: +380671230001"
