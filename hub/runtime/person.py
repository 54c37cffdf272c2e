"""What employees are called when something is told to people."""

from __future__ import annotations

from dataclasses import dataclass

from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject

__all__ = ["Person", "names_of_project"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An employee as people know them; ``name`` is the id where nobody told the name."""

    id: EmployeeId
    name: str


def names_of_project(live: LiveProject) -> dict[EmployeeId, str]:
    """Every employee's name: the policy's, else that of the first CRM that knows one."""
    names: dict[EmployeeId, str] = {}
    for connection in reversed(live.connections):
        names.update({employee: name for employee, name in connection.names.items() if name})
    if live.policy:
        names.update(live.policy.names)
    return names
