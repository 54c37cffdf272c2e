"""An ended interaction is decided anew: on what was seen then, or on what the CRM holds now (X13, H4).

What was refused is decided on the CRM as it is now. What was finished is decided on what its decision saw, at the
moment of that decision: meanwhile the client was called back, deals were won, tasks closed, and none of that may turn
yesterday's missed call into a new call-back. Only where the rules now want a contact or deal that was never made, or
touch a record that is gone, the CRM of today counts, so that nothing is made that somebody has made since (A14).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from hub.core.decide import decide
from hub.core.interaction import ClientId, Interaction
from hub.core.plan import Action, CreateContact, CreateDeal, CreateTask, Nothing, Notify, Plan, Reason, Ref, StepKey
from hub.core.policy import Policy
from hub.core.records import RecordKind, RecordRef
from hub.core.revise import targets
from hub.core.rota import Rota
from hub.core.snapshot import Snapshot

__all__ = ["Redecided", "Then", "redecide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """What the last decision saw, and when it was made."""

    snapshot: Snapshot
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Redecided:
    """The plan of a replay, and the snapshot that it was made on."""

    plan: Plan
    snapshot: Snapshot


def redecide(
    interaction: Interaction,
    *,
    then: Then | None,
    current: Snapshot,
    done: Collection[StepKey],
    exists: Callable[[RecordRef], bool],
    rota: Rota,
    policy: Policy,
    now: datetime,
    client_id: ClientId,
) -> Redecided:
    """Decide ``interaction`` again; ``done`` are the keys of what is in the CRM already, which is never repeated."""
    if then is not None:
        # names, who has left the company and what a person undid are today's; the rest is what was seen
        history = replace(then.snapshot.history, refused=current.history.refused)
        seen = replace(
            then.snapshot, catalogue=current.catalogue, names=current.names, inactive=current.inactive, history=history
        )
        plan = decide(interaction, seen, rota, policy, then.at, client_id=client_id)
        if not _needs_today(plan, done, exists):
            return Redecided(plan=_without_late(plan, interaction, current, policy, done), snapshot=seen)
    plan = decide(interaction, current, rota, policy, now, client_id=client_id)
    return Redecided(plan=_without_late(plan, interaction, current, policy, done), snapshot=current)


def _needs_today(plan: Plan, done: Collection[StepKey], exists: Callable[[RecordRef], bool]) -> bool:
    """Whether ``plan`` would make a contact or deal that was not made then, or touch what is gone."""
    for action in plan.actions:
        if action.key in done:
            continue
        if isinstance(action, CreateContact | CreateDeal):
            return True
        if any(_is_gone(ref, exists) for ref in targets(action)):
            return True
    return False


def _is_gone(ref: Ref, exists: Callable[[RecordRef], bool]) -> bool:
    return isinstance(ref, RecordRef) and ref.kind is not RecordKind.TASK and not exists(ref)


def _without_late(
    plan: Plan, interaction: Interaction, current: Snapshot, policy: Policy, done: Collection[StepKey]
) -> Plan:
    """``plan`` without what would come too late: popups, and call-backs to a client who was reached since (X10)."""
    talked_at = current.history.last_talked_at
    is_reached = talked_at is not None and talked_at > interaction.moment
    actions: list[Action] = []
    for action in plan.actions:
        code = ""
        if action.key not in done:
            if isinstance(action, Notify):
                code = "too_late_to_notify"
            elif isinstance(action, CreateTask) and is_reached and action.completed_at is None:
                code = "reached_since" if policy.is_call_back(action.task) else ""
        actions.append(Nothing(key=action.key, reason=Reason(code=code)) if code else action)
    kept = {action.key for action in actions if isinstance(action, CreateTask)}
    # the looks at tasks that were made then have come, or will come, by themselves
    due = {
        key: at
        for key, at in plan.due.items()
        if (task := StepKey(key.rpartition("/overdue/")[0])) in kept and task not in done
    }
    return replace(plan, actions=tuple(actions), due=due)
