"""amoCRM's own names and shapes, API v4; loose in what is ignored, strict in what is read.

PHP habits are met by unions: an empty object arrives as ``[]``, an empty list as ``null`` (reference 22).
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, create_model

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
]


#: cards, in amoCRM's plural words (6.3)
Card: TypeAlias = Literal["contacts", "companies", "leads"]


class Wire(BaseModel):
    # texts of records hardly repeat: to look each up in a cache costs more than to make it
    model_config = ConfigDict(defer_build=True, extra="ignore", populate_by_name=True, cache_strings="keys")


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
    embedded: Relations | list[Any] | None = Field(default=None, alias="_embedded", union_mode="left_to_right")

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


class Event(Wire):
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
    embedded: Relations | list[Any] | None = Field(default=None, alias="_embedded")

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
    embedded: PipelineParts = Field(default_factory=PipelineParts, alias="_embedded")


class Rights(Wire):
    is_admin: bool = False
    is_active: bool = True


class User(Wire):
    id: int
    name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    rights: Rights = Field(default_factory=Rights)


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
    embedded: AccountParts = Field(default_factory=AccountParts, alias="_embedded")

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
    access_token: str = Field(repr=False)
    refresh_token: str = Field(default="", repr=False)
    expires_in: int = 86400


class Subdomain(Wire):
    domain: str = ""


# --- lists ------------------------------------------------------------------------------------------------------


class ListLinks(Wire):
    #: ``{"href"}`` while there is a further page
    next: Any = None


class Listing(Wire):
    """A page of a list (1.1)."""

    links: ListLinks = Field(default_factory=ListLinks, alias="_links")
    #: its ``items`` are the records, see `listing`
    embedded: Any = Field(alias="_embedded")


@cache
def listing(model: type[Wire], collection: str) -> type[Listing]:
    """A `Listing` that holds `model` under the name of ``collection``, so that a page is read straight from its bytes:
    nothing is made of what is ignored, which in an import is most."""
    items = (list[model], Field(alias=collection))  # type: ignore[valid-type]  # built per model, once
    embedded = create_model("Embedded", __base__=Wire, items=items)
    return create_model("Listing", __base__=Listing, embedded=(embedded, Field(alias="_embedded")))
