"""What the directory knows of one client, and the snapshot that is made of it (H6, X9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from hub.core.records import (
    Catalogue,
    Company,
    Contact,
    Deal,
    EmployeeId,
    RecordRef,
    Task,
    UserId,
    crm_user,
    user_of,
)
from hub.core.snapshot import History, Snapshot

__all__ = ["Holdings", "assemble", "employee_of"]

R = TypeVar("R", Contact, Company, Deal, Task)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """One client's records in one CRM; responsibles are still the CRM's users (`crm_user`)."""

    contacts: tuple[Contact, ...] = ()
    companies: tuple[Company, ...] = ()
    #: open and closed, of the contacts and companies above
    deals: tuple[Deal, ...] = ()
    #: open ones, of everything above
    tasks: tuple[Task, ...] = ()
    #: when the oldest of these facts, or their absence, was last known to be so; None if nothing was ever read
    seen_at: datetime | None = None
    #: records that the above point to and that the directory has not seen yet: read them
    missing: tuple[RecordRef, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True if the client is not known to the CRM, as far as the directory can tell."""
        return not (self.contacts or self.companies)


def employee_of(responsible: EmployeeId | None, employees: Mapping[UserId, EmployeeId]) -> EmployeeId | None:
    """The project's employee behind a responsible that a sink read; a user whom nobody bound stays as he is."""
    user = None if responsible is None else user_of(responsible)
    return responsible if user is None else employees.get(user, responsible)


def assemble(
    holdings: Holdings,
    *,
    connection: str,
    taken_at: datetime,
    catalogue: Catalogue,
    employees: Mapping[UserId, EmployeeId],
    names: Mapping[EmployeeId, str] | None = None,
    history: History | None = None,
    is_complete: bool = True,
) -> Snapshot:
    """The snapshot that a decision sees: ``holdings`` in the project's words.

    ``employees`` tells who a user of the CRM is (`hub.store.bindings.employees_by_user`); ``names`` are the
    policy's names of employees, which win over the CRM's.
    """

    def ours(record: R) -> R:
        return replace(record, responsible=employee_of(record.responsible, employees))

    shown: dict[EmployeeId, str] = {}
    inactive: set[EmployeeId] = set()
    for user in catalogue.users:
        employee = employees.get(user.id, crm_user(user.id))
        shown[employee] = user.name
        if not user.is_active:
            inactive.add(employee)
    return Snapshot(
        connection=connection,
        taken_at=taken_at,
        contacts=tuple(map(ours, holdings.contacts)),
        companies=tuple(map(ours, holdings.companies)),
        deals=tuple(map(ours, holdings.deals)),
        tasks=tuple(map(ours, holdings.tasks)),
        seen_at=holdings.seen_at,
        is_complete=is_complete,
        inactive=frozenset(inactive),
        names=shown | dict(names or {}),
        catalogue=catalogue,
        history=history or History(),
    )
