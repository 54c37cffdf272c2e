"""What of a snapshot is kept with a decision, and how two of them are compared (DESIGN 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hub.core.records import Catalogue, Company, Contact, Deal, RecordKind, RecordRef, Task, user_of
from hub.core.revise import StepState
from hub.core.snapshot import Snapshot
from hub.engine.projects import LiveConnection
from hub.store.directory import Directory
from hub.store.steps import Step

__all__ = ["digest", "is_imported", "lean", "made_records"]


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
        # a rehearsal must not choose whom the CRM did not accept (X2); users whom no policy names are chosen by nobody
        inactive=frozenset(one for one in snapshot.inactive if one in mentioned or user_of(one) is None),
    )


def is_imported(directory: Directory, project: str, connection: LiveConnection) -> bool:
    """True if what the directory lacks the CRM lacks too: it was imported, and into this very directory.

    The file may have been lost since; an account whose import stands elsewhere has to be asked (DESIGN 3).
    """
    if connection.row.imported_at is None:
        return False
    return bool(directory.mark(project, connection.name, "imported"))


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


#: by then the directory knows what the hub wrote, in every process, however loaded the machine is
_TOLD_WITHIN = timedelta(minutes=1)


def made_records(own: Sequence[Step], now: datetime) -> list[RecordRef]:
    """Contacts and deals that the steps made, to ask whether they still exist.

    What was made just now is left out: the directory may not have heard of it, and making it again doubles it (H3).
    """
    return [
        step.record
        for step in own
        if step.record is not None
        and step.state is StepState.DONE
        and (step.ended_at is None or step.ended_at < now - _TOLD_WITHIN)
        and step.action.kind in ("create_contact", "create_deal")
        and step.record.kind in (RecordKind.CONTACT, RecordKind.DEAL)
    ]
