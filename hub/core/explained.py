"""What an explanation keeps of a decision: the facts seen and whoever was considered (X1)."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from hub.core.plan import Candidate, Fact

if TYPE_CHECKING:
    from hub.core.assign import Assigned
    from hub.core.facts import Facts

__all__ = ["shown_candidates", "shown_facts"]


def shown_candidates(people: Assigned) -> tuple[Candidate, ...]:
    """Each candidate of a role once, in order."""
    found: dict[tuple[str, str, bool], Candidate] = {}
    for candidate in people.candidates:
        found.setdefault((candidate.employee, candidate.role, candidate.is_chosen), candidate)
    return tuple(found.values())


#: what an explanation shows: first what the channel told, then what the CRM did
_TOLD = (
    "kind", "direction", "disposition", "is_callback", "is_internal", "answered_by", "caller", "answered_at",
    "at_unknown_destination", "is_transferred", "line", "department", "dialled_owner",
)  # fmt: skip
_OF_CRM = (
    "is_new_client", "deal_responsible", "contact_responsible", "has_open_deal", "had_deals", "has_open_call_back",
    "has_open_task",
)  # fmt: skip
_ALWAYS_SHOWN = frozenset({"is_new_client", "has_open_deal"})
_read_told, _read_of_crm = attrgetter(*_TOLD), attrgetter(*_OF_CRM)


def shown_facts(facts: Facts) -> tuple[Fact, ...]:
    """The facts of a decision as they were seen, those of the CRM with their age."""
    seen_at, last_talked = facts.snapshot.seen_at, facts.last_talked
    of_crm = [
        _fact(name, value, seen_at)
        for name, value in zip(_OF_CRM, _read_of_crm(facts), strict=True)
        if value or name in _ALWAYS_SHOWN
    ]
    if last_talked:
        of_crm.append(_fact("last_talked", last_talked, None))
    return (*_facts_told(_read_told(facts)), *of_crm)


@lru_cache(1024)
def _facts_told(values: tuple[object, ...]) -> tuple[Fact, ...]:
    """Calls are of few kinds, at few places."""
    return tuple(_fact(name, value, None) for name, value in zip(_TOLD, values, strict=True) if value)


@lru_cache(4096)
def _fact(name: str, value: object, seen_at: datetime | None) -> Fact:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return Fact(name=name, value=text, seen_at=seen_at)
