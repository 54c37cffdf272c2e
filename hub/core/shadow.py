"""What a hub that only watches would have done, beside what another integration did (X2).

One decision in shadow is compared with the client's records before and after: whose the contact and the deal are,
whether a deal was made, who has a task. Only what the CRM shows can be compared; the rest is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from hub.core.interaction import Interaction
from hub.core.plan import CreateContact, CreateDeal, CreateTask, Plan, UpdateContact, UpdateDeal
from hub.core.records import Contact, Deal, EmployeeId, Task
from hub.core.snapshot import Snapshot

__all__ = ["ASPECTS", "DIFFERENCES", "Finding", "Verdict", "compare"]

#: what is compared, in the order of a report
ASPECTS = ("contact", "contact_responsible", "deal", "deal_responsible", "task")
#: how an aspect can differ
DIFFERENCES = (
    "contact_ours", "contact_theirs", "contact_responsible", "deal_ours", "deal_theirs", "deal_responsible",
    "task_theirs", "task_responsible",
)  # fmt: skip
#: what the other integration makes for a call, it makes within this time of the call's end
SOON = timedelta(hours=1)


class Verdict(StrEnum):
    """How an aspect of one decision stands."""

    AGREE = "agree"
    DIFFER = "differ"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One aspect of one decision."""

    aspect: str
    verdict: Verdict
    #: of `DIFFERENCES` where both differ; why it cannot be known where it cannot; "" where both agree
    code: str = ""
    #: employees, several joined by ", ", "" = nobody
    ours: str = ""
    theirs: str = ""


def compare(interaction: Interaction, plan: Plan, before: Snapshot, after: Snapshot | None) -> tuple[Finding, ...]:
    """How ``plan``, which was not written, compares with ``after``; None if nobody read the client's records since."""
    if interaction.client.is_empty:
        return _unknown("anonymous")
    if after is None or after.seen_at is None or after.seen_at < interaction.started_at:
        return _unknown("not_read_since")
    if not after.is_complete and not (after.contacts or after.companies):
        return _unknown("importing")
    made = [deal for deal in after.deals if _is_made(deal, interaction, before.deals)]
    return (
        *_contacts(interaction, plan, before, after),
        *_deals(plan, before, after, made),
        *_tasks(interaction, plan, before, after),
    )


def _unknown(code: str) -> tuple[Finding, ...]:
    return tuple(Finding(aspect=aspect, verdict=Verdict.UNKNOWN, code=code) for aspect in ASPECTS)


def _is_made(found: Contact | Deal | Task, interaction: Interaction, before: Sequence[Contact | Deal | Task]) -> bool:
    """True if ``found`` was made for this interaction: the other integration may be faster than our look."""
    at = found.created_at
    if at is not None:
        return interaction.started_at <= at <= interaction.moment + SOON
    return all(one.id != found.id for one in before)


def _whose(aspect: str, ours: EmployeeId | None, theirs: EmployeeId | None) -> Finding:
    is_same = ours == theirs
    return Finding(
        aspect=aspect,
        verdict=Verdict.AGREE if is_same else Verdict.DIFFER,
        code="" if is_same else aspect,
        ours=ours or "",
        theirs=theirs or "",
    )


def _contacts(interaction: Interaction, plan: Plan, before: Snapshot, after: Snapshot) -> Iterator[Finding]:
    wanted = next((action for action in plan.actions if isinstance(action, CreateContact)), None)
    known = before.contacts[0] if before.contacts else None
    there = next((one for one in after.contacts if known is None or one.id == known.id), None)
    is_theirs = there is not None and _is_made(there, interaction, before.contacts)
    if wanted is not None and there is None:
        yield Finding(aspect="contact", verdict=Verdict.DIFFER, code="contact_ours", ours=wanted.responsible or "")
    elif wanted is None and is_theirs and known is None:
        theirs = there.responsible if there is not None else None
        yield Finding(aspect="contact", verdict=Verdict.DIFFER, code="contact_theirs", theirs=theirs or "")
    else:
        yield Finding(aspect="contact", verdict=Verdict.AGREE)
    if there is None:
        return
    if wanted is not None:
        yield _whose("contact_responsible", wanted.responsible, there.responsible)
    elif known is not None:
        moved = (action.responsible for action in plan.actions if isinstance(action, UpdateContact))
        yield _whose("contact_responsible", next(filter(None, moved), known.responsible), there.responsible)


def _deals(plan: Plan, before: Snapshot, after: Snapshot, made: Sequence[Deal]) -> Iterator[Finding]:
    wanted = next((action for action in plan.actions if isinstance(action, CreateDeal)), None)
    if wanted is not None and not made:
        yield Finding(aspect="deal", verdict=Verdict.DIFFER, code="deal_ours", ours=wanted.responsible or "")
    elif wanted is None and made:
        yield Finding(aspect="deal", verdict=Verdict.DIFFER, code="deal_theirs", theirs=made[0].responsible or "")
    else:
        yield Finding(aspect="deal", verdict=Verdict.AGREE)
    if wanted is not None and made:
        yield _whose("deal_responsible", wanted.responsible, made[0].responsible)
    elif wanted is None and not made:
        for deal in before.deals:
            there = next((one for one in after.deals if one.id == deal.id), None)
            if deal.is_open and there is not None:
                moved = {
                    action.deal: action.responsible
                    for action in plan.actions
                    if isinstance(action, UpdateDeal) and action.responsible
                }
                yield _whose("deal_responsible", moved.get(deal.ref, deal.responsible), there.responsible)


def _tasks(interaction: Interaction, plan: Plan, before: Snapshot, after: Snapshot) -> Iterator[Finding]:
    """Open tasks only: no CRM's list shows what was made and done since."""
    ours = {
        action.assignee for action in plan.actions if isinstance(action, CreateTask) and action.completed_at is None
    }
    theirs = {task.responsible for task in after.tasks if task.is_open and _is_made(task, interaction, before.tasks)}
    said = {"ours": _names(ours), "theirs": _names(theirs)}
    if ours == theirs:
        yield Finding(aspect="task", verdict=Verdict.AGREE, **said)
    elif not theirs:
        yield Finding(aspect="task", verdict=Verdict.UNKNOWN, code="task_gone", **said)
    else:
        code = "task_responsible" if ours else "task_theirs"
        yield Finding(aspect="task", verdict=Verdict.DIFFER, code=code, **said)


def _names(employees: set[EmployeeId | None]) -> str:
    return ", ".join(sorted(one or "" for one in employees))
