"""A company that lives through seeded traffic with the real store, directory and lanes; only the CRM is imagined.

The CRM does at once what a step says, through the very functions that the account's writer uses, and people close
deals in it. The same seed tells the same story to whatever policy, so that one life can be compared with another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.clock import FakeClock
from hub.compose import build_services
from hub.core.interaction import Destination, Direction, Disposition, Identity
from hub.core.merge import CallFragment, Moment
from hub.core.phone import Phone
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Notify,
    Plan,
    RecordCall,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Catalogue, Contact, CrmUser, Deal, Pipeline, RecordKind, RecordRef, Stage, UserId, crm_user
from hub.core.revise import StepState
from hub.engine.advance import Advance
from hub.ports import Changes, Done, Write
from hub.runtime.effects import effect
from hub.runtime.importer import mark_imported
from hub.runtime.ingest import store_parsed
from hub.runtime.resolve import Names, resolve
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import bindings, codec, decisions, interactions, policies, projects, steps, work
from hub.store.bindings import Binding
from hub.store.work import Lane
from hub.testing import builders

__all__ = ["BEGIN", "CHANNEL", "CRM", "PROJECT", "Event", "Life", "life", "month"]

PROJECT, CHANNEL, CRM = "auto", "phone", "crm"
BEGIN = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)
SELLERS = (builders.OWNER, builders.COLLEAGUE, builders.SENIOR)
USERS = {"olena": "1", "ivan": "2", "serhii": "3", "andrii": "4"}
CATALOGUE = Catalogue(
    users=tuple(CrmUser(id=UserId(id), name=name) for name, id in USERS.items()),
    pipelines=(
        Pipeline(
            id="p1",
            name="Sales",
            is_main=True,
            stages=(
                Stage(id="s1", name="New"),
                Stage(id="s2", name="Hot"),
                Stage(id="s9", name="Cancelled", is_final=True),
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happens, whatever the policy: a call's record, or people who close a client's deals."""

    at: datetime
    fragment: CallFragment | None = None
    #: whose open deals people close
    closes: Phone | None = None


def month(seed: int, *, calls: int = 200, clients: int = 40) -> list[Event]:
    """Calls of all kinds, late recordings, people's work; the same for the same seed."""
    dice = random.Random(seed)
    phones = [Phone(f"+38050{number:07d}") for number in dice.sample(range(1000000, 9999999), clients)]
    events: list[Event] = []
    for number in range(calls):
        at = BEGIN + timedelta(minutes=dice.randrange(30 * 24 * 60), seconds=dice.randrange(60))
        phone = dice.choice(phones)
        kind = dice.choices(["answered", "missed", "out", "unanswered", "voicemail", "late"], [8, 8, 4, 2, 1, 3])[0]
        who = dice.choice([*SELLERS, builders.STRANGER])
        is_out = kind in ("out", "unanswered")
        is_answered = kind in ("answered", "out", "late")
        fragment = CallFragment(
            external_id=f"call-{number}",
            moment=Moment.ENDED,
            started_at=at,
            happened_at=at + timedelta(minutes=2),
            direction=Direction.OUTBOUND if is_out else Direction.INBOUND,
            disposition=Disposition.ANSWERED
            if is_answered
            else Disposition.VOICEMAIL
            if kind == "voicemail"
            else Disposition.MISSED,
            client=Identity(phones=(phone,)),
            destination=Destination(login=f"examplecom_{who}"),
            talk_seconds=60 if is_answered else 0,
            line=builders.LINE,
            recording="" if kind == "late" or not is_answered else f"https://rec.example/{number}",
        )
        events.append(Event(at=at + timedelta(minutes=2), fragment=fragment))
        if kind == "late":
            later = replace(fragment, recording=f"https://rec.example/{number}")
            events.append(Event(at=at + timedelta(minutes=2 + dice.choice([1, 600])), fragment=later))
    for phone in phones:
        if dice.random() < 0.5:
            events.append(
                Event(at=BEGIN + timedelta(minutes=dice.randrange(30 * 24 * 60)), closes=phone)
            )  # fmt: skip
    return sorted(events, key=lambda event: event.at)


@dataclass
class Life:
    """One company under one policy."""

    services: Services
    clock: FakeClock
    advance: Advance
    records: dict[RecordRef, Any] = field(default_factory=dict)
    #: the step that made each task, by the CRM's id
    task_keys: dict[str, str] = field(default_factory=dict)
    count: int = 0

    async def live(self, events: list[Event]) -> None:
        """Let everything happen in its time."""
        for event in events:
            if event.at > self.clock.now():
                self.clock.advance(event.at - self.clock.now())
            if event.fragment is not None:
                await self.call(event.fragment)
            elif event.closes is not None:
                self.close_deals(event.closes)

    async def call(self, fragment: CallFragment) -> None:
        """A record of the telephony arrives; everything that follows is done."""
        services, now = self.services, self.clock.now()
        arrived = services.store.write_now(
            lambda conn: store_parsed(
                conn,
                fragment,
                project=services.projects.get(PROJECT),
                channel=CHANNEL,
                source="ringostat",
                inbox_id=None,
                received_at=now,
                now=now,
            )
        )
        if arrived is None:
            return
        lane = Lane(client_id=arrived.stored.client_id, connection=CRM, project=PROJECT)
        while True:
            again = await self.advance(lane)
            if again is not None and again > self.clock.now():
                self.clock.advance(again - self.clock.now())
            elif not self.write():
                return

    def write(self) -> bool:
        """The CRM does what waits, in order; False if nothing did."""
        store, now = self.services.store, self.clock.now()
        waiting = store.read_now(lambda conn: steps.waiting(conn, PROJECT, CRM, now))
        connection = self.services.projects.get(PROJECT).connections[0]
        names = Names(catalogue=connection.catalogue, users=connection.users, bound=connection.bound)
        for step in waiting:
            made = self._made(step.needs)
            write, _ = resolve(step.key, step.action, hub_id=step.hub_id, names=names, made=made)
            record, changes = self._do(write, now)
            self.services.directory.fold(PROJECT, CRM, changes, now)

            def keep(conn: Any, id: int = step.id, record: RecordRef | None = record, blob: Changes = changes) -> None:
                move = steps.moved(id, StepState.DONE, now=now, record=record, effect=codec.dump_changes(blob))
                steps.set_states(conn, [move])

            store.write_now(keep)
        return bool(waiting)

    def _made(self, needed: tuple[StepKey, ...]) -> Mapping[StepKey, RecordRef]:
        found = self.services.store.read_now(lambda conn: steps.by_keys(conn, PROJECT, CRM, set(needed)))
        return {key: step.record for key, step in found.items() if step.record is not None}

    def _do(self, write: Write, now: datetime) -> tuple[RecordRef | None, Changes]:
        action, user = write.action, None if write.user is None else crm_user(write.user)
        record: RecordRef | None
        match action:
            case CreateContact() | CreateDeal() | CreateTask():
                self.count += 1
                kind = RecordKind(action.kind.removeprefix("create_"))
                record = RecordRef(kind=kind, id=str(1000 + self.count))
                changes = effect(write, Done(record=record), CATALOGUE, now)
                made_now: list[Any] = [*changes.contacts, *changes.deals, *changes.tasks]
                if record.kind is RecordKind.TASK:
                    self.task_keys[record.id] = write.key
                self.records.update({made.ref: made for made in made_now})
            case CompleteTask():
                record = write.refs["task"]
                changes = effect(write, Done(record=record), CATALOGUE, now)
            case UpdateContact():
                record = write.refs["contact"]
                contact = self._change(record, responsible=user or self.records[record].responsible)
                changes = Changes(contacts=(contact,))
            case UpdateDeal():
                record = write.refs["deal"]
                changes = Changes(deals=(self._change(record, responsible=user or self.records[record].responsible),))
            case UpdateTask():
                record = write.refs["task"]
                changes = Changes(
                    tasks=(
                        self._change(record, responsible=user or self.records[record].responsible, text=action.text),
                    )
                )
            case RecordCall() | AddNote():
                self.count += 1
                record, changes = RecordRef(kind=RecordKind.NOTE, id=str(1000 + self.count)), Changes()
            case Notify():
                record, changes = None, Changes()
            case _:
                raise AssertionError(action)
        return record, changes

    def _change(self, ref: RecordRef, **values: Any) -> Any:
        self.records[ref] = changed = replace(self.records[ref], **values)
        return changed

    def close_deals(self, phone: Phone) -> None:
        """People win or lose what is open of a client."""
        owners = {one.id for one in self.records.values() if isinstance(one, Contact) and phone in one.phones}
        for ref, deal in list(self.records.items()):
            if isinstance(deal, Deal) and deal.is_open and owners & set(deal.contact_ids):
                now = self.clock.now()
                changed = self._change(ref, is_open=False, stage_id="s9", updated_at=now)
                self.services.directory.fold(PROJECT, CRM, Changes(deals=(changed,)), now)

    def plans(self) -> dict[str, Plan]:
        """What was decided last about each call, by the telephony's id."""
        store = self.services.store
        found = {}
        for stored in store.read_now(lambda conn: interactions.journal(conn, PROJECT, limit=10_000)):
            last = store.read_now(lambda conn, id=stored.id: decisions.latest(conn, id, CRM))  # type: ignore[misc]  # called at once
            if last is not None:
                found[stored.interaction.external_id] = last.plan
        return found

    def states(self) -> set[str]:
        """How the work stands."""
        return {state for _, state in self.services.store.read_now(work.count_states)}


@contextmanager
def life(folder: Path, policy: str, *, mode: str = "live", begin: datetime = BEGIN) -> Iterator[Life]:
    """A company with an empty CRM, at the month's beginning."""
    clock = FakeClock(begin)
    services = build_services(Settings(environment="development", data_directory=folder), clock)
    try:
        store, cipher, now = services.store, services.cipher, clock.now()

        def prepare(conn: Any) -> None:
            projects.add_project(conn, PROJECT, now=now, mode=mode)  # type: ignore[arg-type]  # a word of ours
            policies.publish(conn, PROJECT, text=policy, author="test", based_on=None, now=now)
            projects.add_channel(
                conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=now
            )  # fmt: skip
            projects.add_connection(conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings={}, now=now)
            projects.set_catalogue(conn, PROJECT, CRM, CATALOGUE, now)
            projects.set_import(conn, PROJECT, CRM, cursor="", progress=1.0, finished_at=now)
            bindings.put(conn, PROJECT, CRM, [Binding(kind="employee", name=k, value=v) for k, v in USERS.items()])

        store.write_now(prepare)
        mark_imported(services.directory, PROJECT, CRM, now)
        services.projects.reload_now()

        async def nothing(*_: object) -> None: ...

        async def all_there(*_: object) -> bool:
            return True

        advance = Advance(
            store,
            clock,
            services.projects,
            services.directory,
            search=nothing,
            read=all_there,
            wake_writer=lambda project, connection, is_urgent: None,
        )
        yield Life(services, clock, advance)
    finally:
        services.close()
