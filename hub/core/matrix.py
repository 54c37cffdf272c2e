"""The table "situation -> what to create, for whom, by when": the first row that fits, and why the others did not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field as ModelField

from hub.core.condition import Condition, Surroundings, compile_condition
from hub.core.outcome import OutcomeSettings, shown
from hub.core.plan import Check, Trial
from hub.core.table import fields_asked
from hub.core.text import Language

if TYPE_CHECKING:
    from hub.core.facts import Facts

__all__ = ["CompiledRow", "Row", "compile_row", "first_fit"]


class Row(OutcomeSettings):
    """One situation and its outcome."""

    #: shown in every explanation; the presets use the requirement's number
    name: str = ModelField(min_length=1)
    #: the situation in words
    title: str = ""
    requirement: str = ""
    #: a row without a condition fits everything
    when: Condition | None = None


@dataclass(frozen=True, kw_only=True)
class CompiledRow:
    """A row ready to be tried."""

    name: str
    requirement: str
    #: None where the row fits, else the trial to show
    fails: Callable[[Facts], Trial | None]
    #: the attributes of `Outcome` that it sets
    sets: Mapping[str, Any]
    won: Trial
    #: the names of the fields that its condition asks about
    asks: frozenset[str]


def compile_row(row: Row, around: Surroundings, language: Language) -> CompiledRow:
    """``row`` with its condition as a function and its texts in ``language``."""
    requirement, sets = row.requirement or row.name, row.settled(language)

    def lost(check: Check) -> Trial:
        return Trial(name=row.name, has_won=False, failed=check, requirement=requirement)

    return CompiledRow(
        name=row.name,
        requirement=requirement,
        fails=compile_condition(row.when, around, lost),
        sets=sets,
        won=Trial(name=row.name, has_won=True, sets=shown(sets), requirement=requirement),
        asks=fields_asked(row.when),
    )


def first_fit(rows: Sequence[CompiledRow], losses: Sequence[Trial | None]) -> tuple[CompiledRow | None, list[Trial]]:
    """The first row that fits (None if none does) and every row tried until then; ``losses`` as `Table` tells them."""
    trials: list[Trial] = []
    for row, lost in zip(rows, losses, strict=True):
        if lost is None:
            trials.append(row.won)
            return row, trials
        trials.append(lost)
    return None, trials
