"""The CRM's records in the hub's words, the same for every CRM.

Ids are the CRM's own, as text. A responsible is an `EmployeeId`; a sink that reads records knows only its CRM's
users and writes them as `crm_user(user_id)`, which the snapshot replaces by the employee whom the connection's
bindings name. A user whom no binding names stays in that form and can still be a responsible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from hub.core.phone import Phone
from hub.core.slots import by_slots

__all__ = [
    "Catalogue",
    "Company",
    "Contact",
    "CrmUser",
    "CustomField",
    "Deal",
    "EmployeeId",
    "Pipeline",
    "RecordKind",
    "RecordRef",
    "Stage",
    "Task",
    "TaskType",
    "UserId",
    "crm_user",
    "user_of",
]

#: an employee of the project: the ``id`` of the policy's ``[[employees]]`` block, or ``@<user id>``, see `crm_user`
EmployeeId = NewType("EmployeeId", str)
#: a CRM's own id of one of its users
UserId = NewType("UserId", str)


def crm_user(user_id: str | int) -> EmployeeId:
    """The employee id of a CRM user whom the policy may or may not know."""
    return EmployeeId(f"@{user_id}")


def user_of(employee: EmployeeId) -> UserId | None:
    """The CRM's user id in ``employee`` if it has the form of `crm_user`, else None."""
    return UserId(employee[1:]) if employee.startswith("@") else None


class RecordKind(StrEnum):
    """What a record is; the value stands in step keys and in the store."""

    CONTACT = "contact"
    COMPANY = "company"
    DEAL = "deal"
    TASK = "task"
    NOTE = "note"


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRef:
    """Points at one record of the CRM."""

    kind: RecordKind
    id: str


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person in the CRM."""

    id: str
    name: str = ""
    phones: tuple[Phone, ...] = ()
    emails: tuple[str, ...] = ()
    responsible: EmployeeId | None = None
    company_id: str | None = None
    #: custom fields by the CRM's field id; several values are joined by ", "
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    #: the deals that the CRM links to the contact, as far as the read told
    deal_ids: tuple[str, ...] = ()

    @property
    def ref(self) -> RecordRef:
        return RecordRef(kind=RecordKind.CONTACT, id=self.id)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """An organisation in the CRM; its phones and e-mails identify a client too."""

    id: str
    name: str = ""
    phones: tuple[Phone, ...] = ()
    emails: tuple[str, ...] = ()
    responsible: EmployeeId | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    contact_ids: tuple[str, ...] = ()
    deal_ids: tuple[str, ...] = ()

    @property
    def ref(self) -> RecordRef:
        return RecordRef(kind=RecordKind.COMPANY, id=self.id)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A sale in progress (amoCRM lead, Zoho lead or deal, RetailCRM order)."""

    id: str
    name: str = ""
    pipeline_id: str = ""
    stage_id: str = ""
    is_open: bool = True
    is_won: bool = False
    responsible: EmployeeId | None = None
    contact_ids: tuple[str, ...] = ()
    company_id: str | None = None
    price: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def ref(self) -> RecordRef:
        return RecordRef(kind=RecordKind.DEAL, id=self.id)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Something an employee has to do; ``on`` is the record it hangs on."""

    id: str
    text: str = ""
    #: the CRM's id of the task type ("" if the CRM has none)
    type_id: str = ""
    responsible: EmployeeId | None = None
    due_at: datetime | None = None
    is_open: bool = True
    on: RecordRef | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def ref(self) -> RecordRef:
        return RecordRef(kind=RecordKind.TASK, id=self.id)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A step of a pipeline."""

    id: str
    name: str
    is_final: bool = False
    is_won: bool = False
    #: the CRM's own inbox stage, into which no ordinary deal is created (amoCRM's "incoming leads")
    is_unsorted: bool = False
    #: nobody has chosen one yet; ``name`` is the CRM's word for that, and no stage that people know
    is_blank: bool = False

    @property
    def shown(self) -> str:
        """The name as people know it, "" where there is none."""
        return "" if self.is_blank else self.name


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A sequence of stages; the stages stand in the CRM's order."""

    id: str
    name: str
    is_main: bool = False
    has_unsorted: bool = False
    stages: tuple[Stage, ...] = ()


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class CrmUser:
    """A user of the CRM, as its administrator sees them."""

    id: UserId
    name: str
    email: str = ""
    phone: str = ""
    is_active: bool = True
    is_admin: bool = False


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class CustomField:
    """A custom field of one kind of record."""

    id: str
    name: str
    record: RecordKind
    code: str = ""
    type: str = "text"
    #: the texts that may be chosen, () if the field is free
    choices: tuple[str, ...] = ()


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class TaskType:
    """A kind of task that the CRM offers."""

    id: str
    name: str
    code: str = ""


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What an account offers to be chosen by name: users, pipelines, fields, task types."""

    account_id: str = ""
    account_name: str = ""
    #: the account's address for people, without a trailing slash
    url: str = ""
    time_zone: str = "UTC"
    users: tuple[CrmUser, ...] = ()
    pipelines: tuple[Pipeline, ...] = ()
    fields: tuple[CustomField, ...] = ()
    task_types: tuple[TaskType, ...] = ()
    #: what the account cannot do or must be told, one sentence each, for the set-up page
    warnings: tuple[str, ...] = ()
