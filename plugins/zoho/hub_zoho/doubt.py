"""Finding what a lost answer left in Zoho (X5): lists by time of change; search is not asked, it lags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.core.pairing import pair, unsure
from hub.core.plan import AddNote, CompleteTask, StepKey, UpdateContact, UpdateDeal, UpdateTask
from hub.core.records import RecordKind, RecordRef
from hub.ports import Done, Write
from hub_zoho.body import Bodies
from hub_zoho.client import Item, ZohoClient
from hub_zoho.config import ZohoSettings
from hub_zoho.mapping import COMPLETED, LEADS, marks_in, module_of
from hub_zoho.reading import MOST_PAGES, Records, repeating
from hub_zoho.wire import Row
from hub_zoho.writing import ref_of, request_group

__all__ = ["Doubt"]

Answer = dict[StepKey, Done]
#: where a new record of a kind may be, and what it is to the hub there
_PLACES: dict[str, tuple[tuple[str, RecordKind], ...]] = {
    "create_contact": (("Contacts", RecordKind.CONTACT), (LEADS, RecordKind.CONTACT)),
    "create_deal": ((LEADS, RecordKind.DEAL), ("Deals", RecordKind.DEAL)),
    "create_task": (("Tasks", RecordKind.TASK),),
    "record_call": (("Calls", RecordKind.NOTE),),
}
_CHANGED = {
    "update_contact": ("contact", RecordKind.CONTACT),
    "update_deal": ("deal", RecordKind.DEAL),
    "update_task": ("task", RecordKind.TASK),
    "complete_task": ("task", RecordKind.TASK),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Looks for writes whose outcome is unknown."""

    client: ZohoClient
    settings: ZohoSettings
    bodies: Bodies
    records: Records

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """See `hub.ports.SinkSession.find_done`. New records are known by their mark, wherever people have put them
        since; notes by what they say on which record; changes by their effect. Cost: one list for each module, plus a
        page for every 200 records changed since the earliest was sent; notes a page for every 200 on each card."""
        answer: Answer = {}
        by_kind: dict[str, list[Write]] = {}
        for write in _each(writes):
            if write.sent_at is not None:  # what was never sent is not there
                by_kind.setdefault(write.action.kind, []).append(write)
        swept: dict[str, list[Row]] = {}
        for kind, members in by_kind.items():
            if kind in _PLACES:
                for module, record_kind in _PLACES[kind]:
                    if module not in swept:
                        swept[module] = await self._swept(module, self._since(writes))
                    self._match(module, record_kind, swept[module], members, answer)
                for write in members:
                    if write.key not in answer:
                        self._be_sure(write, (row for module, _ in _PLACES[kind] for row in swept[module]))
            elif kind == "add_note":
                answer |= await self._notes(members)
            elif kind in _CHANGED:
                answer |= await self._changes(kind, members)
        return answer

    def _since(self, writes: Iterable[Write]) -> int:
        """The earliest moment at which one of ``writes`` may have been applied, in unix seconds."""
        earliest = min(write.sent_at for write in writes if write.sent_at is not None)
        return int((earliest - self.settings.clock_skew).timestamp())

    # --- created records ----------------------------------------------------------------------------------------

    async def _swept(self, module: str, since: int) -> list[Row]:
        return [row async for page in self.records.changed(module, since) for row in page]

    def _match(
        self, module: str, kind: RecordKind, rows: Iterable[Row], writes: Sequence[Write], answer: Answer
    ) -> None:
        field = self.bodies.profile.hub_id_fields.get(module, "")
        by_mark = {mark: row for row in rows if row.id for mark in marks_in(row, field)}
        for write in writes:
            row = by_mark.get(write.hub_id)
            if row is not None and write.key not in answer:
                answer[write.key] = Done(record=_now_is(row, kind))

    def _be_sure(self, write: Write, rows: Iterable[Row]) -> None:
        """Raises `Rejected` if one of ``rows`` might be what ``write`` made, for all that can be read of it."""
        for row in rows:
            field = self.bodies.profile.hub_id_fields.get(row.module) or "Description"
            if row.holds(write.hub_id) or not row.is_readable(field):
                raise unsure([write.key], row, field)

    # --- notes --------------------------------------------------------------------------------------------------

    async def _notes(self, writes: Sequence[Write]) -> Answer:
        """GET /{module}/{id}/Notes of each card: the whole module is for administrators only (7)."""
        answer: Answer = {}
        by_card: dict[RecordRef, list[Write]] = {}
        for write in writes:
            if "on" in write.refs:
                by_card.setdefault(write.refs["on"], []).append(write)
        for card, members in by_card.items():
            rows = await self._notes_on(card)
            found = pair(members, rows, self._is_that_note, _may_be_that_note)
            answer |= {key: Done(record=ref_of("Notes", RecordKind.NOTE, row.id)) for key, row in found.items()}
        return answer

    async def _notes_on(self, card: RecordRef) -> list[Row]:
        """All of them: in which order the vendor shows them nobody says, and an old card has hundreds."""
        fields = [("fields", "Note_Title,Note_Content,Created_Time,Modified_Time"), ("per_page", "200")]
        module, record_id = module_of(card)
        found: list[Row] = []
        number, token = 1, ""
        while True:
            place = ("page_token", token) if number > MOST_PAGES else ("page", str(number))
            page = await self.client.related(module, record_id, "Notes", [*fields, place])
            if page.rows and page.rows == tuple(found[-len(page.rows) :]):
                raise repeating("Notes")
            found += page.rows
            number, token = number + 1, page.next_token
            if not page.rows or not page.has_more or (number > MOST_PAGES and not token):
                return found

    def _is_that_note(self, write: Write, row: Row) -> bool:
        assert isinstance(write.action, AddNote)
        made = row.moment("Created_Time")
        is_new = made is None or int(made.timestamp()) >= self._since([write])
        return is_new and row.text("Note_Content").strip() == self.bodies.text(write.action.text)

    # --- changed records ----------------------------------------------------------------------------------------

    async def _changes(self, kind: str, writes: Sequence[Write]) -> Answer:
        """Changes are looked for in the records themselves: a change that is there already need not be repeated."""
        name, record_kind = _CHANGED[kind]
        wanted: dict[str, list[str]] = {}
        for write in writes:
            module, record_id = module_of(write.refs[name])
            wanted.setdefault(module, []).append(record_id)
        rows = {
            (module, row.id): row for module, ids in wanted.items() for row in await self.records.by_id(module, ids)
        }
        answer: Answer = {}
        for write in writes:
            row = rows.get(module_of(write.refs[name]))
            if row is not None and self._has_change(write, row):
                answer[write.key] = Done(record=_now_is(row, record_kind))
        return answer

    def _has_change(self, write: Write, row: Row) -> bool:
        match write.action:
            case UpdateContact() as action:
                reader = self.records.reader
                phones, emails = reader.phones(row), reader.emails(row)
                has_keys = set(action.add_phones) <= set(phones) or not self._has_room(row, write)
                has_keys = has_keys and {email.strip().lower() for email in action.add_emails} <= set(emails)
                wanted = self.bodies.changed_contact(write, action, None)
                return has_keys and _holds(row, wanted) and self._has_tags(row, action.add_tags)
            case UpdateDeal() as action:
                if request_group(write) == "convert":
                    return row.is_set("Converted__s")
                return _holds(row, self.bodies.changed_deal(write, action)) and self._has_tags(row, action.add_tags)
            case UpdateTask() as action:
                return _holds(row, self.bodies.changed_task(write, action))
            case CompleteTask():
                return row.text("Status") == COMPLETED
            case _:
                return False

    def _has_room(self, row: Row, write: Write) -> bool:
        """Whether the card has an empty field for another number: one that has none is as full as it will be."""
        assert isinstance(write.action, UpdateContact)
        return len(self.bodies.changed_contact(write, write.action, row)) > len(
            self.bodies.changed_contact(write, write.action, None)
        )

    def _has_tags(self, row: Row, wanted: Iterable[str]) -> bool:
        return {tag["name"] for tag in self.bodies.tags(wanted)} <= set(row.tags)


def _each(writes: Iterable[Write]) -> Iterable[Write]:
    """Deals and the contacts that were to come with them."""
    for write in writes:
        yield write
        if write.with_contact is not None:
            yield replace(write.with_contact, sent_at=write.with_contact.sent_at or write.sent_at)


def _may_be_that_note(write: Write, row: Row) -> bool:
    return not (row.id and row.is_readable("Note_Content"))


def _now_is(row: Row, kind: RecordKind) -> RecordRef:
    """The record that ``row`` is; a lead that was converted meanwhile is what it became."""
    if row.module == LEADS and row.is_set("Converted__s"):
        became = row.lookup("Converted_Contact" if kind is RecordKind.CONTACT else "Converted_Deal")
        if became:
            return RecordRef(kind=kind, id=became)
    return ref_of(row.module, kind, row.id)


def _holds(row: Row, wanted: Item) -> bool:
    """Whether every value of ``wanted`` stands in the record."""
    return all(_is_same(row, name, value) for name, value in wanted.items() if name != "id")


def _is_same(row: Row, name: str, value: object) -> bool:
    if isinstance(value, dict) and "ALARM" in value:
        return row.alarm == str(value["ALARM"])
    if isinstance(value, dict):
        return row.lookup(name) == str(value.get("id"))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return row.number(name) == float(value)
    if isinstance(value, list):
        return row.text(name) == ", ".join(str(item) for item in value)
    if isinstance(value, bool):
        return row.is_set(name) == value
    return row.text(name).strip() == str(value).strip()
