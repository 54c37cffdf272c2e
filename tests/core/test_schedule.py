"""Working hours, deadlines, deputies (A4, X11); what becomes of overdue tasks (X10); forwarding (R2, R5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.escalation import escalate
from hub.core.example_check import check_examples
from hub.core.forwarding import Holder, HolderDeal, answer
from hub.core.phone import Phone
from hub.core.plan import Notify, UpdateTask
from hub.core.records import EmployeeId
from hub.core.schedule import Schedule, zone_of
from hub.core.snapshot import History
from hub.testing.builders import (
    CLIENT,
    COLLEAGUE,
    HEAD,
    NEW_CLIENT,
    NOW,
    OWNER,
    PHONE,
    SENIOR,
    TEAM,
    MemoryCrm,
    answered,
    client,
    missed,
    outline,
    policy,
)

KYIV = ZoneInfo("Europe/Kyiv")
OFFICE = Schedule.model_validate(
    {
        "hours": {"mon-fri": ["09:00-18:00"], "sat": ["10:00-14:00"]},
        "breaks": ["13:00-14:00"],
        "closed": ["2026-03-09"],
        "special": {"2026-03-15": ["12:00-13:00"]},
    }
).in_zone("Europe/Kyiv")


def kyiv(day: int, clock: str, month: int = 3) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, month, day, hour, minute, tzinfo=KYIV).astimezone(UTC)


@pytest.mark.parametrize(
    ("since", "minutes", "due"),
    [
        (kyiv(2, "11:00"), 10, kyiv(2, "11:10")),
        (kyiv(2, "12:55"), 10, kyiv(2, "14:05")),
        (kyiv(2, "17:55"), 10, kyiv(3, "09:05")),
        (kyiv(2, "22:00"), 10, kyiv(3, "09:10")),
        (kyiv(2, "06:00"), 10, kyiv(2, "09:10")),
        (kyiv(7, "20:00"), 10, kyiv(10, "09:10")),
        (kyiv(14, "20:00"), 10, kyiv(15, "12:10")),
        (kyiv(2, "09:00"), 8 * 60, kyiv(2, "18:00")),
        (kyiv(2, "09:00"), 8 * 60 + 1, kyiv(3, "09:01")),
        (kyiv(28, "13:00"), 60, kyiv(30, "10:00")),
    ],
    ids=["inside", "over the break", "over closing", "night", "before opening", "Sunday and a closed Monday",
         "a special day", "a whole day", "a minute more", "summer time begins"],
)  # fmt: skip
def test_deadlines_in_working_time(since: datetime, minutes: int, due: datetime) -> None:
    """A4."""
    assert OFFICE.after(since, timedelta(minutes=minutes)) == due


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Kyiv", "2026-03-29"),
        ("Europe/Kyiv", "2026-10-25"),
        ("Asia/Beirut", "2026-03-29"),
        ("Asia/Beirut", "2026-10-25"),
        ("America/Santiago", "2026-04-04"),
        ("America/Santiago", "2026-09-06"),
        ("Europe/Moscow", "2011-03-27"),
        ("Europe/Moscow", "2014-10-26"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Pacific/Apia", "2011-12-30"),
        ("Europe/Kyiv", "2028-02-29"),
        ("Europe/Kyiv", "2026-12-31"),
    ],
)
def test_openings_and_deadlines_agree_with_the_clock_on_the_wall_on_the_day_it_is_set(zone: str, day: str) -> None:
    """A4: local hours that are missing count for nothing, those that come twice count twice."""
    night = ["00:00-00:45", "01:45-02:15", "02:30-03:30", "03:45-04:15", "23:30-24:00"]
    hours = Schedule.model_validate({"hours": {"mon-sun": night}}).in_zone(zone)
    start = datetime.fromisoformat(f"{day}T00:00+00:00") - timedelta(hours=18)
    minutes = [start + timedelta(minutes=minute) for minute in range(75 * 60)]
    working = [minute for minute in minutes if hours.is_open(minute)]
    for at in minutes[: 50 * 60 : 15]:
        ahead = [minute for minute in working if minute >= at]
        assert hours.next_opening(at) == ahead[0], at
        assert hours.after(at, timedelta(minutes=20)) == ahead[19] + timedelta(minutes=1), at


def test_every_zone_of_the_machine_is_known_and_nothing_else_that_lies_beside_them() -> None:
    """X11: what is no zone is refused by its name, whatever lies in the folders where the zones are."""
    known = available_timezones()
    beside = {str(path.relative_to(root)) for root in TZPATH for path in Path(root).rglob("*")}
    odd = {"", ".", "../UTC", "/etc/localtime", "Europe", "Europe/", "Europe.Kyiv", "Europe/Kiyv", "UTC\0", "U" * 5000}
    refused = set()
    for name in known | beside | odd:
        try:
            assert zone_of(name).key == name
        except ValueError:
            refused.add(name)
    assert refused == (beside | odd) - known


def test_public_holidays_of_the_country_are_closed() -> None:
    polish = Schedule.model_validate({"hours": {"mon-sun": ["00:00-24:00"]}, "holidays": "PL"}).in_zone("Europe/Warsaw")
    assert not polish.is_open(datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert polish.is_open(datetime(2026, 5, 2, 12, tzinfo=UTC))


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.integers(1, 3000),
)
def test_deadlines_fall_into_working_time_and_never_come_earlier_for_a_later_call(
    since: datetime, minutes: int
) -> None:
    span = timedelta(minutes=minutes)
    due = OFFICE.after(since, span)
    assert due >= since + span
    assert OFFICE.is_open(due - timedelta(seconds=1))
    assert OFFICE.after(since + timedelta(minutes=7), span) >= due


DEALER = policy("car-dealer")
HOLDER = Holder(id="c", responsible=COLLEAGUE, open_deals=(HolderDeal(id="d", responsible=OWNER),), seen_at=NOW)
AWAY = 'since = 2026-03-02, until = 2026-03-03, deputy = "ivan"'


def _team(replacing: str, by: str) -> str:
    assert replacing in TEAM
    return TEAM.replace(replacing, by)


FORWARDING = [
    ("the open deal's responsible", [HOLDER], History(), "", TEAM, NOW, "examplecom_olena"),
    ("else the contact's", [Holder(id="c", responsible=COLLEAGUE)], History(), "", TEAM, NOW, "examplecom_ivan"),
    ("else who last talked", [Holder(id="c")], History(last_talked=SENIOR), "", TEAM, NOW, "examplecom_serhii"),
    ("else nobody", [Holder(id="c")], History(), "", TEAM, NOW, ""),
    ("a new client", [], History(), "", TEAM, NOW, ""),
    ("out of hours", [HOLDER], History(), "", TEAM, NOW.replace(hour=22), ""),
    ("absent: the deputy", [HOLDER], History(), "",
     _team('staff_ids = ["1101"]', f"absences = [{{ {AWAY} }}]"), NOW, "examplecom_ivan"),
    ("absent without a deputy", [HOLDER], History(), "",
     _team('staff_ids = ["1101"]', "absences = [{ since = 2026-03-02, until = 2026-03-03 }]"), NOW, ""),
    ("no destination in the white list", [Holder(id="c", responsible=HEAD)], History(), "", TEAM, NOW, ""),
    ("a user whom the policy does not know", [Holder(id="c", responsible=EmployeeId("@77"))], History(), "", TEAM, NOW,
     ""),
    ("a phone is told in international digits", [HOLDER], History(), "",
     _team('destinations = ["examplecom_olena"]', 'destinations = ["067 333 33 33"]'), NOW, "380673333333"),
    ("switched off", [HOLDER], History(), "off", TEAM, NOW, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("holders", "history", "switch", "team", "now", "destination"), [row[1:] for row in FORWARDING],
    ids=[row[0] for row in FORWARDING],
)  # fmt: skip
def test_forwarding(
    holders: list[Holder], history: History, switch: str, team: str, now: datetime, destination: str
) -> None:
    """R2, R5, X9, X11: each answer says why."""
    changes = [("[forwarding]", "[forwarding]\nenabled = false")] if switch else []
    rules = policy("car-dealer", team=team, replacing=changes)
    told = answer(PHONE, holders, history, rules, now)
    assert told.destination == destination
    assert told.reason.code
    assert bool(told.employee) is bool(destination)
    if not destination and holders and not switch and history == History() and holders[0].responsible:
        assert any(not one.is_chosen and one.reason.code for one in told.candidates)


def test_forwarding_answers_nobody_without_a_number_and_to_colleagues() -> None:
    assert answer(None, [HOLDER], History(), DEALER, NOW).destination == ""
    assert answer(Phone("+380671111111"), [HOLDER], History(), DEALER, NOW).reason.code == "internal_call"


def test_an_overdue_call_back_is_reminded_then_moved_and_never_doubled() -> None:
    """X10."""
    crm = MemoryCrm(rules=DEALER, known=client(deal=OWNER))
    made = crm.take(missed())
    key = f"{CLIENT}/task/call_back/{OWNER}/call-1/overdue/0"
    assert made.due[key] == NOW + timedelta(minutes=20)
    first = escalate(key, crm.seen_by(missed().id), DEALER, made.due[key], client_id=CLIENT)
    assert [action.employees for action in first.actions if isinstance(action, Notify)] == [(OWNER,)]
    (following, at) = next(iter(first.due.items()))
    assert (following, at) == (f"{key[:-1]}1", NOW + timedelta(minutes=70))
    second = escalate(following, crm.seen_by(missed().id), DEALER, at, client_id=CLIENT)
    # the senior has a call-back for this client already (A5): the task stays, the head is told
    assert outline(second) == ["tell andrii"]
    assert not second.due


def test_an_overdue_task_moves_to_one_who_has_none() -> None:
    crm = MemoryCrm(rules=DEALER, known=client(deal=OWNER))
    crm.take(missed())
    senior = next(task for task in crm.known.tasks if task.responsible == SENIOR)
    known = crm.seen_by(missed().id)
    object.__setattr__(known, "tasks", tuple(task for task in known.tasks if task.id != senior.id))
    object.__setattr__(known.history, "open_task_keys", {
        key: id_ for key, id_ in known.history.open_task_keys.items() if id_ != senior.id
    })  # fmt: skip
    made = escalate(f"{CLIENT}/task/call_back/{OWNER}/call-1/overdue/1", known, DEALER, NOW, client_id=CLIENT)
    assert [action.assignee for action in made.actions if isinstance(action, UpdateTask)] == [SENIOR]


@pytest.mark.parametrize(
    "key",
    ["", "nonsense", f"{CLIENT}/task/call_back/{OWNER}/x/overdue/9", f"{CLIENT}/task/ring/{OWNER}/x/overdue/0"],
)
def test_a_timer_that_means_nothing_does_nothing(key: str) -> None:
    assert outline(escalate(key, NEW_CLIENT, DEALER, NOW, client_id=CLIENT)) == ["nothing: timer_unknown"]


def test_a_timer_of_a_task_that_is_done_does_nothing() -> None:
    crm = MemoryCrm(rules=DEALER, known=client(deal=OWNER))
    crm.take(missed())
    crm.take(answered(id=type(missed().id)("call-2")))
    key = f"{CLIENT}/task/call_back/{OWNER}/call-1/overdue/0"
    made = escalate(key, crm.seen_by(missed().id), DEALER, NOW + timedelta(hours=1), client_id=CLIENT)
    assert outline(made) == ["nothing: task_is_done"]


EXAMPLES = """
[[example]]
name = "a new client's call belongs to who answered"
interaction = { answered_by = "olena" }
expect = { row = "A2", responsible = "olena", actions = ["create_contact", "create_deal"], tasks = ["process:olena"] }

[[example]]
name = "a known client who was missed"
interaction = { disposition = "missed" }
client = { contact = "ivan", open_deal = "olena" }
expect = { tasks = ["call_back:olena", "call_back:serhii"], forwarded_to = "olena", nothing = false }

[[example]]
name = "wrong on purpose"
interaction = { direction = "outbound", caller = "ivan", disposition = "missed" }
expect = { responsible = "olena", nothing = true }
"""


def test_examples_in_the_policy_are_checked() -> None:
    """X3."""
    assert [str(failure) for failure in check_examples(policy("car-dealer", EXAMPLES))] == [
        "in the example 'wrong on purpose' the responsible should be olena, is ivan",
        "in the example 'wrong on purpose' nothing should be yes, is no",
    ]
