"""Finding what a lost answer left in RetailCRM (X5): by ``externalId``, by content, by effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.core.damage import damage_of, is_named, may_be, said_by
from hub.core.pairing import pair, unsure
from hub.core.plan import AddNote, CompleteTask, CreateTask, StepKey, UpdateContact, UpdateDeal, UpdateTask
from hub.core.records import RecordKind, RecordRef
from hub.ports import Done, Refused, Write
from hub_retailcrm import wire
from hub_retailcrm.body import Item
from hub_retailcrm.moment import to_day, to_moment
from hub_retailcrm.reading import Found, Listed
from hub_retailcrm.writing import Writer

__all__ = ["Doubt"]

Answer = dict[StepKey, Done]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Looks for writes whose outcome is unknown."""

    writer: Writer

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """See `hub.ports.SinkSession.find_done`.

        Customers and orders bear the hub's mark as ``externalId``: one request for up to 100. Calls cannot be read, and
        need not be (`SinkCapabilities.deduplicated`). Popups are never found.
        """
        answer: Answer = {}
        by_kind: dict[str, list[Write]] = {}
        for write in writes:
            if write.sent_at is not None:  # what was never sent is not there
                by_kind.setdefault(write.action.kind, []).append(write)
        for kind, members in by_kind.items():
            match kind:
                case "create_contact":
                    answer |= await self._marked("customers", RecordKind.CONTACT, members)
                    await self._finish(members, answer)
                case "create_deal":
                    answer |= await self._marked("orders", RecordKind.DEAL, members)
                case "create_task":
                    answer |= await self._tasks(members)
                case "add_note":
                    answer |= await self._notes(members)
                case "update_contact":
                    answer |= await self._changed("customers", "contact", members)
                    await self._finish([write for write in members if write.key in answer], answer)
                case "update_deal":
                    answer |= await self._changed("orders", "deal", members)
                case "update_task" | "complete_task":
                    answer |= await self._changed("tasks", "task", members)
                case _:
                    pass
        return answer

    # --- created records ----------------------------------------------------------------------------------------

    async def _marked(self, word: Listed, kind: RecordKind, writes: Sequence[Write]) -> Answer:
        found = await self.writer.records.by_external(word, [write.hub_id for write in writes])
        by_mark = {item.externalId: item.id for item in found if is_named(item)}
        missing = [write for write in writes if write.hub_id not in by_mark]
        for item in found:
            if item.externalId is None or not is_named(item):
                for write in missing:
                    # only what bears our marks was asked for
                    if item.externalId in (None, write.hub_id):
                        raise unsure([write.key], item)
        return {write.key: _done(kind, by_mark[write.hub_id]) for write in writes if write.hub_id in by_mark}

    async def _finish(self, writes: Sequence[Write], answer: Answer) -> None:
        """What a customer gets by later requests may be what was lost: repeating it changes nothing, except that a
        company refuses a contact that it has, which is passed over."""
        unfinished = [write for write in writes if write.fields.get("clientId") or "company" in write.refs]
        await self.writer.finish_customers(unfinished, answer)

    async def _tasks(self, writes: Sequence[Write]) -> Answer:
        """Tasks have no mark: text, employee, due time, what they hang on, and when they were made."""
        records, bodies = self.writer.records, self.writer.bodies
        params = [("filter[createdAtFrom]", to_day(self._since(writes), bodies.profile.zone)), ("limit", "100")]
        if all(write.user for write in writes):
            params += [("filter[performers][]", user) for user in sorted({str(write.user) for write in writes})]
        tasks = [task async for task in records.all(records.client.tasks, params)]
        found = pair(writes, tasks, self._is_that_task, self._may_be_that_task)
        for write in writes:
            task, action = found.get(write.key), write.action
            if task is not None and isinstance(action, CreateTask) and action.completed_at and not task.complete:
                await self.writer.complete_created(str(task.id), bodies.task(write, action), action)
        return {key: _done(RecordKind.TASK, task.id) for key, task in found.items()}

    def _is_that_task(self, write: Write, task: wire.Task) -> bool:
        action, zone = write.action, self.writer.bodies.profile.zone
        made_at = to_moment(task.createdAt, zone)
        if not isinstance(action, CreateTask) or (made_at is not None and made_at < self._since([write])):
            return False
        wanted = self.writer.bodies.task(write, action)
        hangs = {"order": task.order.id, "customer": task.customer.id}
        is_there = all(hangs[name] == wanted[name]["id"] for name in hangs if name in wanted)
        is_theirs = task.performer == wanted.get("performerId")
        is_said = task.text == wanted["text"] and (task.commentary or "").startswith(str(wanted.get("commentary", "")))
        return is_there and is_theirs and is_said and task.datetime == wanted["datetime"]

    def _may_be_that_task(self, write: Write, task: wire.Task) -> bool:
        action, zone = write.action, self.writer.bodies.profile.zone
        made_at = to_moment(task.createdAt, zone)
        if not isinstance(action, CreateTask) or (made_at is not None and made_at < self._since([write])):
            return False
        is_lost = task.order.id is None and task.customer.id is None
        wanted = self.writer.bodies.task(write, action)
        is_like = may_be(said_by(task), {name: wanted[name] for name in ("text", "datetime") if name in wanted})
        return is_like and (is_lost or damage_of(task) is not None)

    async def _notes(self, writes: Sequence[Write]) -> Answer:
        wanted: dict[StepKey, Item] = {}
        for write in writes:
            if isinstance(write.action, AddNote):
                item = await self.writer.note(write, write.action)
                if not isinstance(item, Refused):
                    wanted[write.key] = item
        if not wanted:
            return {}
        records, zone = self.writer.records, self.writer.bodies.profile.zone
        customers = sorted({int(item["customer"]["id"]) for item in wanted.values()})
        params = [*(("filter[customerIds][]", str(one)) for one in customers), ("limit", "100")]
        params.append(("filter[createdAtFrom]", to_day(self._since(writes), zone)))
        notes = [note async for note in records.all(records.client.notes, params)]

        def is_that(write: Write, note: wire.Note) -> bool:
            item, made_at = wanted[write.key], to_moment(note.createdAt, zone)
            is_new = made_at is None or made_at >= self._since([write])
            return is_new and note.customer.id == item["customer"]["id"] and note.text == item["text"]

        def may_be_that(write: Write, note: wire.Note) -> bool:
            is_odd = note.customer.id is None or damage_of(note) is not None
            return is_odd and may_be(said_by(note), {"text": wanted[write.key]["text"]})

        found = pair([write for write in writes if write.key in wanted], notes, is_that, may_be_that)
        return {key: _done(RecordKind.NOTE, note.id) for key, note in found.items()}

    def _since(self, writes: Iterable[Write]) -> datetime:
        """The earliest moment at which one of ``writes`` may have been applied; the vendor's seconds are whole."""
        earliest = min(write.sent_at for write in writes if write.sent_at is not None)
        return (earliest - self.writer.settings.clock_skew).replace(microsecond=0)

    # --- changed records ----------------------------------------------------------------------------------------

    async def _changed(self, word: Listed, name: str, writes: Sequence[Write]) -> Answer:
        """Changes are looked for in the records themselves: a change that is there already need not be repeated."""
        ids = [write.refs[name].id for write in writes if name in write.refs]
        found = {str(item.id): item for item in await self.writer.records.by_id(word, ids)}
        return {
            write.key: Done(record=write.refs[name])
            for write in writes
            if name in write.refs
            and (item := found.get(write.refs[name].id)) is not None
            and self._has_change(write, item)
        }

    def _has_change(self, write: Write, item: Found) -> bool:
        bodies = self.writer.bodies
        match write.action, item:
            case UpdateContact() as action, wire.Customer():
                wanted = bodies.changed_customer(write, action, None)
                tags = {tag.name for tag in item.tags}
                has_tags = set(wanted.pop("addTags", ())) <= tags
                wanted.pop("phones", None)
                has_phones = set(action.add_phones) <= set(self.writer.records.reader.phones(item))
                has_email = not action.add_emails or bool(item.email)
                return has_tags and has_phones and has_email and _holds(item, wanted)
            case UpdateDeal() as action, wire.Order():
                has_price = action.price in (None, item.totalSumm) or any(line.offer for line in item.items)
                return has_price and _holds(item, bodies.changed_order(write, action))
            case UpdateTask() as action, wire.Task():
                wanted = bodies.changed_task(write, action)
                performer = wanted.pop("performerId", item.performer)
                return performer == item.performer and _holds(item, wanted)
            case CompleteTask(), wire.Task():
                return item.complete
            case _:
                return False


def _done(kind: RecordKind, record_id: int) -> Done:
    return Done(record=RecordRef(kind=kind, id=str(record_id)))


def _holds(record: Found, wanted: Item) -> bool:
    """Whether every value of ``wanted`` stands in the record, maps as far as they are named."""
    seen = record.model_dump()
    for name, value in wanted.items():
        held = seen.get(name)
        if isinstance(value, dict):
            if any(str((held or {}).get(key)) != str(inner) for key, inner in value.items()):
                return False
        elif held != value:
            return False
    return True
