"""Finding what a lost answer left in amoCRM (X5): lists, newest first; search is not asked, it lags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from hub.core.damage import damage_of, may_be
from hub.core.pairing import pair, unsure
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    RecordCall,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import RecordKind, RecordRef
from hub.ports import Applied, Done, Write
from hub_amocrm import wire
from hub_amocrm.body import Bodies, Item
from hub_amocrm.client import AmoCrmClient
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import CARDS, emails, tags
from hub_amocrm.reading import Found, Listed, Records
from hub_amocrm.wire import Card
from hub_amocrm.writing import Writer, incoming_done

__all__ = ["Doubt"]

Answer = dict[StepKey, Done]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Looks for writes whose outcome is unknown."""

    client: AmoCrmClient
    settings: AmoCrmSettings
    bodies: Bodies
    records: Records
    writer: Writer

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """See `hub.ports.SinkSession.find_done`. Cost: a list per kind of record however many writes there are, plus a
        page for every 250 records changed since the earliest was sent. Popups are never found: nothing keeps them."""
        answer: Answer = {}
        by_kind: dict[str, list[Write]] = {}
        for write in writes:
            if write.sent_at is not None:  # what was never sent is not there
                by_kind.setdefault(write.action.kind, []).append(write)
        for kind, members in by_kind.items():
            match kind:
                case "create_contact":
                    answer |= await self._contacts(members)
                case "create_deal":
                    answer |= await self._deals(members)
                case "create_task":
                    answer |= await self._tasks(members)
                case "record_call":
                    answer |= await self._notes(members, _is_that_call)
                case "add_note":
                    answer |= await self._notes(members, self._is_that_note)
                case "update_contact" | "update_deal" | "update_task" | "complete_task":
                    answer |= await self._changes(kind, members)
                case _:
                    pass
        return answer

    def _since(self, writes: Iterable[Write]) -> int:
        """The earliest moment at which one of ``writes`` may have been applied, in unix seconds."""
        earliest = min(write.sent_at for write in writes if write.sent_at is not None)
        return int((earliest - self.settings.clock_skew).timestamp())

    # --- created records ----------------------------------------------------------------------------------------

    async def _contacts(self, writes: Sequence[Write]) -> Answer:
        sweep = await self.records.changed("contacts", self._since(writes))
        cards = [card for card in sweep.records.values() if isinstance(card, wire.Contact)]
        found = pair(writes, cards, self._is_that_contact, self._may_be_that_card)
        answer = {key: _done(RecordKind.CONTACT, card.id) for key, card in found.items()}
        await self._link_missing(writes, found, answer)
        return answer

    async def _link_missing(
        self, writes: Sequence[Write], found: Mapping[StepKey, wire.Contact], answer: Mapping[StepKey, Applied]
    ) -> None:
        """The company of a contact is linked by a second request, which may be what was lost."""
        missing = [
            write
            for write in writes
            if "company" in write.refs and write.key in found and not found[write.key].relations.companies
        ]
        if missing:
            await self.writer.link_companies(missing, answer)

    def _is_that_contact(self, write: Write, card: wire.Contact) -> bool:
        mark = self._mark(RecordKind.CONTACT, card)
        if mark is not None:
            return mark == write.hub_id
        action = write.action
        if not isinstance(action, CreateContact):
            return False
        is_like = card.name == self.bodies.name(action.name) and set(action.phones) <= set(
            self.records.reader.phones(card)
        )
        return is_like and self._is_new(write, card)

    def _is_new(self, write: Write, record: wire.Entity | wire.Task) -> bool:
        """Whether it was made since ``write`` was sent; so it is taken if nobody can read when."""
        return not record.created_at or record.created_at >= self._since([write])

    def _may_be_that_card(self, write: Write, card: wire.Entity) -> bool:
        """Whether a card that is not known to be what ``write`` made might be it: what can be read does not say no."""
        damage = damage_of(card)
        if damage is None:  # read as it came
            return False
        kind = RecordKind.DEAL if isinstance(card, wire.Lead) else RecordKind.CONTACT
        mark = self._mark(kind, card)
        if mark or damage.holds(write.hub_id):
            return mark in ("", write.hub_id) or mark is None
        if mark is not None:
            return not _shows_values(damage.raw.get("custom_fields_values"))
        action = write.action
        name = action.name if isinstance(action, CreateContact | CreateDeal) else ""
        return may_be(damage.raw, {"name": self.bodies.name(name)}) and self._is_new(write, card)

    def _mark(self, kind: RecordKind, card: wire.Entity) -> str | None:
        """Our mark on ``card``, "" if it has none, None if the account has no field for it."""
        field_id = self.bodies.profile.hub_id_fields.get(kind)
        if field_id is None:
            return None
        values = next((f.values for f in card.custom_fields_values or () if str(f.field_id) == field_id), None)
        return str(values[0].value) if values else ""

    async def _deals(self, writes: Sequence[Write]) -> Answer:
        waiting = [w for w in writes if isinstance(w.action, CreateDeal) and w.action.is_unsorted]
        placed = [w for w in writes if w not in waiting]
        answer: Answer = {}
        if waiting:
            params = [("order[created_at]", "desc"), ("limit", str(self.settings.page_size))]
            since = self._since(waiting)
            async for items in self.records.pages(self.client.incoming, params):
                for item in items:
                    for write in waiting:
                        if item.uniq and item.uniq == write.hub_id:
                            answer |= _only_done(incoming_done(item, write))
                        elif not item.uniq and (damage := damage_of(item)) and damage.holds(write.hub_id):
                            raise unsure([write.key], item)
                if any((item.created_at or since) < since for item in items):
                    break
            # accepted meanwhile: then it is an ordinary lead that bears our mark
            placed = [*placed, *(w for w in waiting if w.key not in answer)]
        if not placed:
            return answer
        sweep = await self.records.changed("leads", self._since(placed))
        leads = [lead for lead in sweep.records.values() if isinstance(lead, wire.Lead)]
        found = pair(placed, leads, self._is_that_deal, self._may_be_that_card)
        inner = [w.with_contact for w in placed if w.with_contact is not None and w.key in found]
        for write in placed:
            lead = found.get(write.key)
            if lead is None:
                continue
            answer[write.key] = _done(RecordKind.DEAL, lead.id)
            contacts = sorted(lead.relations.contacts or (), key=lambda contact: not contact.is_main)
            if write.with_contact is not None and contacts:
                answer[write.with_contact.key] = _done(RecordKind.CONTACT, contacts[0].id)
        with_company = [write for write in inner if "company" in write.refs and write.key in answer]
        if with_company:
            ids = [done.record.id for write in with_company if (done := answer[write.key]).record is not None]
            cards = {str(card.id): card for card in await self.records.contacts(ids)}
            held = {w.key: cards[r.id] for w in with_company if (r := answer[w.key].record) and r.id in cards}
            await self._link_missing(with_company, held, answer)
        return answer

    def _is_that_deal(self, write: Write, lead: wire.Lead) -> bool:
        mark = self._mark(RecordKind.DEAL, lead)
        if mark is not None:
            return mark == write.hub_id
        action = write.action
        if not isinstance(action, CreateDeal) or lead.name != self.bodies.name(action.name):
            return False
        contact = write.refs.get("contact")
        linked = {str(item.id) for item in lead.relations.contacts or ()}
        has_contact = contact is None or contact.id in linked
        return has_contact and self._is_new(write, lead)

    async def _tasks(self, writes: Sequence[Write]) -> Answer:
        sweep = await self.records.changed("tasks", self._since(writes))
        tasks = [task for task in sweep.records.values() if isinstance(task, wire.Task)]
        found = pair(writes, tasks, self._is_that_task, self._may_be_that_task)
        answer = {key: _done(RecordKind.TASK, task.id) for key, task in found.items()}
        unfinished = [w for w in writes if w.key in found and _should_be_done(w) and not found[w.key].is_completed]
        if unfinished:
            # the second request of a completed task may be what was lost
            await self.writer.complete_created(unfinished, answer)
        return answer

    def _is_that_task(self, write: Write, task: wire.Task) -> bool:
        action = write.action
        if not isinstance(action, CreateTask) or not self._is_new(write, task):
            return False
        return all(getattr(task, name) == value for name, value in self._task_said(write, action).items())

    def _task_said(self, write: Write, action: CreateTask) -> Item:
        wanted = self.bodies.task(write, action)
        names = ("text", "entity_id", "entity_type", "task_type_id", "responsible_user_id", "complete_till")
        return {name: wanted[name] for name in names if name in wanted}

    def _may_be_that_task(self, write: Write, task: wire.Task) -> bool:
        action = write.action
        if damage_of(task) is None or not isinstance(action, CreateTask):
            return False
        return may_be(_said_by(task), self._task_said(write, action)) and self._is_new(write, task)

    # --- notes --------------------------------------------------------------------------------------------------

    async def _notes(self, writes: Sequence[Write], is_that: Callable[[Write, wire.Note], bool]) -> Answer:
        answer: Answer = {}
        by_card: dict[Card, list[Write]] = {}
        for write in writes:
            on = write.refs.get("on")
            if on is not None and on.kind in CARDS:
                by_card.setdefault(CARDS[on.kind], []).append(write)
        for card, members in by_card.items():
            notes = await self._recent_notes(card, members)
            found = pair(members, notes, is_that, self._may_be_that_note)
            answer |= {key: _done(RecordKind.NOTE, note.id) for key, note in found.items()}
        return answer

    def _may_be_that_note(self, write: Write, note: wire.Note) -> bool:
        on, action, said = write.refs.get("on"), write.action, _said_by(note)
        if on is None or not may_be(said, {"entity_id": int(on.id)}):
            return False
        params = said.get("params")
        if not isinstance(params, dict):
            return True
        if isinstance(action, RecordCall):
            return params.get("uniq") is None or may_be(params, {"uniq": action.uniq})
        text = self.bodies.text(action.text) if isinstance(action, AddNote) else ""
        return params.get("text") is None or may_be(params, {"text": text})

    async def _recent_notes(self, card: Card, writes: Sequence[Write]) -> list[wire.Note]:
        since = self._since(writes)
        is_call = isinstance(writes[0].action, RecordCall)
        types = ("call_in", "call_out") if is_call else ("common", "extended_service_message")
        params = [
            *(("filter[note_type][]", name) for name in types),
            ("filter[updated_at][from]", str(since)),
            ("order[updated_at]", "desc"),
            ("limit", str(self.settings.page_size)),
        ]
        found: list[wire.Note] = []
        async for notes in self.records.pages(lambda page: self.client.notes(card, page), params):
            fresh = [note for note in notes if not note.updated_at or note.updated_at >= since]
            found += fresh
            if len(fresh) < len(notes):
                break
        return found

    def _is_that_note(self, write: Write, note: wire.Note) -> bool:
        action, on = write.action, write.refs.get("on")
        if not isinstance(action, AddNote) or on is None:
            return False
        text = note.parameters.text
        return str(note.entity_id) == on.id and text == self.bodies.text(action.text)

    # --- changed records ----------------------------------------------------------------------------------------

    async def _changes(self, kind: str, writes: Sequence[Write]) -> Answer:
        """Changes are looked for in the records themselves: a change that is there already need not be repeated."""
        names: dict[str, tuple[str, Listed, RecordKind]] = {
            "update_contact": ("contact", "contacts", RecordKind.CONTACT),
            "update_deal": ("deal", "leads", RecordKind.DEAL),
            "update_task": ("task", "tasks", RecordKind.TASK),
            "complete_task": ("task", "tasks", RecordKind.TASK),
        }
        name, collection, record_kind = names[kind]
        ids = [write.refs[name].id for write in writes if name in write.refs]
        found = {str(item.id): item for item in await self.records.by_id(collection, ids)}
        answer: Answer = {}
        for write in writes:
            ref = write.refs.get(name)
            item = found.get(ref.id) if ref is not None else None
            if item is not None and self._has_change(write, item):
                answer[write.key] = _done(record_kind, item.id)
        missing = [w for w in writes if w.key in answer and isinstance(w.action, UpdateContact)]
        held = {w.key: c for w in missing if isinstance(c := found[w.refs[name].id], wire.Contact)}
        await self._link_missing(missing, held, answer)
        return answer

    def _has_change(self, write: Write, item: Found) -> bool:
        match write.action, item:
            case UpdateContact() as action, wire.Contact():
                if set(action.remove_phones) & set(self.records.reader.phones(item)):
                    return False
                if {email.strip().lower() for email in action.remove_emails} & set(emails(item)):
                    return False
                if set(action.remove_tags) & set(tags(item)):
                    return False
                action = replace(action, remove_phones=(), remove_emails=(), remove_tags=())
                wanted = self.bodies.changed_contact(write, action, (), ())
                has_phones = set(action.add_phones) <= set(self.records.reader.phones(item))
                has_emails = {email.strip().lower() for email in action.add_emails} <= set(emails(item))
                return has_phones and has_emails and _holds(item, wanted) and _has_tags(item, wanted)
            case UpdateDeal() as action, wire.Lead():
                wanted = self.bodies.changed_deal(write, action)
                return _holds(item, wanted) and _has_tags(item, wanted)
            case UpdateTask() as action, wire.Task():
                return _holds(item, self.bodies.changed_task(write, action))
            case CompleteTask(), wire.Task():
                return bool(item.is_completed)
            case _:
                return False


def _should_be_done(write: Write) -> bool:
    return isinstance(write.action, CreateTask) and write.action.completed_at is not None


def _is_that_call(write: Write, note: wire.Note) -> bool:
    on = write.refs.get("on")
    is_there = on is not None and str(note.entity_id) == on.id
    return is_there and isinstance(write.action, RecordCall) and note.parameters.uniq == write.action.uniq


def _done(kind: RecordKind, record_id: int) -> Done:
    return Done(record=RecordRef(kind=kind, id=str(record_id)))


def _only_done(answer: Mapping[StepKey, Applied]) -> Answer:
    return {key: done for key, done in answer.items() if isinstance(done, Done)}


def _shows_values(fields: object) -> bool:
    """Whether every value of a card's custom fields can be seen, be it unclear of which field it is."""
    entries = [] if fields is None else fields
    if not isinstance(entries, list):
        return False
    values = [entry.get("values", "") if isinstance(entry, dict) else "" for entry in entries]
    return all(isinstance(found, list | None) and all(isinstance(one, dict) for one in found or ()) for found in values)


def _said_by(record: wire.Wire) -> Mapping[str, Any]:
    """What amoCRM said of ``record``, as it came where that could not be read."""
    damage = damage_of(record)
    said: Mapping[str, Any] = msgspec.to_builtins(record) if damage is None else damage.raw
    return said


def _holds(record: Found, wanted: Item) -> bool:
    """Whether every plain value of ``wanted``, and every custom field in it, stands in the record."""
    seen = msgspec.to_builtins(record)
    plain = seen.keys() & wanted.keys() - {"custom_fields_values", "tags_to_add", "_embedded"}
    if any(wanted[name] != seen[name] for name in plain):
        return False
    if isinstance(record, wire.Task):
        return True
    held = {str(f.field_id): f for f in record.custom_fields_values or ()}
    held |= {f.field_code: f for f in record.custom_fields_values or () if f.field_code}
    for field in wanted.get("custom_fields_values", ()):
        name = str(field.get("field_id") or field.get("field_code"))
        if name in ("PHONE", "EMAIL"):
            continue  # compared as numbers and addresses by the caller
        values = held[name].values if name in held else None
        if {_plain(v["value"]) for v in field["values"]} != {_plain(v.value) for v in values or ()}:
            return False
    return True


def _plain(value: object) -> str:
    """A value as text, numbers without their spelling: numeric fields are read as strings (6.1)."""
    try:
        return str(float(str(value)))
    except ValueError:
        return str(value)


def _has_tags(card: wire.Entity, wanted: Item) -> bool:
    return {tag["name"] for tag in wanted.get("tags_to_add", ())} <= set(tags(card))
