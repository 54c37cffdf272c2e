"""From amoCRM's words to the hub's: pure. The other direction is `body`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

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
    TaskType,
    UserId,
    crm_user,
)
from hub_amocrm import wire
from hub_amocrm.wire import Card

__all__ = [
    "CARDS",
    "CLOSED",
    "KINDS",
    "SINGULAR",
    "UNWRITABLE",
    "WON",
    "Reader",
    "emails",
    "field_texts",
    "tags",
    "to_custom_field",
    "to_moment",
    "to_pipeline",
    "to_task_type",
    "to_user",
]

WON, LOST = 142, 143
#: the same ids in every pipeline (11)
CLOSED = frozenset({WON, LOST})
UNSORTED_TYPE = 1
#: amoCRM's plural words, used in paths and links (6.3)
CARDS: dict[RecordKind, Card] = {
    RecordKind.CONTACT: "contacts",
    RecordKind.COMPANY: "companies",
    RecordKind.DEAL: "leads",
}
KINDS: dict[str, RecordKind] = {**{word: kind for kind, word in CARDS.items()}, "tasks": RecordKind.TASK}
#: events use the singular
SINGULAR = {
    "contact": RecordKind.CONTACT,
    "company": RecordKind.COMPANY,
    "lead": RecordKind.DEAL,
    "task": RecordKind.TASK,
}
#: passed through by amoCRM, not writable by value (6.1)
UNWRITABLE = frozenset(
    {"linked_entity", "file", "chained_list", "items", "payer", "supplier", "category", "legal_entity"}
)


def to_moment(seconds: int | None) -> datetime | None:
    """Unix seconds as an instant; 0 and null mean none, and so does what no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads records the way this connection's numbers are to be read (C4, W7)."""

    region: str
    eight_is_seven: bool = False

    def phone(self, text: str) -> Phone | None:
        return parse_phone(text, self.region, eight_is_seven=self.eight_is_seven)

    def phones(self, entity: wire.Entity) -> tuple[Phone, ...]:
        """Every readable number of the card, as E.164, each once."""
        return self._phones(list(_texts(entity, "PHONE")))

    def _phones(self, texts: Sequence[str]) -> tuple[Phone, ...]:
        if len(texts) == 1:  # as of almost all cards
            phone = parse_phone(texts[0], self.region, eight_is_seven=self.eight_is_seven)
            return () if phone is None else (phone,)
        found = [parse_phone(text, self.region, eight_is_seven=self.eight_is_seven) for text in texts]
        return tuple(dict.fromkeys([phone for phone in found if phone is not None]))

    def contact(self, found: wire.Contact) -> Contact:
        relations, values = found.relations, _Values(found)
        companies = _ids(relations.companies)
        return Contact(
            id=str(found.id),
            name=found.name or "",
            phones=self._phones(values.phones),
            emails=_emails(values.emails),
            responsible=responsible(found.responsible_user_id),
            company_id=companies[0] if companies else None,
            fields=values.fields,
            tags=_tags(relations),
            created_at=to_moment(found.created_at),
            updated_at=to_moment(found.updated_at),
            deal_ids=_ids(relations.leads),
        )

    def company(self, found: wire.Company) -> Company:
        relations, values = found.relations, _Values(found)
        return Company(
            id=str(found.id),
            name=found.name or "",
            phones=self._phones(values.phones),
            emails=_emails(values.emails),
            responsible=responsible(found.responsible_user_id),
            fields=values.fields,
            tags=_tags(relations),
            created_at=to_moment(found.created_at),
            updated_at=to_moment(found.updated_at),
            contact_ids=_ids(relations.contacts),
            deal_ids=_ids(relations.leads),
        )

    def deal(self, found: wire.Lead) -> Deal:
        """A lead. One that waits among the incoming leads counts as open: it must not get a twin (A14)."""
        relations = found.relations
        companies = _ids(relations.companies)
        return Deal(
            id=str(found.id),
            name=found.name or "",
            pipeline_id=str(found.pipeline_id or ""),
            stage_id=str(found.status_id or ""),
            is_open=found.status_id not in CLOSED,
            is_won=found.status_id == WON,
            responsible=responsible(found.responsible_user_id),
            contact_ids=_main_first(relations.contacts),
            company_id=companies[0] if companies else None,
            price=found.price,
            fields=_Values(found).fields if found.custom_fields_values else {},
            tags=_tags(relations),
            created_at=to_moment(found.created_at),
            updated_at=to_moment(found.updated_at),
            closed_at=to_moment(found.closed_at),
        )

    def task(self, found: wire.Task) -> Task:
        kind = KINDS.get(found.entity_type or "")
        on = RecordRef(kind=kind, id=str(found.entity_id)) if kind and found.entity_id else None
        return Task(
            id=str(found.id),
            text=found.text or "",
            type_id=str(found.task_type_id or ""),
            responsible=responsible(found.responsible_user_id),
            due_at=to_moment(found.complete_till),
            is_open=not found.is_completed,
            on=on,
            created_at=to_moment(found.created_at),
            updated_at=to_moment(found.updated_at),
        )


def responsible(user_id: int | None) -> EmployeeId | None:
    """0 is amoCRM's robot, nobody's record."""
    return crm_user(user_id) if user_id else None


class _Values:
    """The values of a card's custom fields, in one pass: an import asks for all of them, of every card."""

    __slots__ = ("emails", "fields", "phones")

    def __init__(self, entity: wire.Entity) -> None:
        self.phones: list[str] = []
        self.emails: list[str] = []
        #: by id, without phones and e-mails; several values are joined by ", "
        self.fields: dict[str, str] = {}
        for field in entity.custom_fields_values or ():
            match field.field_code:
                case "PHONE":
                    self.phones += _texts_of(field)
                case "EMAIL":
                    self.emails += _texts_of(field)
                case _:
                    self.fields[str(field.field_id)] = ", ".join([_text(value.value) for value in field.values or ()])


def emails(entity: wire.Entity) -> tuple[str, ...]:
    return _emails(list(_texts(entity, "EMAIL")))


def _emails(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([text.strip().lower() for text in texts if text.strip()])) if texts else ()


def field_texts(entity: wire.Entity) -> frozenset[str]:
    """The values of all custom fields: one of them may identify the client (J4)."""
    return frozenset(text.strip() for text in _Values(entity).fields.values())


def tags(entity: wire.Entity) -> tuple[str, ...]:
    return _tags(entity.relations)


def _tags(relations: wire.Relations) -> tuple[str, ...]:
    return tuple([tag.name for tag in relations.tags if tag.name]) if relations.tags else ()


def _texts(entity: wire.Entity, code: str) -> Iterable[str]:
    for field in entity.custom_fields_values or ():
        if field.field_code == code:
            yield from _texts_of(field)


def _texts_of(field: wire.FieldValues) -> list[str]:
    return [str(value.value) for value in field.values or () if value.value]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _ids(found: Sequence[wire.Linked] | None) -> tuple[str, ...]:
    return tuple([str(item.id) for item in found]) if found else ()


def _main_first(found: Sequence[wire.Linked] | None) -> tuple[str, ...]:
    return _ids(sorted(found, key=lambda item: not item.is_main) if found and len(found) > 1 else found)


# --- what an account offers -------------------------------------------------------------------------------------


def to_user(found: wire.User) -> CrmUser:
    return CrmUser(
        id=UserId(str(found.id)),
        name=found.name or "",
        email=found.email or "",
        phone=found.phone_number or "",
        is_active=found.rights.is_active,
        is_admin=found.rights.is_admin,
    )


def to_pipeline(found: wire.Pipeline) -> Pipeline:
    stages = sorted(found.embedded.statuses or (), key=lambda status: status.sort)
    return Pipeline(
        id=str(found.id),
        name=found.name,
        is_main=found.is_main,
        has_unsorted=found.is_unsorted_on,
        stages=tuple(
            Stage(
                id=str(status.id),
                name=status.name,
                is_final=status.id in CLOSED,
                is_won=status.id == WON,
                is_unsorted=status.type == UNSORTED_TYPE,
            )
            for status in stages
        ),
    )


def to_custom_field(found: wire.FieldDefinition, kind: RecordKind) -> CustomField:
    return CustomField(
        id=str(found.id),
        name=found.name,
        record=kind,
        code=found.code or "",
        type=found.type,
        choices=tuple(choice.value for choice in found.enums or () if choice.value)
        if found.type in ("select", "multiselect", "radiobutton")
        else (),
    )


def to_task_type(found: wire.TaskType) -> TaskType:
    return TaskType(id=str(found.id), name=found.name, code=found.code or "")
