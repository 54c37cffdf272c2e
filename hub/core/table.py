"""Conditions answered once for each combination of facts that they ask about.

Fifty rows that ask for direction, line and flags meet few combinations of values in a project's life: what each row
says to a combination is remembered. Rows that ask about anything with many values (texts, numbers, the time) are
asked every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from hub.core.condition import Condition
from hub.core.field import FEW_VALUES, find_field
from hub.core.plan import Trial

if TYPE_CHECKING:
    from hub.core.facts import Facts

__all__ = ["Asked", "Table"]

_REMEMBERED = 4096


class Asked(Protocol):
    """A row or a rule."""

    @property
    def fails(self) -> Callable[[Facts], Trial | None]: ...
    @property
    def asks(self) -> frozenset[str]: ...


def fields_asked(condition: Condition | None) -> frozenset[str]:
    """The names of all fields that ``condition`` asks about."""
    if condition is None:
        return frozenset()
    if condition.field:
        return frozenset({condition.field})
    parts = [*(condition.all or ()), *(condition.any or ())]
    if condition.not_ is not None:
        parts.append(condition.not_)
    return frozenset().union(*(fields_asked(part) for part in parts))


@dataclass(kw_only=True, eq=False)
class Table:
    """Rows or rules in order, with what they said before."""

    entries: Sequence[Asked]
    _read: Callable[[Facts], Any] = field(init=False)
    _is_remembered: tuple[bool, ...] = field(init=False)
    _are_all_remembered: bool = field(init=False)
    _known: dict[Any, tuple[Trial | None, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._is_remembered = tuple(entry.asks <= FEW_VALUES for entry in self.entries)
        self._are_all_remembered = all(self._is_remembered)
        names = {name for entry in self.entries if entry.asks <= FEW_VALUES for name in entry.asks}
        paths = sorted(found.path for name in names if (found := find_field(name)) is not None)
        self._read = attrgetter(*paths) if paths else _nothing

    def losses(self, facts: Facts) -> Sequence[Trial | None]:
        """For each entry None where it holds, else the trial that shows what failed."""
        key = self._read(facts)
        known = self._known.get(key)
        if known is None:
            known = tuple(
                [
                    entry.fails(facts) if few else None
                    for entry, few in zip(self.entries, self._is_remembered, strict=True)
                ]
            )
            if len(self._known) < _REMEMBERED:
                self._known[key] = known
        if self._are_all_remembered:
            return known
        return [
            loss if few else entry.fails(facts)
            for entry, few, loss in zip(self.entries, self._is_remembered, known, strict=True)
        ]


def _nothing(facts: Facts) -> None:
    return None
