"""What is wanted for an interaction: first what is nobody's business, then the matrix, then the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.core.matrix import first_fit
from hub.core.outcome import Outcome, merge
from hub.core.plan import Reason, Trial
from hub.core.rules import apply_rules
from hub.core.text import say

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.policy import Policy

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome and how it came about."""

    outcome: Outcome
    #: the row of the matrix, or what `hub.core.section.Classify` found; stands in every action's reason
    because: Reason
    trials: tuple[Trial, ...] = ()
    warnings: tuple[Reason, ...] = ()


_PENDING = Reason(code="not_over_yet")
_PRIVATE = Reason(code="private_line", requirement="R8")
_BLOCKED = Reason(code="black_list")
_SHORT = Reason(code="too_short")
_INTERNAL = Reason(code="internal_call", requirement="R6")
_UNFIT = Reason(code="no_row_fits")
_ON_THE_CARD = Outcome(contact=False, deal="none", tasks=(), notes=(), call_record="contact")


def judge(facts: Facts, policy: Policy) -> Verdict:
    """What policy wants done about ``facts``."""
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
        merge(found, {key: value for key, value in (("fields", fields), ("tags", row.tags)) if value})
    return found
