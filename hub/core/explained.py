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


#: what an explanation shows first, and whether the CRM told it
_SHOWN: tuple[tuple[str, bool], ...] = (
    ("kind", False), ("direction", False), ("disposition", False), ("is_callback", False), ("is_internal", False),
    ("answered_by", False), ("caller", False), ("answered_at", False), ("at_unknown_destination", False),
    ("is_transferred", False), ("line", False), ("department", False), ("dialled_owner", False),
    ("is_new_client", True), ("deal_responsible", True), ("contact_responsible", True), ("has_open_deal", True),
    ("had_deals", True), ("has_open_call_back", True), ("has_open_task", True), ("last_talked", False),
)  # fmt: skip


def shown_facts(facts: Facts) -> tuple[Fact, ...]:
    """The facts of a decision as they were seen, those of the CRM with their age."""
    seen_at = facts.snapshot.seen_at
    return tuple(
        [
            _fact(name, value, seen_at if is_of_crm else None)
            for (name, is_of_crm), value in zip(_SHOWN, _read_shown(facts), strict=True)
            if value or name in _ALWAYS_SHOWN
        ]
    )


_read_shown = attrgetter(*(name for name, _ in _SHOWN))
_ALWAYS_SHOWN = frozenset({"is_new_client", "has_open_deal"})


@lru_cache(4096)
def _fact(name: str, value: object, seen_at: datetime | None) -> Fact:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return Fact(name=name, value=text, seen_at=seen_at)
