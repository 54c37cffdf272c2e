"""RetailCRM's orders (SPEC part C, R2, R6, R7, source 001), in the document's order, each with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.core.example_check import check_examples
from hub.core.forwarding import Holder, HolderDeal, answer
from hub.core.interaction import Attribution, Interaction, InteractionId
from hub.core.phone import Phone, parse_phone
from hub.core.plan import CreateContact, CreateDeal, CreateTask, NewRecord, Notify, Plan, RecordCall
from hub.core.policy import Policy
from hub.core.records import Catalogue, CustomField, Deal, Pipeline, RecordKind, RecordRef, Stage, UserId
from hub.core.snapshot import History, Snapshot
from hub.ports import Done
from hub.runtime.effects import effect
from hub.runtime.resolve import Names, resolve
from hub.testing.builders import (
    COLLEAGUE,
    NEW_CLIENT,
    NOW,
    OWNER,
    PHONE,
    SENIOR,
    answered,
    callback,
    client,
    form,
    internal,
    leg,
    missed,
    outgoing,
    outline,
    plan,
    policy,
)
from hub.testing.chats import chat

ORDERS = policy("retailcrm-orders")
FEEDBACK = Phone("+380440000000")
STATUSES = Catalogue(
    pipelines=(
        Pipeline(
            id="main",
            name="Orders",
            is_main=True,
            stages=(
                Stage(id="new", name="Новый"),
                Stage(id="availability", name="Уточнение"),
                Stage(id="cancel-other", name="Отменен", is_final=True),
            ),
        ),
    )
)
OPEN = client(deal=OWNER)
CLOSED = client(closed_deal=OWNER)
NO_ORDER = client()


def with_rules(above: str = "", *, stop_at_first: bool = False) -> Policy:
    """The preset with further rules above its own."""
    replacing = [
        ("[[rules]]                     # the document's", f"{above}\n[[rules]]                     # the document's")
    ]
    if stop_at_first:
        replacing.append(("stop_at_first_rule = false", "stop_at_first_rule = true"))
    return policy("retailcrm-orders", replacing=replacing)


@dataclass(frozen=True)
class Case:
    no: str
    interaction: Interaction
    known: Snapshot
    plan: list[str]


RETAILCRM_ORDERS = [
    Case("C1 answered, new client", answered(), NEW_CLIENT, [
        "contact for olena", "deal for olena", "record of olena on new contact with recording", "tell olena"]),
    Case("C1 answered, open order: none is moved, none is made", answered(), OPEN, [
        "record of olena on contact with recording"]),
    Case("C1 answered by another, open order", answered(by=COLLEAGUE), OPEN, [
        "record of ivan on contact with recording"]),
    Case("C1 answered, earlier order only", answered(by=COLLEAGUE), CLOSED, [
        "deal for olena", "record of ivan on contact with recording", "tell olena"]),
    Case("C5 missed, new client", missed(), NEW_CLIENT, [
        "contact for serhii", "deal for serhii", "task call_back for serhii on new deal in 1 h",
        "record of serhii on new contact", "tell serhii"]),
    Case("C5 missed, open order", missed(), OPEN, [
        "task call_back for olena on deal in 1 h", "record of olena on contact"]),
    Case("C5 missed, an earlier order", missed(), CLOSED, [
        "task call_back for olena on deal in 1 h", "record of olena on contact"]),
    Case("C5 missed, no order at all: no task", missed(), NO_ORDER, [
        "nothing: no_order_for_task", "record of olena on contact"]),
    Case("A17 the client did not pick up", callback(), OPEN, [
        "task call_back for olena on deal in 1 h", "record of olena on contact"]),
    Case("C9, R6 employees among themselves", internal(), NEW_CLIENT, ["nothing: internal_call"]),
    Case("C9, R6 a colleague whom a card holds", internal(), OPEN, ["nothing: internal_call"]),
    Case("Z11 outgoing, new client", outgoing(), NEW_CLIENT, [
        "contact for olena", "record of olena on new contact with recording", "tell olena"]),
    Case("Z11 outgoing, earlier order only", outgoing(), CLOSED, ["record of olena on contact with recording"]),
    Case("J8 a form, earlier order only", form(), CLOSED, [
        "deal for olena", "task call_back for olena on new deal in 1 h", "note on new deal", "tell olena"]),
    Case("J9 a chat, open order", chat(), OPEN, ["contact changes", "note on deal"]),
    Case("J9 a chat, new client", chat(by=COLLEAGUE), NEW_CLIENT, [
        "contact for ivan", "deal for ivan", "note on new deal", "tell ivan"]),
]  # fmt: skip


@pytest.mark.parametrize("case", RETAILCRM_ORDERS, ids=lambda case: case.no)
def test_retailcrm_orders(case: Case) -> None:
    assert outline(plan(case.interaction, case.known, ORDERS)) == case.plan


def order(made: Plan) -> CreateDeal:
    return next(action for action in made.actions if isinstance(action, CreateDeal))


# --- C1: the status of a new order ------------------------------------------------------------------------------


def test_c1_a_call_to_the_feedback_number_makes_an_order_in_cancelled() -> None:
    """The document's example, and its neighbour: any other number begins where the CRM says."""
    assert order(plan(answered(line=FEEDBACK), NEW_CLIENT, ORDERS)).stage == "cancel-other"
    assert order(plan(missed(line=FEEDBACK), NEW_CLIENT, ORDERS)).stage == "cancel-other"
    assert order(plan(answered(), NEW_CLIENT, ORDERS)).stage == ""


def test_c1_an_order_that_exists_is_not_moved() -> None:
    made = plan(answered(line=FEEDBACK), OPEN, ORDERS)
    assert [action.kind for action in made.actions] == ["record_call"]


def test_c1_such_an_order_is_not_open_and_the_next_call_makes_a_real_one() -> None:
    """The status is known by its code; what the hub made itself is in the directory at once (H6)."""
    first = plan(answered(line=FEEDBACK), NEW_CLIENT, ORDERS)
    contact = next(action for action in first.actions if isinstance(action, CreateContact))
    action = order(first)
    names = Names(catalogue=STATUSES, users={OWNER: UserId("7")})
    at = RecordRef(kind=RecordKind.CONTACT, id="c")
    write, missing = resolve(action.key, action, hub_id="h", names=names, made={contact.key: at})
    assert (write.stage_id, missing) == ("cancel-other", ())
    made = effect(write, Done(record=RecordRef(kind=RecordKind.DEAL, id="1")), STATUSES, NOW).deals[0]
    assert not made.is_open
    known = replace(NO_ORDER, deals=(replace(made, responsible=OWNER, contact_ids=("contact-1",)),))
    again = plan(answered(id=InteractionId("call-2")), known, ORDERS)
    assert order(again).stage == ""


BY_SOURCE = """
[[rules]]
name = "advertisement"
when = { utm_source = "google" }
stage = "availability"
tags = ["advertisement"]
"""


def test_c1_the_higher_of_contradicting_rules_wins_and_lower_ones_fill_what_it_left() -> None:
    google = answered(line=FEEDBACK, attribution=Attribution(utm_source="google"))
    above = order(plan(google, NEW_CLIENT, with_rules(BY_SOURCE)))
    assert (above.stage, above.tags) == ("availability", ("advertisement",))
    lower = policy("retailcrm-orders", BY_SOURCE)
    below = order(plan(google, NEW_CLIENT, lower))
    assert (below.stage, below.tags) == ("cancel-other", ("advertisement",))


@pytest.mark.parametrize("how", ["the policy's switch", "the rule's own"])
def test_c1_lower_rules_fill_nothing_where_the_first_ends_it(how: str) -> None:
    rule = '[[rules]]\nname = "first"\nwhen = { utm_source = "google" }\nprice = 5\n'
    google = answered(line=FEEDBACK, attribution=Attribution(utm_source="google"))
    filled = plan(google, NEW_CLIENT, with_rules(rule))
    assert (order(filled).stage, order(filled).price) == ("cancel-other", 5)
    ends = with_rules(rule, stop_at_first=True) if how == "the policy's switch" else with_rules(f"{rule}stop = true\n")
    made = plan(google, NEW_CLIENT, ends)
    assert (order(made).stage, order(made).price) == ("", 5)
    assert not any(isinstance(action, Notify) for action in made.actions)


def test_c1_no_order_is_another_outcome_and_without_one_there_is_no_task() -> None:
    """C5: nor where none was made before."""
    rules = with_rules('[[rules]]\nname = "none"\nwhen = { department = "feedback" }\ndeal = "none"\n')
    told = missed(department="Feedback")
    assert outline(plan(told, NEW_CLIENT, rules)) == [
        "contact for serhii", "nothing: no_order_for_task", "record of serhii on new contact", "tell serhii",
    ]  # fmt: skip
    assert "deal for serhii" in outline(plan(missed(department="Sales"), NEW_CLIENT, rules))


@pytest.mark.parametrize(
    ("when", "told", "other"),
    [
        ('department = "service"', answered(department="Service"), answered(department="Sales")),
        ('came_from = "catalogue"', answered(attribution=Attribution(source="catalogue")), answered()),
        ("is_callback = true", callback(), answered()),
        ('parameters = { promo = "spring" }', form(parameters={"promo": "spring"}), form(parameters={"promo": "x"})),
        ('line = "(044) 123-45-67"', answered(), answered(line=FEEDBACK)),
    ],
)
def test_c1_rules_look_at_the_orders_parameters(when: str, told: Interaction, other: Interaction) -> None:
    rules = with_rules(f'[[rules]]\nname = "x"\nwhen = {{ {when} }}\nstage = "availability"\n')
    assert order(plan(told, NEW_CLIENT, rules)).stage == "availability"
    assert order(plan(other, NEW_CLIENT, rules)).stage != "availability"


def test_c1_rules_look_at_the_customers_tags() -> None:
    rules = with_rules('[[rules]]\nname = "x"\nwhen = { contact = { tags = "vip" } }\nstage = "availability"\n')
    vip = replace(CLOSED, contacts=(replace(CLOSED.contacts[0], tags=("VIP",)),))
    assert order(plan(answered(), vip, rules)).stage == "availability"
    assert order(plan(answered(), CLOSED, rules)).stage == ""


def test_x3_the_presets_own_examples_hold_and_tell_what_a_change_would_break() -> None:
    """X3."""
    assert check_examples(ORDERS) == []
    moved = policy("retailcrm-orders", replacing=[('stage = "cancel-other"        #', 'stage = "new" #')])
    assert [str(failure) for failure in check_examples(moved)] == [
        "in the example 'who calls the feedback number gets an order in cancelled' the new deal's stage should be "
        "cancel-other, is new"
    ]
    none = with_rules('[[rules]]\nname = "none"\ndeal = "none"\n')
    assert {(failure.what, failure.found) for failure in check_examples(none)} >= {("the new deal's stage", "no deal")}


def test_hub_policy_check_knows_the_rules_that_plugins_offer(tmp_path: Path) -> None:
    """C1: and tells of a rule that can never match."""
    text = files("hub.presets").joinpath("retailcrm-orders.toml").read_text(encoding="utf-8")
    twice = '[[rules]]\nname = "twice"\nwhen = { line = "044 000 00 00" }\nstage = "new"\n'
    file = tmp_path / "policy.toml"
    file.write_text(f"{text}\n{twice}", encoding="utf-8")
    told = CliRunner().invoke(app, ["policy", "check", str(file)], env={"HUB_DATA_DIRECTORY": str(tmp_path)})
    assert told.exit_code == 0, told.output
    assert "rules.2.stage: has no effect: 'C1 feedback' above sets it" in told.output
    assert "can be used" in " ".join(told.output.split())


# --- C2 to C4: smart forwarding ---------------------------------------------------------------------------------

CUSTOMER = Holder(id="c", responsible=COLLEAGUE, open_deals=(HolderDeal(id="o", responsible=OWNER),), seen_at=NOW)


def test_c2_the_responsible_of_the_open_order_else_of_the_customer() -> None:
    assert answer(PHONE, [CUSTOMER], History(), ORDERS, NOW).employee == OWNER
    assert answer(PHONE, [replace(CUSTOMER, open_deals=())], History(), ORDERS, NOW).employee == COLLEAGUE
    turned = policy("retailcrm-orders", replacing=[('order = ["deal", "contact"]', 'order = ["contact", "deal"]')])
    assert answer(PHONE, [CUSTOMER], History(), turned, NOW).employee == COLLEAGUE


def test_c3_a_new_contact_goes_to_the_next_block() -> None:
    """C3, R2: the empty answer; also where somebody talked to them before, for the customer is not in the CRM."""
    assert answer(PHONE, [], History(), ORDERS, NOW).destination == ""
    assert answer(PHONE, [], History(last_talked=OWNER), ORDERS, NOW).destination == ""


@pytest.mark.parametrize("typed", ["098 123 45 67", "38098 1234567", "+380 98 123-45-67", "8 098 123 45 67"])
def test_c4_the_customer_is_found_however_the_number_was_typed(typed: str) -> None:
    assert parse_phone(typed, ORDERS.project.region) == Phone("+380981234567")


# --- C5: where tasks hang ---------------------------------------------------------------------------------------


def test_c5_the_task_hangs_on_the_newest_open_order_else_on_the_newest_earlier_one() -> None:
    """Newest by when it was made, whatever was changed since."""

    def an_order(id: str, days: int, *, is_open: bool) -> Deal:
        made_at, changed_at = NOW - timedelta(days=days), NOW - timedelta(days=9 - days)
        return Deal(
            id=id,
            is_open=is_open,
            responsible=OWNER,
            contact_ids=("contact-1",),
            created_at=made_at,
            updated_at=changed_at,
        )

    earlier = (an_order("old", 8, is_open=False), an_order("late", 1, is_open=False))
    now_open = (an_order("first", 7, is_open=True), an_order("second", 3, is_open=True))
    for deals, wanted in ((earlier, "late"), ((*earlier, *now_open), "second")):
        task = plan(missed(), replace(NO_ORDER, deals=deals), ORDERS).actions[0]
        assert isinstance(task, CreateTask)
        assert getattr(task.on, "id", "") == wanted


def test_c5_by_policy_the_task_hangs_on_the_customer_instead() -> None:
    on = 'on = "last_deal"              # the newest'
    rules = policy("retailcrm-orders", replacing=[(on, on.replace('last_deal"', 'last_deal|contact"'))])
    assert outline(plan(missed(), NO_ORDER, rules))[0] == "task call_back for olena on contact in 1 h"
    assert outline(plan(missed(), CLOSED, rules))[0] == "task call_back for olena on deal in 1 h"


# --- C6, C7, R7 -------------------------------------------------------------------------------------------------


def test_c6_after_a_transfer_both_employees_recordings_are_kept() -> None:
    told = answered(
        legs=(
            leg(OWNER, is_answered=True, talk_seconds=10, recording="https://rec.example/a"),
            leg(COLLEAGUE, is_answered=True, talk_seconds=50, recording="https://rec.example/b"),
        ),
        is_transferred=True,
    )
    record = next(action for action in plan(told, OPEN, ORDERS).actions if isinstance(action, RecordCall))
    assert (record.responsible, record.recording) == (COLLEAGUE, "https://rec.example/b")
    assert record.text.splitlines()[:2] == [
        "Olena Koval: разговор 0:10 https://rec.example/a",
        "Ivan Bondar: разговор 0:50 https://rec.example/b",
    ]


def notice(made: Plan) -> Notify | None:
    return next((action for action in made.actions if isinstance(action, Notify)), None)


@pytest.mark.parametrize(
    ("told", "known", "whom"),
    [
        (missed(), NEW_CLIENT, [SENIOR]),
        (form(), NEW_CLIENT, [SENIOR]),
        (form(), CLOSED, [OWNER]),
        (chat(), CLOSED, [OWNER]),
        (missed(), OPEN, []),
        (missed(), CLOSED, []),
        (internal(), NEW_CLIENT, []),
    ],
)
def test_c7_who_gets_a_new_customer_or_order_is_told_also_when_no_call_rings(
    told: Interaction, known: Snapshot, whom: list[str]
) -> None:
    found = notice(plan(told, known, ORDERS))
    assert list(found.employees if found else ()) == whom


def test_c7_the_popup_tells_number_source_and_the_cards_address() -> None:
    """The address is known only when the order is made, and then stands in what is sent."""
    told = missed(attribution=Attribution(utm_source="google", source="catalogue"))
    found = notice(plan(told, NEW_CLIENT, ORDERS))
    assert found is not None
    assert isinstance(found.on, NewRecord)
    made = {found.on.key: RecordRef(kind=RecordKind.DEAL, id="77")}
    write, _ = resolve(
        found.key,
        found,
        hub_id="h",
        names=Names(catalogue=STATUSES),
        made=made,
        card=lambda ref: f"https://shop.example.com/orders/{ref.id}",
    )
    assert isinstance(write.action, Notify)
    text = write.action.text
    assert PHONE in text
    assert "Источник: catalogue" in text
    assert "utm_source: google" in text
    assert text.endswith("https://shop.example.com/orders/77")


def test_r7_the_google_id_goes_to_the_customer_and_tags_to_the_order() -> None:
    told = answered(attribution=Attribution(ga_client_id="12.34", utm_source="google"))
    made = plan(told, NEW_CLIENT, ORDERS)
    contact = next(action for action in made.actions if isinstance(action, CreateContact))
    assert contact.fields == {"gclientid": "12.34"}
    assert order(made).fields == {"utm_source": "google"}


def test_r7_a_customer_who_has_the_google_id_is_not_written_again() -> None:
    """H5: fields that say so already cost no request."""
    rules = with_rules('[[rules]]\nname = "id"\ncontact_fields = { gclientid = "{{ ga_client_id }}" }\n')
    told = answered(attribution=Attribution(ga_client_id="12.34"))
    offered = Catalogue(fields=(CustomField(id="5", name="gclientid", record=RecordKind.CONTACT),))
    for held, wanted in (("", ["contact changes"]), ("12.34", []), ("1.1", ["contact changes"])):
        contact = replace(OPEN.contacts[0], fields={"5": held})
        known = replace(OPEN, contacts=(contact,), catalogue=offered)
        assert [line for line in outline(plan(told, known, rules)) if line == "contact changes"] == wanted
