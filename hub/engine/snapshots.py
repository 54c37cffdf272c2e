"""What a decision sees: the directory's records of one client, without what this very interaction made (DESIGN 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hub.core.records import Catalogue, Company, Contact, Deal, RecordKind, RecordRef, Task
from hub.core.revise import StepState
from hub.core.snapshot import Snapshot
from hub.store.steps import Step

__all__ = ["digest", "without"]


def without(snapshot: Snapshot, own: Iterable[Step]) -> Snapshot:
    """``snapshot`` as if the interaction's own done steps had not been, so that deciding again decides the same."""
    gone = {step.record for step in own if step.state is StepState.DONE and step.record is not None}
    if not gone:
        return snapshot
    contacts = tuple(found for found in snapshot.contacts if found.ref not in gone)
    companies = tuple(found for found in snapshot.companies if found.ref not in gone)
    return replace(
        snapshot,
        contacts=contacts,
        companies=companies,
        deals=tuple(found for found in snapshot.deals if found.ref not in gone),
        tasks=tuple(found for found in snapshot.tasks if found.ref not in gone and found.on not in gone),
    )


def lean(snapshot: Snapshot) -> Snapshot:
    """What of ``snapshot`` is worth keeping with the decision: the catalogue is kept once, with the connection."""
    records: list[Contact | Company | Deal | Task] = [
        *snapshot.contacts,
        *snapshot.companies,
        *snapshot.deals,
        *snapshot.tasks,
    ]
    mentioned = {record.responsible for record in records if record.responsible is not None}
    return replace(
        snapshot,
        catalogue=Catalogue(),
        names={employee: name for employee, name in snapshot.names.items() if employee in mentioned},
        inactive=snapshot.inactive & mentioned,
    )


def digest(snapshot: Snapshot) -> str:
    """Equal for two snapshots on which the same would be created: who is there, what is open, whose it is."""
    lines: list[str] = []
    for contact in snapshot.contacts:
        lines.append(f"contact {contact.id} {contact.responsible}")
    for company in snapshot.companies:
        lines.append(f"company {company.id} {company.responsible}")
    for deal in snapshot.deals:
        lines.append(f"deal {deal.id} {deal.is_open} {deal.responsible}")
    for task in snapshot.tasks:
        if task.is_open:
            lines.append(f"task {task.id} {task.responsible}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:24]


def made_records(own: Sequence[Step]) -> list[RecordRef]:
    """Contacts and deals that the steps made, to ask whether they still exist."""
    return [
        step.record
        for step in own
        if step.record is not None
        and step.state is StepState.DONE
        and step.action.kind in ("create_contact", "create_deal")
        and step.record.kind in (RecordKind.CONTACT, RecordKind.DEAL)
    ]
