"""Applying steps: one kind of action, many at once; Zoho answers each record by itself (DESIGN 4)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.clock import Clock
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
from hub.errors import Rejected, VendorError
from hub.ports import Applied, Done, Refused, Write
from hub_zoho.body import Bodies
from hub_zoho.client import Item, ZohoClient
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import LEADS, module_of
from hub_zoho.problem import IN_DOUBT, judge
from hub_zoho.reading import Records
from hub_zoho.wire import Outcome, Row

__all__ = ["Writer", "request_group"]

#: modules in which a unique field that finds another record means the same client
_JOINED = frozenset({LEADS, "Contacts"})
Answer = dict[StepKey, Applied]

log = logging.getLogger(__name__)


def request_group(write: Write) -> str:
    """Writes of one kind and one group share a request; several groups in one `apply` cost a request each."""
    match write.action:
        case CreateDeal():
            if write.pipeline_id in (None, LEADS):
                return LEADS
            contact = write.refs.get("contact")
            if contact is not None and module_of(contact)[0] == LEADS:
                return "convert"
            return "Deals+Contacts" if write.with_contact is not None else "Deals"
        case UpdateDeal():
            is_lead = module_of(write.refs["deal"])[0] == LEADS
            if is_lead and write.pipeline_id not in (None, LEADS):
                return "convert"
            if not is_lead and write.pipeline_id == LEADS:
                return "no way back"
            return LEADS if is_lead else "Deals"
        case UpdateContact():
            return module_of(write.refs["contact"])[0]
        case _:
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Sends writes for one organisation."""

    client: ZohoClient
    settings: ZohoSettings
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
                await self._apply_group(group, members, answer)
            except Rejected as err:
                if not answer:
                    raise
                answer |= {w.key: Refused(text=str(err)) for w in members if w.key not in answer}
            except VendorError:
                if not answer:
                    raise
                break
        return answer

    async def _apply_group(self, group: str, writes: Sequence[Write], answer: Answer) -> None:
        bodies = self.bodies
        match writes[0].action:
            case CreateContact():
                items = [bodies.contact(w, w.action) for w in writes if isinstance(w.action, CreateContact)]
                await self._insert("Contacts", RecordKind.CONTACT, writes, items, answer)
            case UpdateContact():
                await self._update_contacts(group, writes, answer)
            case CreateDeal() | UpdateDeal() if group == "convert":
                for write in writes:
                    await self._convert(write, answer)
            case CreateDeal() if group == LEADS:
                await self._create_leads(writes, answer)
            case CreateDeal():
                await self._create_deals(writes, answer)
            case UpdateDeal() if group == "no way back":
                answer |= {w.key: Refused(text="a Zoho deal cannot become a lead again") for w in writes}
            case UpdateDeal():
                items = [bodies.changed_deal(w, w.action) for w in writes if isinstance(w.action, UpdateDeal)]
                await self._update(group, RecordKind.DEAL, writes, items, answer)
                await self._tag(group, writes, answer)
            case CreateTask():
                items = [bodies.task(w, w.action) for w in writes if isinstance(w.action, CreateTask)]
                await self._insert("Tasks", RecordKind.TASK, writes, items, answer)
            case UpdateTask():
                items = [bodies.changed_task(w, w.action) for w in writes if isinstance(w.action, UpdateTask)]
                await self._update("Tasks", RecordKind.TASK, writes, items, answer)
            case CompleteTask():
                await self._complete_tasks(writes, answer)
            case RecordCall():
                items = [bodies.call(w, w.action) for w in writes if isinstance(w.action, RecordCall)]
                await self._insert("Calls", RecordKind.NOTE, writes, items, answer)
            case AddNote():
                items = [bodies.note(w, w.action) for w in writes if isinstance(w.action, AddNote)]
                await self._insert("Notes", RecordKind.NOTE, writes, items, answer)
            case other:
                # popups need a telephony registered with the vendor (5); the hub's own tabs show them
                answer |= {write.key: Refused(text=f"Zoho has nothing for {other.kind}") for write in writes}

    # --- creating -----------------------------------------------------------------------------------------------

    async def _insert(
        self, module: str, kind: RecordKind, writes: Sequence[Write], items: Sequence[Item], answer: Answer
    ) -> None:
        outcomes = await self.client.insert(module, items, triggers=self.settings.runs_automations)
        for write, outcome in zip(writes, outcomes, strict=False):
            applied = self._applied(module, kind, write, outcome)
            if applied is None:
                continue
            answer[write.key] = applied
            if module == LEADS and write.with_contact is not None:
                answer[write.with_contact.key] = as_contact(applied)

    def _applied(self, module: str, kind: RecordKind, write: Write, outcome: Outcome) -> Applied | None:
        """What became of a new record; None if nobody knows.

        A unique mark that finds a record finds our own, of an earlier try (X5). Another unique field, such as an
        e-mail, finds the client whom the CRM knows already.
        """
        if outcome.is_done and outcome.record_id:
            return Done(record=ref_of(module, kind, outcome.record_id))
        if outcome.code in IN_DOUBT or (outcome.is_done and not outcome.record_id) or not outcome.code:
            return None
        is_ours = outcome.api_name == self.bodies.profile.hub_id_fields.get(module)
        if outcome.code == "DUPLICATE_DATA" and outcome.duplicate_id:
            found = outcome.duplicate_module or module
            if is_ours and found == module:
                return Done(record=ref_of(module, kind, outcome.duplicate_id))
            if module in _JOINED and found == module:
                return Done(record=ref_of(module, kind, outcome.duplicate_id), is_merged=True)
        return judge(outcome)

    async def _create_leads(self, writes: Sequence[Write], answer: Answer) -> None:
        """New leads: with their person in one request, or (one read before) of a card that the CRM holds."""
        people = await self._people(writes)
        items = []
        for write in writes:
            assert isinstance(write.action, CreateDeal)
            card = write.refs.get("contact") or write.refs.get("company")
            items.append(self.bodies.lead(write, write.action, people.get(card) if card else None))
        await self._insert(LEADS, RecordKind.DEAL, writes, items, answer)

    async def _people(self, writes: Iterable[Write]) -> dict[RecordRef, Row]:
        wanted: dict[str, dict[str, RecordRef]] = {}
        for write in writes:
            card = write.refs.get("contact") or write.refs.get("company")
            if card is not None and write.with_contact is None:
                module, record_id = module_of(card)
                wanted.setdefault(module, {})[record_id] = card
        found: dict[RecordRef, Row] = {}
        for module, cards in wanted.items():
            found |= {cards[row.id]: row for row in await self.records.by_id(module, cards)}
        return found

    async def _create_deals(self, writes: Sequence[Write], answer: Answer) -> None:
        """Deals of contacts; new contacts are made by a request before, since Zoho combines only in leads."""
        with_new = [w.with_contact for w in writes if w.with_contact is not None]
        if with_new:
            items = [self.bodies.contact(w, w.action) for w in with_new if isinstance(w.action, CreateContact)]
            await self._insert("Contacts", RecordKind.CONTACT, with_new, items, answer)
        going: list[Write] = []
        items = []
        for write in writes:
            contact_id = write.refs["contact"].id if "contact" in write.refs else ""
            if write.with_contact is not None:
                made = answer.get(write.with_contact.key)
                if not isinstance(made, Done) or made.record is None:
                    if isinstance(made, Refused):
                        answer[write.key] = made
                    continue
                contact_id = made.record.id
            assert isinstance(write.action, CreateDeal)
            going.append(write)
            items.append(self.bodies.deal(write, write.action, contact_id, self.clock.now()))
        if going:
            await self._insert("Deals", RecordKind.DEAL, going, items, answer)

    async def _convert(self, write: Write, answer: Answer) -> None:
        """A deal for a lead, or a lead that moves into a pipeline of deals, is a conversion: one request each."""
        action = write.action
        if isinstance(action, UpdateDeal):
            lead = write.refs["deal"]
            rows = await self.records.by_id(LEADS, [module_of(lead)[1]])
            name = rows[0].text("Full_Name") if rows else ""
            action = CreateDeal(
                key=action.key, name=name, price=action.price, tags=action.add_tags, reason=action.reason
            )
        else:
            assert isinstance(action, CreateDeal)
            lead = write.refs["contact"]
        deal = self.bodies.deal(write, action, "", self.clock.now())
        owner = deal.pop("Owner", None)
        item: Item = {"overwrite": False, "notify_lead_owner": False, "notify_new_entity_owner": False, "Deals": deal}
        if owner is not None:
            item["assign_to"] = owner
        outcome = await self.client.convert(module_of(lead)[1], item)
        made = outcome.made.get("Deals")
        if outcome.is_done and made:
            answer[write.key] = Done(record=RecordRef(kind=RecordKind.DEAL, id=made))
        elif not outcome.is_done and outcome.code and outcome.code not in IN_DOUBT:
            answer[write.key] = judge(outcome)

    # --- changing -----------------------------------------------------------------------------------------------

    async def _update_contacts(self, module: str, writes: Sequence[Write], answer: Answer) -> None:
        """The cards are read first where numbers are added, one request for the batch: only free fields are filled."""
        wanted = [
            module_of(w.refs["contact"])[1]
            for w in writes
            if isinstance(w.action, UpdateContact) and (w.action.add_phones or w.action.add_emails)
        ]
        held = {row.id: row for row in await self.records.by_id(module, wanted)} if wanted else {}
        going: list[Write] = []
        items = []
        for write in writes:
            assert isinstance(write.action, UpdateContact)
            card_id = module_of(write.refs["contact"])[1]
            if card_id in wanted and card_id not in held:
                answer[write.key] = Refused(text="the card is gone from Zoho", is_stale=True)
                continue
            row = held.get(card_id)
            known = self._without_known(write.action, row) if row is not None else write.action
            going.append(write)
            items.append(self.bodies.changed_contact(write, known, row))
        if going:
            await self._update(module, RecordKind.CONTACT, going, items, answer)
            await self._tag(module, going, answer)

    def _without_known(self, action: UpdateContact, row: Row) -> UpdateContact:
        phones, emails = self.records.reader.phones(row), self.records.reader.emails(row)
        return UpdateContact(
            key=action.key,
            contact=action.contact,
            name=action.name,
            add_phones=tuple(phone for phone in action.add_phones if phone not in phones),
            add_emails=tuple(email for email in action.add_emails if email.strip().lower() not in emails),
            responsible=action.responsible,
            fields=action.fields,
            add_tags=action.add_tags,
            company=action.company,
            reason=action.reason,
        )

    async def _complete_tasks(self, writes: Sequence[Write], answer: Answer) -> None:
        """Tasks that get a result are read first, one request for the batch: it is added to their text."""
        wanted = [w.refs["task"].id for w in writes if isinstance(w.action, CompleteTask) and w.action.result]
        held = {row.id: row for row in await self.records.by_id("Tasks", wanted)} if wanted else {}
        items = [
            self.bodies.completed_task(w, w.action, held.get(w.refs["task"].id))
            for w in writes
            if isinstance(w.action, CompleteTask)
        ]
        await self._update("Tasks", RecordKind.TASK, writes, items, answer)

    async def _update(
        self, module: str, kind: RecordKind, writes: Sequence[Write], items: Sequence[Item], answer: Answer
    ) -> None:
        """Change records, each standing once in the request; later values win."""
        merged: dict[str, Item] = {}
        members: dict[str, list[Write]] = {}
        for write, item in zip(writes, items, strict=True):
            merged[item["id"]] = {**merged.get(item["id"], {}), **item}
            members.setdefault(item["id"], []).append(write)
        # an item with its id alone changes nothing: the record is as it should be
        sending = [item for item in merged.values() if len(item) > 1]
        for record_id, item in merged.items():
            if len(item) == 1:
                answer |= {w.key: Done(record=ref_of(module, kind, record_id)) for w in members[record_id]}
        if not sending:
            return
        outcomes = await self.client.update(module, sending, triggers=self.settings.runs_automations)
        for item, outcome in zip(sending, outcomes, strict=False):
            if outcome.code in IN_DOUBT or not outcome.code:
                continue
            done = Done(record=ref_of(module, kind, item["id"]))
            applied = done if outcome.is_done else judge(outcome)
            answer |= {write.key: applied for write in members[item["id"]]}

    async def _tag(self, module: str, writes: Sequence[Write], answer: Answer) -> None:
        """Tags join those of the record by a request of their own, one for each set of tags: an update would replace
        them. Its failure leaves the step in doubt, and `find_done` sees what is missing."""
        by_tags: dict[tuple[str, ...], list[Write]] = {}
        for write in writes:
            if not isinstance(write.action, UpdateContact | UpdateDeal) or not write.action.add_tags:
                continue
            if isinstance(answer.get(write.key), Done):
                names = tuple(tag["name"] for tag in self.bodies.tags(write.action.add_tags))
                by_tags.setdefault(names, []).append(write)
        for names, members in by_tags.items():
            name = "contact" if isinstance(members[0].action, UpdateContact) else "deal"
            ids = list(dict.fromkeys(module_of(write.refs[name])[1] for write in members))
            try:
                await self.client.add_tags(module, ids, names)
            except Rejected as err:
                log.warning("Zoho refused tags: %s", err, extra={"action": "zoho.tags_refused"})
            except VendorError:
                for write in members:
                    answer.pop(write.key)
                if not answer:
                    raise
                return


def as_contact(applied: Applied) -> Applied:
    """The person of a lead that was made with it."""
    if isinstance(applied, Refused) or applied.record is None:
        return applied
    return Done(record=RecordRef(kind=RecordKind.CONTACT, id=applied.record.id), is_merged=applied.is_merged)


def ref_of(module: str, kind: RecordKind, record_id: str) -> RecordRef:
    """The hub's reference to a record: leads, calls and notes name their module."""
    is_plain = module not in (LEADS, "Calls", "Notes")
    return RecordRef(kind=kind, id=record_id if is_plain else f"{module}/{record_id}")
