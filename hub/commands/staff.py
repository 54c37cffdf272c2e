"""Employees as people type them: id, name or e-mail."""

from __future__ import annotations

from hub.core.employee import Employee
from hub.core.policy import Policy
from hub.errors import ConfigurationError

__all__ = ["find_employee"]


def find_employee(policy: Policy, text: str, *, option: str) -> Employee:
    """The employee whom ``text`` names; raises ConfigurationError that names ``option`` and lists whom there is."""
    low = text.strip().casefold()
    for employee in policy.employees:
        if low in (employee.id.casefold(), employee.name.casefold(), employee.email.casefold()):
            return employee
    known = ", ".join(f"{employee.name} ({employee.id})" for employee in policy.employees) or "none"
    raise ConfigurationError(f"the policy has no employee {text!r}; known: {known}", path=option)
