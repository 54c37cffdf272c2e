"""Ordered rules that change what the matrix asks for (C1, J2, J11), the policy's own and those of plugins.

A higher rule's values hold; lower ones still set what it left unset, until one says ``stop`` (C1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel
from pydantic import Field as ModelField

from hub.core.condition import Condition, Surroundings, compile_condition
from hub.core.outcome import OUTCOME_NAMES, Outcome, OutcomeSettings, merge, shown
from hub.core.plan import Check, Reason, Trial
from hub.core.table import fields_asked
from hub.core.text import Language

if TYPE_CHECKING:
    from hub.core.facts import Facts

__all__ = ["CompiledRule", "Considers", "RuleSettings", "apply_rules", "compile_rule"]


class _Suggestion(Protocol):
    @property
    def outcome(self) -> Outcome: ...
    @property
    def reason(self) -> str: ...


class Considers(Protocol):
    """A plugin's rule, as `hub.ports.Rule` has it."""

    name: str
    settings_model: ClassVar[type[BaseModel]]

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> _Suggestion | None: ...


class RuleSettings(OutcomeSettings):
    """One rule of the policy: where its condition holds, its values are set; or a plugin's rule is asked."""

    name: str = ModelField(min_length=1)
    requirement: str = ""
    when: Condition | None = None
    #: no rule below this one is tried where it holds
    stop: bool = False
    #: the name of a plugin's rule, asked instead of setting values; what it may be told is its own
    use: str = ""
    settings: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class CompiledRule:
    """A rule ready to be tried."""

    name: str
    requirement: str
    fails: Callable[[Facts], Trial | None]
    sets: Mapping[str, Any]
    won: Trial
    stops: bool
    #: the names of the fields that its condition asks about
    asks: frozenset[str]
    asked: Considers | None = None
    settings: BaseModel | None = None


def compile_rule(
    rule: RuleSettings, around: Surroundings, language: Language, offered: Mapping[str, Considers]
) -> CompiledRule:
    """``rule`` with its condition as a function; raises ValueError if no plugin offers the rule that it uses."""
    sets = rule.settled(language)

    def lost(check: Check) -> Trial:
        return Trial(name=rule.name, has_won=False, failed=check, requirement=rule.requirement)

    asked, settings = None, None
    if rule.use:
        asked = offered.get(rule.use)
        if asked is None:
            allowed = ", ".join(sorted(offered)) or "none is installed"
            raise ValueError(f"no plugin offers a rule called {rule.use!r}; there are: {allowed}")
        settings = asked.settings_model.model_validate(dict(rule.settings))
    return CompiledRule(
        name=rule.name,
        requirement=rule.requirement,
        fails=compile_condition(rule.when, around, lost),
        sets=sets,
        won=Trial(name=rule.name, has_won=True, sets=shown(sets), requirement=rule.requirement),
        stops=rule.stop,
        asks=fields_asked(rule.when),
        asked=asked,
        settings=settings,
    )


def apply_rules(
    rules: Sequence[CompiledRule],
    losses: Sequence[Trial | None],
    facts: Facts,
    below: Mapping[str, Any],
    *,
    stop_at_first: bool,
) -> tuple[dict[str, Any], list[Trial], list[Reason]]:
    """What all rules together set above ``below`` (the matrix's outcome), every rule tried, and warnings."""
    settled: dict[str, Any] = {}
    trials: list[Trial] = []
    warnings: list[Reason] = []
    for rule, lost in zip(rules, losses, strict=True):
        if lost is not None:
            trials.append(lost)
            continue
        if rule.asked is None or rule.settings is None:
            merge(settled, rule.sets)
            trials.append(rule.won)
        else:
            trials.append(_ask(rule, rule.asked, rule.settings, facts, settled, below, warnings))
            if not trials[-1].has_won:
                continue
        if rule.stops or stop_at_first:
            break
    return merge(settled, below), trials, warnings


def _ask(
    rule: CompiledRule,
    asked: Considers,
    settings: BaseModel,
    facts: Facts,
    settled: dict[str, Any],
    below: Mapping[str, Any],
    warnings: list[Reason],
) -> Trial:
    so_far = Outcome(**merge(dict(settled), below))
    try:
        suggested = asked.consider(facts, so_far, settings)
    except Exception as err:  # noqa: BLE001 - a plugin's rule must not stop the decision (H1): it is shown instead
        warnings.append(Reason(code="rule_failed", values={"rule": rule.name, "error": f"{type(err).__name__}: {err}"}))
        suggested = None
    if suggested is None:
        return Trial(name=rule.name, has_won=False, requirement=rule.requirement)
    changed = {}
    for name in OUTCOME_NAMES:
        value = getattr(suggested.outcome, name)
        if value != getattr(so_far, name):
            changed[name] = value
            # a higher rule's value holds, except where values gather
            if name not in settled or isinstance(value, dict):
                settled[name] = {**value, **settled.get(name, {})} if isinstance(value, dict) else value
    return Trial(
        name=rule.name,
        has_won=True,
        sets={**shown(changed), "reason": suggested.reason},
        requirement=rule.requirement,
    )
