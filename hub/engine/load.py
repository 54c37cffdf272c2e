"""How much each employee has to do already, for turns that stop at a capacity (J3)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.plan import CreateDeal
from hub.core.records import EmployeeId
from hub.engine.projects import LiveConnection, LiveProject
from hub.store import steps, waiting
from hub.store.directory import Directory
from hub.store.holdings import employee_of

__all__ = ["Loads"]

#: a count of all open deals is used for so many times as long as it took, and at least for this
_WORTH = 50
_SHORTEST = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """The open deals of one account by employee, as the directory had them."""

    at: datetime
    until: datetime
    deals: Mapping[EmployeeId, int]


class Loads:
    """Counts what employees have, exactly as far as the hub itself gives it to them.

    The CRM's deals are counted now and then; what the hub has decided to make since, or is still making, is added
    every time, so that many clients who decide at once do not fill anybody beyond their capacity.
    """

    def __init__(self, directory: Directory, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._counts: dict[tuple[str, str], _Count] = {}

    def of(self, conn: Connection, project: LiveProject | None, name: str) -> Mapping[EmployeeId, int]:
        """The load of each employee in the CRM ``name``; {} where no employee of the policy has a capacity."""
        connection = project.connection(name) if project is not None else None
        if project is None or project.policy is None or connection is None:
            return {}
        if all(employee.capacity is None for employee in project.policy.employees):
            return {}
        if project.policy.assignment.load == "unanswered_chats":
            return waiting.count_by_employee(conn, project.name)
        known = self._open_deals(project.name, connection)
        load = Counter(known.deals)
        for step in steps.made_since(conn, project.name, name, known.at, kind="create_deal"):
            if isinstance(step.action, CreateDeal) and step.action.responsible is not None:
                load[step.action.responsible] += 1
        return load

    def _open_deals(self, project: str, connection: LiveConnection) -> _Count:
        key, now = (project, connection.name), self._clock.now()
        known = self._counts.get(key)
        if known is not None and known.at <= now < known.until:
            return known
        began = time.perf_counter()
        deals: Counter[EmployeeId] = Counter()
        for responsible, count in self._directory.count_open_deals(project, connection.name).items():
            employee = employee_of(responsible, connection.employees)
            if employee is not None:
                deals[employee] += count
        took = timedelta(seconds=time.perf_counter() - began)
        self._counts[key] = known = _Count(at=now, until=now + max(_SHORTEST, took * _WORTH), deals=deals)
        return known
