"""What the hub expects of every `hub.ports.Rule`: pure, total, explained (X4, H2)."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how_often
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from hub.core.facts import Facts, establish
from hub.core.interaction import Identity, Interaction
from hub.core.outcome import Outcome
from hub.core.snapshot import Snapshot
from hub.ports import Rule, Suggested
from hub.testing import builders
from hub.testing.check import Checks, NotConforming, expect, fail, told
from hub.testing.messages import message, reply
from hub.testing.outfit import RuleOutfit
from hub.testing.outside import untouched
from hub.testing.source_checks import settings_are_explained

__all__ = ["CHECKS", "RuleBench"]


@dataclass(slots=True)
class RuleBench:
    """A rule with each of its settings read."""

    outfit: RuleOutfit

    @property
    def rule(self) -> Rule:
        return self.outfit.rule

    @property
    def settings(self) -> list[BaseModel]:
        try:
            return [self.rule.settings_model.model_validate(dict(one)) for one in self.outfit.settings]
        except ValidationError as err:
            fail(f"the outfit's settings do not fit {self.rule.settings_model.__name__}: {err}", err)


CHECKS: Checks[RuleBench] = Checks()

_INTERACTIONS: tuple[Interaction, ...] = (
    builders.answered(),
    builders.answered(builders.COLLEAGUE, rung=(builders.OWNER,)),
    builders.answered(builders.STRANGER),
    builders.missed(),
    builders.missed(client=Identity()),
    builders.missed(rung=(builders.OWNER, builders.COLLEAGUE)),
    builders.voicemail(),
    builders.outgoing(),
    builders.outgoing(builders.COLLEAGUE, reached=False),
    builders.internal(),
    builders.callback(),
    builders.form(),
    builders.form(client=Identity(emails=("anna@example.com",), name="Анна")),
    message(),
    reply(),
)
_SNAPSHOTS: tuple[Snapshot, ...] = (
    builders.NEW_CLIENT,
    builders.client(),
    builders.client(deal=builders.OWNER),
    builders.client(builders.COLLEAGUE, deal=builders.OWNER, closed_deal=builders.OWNER),
    builders.client(closed_deal=builders.SENIOR),
    builders.client(None, company=builders.OWNER, deal=builders.OWNER),
    builders.client("", deal=""),
    builders.client(deal=builders.OWNER, tasks=(builders.open_task(builders.OWNER, "Call back"),)),
)
_OUTCOMES = (
    Outcome(),
    Outcome(drop="internal call"),
    Outcome(contact=True, deal="create", responsible=("answerer", "senior"), tags=("call",)),
    Outcome(contact=False, deal="none", tasks=(), notes=(), notify=()),
    Outcome(deal="create_another", fields={"Source": "site"}, notify=("owner",)),
)


def _facts() -> Iterator[Facts]:
    """Every interaction with every state of the CRM, by two policies."""
    for preset in ("car-dealer", "zoho-standard"):
        policy = builders.policy(preset)
        for interaction, snapshot in itertools.product(_INTERACTIONS, _SNAPSHOTS):
            yield establish(interaction, snapshot, policy, builders.NOW + timedelta(minutes=1))


def _consider(rule: Rule, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
    try:
        with untouched("consider"):
            return rule.consider(facts, outcome, settings)
    except AssertionError:
        raise
    except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
        fail(f"consider raised {told(err)} for {facts.interaction.kind} {facts.direction}", err)


def _each(bench: RuleBench, judge: object) -> None:
    """Let ``judge`` see facts, outcome and settings, as many different ones as are worth it."""
    assert callable(judge)
    known = list(_facts())
    found: list[NotConforming] = []

    @how_often(
        max_examples=250,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(facts=st.sampled_from(known), outcome=st.sampled_from(_OUTCOMES), settings=st.sampled_from(bench.settings))
    def trial(facts: Facts, outcome: Outcome, settings: BaseModel) -> None:
        if found:
            return
        try:
            judge(facts, outcome, settings)
        except NotConforming as err:
            # told below: hypothesis would try it again, and a rule with a memory answers differently then
            found.append(err)

    trial()
    if found:
        raise found[0]


@CHECKS.add()
async def the_rule_has_what_the_protocol_asks_for(bench: RuleBench) -> None:
    """`hub.ports.Rule`: name, settings model, consider; each setting explained (H12)."""
    rule = bench.rule
    expect(isinstance(rule, Rule), f"{type(rule).__name__} lacks a member of hub.ports.Rule")
    expect(rule.name.isidentifier(), f"the name {rule.name!r} is not a plain word: policies write it after `use`")
    settings_are_explained(rule.settings_model)
    expect(bool(bench.settings), "the outfit has no settings to try it with")


@CHECKS.add()
async def every_case_gets_an_answer_with_its_reason(bench: RuleBench) -> None:
    """H2, X1: total over interactions, CRM states and outcomes; a change always says why, and is a change."""

    def judge(facts: Facts, outcome: Outcome, settings: BaseModel) -> None:
        answer = _consider(bench.rule, facts, outcome, settings)
        if answer is None:
            return
        expect(isinstance(answer, Suggested), f"consider returned {type(answer).__name__}, not Suggested or None")
        expect(isinstance(answer.outcome, Outcome), f"the outcome is a {type(answer.outcome).__name__}")
        expect(bool(answer.reason.strip()), "a change without a reason: nobody could explain it")

    _each(bench, judge)


@CHECKS.add()
async def the_same_case_gets_the_same_answer(bench: RuleBench) -> None:
    """H2: no clock, no chance, no memory: rehearsals and explanations rest on it."""

    def judge(facts: Facts, outcome: Outcome, settings: BaseModel) -> None:
        first = _consider(bench.rule, facts, outcome, settings)
        again = _consider(bench.rule, facts, outcome, settings)
        other = _consider(bench.rule, facts, copy.deepcopy(outcome), settings.model_copy(deep=True))
        expect(first == again == other, f"the same case was answered with {first} and then with {again}")

    _each(bench, judge)


@CHECKS.add()
async def what_it_is_shown_stays_as_it_was(bench: RuleBench) -> None:
    """H2: facts, outcome and settings are the hub's; a change is a new outcome."""

    def judge(facts: Facts, outcome: Outcome, settings: BaseModel) -> None:
        def state() -> str:
            told_facts = {one.name: getattr(facts, one.name) for one in fields(facts)}
            return f"{told_facts!r}{outcome!r}{settings!r}"

        before = state()
        _consider(bench.rule, facts, outcome, settings)
        expect(state() == before, "consider changed what it was shown")

    _each(bench, judge)
