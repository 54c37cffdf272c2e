"""What the CRM stores. Compact mutable records: a sandbox may hold half a million of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: The values of one custom field: (value, enum id or None) each.
Values = tuple[tuple[Any, int | None], ...]


@dataclass(slots=True, kw_only=True)
class Card:
    """A contact or a company."""

    id: int
    kind: str
    name: str
    responsible_user_id: int
    created_by: int
    updated_by: int
    created_at: int
    updated_at: int
    first_name: str = ""
    last_name: str = ""
    is_deleted: bool = False
    is_unsorted: bool = False
    closest_task_at: int | None = None
    values: dict[int, Values] = field(default_factory=dict)
    tags: tuple[int, ...] = ()
    #: A contact's company; None for companies.
    company_id: int | None = None
    lead_ids: tuple[int, ...] = ()
    #: A company's contacts; empty for contacts.
    contact_ids: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class Lead:
    """A deal (the vendor's word: lead)."""

    id: int
    name: str
    price: int
    pipeline_id: int
    status_id: int
    responsible_user_id: int
    created_by: int
    updated_by: int
    created_at: int
    updated_at: int
    closed_at: int | None = None
    loss_reason_id: int | None = None
    closest_task_at: int | None = None
    is_deleted: bool = False
    source_id: int | None = None
    values: dict[int, Values] = field(default_factory=dict)
    tags: tuple[int, ...] = ()
    contact_ids: tuple[int, ...] = ()
    main_contact_id: int | None = None
    company_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Task:
    """A task; ``entity_type`` is the plural word or None."""

    id: int
    text: str
    complete_till: int
    task_type_id: int
    responsible_user_id: int
    created_by: int
    updated_by: int
    created_at: int
    updated_at: int
    entity_id: int | None = None
    entity_type: str | None = None
    duration: int = 0
    is_completed: bool = False
    result: str | None = None
    is_deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Note:
    """A note on a card; calls are notes too (call_in, call_out)."""

    id: int
    entity_id: int
    entity_type: str
    note_type: str
    params: dict[str, Any]
    responsible_user_id: int
    created_by: int
    updated_by: int
    created_at: int
    updated_at: int
    is_pinned: bool = False
    is_deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Event:
    """One line of the account's event log; ``entity_type`` is singular."""

    id: int
    uid: str
    type: str
    entity_id: int
    entity_type: str
    created_by: int
    created_at: int
    value_after: list[dict[str, Any]]
    value_before: list[dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class Incoming:
    """An incoming lead that waits to be accepted (the vendor's "unsorted")."""

    id: int
    uid: str
    category: str
    source_uid: str
    source_name: str
    pipeline_id: int
    created_at: int
    updated_at: int
    metadata: dict[str, Any]
    lead_id: int
    contact_id: int | None = None
    company_id: int | None = None
    #: waiting, accepted or declined.
    state: str = "waiting"
    sorted_at: int | None = None
