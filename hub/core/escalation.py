"""What becomes of a task that is still open after its deadline: reminded, moved, escalated (X10).

A plan names the moments in `Plan.due`; when one comes, the host asks here. It is always the same task that moves,
never one more.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from hub.core.assign import standing_in
from hub.core.interaction import ClientId
from hub.core.plan import Action, Nothing, Notify, Plan, Reason, StepKey, UpdateTask
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.core.tasks import OpenTask, TaskKey, TaskKind, deadline, open_tasks, parse_task_key

if TYPE_CHECKING:
    from hub.core.policy import Policy
    from hub.core.snapshot import Snapshot

__all__ = ["escalate"]

_MARK = "/overdue/"


def escalate(key: str, snapshot: Snapshot, policy: Policy, now: datetime, *, client_id: ClientId) -> Plan:
    """What to do when the moment ``key`` of a `Plan.due` has come; pure and total, `Nothing` if the task is done."""
    task_key, _, number = key.rpartition(_MARK)
    parsed = parse_task_key(task_key)
    kind = policy.tasks.get(parsed.kind) if parsed else None
    if parsed is None or kind is None or not number.isdigit() or int(number) >= len(kind.overdue):
        return _nothing(key, "timer_unknown")
    found = _find(parsed, task_key, snapshot, policy)
    if found is None:
        return _nothing(key, "task_is_done")
    return _step(key, task_key, int(number), found, kind, snapshot, policy, now)


def _find(parsed: TaskKey, key: str, snapshot: Snapshot, policy: Policy) -> OpenTask | None:
    """The very task: by its key, else the client's open one of that kind and assignee."""
    tasks = open_tasks(snapshot, policy)
    by_key = next((one for one in tasks if one.key is not None and str(one.key) == key), None)
    return by_key or next(
        (one for one in tasks if one.kind == parsed.kind and (one.task.responsible or "nobody") == parsed.assignee),
        None,
    )


def _step(
    key: str,
    task_key: str,
    number: int,
    found: OpenTask,
    kind: TaskKind,
    snapshot: Snapshot,
    policy: Policy,
    now: datetime,
) -> Plan:
    step, task = kind.overdue[number], found.task
    reason = Reason(code="task_overdue", values={"task": found.kind, "step": str(number + 1)}, requirement="X10")
    ref = RecordRef(kind=RecordKind.TASK, id=task.id)
    actions: list[Action] = []
    moved = _first(step.move_to, found, snapshot, policy, now)
    # an employee who has such a task for the client already gets no second one (A3)
    if moved is not None and moved != task.responsible and not _has_one(moved, found, snapshot, policy):
        due_at = deadline(kind, now, policy, step.due) if step.due is not None else None
        actions.append(UpdateTask(key=StepKey(f"{key}/move"), task=ref, assignee=moved, due_at=due_at, reason=reason))
    told = tuple(
        dict.fromkeys(one for word in step.notify if (one := _first((word,), found, snapshot, policy, now)) is not None)
    )
    if told:
        actions.append(Notify(key=StepKey(f"{key}/notify"), employees=told, text=task.text, on=task.on, reason=reason))
    due = {}
    if number + 1 < len(kind.overdue):
        # steps are told from the deadline: this one came at its own distance, the next comes at its own
        wait = kind.overdue[number + 1].after - step.after
        due[f"{task_key}{_MARK}{number + 1}"] = deadline(kind, now, policy, max(wait, wait * 0))
    if not actions:
        actions.append(Nothing(key=StepKey(f"{key}/nothing"), reason=reason))
    return Plan(actions=tuple(actions), responsible=moved or task.responsible, due=due)


def _has_one(employee: EmployeeId, found: OpenTask, snapshot: Snapshot, policy: Policy) -> bool:
    return any(
        one.family == found.family and one.task.responsible == employee and one.task.id != found.task.id
        for one in open_tasks(snapshot, policy)
    )


def _first(
    words: tuple[str, ...], found: OpenTask, snapshot: Snapshot, policy: Policy, now: datetime
) -> EmployeeId | None:
    """The first of ``words`` who is there, or who acts for them (X11)."""
    for word in words:
        if word == "assignee":
            named = found.task.responsible
        elif word in policy.roles:
            named = next((one for one in policy.roles[word] if one not in snapshot.inactive), None)
        else:
            named = EmployeeId(word) if word in policy.people.by_id else None
        if named is not None and named not in snapshot.inactive:
            return standing_in(named, policy, now, snapshot.inactive) or named
    return None


def _nothing(key: str, code: str) -> Plan:
    return Plan(actions=(Nothing(key=StepKey(f"{key}/nothing"), reason=Reason(code=code, requirement="X10")),))
