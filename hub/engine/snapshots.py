"""What of a snapshot is kept with a decision, and how two of them are compared (DESIGN 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace

from hub.core.records import Catalogue, Company, Contact, Deal, RecordKind, RecordRef, Task, user_of
from hub.core.revise import StepState
from hub.core.snapshot import Snapshot
from hub.engine.projects import LiveConnection
from hub.engine.seen import Seen
from hub.store.directory import Directory
from hub.store.directory_file import KINDS
from hub.store.steps import Step
from hub.store.work import Lane

__all__ = ["digest", "gone", "heard_of", "is_imported", "lean", "made_records", "unheard_of"]


def lean(snapshot: Snapshot) -> Snapshot:
    """What of ``snapshot`` is worth keeping with the decision: the catalogue is kept once, with the connection."""
    records: list[Contact | Company | Deal | Task] = [*_lasting(snapshot), *snapshot.tasks]
    mentioned = {record.responsible for record in records if record.responsible is not None}
    return replace(
        snapshot,
        catalogue=Catalogue(),
        names={employee: name for employee, name in snapshot.names.items() if employee in mentioned},
        # a rehearsal must not choose whom the CRM did not accept (X2); users whom no policy names are chosen by nobody
        inactive=frozenset(one for one in snapshot.inactive if one in mentioned or user_of(one) is None),
    )


def _lasting(snapshot: Snapshot) -> list[Contact | Company | Deal]:
    return [*snapshot.contacts, *snapshot.companies, *snapshot.deals]


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


def unheard_of(directory: Directory, lane: Lane, seen: Seen) -> list[RecordRef]:
    """Records that the hub remembers of the interaction, and of which the directory knows nothing: they are read.

    It does not know the record yet, or was lost since and left closed deals out when it was filled again (DESIGN 3).
    Not to know is not to be gone: what would be made again is there (H3).
    """
    then = [] if seen.then is None else _lasting(seen.then.snapshot)
    remembered = dict.fromkeys((*made_records(seen.own), *seen.made, *(record.ref for record in then)))
    heard = heard_of(directory, lane.project, lane.connection, remembered)
    return [ref for ref in remembered if ref not in heard]


def gone(directory: Directory, lane: Lane, refs: Collection[RecordRef]) -> set[RecordRef]:
    """Those of ``refs`` that the CRM is known to have deleted."""
    return {ref for ref, is_there in heard_of(directory, lane.project, lane.connection, refs).items() if not is_there}


def heard_of(directory: Directory, project: str, connection: str, refs: Collection[RecordRef]) -> dict[RecordRef, bool]:
    """Those of ``refs`` of which the directory was ever told: True = it is there, False = it was deleted."""
    if not refs:
        return {}
    by_row = {(KINDS[ref.kind], ref.id): ref for ref in refs}
    rows = directory.rows(project, connection, list(by_row))
    return {by_row[kind, id]: body is not None for kind, id, _, _, body in rows}
