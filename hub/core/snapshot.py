"""What the CRM held for one client when we looked, and how old that knowledge is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub.core.records import Catalogue, Company, Contact, Deal, EmployeeId, RecordRef, Task
from hub.core.slots import by_slots

__all__ = ["History", "Snapshot"]


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the hub itself remembers of the client."""

    #: interactions of this client before the present one
    interactions: int = 0
    #: the employee who last talked to the client, and when
    last_talked: EmployeeId | None = None
    last_talked_at: datetime | None = None
    #: keys of steps of this client that are done and may matter to the decision (open call-backs, merges)
    open_task_keys: Mapping[str, str] = field(default_factory=dict)
    #: employees whose outgoing call has reached the client before (A15)
    called_by: frozenset[EmployeeId] = frozenset()
    #: ids of deals that the hub made for nobody, and that nobody has claimed by answering (W2)
    unclaimed: frozenset[str] = frozenset()
    #: ids of the contacts that the hub made for this very client, by whatever they can be recognised there
    own_contacts: frozenset[str] = frozenset()
    #: what earlier decisions about this same interaction made or completed, by step key; a revision looks past it
    own: Mapping[str, RecordRef] = field(default_factory=dict)
    #: the responsible of contacts and deals as this interaction's first decision saw them, by ``kind/id``
    was_responsible: Mapping[str, EmployeeId | None] = field(default_factory=dict)
    #: ids of the deals that were open when this interaction was first decided: who closed one since has not made the
    #: client a stranger to it (A14)
    was_open: frozenset[str] = frozenset()
    #: ``contact id/value``: numbers and e-mails that a person had taken off a contact, never added again (X12)
    refused: frozenset[str] = frozenset()


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The client's records in one CRM; empty tuples mean that the CRM holds none.

    Records appear with the hub's employees as responsible (see `hub.core.records`). Open deals and tasks hang on
    the contacts and companies listed here.
    """

    connection: str
    taken_at: datetime
    contacts: tuple[Contact, ...] = ()
    companies: tuple[Company, ...] = ()
    deals: tuple[Deal, ...] = ()
    tasks: tuple[Task, ...] = ()
    #: when the oldest of these facts was read from the CRM; None if nothing was ever read
    seen_at: datetime | None = None
    #: False while the first import runs: an absent contact may exist in the CRM
    is_complete: bool = True
    #: employees whom the CRM no longer accepts as responsible
    inactive: frozenset[EmployeeId] = frozenset()
    #: employees that the telephony, the policy or the CRM knows, by id, with the name to show
    names: Mapping[EmployeeId, str] = field(default_factory=dict)
    catalogue: Catalogue = Catalogue()
    history: History = History()
