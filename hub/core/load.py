"""What decisions leave each employee with: enquiries, deals, tasks, and what nobody owns (X2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.core.plan import CompleteTask, CreateContact, CreateDeal, CreateTask, Plan
from hub.core.records import EmployeeId, RecordRef

__all__ = ["Gist", "Load", "Side", "gist_of"]


@dataclass(slots=True)
class Load:
    """What one employee has in the period."""

    interactions: int = 0
    deals: int = 0
    #: tasks that were made for them
    tasks: int = 0
    #: of these, the ones that nothing in the period closed by itself
    open_tasks: int = 0


@dataclass(slots=True)
class Gist:
    """Of a plan, what counts towards loads."""

    responsible: EmployeeId | None
    takes_turn: bool
    #: whose new contacts, deals and open tasks (by step)
    contacts: list[EmployeeId | None]
    deals: list[EmployeeId | None]
    tasks: list[tuple[str, EmployeeId | None]]
    #: ids of the tasks that it completes
    completes: list[str]

    @property
    def is_unowned(self) -> bool:
        """True if it makes something for nobody."""
        return None in self.contacts or None in self.deals or any(whose is None for _, whose in self.tasks)


def gist_of(plan: Plan) -> Gist:
    """The gist of ``plan``."""
    found = Gist(plan.responsible, bool(plan.turns or plan.chosen), [], [], [], [])
    for action in plan.actions:
        if isinstance(action, CreateTask):
            if action.completed_at is None:
                found.tasks.append((action.key, action.assignee))
        elif isinstance(action, CreateDeal):
            found.deals.append(action.responsible)
        elif isinstance(action, CreateContact):
            found.contacts.append(action.responsible)
        elif isinstance(action, CompleteTask) and isinstance(action.task, RecordRef):
            found.completes.append(action.task.id)
    return found


@dataclass(slots=True, kw_only=True)
class Side:
    """One of two worlds: what the employees have there."""

    loads: dict[EmployeeId, Load] = field(default_factory=dict)
    #: tasks that the period made, with whose they are, and tasks that it completed
    open: dict[str, EmployeeId | None] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    #: decisions that make something for nobody
    unowned: int = 0

    def load(self, employee: EmployeeId) -> Load:
        """The employee's load; made when first asked for."""
        found = self.loads.get(employee)
        if found is None:
            found = self.loads[employee] = Load()
        return found

    def close(self, gist: Gist, open_task_keys: Mapping[str, str]) -> None:
        """Note which tasks a decision completes: each of them, for later ones no longer see them open.

        ``open_task_keys`` are those that it saw (`hub.core.snapshot.History`).
        """
        for done in gist.completes:
            self.closed |= {key for key, id in open_task_keys.items() if id == done}

    def count(self, gist: Gist) -> None:
        """Take in the last decision about an interaction."""
        if gist.responsible is not None:
            self.load(gist.responsible).interactions += 1
        for key, assignee in gist.tasks:
            self.open[key] = assignee
            if assignee is not None:
                self.load(assignee).tasks += 1
        for responsible in gist.deals:
            if responsible is not None:
                self.load(responsible).deals += 1
        self.unowned += gist.is_unowned

    def settle(self) -> dict[EmployeeId, Load]:
        """The loads, with what is still open."""
        for key, employee in self.open.items():
            if employee is not None and key not in self.closed:
                self.load(employee).open_tasks += 1
        return self.loads
