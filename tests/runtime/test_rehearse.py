"""A changed policy rehearsed on a month that was lived, against a life under that policy (X2, DESIGN 6)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from hub.core.load import Load
from hub.core.plan import Action, CompleteTask, CreateDeal, CreateTask, Nothing, Plan
from hub.core.policy import Policy, load_policy
from hub.core.records import RecordRef
from hub.core.rehearsal import Rehearsal, Report, Unknown
from hub.runtime.rehearse import Wanted, crm_of, rehearse
from hub.store import engine, past
from hub.testing import builders
from tests.core.edits import Drawn, edits, read
from tests.runtime.life import BEGIN, PROJECT, Life, life, month

MONTH = Wanted(since=BEGIN, until=BEGIN + timedelta(days=40))


def text(preset: str, *changes: tuple[str, str], more: str = "") -> str:
    """A preset with the team, and what is changed in it."""
    found = files("hub.presets").joinpath(f"{preset}.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in found
        found = found.replace(old, new, 1)
    return f"{found}\n{builders.TEAM}\n{more}"


def rehearsed(lived: Life, policy: str, wanted: Wanted = MONTH) -> Report:
    services = lived.services
    trial = load_policy(policy, rules=services.plugins.rules.values())
    return rehearse(services.store, services.projects.get(PROJECT), trial, wanted)


def in_words(plan: Plan) -> list[str]:
    """What a plan does, without the ids that differ from one life to another."""
    does = [action for action in plan.actions if not isinstance(action, Nothing)]
    return [f"for {plan.responsible}", *(_line(action) for action in does or plan.actions)]


def _line(action: Action) -> str:
    said: list[str] = [action.kind]
    for name in ("responsible", "assignee", "task", "text", "name", "stage", "employees", "due_at", "recording"):
        value = getattr(action, name, "")
        said.append("" if isinstance(value, RecordRef) else str(value))
    said.append(str(getattr(getattr(action, "on", None), "kind", "")))
    if isinstance(action, Nothing):
        said.append(action.reason.values.get("why", action.reason.code))
    return " | ".join(said)


TURNS = ('responsible = ["dialled_owner", "senior"]                            # A13', 'responsible = ["turn"]')
GROUP = '\n[assignment.groups.all]\nmembers = ["olena", "ivan", "serhii"]\non_shift_only = false\n'

CHANGES = {
    "new clients in turn": (TURNS, ('existing_answered = "keep"', 'existing_answered = "keep"\ngroup = "all"')),
    "no deal for a missed new client": (
        ('when = { kind = "call", is_missed = true, is_new_client = true }\ndeal = "create"',
         'when = { kind = "call", is_missed = true, is_new_client = true }\ndeal = "none"'),
    ),
    "no contact and no deal for a missed new client": (
        ('when = { kind = "call", is_missed = true, is_new_client = true }\ndeal = "create"',
         'when = { kind = "call", is_missed = true, is_new_client = true }\ncontact = false\ndeal = "none"'),
    ),
    "who answered takes over": (('existing_answered = "keep"', 'existing_answered = "answerer"'),),
    "any other task instead of a call-back": (
        ('tasks = [{ task = "call_back", assignees = ["responsible", "senior"] }]',
         'tasks = [{ task = "process", assignees = ["responsible", "senior"] }]'),
    ),
    "always another deal": (
        ('when = { kind = "call", direction = "inbound", is_answered = true, has_open_deal = true }',
         'when = { kind = "call", direction = "inbound", is_answered = true, has_open_deal = true }\n'
         'deal = "create_another"\nresponsible = ["answerer", "senior"]'),
    ),
    "deals begin in another stage": (("[deals]", '[deals]\nstage = "Cancelled"'),),
}  # fmt: skip


EVENTS = month(seed=4, calls=80, clients=22)
BEFORE = text("car-dealer", more=GROUP)


@pytest.fixture(scope="module")
def _no_disk() -> Iterator[None]:
    """Lives are long and nobody pulls the plug: waiting for the disk would be most of the time."""
    pragmas = tuple(pragma.replace("= FULL", "= OFF") for pragma in engine.PRAGMAS)
    assert pragmas != engine.PRAGMAS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "PRAGMAS", pragmas)
        yield


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, _no_disk: None) -> Iterator[Life]:
    """The month as it was, under `BEFORE`."""
    with life(tmp_path_factory.mktemp("before"), BEFORE) as found:
        asyncio.run(found.live(EVENTS))
        yield found


def trial_plans(lived: Life, policy: str) -> tuple[dict[str, Plan], set[str]]:
    """What a rehearsal decides last about each call, and of which calls it says that people's work stands in doubt."""
    services = lived.services
    trial = load_policy(policy, rules=services.plugins.rules.values())
    live = services.projects.get(PROJECT)

    def run(conn: Any) -> tuple[dict[str, Plan], set[str]]:
        period = past.find_period(conn, PROJECT, MONTH.since, MONTH.until)
        rehearsal = Rehearsal(trial, turns={}, crms={one.name: crm_of(one) for one in live.connections})
        found, doubted = {}, set()
        for one in past.read_slice(conn, period, 0, 10_000):
            doubts = rehearsal.unknown[Unknown.PEOPLE]
            plan = rehearsal.take(one)
            assert plan is not None
            assert one.interaction is not None
            found[one.interaction.external_id] = plan
            if rehearsal.unknown[Unknown.PEOPLE] > doubts:
                doubted.add(one.interaction.external_id)
        return found, doubted

    return services.store.read_now(run)


@pytest.mark.parametrize("change", CHANGES)
def test_a_rehearsal_says_what_a_life_under_the_changed_policy_would_have_been(
    change: str, lived: Life, tmp_path: Path
) -> None:
    """X2: each call's plan is the very one that another life came to, but where the report says that it cannot know."""
    after = text("car-dealer", *CHANGES[change], more=GROUP)
    with life(tmp_path, after) as other:
        asyncio.run(other.live(EVENTS))
        wanted, keys = other.plans(), dict(other.task_keys)
    was, report, (planned, doubted) = lived.plans(), rehearsed(lived, after), trial_plans(lived, after)
    changed = {id for id in was if in_words(was[id]) != in_words(wanted[id])}
    assert changed
    assert {id for id in planned if in_words(planned[id]) != in_words(wanted[id])} <= doubted
    assert len(doubted) == report.unknown.get(Unknown.PEOPLE, 0) < len(was) / 6
    said = {id for id in was if in_words(was[id]) != in_words(planned[id])}
    assert (report.decisions, report.changed) == (len(was), len(said))
    assert said - doubted == changed - doubted
    if not doubted:
        assert report.now == loads(wanted, keys)
    assert report.then == loads(was, lived.task_keys)


def reported(lived: Life, trial: Policy, earlier: Mapping[int, Policy]) -> tuple[Report, list[bool]]:
    """What a rehearsal says, and of each decision if it was taken again."""
    live = lived.services.projects.get(PROJECT)

    def run(conn: Any) -> tuple[Report, list[bool]]:
        period = past.find_period(conn, PROJECT, MONTH.since, MONTH.until)
        crms = {one.name: crm_of(one) for one in live.connections}
        rehearsal = Rehearsal(trial, turns={}, crms=crms, earlier=earlier)
        taken = [rehearsal.take(one) is not None for one in past.read_slice(conn, period, 0, 10_000)]
        return rehearsal.report(), taken

    return lived.services.store.read_now(run)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_what_an_edit_cannot_reach_need_not_be_decided_again(lived: Life, drawn: Drawn) -> None:
    """X2: the short way and the long way report the same, whatever rows and rules are changed."""
    trial = drawn.of(read("car-dealer", GROUP))
    before = load_policy(BEFORE, rules=lived.services.plugins.rules.values())
    short, _ = reported(lived, trial, {1: before})
    long, decided = reported(lived, trial, {})
    assert all(decided)
    assert short == long


def test_a_rule_for_one_line_leaves_the_calls_of_others_as_they_were(lived: Life) -> None:
    """X2: no call of the month came over that line, and none had to be looked at twice."""
    rule = '\n[[rules]]\nname = "line"\nwhen = { line = "+380440000001", has_open_deal = true }\nstage = "Hot"\n'
    trial, before = (load_policy(BEFORE + more) for more in (rule, ""))
    report, decided = reported(lived, trial, {1: before})
    assert report.changed == 0 < report.decisions
    assert not any(decided)


def loads(plans: Mapping[str, Plan], task_keys: Mapping[str, str]) -> dict[str, Load]:
    """What everybody has by these plans, counted apart from the report; ``task_keys`` tell which step made a task."""
    found: dict[str, Load] = defaultdict(Load)
    opened: dict[str, str] = {}
    closed: set[str] = set()
    for plan in plans.values():
        if plan.responsible:
            found[plan.responsible].interactions += 1
        for action in plan.actions:
            if isinstance(action, CreateDeal) and action.responsible:
                found[action.responsible].deals += 1
            if isinstance(action, CreateTask) and action.completed_at is None and action.assignee:
                found[action.assignee].tasks += 1
                opened[action.key] = action.assignee
            if isinstance(action, CompleteTask) and isinstance(action.task, RecordRef):
                closed.add(task_keys[action.task.id])
    for key, assignee in opened.items():
        found[assignee].open_tasks += key not in closed
    return found
