"""amoCRM's own names and shapes, API v4; loose in what is ignored, strict in what is read.

PHP habits are met by unions: an empty object arrives as ``[]``, an empty list as ``null`` (reference 22). msgspec makes
these straight from a page's bytes, at a quarter of pydantic's cost: an import reads hundreds of thousands of records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import field

from hub.core.damage import Damage, Place, damage_of, numbers_in, salvage_with

__all__ = [
    "Account",
    "Card",
    "Company",
    "Complex",
    "Contact",
    "Created",
    "Event",
    "FieldDefinition",
    "FieldValue",
    "FieldValues",
    "Incoming",
    "Lead",
    "Listing",
    "Note",
    "Pipeline",
    "Status",
    "Subdomain",
    "Task",
    "TokenPair",
    "User",
    "Webhook",
    "Wire",
    "listing",
    "read",
    "salvaged",
]


#: cards, in amoCRM's plural words (6.3)
Card: TypeAlias = Literal["contacts", "companies", "leads"]


class Wire(msgspec.Struct, gc=False):
    """What is not named is ignored; without cycles, so that the collector need not look."""


WireT = TypeVar("WireT", bound=Wire)


class Linked(Wire):
    id: int
    is_main: bool | None = None


class Tag(Wire):
    id: int | None = None
    name: str | None = None


class FieldValue(Wire):
    value: Any = None
    enum_id: int | None = None
    enum_code: str | None = None


class FieldValues(Wire):
    field_id: int
    field_code: str | None = None
    values: list[FieldValue] | None = None


class Relations(Wire):
    tags: list[Tag] | None = None
    companies: list[Linked] | None = None
    contacts: list[Linked] | None = None
    leads: list[Linked] | None = None


_NO_RELATIONS = Relations()


class Entity(Wire):
    """What cards have in common; only what is read, since an import makes hundreds of thousands of these."""

    id: int
    name: str | None = None
    responsible_user_id: int | None = None
    created_at: int | None = None
    updated_at: int | None = None
    is_deleted: bool | None = None
    custom_fields_values: list[FieldValues] | None = None
    embedded: Relations | list[Any] | None = field(default=None, name="_embedded")

    @property
    def relations(self) -> Relations:
        return self.embedded if isinstance(self.embedded, Relations) else _NO_RELATIONS


class Contact(Entity):
    pass


class Company(Entity):
    pass


class Lead(Entity):
    price: float | None = None
    status_id: int | None = None
    pipeline_id: int | None = None
    closed_at: int | None = None


class TaskResult(Wire):
    text: str | None = None


class Task(Wire):
    id: int
    text: str | None = None
    complete_till: int | None = None
    task_type_id: int | None = None
    entity_id: int | None = None
    entity_type: str | None = None
    responsible_user_id: int | None = None
    is_completed: bool | None = None
    #: ``[]`` or null while the task is open
    result: TaskResult | list[Any] | None = None
    created_at: int | None = None
    updated_at: int | None = None


class NoteParameters(Wire):
    uniq: str | None = None
    text: str | None = None


class Note(Wire):
    id: int
    entity_id: int | None = None
    note_type: str | None = None
    params: NoteParameters | list[Any] | None = None
    created_at: int | None = None
    updated_at: int | None = None

    @property
    def parameters(self) -> NoteParameters:
        return self.params if isinstance(self.params, NoteParameters) else NoteParameters()


class Event(Wire, kw_only=True):
    id: str
    type: str
    entity_id: int | None = None
    entity_type: str | None = None
    created_at: int
    value_after: Any = None
    value_before: Any = None


class IncomingMetadata(Wire):
    uniq: str | None = None


class Incoming(Wire):
    """An incoming lead that nobody accepted yet."""

    uid: str
    created_at: int | None = None
    metadata: IncomingMetadata | list[Any] | None = None
    request_id: str | int | None = None
    embedded: Relations | list[Any] | None = field(default=None, name="_embedded")

    @property
    def relations(self) -> Relations:
        return self.embedded if isinstance(self.embedded, Relations) else Relations()

    @property
    def uniq(self) -> str:
        return (self.metadata.uniq or "") if isinstance(self.metadata, IncomingMetadata) else ""


class Choice(Wire):
    id: int | None = None
    value: str | None = None


class FieldDefinition(Wire):
    id: int
    name: str = ""
    code: str | None = None
    type: str = "text"
    enums: list[Choice] | None = None


class Status(Wire):
    id: int
    name: str = ""
    sort: int = 0
    #: 1 = the stage of incoming leads
    type: int = 0


class PipelineParts(Wire):
    statuses: list[Status] | None = None


class Pipeline(Wire):
    id: int
    name: str = ""
    sort: int = 0
    is_main: bool = False
    is_unsorted_on: bool = False
    is_archive: bool = False
    embedded: PipelineParts = field(default_factory=PipelineParts, name="_embedded")


class Rights(Wire):
    is_admin: bool = False
    is_active: bool = True


class User(Wire):
    id: int
    name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    rights: Rights = field(default_factory=Rights)


class TaskType(Wire):
    id: int
    name: str = ""
    code: str | None = None


class DateSettings(Wire):
    timezone: str | None = None


class AccountParts(Wire):
    task_types: list[TaskType] | None = None
    datetime_settings: DateSettings | list[Any] | None = None


class Account(Wire):
    id: int
    name: str = ""
    subdomain: str = ""
    current_user_id: int | None = None
    is_unsorted_on: bool = False
    is_api_filter_enabled: bool | None = None
    embedded: AccountParts = field(default_factory=AccountParts, name="_embedded")

    @property
    def timezone(self) -> str:
        found = self.embedded.datetime_settings
        return (found.timezone if isinstance(found, DateSettings) else None) or "UTC"


class Webhook(Wire):
    destination: str = ""
    disabled: bool = False
    settings: list[str] | None = None


class Created(Wire):
    """One item of the answer to a create or a batch change."""

    id: int
    request_id: str | int | None = None


class Complex(Wire):
    """One item of the answer of ``leads/complex``: a bare array, ``request_id`` an array too."""

    id: int
    contact_id: int | None = None
    company_id: int | None = None
    request_id: list[str | int] | str | int | None = None
    merged: bool = False


class TokenPair(Wire):
    access_token: str
    refresh_token: str = ""
    expires_in: int = 86400

    def __repr__(self) -> str:
        return "TokenPair(…)"


class Subdomain(Wire):
    domain: str = ""


# --- lists ------------------------------------------------------------------------------------------------------


class ListLinks(Wire):
    #: ``{"href"}`` while there is a further page
    next: Any = None


class Listing(Wire, kw_only=True):
    """A page of a list (1.1)."""

    links: ListLinks = field(default_factory=ListLinks, name="_links")
    #: its ``items`` are the records, see `listing`
    embedded: Any = field(name="_embedded")


@cache
def listing(model: type[Wire], collection: str) -> msgspec.json.Decoder[Listing]:
    """Reads a `Listing` that holds `model` under the name of ``collection`` straight from its bytes: nothing is made of
    what is ignored, which in an import is most. Raises msgspec.DecodeError at anything unusual."""
    items = ("items", list[model], field(name=collection))  # type: ignore[valid-type]  # built per model, once
    records = msgspec.defstruct("Records", [items], bases=(Wire,), gc=False)
    embedded = ("embedded", records, field(name="_embedded"))
    return msgspec.json.Decoder(msgspec.defstruct("Page", [embedded], bases=(Listing,), kw_only=True, gc=False))


def read(model: type[WireT], found: Any) -> WireT:
    """``found`` as ``model``, patiently: a number may be a text. Raises msgspec.ValidationError, which names where it
    went wrong without the value: that may be a client's."""
    return msgspec.convert(found, model, strict=False)


# --- odd records ------------------------------------------------------------------------------------------------

_PLACE = re.compile(r"at `\$(.*)`$")
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")


def salvaged(model: type[WireT], item: Any) -> WireT | None:
    """What can be read of a client's record; None for what only describes the account.

    Numbers in a custom field that cannot be read count as telephones, whatever the field is.
    """
    if not issubclass(model, Entity | Task | Note | Incoming):
        return None

    def attempt(left: Mapping[str, Any], damage: Damage) -> WireT | Place:
        try:
            record: Any = read(_damaged(model), left)
        except msgspec.ValidationError as err:
            found = _PLACE.search(str(err))
            return tuple(name or int(number) for name, number in _PART.findall(found.group(1))) if found else ()
        record.damage = damage
        made: WireT = record
        return made

    record = salvage_with(attempt, item, has_number=not issubclass(model, Incoming))
    numbers = numbers_in(damage_of(record), "custom_fields_values")
    if isinstance(record, Entity) and numbers:
        found = FieldValues(field_code="PHONE", values=[FieldValue(value=text) for text in numbers], field_id=0)
        record.custom_fields_values = [*(record.custom_fields_values or ()), found]
    return record


@cache
def _damaged(model: type[Wire]) -> Any:
    damage = ("damage", Any, field(default=None))
    return msgspec.defstruct(f"Damaged{model.__name__}", [damage], bases=(model,), gc=False)
