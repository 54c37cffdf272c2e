"""Kinds of tasks, which open ones the client has, and the timers of overdue ones (A3, A5, X10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from hub.core.interaction import ClientId, InteractionId
from hub.core.outcome import Place, WordList
from hub.core.part import Duration, Part
from hub.core.plan import StepKey
from hub.core.records import EmployeeId, Task
from hub.core.slots import by_slots
from hub.core.text import LocalText

if TYPE_CHECKING:
    from hub.core.policy import Policy
    from hub.core.snapshot import Snapshot

__all__ = ["OpenTask", "Overdue", "Recognise", "TaskKey", "TaskKind", "deadline", "open_tasks", "parse_task_key"]

#: a task that no kind recognises; people's own tasks are of this family (A3)
ORDINARY = "ordinary"


class Recognise(Part):
    """By what a task in the CRM, made by a person too, is known to be of a kind (A3)."""

    #: the CRM's task types, by name or code
    types: tuple[str, ...] = ()
    #: parts of the task's text, in any case
    texts: tuple[str, ...] = ()

    def knows(self, task: Task, type_names: frozenset[str]) -> bool:
        """True if ``task`` is of this kind; ``type_names`` are name, code and id of its type in lower case."""
        if any(name.casefold() in type_names for name in self.types):
            return True
        text = task.text.casefold()
        return any(part.casefold() in text for part in self.texts)


class Overdue(Part):
    """What happens when a task is still open some time after its deadline: the same task all the way (X10)."""

    #: past the deadline, in the clock of the task's kind
    after: Duration
    #: who is told; ``assignee`` is who has the task
    notify: WordList = ()
    #: to whom the task moves, the first of them who can take it
    move_to: WordList = ()
    #: the moved task's new deadline, from then; None leaves it
    due: Duration | None = None


class TaskKind(Part):
    """A kind of task that rows and rules may ask for."""

    text: LocalText
    #: the CRM's type of task, by name or code; "" = its default
    type: str = ""
    due: Duration = timedelta(hours=4)
    #: ``working``: only working time passes, out of hours it counts from the next opening (A4)
    clock: Literal["wall", "working"] = "wall"
    on: Place = "auto"
    #: made as already done, with the interaction's time (the standard matrix's "completed task")
    completed: bool = False
    #: what stands as the result of a completed task
    result: LocalText = ""
    #: only one of a family may be open per client and assignee (A3); "" = every kind for itself
    family: str = ""
    unique: bool = True
    #: it is a wish to reach the client: done as soon as any channel reached them (A5, X10)
    until_reached: bool = False
    recognise: Recognise = Recognise()
    overdue: tuple[Overdue, ...] = ()


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKey:
    """A task's step key, taken apart: ``{client}/task/{kind}/{assignee}/{opener}`` (DESIGN 2)."""

    client: str
    kind: str
    assignee: str
    opener: str

    def __str__(self) -> str:
        return f"{self.client}/task/{self.kind}/{self.assignee}/{self.opener}"


def task_key(client: ClientId, kind: str, assignee: EmployeeId | None, opener: InteractionId) -> StepKey:
    """The key of a task that this interaction opens; "nobody" stands for the CRM's own choice."""
    return StepKey(f"{client}/task/{kind}/{assignee or 'nobody'}/{opener}")


_KEY = re.compile(r"(.+)/task/([^/]+)/([^/]+)/(.+)")


def parse_task_key(key: str) -> TaskKey | None:
    """The parts of ``key``, None if it is another step's."""
    found = _KEY.fullmatch(key)
    return TaskKey(client=found[1], kind=found[2], assignee=found[3], opener=found[4]) if found else None


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task of the client that nobody has finished."""

    task: Task
    #: the policy's kind, "" if none recognises it
    kind: str
    family: str
    #: the hub's own step, None for a task that people made
    key: TaskKey | None = None


def open_tasks(snapshot: Snapshot, policy: Policy) -> tuple[OpenTask, ...]:
    """The client's open tasks on contacts and deals together, people's too (A3)."""
    if not snapshot.tasks and not snapshot.history.open_task_keys:
        return ()
    own = {task_id: found for key, task_id in snapshot.history.open_task_keys.items() if (found := parse_task_key(key))}
    tasks = [task for task in snapshot.tasks if task.is_open]
    if not tasks and not own:
        return ()
    types = _type_names(snapshot)
    result = []
    for task in tasks:
        key = own.pop(task.id, None)
        kind = key.kind if key else _recognised(task, types.get(task.type_id, frozenset({task.type_id})), policy)
        result.append(OpenTask(task=task, kind=kind, family=_family(kind, policy), key=key))
    closed = {task.id for task in snapshot.tasks if not task.is_open}
    for task_id, key in own.items():
        # the hub made it and the directory does not show it yet
        if task_id not in closed:
            assignee = None if key.assignee == "nobody" else EmployeeId(key.assignee)
            task = Task(id=task_id, responsible=assignee)
            result.append(OpenTask(task=task, kind=key.kind, family=_family(key.kind, policy), key=key))
    return tuple(result)


def _recognised(task: Task, type_names: frozenset[str], policy: Policy) -> str:
    for name, kind in policy.tasks.items():
        if not kind.completed and kind.recognise.knows(task, type_names):
            return name
    return ""


def _family(kind: str, policy: Policy) -> str:
    found = policy.tasks.get(kind)
    return ORDINARY if found is None else found.family or kind


def _type_names(snapshot: Snapshot) -> Mapping[str, frozenset[str]]:
    return {
        found.id: frozenset({found.id, found.name.casefold(), found.code.casefold()})
        for found in snapshot.catalogue.task_types
    }


def deadline(kind: TaskKind, since: datetime, policy: Policy, due: timedelta | None = None) -> datetime:
    """When a task of ``kind`` has to be done: from ``since``, in wall or working time (A4, Z18)."""
    span = kind.due if due is None else due
    return policy.company_hours.after(since, span) if kind.clock == "working" else since + span
