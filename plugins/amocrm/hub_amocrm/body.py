"""From the hub's words to amoCRM's: the bodies of writes, pure. The other direction is `mapping`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from math import isfinite
from typing import Any, TypeAlias

from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Notify,
    RecordCall,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import Write
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import CARDS, UNWRITABLE
from hub_amocrm.profile import FieldSpec, Profile

__all__ = ["CALL_STATUSES", "Bodies", "Item", "popup_item"]

Item: TypeAlias = dict[str, Any]

#: 1 left a message, 4 talked, 6 no answer, 7 busy (15); what has no word there is left out
CALL_STATUSES = {
    Disposition.VOICEMAIL: 1,
    Disposition.ANSWERED: 4,
    Disposition.MISSED: 6,
    Disposition.CLIENT_MISSED: 6,
    Disposition.BUSY: 7,
}
_YES = frozenset({"1", "true", "yes", "on", "да", "так"})
_LONG_TEXT = frozenset({"textarea", "streetaddress"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """Makes request items for one account; texts are cut here, since amoCRM publishes no limits (3)."""

    settings: AmoCrmSettings
    profile: Profile

    # --- cards --------------------------------------------------------------------------------------------------

    def contact(self, write: Write, action: CreateContact) -> Item:
        values = [
            *_multitext("PHONE", action.phones),
            *_multitext("EMAIL", action.emails),
            *self._values(write, RecordKind.CONTACT, is_new=True),
        ]
        return _without_empty(
            {
                "name": self.name(action.name),
                "responsible_user_id": _user(write.user),
                "custom_fields_values": values,
                "tags_to_add": self._tags(action.tags),
            }
        )

    def changed_contact(
        self, write: Write, action: UpdateContact, phones: Sequence[Item], emails: Sequence[Item]
    ) -> Item:
        """``phones`` and ``emails``: what the card holds already, for a field that is sent replaces all (6.1)."""
        values = self._values(write, RecordKind.CONTACT, is_new=False)
        values += _extended("PHONE", phones, action.add_phones, is_less=bool(action.remove_phones))
        values += _extended("EMAIL", emails, action.add_emails, is_less=bool(action.remove_emails))
        return _without_empty(
            {
                "id": _id(write.refs.get("contact")),
                "name": None if action.name is None else self.name(action.name),
                "responsible_user_id": _user(write.user),
                "custom_fields_values": values,
                "tags_to_add": self._tags(action.add_tags),
                "tags_to_delete": self._tags(action.remove_tags),
            }
        )

    def deal(self, write: Write, action: CreateDeal) -> Item:
        """The lead itself; the contact stands in it as an id, or as a new object (``leads/complex``)."""
        contact: Item | None = None
        if write.with_contact is not None and write.new_contact is not None:
            contact = self.contact(write.with_contact, write.new_contact)
        elif "contact" in write.refs:
            contact = {"id": _id(write.refs["contact"]), "is_main": True}
        embedded: Item = {"contacts": [contact]} if contact else {}
        if "company" in write.refs:
            embedded["companies"] = [{"id": _id(write.refs["company"])}]
        return _without_empty(
            {
                "name": self.name(action.name),
                "price": None if action.price is None else round(action.price),
                "pipeline_id": _number(write.pipeline_id),
                "status_id": _number(write.stage_id),
                "responsible_user_id": _user(write.user),
                "custom_fields_values": self._values(write, RecordKind.DEAL, is_new=True),
                "tags_to_add": self._tags(action.tags),
                "_embedded": embedded,
            }
        )

    def incoming(self, write: Write, action: CreateDeal, now: datetime) -> Item:
        """An incoming lead; the number must stand in the contact too, metadata alone does not fill it (10.2)."""
        lead = self.deal(write, action)
        embedded = lead.pop("_embedded", {})
        pipeline_id = lead.pop("pipeline_id", None)
        lead.pop("status_id", None)  # incoming leads stand in the pipeline's own stage, not set by hand (22.5)
        return _without_empty(
            {
                "source_uid": write.hub_id,
                "source_name": self.settings.service_name,
                "pipeline_id": pipeline_id,
                "created_at": int(now.timestamp()),
                "metadata": self._incoming(write, now),
                "_embedded": {"leads": [lead], **embedded},
            }
        )

    def incoming_of(self, write: Write, action: CreateDeal, now: datetime) -> Item:
        """An incoming lead of a contact that is there already: ``leads/complex`` with metadata (9.1)."""
        lead = self.deal(write, action)
        lead.pop("status_id", None)
        source = {"category": "sip", "source_uid": write.hub_id, "source_name": self.settings.service_name}
        lead["_embedded"] = {**lead.get("_embedded", {}), "metadata": {**source, **self._incoming(write, now)}}
        return lead

    def _incoming(self, write: Write, now: datetime) -> Item:
        """What tells where an incoming lead came from; ``uniq`` finds it again (10.2)."""
        contact = write.new_contact
        phone = contact.phones[0].lstrip("+") if contact and contact.phones else ""
        metadata = {
            "phone": phone,
            "from": phone,
            "call_responsible": _user(write.user),
            "called_at": int(now.timestamp()),
            "duration": 0,
            "link": "",
            "service_code": self.settings.service_name,
            "uniq": write.hub_id,
            "is_call_event_needed": False,
        }
        return {name: value for name, value in metadata.items() if value is not None}

    def changed_deal(self, write: Write, action: UpdateDeal) -> Item:
        return _without_empty(
            {
                "id": _id(write.refs.get("deal")),
                "price": None if action.price is None else round(action.price),
                "pipeline_id": _number(write.pipeline_id),
                "status_id": _number(write.stage_id),
                "responsible_user_id": _user(write.user),
                "custom_fields_values": self._values(write, RecordKind.DEAL, is_new=False),
                "tags_to_add": self._tags(action.add_tags),
            }
        )

    # --- tasks --------------------------------------------------------------------------------------------------

    def task(self, write: Write, action: CreateTask) -> Item:
        item = {
            "text": self.text(action.text),
            "complete_till": int(action.due_at.timestamp()),
            "task_type_id": _number(write.task_type_id),
            "responsible_user_id": _user(write.user),
            **_on(write.refs.get("on")),
        }
        if action.completed_at is not None and self.settings.creates_completed_tasks:
            item |= self.completion(action.result)
        return _without_empty(item)

    def completion(self, result: str) -> Item:
        return {"is_completed": True, "result": {"text": self.text(result)}} if result else {"is_completed": True}

    def changed_task(self, write: Write, action: UpdateTask) -> Item:
        return _without_empty(
            {
                "id": _id(write.refs.get("task")),
                "text": None if action.text is None else self.text(action.text),
                "complete_till": None if action.due_at is None else int(action.due_at.timestamp()),
                "responsible_user_id": _user(write.user),
            }
        )

    def completed_task(self, write: Write, action: CompleteTask) -> Item:
        return {"id": _id(write.refs.get("task")), **self.completion(action.result)}

    # --- the feed of a card -------------------------------------------------------------------------------------

    def call(self, write: Write, action: RecordCall) -> Item:
        """A call_in or call_out note on the record that the plan names; nulls are refused (15, #570)."""
        params = {
            "uniq": action.uniq,
            "duration": action.talk_seconds,
            "source": action.source or self.settings.service_name,
            "link": action.recording or None,
            # a hidden number: the field must not be missing, and nobody can be called back by it
            "phone": action.phone or self.settings.hidden_number,
            "call_responsible": _user(write.user),
            "call_status": CALL_STATUSES.get(action.disposition),
            "call_result": self.text(action.text) or None,
        }
        return _without_empty(
            {
                "entity_id": _id(write.refs.get("on")),
                "note_type": "call_in" if action.direction is Direction.INBOUND else "call_out",
                "params": {name: value for name, value in params.items() if value is not None},
                "responsible_user_id": _user(write.user),
                "created_at": int(action.started_at.timestamp()) if self.settings.dates_calls else None,
            }
        )

    def note(self, write: Write, action: AddNote) -> Item:
        text = self.text(action.text)
        item: Item = {"entity_id": _id(write.refs.get("on"))}
        if action.is_long:
            params = {"service": self.settings.service_name, "text": text}
            return {**item, "note_type": "extended_service_message", "params": params}
        return {**item, "note_type": "common", "params": {"text": text}}

    def popup(self, write: Write, action: Notify) -> Item | None:
        """None if there is nothing to show or nobody to see it: without ``users`` everybody would (16)."""
        if action.phone is None or not write.users:
            return None
        return popup_item(action.phone, write.users)

    # --- texts and fields ---------------------------------------------------------------------------------------

    def name(self, text: str) -> str:
        return _cut(text.strip(), self.settings.name_limit)

    def text(self, text: str) -> str:
        return _cut(text, self.settings.text_limit)

    def _tags(self, tags: Iterable[str]) -> list[Item]:
        return [{"name": _cut(tag, self.settings.tag_limit)} for tag in tags if tag.strip()]

    def _values(self, write: Write, kind: RecordKind, *, is_new: bool) -> list[Item]:
        found = [
            item
            for field_id, text in write.fields.items()
            if text and (item := self._value(field_id, text)) is not None
        ]
        own = self.profile.hub_id_fields.get(kind)
        if is_new and own is not None and write.hub_id:
            found.append({"field_id": int(own), "values": [{"value": write.hub_id}]})
        return found

    def _value(self, field_id: str, text: str) -> Item | None:
        """One custom field by its type (6.1); None for types that cannot be written by value."""
        spec = self.profile.fields.get(field_id) or FieldSpec(record=RecordKind.DEAL, type="text")
        name: Item = {"field_id": int(field_id)}
        match spec.type:
            case "tracking_data" if spec.code:
                return {"field_code": spec.code, "values": [{"value": self._field_text(text)}]}
            case "checkbox":
                return {**name, "values": [{"value": text.strip().lower() in _YES}]}
            case "numeric" | "price" | "monetary":
                return {**name, "values": [{"value": _decimal(text)}]}
            case "date" | "birthday" | "date_time":
                return {**name, "values": [{"value": self._date(text)}]}
            case "multiselect":
                return {**name, "values": [{"value": choice} for choice in _choices(text, spec.choices)]}
            case "select" | "radiobutton":
                return {**name, "values": [{"value": text}]}
            case "multitext":
                return {**name, "values": [{"value": text, "enum_code": "WORK"}]}
            case "smart_address":
                return {**name, "values": [{"value": self._field_text(text), "enum_code": "address_line_1"}]}
            case kind if kind in UNWRITABLE:
                return None
            case kind if kind in _LONG_TEXT:
                return {**name, "values": [{"value": self.text(text)}]}
            case _:
                return {**name, "values": [{"value": self._field_text(text)}]}

    def _field_text(self, text: str) -> str:
        return _cut(text, self.settings.field_limit)

    def _date(self, text: str) -> int | str:
        """Unix seconds; a day without a time begins at the account's midnight. Unreadable text goes as it is: amoCRM
        then names the field in its refusal."""
        text = text.strip()
        if text.isdigit() and len(text) >= 9:
            return int(text)
        try:
            moment = datetime.combine(date.fromisoformat(text), time(), self.profile.zone)
        except ValueError:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                return text
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.profile.zone)
        return int(moment.astimezone(UTC).timestamp())


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _id(ref: RecordRef | None) -> int | None:
    return int(ref.id) if ref is not None else None


def _user(user: UserId | None) -> int | None:
    return int(user) if user else None


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _on(ref: RecordRef | None) -> Item:
    return {"entity_id": int(ref.id), "entity_type": CARDS[ref.kind]} if ref is not None else {}


def _without_empty(item: Mapping[str, Any]) -> Item:
    """Omitted fields stay as they are; null and [] would clear them, or be refused (6.1)."""
    return {name: value for name, value in item.items() if value is not None and value not in ([], {})}


def popup_item(phone: Phone, users: Iterable[UserId]) -> Item:
    """A notice about a call for ``users``, of whom there must be one: without any, everybody would see it (16)."""
    return {"type": "phone_call", "phone_number": phone.lstrip("+"), "users": [int(user) for user in users]}


def _multitext(code: str, values: Iterable[str]) -> list[Item]:
    items = [{"value": value, "enum_code": "WORK"} for value in values]
    return [{"field_code": code, "values": items}] if items else []


def _extended(
    code: str, held: Sequence[Item], added: Sequence[Phone] | Sequence[str], *, is_less: bool = False
) -> list[Item]:
    """The whole field anew; ``is_less``: ``held`` is what is left of it, and null clears it (6.1)."""
    if not (added or is_less):
        return []
    values = [*held, *({"value": value, "enum_code": "WORK"} for value in added)]
    return [{"field_code": code, "values": values or None}]


def _decimal(text: str) -> float | str:
    """A number however people write it; other text goes as it is, so that amoCRM names the field."""
    plain = text.replace("\xa0", "").replace(" ", "").replace(",", ".")
    try:
        found = float(plain)
    except ValueError:
        return text
    return found if isfinite(found) else text


def _choices(text: str, known: Sequence[str]) -> list[str]:
    """One choice, or several joined by commas; a choice may hold a comma itself."""
    if text in known:
        return [text]
    return [part.strip() for part in text.split(",") if part.strip()]
