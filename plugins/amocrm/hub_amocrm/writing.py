"""Applying steps: one kind of action, many at once, one request (DESIGN 4)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.clock import Clock
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Notify,
    RecordCall,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import RecordKind, RecordRef
from hub.errors import Rejected, Stale, Unavailable, VendorError
from hub.ports import Applied, Done, Refused, Write
from hub_amocrm import wire
from hub_amocrm.body import Bodies, Item
from hub_amocrm.client import AmoCrmClient
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import CARDS
from hub_amocrm.problem import Sent, is_stale
from hub_amocrm.reading import Records

__all__ = ["Writer", "request_group"]

Answer = dict[StepKey, Applied]

logger = logging.getLogger(__name__)


def request_group(write: Write) -> str:
    """Writes of one kind and one group share a request; several groups in one `apply` cost a request each."""
    match write.action:
        case CreateDeal(is_unsorted=True):
            # the list of incoming leads takes new contacts only; a known one is named in a complex request
            return "unsorted known" if "contact" in write.refs else "unsorted"
        case UpdateDeal(accepts=True):
            return "accept"
        case CreateDeal():
            return "complex" if write.with_contact is not None else "leads"
        case RecordCall() | AddNote():
            on = write.refs.get("on")
            return CARDS[on.kind] if on is not None else ""
        case _:
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Sends writes for one account."""

    client: AmoCrmClient
    settings: AmoCrmSettings
    bodies: Bodies
    records: Records
    clock: Clock

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """See `hub.ports.SinkSession.apply`. Mixed groups go one after the other; once one of them is through, the
        trouble of a later one leaves its own steps in doubt or refused instead of hiding what was done."""
        groups: dict[str, list[Write]] = {}
        for write in writes:
            groups.setdefault(request_group(write), []).append(write)
        answer: Answer = {}
        for group, members in groups.items():
            try:
                answer |= await self._apply_group(group, members)
            except Rejected as err:
                if not answer:
                    raise
                answer |= _refused(err, members)
            except VendorError:
                if not answer:
                    raise
                break
        return answer

    async def _apply_group(self, group: str, writes: Sequence[Write]) -> Answer:
        match writes[0].action:
            case CreateContact():
                return await self._create_contacts(writes)
            case UpdateContact():
                return await self._update_contacts(writes)
            case CreateDeal():
                return await self._create_deals(group, writes)
            case UpdateDeal() if group == "accept":
                return await self._accept(writes)
            case UpdateDeal():
                items = [self.bodies.changed_deal(w, w.action) for w in writes if isinstance(w.action, UpdateDeal)]
                return await self._change("leads", RecordKind.DEAL, writes, items)
            case CreateTask():
                return await self._create_tasks(writes)
            case UpdateTask():
                items = [self.bodies.changed_task(w, w.action) for w in writes if isinstance(w.action, UpdateTask)]
                return await self._change("tasks", RecordKind.TASK, writes, items)
            case CompleteTask():
                items = [self.bodies.completed_task(w, w.action) for w in writes if isinstance(w.action, CompleteTask)]
                return await self._change("tasks", RecordKind.TASK, writes, items)
            case RecordCall():
                items = [self.bodies.call(w, w.action) for w in writes if isinstance(w.action, RecordCall)]
                return await self._create(f"{group}/notes", RecordKind.NOTE, writes, items)
            case AddNote():
                items = [self.bodies.note(w, w.action) for w in writes if isinstance(w.action, AddNote)]
                return await self._create(f"{group}/notes", RecordKind.NOTE, writes, items)
            case Notify():
                return await self._notify(writes)
            case other:
                raise Rejected(f"amoCRM has nothing for {other.kind}", problems={w.key: () for w in writes})

    # --- creating -----------------------------------------------------------------------------------------------

    async def _create(self, collection: str, kind: RecordKind, writes: Sequence[Write], items: list[Item]) -> Answer:
        sent = _number(f"POST {collection}", writes, items)
        return _match(await self.client.create(collection, items, sent), kind, sent)

    async def _create_contacts(self, writes: Sequence[Write]) -> Answer:
        items = [self.bodies.contact(w, w.action) for w in writes if isinstance(w.action, CreateContact)]
        answer = await self._create("contacts", RecordKind.CONTACT, writes, items)
        await self.link_companies(writes, answer)
        return answer

    async def _create_deals(self, group: str, writes: Sequence[Write]) -> Answer:
        now = self.clock.now()
        if group == "unsorted":
            items = [self.bodies.incoming(w, w.action, now) for w in writes if isinstance(w.action, CreateDeal)]
            sent = _number("POST leads/unsorted/sip", writes, items)
            return _match_incoming(await self.client.create_incoming(items, sent), writes, sent)
        if group == "unsorted known":
            items = [self.bodies.incoming_of(w, w.action, now) for w in writes if isinstance(w.action, CreateDeal)]
            sent = _number("POST leads/complex", writes, items)
            return _match_complex(await self.client.create_complex(items, sent), writes, sent)
        items = [self.bodies.deal(w, w.action) for w in writes if isinstance(w.action, CreateDeal)]
        if group == "leads":
            return await self._create("leads", RecordKind.DEAL, writes, items)
        sent = _number("POST leads/complex", writes, items)
        answer = _match_complex(await self.client.create_complex(items, sent), writes, sent)
        await self.link_companies([w.with_contact for w in writes if w.with_contact is not None], answer)
        return answer

    async def _create_tasks(self, writes: Sequence[Write]) -> Answer:
        actions = [w.action for w in writes if isinstance(w.action, CreateTask)]
        items = [self.bodies.task(w, action) for w, action in zip(writes, actions, strict=True)]
        answer = await self._create("tasks", RecordKind.TASK, writes, items)
        if not self.settings.creates_completed_tasks:
            await self.complete_created(writes, answer)
        return answer

    async def complete_created(self, writes: Sequence[Write], answer: Mapping[StepKey, Applied]) -> None:
        """The second request of a completed task where amoCRM ignores ``is_completed`` on creation: its failure
        leaves the step in doubt, and `find_done` completes the task that it finds."""
        items = []
        for write in writes:
            done = answer.get(write.key)
            if isinstance(write.action, CreateTask) and write.action.completed_at and isinstance(done, Done):
                assert done.record is not None
                items.append({"id": int(done.record.id), **self.bodies.completion(write.action.result)})
        if items:
            await _in_doubt_if_it_fails(self.client.change("tasks", items, Sent(operation="PATCH tasks")))

    async def link_companies(self, contacts: Sequence[Write], answer: Mapping[StepKey, Applied]) -> None:
        """New contacts get their company by a request of its own (7: linking is not part of creation). Its failure
        leaves the step in doubt, and `find_done` links what it finds; a refusal leaves the contact as it is."""
        items = []
        for write in contacts:
            done, company = answer.get(write.key), write.refs.get("company")
            if isinstance(done, Done) and done.record is not None and company is not None:
                link = {"to_entity_id": int(company.id), "to_entity_type": "companies"}
                items.append({"entity_id": int(done.record.id), **link})
        if not items:
            return
        try:
            await _in_doubt_if_it_fails(self.client.link("contacts", items, Sent(operation="POST contacts/link")))
        except (Rejected, Stale) as err:
            logger.warning("amoCRM did not link a company: %s", err, extra={"action": "amocrm.link_refused"})

    async def _notify(self, writes: Sequence[Write]) -> Answer:
        answer: Answer = {}
        shown: list[Write] = []
        items: list[Item] = []
        for write in writes:
            item = self.bodies.popup(write, write.action) if isinstance(write.action, Notify) else None
            if item is None:
                answer[write.key] = Refused(text="amoCRM shows a popup only for a number and a named user")
            else:
                shown.append(write)
                items.append(item)
        if items:
            users = {str(u): [w.key for w in shown if u in w.users] for w in shown for u in w.users}
            await self.client.pop_up(items, Sent(operation="POST /api/v2/events", users=users))
            answer |= {write.key: Done() for write in shown}
        return answer

    async def _accept(self, writes: Sequence[Write]) -> Answer:
        """Take leads out of "unsorted": one reading of its list, then a request each (10.1: there is no batch).

        A lead that is not there any more was accepted already: by an earlier attempt of ours, or by a person, whose
        choice stands (W12).
        """
        wanted = {str(write.refs["deal"].id): write for write in writes if "deal" in write.refs}
        answer: Answer = {
            write.key: Done(record=RecordRef(kind=RecordKind.DEAL, id=lead_id)) for lead_id, write in wanted.items()
        }
        inbox: dict[str, str] = {}
        params = [("order[created_at]", "desc"), ("limit", str(self.settings.page_size))]
        async for items in self.records.pages(self.client.incoming, params):
            inbox |= {str(lead.id): item.uid for item in items for lead in item.relations.leads or ()}
            if inbox.keys() >= wanted.keys():
                break
        waiting = [(lead_id, write) for lead_id, write in wanted.items() if lead_id in inbox]
        for place, (lead_id, write) in enumerate(waiting):
            body = {"user_id": write.user, "status_id": write.stage_id}
            number = {name: int(value) for name, value in body.items() if value is not None}
            sent = Sent(operation="POST leads/unsorted/accept", users={str(write.user): [write.key]})
            try:
                await self.client.accept_incoming(inbox[lead_id], number, sent)
            except Rejected as err:
                answer |= _refused(err, [write])
            except VendorError:
                if place == 0:
                    raise
                # what was not asked for is not done, and this one is in doubt: neither has an answer
                return {key: done for key, done in answer.items() if key not in {one.key for _, one in waiting[place:]}}
        return answer

    # --- changing -----------------------------------------------------------------------------------------------

    async def _update_contacts(self, writes: Sequence[Write]) -> Answer:
        """Phones and e-mails are read first, one request for the whole batch: writing them replaces all (6.1)."""
        wanted = [
            ref
            for write in writes
            if isinstance(write.action, UpdateContact) and _touches_numbers(write.action)
            if (ref := write.refs.get("contact")) is not None
        ]
        held = {str(c.id): c for c in await self.records.contacts(list(dict.fromkeys(ref.id for ref in wanted)))}
        phones = {contact_id: _held(contact, "PHONE") for contact_id, contact in held.items()}
        emails = {contact_id: _held(contact, "EMAIL") for contact_id, contact in held.items()}
        items: list[Item] = []
        present: list[Write] = []
        answer: Answer = {}
        for write in writes:
            ref, action = write.refs.get("contact"), write.action
            if not isinstance(action, UpdateContact) or ref is None:
                continue
            if ref in wanted and ref.id not in held:
                answer[write.key] = Refused(text="the contact is gone from amoCRM", is_stale=True)
                continue
            # a second update of the same card in this batch must not write back what the first one read
            own_phones, own_emails = phones.setdefault(ref.id, []), emails.setdefault(ref.id, [])
            reader = self.records.reader
            gone_phones, gone_emails = set(action.remove_phones), {one.strip().lower() for one in action.remove_emails}
            before = len(own_phones), len(own_emails)
            own_phones[:] = [one for one in own_phones if reader.phone(str(one.get("value", ""))) not in gone_phones]
            own_emails[:] = [one for one in own_emails if str(one.get("value", "")).strip().lower() not in gone_emails]
            # what a person has removed already is no change
            action = replace(
                action,
                remove_phones=action.remove_phones if len(own_phones) < before[0] else (),
                remove_emails=action.remove_emails if len(own_emails) < before[1] else (),
            )
            known = {reader.phone(str(item.get("value", ""))) for item in own_phones}
            new_phones = tuple(phone for phone in action.add_phones if phone not in known)
            lower = {str(item.get("value", "")).strip().lower() for item in own_emails}
            new_emails = tuple(email for email in action.add_emails if email.strip().lower() not in lower)
            action = replace(action, add_phones=new_phones, add_emails=new_emails)
            items.append(self.bodies.changed_contact(write, action, own_phones, own_emails))
            present.append(write)
            own_phones += [{"value": phone, "enum_code": "WORK"} for phone in new_phones]
            own_emails += [{"value": email, "enum_code": "WORK"} for email in new_emails]
        if present:
            answer |= await self._change("contacts", RecordKind.CONTACT, present, items)
            await self.link_companies(present, answer)
        return answer

    async def _change(
        self, collection: str, kind: RecordKind, writes: Sequence[Write], items: Sequence[Item]
    ) -> Answer:
        """Change records, each standing once in the request; later values win. One that the answer does not name was
        not there to be changed."""
        merged: dict[int, Item] = {}
        keys: dict[int, list[Write]] = {}
        for write, item in zip(writes, items, strict=True):
            merged[item["id"]] = _join(merged.get(item["id"], {}), item)
            keys.setdefault(item["id"], []).append(write)
        # an item with its id alone changes nothing: the card is as it should be
        sending = [item for item in merged.values() if len(item) > 1]
        changed = {item["id"] for item in merged.values() if len(item) == 1}
        if sending:
            sent = _number(f"PATCH {collection}", [keys[item["id"]][0] for item in sending], sending)
            users = {user: [w.key for w in writes if str(w.user) == user] for user in sent.users}
            found = await self.client.change(collection, sending, replace(sent, users=users))
            changed |= {item.id for item in found}
        answer: Answer = {}
        for record_id, members in keys.items():
            ref = RecordRef(kind=kind, id=str(record_id))
            gone = Refused(text="amoCRM did not change the record: it is gone", is_stale=True)
            for write in members:
                answer[write.key] = Done(record=ref) if record_id in changed else gone
        return answer


# --- tying answers to steps -------------------------------------------------------------------------------------


def _number(operation: str, writes: Sequence[Write], items: Sequence[Item]) -> Sent:
    """Give each item its index as ``request_id``: the very id that amoCRM would choose by itself (1.3)."""
    users: dict[str, list[StepKey]] = {}
    for index, (write, item) in enumerate(zip(writes, items, strict=True)):
        item["request_id"] = str(index)
        for one in (write, write.with_contact):
            if one is not None and one.user is not None:
                users.setdefault(str(one.user), []).append(write.key)
    keys = {str(index): write.key for index, write in enumerate(writes)}
    return Sent(operation=operation, keys=keys, users=users)


def _match(found: Sequence[wire.Created], kind: RecordKind, sent: Sent) -> Answer:
    return {
        sent.keys[str(item.request_id)]: Done(record=RecordRef(kind=kind, id=str(item.id)))
        for item in found
        if str(item.request_id) in sent.keys
    }


def _match_complex(found: Sequence[wire.Complex], writes: Sequence[Write], sent: Sent) -> Answer:
    by_key = {write.key: write for write in writes}
    answer: Answer = {}
    for item in found:
        ids = item.request_id if isinstance(item.request_id, list) else [item.request_id]
        for request_id in ids:
            key = sent.keys.get(str(request_id))
            if key is None:
                continue
            deal = RecordRef(kind=RecordKind.DEAL, id=str(item.id))
            answer[key] = Done(record=deal, is_merged=item.merged)
            inner = by_key[key].with_contact
            if inner is not None and item.contact_id:
                contact = RecordRef(kind=RecordKind.CONTACT, id=str(item.contact_id))
                answer[inner.key] = Done(record=contact, is_merged=item.merged)
    return answer


def _match_incoming(found: Sequence[wire.Incoming], writes: Sequence[Write], sent: Sent) -> Answer:
    by_key = {write.key: write for write in writes}
    answer: Answer = {}
    for item in found:
        key = sent.keys.get(str(item.request_id))
        if key is not None:
            answer |= incoming_done(item, by_key[key])
    return answer


def incoming_done(item: wire.Incoming, write: Write) -> Answer:
    """What an incoming lead holds, as the results of its steps."""
    leads, contacts = item.relations.leads or (), item.relations.contacts or ()
    if not leads:
        return {}
    answer: Answer = {write.key: Done(record=RecordRef(kind=RecordKind.DEAL, id=str(leads[0].id)))}
    if write.with_contact is not None and contacts:
        contact = RecordRef(kind=RecordKind.CONTACT, id=str(contacts[0].id))
        answer[write.with_contact.key] = Done(record=contact)
    return answer


def _refused(err: Rejected, writes: Sequence[Write]) -> Answer:
    """A refusal of one group, when another is through already: the named steps, or a group of one, are refused."""
    found = {key: problems for key, problems in err.problems.items() if key}
    if not found and len(writes) == 1:
        found = {writes[0].key: err.problems.get("", ())}
    return {
        StepKey(key): Refused(text="; ".join(map(str, problems)) or str(err), is_stale=is_stale(problems))
        for key, problems in found.items()
    }


def _held(contact: wire.Contact, code: str) -> list[Item]:
    """The values of a multitext field as they have to be sent back."""
    return [
        _kept(value)
        for field in contact.custom_fields_values or ()
        if field.field_code == code
        for value in field.values or ()
    ]


def _kept(value: wire.FieldValue) -> Item:
    if value.enum_id is not None:
        return {"value": value.value, "enum_id": value.enum_id}
    return {"value": value.value, "enum_code": value.enum_code or "WORK"}


def _join(first: Item, second: Item) -> Item:
    """Two changes of one record: later values win, fields and tags are collected."""
    joined = {**first, **second}
    if "custom_fields_values" in first and "custom_fields_values" in second:
        values = [*first["custom_fields_values"], *second["custom_fields_values"]]
        joined["custom_fields_values"] = list(
            {str(v.get("field_id") or v.get("field_code")): v for v in values}.values()
        )
    if "tags_to_add" in first and "tags_to_add" in second:
        joined["tags_to_add"] = [*first["tags_to_add"], *second["tags_to_add"]]
    if "tags_to_delete" in first and "tags_to_delete" in second:
        joined["tags_to_delete"] = [*first["tags_to_delete"], *second["tags_to_delete"]]
    return joined


async def _in_doubt_if_it_fails(request: Awaitable[object]) -> None:
    """A follow-up of something that is done already: trouble on the way makes the step in doubt, not undone."""
    try:
        await request
    except (Rejected, Stale):
        raise
    except VendorError as err:
        raise Unavailable(f"created, but not finished: {err}", operation=err.operation) from err


def _touches_numbers(action: UpdateContact) -> bool:
    return bool(action.add_phones or action.add_emails or action.remove_phones or action.remove_emails)
