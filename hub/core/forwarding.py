"""Whom to ring before anyone is rung: the responsible, if they can be (R2, R5, X11, DESIGN 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from hub.core.assign import is_absent, standing_in
from hub.core.phone import Phone
from hub.core.plan import Candidate, Reason
from hub.core.records import EmployeeId
from hub.core.slots import by_slots
from hub.core.snapshot import History

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Answer", "Holder", "HolderDeal", "answer", "is_owned"]


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class HolderDeal:
    """An open deal of a holder, as far as forwarding cares."""

    id: str
    responsible: EmployeeId | None = None
    updated_at: datetime | None = None


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A contact or company that holds the caller's number."""

    id: str
    responsible: EmployeeId | None = None
    open_deals: tuple[HolderDeal, ...] = ()
    #: when this was read from the CRM
    seen_at: datetime | None = None
    #: further responsible employees are preferred by fullness, then by age (A9)
    fullness: int = 0
    created_at: datetime | None = None


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where to send the caller; ``destination`` "" lets the telephony's scheme go on."""

    destination: str = ""
    employee: EmployeeId | None = None
    #: everybody who was considered, in order, and why they were passed over (X1)
    candidates: tuple[Candidate, ...] = ()
    #: why the answer is what it is
    reason: Reason = Reason(code="new_client", requirement="R5")
    #: how old the oldest fact behind it is (X9); None if nothing was read
    age: timedelta | None = None


_NOBODY = Reason(code="nobody_to_ring", requirement="R2")
_OFF = Reason(code="forwarding_is_off")
_SHARED = Reason(code="shared_number", requirement="X12")
_INTERNAL = Reason(code="internal_call", requirement="R6")
_ANONYMOUS = Reason(code="no_number", requirement="R2")


def answer(caller: Phone | None, holders: Sequence[Holder], history: History, policy: Policy, now: datetime) -> Answer:
    """Whom to ring for ``caller``, whom ``holders`` of the directory hold; empty for a new client (R5)."""
    settings = policy.forwarding
    if not settings.enabled:
        return Answer(reason=_OFF)
    if caller is None:
        return Answer(reason=_ANONYMOUS)
    if caller in policy.people.by_phone:
        return Answer(reason=_INTERNAL)
    if caller in policy.shared_numbers:
        return Answer(reason=_SHARED)
    age = _age(holders, now)
    candidates: list[Candidate] = []
    for role in settings.order:
        employee = _whose(role, holders, history)
        if employee is None:
            continue
        found = _ring(employee, role, policy, now, candidates)
        if found is not None:
            reason = candidates[-1].reason
            return Answer(destination=found[1], employee=found[0], candidates=tuple(candidates), reason=reason, age=age)
        # the first known responsible decides: a colleague is not rung instead, the scheme goes on
        return Answer(candidates=tuple(candidates), reason=_NOBODY, age=age)
    if not holders and history.last_talked is None:
        return Answer(age=age)
    return Answer(candidates=tuple(candidates), reason=_NOBODY, age=age)


def is_owned(holders: Sequence[Holder]) -> bool:
    """Whether anybody is responsible for one of ``holders`` or their open deals."""
    for holder in holders:
        if holder.responsible is not None:
            return True
        for deal in holder.open_deals:
            if deal.responsible is not None:
                return True
    return False


def _age(holders: Sequence[Holder], now: datetime) -> timedelta | None:
    oldest: datetime | None = None
    for holder in holders:
        seen = holder.seen_at
        if seen is not None and (oldest is None or seen < oldest):
            oldest = seen
    return None if oldest is None else now - oldest


def _whose(role: str, holders: Sequence[Holder], history: History) -> EmployeeId | None:
    """Whose the caller is by ``role``, the best of several."""
    if role == "last_talked":
        return history.last_talked
    if role == "deal":
        return _whose_deal(holders)
    # a number has one holder almost always
    if len(holders) == 1:
        return holders[0].responsible
    known = [holder for holder in holders if holder.responsible is not None]
    return min(known, key=_by_fullness).responsible if known else None


def _whose_deal(holders: Sequence[Holder]) -> EmployeeId | None:
    best: HolderDeal | None = None
    for holder in holders:
        for deal in holder.open_deals:
            if deal.responsible is not None and (best is None or _by_update(deal) < _by_update(best)):
                best = deal
    return None if best is None else best.responsible


def _by_fullness(holder: Holder) -> tuple[int, float, str]:
    return -holder.fullness, _time(holder.created_at), holder.id


def _by_update(deal: HolderDeal) -> tuple[float, str]:
    return -_time(deal.updated_at), deal.id


def _time(at: datetime | None) -> float:
    return at.timestamp() if at is not None else 0.0


def _ring(
    employee: EmployeeId, role: str, policy: Policy, now: datetime, candidates: list[Candidate]
) -> tuple[EmployeeId, str] | None:
    """The employee, or their deputy, with the destination; None if neither can be rung."""
    failure = _cannot(employee, policy, now)
    if failure is None:
        candidates.append(_candidate(employee, role, "", True))
        return employee, policy.destinations[employee]
    candidates.append(_candidate(employee, role, failure, False))
    if not policy.forwarding.deputies or failure not in {"absent", "off_shift"}:
        return None
    deputy = standing_in(employee, policy, now, frozenset())
    if deputy is None or deputy == employee:
        return None
    failure = _cannot(deputy, policy, now)
    candidates.append(_candidate(deputy, "deputy", failure or "", failure is None))
    return None if failure else (deputy, policy.destinations[deputy])


def _cannot(employee: EmployeeId, policy: Policy, now: datetime) -> str | None:
    """Why ``employee`` cannot be rung now, None if they can."""
    known = policy.people.by_id.get(employee)
    if known is None:
        return "unknown_employee"
    if employee not in policy.destinations:
        return "no_destination"
    if employee in policy.absences and is_absent(employee, policy, now):
        return "absent"
    if policy.forwarding.working_hours:
        hours = policy.hours_of(known.schedule) if known.schedule else policy.company_hours
        if hours is not None and not hours.is_open(now):
            return "off_shift"
    return None


@lru_cache(8192)
def _candidate(employee: EmployeeId, role: str, failure: str, is_chosen: bool) -> Candidate:
    reason = Reason(code=failure or f"{role}_responsible", requirement="R2")
    return Candidate(employee=employee, role=role, is_chosen=is_chosen, reason=reason)
