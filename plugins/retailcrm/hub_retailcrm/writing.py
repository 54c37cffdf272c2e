"""Applying steps: one kind of action, many at once where RetailCRM has a batch (DESIGN 4)."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from hub_retailcrm import wire
from hub_retailcrm.body import Bodies, Item
from hub_retailcrm.client import RetailCrmClient
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.mapping import task_text
from hub_retailcrm.problem import STALE_USER, LacksRight, Sent, is_stale
from hub_retailcrm.reading import Records

__all__ = ["Writer", "request_group"]

Answer = dict[StepKey, Applied]
_LINK = re.compile(r"https?://\S+")
_GONE = Refused(text="the record is gone from RetailCRM", is_stale=True)
#: customers whose name and phone are remembered for the orders that follow
_MOST_KNOWN = 2000

logger = logging.getLogger(__name__)


def request_group(write: Write) -> str:
    """Creates for different shops need a request each: the shop is a parameter of the request (1)."""
    return write.fields.get("site", "") if isinstance(write.action, CreateContact | CreateDeal) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Sends writes for one account."""

    client: RetailCrmClient
    settings: RetailCrmSettings
    bodies: Bodies
    records: Records
    #: the address of a record's card, for notifications
    url_of: Callable[[RecordRef], str]
    #: what was just made or read, so that an order needs no reading of its customer
    _known: OrderedDict[str, wire.Customer] = field(default_factory=OrderedDict)

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """See `hub.ports.SinkSession.apply`. What has no batch in RetailCRM goes one after the other; once one is
        through, trouble with a later one leaves that one alone in doubt or refused."""
        match writes[0].action:
            case CreateContact():
                return await self._by_shop(writes, self._create_customers)
            case CreateDeal():
                return await self._by_shop(writes, self._create_orders)
            case RecordCall():
                return await self._record_calls(writes)
            case _:
                return await self._one_by_one(writes, self._apply_one)

    async def _by_shop(self, writes: Sequence[Write], create: Callable[[Sequence[Write]], Awaitable[Answer]]) -> Answer:
        shops: dict[str, list[Write]] = {}
        for write in writes:
            shops.setdefault(request_group(write), []).append(write)
        answer: Answer = {}
        for members in shops.values():
            try:
                answer |= await create(members)
            except (Rejected, Stale) as err:
                if len(shops) == 1:
                    raise
                answer |= {write.key: refusal(err) for write in members}
            except VendorError:
                if not answer:
                    raise
                break
        return answer

    async def _one_by_one(self, writes: Sequence[Write], send: Callable[[Write], Awaitable[Applied]]) -> Answer:
        answer: Answer = {}
        for write in writes:
            try:
                answer[write.key] = await send(write)
            except (Rejected, Stale) as err:
                if len(writes) == 1:
                    raise
                answer[write.key] = refusal(err)
            except VendorError:
                if not answer:
                    raise
                break
        return answer

    async def _apply_one(self, write: Write) -> Applied:
        match write.action:
            case UpdateContact() as action:
                return await self._update_customer(write, action)
            case UpdateDeal() as action:
                return await self._update_order(write, action)
            case CreateTask() as action:
                return await self._create_task(write, action)
            case UpdateTask() as action:
                return await self._edit_task(write, self.bodies.changed_task(write, action))
            case CompleteTask() as action:
                return await self._complete_task(write, action)
            case AddNote() as action:
                return await self._add_note(write, action)
            case Notify() as action:
                return await self._notify(write, action)
            case other:
                return Refused(text=f"RetailCRM has nothing for {other.kind}")

    # --- customers and orders -----------------------------------------------------------------------------------

    async def _create_customers(self, writes: Sequence[Write]) -> Answer:
        items = [self.bodies.customer(w, w.action) for w in writes if isinstance(w.action, CreateContact)]
        answer = await self._create("customers", RecordKind.CONTACT, writes, items)
        for write, item in zip(writes, items, strict=True):
            done = answer.get(write.key)
            if isinstance(done, Done) and done.record is not None:
                self._remember([wire.Customer.model_validate({**item, "id": int(done.record.id)})])
        await self.finish_customers(writes, answer)
        return answer

    async def _create_orders(self, writes: Sequence[Write]) -> Answer:
        people = await self._clients(writes)
        items = [
            self.bodies.order(w, w.action, people.get(_id(w, "contact")))
            for w in writes
            if isinstance(w.action, CreateDeal)
        ]
        return await self._create("orders", RecordKind.DEAL, writes, items)

    async def _create(self, path: str, kind: RecordKind, writes: Sequence[Write], items: Sequence[Item]) -> Answer:
        """One by ``create``, several by ``upload``. What fails of a batch is sent again alone: only so RetailCRM says
        which of its reasons belongs to which record."""
        site = self.bodies.site(writes[0])
        if len(writes) == 1:
            return {writes[0].key: await self._create_one(path, kind, writes[0], items[0], site)}
        sent = Sent(operation=f"POST {path}/upload", keys=[write.key for write in writes])
        found = await self.client.upload(path, path, items, site, sent)
        by_mark = {write.hub_id: write for write in writes}
        answer: Answer = {}
        for one in found.made:
            write = by_mark.get(one.externalId or "")
            if write is not None and one.id is not None:
                answer[write.key] = Done(record=RecordRef(kind=kind, id=str(one.id)))
        bad = {one.externalId for one in found.failed}
        for write, item in zip(writes, items, strict=True):
            if write.hub_id not in bad or write.key in answer:
                continue
            try:
                answer[write.key] = await self._create_one(path, kind, write, item, site)
            except (Rejected, Stale) as err:
                answer[write.key] = refusal(err)
            except VendorError as err:
                logger.warning("a record of a batch was not sent again: %s", err, extra={"action": "retailcrm.batch"})
                break
        return answer

    async def _create_one(self, path: str, kind: RecordKind, write: Write, item: Item, site: str) -> Done:
        sent = Sent(operation=f"POST {path}/create", keys=[write.key], names_user=write.user is not None)
        record_id = await self.client.create(path, path.removesuffix("s"), item, site, sent)
        return Done(record=RecordRef(kind=kind, id=str(record_id)))

    async def finish_customers(self, writes: Sequence[Write], answer: Mapping[StepKey, Applied]) -> None:
        """What a customer gets by requests of its own: the GA client id (one for all), and its company. Their failure
        leaves the step in doubt, and `find_done` goes on; a refusal leaves the customer as it is."""
        marks: list[Item] = []
        links: list[tuple[str, str]] = []
        for write in writes:
            done = answer.get(write.key)
            if not isinstance(done, Done) or done.record is None:
                continue
            if value := write.fields.get("clientId"):
                mark = {"value": value, "site": self.bodies.site(write), "customer": {"id": int(done.record.id)}}
                marks.append({name: held for name, held in mark.items() if held})
            if company := write.refs.get("company"):
                links.append((company.id, done.record.id))
        try:
            if marks:
                sent = Sent(operation="POST web-analytics/client-ids/upload")
                await _or_doubt(self.client.upload_client_ids(marks, sent))
            for company_id, customer_id in links:
                await _or_doubt(
                    self.client.link_contact(
                        company_id, customer_id, Sent(operation="POST customers-corporate/contacts")
                    )
                )
        except (Rejected, Stale, LacksRight) as err:
            logger.warning("a customer was not finished: %s", err, extra={"action": "retailcrm.unfinished"})

    async def _update_customer(self, write: Write, action: UpdateContact) -> Applied:
        """Numbers and e-mails are read first: a list that is sent replaces the stored one (2)."""
        customer_id = _id(write, "contact")
        held: wire.Customer | None = None
        if action.add_phones or action.add_emails:
            found = await self.records.customers([customer_id])
            if not found:
                return _GONE
            held = found[0]
            present = set(self.records.reader.phones(held))
            action = replace(action, add_phones=tuple(one for one in action.add_phones if one not in present))
        done = await self._edit(
            "customers", "customer", write, "contact", self.bodies.changed_customer(write, action, held)
        )
        self._known.pop(customer_id, None)
        if isinstance(done, Done):
            await self.finish_customers([write], {write.key: done})
        return done

    async def _update_order(self, write: Write, action: UpdateDeal) -> Applied:
        """A price needs the order's lines, which are read first: lines from the catalogue are never overwritten."""
        item = self.bodies.changed_order(write, action)
        if action.price is not None:
            held = [
                one
                for one in await self.records.by_id("orders", [write.refs["deal"].id])
                if isinstance(one, wire.Order)
            ]
            if not held:
                return _GONE
            if any(line.offer for line in held[0].items):
                logger.warning(
                    "an order's lines are kept, its sum is not set", extra={"action": "retailcrm.price_kept"}
                )
            else:
                item["items"] = [self.bodies.line(held[0].managerComment or held[0].number or "", action.price)]
        return await self._edit("orders", "order", write, "deal", item)

    async def _edit(self, path: str, name: str, write: Write, ref: str, item: Item) -> Applied:
        record = write.refs[ref]
        if item:
            sent = Sent(operation=f"POST {path}/edit", keys=[write.key], names_user=write.user is not None)
            await self.client.edit(path, name, record.id, item, sent)
        return Done(record=record)

    # --- whose name an order bears ------------------------------------------------------------------------------

    def _remember(self, found: Iterable[wire.Customer]) -> None:
        for customer in found:
            self._known[str(customer.id)] = customer
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def _clients(self, writes: Sequence[Write]) -> Mapping[str, wire.Customer]:
        """The customers of new orders: as they were made a moment ago, else read, one request for all."""
        if not self.settings.copies_client:
            return {}
        wanted = {_id(write, "contact") for write in writes if "contact" in write.refs}
        missing = sorted(wanted - self._known.keys())
        if missing:
            self._remember(await self.records.customers(missing))
        return {customer_id: self._known[customer_id] for customer_id in wanted if customer_id in self._known}

    # --- tasks --------------------------------------------------------------------------------------------------

    async def _create_task(self, write: Write, action: CreateTask) -> Applied:
        item = self.bodies.task(write, action)
        if "performerId" not in item:
            return Refused(text="RetailCRM refuses a task without an employee: name one in the connection's settings")
        sent = Sent(operation="POST tasks/create", keys=[write.key], names_user=True)
        task_id = await self.client.create("tasks", "task", item, self.bodies.site(write), sent)
        if action.completed_at is not None and not item.get("complete"):
            await self.complete_created(str(task_id), item, action)
        return Done(record=RecordRef(kind=RecordKind.TASK, id=str(task_id)))

    async def complete_created(self, task_id: str, item: Item, action: CreateTask) -> None:
        """The second request of a completed task: its failure leaves the step in doubt, and `find_done` completes the
        task that it finds."""
        commentary = "\n".join(part for part in (item.get("commentary"), action.result) if part)
        done = {"complete": True} | ({"commentary": self.bodies.text(commentary)} if action.result else {})
        await _or_doubt(self.client.edit_task(task_id, done, Sent(operation="POST tasks/edit")))

    async def _edit_task(self, write: Write, item: Item) -> Applied:
        record = write.refs["task"]
        if item:
            sent = Sent(operation="POST tasks/edit", keys=[write.key], names_user=write.user is not None)
            await self.client.edit_task(record.id, item, sent)
        return Done(record=record)

    async def _complete_task(self, write: Write, action: CompleteTask) -> Applied:
        """The result is added to the task's commentary, which has to be read first: there is no other place for it."""
        item: Item = {"complete": True}
        if action.result:
            held = await self.client.task(write.refs["task"].id)
            if held.complete:
                return Done(record=write.refs["task"])
            if action.result not in task_text(held):
                lines = [part for part in (held.commentary, action.result) if part]
                item["commentary"] = self.bodies.text("\n".join(lines))
        return await self._edit_task(write, item)

    # --- notes, calls, popups -----------------------------------------------------------------------------------

    async def _add_note(self, write: Write, action: AddNote) -> Applied:
        found = await self.note(write, action)
        if isinstance(found, Refused):
            return found
        sent = Sent(operation="POST customers/notes/create", keys=[write.key])
        note_id = await self.client.create("customers/notes", "note", found, self.bodies.site(write), sent)
        return Done(record=RecordRef(kind=RecordKind.NOTE, id=str(note_id)))

    async def note(self, write: Write, action: AddNote) -> Item | Refused:
        """The note's body. Orders have no notes: it goes to their customer and names the order, which is read first."""
        on = write.refs["on"]
        if on.kind is RecordKind.CONTACT:
            return self.bodies.note(write, action, on.id)
        if on.kind is RecordKind.COMPANY:
            return Refused(text="RetailCRM's interface tells of no notes on corporate customers")
        orders = [one for one in await self.records.by_id("orders", [on.id]) if isinstance(one, wire.Order)]
        if not orders:
            return _GONE
        order = orders[0]
        customer_id = order.contact.id if order.customer.type == "customer_corporate" else order.customer.id
        if customer_id is None:
            return Refused(text="the order has no customer, and only customers have notes in RetailCRM")
        return self.bodies.note(write, action, str(customer_id), prefix=f"№ {order.number or order.id}: ")

    async def _record_calls(self, writes: Sequence[Write]) -> Answer:
        """A call that RetailCRM holds already is told as a duplicate and changes nothing: repeating is harmless (7)."""
        items = [self.bodies.call(w, w.action) for w in writes if isinstance(w.action, RecordCall)]
        names_user = any("userId" in item for item in items)
        keys = [write.key for write in writes]
        sent = Sent(operation="POST telephony/calls/upload", keys=keys, names_user=names_user)
        await self.client.upload_calls(items, sent)
        for write in writes:
            if isinstance(write.action, RecordCall) and _tells_more(write.action):
                await self._keep_legs(write, write.action)
        return {
            write.key: Done(record=RecordRef(kind=RecordKind.NOTE, id=str(item["externalId"])))
            for write, item in zip(writes, items, strict=True)
        }

    async def _keep_legs(self, write: Write, action: RecordCall) -> None:
        """A call has room for one recording: those of its other legs stand in a note on the customer (C6). It is looked
        for first, so that a call which is sent again makes no second one."""
        note = AddNote(key=write.key, on=action.on, text=f"{action.uniq}\n{action.text}", reason=action.reason)
        try:
            found = await self.note(write, note)
            if isinstance(found, Refused):
                logger.warning("a call's legs are kept nowhere: %s", found.text, extra={"action": "retailcrm.legs"})
                return
            params = [("filter[customerIds][]", str(found["customer"]["id"])), ("limit", "100")]
            async for held in self.records.all(self.client.notes, params):
                if held.text == found["text"]:
                    return
            sent = Sent(operation="POST customers/notes/create", keys=[write.key])
            await _or_doubt(self.client.create("customers/notes", "note", found, self.bodies.site(write), sent))
        except (Rejected, Stale, LacksRight) as err:
            logger.warning("a call's legs are kept nowhere: %s", err, extra={"action": "retailcrm.legs"})

    async def _notify(self, write: Write, action: Notify) -> Applied:
        """The card of the caller, the hub's text, or both (C7). Done as soon as one of them was taken."""
        wanted = self.settings.popup
        on = write.refs.get("on")
        card = self.bodies.card(write, action) if wanted != "notification" else None
        link = self.url_of(on) if on is not None else ""
        notice = self.bodies.notification(write, action, link) if wanted != "card" or card is None else None
        if card is None and notice is None:
            return Refused(text="there is nobody in RetailCRM to show it to")
        refused: Refused | None = None
        is_shown = False
        try:
            if card is not None:
                sent = Sent(operation="POST telephony/call/event", keys=[write.key], names_user=True)
                unknown = await self.client.call_event(card, sent)
                is_shown = not unknown >= {str(user) for user in write.users}
        except (Rejected, Stale, LacksRight) as err:
            refused = refusal(err)
        try:
            if notice is not None:
                await self.client.notify(notice, Sent(operation="POST notifications/send", keys=[write.key]))
                is_shown = True
        except (Rejected, Stale, LacksRight) as err:
            refused = refused or refusal(err)
        except VendorError:
            if not is_shown:
                raise
        return Done() if is_shown else refused or Refused(text="RetailCRM knows none of these employees")


def _tells_more(action: RecordCall) -> bool:
    """Whether the text holds a link that the call itself does not: another leg's recording."""
    return any(word != action.recording for word in _LINK.findall(action.text))


def _id(write: Write, name: str) -> str:
    ref = write.refs.get(name)
    return ref.id if ref is not None else ""


def refusal(err: VendorError) -> Refused:
    """A refusal of one item among others."""
    if isinstance(err, Rejected):
        problems = [problem for found in err.problems.values() for problem in found]
        return Refused(
            text="; ".join(map(str, problems)) or str(err),
            is_stale=is_stale(problems),
            is_user_stale=any(problem.code == STALE_USER for problem in problems),
        )
    return Refused(text=str(err), is_stale=isinstance(err, Stale))


async def _or_doubt(request: Awaitable[object]) -> None:
    """A follow-up of something that is done already: trouble on the way makes the step in doubt, not undone."""
    try:
        await request
    except (Rejected, Stale, LacksRight):
        raise
    except VendorError as err:
        raise Unavailable(f"created, but not finished: {err}", operation=err.operation) from err
