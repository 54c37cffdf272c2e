"""What no table exhausts: decide is total and deterministic (H2); turns are even; nobody has two call-backs (A3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import combinations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.decide import decide
from hub.core.facts import establish
from hub.core.interaction import (
    Attribution,
    Call,
    Chat,
    ChatMessage,
    Destination,
    Direction,
    Disposition,
    Form,
    Identity,
    Interaction,
    InteractionId,
    Leg,
    Message,
    ProjectId,
)
from hub.core.phone import Phone
from hub.core.plan import NewRecord, Nothing, Plan
from hub.core.policy import Policy
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.core.rota import NO_TURNS, next_in_turn
from hub.core.snapshot import History, Snapshot
from hub.core.tasks import open_tasks
from hub.core.verdict import _judge, judge
from hub.testing.builders import CLIENT, NOW, PHONE, MemoryCrm, answered, client, missed, outgoing, policy

POLICIES = (
    policy("zoho-standard"),
    policy("car-dealer"),
    policy("car-dealer", replacing=[('existing_answered = "keep"', 'existing_answered = "answerer"')]),
    policy("zoho-standard", team=""),
    policy("wazzup-messengers"),
    policy("wazzup-messengers", "[channels.phone]\nunsorted = true\nkeep_responsible = true\n"),
)
PHONES = st.sampled_from([PHONE, Phone("+380672222222"), Phone("+380509999999"), Phone("+12025550123")])
WHO = st.sampled_from([None, *map(EmployeeId, ("olena", "ivan", "serhii", "andrii", "@77"))])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
TEXTS = st.text(max_size=20)
SHORT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

destinations = st.builds(
    Destination,
    phone=st.none() | PHONES,
    login=st.sampled_from(["", "examplecom_olena", "examplecom_ivan", "stranger"]),
    extension=st.sampled_from(["", "101", "999"]),
    name=TEXTS,
)
legs = st.lists(
    st.builds(
        Leg, destination=destinations, is_answered=st.booleans(), talk_seconds=st.integers(0, 9), recording=TEXTS
    ),
    max_size=3,
).map(tuple)
identities = st.builds(
    Identity,
    phones=st.lists(PHONES, max_size=2, unique=True).map(tuple),
    emails=st.lists(st.sampled_from(["a@example.com", "B@example.com"]), max_size=1).map(tuple),
    handles=st.lists(st.tuples(st.just("sip"), st.sampled_from(["101", "x"])), max_size=1).map(tuple),
    name=TEXTS,
)
attributions = st.builds(Attribution, utm_source=TEXTS, ga_client_id=TEXTS, landing_page=TEXTS)
told = {
    "id": st.just(InteractionId("i-1")),
    "project": st.just(ProjectId("p")),
    "channel": st.sampled_from(["phone", "site"]),
    "source": st.just("test"),
    "external_id": st.just("x-1"),
    "started_at": MOMENTS,
    "client": identities,
    "attribution": attributions,
    "parameters": st.dictionaries(TEXTS, TEXTS, max_size=2),
}
calls = st.builds(
    Call, **told, ended_at=st.none() | MOMENTS, direction=st.sampled_from(Direction),
    disposition=st.sampled_from(Disposition), legs=legs, line=st.none() | PHONES, recording=TEXTS,
    is_callback=st.booleans(), talk_seconds=st.integers(0, 99),
)  # fmt: skip
forms = st.builds(Form, **told, form_name=TEXTS, text=TEXTS)
messages = st.builds(Message, **told, direction=st.sampled_from(Direction), text=TEXTS, author=destinations)
lines = st.lists(st.builds(ChatMessage, at=MOMENTS, is_from_client=st.booleans(), text=TEXTS), max_size=2).map(tuple)
chats = st.builds(Chat, **told, messages=lines, legs=legs)
interactions = st.one_of(calls, calls, forms, messages, chats)

refs = st.builds(RecordRef, kind=st.sampled_from([RecordKind.CONTACT, RecordKind.DEAL]), id=st.sampled_from("12"))
contacts = st.builds(
    Contact, id=st.sampled_from("12"), name=TEXTS, phones=st.lists(PHONES, max_size=2).map(tuple), responsible=WHO,
    deal_ids=st.lists(st.sampled_from("12"), max_size=2).map(tuple), created_at=st.none() | MOMENTS,
    company_id=st.none() | st.just("1"),
)  # fmt: skip
companies = st.builds(Company, id=st.just("1"), phones=st.lists(PHONES, max_size=1).map(tuple), responsible=WHO)
deals = st.builds(
    Deal, id=st.sampled_from("12"), is_open=st.booleans(), responsible=WHO, updated_at=st.none() | MOMENTS,
    contact_ids=st.lists(st.sampled_from("12"), max_size=1).map(tuple), price=st.none() | st.floats(0, 9),
)  # fmt: skip
tasks = st.builds(
    Task, id=st.sampled_from("12"), text=st.sampled_from(["Перезвонить", "x"]), responsible=WHO,
    due_at=st.none() | MOMENTS, is_open=st.booleans(), on=st.none() | refs,
)  # fmt: skip
snapshots = st.builds(
    Snapshot, connection=st.just("crm"), taken_at=MOMENTS, contacts=st.lists(contacts, max_size=2).map(tuple),
    companies=st.lists(companies, max_size=1).map(tuple), deals=st.lists(deals, max_size=2).map(tuple),
    tasks=st.lists(tasks, max_size=2).map(tuple), seen_at=st.none() | MOMENTS,
    inactive=st.frozensets(st.sampled_from([EmployeeId("olena"), EmployeeId("serhii")]), max_size=2),
    history=st.builds(History, last_talked=WHO, unclaimed=st.frozensets(st.sampled_from("12"), max_size=1)),
)  # fmt: skip


@SHORT
@given(interactions, snapshots, st.sampled_from(POLICIES), MOMENTS)
def test_decide_is_total_and_deterministic(
    interaction: Interaction, known: Snapshot, rules: Policy, now: datetime
) -> None:
    """H2: the same input gives the same plan, with a reason for each action."""
    made = decide(interaction, known, NO_TURNS, rules, now, client_id=CLIENT)
    assert made == decide(interaction, known, NO_TURNS, rules, now, client_id=CLIENT)
    assert made.actions
    assert all(action.reason.code for action in made.actions)
    keys = [action.key for action in made.actions]
    assert len(keys) == len(set(keys))
    assert not made.explanation.warnings or all(warning.code for warning in made.explanation.warnings)
    _refers_only_to_what_it_makes_first(made)


MEMORABLE = policy(
    "car-dealer",
    """
[channels.phone]
pipeline = "Calls"
[[sources]]
number = "050 111 22 33"
fields = { "Where" = "number" }
[[sources]]
channel = "site"
tags = ["site"]
[[rules]]
name = "few values"
when = { utm_source = { exists = true }, has_open_deal = false }
stage = "New"
[[rules]]
name = "whose"
when = { any = [{ responsible = "olena" }, { not = { department = "x" } }] }
tags = ["hers"]
""",
)
OF_PHONES = policy(
    "car-dealer", '[[rules]]\nname = "many values"\nwhen = { phone = { starts_with = "+38050" } }\ntags = ["a"]'
)


@SHORT
@given(interactions, snapshots, st.sampled_from([*POLICIES, MEMORABLE, OF_PHONES]), MOMENTS)
def test_a_verdict_that_is_remembered_is_the_one_judged_anew(
    interaction: Interaction, known: Snapshot, rules: Policy, now: datetime
) -> None:
    """H2: what was judged before of other clients changes nothing."""
    facts = establish(interaction, known, rules, now)
    first, again, anew = judge(facts, rules), judge(facts, rules), _judge(facts, rules)
    assert first == again == anew


def _refers_only_to_what_it_makes_first(made: Plan) -> None:
    seen: set[str] = set()
    for action in made.actions:
        for name in ("contact", "company", "on", "deal"):
            ref = getattr(action, name, None)
            assert not isinstance(ref, NewRecord) or ref.key in seen
        seen.add(action.key)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["missed", "missed", "answered", "outgoing", "unanswered"]),
        st.sampled_from(["olena", "ivan", "serhii"]),
        st.integers(0, 3),
    ),
    max_size=8,
)


@SHORT
@given(STEPS, st.sampled_from(POLICIES[1:3]), st.sampled_from([None, "olena", "serhii"]))
def test_no_history_leaves_one_employee_two_open_call_backs(
    steps: list[tuple[str, str, int]], rules: Policy, owner: str | None
) -> None:
    """A3: over contact and deals, whatever comes in whatever order, decided again any number of times."""
    crm = MemoryCrm(rules=rules, known=client(owner, deal=owner) if owner else client(None))
    for number, (what, who, again) in enumerate(steps):
        made = {
            "missed": lambda who: missed(rung=[who]),
            "answered": lambda who: answered(by=who),
            "outgoing": lambda who: outgoing(by=who),
            "unanswered": lambda who: outgoing(by=who, reached=False),
        }[what](who)
        at = NOW + timedelta(hours=number)
        made = replace(made, id=InteractionId(f"i-{number}"), started_at=at, ended_at=at)
        first = crm.take(made)
        for _ in range(again):
            assert crm.take(made).actions == first.actions
        still_open = open_tasks(crm.known, rules)
        held = [found.task.responsible for found in still_open if found.kind == "call_back"]
        assert len(held) == len(set(held))
        if what in {"answered", "outgoing"}:
            assert not held
    assert sum(deal.is_open for deal in crm.known.deals) <= 1
    assert len(crm.known.contacts) <= 1


@SHORT
@given(
    st.lists(st.frozensets(st.sampled_from("abcd"), min_size=1), min_size=1, max_size=6),
    st.lists(st.integers(1, 7), min_size=6, max_size=6),
)
def test_turns_are_even_over_any_stretch_with_the_same_people(
    stretches: list[frozenset[str]], lengths: list[int]
) -> None:
    """J3, W3: nobody is more than one turn ahead of another of equal weight; who returns starts level."""
    state: dict[str, str] = {}
    for present, length in zip(stretches, lengths, strict=False):
        eligible = [(EmployeeId(name), 1) for name in sorted(present)]
        sequence = []
        for _ in range(length):
            chosen, after = next_in_turn(state, eligible)
            state = dict(after)
            sequence.append(chosen)
        for begin in range(length):
            for end in range(begin, length + 1):
                counts = [sequence[begin:end].count(employee) for employee, _ in eligible]
                assert max(counts) - min(counts) <= 1


@SHORT
@given(
    st.lists(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4), min_size=1), min_size=1, max_size=6),
    st.lists(st.integers(1, 12), min_size=6, max_size=6),
)
def test_weights_give_turns_in_proportion_over_any_stretch(stretches: list[dict[str, int]], lengths: list[int]) -> None:
    """J3: of equal weight one turn apart at most, of others in proportion; who is there and weights may change."""
    state: dict[str, str] = {}
    for weights, length in zip(stretches, lengths, strict=False):
        eligible = [(EmployeeId(name), weight) for name, weight in sorted(weights.items())]
        sequence = []
        for _ in range(length):
            chosen, after = next_in_turn(state, eligible)
            state = dict(after)
            sequence.append(chosen)
        for (one, his), (other, hers) in combinations(eligible, 2):
            for begin, end in combinations(range(length + 1), 2):
                part = sequence[begin:end]
                if his == hers:
                    assert abs(part.count(one) - part.count(other)) <= 1
                apart = abs(Fraction(part.count(one), his) - Fraction(part.count(other), hers))
                assert apart <= Fraction(1, his) + Fraction(1, hers)


def test_who_returns_starts_level_with_the_lowest_present() -> None:
    """J3: a holiday is neither made up for nor punished."""
    state: dict[str, str] = {}
    everybody = [EmployeeId(name) for name in "abc"]

    def turns(present: list[EmployeeId], count: int) -> list[EmployeeId]:
        taken = []
        for _ in range(count):
            chosen, after = next_in_turn(state, [(one, 1) for one in present])
            state.clear()
            state.update(after)
            taken.append(chosen)
        return taken

    turns(everybody, 3)
    turns(everybody[1:], 20)
    back = turns(everybody, 6)
    assert [back.count(one) for one in everybody] == [2, 2, 2]


def test_sticky_and_direct_assignments_are_no_turns() -> None:
    """J3: whoever gets a client otherwise loses no turn by it."""
    lines = '[assignment.groups.sales]\nmembers = ["olena", "ivan"]\nsticky = true\n'
    rules = policy(
        "car-dealer",
        f'[[rules]]\nname = "t"\nwhen = {{ is_missed = true }}\nresponsible = ["turn:sales"]\n{lines}',
    )
    known = replace(client(None), history=History(last_talked=EmployeeId("olena")))
    sticky = decide(missed(), known, NO_TURNS, rules, NOW, client_id=CLIENT)
    assert (sticky.responsible, sticky.turns) == ("olena", {})
    direct = decide(answered(by="olena"), client(None), NO_TURNS, rules, NOW, client_id=CLIENT)
    assert (direct.responsible, direct.turns) == ("olena", {})
    assert decide(missed(), client(None), NO_TURNS, rules, NOW, client_id=CLIENT).turns != {}


def test_weights_give_turns_in_proportion() -> None:
    state: dict[str, str] = {}
    eligible = [(EmployeeId("a"), 2), (EmployeeId("b"), 1)]
    taken = []
    for _ in range(30):
        chosen, after = next_in_turn(state, eligible)
        state = dict(after)
        taken.append(chosen)
    assert (taken.count(EmployeeId("a")), taken.count(EmployeeId("b"))) == (20, 10)


def test_two_quick_calls_of_a_new_client_make_one_contact_and_one_deal() -> None:
    """H3: the second is decided when the first's steps have ended."""
    crm = MemoryCrm(rules=POLICIES[0])
    crm.take(answered(by="olena"))
    crm.take(answered(by="olena", id=InteractionId("call-2")))
    assert (len(crm.known.contacts), len(crm.known.deals)) == (1, 1)


def test_even_decided_at_once_two_calls_of_a_new_client_share_the_contacts_key() -> None:
    first, second = (
        decide(replace(answered(), id=InteractionId(name)), client(None), NO_TURNS, POLICIES[0], NOW, client_id=CLIENT)
        for name in ("one", "two")
    )
    assert first.actions[0].key == second.actions[0].key == f"{CLIENT}/create_contact"
    assert not isinstance(first.actions[0], Nothing)
