"""Each setting does what docs/policy.md says of it: the same situation with and without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from hub.core.facts import establish
from hub.core.forwarding import Holder, answer
from hub.core.interaction import Attribution, Identity, Interaction
from hub.core.phone import Phone
from hub.core.plan import CreateContact, CreateDeal, Notify, Plan, UpdateContact
from hub.core.policy import Policy
from hub.core.records import Contact
from hub.core.rota import Rota
from hub.core.snapshot import History, Snapshot
from hub.testing.builders import (
    COLLEAGUE,
    NEW_CLIENT,
    NOW,
    OWNER,
    PHONE,
    SENIOR,
    TEAM,
    answered,
    callback,
    client,
    form,
    leg,
    missed,
    open_task,
    outgoing,
    outline,
    plan,
    policy,
)

IN_TURN = """
[[rules]]
name = "in turn"
when = { is_missed = true, is_new_client = true }
responsible = ["turn"]

[assignment]
group = "sales"
[assignment.groups.sales]
members = ["olena", "ivan"]
"""
#: the preset's own section gives way to the case's
KEEPS = ('[assignment]\nexisting_answered = "keep"    # an existing client stays', "#")
RULE = '[[rules]]\nname = "x"\n'
ANSWERED_NEW = ["contact for olena", "deal for olena"]
MISSED_NEW = ["contact for serhii", "deal for serhii"]


def team(employee: str, setting: str) -> str:
    """The team with one more line in the block of ``employee``."""
    return TEAM.replace(f'id = "{employee}"\n', f'id = "{employee}"\n{setting}\n')


def dealer(more: str = "", *, group: str = "", who: str = TEAM) -> Policy:
    """The car dealer's policy; ``group`` are further lines of the group in turn."""
    replacing = [KEEPS] if "[assignment]" in more else []
    return policy("car-dealer", f"{more}{group}\n", team=who, replacing=replacing)


def dealer_with(old: str, new: str) -> Policy:
    return policy("car-dealer", replacing=[(old, new)])


@dataclass(frozen=True)
class Case:
    setting: str
    interaction: Interaction
    known: Snapshot
    without: Policy
    before: list[str]
    changed: Policy
    after: list[str]


PLAIN = dealer()
OTHER_NUMBER = Phone("+380671234567")
#: two contacts hold the number: the older has less filled in
TWO = replace(
    NEW_CLIENT,
    contacts=(
        Contact(id="old", name="Petro", phones=(PHONE,), responsible=COLLEAGUE, created_at=NOW - timedelta(days=9)),
        Contact(
            id="full", name="Petro", phones=(PHONE, OTHER_NUMBER), emails=("p@example.com",), responsible=OWNER,
            created_at=NOW - timedelta(days=5),
        ),
        Contact(id="new", name="Petro", phones=(PHONE,), responsible=SENIOR, created_at=NOW),
    ),
)  # fmt: skip
BY_TAX_NUMBER = '[identity]\nkeys = ["phone", "field:INN"]\njoin = "all"\n'
NO_IDENTITY = '[identity]\nseveral = "fuller"'

CASES = [
    Case("employees.receives_new (W4)", missed(), NEW_CLIENT, dealer(IN_TURN), ["contact for olena"],
         dealer(IN_TURN, who=team("olena", "receives_new = false")), ["contact for ivan"]),
    Case("employees.skills, groups.skills", missed(), NEW_CLIENT, dealer(IN_TURN), ["contact for olena"],
         dealer(IN_TURN, group='skills = ["german"]', who=team("ivan", 'skills = ["german"]')), ["contact for ivan"]),
    Case("skills by condition (J3)", missed(), NEW_CLIENT, dealer(IN_TURN), ["contact for olena"],
         dealer(f'{RULE}when = {{ phone = {{ starts_with = "+38050" }} }}\nskills = ["german"]\n{IN_TURN}',
                who=team("ivan", 'skills = ["german"]')), ["contact for ivan"]),
    Case("groups.department", missed(), NEW_CLIENT, dealer(IN_TURN), ["contact for olena"],
         dealer(IN_TURN.replace('members = ["olena", "ivan"]', 'department = "service"'),
                who=team("ivan", 'departments = ["service"]')), ["contact for ivan"]),
    Case("groups.sticky", missed(), replace(NEW_CLIENT, history=History(last_talked=COLLEAGUE)), dealer(IN_TURN),
         ["contact for olena"], dealer(IN_TURN, group="sticky = true"), ["contact for ivan"]),
    Case("groups.on_shift_only", missed(ended_at=NOW.replace(hour=20)), NEW_CLIENT, dealer(IN_TURN),
         ["contact for serhii"], dealer(IN_TURN, group="on_shift_only = false"), ["contact for olena"]),
    Case("groups.fallback", missed(ended_at=NOW.replace(hour=20)), NEW_CLIENT, dealer(IN_TURN),
         ["contact for serhii"], dealer(IN_TURN, group='fallback = ["head"]'), ["contact for andrii"]),
    Case("contact_responsible", answered(), NEW_CLIENT, PLAIN, ANSWERED_NEW,
         dealer(f'{RULE}contact_responsible = ["senior"]\n'), ["contact for serhii", "deal for olena"]),
    Case("more_tasks", answered(), client(deal=OWNER), PLAIN, ["task process for olena on deal in 4 h"],
         dealer(f'{RULE}more_tasks = [{{ task = "call_back", assignees = ["head"], on = "contact" }}]\n'),
         ["task process for olena on deal in 4 h", "task call_back for andrii on contact in 0.1667 h with recording"]),
    Case("create_another (J11)", answered(), client(deal=OWNER), PLAIN, ["task process for olena on deal in 4 h"],
         dealer(f'{RULE}deal = "create_another"\n'), ["deal for olena", "task process for olena on new deal in 4 h"]),
    Case("existing (A13)", answered(by=COLLEAGUE), client(deal=OWNER), PLAIN, ["task process for olena on deal in 4 h"],
         dealer(f'{RULE}existing = "answerer"\n'), ["contact changes to ivan", "deal changes to ivan"]),
    Case("contact = false", missed(), NEW_CLIENT, PLAIN, MISSED_NEW, dealer(f"{RULE}contact = false\n"),
         ["deal for serhii"]),
    Case("identity.several newest (A9)", missed(), TWO, PLAIN, ["task call_back for olena on contact in 0.1667 h"],
         dealer_with('several = "fuller"', 'several = "newest"'),
         ["contact changes", "task call_back for serhii on contact in 0.1667 h"]),
    Case("identity.several oldest (A9)", missed(), TWO, PLAIN, ["task call_back for olena on contact in 0.1667 h"],
         dealer_with('several = "fuller"', 'several = "oldest"'),
         ["contact changes", "task call_back for ivan on contact in 0.1667 h"]),
    Case("identity.carry_over (A9)", missed(), TWO, dealer_with('several = "fuller"', 'several = "oldest"'),
         ["contact changes"], dealer_with('several = "fuller"', 'several = "oldest"\ncarry_over = false'),
         ["task call_back for ivan on contact in 0.1667 h"]),
    Case("identity.shared_numbers (X12)", missed(), client(deal=OWNER), PLAIN,
         ["task call_back for olena on deal in 0.1667 h"],
         dealer_with('several = "fuller"', 'shared_numbers = ["050 111 22 33"]'), MISSED_NEW),
    Case("identity.join all: a key that does not match (J4)",
         missed(client=Identity(phones=(PHONE,), fields={"INN": "77"})), client(), PLAIN,
         ["task call_back for olena on contact in 0.1667 h"],
         dealer_with(NO_IDENTITY, BY_TAX_NUMBER), MISSED_NEW),
    Case("identity.join all: both match (J4)",
         missed(client=Identity(phones=(PHONE,), fields={"INN": "77"})),
         client(contacts=(Contact(id="c", phones=(PHONE,), fields={"inn": "77"}, responsible=OWNER),)),
         dealer_with(NO_IDENTITY, BY_TAX_NUMBER), ["task call_back for olena on contact in 0.1667 h"],
         PLAIN, ["task call_back for olena on contact in 0.1667 h"]),
    Case("identity.absent_key (J4)", missed(), client(), dealer_with(NO_IDENTITY, BY_TAX_NUMBER), MISSED_NEW,
         dealer_with(NO_IDENTITY, f'{BY_TAX_NUMBER}absent_key = "ignore"'),
         ["task call_back for olena on contact in 0.1667 h"]),
    Case("classify.private_clients (R8)", answered(), NEW_CLIENT, PLAIN, ANSWERED_NEW,
         dealer_with("[classify]", '[classify]\nprivate_clients = ["050 111 22 33"]'), ["nothing: private_line"]),
    Case("classify.black_list: a number", answered(), NEW_CLIENT, PLAIN, ANSWERED_NEW,
         dealer_with("[classify]", '[classify]\nblack_list = ["050 111 22 33"]'), ["nothing: black_list"]),
    Case("classify.black_list: a beginning", answered(), NEW_CLIENT, PLAIN, ANSWERED_NEW,
         dealer_with("[classify]", '[classify]\nblack_list = ["+38050*"]'), ["nothing: black_list"]),
    Case("classify.minimal_talk", answered(talk_seconds=4), NEW_CLIENT, PLAIN, ANSWERED_NEW,
         dealer_with("[classify]", '[classify]\nminimal_talk = "5 seconds"'), ["nothing: too_short"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.setting)
def test_a_setting_changes_what_it_says(case: Case) -> None:
    at = case.interaction.moment
    before = outline(plan(case.interaction, case.known, case.without, now=at))
    after = outline(plan(case.interaction, case.known, case.changed, now=at))
    assert before[: len(case.before)] == case.before
    assert after[: len(case.after)] == case.after


def _deal(made: Plan) -> CreateDeal:
    return next(action for action in made.actions if isinstance(action, CreateDeal))


def test_a_rule_fills_deal_and_contact() -> None:
    """J2, J5: pipeline, stage, tags, fields, price and name."""
    rules = dealer(
        f"""{RULE}
pipeline = "Sales"
stage = "First"
unsorted = true
price = 100
deal_name = "From {{{{ channel }}}}"
fields = {{ "Page" = "{{{{ page }}}}" }}
tags = ["site"]
contact_fields = {{ "Form" = "{{{{ form_name }}}}" }}
contact_tags = ["client"]
notice = "New: {{{{ phone }}}}"
"""
    )
    made = plan(form(page="https://example.com/suv"), NEW_CLIENT, rules)
    deal = _deal(made)
    assert (deal.pipeline, deal.stage, deal.is_unsorted, deal.price) == ("Sales", "First", True, 100)
    assert (deal.name, deal.tags) == ("From site", ("site",))
    assert deal.fields == {"Page": "https://example.com/suv", "utm_source": "google"}
    contact = next(action for action in made.actions if isinstance(action, CreateContact))
    assert (contact.fields, contact.tags) == ({"Form": "test drive"}, ("client",))
    assert next(action.text for action in made.actions if isinstance(action, Notify)) == f"New: {PHONE}"
    known = plan(form(), client(), rules)
    update = next(action for action in known.actions if isinstance(action, UpdateContact))
    assert (update.fields, update.add_tags) == ({"Form": "test drive"}, ("client",))


def test_employees_take_turns_by_weight_and_capacity() -> None:
    """J3: two turns of ivan for each of olena; full ones are passed over."""
    rules, rota, taken = dealer(IN_TURN, who=team("ivan", "weight = 2")), Rota(), []
    for _ in range(6):
        made = plan(missed(), NEW_CLIENT, rules, rota=rota)
        rota = Rota(turns=made.turns)
        taken.append(made.responsible)
    assert (taken.count(OWNER), taken.count(COLLEAGUE)) == (2, 4)
    limited = dealer(IN_TURN, who=team("olena", "capacity = 1"))
    assert plan(missed(), NEW_CLIENT, limited, rota=Rota(loads={OWNER: 1})).responsible == COLLEAGUE


@pytest.mark.parametrize(
    ("setting", "rung"),
    [("", OWNER), ("enabled = false", None), ('order = ["last_talked"]', COLLEAGUE)],
    ids=["as it is", "off", "another order (C2)"],
)
def test_forwarding_answers_as_the_policy_says(setting: str, rung: str | None) -> None:
    rules = dealer_with('[forwarding]\norder = ["deal", "contact", "last_talked"]', f"[forwarding]\n{setting}")
    told = answer(PHONE, [Holder(id="1", responsible=OWNER)], History(last_talked=COLLEAGUE), rules, NOW)
    assert told.employee == rung


@pytest.mark.parametrize(
    ("lines", "made"),
    [
        ("", ["task process for olena on deal in 4 h"]),
        ('deal = "create_another"', ["deal for olena", "task process for olena on new deal in 4 h"]),
        ('call_record = "none"', ["task process for olena on deal in 4 h"]),
        ('tasks = []\ncall_record = "none"\ncontact_tags = ["again"]', ["contact changes"]),
        ('drop = "repeated"', ["nothing: repeated"]),
    ],
    ids=["attach", "new deal", "task only", "contact update only", "nothing"],
)
def test_a_rule_chooses_what_becomes_of_a_known_client(lines: str, made: list[str]) -> None:
    """J11: attach to the open deal, new deal on the same contact, task only, contact update only, nothing."""
    found = outline(plan(answered(), client(deal=OWNER), dealer(f"{RULE}{lines}\n")))
    assert [line for line in found if not line.startswith("record")] == made


#: one thing that a decision may look at each, with an interaction and a client of whom it holds, and one of whom not
LOOKED_AT: list[tuple[str, tuple[Interaction, Snapshot], tuple[Interaction, Snapshot]]] = [
    ('direction = "outbound"', (outgoing(), client()), (answered(), client())),
    ("is_answered = true", (answered(), client()), (missed(), client())),
    ("has_contact = true", (answered(), client()), (answered(), NEW_CLIENT)),
    ("has_open_deal = true", (answered(), client(deal=OWNER)), (answered(), client(closed_deal=OWNER))),
    ("open_deals = { at_least = 1 }", (answered(), client(deal=OWNER)), (answered(), client())),
    (
        "has_open_call_back = true",
        (missed(), client(deal=OWNER, tasks=[open_task(OWNER, "Перезвонить", on="contact")])),
        (missed(), client(deal=OWNER, tasks=[open_task(OWNER)])),
    ),
    ("is_callback = true", (callback(), client()), (missed(), client())),
    ('line = "+380441234567"', (answered(), client()), (answered(line=None), client())),
    ('department = "Service"', (answered(department="Service"), client()), (answered(), client())),
    (
        'is_transferred = true, answered_by = "ivan"',
        (answered(legs=(leg(OWNER, is_answered=True), leg(COLLEAGUE, is_answered=True))), client()),
        (answered(by=COLLEAGUE), client()),
    ),
]


@pytest.mark.parametrize(("condition", "holds", "fails"), LOOKED_AT, ids=[row[0] for row in LOOKED_AT])
def test_the_decision_can_look_at(
    condition: str, holds: tuple[Interaction, Snapshot], fails: tuple[Interaction, Snapshot]
) -> None:
    """A8, each of its facts: in a rule, which wins exactly where the fact holds."""
    rules = dealer(f'{RULE}when = {{ {condition} }}\ndrop = "seen"\n')
    assert outline(plan(*holds, rules)) == ["nothing: seen"]
    assert outline(plan(*fails, rules)) != ["nothing: seen"]


SOURCES = """
[[sources]]
department = "Service"
fields = { "Куда обратился" = "Сервис", "Менеджер" = "{{ employee }}" }
[[sources]]
channel = "site"
source = "website"
fields = { "Куда обратился" = "Сайт" }
[[sources]]
pool = "Billboards"
source = "printed"
[[sources]]
number = "044 123 45 67"
source = "instagram"
fields = { "Куда обратился" = "Салон" }
"""


@pytest.mark.parametrize(
    ("told", "where"),
    [
        (answered(), {"Куда обратился": "Салон"}),
        (answered(department="Service"), {"Куда обратился": "Сервис", "Менеджер": "Olena Koval"}),
        (answered(line=None), {}),
        (form(), {"Куда обратился": "Сайт"}),
    ],
    ids=["dialled number", "department", "none of them", "channel"],
)
def test_the_deal_tells_where_the_client_turned_to(told: Interaction, where: dict[str, str]) -> None:
    """A16: by number, department and channel, of several rows the higher; with the employee's name."""
    fields = _deal(plan(told, NEW_CLIENT, dealer(SOURCES))).fields
    assert {name: value for name, value in fields.items() if not name.startswith("utm_")} == where


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({}, "instagram"),
        ({"line": None, "attribution": Attribution(pool="billboards")}, "printed"),
        ({"attribution": Attribution(utm_source="google")}, ""),
        ({"line": None}, ""),
    ],
    ids=["number", "pool", "utm tags came", "neither"],
)
def test_number_or_pool_fill_the_source_where_no_tags_came(changes: dict[str, Any], source: str) -> None:
    """R11."""
    found = establish(answered(**changes), NEW_CLIENT, dealer(SOURCES), NOW)
    assert found.attribution.source == source


@pytest.mark.parametrize(
    ("replacing", "told", "known", "first"),
    [
        (('on = "auto"  ', 'on = "contact"'), missed(), client(deal=OWNER), "task call_back for olena on contact"),
        (("[deals.fields]", '[deals.fields]\nKind = "{{ kind }}"'), answered(), NEW_CLIENT, "contact for olena"),
        (("is_first_outgoing = true }", "is_new_client = true }"), outgoing(), client(), "record of olena"),
    ],
    ids=["task target (A18)", "deal fields", "creation on outgoing calls"],
)
def test_what_the_preset_chose_is_policy(
    replacing: tuple[str, str], told: Interaction, known: Snapshot, first: str
) -> None:
    """A11: A15, A16 and A18 are this preset's values, and can be others."""
    made = plan(told, known, dealer_with(*replacing))
    assert outline(made)[0].startswith(first)
    assert outline(plan(told, known, PLAIN))[0] != outline(made)[0] or _deal(made).fields["Kind"] == "call"


def test_a_new_contact_goes_to_the_next_block() -> None:
    """C3, R5: the empty answer."""
    assert answer(PHONE, [], History(), PLAIN, NOW).destination == ""
