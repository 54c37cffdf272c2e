"""What an edit of a policy's rows and rules cannot reach, as far as the interaction alone tells (X2).

Two versions of a policy mostly differ in a row or a rule. Where none of those that differ can hold for an interaction,
both versions want the same of it, whatever the CRM knows of the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, cast

from hub.core.condition import Condition, Surroundings, compile_condition
from hub.core.heard import Heard
from hub.core.matrix import Row
from hub.core.rules import RuleSettings

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.policy import Policy

__all__ = ["Edit"]

#: True and False where it is sure, None where only the CRM could tell
Holds = Callable[[Heard], bool | None]


class Edit:
    """From one policy to another that sees and does everything the same way, and wants something else."""

    def __init__(self, before: Policy, after: Policy) -> None:
        self._reaches_all = before.stop_at_first_rule != after.stop_at_first_rule
        self._differ: tuple[Holds, ...] = (
            *_that_differ(before.matrix, after.matrix, before, after),
            *_that_differ(before.rules, after.rules, before, after),
        )

    def spares(self, heard: Heard) -> bool:
        """True if both surely want the same; False proves nothing."""
        return not self._reaches_all and all(holds(heard) is False for holds in self._differ)


def _that_differ(
    before: Sequence[Row | RuleSettings], after: Sequence[Row | RuleSettings], one: Policy, other: Policy
) -> Iterator[Holds]:
    """The conditions of all entries that only one of both has; what both have stands there in the same order."""
    # values of conditions can be anything, and 1 is no true
    texts = [repr(entry) for entry in before], [repr(entry) for entry in after]
    for kind, *bounds in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        if kind != "equal":
            yield from (_known(entry.when, one) for entry in before[bounds[0] : bounds[1]])
            yield from (_known(entry.when, other) for entry in after[bounds[2] : bounds[3]])


def _known(condition: Condition | None, around: Surroundings) -> Holds:
    """If ``condition`` holds, in three values."""
    if condition is None:
        return lambda heard: True
    if condition.all is not None:
        return _joined(condition.all, around, decides=False)
    if condition.any is not None:
        return _joined(condition.any, around, decides=True)
    if condition.not_ is not None:
        inner = _known(condition.not_, around)
        return lambda heard: None if (holds := inner(heard)) is None else not holds
    return _test(condition, around)


def _joined(conditions: Sequence[Condition], around: Surroundings, *, decides: bool) -> Holds:
    """One that is ``decides`` settles it; else one that is unknown leaves it open."""
    parts = tuple(_known(condition, around) for condition in conditions)

    def holds(heard: Heard) -> bool | None:
        found: bool | None = not decides
        for part in parts:
            one = part(heard)
            if one is decides:
                return decides
            if one is None:
                found = None
        return found

    return holds


def _test(condition: Condition, around: Surroundings) -> Holds:
    fails = compile_condition(condition, around, lambda check: check)

    def holds(heard: Heard) -> bool | None:
        try:
            return fails(cast("Facts", heard)) is None
        except AttributeError:
            # a fact of the CRM's: what was heard has no such attribute
            return None

    return holds
