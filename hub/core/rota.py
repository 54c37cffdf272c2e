"""Turns: who of a group is next, evenly under weights (J3, W3).

Every turn moves its taker on by 1/weight; the least advanced is next, at a tie the one who waited longest. Who was
not eligible at the group's last turn starts level with the lowest of those who were, so that a day off is neither
made up for nor punished. Nobody is ever further ahead than one turn of their own, also when weights change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from hub.core.records import EmployeeId

__all__ = ["NO_TURNS", "Rota", "next_in_turn"]

_LAST = "#turn"
_PRESENT = "#present"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rota:
    """What assignment needs to know besides facts and policy."""

    #: the state of turns by group, as `hub.core.plan.Plan.turns` left it
    turns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: open deals or unanswered chats per employee, for capacity; who is missing has none
    loads: Mapping[EmployeeId, int] = field(default_factory=dict)
    #: whom an earlier decision about this interaction took from a group: it takes no second turn (C8)
    chosen: Mapping[str, EmployeeId] = field(default_factory=dict)


#: nobody ever took a turn
NO_TURNS = Rota()


def next_in_turn(
    state: Mapping[str, str], eligible: Sequence[tuple[EmployeeId, int]]
) -> tuple[EmployeeId, Mapping[str, str]]:
    """Who of ``eligible`` (employee, weight; at least one, in the group's order) is next, and the state after it."""
    present = set(filter(None, state.get(_PRESENT, "").split("|")))
    turn = int(state.get(_LAST, "0")) + 1
    taken: dict[str, tuple[Fraction, int]] = {}
    for key, value in state.items():
        if not key.startswith("#"):
            advanced, last = value.split("@")
            taken[key] = Fraction(advanced), int(last)
    staying = [taken[employee][0] for employee, _ in eligible if employee in present and employee in taken]
    level = min(staying, default=Fraction(0))
    for employee, weight in eligible:
        if employee not in present or employee not in taken:
            taken[employee] = level, taken.get(employee, (level, 0))[1]
        else:
            far, when = taken[employee]
            taken[employee] = min(far, level + Fraction(1, weight)), when
    chosen, weight = min(eligible, key=lambda one: taken[one[0]])
    taken[chosen] = taken[chosen][0] + Fraction(1, weight), turn
    # what all have in common says nothing: keep the numbers small
    lowest = min(taken[employee][0] for employee, _ in eligible)
    after = {employee: f"{max(advanced - lowest, Fraction(0))}@{last}" for employee, (advanced, last) in taken.items()}
    after[_LAST] = str(turn)
    after[_PRESENT] = "|".join(employee for employee, _ in eligible)
    return chosen, after
