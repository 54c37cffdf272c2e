"""What an explanation keeps of a decision: the facts seen and whoever was considered (X1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from hub.core.plan import Candidate, Fact, Reason
from hub.core.records import EmployeeId

if TYPE_CHECKING:
    from hub.core.assign import Assigned
    from hub.core.facts import Facts

__all__ = ["shown_candidates", "shown_facts", "why_responsible"]


def shown_candidates(people: Assigned) -> tuple[Candidate, ...]:
    """Each candidate of a role once, in order."""
    found: dict[tuple[str, str, bool], Candidate] = {}
    for candidate in people.candidates:
        found.setdefault((candidate.employee, candidate.role, candidate.is_chosen), candidate)
    return tuple(found.values())


def why_responsible(candidates: Iterable[Candidate], responsible: EmployeeId) -> Reason | None:
    """Why it is ``responsible`` for whom an enquiry counts; None if nobody had to be chosen.

    Whom the new deal went to, or the task, may be others, for other reasons (A13).
    """
    chosen = [one for one in candidates if one.is_chosen and one.employee == responsible]
    return min(chosen, key=lambda one: one.role != "responsible").reason if chosen else None


#: what an explanation shows of what the channel told; what the CRM told follows
_TOLD = (
    "kind", "direction", "disposition", "is_callback", "is_internal", "answered_by", "caller", "answered_at",
    "at_unknown_destination", "is_transferred", "line", "department", "dialled_owner",
)  # fmt: skip
_read_told = attrgetter(*_TOLD)


def shown_facts(facts: Facts) -> tuple[Fact, ...]:
    """The facts of a decision as they were seen, those of the CRM with their age."""
    seen_at = facts.snapshot.seen_at
    found = [*_facts_told(_read_told(facts)), _fact("is_new_client", facts.is_new_client, seen_at)]
    if facts.deal_responsible:
        found.append(_fact("deal_responsible", facts.deal_responsible, seen_at))
    if facts.contact_responsible:
        found.append(_fact("contact_responsible", facts.contact_responsible, seen_at))
    found.append(_fact("has_open_deal", facts.has_open_deal, seen_at))
    if facts.had_deals:
        found.append(_fact("had_deals", True, seen_at))
    if facts.has_open_call_back:
        found.append(_fact("has_open_call_back", True, seen_at))
    if facts.has_open_task:
        found.append(_fact("has_open_task", True, seen_at))
    if facts.last_talked:
        found.append(_fact("last_talked", facts.last_talked, None))
    return tuple(found)


@lru_cache(1024)
def _facts_told(values: tuple[object, ...]) -> tuple[Fact, ...]:
    """Calls are of few kinds, at few places."""
    return tuple(_fact(name, value, None) for name, value in zip(_TOLD, values, strict=True) if value)


@lru_cache(4096)
def _fact(name: str, value: object, seen_at: datetime | None) -> Fact:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return Fact(name=name, value=text, seen_at=seen_at)
