"""From RetailCRM's words to the hub's: pure. The other direction is `body`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from hub.core.phone import Phone, parse_phone
from hub.core.records import (
    Company,
    Contact,
    CrmUser,
    CustomField,
    Deal,
    EmployeeId,
    Pipeline,
    RecordKind,
    RecordRef,
    Stage,
    Task,
    UserId,
    crm_user,
)
from hub_retailcrm import wire
from hub_retailcrm.moment import to_moment

__all__ = [
    "CUSTOM",
    "LOST",
    "SOURCE_PARTS",
    "WON",
    "Reader",
    "full_name",
    "own_fields",
    "task_text",
    "to_custom_field",
    "to_pipelines",
    "to_user",
]

#: closed = won or lost; decide by group, never by the status (4)
WON, LOST = "complete", "cancel"
#: custom fields bear this before their code in the hub's field ids, the CRM's own attributes bear none
CUSTOM = "customFields."
#: utm tag -> the part of ``source`` that holds it
SOURCE_PARTS = {
    "utm_source": "source",
    "utm_medium": "medium",
    "utm_campaign": "campaign",
    "utm_term": "keyword",
    "utm_content": "content",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads records the way this connection's numbers and this account's times are to be read (C4, W7)."""

    region: str
    eight_is_seven: bool = False
    zone: ZoneInfo = ZoneInfo("UTC")
    #: statuses whose group is won, and lost
    won: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()

    def phone(self, text: str) -> Phone | None:
        return parse_phone(text, self.region, eight_is_seven=self.eight_is_seven)

    def phones(self, customer: wire.Customer) -> tuple[Phone, ...]:
        """Every readable number of the customer, as E.164, each once."""
        found = (self.phone(one.number) for one in customer.phones if one.number)
        return tuple(dict.fromkeys(phone for phone in found if phone))

    def contact(self, found: wire.Customer) -> Contact:
        return Contact(
            id=str(found.id),
            name=full_name(found),
            phones=self.phones(found),
            emails=_emails(found.email),
            responsible=_responsible(found.managerId),
            fields=_fields(found.customFields, found.source, {"clientId": found.lastClientId, "site": found.site}),
            tags=_tags(found.tags),
            created_at=to_moment(found.createdAt, self.zone),
        )

    def company(self, found: wire.Corporate) -> Company:
        """A corporate customer; its phones live on the persons (2)."""
        links = sorted(found.customerContacts, key=lambda link: not link.isMain)
        fields = _fields(found.customFields)
        main = sorted(found.companies, key=lambda part: not part.isMain)
        if main and main[0].contragent.INN:
            fields["INN"] = main[0].contragent.INN
        return Company(
            id=str(found.id),
            name=found.nickName or (main[0].name or "" if main else ""),
            emails=_emails(found.email),
            responsible=_responsible(found.managerId),
            fields=fields,
            tags=_tags(found.tags),
            created_at=to_moment(found.createdAt, self.zone),
            contact_ids=tuple(str(link.customer.id) for link in links if link.customer.id),
        )

    def deal(self, found: wire.Order) -> Deal:
        """An order; its number stands for a name, and the persons are the customer or a company's contact."""
        is_corporate = found.customer.type == "customer_corporate"
        person = found.contact.id if is_corporate else found.customer.id
        won, lost = found.status in self.won, found.status in self.lost
        more = {name: getattr(found, name) for name in ("orderMethod", "managerComment", "customerComment", "site")}
        return Deal(
            id=str(found.id),
            name=found.number or str(found.id),
            pipeline_id=found.orderType or "",
            stage_id=found.status or "",
            is_open=not (won or lost),
            is_won=won,
            responsible=_responsible(found.managerId),
            contact_ids=(str(person),) if person else (),
            company_id=str(found.customer.id) if is_corporate and found.customer.id else None,
            price=found.totalSumm,
            fields=_fields(found.customFields, found.source, {"clientId": found.clientId, **more}),
            created_at=to_moment(found.createdAt, self.zone),
            closed_at=to_moment(found.statusUpdatedAt, self.zone) if won or lost else None,
        )

    def task(self, found: wire.Task) -> Task:
        """A task hangs on its order, else on its customer."""
        on: RecordRef | None = None
        if found.order.id:
            on = RecordRef(kind=RecordKind.DEAL, id=str(found.order.id))
        elif found.customer.id:
            kind = RecordKind.COMPANY if found.customer.type == "customer_corporate" else RecordKind.CONTACT
            on = RecordRef(kind=kind, id=str(found.customer.id))
        return Task(
            id=str(found.id),
            text=task_text(found),
            responsible=_responsible(found.performer),
            due_at=to_moment(found.datetime, self.zone),
            is_open=not found.complete,
            on=on,
            created_at=to_moment(found.createdAt, self.zone),
        )


def full_name(found: wire.Customer) -> str:
    return " ".join(
        part.strip() for part in (found.firstName, found.patronymic, found.lastName) if part and part.strip()
    )


def task_text(found: wire.Task) -> str:
    """Title and commentary, as people read them one under the other."""
    return "\n".join(part for part in (found.text, found.commentary) if part)


def _responsible(user_id: int | None) -> EmployeeId | None:
    return crm_user(user_id) if user_id else None


def _emails(text: str | None) -> tuple[str, ...]:
    """The one e-mail; it may come back as "" (2)."""
    plain = (text or "").strip().lower()
    return (plain,) if plain else ()


def _tags(found: Iterable[wire.Tag]) -> tuple[str, ...]:
    return tuple(tag.name for tag in found if tag.name)


def _fields(
    custom: dict[str, Any], source: wire.Source | None = None, more: dict[str, Any] | None = None
) -> dict[str, str]:
    """Custom fields and the attributes that the catalogue offers as fields, by the hub's id of each."""
    found = {f"{CUSTOM}{code}": text for code, value in custom.items() if (text := _text(value))}
    if source is not None:
        for name, part in SOURCE_PARTS.items():
            if value := getattr(source, part):
                found[name] = value
    return found | {name: text for name, value in (more or {}).items() if (text := _text(value))}


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(_text(item) for item in value)
        case _:
            return str(value)


# --- what an account offers -------------------------------------------------------------------------------------


def to_user(found: wire.User) -> CrmUser:
    name = " ".join(part for part in (found.firstName, found.lastName) if part)
    return CrmUser(
        id=UserId(str(found.id)),
        name=name or found.email or str(found.id),
        email=found.email or "",
        phone=found.phone or "",
        is_active=found.active,
        is_admin=found.isAdmin,
    )


def to_pipelines(
    types: Sequence[wire.Reference], statuses: Sequence[wire.Status], groups: Sequence[wire.StatusGroup]
) -> tuple[Pipeline, ...]:
    """Order types as pipelines, all with the account's statuses in the order of their groups: RetailCRM ties no
    status to a type."""
    places = {group.code: (group.ordering, index) for index, group in enumerate(groups)}
    sorted_ = sorted((s for s in statuses if s.active), key=lambda s: (places.get(s.group, (10**6, 0)), s.ordering))
    stages = tuple(
        Stage(id=s.code, name=s.name or s.code, is_final=s.group in (WON, LOST), is_won=s.group == WON) for s in sorted_
    )
    main = next((one.code for one in types if one.defaultForApi), types[0].code if types else "")
    found = (
        Pipeline(id=one.code, name=one.name or one.code, is_main=one.code == main, stages=stages)
        for one in types
        if one.active
    )
    return tuple(sorted(found, key=lambda pipeline: not pipeline.is_main))


def to_custom_field(found: wire.CustomField, choices: Sequence[str]) -> CustomField:
    kinds = {"order": RecordKind.DEAL, "customer": RecordKind.CONTACT, "customer_corporate": RecordKind.COMPANY}
    return CustomField(
        id=f"{CUSTOM}{found.code}",
        name=found.name or found.code,
        record=kinds[found.entity],
        code=found.code,
        type=found.type,
        choices=tuple(choices),
    )


def own_fields(methods: Sequence[wire.Reference], sites: Sequence[wire.Site]) -> tuple[CustomField, ...]:
    """The CRM's own attributes that the policy may fill like custom fields (R7, J5)."""
    shops = tuple(site.code for site in sites)
    ways = tuple(method.code for method in methods if method.active)

    def made(record: RecordKind, name: str, title: str, choices: tuple[str, ...] = ()) -> CustomField:
        kind = "dictionary" if choices else "text"
        return CustomField(id=name, name=title, record=record, code=name, type=kind, choices=choices)

    found = [made(kind, name, name) for kind in (RecordKind.CONTACT, RecordKind.DEAL) for name in SOURCE_PARTS]
    for kind in (RecordKind.CONTACT, RecordKind.DEAL):
        found += [made(kind, "clientId", "gclientid"), made(kind, "site", "shop", shops)]
    found += [
        made(RecordKind.DEAL, "orderMethod", "order method", ways),
        made(RecordKind.DEAL, "managerComment", "manager's comment"),
        made(RecordKind.DEAL, "customerComment", "customer's comment"),
        made(RecordKind.DEAL, "call", "call required"),
        made(RecordKind.COMPANY, "INN", "INN"),
    ]
    return tuple(found)
