"""One step of every kind that a sink declares, as the account writer hands it over, and what it must leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone, parse_phone
from hub.core.plan import (
    Action,
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Notify,
    Reason,
    RecordCall,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Pipeline, RecordKind, RecordRef, Stage
from hub.ports import Write
from hub.testing.check import expect, fail
from hub.testing.crm_bench import CrmBench
from hub.testing.outfit import Held

__all__ = ["CREATING", "KINDS", "Step", "each", "new_contact", "stands", "steps_of", "write_of"]

#: what the kit tries when a sink declares it, in order
KINDS = (
    "create_contact",
    "create_deal",
    "create_task",
    "record_call",
    "add_note",
    "update_contact",
    "update_deal",
    "update_task",
    "complete_task",
    "notify",
)
CREATING = frozenset({"create_contact", "create_deal", "create_task", "record_call", "add_note"})
_WHY = Reason(code="conformance")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One way in which a hub uses a kind of action."""

    name: str
    make: Callable[[CrmBench], Write]


def write_of(bench: CrmBench, action: Action, refs: Mapping[str, RecordRef | None] = {}, **more: Any) -> Write:
    """A step as it is sent just now."""
    known = {name: ref for name, ref in refs.items() if ref is not None}
    hub_id = f"k{bench.number():05d}x"
    return Write(key=action.key, action=action, hub_id=hub_id, refs=known, sent_at=bench.clock.now(), **more)


def _user(bench: CrmBench, place: int = 0) -> dict[str, Any]:
    return {"user": bench.users[min(place, len(bench.users) - 1)]} if bench.users else {}


def new_contact(bench: CrmBench, name: str = "", phone: str = "") -> Write:
    """A new client's contact."""
    action = CreateContact(
        key=bench.key("create_contact"),
        name=name or f"Ольга {bench.number()}",
        phones=(Phone(phone or bench.phone()),),
        reason=_WHY,
    )
    return write_of(bench, action, **_user(bench))


def pipeline_of(bench: CrmBench) -> tuple[Pipeline, list[Stage]]:
    """The main pipeline and its stages that a deal can stand in."""
    pipelines = sorted(bench.catalogue.pipelines, key=lambda one: not one.is_main)
    if not pipelines:
        fail("the catalogue has no pipeline: without one no deal can be placed")
    open_stages = [stage for stage in pipelines[0].stages if not (stage.is_final or stage.is_unsorted)]
    expect(bool(open_stages), f"the pipeline {pipelines[0].name!r} has no open stage")
    return pipelines[0], open_stages


def _deal(bench: CrmBench, *, contact: RecordRef | None, **more: Any) -> Write:
    pipeline, stages = pipeline_of(bench)
    action = CreateDeal(key=bench.key("create_deal"), name=f"Звонок {bench.number()}", contact=contact, reason=_WHY)
    return write_of(
        bench, action, {"contact": contact}, pipeline_id=pipeline.id, stage_id=stages[0].id, **_user(bench), **more
    )


def _deal_of_known(bench: CrmBench) -> Write:
    return _deal(bench, contact=bench.stage.create_contact("Иван", bench.phone()))


def _deal_with_contact(bench: CrmBench) -> Write:
    return _deal(bench, contact=None, with_contact=new_contact(bench))


def _incoming(bench: CrmBench) -> Write:
    action = CreateDeal(key=bench.key("create_deal"), name="Заявка", is_unsorted=True, reason=_WHY)
    return write_of(bench, action, with_contact=new_contact(bench))


def _host(bench: CrmBench, kind: RecordKind) -> RecordRef:
    """A card of ``kind`` that a person made."""
    contact = bench.stage.create_contact("Иван", bench.phone())
    return contact if kind is RecordKind.CONTACT else bench.stage.create_deal("Чай", contact)


def _task(bench: CrmBench, kind: RecordKind, *, is_done: bool = False) -> Write:
    on = _host(bench, kind)
    now = bench.clock.now().astimezone(UTC).replace(microsecond=0)
    action = CreateTask(
        key=bench.key("create_task"),
        task="talked" if is_done else "call_back",
        text=f"Перезвонить {bench.number()}",
        on=on,
        assignee=None,
        due_at=now if is_done else now + _DAY,
        completed_at=now if is_done else None,
        result="Поговорили" if is_done else "",
        reason=_WHY,
    )
    types = bench.catalogue.task_types
    return write_of(bench, action, {"on": on}, task_type_id=types[0].id if types else None, **_user(bench))


def _call(bench: CrmBench, kind: RecordKind) -> Write:
    on = _host(bench, kind)
    held = bench.held(on)
    phone = parse_phone(held.phones[0], bench.outfit.region) if held and held.phones else Phone("+380671234567")
    action = RecordCall(
        key=bench.key("record_call"),
        on=on,
        uniq=f"ua0_-1785312345.{bench.number()}",
        direction=Direction.INBOUND,
        disposition=Disposition.ANSWERED,
        phone=phone,
        started_at=bench.clock.now().replace(microsecond=0) - timedelta(minutes=2),
        talk_seconds=61,
        recording=f"https://rec.example/{bench.number()}.mp3",
        source="Ringostat",
        reason=_WHY,
    )
    return write_of(bench, action, {"on": on}, **_user(bench))


def _note(bench: CrmBench, kind: RecordKind, *, is_long: bool = False) -> Write:
    on = _host(bench, kind)
    text = f"Стенограмма {bench.number()} " + "слово " * 60 if is_long else f"Нога 1: не ответил, {bench.number()}"
    action = AddNote(key=bench.key("add_note"), on=on, text=text.strip(), is_long=is_long, reason=_WHY)
    return write_of(bench, action, {"on": on}, **_user(bench))


def _more_phones(bench: CrmBench) -> Write:
    contact = bench.stage.create_contact("Иван", bench.phone())
    action = UpdateContact(
        key=bench.key("update_contact"),
        contact=contact,
        name=f"Петро {bench.number()}",
        add_phones=(Phone(bench.phone()),),
        reason=_WHY,
    )
    return write_of(bench, action, {"contact": contact}, **_user(bench, 1))


def _moved_deal(bench: CrmBench) -> Write:
    pipeline, stages = pipeline_of(bench)
    deal = bench.stage.create_deal("Чай", bench.stage.create_contact("Иван", bench.phone()))
    action = UpdateDeal(key=bench.key("update_deal"), deal=deal, price=float(1000 + bench.number()), reason=_WHY)
    place = {"pipeline_id": pipeline.id, "stage_id": stages[-1].id}
    return write_of(bench, action, {"deal": deal}, **place, **_user(bench, 1))


def _open_task(bench: CrmBench) -> RecordRef:
    kinds = bench.stage.hosts.get("create_task", (RecordKind.CONTACT,))
    return bench.stage.create_task(f"Позвонить {bench.number()}", _host(bench, kinds[0]))


def _moved_task(bench: CrmBench) -> Write:
    task = _open_task(bench)
    now = bench.clock.now().astimezone(UTC).replace(microsecond=0)
    action = UpdateTask(
        key=bench.key("update_task"), task=task, text=f"Сегодня {bench.number()}", due_at=now + 2 * _DAY, reason=_WHY
    )
    return write_of(bench, action, {"task": task}, **_user(bench, 1))


def _closed_task(bench: CrmBench) -> Write:
    task = _open_task(bench)
    action = CompleteTask(key=bench.key("complete_task"), task=task, result="Дозвонились", reason=_WHY)
    return write_of(bench, action, {"task": task})


def _popup(bench: CrmBench) -> Write:
    on = bench.stage.create_contact("Иван", bench.phone())
    action = Notify(
        key=bench.key("notify"), employees=(), text="Звонок", phone=Phone(bench.phone()), on=on, reason=_WHY
    )
    return write_of(bench, action, {"on": on}, users=bench.users[:1], **_user(bench))


def steps_of(bench: CrmBench, kind: str) -> list[Step]:
    """The ways in which a hub uses ``kind`` with this sink."""
    hosts = bench.stage.hosts.get(kind, (RecordKind.CONTACT, RecordKind.DEAL))
    able = bench.capabilities
    match kind:
        case "create_contact":
            return [Step("a contact", new_contact)]
        case "create_deal":
            found = [Step("a deal of a known contact", _deal_of_known)]
            found += [Step("a deal with its contact", _deal_with_contact)] if able.has_combined_create else []
            return found + ([Step("an unsorted deal", _incoming)] if able.has_unsorted else [])
        case "create_task":
            found = [Step(f"a task on a {host}", partial(_task, kind=host)) for host in hosts]
            return [*found, Step("a completed task", partial(_task, kind=hosts[0], is_done=True))]
        case "record_call":
            return [Step(f"a call on a {host}", partial(_call, kind=host)) for host in hosts]
        case "add_note":
            found = [Step(f"a note on a {host}", partial(_note, kind=host)) for host in hosts]
            return [*found, Step("a long note", partial(_note, kind=hosts[0], is_long=True))]
        case "update_contact":
            return [Step("a number for a contact", _more_phones)]
        case "update_deal":
            return [Step("a deal's stage and price", _moved_deal)]
        case "update_task":
            return [Step("a task's text and employee", _moved_task)]
        case "complete_task":
            return [Step("a task's end", _closed_task)]
        case "notify":
            return [Step("a popup", _popup)]
    return []


def each(bench: CrmBench, kinds: tuple[str, ...] = KINDS) -> Iterator[tuple[str, Step]]:
    """Every way of every kind that the sink declares."""
    for kind in kinds:
        if kind in bench.capabilities.actions:
            for step in steps_of(bench, kind):
                yield kind, step


# --- what must be there afterwards ------------------------------------------------------------------------------


def stands(bench: CrmBench, write: Write, ref: RecordRef) -> None:
    """Report what the CRM does not hold of ``write``, which made or changed ``ref``."""
    held = bench.held(ref)
    if held is None:
        fail(f"the answer names {ref.kind} {ref.id}, which the CRM does not hold")
    action = write.action
    if write.user is not None and held.responsible is not None:
        expect(held.responsible == write.user, f"it belongs to {held.responsible}, not to {write.user}")
    on = write.refs.get("on")
    if on is not None and held.on is not None:
        expect(held.on == on, f"it hangs on {held.on.kind} {held.on.id}, not on {on.kind} {on.id}")
    match action:
        case CreateContact():
            _named(held, action.name)
            expect(set(action.phones) <= _phones(bench, held), f"its numbers are {held.phones}, not {action.phones}")
        case UpdateContact():
            _named(held, action.name or "")
            expect(set(action.add_phones) <= _phones(bench, held), f"the added number is missing: {held.phones}")
            expect(len(held.phones) >= 2, f"the number that was there is gone: {held.phones}")
        case CreateDeal():
            _named(held, action.name)
            contact = write.refs.get("contact")
            expect(contact is None or contact.id in held.contact_ids, "it is not linked to its contact")
            expect(not write.stage_id or held.stage_id == write.stage_id, f"it stands at {held.stage_id}")
        case UpdateDeal():
            expect(held.stage_id == write.stage_id, f"it stands at {held.stage_id!r}, not at {write.stage_id!r}")
            expect(held.price == action.price, f"its price is {held.price}, not {action.price}")
        case CreateTask():
            _named(held, action.text)
            expect(held.is_open is (action.completed_at is None), f"it is {'open' if held.is_open else 'completed'}")
        case UpdateTask():
            _named(held, action.text or "")
        case CompleteTask():
            expect(not held.is_open, "it is still open")
        case AddNote():
            _named(held, action.text)
        case RecordCall():
            expect(held.uniq in ("", action.uniq), f"it bears the call id {held.uniq!r}, not {action.uniq!r}")


def _named(held: Held, text: str) -> None:
    words = " ".join(text.split())
    expect(words in " ".join(held.name.split()), f"it says {held.name[:80]!r}, not {text[:80]!r}")


def _phones(bench: CrmBench, held: Held) -> set[Phone]:
    found = (parse_phone(phone, bench.outfit.region) for phone in held.phones)
    return {phone for phone in found if phone is not None}


def sent_again(write: Write, now: datetime) -> Write:
    """The same step, sent at ``now``."""
    inner = write.with_contact
    return replace(write, sent_at=now, with_contact=sent_again(inner, now) if inner else None)
