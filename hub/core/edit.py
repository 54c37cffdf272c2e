"""What an edit of a policy's rows and rules cannot reach, as far as the interaction alone tells (X2).

Two versions of a policy mostly differ in a row or a rule. Where none of those that differ can hold for an interaction,
both versions want the same of it, whatever the CRM knows of the client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from hub.core.condition import Condition, Surroundings, compile_condition
from hub.core.field import FEW_VALUES, FIELDS
from hub.core.heard import Heard
from hub.core.matrix import Row
from hub.core.rules import RuleSettings
from hub.core.table import fields_asked

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.policy import Policy

__all__ = ["Edit"]

#: True and False where it is sure, None where only the CRM could tell
Holds = Callable[[Heard], bool | None]


#: combinations of facts remembered
_REMEMBERED = 4096


class Edit:
    """From one policy to another that sees and does everything the same way, and wants something else."""

    def __init__(self, before: Policy, after: Policy) -> None:
        self._reaches_all = before.stop_at_first_rule != after.stop_at_first_rule
        differ = [
            *_that_differ(before.matrix, after.matrix, before, after),
            *_that_differ(before.rules, after.rules, before, after),
        ]
        few = [entry for entry in differ if entry.asks <= FEW_VALUES]
        self._differ = tuple(entry.holds for entry in differ if not entry.asks <= FEW_VALUES)
        self._differ_by_few = tuple(entry.holds for entry in few)
        paths = {FIELDS[name].path for entry in few for name in entry.asks}
        self._read = _reader(path for path in paths if hasattr(Heard, path.partition(".")[0]))
        self._known: dict[Any, bool] = {}

    def spares(self, heard: Heard) -> bool:
        """True if both surely want the same; False proves nothing."""
        if self._reaches_all or not self._spares_by_few(heard):
            return False
        return all(holds(heard) is False for holds in self._differ)

    def _spares_by_few(self, heard: Heard) -> bool:
        """What takes few values in a project's life is asked once for each combination of them."""
        key = self._read(heard)
        known = self._known.get(key)
        if known is None:
            known = all(holds(heard) is False for holds in self._differ_by_few)
            if len(self._known) < _REMEMBERED:
                self._known[key] = known
        return known


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row or rule that only one of both policies has."""

    holds: Holds
    asks: frozenset[str]


def _reader(paths: Iterable[str]) -> Callable[[Heard], Any]:
    found = sorted(paths)
    return attrgetter(*found) if found else lambda heard: None


def _that_differ(
    before: Sequence[Row | RuleSettings], after: Sequence[Row | RuleSettings], one: Policy, other: Policy
) -> Iterator[_Entry]:
    """All entries that only one of both has; what both have stands there in the same order."""
    # values of conditions can be anything, and 1 is no true
    texts = [repr(entry) for entry in before], [repr(entry) for entry in after]
    for kind, *bounds in SequenceMatcher(None, *texts, autojunk=False).get_opcodes():
        if kind != "equal":
            for policy, entries in ((one, before[bounds[0] : bounds[1]]), (other, after[bounds[2] : bounds[3]])):
                yield from (_Entry(_known(entry.when, policy), fields_asked(entry.when)) for entry in entries)


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
