"""The car dealer's rules (SPEC part A, R5 to R9 and R11, source 002), in the document's order, then neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from hub.core.forwarding import Holder, HolderDeal, answer
from hub.core.interaction import Attribution, Destination, Disposition, Identity, Interaction, InteractionId, Leg
from hub.core.parting import DoneStep, take_off_carried
from hub.core.phone import Phone
from hub.core.plan import AddNote, CreateDeal, CreateTask, Notify, RecordCall, UpdateContact
from hub.core.records import Catalogue, Contact, CustomField, Deal, RecordKind, RecordRef
from hub.core.snapshot import History, Snapshot
from hub.testing.builders import (
    COLLEAGUE,
    HEAD,
    LINE,
    NEW_CLIENT,
    NOW,
    OWNER,
    PHONE,
    SENIOR,
    STRANGER,
    TEAM,
    MemoryCrm,
    answered,
    call,
    callback,
    client,
    form,
    internal,
    leg,
    missed,
    open_task,
    outgoing,
    outline,
    plan,
    policy,
    voicemail,
)

DEALER = policy("car-dealer")
SOURCES = policy(
    "car-dealer",
    """
[[sources]]
number = "044 123 45 67"
owner = "ivan"
source = "instagram"
fields = { "Менеджер" = "{{ employee }}", "Куда обратился" = "Салон на Левом берегу" }
""",
)
ANSWERER = policy("car-dealer", replacing=[('existing_answered = "keep"', 'existing_answered = "answerer"')])
WITH_DEAL = client(deal=OWNER)
CONTACT_ONLY = client()
ALL_CLOSED = client(closed_deal=OWNER)
BOTH_CALL_BACKS = ["task call_back for olena on deal in 0.1667 h", "task call_back for serhii on deal in 0.1667 h"]


@dataclass(frozen=True)
class Case:
    no: str
    interaction: Interaction
    known: Snapshot
    plan: list[str]


CAR_DEALER = [
    Case("A1 forwarded over internal lines: one deal", answered(by=COLLEAGUE, rung=[OWNER, SENIOR]), WITH_DEAL, [
        "task process for olena on deal in 4 h", "record of ivan on contact with recording"]),
    Case("A2 new deal and its task: who answered", answered(by=COLLEAGUE), NEW_CLIENT, [
        "contact for ivan", "deal for ivan", "task process for ivan on new deal in 4 h",
        "record of ivan on new contact with recording"]),
    Case("A3 the ordinary task is there already", answered(), client(deal=OWNER, tasks=[open_task(OWNER)]), [
        "nothing: task_is_open", "record of olena on contact with recording"]),
    Case("A3 the task stands on the contact", answered(), client(deal=OWNER, tasks=[open_task(OWNER, on="contact")]), [
        "nothing: task_is_open", "record of olena on contact with recording"]),
    Case("A3 a person wrote the call-back", missed(), client(deal=OWNER, tasks=[
        open_task(OWNER, "Перезвонить насчёт кредита")]), [
        "note on deal", "task call_back for serhii on deal in 0.1667 h", "record of olena on contact",
        "tell andrii, olena"]),
    Case("A4, A5, A12 missed by an existing client", missed(), WITH_DEAL, [
        *BOTH_CALL_BACKS, "record of olena on contact", "tell andrii, olena"]),
    Case("A5 the responsible is the senior: one", missed(), client(SENIOR, deal=SENIOR), [
        "task call_back for serhii on deal in 0.1667 h", "record of serhii on contact", "tell andrii, serhii"]),
    Case("A6 the very first outgoing call", outgoing(), NEW_CLIENT, [
        "contact for olena", "deal for olena", "record of olena on new contact with recording"]),
    Case("A7, R6 employees among themselves", internal(), NEW_CLIENT, ["nothing: internal_call"]),
    Case("A10 answered by another: existing, no deal", answered(by=COLLEAGUE), CONTACT_ONLY, [
        "deal for ivan", "task process for ivan on new deal in 4 h", "record of ivan on contact with recording"]),
    Case("A12 a voice message", voicemail(), WITH_DEAL, [
        *(f"{line} with recording" for line in BOTH_CALL_BACKS), "record of olena on contact with recording",
        "tell andrii, olena"]),
    Case("A13 existing and missed: the deal's responsible", missed(), client(OWNER, deal=COLLEAGUE), [
        "task call_back for ivan on deal in 0.1667 h", "task call_back for serhii on deal in 0.1667 h",
        "record of ivan on contact", "tell andrii, ivan"]),
    Case("A13 existing and missed: else the contact's", missed(), CONTACT_ONLY, [
        "task call_back for olena on contact in 0.1667 h", "task call_back for serhii on contact in 0.1667 h",
        "record of olena on contact", "tell andrii, olena"]),
    Case("A13 existing and missed: else the senior", missed(), client(""), [
        "task call_back for serhii on contact in 0.1667 h", "record of serhii on contact", "tell andrii, serhii"]),
    Case("A13 new and missed: the senior", missed(), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task call_back for serhii on new deal in 0.1667 h",
        "record of serhii on new contact", "tell andrii, serhii"]),
    Case("A14 an open deal: no other one", answered(by=COLLEAGUE), WITH_DEAL, [
        "task process for olena on deal in 4 h", "record of ivan on contact with recording"]),
    Case("A15 outgoing creates the deal", outgoing(), CONTACT_ONLY, [
        "deal for olena", "record of olena on contact with recording"]),
    Case("A15 unanswered attempts do not", outgoing(reached=False), CONTACT_ONLY, ["record of olena on contact"]),
    Case("Z11 outgoing to a stranger, unanswered", outgoing(reached=False), NEW_CLIENT, [
        "contact for olena", "record of olena on new contact"]),
    Case("A17 callback: the employee was not reached", callback(Disposition.MISSED), WITH_DEAL, [
        *BOTH_CALL_BACKS, "record of olena on contact", "tell andrii, olena"]),
    Case("A17 callback: the client was not reached", callback(), WITH_DEAL, [
        BOTH_CALL_BACKS[0], "record of olena on contact"]),
    Case("A17 callback: both were", callback(Disposition.ANSWERED), WITH_DEAL, [
        "task process for olena on deal in 4 h", "record of olena on contact"]),
    Case("A18 no deal: the task on the contact", missed(), ALL_CLOSED, [
        "task call_back for olena on contact in 0.1667 h", "task call_back for serhii on contact in 0.1667 h",
        "record of olena on contact", "tell andrii, olena"]),
    Case("R8 a private line", answered(line=Phone("+380509999999")), NEW_CLIENT, ["nothing: private_line"]),
    Case("J8 a form of a new client", form(), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task call_back for serhii on new deal in 0.1667 h",
        "note on new deal", "tell serhii"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CAR_DEALER, ids=lambda case: case.no)
def test_car_dealer(case: Case) -> None:
    assert outline(plan(case.interaction, case.known, DEALER)) == case.plan


def test_a1_the_record_tells_who_was_called_and_who_was_rung_in_vain_in_order() -> None:
    """A1, A6, C6: legs with employee, duration and recording."""
    told = answered(by=COLLEAGUE, rung=[SENIOR, OWNER], attribution=Attribution(utm_source="google"))
    record = next(action for action in plan(told, WITH_DEAL, DEALER).actions if isinstance(action, RecordCall))
    assert record.text.splitlines()[:3] == [
        "Serhii Melnyk: не ответил(а)",
        "Olena Koval: не ответил(а)",
        "Ivan Bondar: разговор 1:00 https://rec.example/1",
    ]
    assert "utm_source: google" in record.text


def test_a3_a_second_missed_call_adds_a_note_and_leaves_the_deadline() -> None:
    crm = MemoryCrm(rules=DEALER, known=WITH_DEAL)
    crm.take(missed())
    before = crm.known.tasks
    again = crm.take(missed(id=InteractionId("call-2"), ended_at=NOW + timedelta(minutes=5)))
    assert outline(again) == ["note on deal", "record of olena on contact", "tell andrii, olena"]
    assert crm.known.tasks == before


def test_a3_a_call_back_that_was_moved_to_somebody_else_is_still_the_one_that_is_open() -> None:
    """X10: the same tasks all the way, never one more per missed call."""
    crm = MemoryCrm(rules=DEALER, known=WITH_DEAL)
    crm.take(missed())
    hers = next(task for task in crm.known.tasks if task.responsible == OWNER)
    moved = tuple(replace(task, responsible=COLLEAGUE) if task is hers else task for task in crm.known.tasks)
    crm.known = replace(crm.known, tasks=moved)
    again = crm.take(missed(id=InteractionId("call-2"), ended_at=NOW + timedelta(minutes=5)))
    assert outline(again) == ["note on deal", "record of olena on contact", "tell andrii, olena"]
    reached = crm.take(answered(by=COLLEAGUE, id=InteractionId("call-3")))
    assert f"{hers.id} is done" in outline(reached)


def test_a3_the_same_call_decided_again_keeps_its_own_tasks() -> None:
    """DESIGN 2: a revision sees the client as the first decision did."""
    crm = MemoryCrm(rules=DEALER)
    first, second = crm.take(missed()), crm.take(missed(summary="angry"))
    assert [action.key for action in first.actions] == [action.key for action in second.actions]
    assert first.actions == second.actions


def test_a4_out_of_hours_the_deadline_counts_from_the_next_opening() -> None:
    """A4: Monday 20:30 in Kyiv, due Tuesday 9:10."""
    made = plan(missed(ended_at=NOW.replace(hour=18, minute=30)), WITH_DEAL, DEALER)
    task = made.actions[0]
    assert isinstance(task, CreateTask)
    assert task.due_at == NOW.replace(day=3, hour=7, minute=10)


@pytest.mark.parametrize(
    "reaching",
    [
        answered(id=InteractionId("call-2")),
        answered(by=COLLEAGUE, id=InteractionId("call-2")),
        outgoing(by=COLLEAGUE, id=InteractionId("call-2")),
        callback(Disposition.ANSWERED, id=InteractionId("call-2")),
    ],
    ids=["inbound", "a colleague", "outgoing", "callback"],
)
def test_a5_reaching_the_client_closes_both_call_backs(reaching: Interaction) -> None:
    crm = MemoryCrm(rules=DEALER, known=WITH_DEAL)
    crm.take(missed())
    crm.take(reaching)
    assert [task.text for task in crm.known.tasks if task.is_open and "Перезвонить" in task.text] == []


def test_a5_an_unanswered_attempt_closes_nothing() -> None:
    crm = MemoryCrm(rules=DEALER, known=WITH_DEAL)
    crm.take(missed())
    crm.take(outgoing(reached=False, id=InteractionId("call-2")))
    assert sum(task.is_open for task in crm.known.tasks) == 2


def test_a5_a_persons_plan_for_another_day_stays_open() -> None:
    later = open_task(OWNER, "Перезвонить после отпуска", due_at=NOW + timedelta(days=9))
    made = plan(answered(), client(deal=OWNER, tasks=[later]), DEALER)
    assert not any(line.endswith("is done") for line in outline(made))
    today = replace(later, due_at=NOW + timedelta(hours=2))
    made = plan(answered(), client(deal=OWNER, tasks=[today]), DEALER)
    assert "task-olena is done" in outline(made)


def test_a6_one_record_under_the_telephonys_own_id_on_the_final_legs_employee() -> None:
    told = answered(
        legs=(
            leg(OWNER, is_answered=True, talk_seconds=10, recording="https://rec.example/a"),
            leg(COLLEAGUE, is_answered=True, talk_seconds=50, recording="https://rec.example/b"),
        ),
        is_transferred=True,
    )
    made = plan(told, WITH_DEAL, DEALER)
    records = [action for action in made.actions if isinstance(action, RecordCall)]
    assert [(found.uniq, found.responsible, found.recording) for found in records] == [
        ("ua0_-1.1", COLLEAGUE, "https://rec.example/b")
    ]
    assert "https://rec.example/a" in records[0].text


def test_a6_the_record_can_stand_on_the_deal() -> None:
    rules = policy("car-dealer", replacing=[('on = "contact"                # every', 'on = "deal" # every')])
    assert "record of olena on deal with recording" in outline(plan(answered(), WITH_DEAL, rules))
    assert "record of olena on contact" in outline(plan(missed(), CONTACT_ONLY, rules))


def test_a9_the_fuller_contact_is_preferred_and_the_others_data_carried_over() -> None:
    """A9: at a tie the older."""
    poor = Contact(id="poor", name="Petro", phones=(PHONE,), emails=("p@example.com",), created_at=NOW)
    full = Contact(id="full", name="Petro", phones=(PHONE, Phone("+380671234567")), responsible=OWNER, tags=("vip",))
    made = plan(missed(), replace(NEW_CLIENT, contacts=(poor, full)), DEALER)
    update = made.actions[0]
    assert update.kind == "update_contact"
    assert (update.contact.id if update.contact.kind and hasattr(update.contact, "id") else "") == "full"
    assert update.add_emails == ("p@example.com",)
    older = replace(poor, id="older", created_at=NOW - timedelta(days=1))
    made = plan(missed(), replace(NEW_CLIENT, contacts=(poor, older)), DEALER)
    record = next(action for action in made.actions if isinstance(action, RecordCall))
    assert getattr(record.on, "id", "") == "older"


def test_a9_tags_fields_and_company_that_the_fuller_lacks_are_carried_over() -> None:
    """Nothing that it has is overwritten, nothing is taken from the hub's own marks, and once is enough."""
    offered = Catalogue(
        fields=tuple(
            CustomField(id=id, name=name, record=RecordKind.CONTACT) for id, name in (("1", "City"), ("2", "Car"))
        )
    )
    full = Contact(
        id="full", name="Petro", phones=(PHONE, Phone("+380671234567")),
        emails=("p@example.com", "q@example.com", "r@example.com"),
        responsible=OWNER, tags=("vip",),
        fields={"1": "Kyiv"},
    )  # fmt: skip
    poor = Contact(
        id="poor", name="petro", phones=(PHONE,), tags=("vip", "fleet"), company_id="works",
        fields={"1": "Lviv", "2": "SUV", "77": "the hub's own mark"},
    )  # fmt: skip
    known = replace(NEW_CLIENT, contacts=(poor, full), catalogue=offered)
    update = plan(missed(), known, DEALER).actions[0]
    assert isinstance(update, UpdateContact)
    assert (update.contact, update.add_tags, update.fields) == (full.ref, ("fleet",), {"Car": "SUV"})
    assert update.company == RecordRef(kind=RecordKind.COMPANY, id="works")
    done = replace(full, tags=("vip", "fleet"), fields={"1": "Kyiv", "2": "SUV"}, company_id="works")
    again = plan(missed(), replace(known, contacts=(poor, done)), DEALER)
    assert not any(isinstance(action, UpdateContact) for action in again.actions)


def test_a9_the_explanation_tells_which_contact_won_and_why_the_others_did_not() -> None:
    """X1: by fields filled in, at a tie by age, and the open deal's own contact before all."""
    full = Contact(id="full", name="Petro", phones=(PHONE,), emails=("p@example.com",), responsible=OWNER)
    young = Contact(
        id="young", name="Petro", phones=(PHONE,), emails=("q@example.com",), responsible=OWNER, created_at=NOW
    )
    poor = Contact(id="poor", name="Petro", phones=(PHONE,), responsible=OWNER)
    old = replace(full, created_at=NOW - timedelta(days=1))

    def told(*contacts: Contact, deals: tuple[Deal, ...] = ()) -> list[tuple[str, bool, str, str]]:
        made = plan(missed(), replace(NEW_CLIENT, contacts=contacts, deals=deals), DEALER)
        return [
            (found.record.id, found.is_chosen, found.reason.code, found.reason.values["filled"])
            for found in made.explanation.contacts
        ]

    assert told(poor, young, old) == [
        ("full", True, "contact_fuller", "4"),
        ("young", False, "contact_younger", "4"),
        ("poor", False, "contact_poorer", "3"),
    ]
    of_poor = (Deal(id="d", responsible=OWNER, contact_ids=("poor",)),)
    assert told(poor, old, deals=of_poor) == [
        ("poor", True, "contact_of_deal", "3"),
        ("full", False, "contact_not_of_deal", "4"),
    ]
    assert told(old) == []


def test_x12_nothing_is_carried_over_from_a_duplicate_that_a_person_parted() -> None:
    """A9: neither the number that was taken off, nor what else it brought; and undoing takes the tags along."""
    full = Contact(id="full", name="Petro", phones=(PHONE,), emails=("p@example.com",), responsible=OWNER)
    other = Contact(id="other", name="Petro", phones=(PHONE, Phone("+380671234567")), tags=("fleet",))
    known = replace(NEW_CLIENT, contacts=(full, other))
    carried = plan(missed(), known, DEALER).actions[0]
    assert isinstance(carried, UpdateContact)
    step = DoneStep(key=carried.key, interaction_id=InteractionId("call-1"), action=carried, record=full.ref)
    off = take_off_carried(step, [PHONE], full)
    assert off is not None
    assert (off.phones, off.tags) == ((Phone("+380671234567"),), ("fleet",))
    parted = replace(known, history=History(refused=frozenset({"full/+380671234567"})))
    assert not any(isinstance(action, UpdateContact) for action in plan(missed(), parted, DEALER).actions)


def test_a9_a_strangers_data_is_not_carried_over() -> None:
    """X12: a family's number binds nobody together."""
    mother = Contact(id="mother", name="Hanna", phones=(PHONE,), responsible=OWNER)
    son = Contact(id="son", name="Petro", phones=(PHONE, Phone("+380671234567")))
    made = plan(missed(), replace(NEW_CLIENT, contacts=(mother, son)), DEALER)
    assert not any(action.kind == "update_contact" for action in made.actions)


def test_a13_answerer_takes_an_existing_client_over_where_the_policy_says_so() -> None:
    made = plan(answered(by=COLLEAGUE), WITH_DEAL, ANSWERER)
    assert outline(made) == [
        "contact changes to ivan",
        "deal changes to ivan",
        "task process for ivan on deal in 4 h",
        "record of ivan on contact with recording",
    ]
    assert made.responsible == COLLEAGUE
    assert plan(answered(by=COLLEAGUE), WITH_DEAL, DEALER).responsible == OWNER


def test_a13_new_and_missed_goes_to_the_owner_of_the_dialled_number() -> None:
    assert outline(plan(missed(), NEW_CLIENT, SOURCES)) == [
        "contact for ivan",
        "deal for ivan",
        "task call_back for ivan on new deal in 0.1667 h",
        "task call_back for serhii on new deal in 0.1667 h",
        "record of ivan on new contact",
        "tell andrii, ivan",
    ]


def test_a14_of_several_open_deals_the_one_whose_responsible_took_part_else_the_newest() -> None:
    deals = (
        Deal(id="hers", responsible=OWNER, contact_ids=("contact-1",), updated_at=NOW - timedelta(days=3)),
        Deal(id="his", responsible=COLLEAGUE, contact_ids=("contact-1",), updated_at=NOW - timedelta(days=1)),
    )
    known = replace(WITH_DEAL, deals=deals)
    took_part = plan(answered(by=OWNER), known, DEALER).actions[0]
    newest = plan(missed(), known, DEALER).actions[0]
    assert isinstance(took_part, CreateTask)
    assert isinstance(newest, CreateTask)
    assert (getattr(took_part.on, "id", ""), getattr(newest.on, "id", "")) == ("hers", "his")


def test_a15_a_later_outgoing_call_of_the_same_employee_creates_no_deal() -> None:
    called = replace(ALL_CLOSED, history=History(called_by=frozenset({OWNER})))
    assert outline(plan(outgoing(by=OWNER), called, DEALER)) == ["record of olena on contact with recording"]
    assert outline(plan(outgoing(by=COLLEAGUE), called, DEALER))[0] == "deal for ivan"


def test_a16_and_r11_the_dialled_number_fills_fields_and_source() -> None:
    deal = next(a for a in plan(answered(), NEW_CLIENT, SOURCES).actions if isinstance(a, CreateDeal))
    assert deal.fields == {"Менеджер": "Olena Koval", "Куда обратился": "Салон на Левом берегу"}
    record = next(a for a in plan(answered(), NEW_CLIENT, SOURCES).actions if isinstance(a, RecordCall))
    assert "Источник: instagram" in record.text


def test_r11_utm_tags_that_came_are_not_overwritten() -> None:
    told = answered(attribution=Attribution(utm_source="google"))
    record = next(a for a in plan(told, NEW_CLIENT, SOURCES).actions if isinstance(a, RecordCall))
    assert "instagram" not in record.text


def test_r5_forwarding_a_known_client_to_the_responsible_and_a_new_one_on() -> None:
    holder = Holder(id="c", responsible=COLLEAGUE, open_deals=(HolderDeal(id="d", responsible=OWNER),), seen_at=NOW)
    known = answer(PHONE, [holder], History(), DEALER, NOW + timedelta(minutes=3))
    assert (known.destination, known.employee, known.age) == ("examplecom_olena", OWNER, timedelta(minutes=3))
    assert answer(PHONE, [], History(), DEALER, NOW).destination == ""


def test_r6_an_internal_call_is_shown_on_the_contact_that_holds_the_number() -> None:
    """R6, A7: no entity is made."""
    mobile = Phone("+380672222222")
    known = replace(CONTACT_ONLY, contacts=(Contact(id="contact-1", name="Ivan", phones=(mobile,)),))
    assert outline(plan(internal(), known, DEALER)) == ["record of olena on contact with recording"]


def test_r7_the_attribution_reaches_the_deals_fields() -> None:
    """R7."""
    told = answered(attribution=Attribution(utm_source="google", utm_term="suv", ga_client_id="1.2"))
    deal = next(a for a in plan(told, NEW_CLIENT, DEALER).actions if isinstance(a, CreateDeal))
    assert deal.fields == {"utm_source": "google", "utm_term": "suv", "gclientid": "1.2"}


@pytest.mark.parametrize(
    ("told", "is_private"),
    [
        (answered(legs=(leg(is_answered=True, phone=Phone("+380509999999")),)), True),
        (missed(legs=(leg(phone=Phone("+380509999999")),)), True),
        (outgoing(line=Phone("+380509999999")), True),
        (answered(client=Identity(phones=(Phone("+380509999999"),))), True),
        (answered(legs=(leg(phone=Phone("+380509999999")), leg(OWNER, is_answered=True))), False),
        (answered(legs=(leg(is_answered=True, phone=Phone("+380671111111")),)), False),
    ],
    ids=[
        "answered there",
        "only rung there",
        "called from there",
        "the employee from home",
        "answered elsewhere",
        "R9",
    ],
)
def test_r8_private_lines_never_reach_the_crm_corporate_ones_do(told: Interaction, is_private: bool) -> None:
    assert (outline(plan(told, NEW_CLIENT, DEALER)) == ["nothing: private_line"]) is is_private


@pytest.mark.parametrize(
    "place",
    [{"phone": Phone("+380671111111")}, {"extension": "101"}, {"staff_id": "1101"}, {"email": "Olena@example.com"}],
    ids=["mobile", "extension", "staff id", "e-mail"],
)
@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_r9_the_employee_is_recognised_in_both_directions(place: dict[str, Any], direction: str) -> None:
    make = answered if direction == "inbound" else outgoing
    told = make(legs=(Leg(destination=Destination(**place), is_answered=True),))
    assert outline(plan(told, NEW_CLIENT, DEALER))[1] == "deal for olena"


def test_an_unknown_destination_leaves_a_new_client_to_the_dialled_owner_or_the_senior() -> None:
    assert outline(plan(answered(by=STRANGER), NEW_CLIENT, DEALER))[1] == "deal for serhii"
    assert outline(plan(answered(by=STRANGER), NEW_CLIENT, SOURCES))[1] == "deal for ivan"


def test_a12_tells_the_head_with_the_callers_number() -> None:
    notice = next(action for action in plan(missed(), WITH_DEAL, DEALER).actions if isinstance(action, Notify))
    assert (notice.employees, notice.phone) == ((HEAD, OWNER), PHONE)
    assert "Petro" in notice.text


AWAY = 'since = 2026-03-02T08:00:00, until = 2026-03-02T14:00:00, deputy = "ivan"'


def test_x11_the_deputy_gets_the_call_back_and_the_owner_keeps_the_client() -> None:
    """X11: and the owner is back after the absence."""
    away = policy(
        "car-dealer",
        team=TEAM.replace('staff_ids = ["1101"]', f'staff_ids = ["1101"]\nabsences = [{{ {AWAY} }}]'),
    )
    made = plan(missed(), WITH_DEAL, away)
    assert outline(made)[:2] == [
        "task call_back for ivan on deal in 0.1667 h",
        "task call_back for serhii on deal in 0.1667 h",
    ]
    assert made.responsible == OWNER
    afternoon = plan(missed(ended_at=NOW + timedelta(hours=3)), WITH_DEAL, away, now=NOW + timedelta(hours=3))
    assert outline(afternoon)[0].startswith("task call_back for olena")


def test_a_hidden_number_is_still_a_client_to_somebody() -> None:
    hidden = call(client=Identity(), line=LINE)
    note = [action for action in plan(hidden, NEW_CLIENT, DEALER).actions if isinstance(action, AddNote)]
    assert outline(plan(hidden, NEW_CLIENT, DEALER))[0] == "contact for serhii"
    assert not note
