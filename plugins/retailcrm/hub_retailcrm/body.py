"""From the hub's words to RetailCRM's: the JSON of writes, pure. The other direction is `mapping`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from math import isfinite
from typing import Any, TypeAlias

from hub.core.interaction import Direction, Disposition
from hub.core.plan import (
    AddNote,
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
from hub.ringing import CallSign
from hub_retailcrm import wire
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.mapping import CUSTOM, SOURCE_PARTS
from hub_retailcrm.moment import to_due, to_text
from hub_retailcrm.profile import Profile

__all__ = ["RESULTS", "Bodies", "Filled", "Item"]

Item: TypeAlias = dict[str, Any]

#: how a call ended, in the upload's words (here "no answer", in events "no answered": 7)
RESULTS = {
    Disposition.ANSWERED: "answered",
    Disposition.MISSED: "no answer",
    Disposition.CLIENT_MISSED: "no answer",
    Disposition.VOICEMAIL: "no answer",
    Disposition.BUSY: "busy",
    Disposition.FAILED: "failed",
    Disposition.PENDING: "unknown",
}
#: the same in the words of call events, and who began
_HANGUPS = {
    Disposition.ANSWERED: "answered",
    Disposition.BUSY: "busy",
    Disposition.FAILED: "failed",
}
_EVENTS = {Direction.INBOUND: "in", Direction.OUTBOUND: "out"}
_YES = frozenset({"1", "true", "yes", "on", "да", "так"})
#: attributes that the catalogue offers as fields and that are written as they stand
_PLAIN = ("orderMethod", "managerComment", "customerComment")


@dataclass(slots=True)
class Filled:
    """The fields of a write, sorted by where RetailCRM keeps them."""

    item: Item = field(default_factory=dict)
    site: str = ""
    client_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """Makes the entities of requests for one account; texts are cut here, since RetailCRM publishes no limits."""

    settings: RetailCrmSettings
    profile: Profile

    # --- customers ----------------------------------------------------------------------------------------------

    def customer(self, write: Write, action: CreateContact) -> Item:
        """The name goes into ``firstName`` whole: the only one that is always shown, and telephony knows no parts."""
        return _without_empty(
            {
                "externalId": write.hub_id,
                "firstName": self.name(action.name),
                "phones": [{"number": phone} for phone in action.phones],
                "email": action.emails[0] if action.emails else None,
                "managerId": _user(write.user),
                "tags": [{"name": tag} for tag in action.tags if tag.strip()],
                **self.filled(write, "contact").item,
            }
        )

    def changed_customer(self, write: Write, action: UpdateContact, held: wire.Customer | None) -> Item:
        """``held``: the customer as it is, needed if numbers or e-mails are added: a list that is sent replaces all,
        and there is room for one e-mail only."""
        numbers = [one.number for one in held.phones if one.number] if held else []
        email = None
        if held is not None and not (held.email or "").strip() and action.add_emails:
            email = action.add_emails[0]
        return _without_empty(
            {
                "firstName": None if action.name is None else self.name(action.name),
                "phones": [{"number": one} for one in (*numbers, *action.add_phones)] if action.add_phones else None,
                "email": email,
                "managerId": _user(write.user),
                "addTags": [tag for tag in action.add_tags if tag.strip()],
                **self.filled(write, "contact").item,
            }
        )

    # --- orders -------------------------------------------------------------------------------------------------

    def order(self, write: Write, action: CreateDeal, client: wire.Customer | None) -> Item:
        """``client``: whose name, phone and e-mail the order keeps a copy of."""
        filled = self.filled(write, "deal")
        contact, company = write.refs.get("contact"), write.refs.get("company")
        item: Item = {
            "externalId": write.hub_id,
            "status": write.stage_id,
            "orderType": write.pipeline_id,
            "orderMethod": self.settings.order_method or None,
            "managerId": _user(write.user),
            "clientId": filled.client_id or None,
        }
        if company is not None:
            item |= {"customer": {"id": int(company.id), "type": "customer_corporate"}, "contact": _pointer(contact)}
        else:
            item["customer"] = _pointer(contact)
        if client is not None:
            phones = [one.number for one in client.phones if one.number]
            item |= {"firstName": client.firstName, "lastName": client.lastName, "patronymic": client.patronymic}
            item |= {"phone": phones[0] if phones else None, "email": client.email or None}
        if self.settings.deal_name_in and action.name:
            item[self.settings.deal_name_in] = self.text(action.name)
        if action.price is not None:
            item["items"] = [self.line(action.name or write.hub_id, action.price)]
        return _without_empty(item | filled.item)

    def line(self, name: str, price: float) -> Item:
        """An order's sum is that of its lines: a line of free text stands for a price."""
        return {"productName": self.name(name), "initialPrice": price, "quantity": 1}

    def changed_order(self, write: Write, action: UpdateDeal) -> Item:
        filled = self.filled(write, "deal")
        item = {
            "status": write.stage_id,
            "orderType": write.pipeline_id if action.pipeline else None,
            "managerId": _user(write.user),
            "clientId": filled.client_id or None,
        }
        return _without_empty(item | filled.item)

    # --- tasks and notes ----------------------------------------------------------------------------------------

    def task(self, write: Write, action: CreateTask) -> Item:
        title, commentary = self.split(action.text)
        is_done = action.completed_at is not None and self.settings.creates_completed_tasks
        return _without_empty(
            {
                "text": title,
                "commentary": _joined(commentary, action.result if is_done else ""),
                "datetime": to_due(action.due_at, self.profile.zone),
                "performerId": _user(write.user) or _user(UserId(self.settings.default_user)),
                "complete": True if is_done else None,
                **_hangs_on(write.refs.get("on")),
            }
        )

    def changed_task(self, write: Write, action: UpdateTask) -> Item:
        title, commentary = self.split(action.text or "")
        return _without_empty(
            {
                "text": title,
                "commentary": commentary,
                "datetime": None if action.due_at is None else to_due(action.due_at, self.profile.zone),
                "performerId": _user(write.user),
            }
        )

    def note(self, write: Write, action: AddNote, customer_id: str, prefix: str = "") -> Item:
        """Only customers have notes; ``prefix`` names the order that one is about."""
        return {"text": self.text(f"{prefix}{action.text}"), "customer": {"id": int(customer_id)}}

    def split(self, text: str) -> tuple[str, str]:
        """Title and commentary of a task: its first line, and the rest."""
        title, _, rest = text.strip().partition("\n")
        limit = self.settings.task_title_limit
        if len(title) > limit:
            # nothing is lost: what does not fit goes on below
            title, rest = f"{title[: limit - 1]}…", _joined(title[limit - 1 :], rest)
        return title.strip(), self.text(rest.strip())

    # --- telephony ----------------------------------------------------------------------------------------------

    def call(self, write: Write, action: RecordCall) -> Item:
        """RetailCRM ties a call to the customer by its number; a text beside it there is none (7)."""
        is_answered = action.disposition is Disposition.ANSWERED
        return _without_empty(
            {
                "date": to_text(action.started_at, self.profile.zone),
                "type": "in" if action.direction is Direction.INBOUND else "out",
                "phone": action.phone or self.settings.hidden_number,
                # of a missed call nobody handled it
                "userId": _user(write.user) if is_answered or action.direction is Direction.OUTBOUND else None,
                "result": RESULTS[action.disposition],
                "duration": action.talk_seconds if is_answered else None,
                "externalId": action.uniq,
                "recordUrl": action.recording or None,
                "site": self.profile.site or None,
            }
        )

    def card(self, write: Write, action: Notify) -> Item | None:
        """A call event that makes the caller's card pop up; None without a number or somebody to see it."""
        if action.phone is None or not write.users:
            return None
        event = {"phone": action.phone, "type": "in", "userIds": [int(user) for user in write.users]}
        return event | ({"site": self.profile.site} if self.profile.site else {})

    def call_event(self, sign: CallSign) -> Item:
        """A call rings, is taken by somebody for whom it did not ring, or is over; ``callExternalId`` ties them (7)."""
        event: Item = {
            "phone": sign.phone,
            "type": _EVENTS[sign.direction] if sign.phase != "over" else "hangup",
            "userIds": [int(user) for user in sign.users],
            "callExternalId": sign.call_id,
        }
        if sign.phase == "over":
            event["hangupStatus"] = _HANGUPS.get(sign.disposition, "no answered")
        if sign.line is not None:
            event["externalPhone"] = sign.line.lstrip("+")
        return event | ({"site": self.profile.site} if self.profile.site else {})

    def notification(self, write: Write, action: Notify, link: str) -> Item | None:
        """The hub's own text, with the number and a link to the card (C7)."""
        if not write.users:
            return None
        lines = [escape(line) for line in action.text.splitlines() if line.strip()]
        if action.phone is not None and action.phone not in action.text:
            lines.append(escape(action.phone))
        if link and link not in action.text:
            lines.append(f'<a href="{escape(link)}">{escape(link)}</a>')
        message = "".join(f"<p>{line}</p>" for line in lines)
        return {"type": "api.info", "message": message, "userIds": [int(user) for user in write.users]}

    # --- texts and fields ---------------------------------------------------------------------------------------

    def name(self, text: str) -> str:
        return _cut(text.strip(), self.settings.name_limit)

    def text(self, text: str) -> str:
        return _cut(text, self.settings.text_limit)

    def site(self, write: Write) -> str:
        """The shop of a new record: the policy's, else the connection's."""
        return write.fields.get("site") or self.profile.site

    def filled(self, write: Write, entity: str) -> Filled:
        """The write's fields: custom ones by their type, utm tags in ``source``, the rest as attributes."""
        found = Filled(site=write.fields.get("site", ""), client_id=write.fields.get("clientId", ""))
        custom: Item = {}
        source: Item = {}
        for name, text in write.fields.items():
            if not text:
                continue
            if name.startswith(CUSTOM):
                code = name.removeprefix(CUSTOM)
                custom[code] = self._value(self.profile.fields.get(f"{entity}.{code}", "string"), text)
            elif name in SOURCE_PARTS:
                source[SOURCE_PARTS[name]] = _cut(text, self.settings.name_limit)
            elif name == "call":
                found.item["call"] = text.strip().lower() in _YES
            elif name in _PLAIN:
                found.item[name] = self.text(text)
        if custom:
            found.item["customFields"] = custom
        if source:
            found.item["source"] = source
        return found

    def _value(self, kind: str, text: str) -> Any:
        """One custom field by its type (2); text that does not fit goes as it is, so that RetailCRM names the field."""
        match kind:
            case "boolean":
                return text.strip().lower() in _YES
            case "integer" | "numeric":
                return _number(text, is_whole=kind == "integer")
            case "text":
                return self.text(text)
            case _:
                return _cut(text, self.settings.name_limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _user(user: UserId | None) -> int | None:
    return int(user) if user else None


def _pointer(ref: RecordRef | None) -> Item | None:
    return {"id": int(ref.id)} if ref is not None else None


def _hangs_on(ref: RecordRef | None) -> Item:
    if ref is None:
        return {}
    return {"order" if ref.kind is RecordKind.DEAL else "customer": {"id": int(ref.id)}}


def _number(text: str, *, is_whole: bool) -> int | float | str:
    plain = text.replace("\xa0", "").replace(" ", "").replace(",", ".")
    try:
        found = float(plain)
    except ValueError:
        return text
    if not isfinite(found):
        return text
    return int(found) if is_whole and found.is_integer() else found


def _without_empty(item: Mapping[str, Any]) -> Item:
    """What is left out stays as it is; "" and [] would clear it."""
    return {name: value for name, value in item.items() if value is not None and value not in ("", [], {})}
