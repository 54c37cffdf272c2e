"""Each setting does what docs/policy.md says of it: the same situation with and without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from hub.core.forwarding import Holder, answer
from hub.core.interaction import Identity, Interaction
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
    client,
    form,
    missed,
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
