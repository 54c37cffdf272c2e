"""What is wanted for an interaction: first what is nobody's business, then the matrix, then the rules.

A project's interactions are of few kinds, so a verdict is remembered with everything that judging looked at, wherever
the policy asks only for what takes few values (`hub.core.field.FEW_VALUES`) and asks no plugin's rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from hub.core.field import FEW_VALUES, FIELDS
from hub.core.matrix import first_fit
from hub.core.outcome import Outcome, merge
from hub.core.plan import Reason, Trial
from hub.core.rules import apply_rules
from hub.core.slots import by_slots
from hub.core.table import Asked
from hub.core.text import say

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.policy import Policy

__all__ = ["Memory", "Verdict", "judge"]

#: verdicts remembered for one policy; beyond it all are forgotten
_REMEMBERED = 2048
#: reasons remembered for one verdict; the others name single records
_SAID = 64
#: what judging looks at besides the conditions' fields: `_classify` and the channel's defaults, then `_from_sources`
_ALWAYS_SEEN = (
    "is_private", "is_blocked", "is_pending", "is_answered", "is_internal", "is_short", "has_contact", "channel",
)  # fmt: skip
_SEEN_FOR_SOURCES = ("line", "attribution.pool", "department", "form_name")


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome and how it came about."""

    outcome: Outcome
    #: the row of the matrix, or what `hub.core.section.Classify` found; stands in every action's reason
    because: Reason
    trials: tuple[Trial, ...] = ()
    warnings: tuple[Reason, ...] = ()
    #: reasons that plans gave from this verdict, see `reason`
    _said: dict[tuple[str, ...], Reason] = field(default_factory=dict, repr=False, compare=False)

    def reason(self, code: str, requirement: str = "", **values: str) -> Reason:
        """A reason that names the row behind it; made once, for there are few."""
        key = (code, requirement, *values, *values.values()) if values else (code, requirement)
        found = self._said.get(key)
        if found is None:
            because = self.because
            found = Reason(
                code=code, values={**because.values, **values}, requirement=requirement or because.requirement
            )
            if len(self._said) < _SAID:
                self._said[key] = found
        return found


class Memory:
    """The verdicts of one policy by what they were judged from."""

    def __init__(self, policy: Policy) -> None:
        entries: list[Asked] = [*policy.rows, *policy.compiled_rules]
        asked = frozenset[str]().union(*(entry.asks for entry in entries))
        self._is_kept = asked <= FEW_VALUES and not any(rule.asked for rule in policy.compiled_rules)
        self._known: dict[Any, Verdict] = {}
        paths = {*_ALWAYS_SEEN, *(_SEEN_FOR_SOURCES if policy.sources else ())}
        if self._is_kept:
            paths |= {FIELDS[name].path for name in asked}
        self._seen: Callable[[Facts], Any] = attrgetter(*sorted(paths))

    def recall(self, facts: Facts, judge_anew: Callable[[], Verdict]) -> Verdict:
        """The verdict on facts like these."""
        if not self._is_kept:
            return judge_anew()
        seen = self._seen(facts)
        found = self._known.get(seen)
        if found is None:
            found = judge_anew()
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[seen] = found
        return found


_PENDING = Reason(code="not_over_yet")
_PRIVATE = Reason(code="private_line", requirement="R8")
_BLOCKED = Reason(code="black_list")
_SHORT = Reason(code="too_short")
_INTERNAL = Reason(code="internal_call", requirement="R6")
_UNFIT = Reason(code="no_row_fits")
_ON_THE_CARD = Outcome(contact=False, deal="none", tasks=(), notes=(), call_record="contact")


def judge(facts: Facts, policy: Policy) -> Verdict:
    """What policy wants done about ``facts``."""
    return policy.verdicts.recall(facts, lambda: _judge(facts, policy))


def _judge(facts: Facts, policy: Policy) -> Verdict:
    dropped = _classify(facts, policy)
    if dropped is not None:
        return dropped
    row, trials = first_fit(policy.rows, policy.row_table.losses(facts))
    sets = row.sets if row else {}
    settled, more, warnings = apply_rules(
        policy.compiled_rules, policy.rule_table.losses(facts), facts, sets, stop_at_first=policy.stop_at_first_rule
    )
    because = Reason(code="row", values={"row": row.name}, requirement=row.requirement) if row else _UNFIT
    if row is None and not settled:
        settled["drop"] = _UNFIT.code
    merge(settled, policy.channel_defaults.get(facts.channel, {}))
    if policy.sources:
        merge(settled, _from_sources(facts, policy))
    return Verdict(outcome=Outcome(**settled), because=because, trials=(*trials, *more), warnings=tuple(warnings))


def _classify(facts: Facts, policy: Policy) -> Verdict | None:
    """What needs no matrix: a call that still goes on, internal and private calls, the black list (R6, R8)."""
    if facts.is_private:
        return _drop(_PRIVATE)
    if facts.is_blocked:
        return _drop(_BLOCKED)
    if facts.is_pending and not facts.is_answered:
        return _drop(_PENDING)
    if facts.is_internal:
        if policy.classify.internal == "card" and facts.contact is not None and not facts.is_pending:
            return Verdict(outcome=_ON_THE_CARD, because=_INTERNAL)
        return _drop(_INTERNAL)
    if facts.is_short:
        return _drop(_SHORT)
    return None


def _drop(reason: Reason) -> Verdict:
    return Verdict(outcome=Outcome(drop=reason.code), because=reason)


def _from_sources(facts: Facts, policy: Policy) -> dict[str, Any]:
    """Fields and tags by where the client turned to (A16); of several rows the higher one holds."""
    found: dict[str, Any] = {}
    for row in policy.fitting_sources(
        facts.line, facts.attribution.pool, facts.department, facts.channel, facts.form_name
    ):
        fields = {name: say(text, policy.language) for name, text in row.fields.items()}
        tags = tuple(say(tag, policy.language) for tag in row.tags)
        merge(found, {key: value for key, value in (("fields", fields), ("tags", tags)) if value})
    return found
