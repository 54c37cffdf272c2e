"""From the hub's words to Zoho's: the bodies of writes, pure. The other direction is `mapping`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from hub.core.interaction import Direction, Disposition
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    RecordCall,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import RecordKind, RecordRef, UserId
from hub.ports import Write
from hub_zoho.client import Item
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import COMPLETED, LEADS, NO_STATUS, module_of, value_of_stage
from hub_zoho.profile import Profile
from hub_zoho.wire import Row

__all__ = ["Bodies"]

_YES = frozenset({"1", "true", "yes", "on", "да", "так"})
_SUBJECT_LIMIT = 255
#: seconds; a telephony that says more has miscounted, and the record is worth more than its length
_LONGEST_CALL = 9999 * 60 + 59
#: the order in which numbers and addresses fill a card
_PHONES = ("Phone", "Mobile", "Home_Phone", "Other_Phone", "Asst_Phone")
_EMAILS = ("Email", "Secondary_Email")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """Makes request items for one organisation."""

    settings: ZohoSettings
    profile: Profile

    # --- cards --------------------------------------------------------------------------------------------------

    def contact(self, write: Write, action: CreateContact) -> Item:
        company = write.refs.get("company")
        return _without_empty(
            {
                **self._person(action.name or next(iter((*action.phones, *action.emails)), "")),
                **self._spread("Contacts", _PHONES, action.phones),
                **self._spread("Contacts", _EMAILS, action.emails),
                "Owner": _user(write.user),
                "Account_Name": {"id": company.id} if company else None,
                "Tag": self.tags(action.tags),
                **self._values(write.fields, "Contacts"),
                **self._mark("Contacts", write.hub_id, ""),
            }
        )

    def lead(self, write: Write, action: CreateDeal, person: Row | None) -> Item:
        """A lead from the new contact that came with it, or from a card that exists; else from the deal alone."""
        contact = write.new_contact
        item: Item = {}
        marks, fields, tags = [write.hub_id], dict(write.fields), list(action.tags)
        if write.with_contact is not None and contact is not None:
            item = self._person(contact.name or next(iter((*contact.phones, *contact.emails)), ""))
            item |= self._spread(LEADS, _PHONES, contact.phones) | self._spread(LEADS, _EMAILS, contact.emails)
            marks.append(write.with_contact.hub_id)
            fields = {**write.with_contact.fields, **fields}
            tags += contact.tags
        elif person is not None:
            item = self._person(person.text("Full_Name") or person.text("Last_Name") or person.text("Account_Name"))
            for name in (*_PHONES, *_EMAILS):
                if person.text(name) and self.profile.has(LEADS, name):
                    item[name] = person.text(name)
        if not item.get("Last_Name"):
            item = self._person(action.name) | item
        company = person.lookup_name("Account_Name") or person.text("Account_Name") if person else ""
        status = value_of_stage(write.stage_id, LEADS)
        return _without_empty(
            {
                **item,
                "Company": self._cut(company or self.settings.lead_company, LEADS, "Company"),
                "Lead_Status": status if status != NO_STATUS else None,
                "Owner": _user(write.user or (write.with_contact.user if write.with_contact else None)),
                "Tag": self.tags(dict.fromkeys(tags)),
                **self._values(fields, LEADS),
                **self._mark(LEADS, "+".join(marks), action.name),
            }
        )

    def deal(self, write: Write, action: CreateDeal, contact_id: str, now: datetime) -> Item:
        """A deal of a contact; also what a conversion makes of a lead."""
        company = write.refs.get("company")
        pipeline = write.pipeline_id if self.profile.has_pipelines else None
        closing = (now + timedelta(days=self.settings.closing_days)).astimezone(self.profile.zone).date()
        return _without_empty(
            {
                "Deal_Name": self._cut(action.name, "Deals", "Deal_Name"),
                "Stage": value_of_stage(write.stage_id, write.pipeline_id),
                "Pipeline": pipeline,
                "Closing_Date": closing.isoformat(),
                "Amount": action.price,
                "Contact_Name": {"id": contact_id} if contact_id else None,
                "Account_Name": {"id": company.id} if company else None,
                "Owner": _user(write.user),
                "Tag": self.tags(action.tags),
                **self._values(write.fields, "Deals"),
                **self._mark("Deals", write.hub_id, ""),
            }
        )

    def changed_contact(self, write: Write, action: UpdateContact, held: Row | None) -> Item:
        """``held``: the card as it is, if numbers or addresses are to be added to those that it has."""
        module, record_id = module_of(write.refs["contact"])
        company = write.refs.get("company")
        item: Item = {"id": record_id, "Owner": _user(write.user)}
        if action.name is not None:
            item |= self._person(action.name)
        if held is not None:
            item |= self._added(module, _PHONES, held, action.add_phones)
            item |= self._added(module, _EMAILS, held, action.add_emails)
        if company is not None and module == "Contacts":
            item["Account_Name"] = {"id": company.id}
        return _without_empty(item | self._values(write.fields, module))

    def changed_deal(self, write: Write, action: UpdateDeal) -> Item:
        module, record_id = module_of(write.refs["deal"])
        stage = value_of_stage(write.stage_id, write.pipeline_id)
        item: Item = {"id": record_id, "Owner": _user(write.user)}
        if module == LEADS:
            item["Lead_Status"] = stage
        else:
            item |= {"Stage": stage, "Amount": action.price}
            item["Pipeline"] = write.pipeline_id if self.profile.has_pipelines else None
        return _without_empty(item | self._values(write.fields, module))

    # --- tasks and calls ----------------------------------------------------------------------------------------

    def task(self, write: Write, action: CreateTask) -> Item:
        """A task is due on a day; the reminder, and the text of a completed one, carry the hour."""
        lines = [action.text.strip()]
        if action.completed_at is not None:
            lines.append(f"{action.completed_at.astimezone(self.profile.zone):%Y-%m-%d %H:%M}")
            lines.append(action.result.strip())
        item: Item = {
            "Subject": self._subject(action.text),
            "Due_Date": self._day(action.due_at),
            "Status": COMPLETED if action.completed_at is not None else None,
            "Owner": _user(write.user),
            **relations(write.refs.get("on")),
            **self._mark("Tasks", write.hub_id, "\n".join(line for line in lines if line)),
        }
        if action.completed_at is None and self.settings.reminds:
            item["Remind_At"] = self._alarm(action.due_at)
        return _without_empty(item)

    def changed_task(self, write: Write, action: UpdateTask) -> Item:
        item: Item = {"id": write.refs["task"].id, "Owner": _user(write.user)}
        if action.due_at is not None:
            item["Due_Date"] = self._day(action.due_at)
            if self.settings.reminds:
                item["Remind_At"] = self._alarm(action.due_at)
        if action.text is not None:
            item |= {"Subject": self._subject(action.text), "Description": self.text(action.text)}
        return _without_empty(item)

    def completed_task(self, write: Write, action: CompleteTask, held: Row | None) -> Item:
        """``held``: the task as it is, if a result is to be added to its text."""
        item: Item = {"id": write.refs["task"].id, "Status": COMPLETED}
        if action.result and held is not None:
            before = held.text("Description") or held.text("Subject")
            if action.result not in before:
                item["Description"] = self.text(f"{before}\n{action.result}")
        return item

    def call(self, write: Write, action: RecordCall) -> Item:
        """One call (5): a missed one has no duration, an outgoing one is always completed."""
        is_inbound = action.direction is Direction.INBOUND
        is_missed = is_inbound and action.disposition is not Disposition.ANSWERED
        phone = action.phone or ""
        field = self.settings.recording_field
        lines = [action.text.strip(), action.recording, f"{action.source or self.settings.service_name} {action.uniq}"]
        return _without_empty(
            {
                "Subject": self._subject(f"{action.source or self.settings.service_name} {phone}".strip()),
                "Call_Type": "Missed" if is_missed else "Inbound" if is_inbound else "Outbound",
                "Call_Start_Time": self.moment(action.started_at),
                "Call_Duration": None if is_missed else _duration(action.talk_seconds),
                "Outgoing_Call_Status": None if is_inbound else COMPLETED,
                ("Caller_ID" if is_inbound else "Dialled_Number"): phone,
                "Owner": _user(write.user),
                field: action.recording if self.profile.has("Calls", field) else None,
                **relations(write.refs.get("on")),
                **self._mark("Calls", write.hub_id, "\n".join(line for line in lines if line)),
            }
        )

    def note(self, write: Write, action: AddNote) -> Item:
        module, record_id = module_of(write.refs["on"])
        return {
            "Note_Title": self.settings.service_name,
            "Note_Content": self.text(action.text),
            "Parent_Id": {"module": {"api_name": module}, "id": record_id},
        }

    # --- texts and values ---------------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        return _cut(text.strip(), self.settings.text_limit)

    def tags(self, tags: Iterable[str]) -> list[Item]:
        return [{"name": _cut(tag.strip(), self.settings.tag_limit)} for tag in tags if tag.strip()]

    def moment(self, moment: datetime) -> str:
        """ISO 8601 with the organisation's offset and no fraction, which Zoho would refuse (2)."""
        return moment.astimezone(self.profile.zone).isoformat(timespec="seconds")

    def _day(self, moment: datetime) -> str:
        return moment.astimezone(self.profile.zone).date().isoformat()

    def _alarm(self, moment: datetime) -> Item:
        return {"ALARM": f"FREQ=NONE;ACTION=POPUP;TRIGGER=DATE-TIME:{self.moment(moment)}"}

    def _subject(self, text: str) -> str:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "") or self.settings.service_name
        return _cut(first, _SUBJECT_LIMIT)

    def _person(self, name: str) -> Item:
        """First and last name whose sum reads as ``name``; Zoho demands the last."""
        first, _, last = name.strip().partition(" ")
        if not last or not first.isalpha():
            shown = _cut(name.strip(), self.settings.name_limit)
            return {"Last_Name": shown} if shown else {}
        return {"First_Name": _cut(first, 40), "Last_Name": _cut(last.strip(), self.settings.name_limit)}

    def _spread(self, module: str, names: Sequence[str], values: Sequence[str]) -> Item:
        free = [name for name in names if self.profile.has(module, name)]
        return dict(zip(free, values, strict=False))

    def _added(self, module: str, names: Sequence[str], held: Row, values: Sequence[str]) -> Item:
        """``values`` in the card's empty fields; what finds no place is left out."""
        free = [name for name in names if self.profile.has(module, name) and not held.text(name)]
        return dict(zip(free, values, strict=False))

    def _mark(self, module: str, mark: str, text: str) -> Item:
        """Our mark in the field for it, else at the end of the description, which bears ``text``."""
        field = self.profile.hub_id_fields.get(module)
        if field is not None:
            return {field: mark, "Description": self.text(text)}
        room = self.settings.text_limit - len(mark) - 20
        return {"Description": f"{_cut(text.strip(), room)}\n[Hub ID: {mark}]".lstrip()}

    def _values(self, fields: Mapping[str, str], module: str) -> Item:
        found = {name: self._value(module, name, text) for name, text in fields.items() if text}
        return {name: value for name, value in found.items() if value is not None}

    def _value(self, module: str, name: str, text: str) -> Any:
        """One field by its type; None for one that the module lacks or that cannot be written by value."""
        spec = self.profile.fields.get(module, {}).get(name)
        if spec is None or spec.is_read_only:
            return None
        match spec.type:
            case "boolean":
                return text.strip().lower() in _YES
            case "integer" | "bigint" | "double" | "currency" | "percent":
                return _decimal(text)
            case "multiselectpicklist":
                return [text] if text in spec.choices else [part.strip() for part in text.split(",") if part.strip()]
            case "datetime":
                try:
                    moment = datetime.fromisoformat(text)
                except ValueError:
                    return text
                return self.moment(moment if moment.tzinfo else moment.replace(tzinfo=self.profile.zone))
            case "lookup" | "ownerlookup" | "fileupload" | "imageupload" | "formula" | "subform":
                return None
            case _:
                return _cut(text, spec.length or _SUBJECT_LIMIT)

    def _cut(self, text: str, module: str, name: str) -> str:
        spec = self.profile.fields.get(module, {}).get(name)
        return _cut(text.strip(), spec.length if spec and spec.length else _SUBJECT_LIMIT)


def relations(on: RecordRef | None) -> Item:
    """Who_Id only ever names a contact, What_Id wants its module beside it, a lead stands alone (3)."""
    if on is None:
        return {}
    module, record_id = module_of(on)
    if on.kind is RecordKind.CONTACT and module == "Contacts":
        return {"Who_Id": {"id": record_id}, "$se_module": "Contacts"}
    return {"What_Id": {"id": record_id}, "$se_module": module}


def _duration(seconds: int) -> str:
    """Minutes and seconds; more than an hour goes on counting minutes (5), what no call lasts does not (?)."""
    seconds = min(seconds, _LONGEST_CALL)
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _user(user: UserId | None) -> Item | None:
    return {"id": str(user)} if user else None


def _without_empty(item: Mapping[str, Any]) -> Item:
    """What is left out stays as it is, or as Zoho fills it."""
    return {name: value for name, value in item.items() if value is not None and value not in ("", [], {})}


def _decimal(text: str) -> float | str:
    """A number however people write it; other text goes as it is, so that Zoho names the field."""
    plain = text.replace("\xa0", "").replace(" ", "").replace(",", ".")
    try:
        found = float(plain)
    except ValueError:
        return text
    return found if isfinite(found) else text
