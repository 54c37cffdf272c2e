"""RetailCRM's own names and shapes, API v5; loose in what is ignored, strict in what is read.

PHP habits are met by `_map`: an empty map arrives as ``[]`` (reference 1).
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from hub.core.damage import damage_of, numbers_in, salvage

__all__ = [
    "Attached",
    "Change",
    "Corporate",
    "Credentials",
    "CustomField",
    "Customer",
    "Note",
    "Order",
    "Pagination",
    "Record",
    "Reference",
    "Site",
    "Status",
    "StatusGroup",
    "Tag",
    "Task",
    "Uploaded",
    "User",
    "Wire",
    "keyed",
    "salvaged",
]


class Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", cache_strings="keys")


def _map(value: Any) -> Any:
    """An empty map as PHP writes it."""
    return {} if value is None or value == [] else value


def _list(value: Any) -> Any:
    """A list that may arrive as an object with numbered keys, or as null."""
    if isinstance(value, dict):
        return list(value.values())
    return [] if value is None else value


Fields: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_map)]
ItemT = TypeVar("ItemT")
Many: TypeAlias = Annotated[list[ItemT], BeforeValidator(_list)]


class Pagination(Wire):
    limit: int = 20
    totalCount: int = 0
    currentPage: int = 1
    totalPageCount: int = 1


class Phone(Wire):
    number: str | None


class Tag(Wire):
    name: str | None = None


class Attached(Wire):
    """Another record as a record names it."""

    id: int | None = None
    externalId: str | None = None
    site: str | None = None
    type: str | None = None
    number: str | None = None


class Source(Wire):
    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    keyword: str | None = None
    content: str | None = None


class Record(Wire):
    id: int
    externalId: str | None = None
    site: str | None = None
    createdAt: str | None = None


class Customer(Record):
    firstName: str | None = None
    lastName: str | None = None
    patronymic: str | None = None
    email: str | None = None
    phones: Many[Phone] = []
    managerId: int | None = None
    tags: Many[Tag] = []
    customFields: Fields = {}
    source: Annotated[Source, BeforeValidator(_map)] = Source()
    firstClientId: str | None = None
    lastClientId: str | None = None


class CustomerContact(Wire):
    isMain: bool = False
    customer: Attached = Attached()


class Contragent(Wire):
    legalName: str | None = None
    INN: str | None = None


class CompanyPart(Wire):
    name: str | None = None
    isMain: bool = False
    contragent: Annotated[Contragent, BeforeValidator(_map)] = Contragent()


class Corporate(Record):
    nickName: str | None = None
    email: str | None = None
    managerId: int | None = None
    customerContacts: Many[CustomerContact] = []
    companies: Many[CompanyPart] = []
    tags: Many[Tag] = []
    customFields: Fields = {}


class Item(Wire):
    """A line of an order; one without an offer is free text."""

    offer: Any = None


class Order(Record):
    number: str | None = None
    status: str | None = None
    statusUpdatedAt: str | None = None
    orderType: str | None = None
    orderMethod: str | None = None
    managerId: int | None = None
    customer: Annotated[Attached, BeforeValidator(_map)] = Attached()
    contact: Annotated[Attached, BeforeValidator(_map)] = Attached()
    totalSumm: float | None = None
    managerComment: str | None = None
    customerComment: str | None = None
    clientId: str | None = None
    call: bool | None = None
    customFields: Fields = {}
    source: Annotated[Source, BeforeValidator(_map)] = Source()
    items: Many[Item] = []


class Task(Record):
    text: str | None = None
    commentary: str | None = None
    datetime: str | None = None
    complete: bool = False
    completedAt: str | None = None
    performer: int | None = None
    customer: Annotated[Attached, BeforeValidator(_map)] = Attached()
    order: Annotated[Attached, BeforeValidator(_map)] = Attached()


class Note(Record):
    text: str | None = None
    managerId: int | None = None
    customer: Annotated[Attached, BeforeValidator(_map)] = Attached()


class User(Wire):
    id: int
    active: bool = True
    email: str | None = None
    firstName: str | None = None
    lastName: str | None = None
    patronymic: str | None = None
    phone: str | None = None
    isAdmin: bool = False


class Reference(Wire):
    """An entry of a reference: order types, methods."""

    code: str
    name: str = ""
    active: bool = True
    ordering: int = 0
    defaultForApi: bool = False
    defaultForCrm: bool = False


class Status(Reference):
    group: str = ""


class StatusGroup(Reference):
    process: bool = False


class Site(Reference):
    url: str | None = None


class CustomField(Wire):
    code: str
    name: str = ""
    type: str = "string"
    entity: str = ""
    dictionary: str | None = None


class Dictionary(Wire):
    code: str
    elements: Many[Reference] = []


class Credentials(Wire):
    scopes: Many[str] = []
    sitesAvailable: Many[str] = []


class ApiKey(Wire):
    current: bool = False


class Change(Wire):
    """One entry of a history (5)."""

    id: int
    createdAt: str | None = None
    created: bool = False
    deleted: bool = False
    field: str | None = None
    newValue: Any = None
    apiKey: Annotated[ApiKey, BeforeValidator(_map)] = ApiKey()
    customer: Annotated[Attached, BeforeValidator(_map)] = Attached()
    order: Annotated[Attached, BeforeValidator(_map)] = Attached()
    task: Annotated[Attached, BeforeValidator(_map)] = Attached()
    combinedTo: Annotated[Attached, BeforeValidator(_map)] = Attached()

    @property
    def is_own(self) -> bool:
        """Made with this very key: not to be followed, or loops begin."""
        return self.apiKey.current


class Made(Wire):
    id: int | None = None
    externalId: str | None = None


class Uploaded(Wire):
    """What became of a batch (1, batch body)."""

    made: tuple[Made, ...] = ()
    failed: tuple[Made, ...] = ()


def keyed(value: Any) -> list[Any]:
    """A reference: an object keyed by code, or a list where PHP saw no keys (4)."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


ModelT = TypeVar("ModelT", bound=Wire)


def salvaged(model: type[ModelT], item: Any) -> ModelT | None:
    """What can be read of a client's record; None for what only describes the account.

    Numbers among the telephones that cannot be read as they should count as if they could.
    """
    if not issubclass(model, Record | Change):
        return None
    record = salvage(model, item)
    if isinstance(record, Customer):
        record.phones = [*record.phones, *(Phone(number=text) for text in numbers_in(damage_of(record), "phones"))]
    return record
