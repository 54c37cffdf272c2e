"""Rows and rules that can never count: conditions that nothing meets, and what higher ones always take first (C1)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hub.core.condition import Condition
from hub.core.field import FIELDS
from hub.core.outcome import OutcomeSettings

__all__ = ["Atom", "atoms_of", "impossible", "includes", "overruled"]

#: fields with several values, of which more than one can be asked for
_LISTS = frozenset(name for name, found in FIELDS.items() if found.type == "list")
#: what several entries add to instead of the higher one deciding
_GATHERED = {"fields", "contact_fields", "tags", "contact_tags", "more_tasks", "skills"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """One test that must hold; ``any`` and ``not`` are tests of their own, told apart by their text."""

    field: str
    operator: str
    #: as JSON, so that equal values are equal atoms
    value: str

    @property
    def said(self) -> Any:
        """The value as the policy has it."""
        return json.loads(self.value)


Atoms: TypeAlias = frozenset[Atom]


def atoms_of(condition: Condition | None) -> Atoms:
    """Every test that must hold for ``condition`` to hold; none for a condition that always holds."""
    if condition is None:
        return frozenset()
    if condition.all is not None:
        return frozenset[Atom]().union(*(atoms_of(part) for part in condition.all))
    if condition.field:
        operator, value = condition.operator, condition.value
        if operator == "one_of" and len(value) == 1:
            operator, value = "equals", value[0]
        if operator == "one_of":
            value = sorted(value, key=str)
        return frozenset({Atom(field=condition.field, operator=operator, value=json.dumps(value, default=str))})
    kind = "any" if condition.any is not None else "not"
    return frozenset({Atom(field="", operator=kind, value=condition.model_dump_json(by_alias=True))})


def impossible(atoms: Atoms) -> str:
    """Which field nothing can meet ``atoms`` in, "" if something can, as far as this can tell."""
    for field in sorted({atom.field for atom in atoms} - {""}):
        own = [atom for atom in atoms if atom.field == field]
        exact = [_folded(atom.said) for atom in own if atom.operator == "equals"]
        if field not in _LISTS and len({json.dumps(value) for value in exact}) > 1:
            return field
        for value in exact:
            if field not in _LISTS and not all(_allows(atom, value) for atom in own):
                return field
        low, high = _range(own)
        if low > high:
            return field
    return ""


def _range(own: Sequence[Atom]) -> tuple[float, float]:
    low, high = float("-inf"), float("inf")
    for atom in own:
        value = atom.said
        match atom.operator:
            case "at_least" | "greater":
                low = max(low, float(value))
            case "at_most" | "less":
                high = min(high, float(value))
            case "between":
                low, high = max(low, float(value[0])), min(high, float(value[1]))
    return low, high


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _allows(atom: Atom, value: Any) -> bool:
    """Whether a field that equals ``value`` can meet ``atom``; True where it cannot be told."""
    said = atom.said
    match atom.operator:
        case "not_equals":
            return bool(_folded(said) != value)
        case "one_of":
            return value in [_folded(item) for item in said]
        case "none_of":
            return value not in [_folded(item) for item in said]
        case "exists":
            return bool(value) is said or isinstance(value, bool | int | float)
        case "contains":
            return str(said).casefold() in str(value)
        case "starts_with":
            return str(value).startswith(str(said).casefold())
        case "ends_with":
            return str(value).endswith(str(said).casefold())
        case "at_least" | "greater" | "at_most" | "less" | "between":
            low, high = _range([atom])
            return not isinstance(value, int | float) or low <= value <= high
    return True


def includes(higher: Atoms, lower: Atoms) -> bool:
    """True if ``higher`` holds wherever ``lower`` does: each of its tests is one of the lower's, or wider."""
    return all(wanted in lower or any(_wider(wanted, atom) for atom in lower) for wanted in higher)


def _wider(wanted: Atom, atom: Atom) -> bool:
    if wanted.field != atom.field or not wanted.field or wanted.field in _LISTS:
        return False
    if atom.operator == "equals":
        return wanted.operator in {"one_of", "none_of", "not_equals"} and _allows(wanted, _folded(atom.said))
    if atom.operator == "one_of" and wanted.operator == "one_of":
        return {_folded(item) for item in atom.said} <= {_folded(item) for item in wanted.said}
    return False


def overruled(higher: OutcomeSettings, lower: OutcomeSettings) -> Iterator[str]:
    """What ``lower`` sets in vain wherever ``higher`` holds too: the higher one sets it to something else (C1)."""
    for name in OutcomeSettings.model_fields:
        mine, theirs = getattr(lower, name), getattr(higher, name)
        if name not in _GATHERED and mine not in (None, "") and theirs not in (None, "") and mine != theirs:
            yield name
