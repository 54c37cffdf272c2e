"""What an employee wants done from a card or a popup, as actions like any others (U1): take, create, task, close, move.

What a person wanted is theirs: no later decision takes it back (`hub.core.revise`). Records are made as the policy
makes them, under the keys that a decision would use, so that a person and a decision never make two of one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from hub.core.assign import assign
from hub.core.card import make_contact, make_deal
from hub.core.facts import establish
from hub.core.interaction import ClientId, Interaction
from hub.core.making import Making
from hub.core.outcome import Outcome, TaskWish
from hub.core.plan import (
    Action,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Plan,
    Reason,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.planning import make_tasks
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, Task
from hub.core.revise import BY_HAND
from hub.core.rota import NO_TURNS
from hub.core.tasks import parse_task_key
from hub.core.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hub.core.policy import Policy
    from hub.core.snapshot import Snapshot

__all__ = [
    "What",
    "call_back",
    "call_back_kind",
    "complete",
    "create",
    "joined_to",
    "personal_key",
    "read_personal_key",
    "reschedule",
    "reworded",
    "take",
]

#: what was done, as it stands in keys
What: TypeAlias = Literal["take", "close", "move"]


def personal_key(client: ClientId, employee: EmployeeId, request: str, what: What, record: str) -> StepKey:
    """The key of a step that changes ``record`` because ``employee`` wanted it; the same request is the same step."""
    return StepKey(f"{client}~by/{employee}/{request}/{what}/{record}")


def read_personal_key(key: str) -> tuple[EmployeeId, str, str] | None:
    """Employee, request and what of a `personal_key`; None for another key."""
    _, mark, rest = key.partition("~by/")
    parts = rest.split("/")
    return (EmployeeId(parts[0]), parts[1], parts[2]) if mark and len(parts) > 3 else None


def take(
    client: ClientId,
    employee: EmployeeId,
    request: str,
    *,
    contact: Contact | None,
    deals: Sequence[Deal],
    unclaimed: Deal | None = None,
) -> tuple[Action, ...]:
    """The client's contact and open deals become ``employee``'s; an unclaimed deal is accepted too (W2)."""
    reason = _because(employee, request)
    actions: list[Action] = []
    accepting: StepKey | None = None
    for deal in deals:
        is_unclaimed = unclaimed is not None and deal.id == unclaimed.id
        if deal.responsible == employee and not is_unclaimed:
            continue
        key = personal_key(client, employee, request, "take", f"deal/{deal.id}")
        actions.append(UpdateDeal(key=key, deal=deal.ref, responsible=employee, accepts=is_unclaimed, reason=reason))
        accepting = key if is_unclaimed else accepting
    if contact is not None and contact.responsible != employee:
        key = personal_key(client, employee, request, "take", f"contact/{contact.id}")
        actions.append(
            UpdateContact(key=key, contact=contact.ref, responsible=employee, after=accepting, reason=reason)
        )
    return tuple(actions)


def create(
    interaction: Interaction,
    snapshot: Snapshot,
    policy: Policy,
    now: datetime,
    *,
    client: ClientId,
    employee: EmployeeId,
    request: str,
    what: frozenset[str],
    name: str = "",
) -> tuple[Action, ...]:
    """The contact and the deal that are missing, as the policy makes them, ``employee``'s; pure and total.

    A deal brings the contact that it hangs on. Whatever is there already is not made again (A14).
    """
    facts = establish(interaction, snapshot, policy, now)
    outcome = Outcome(contact=True, deal="create" if "deal" in what else "none", responsible=(employee,))
    people = assign(facts, outcome, NO_TURNS, policy, now)
    making = Making(
        verdict=Verdict(outcome=outcome, because=_because(employee, request)),
        facts=facts,
        people=people,
        client=client,
        since=now,
    )
    make_contact(making)
    make_deal(making)
    made: list[Action] = []
    for action in making.actions:
        match action:
            case CreateContact():
                made.append(
                    replace(action, name=name or action.name, responsible=employee, reason=_because(employee, request))
                )
            case CreateDeal():
                made.append(
                    replace(action, responsible=employee, is_unsorted=False, reason=_because(employee, request))
                )
            case _:
                pass
    return tuple(made)


def call_back_kind(policy: Policy) -> str:
    """The policy's kind of task that is a wish to reach the client; "" if it has none."""
    kinds = [name for name in policy.tasks if policy.is_call_back(name)]
    return "call_back" if "call_back" in kinds else next(iter(kinds), "")


def call_back(
    interaction: Interaction,
    snapshot: Snapshot,
    policy: Policy,
    now: datetime,
    *,
    client: ClientId,
    employee: EmployeeId,
    request: str,
    text: str = "",
    due: datetime | None = None,
) -> Plan:
    """One task on ``employee`` to call the client back, unless they have one open (A3, X10); pure and total."""
    kind = call_back_kind(policy)
    outcome = Outcome(
        deal="none", contact=False, responsible=(employee,), tasks=(TaskWish(task=kind, assignees=(employee,)),)
    )
    facts = establish(interaction, snapshot, policy, now)
    people = assign(facts, outcome, NO_TURNS, policy, now)
    verdict = Verdict(outcome=outcome, because=_because(employee, request))
    plan = make_tasks(verdict, facts, people, client, since=now)
    reason = _because(employee, request)
    tasks = tuple(
        replace(
            action,
            assignee=employee,
            text=text or action.text,
            due_at=due or action.due_at,
            reason=reason,
        )
        for action in plan.actions
        if isinstance(action, CreateTask)
    )
    return replace(plan, actions=tasks, due=plan.due if due is None else {})


def joined_to(plan: Plan, making: Sequence[StepKey]) -> Plan:
    """``plan`` with its tasks under the keys of such tasks that are on their way already for the same employee: one
    that the directory cannot know yet is not made beside them (A3)."""
    on_the_way = {(key.kind, key.assignee): str(key) for one in making if (key := parse_task_key(one)) is not None}
    keys: dict[str, StepKey] = {}
    for action in plan.actions:
        key = parse_task_key(action.key)
        if key is not None and (other := on_the_way.get((key.kind, key.assignee))) is not None:
            keys[action.key] = StepKey(other)
    due = {
        next((key.replace(old, new, 1) for old, new in keys.items() if key.startswith(f"{old}/")), key): at
        for key, at in plan.due.items()
    }
    actions = tuple(replace(action, key=keys.get(action.key, action.key)) for action in plan.actions)
    return replace(plan, actions=actions, due=due)


def reworded(
    plan: Plan,
    left: Collection[str],
    client: ClientId,
    employee: EmployeeId,
    request: str,
    *,
    text: str,
    due: datetime | None,
) -> tuple[UpdateTask, ...]:
    """What ``employee`` said of those tasks of ``plan`` that have ``left`` (keys) in the hub's own words: it follows as
    soon as the task is there."""
    return tuple(
        UpdateTask(
            key=personal_key(client, employee, request, "move", action.key),
            task=NewRecord(kind=RecordKind.TASK, key=action.key),
            text=text or None,
            due_at=due,
            reason=_because(employee, request),
        )
        for action in plan.actions
        if action.key in left and (text or due)
    )


def complete(client: ClientId, employee: EmployeeId, request: str, task: Task, result: str = "") -> CompleteTask:
    """``employee`` says that the task is done."""
    return CompleteTask(
        key=personal_key(client, employee, request, "close", task.id),
        task=task.ref,
        result=result,
        reason=_because(employee, request),
    )


def reschedule(client: ClientId, employee: EmployeeId, request: str, task: Task, due: datetime) -> UpdateTask:
    """``employee`` moves the task's deadline."""
    return UpdateTask(
        key=personal_key(client, employee, request, "move", task.id),
        task=task.ref,
        due_at=due,
        reason=_because(employee, request),
    )


def _because(employee: EmployeeId, request: str) -> Reason:
    return Reason(code=BY_HAND, values={"employee": employee, "request": request}, requirement="U1")
