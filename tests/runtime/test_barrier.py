"""The barrier's reading begins before anybody asks for it, and proves no less for that (DESIGN 2, X5)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import Connection

from hub.clock import FakeClock, Stamp
from hub.core.interaction import ClientId, Identity, InteractionId
from hub.core.plan import Action, AddNote, CreateContact, CreateDeal, CreateTask, Reason, StepKey
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.errors import Unavailable, VendorError
from hub.ports import Changes
from hub.runtime.account import Account
from hub.runtime.barrier import Barrier
from hub.runtime.pace import charge, counted
from hub.runtime.vendor_clock import VendorClock
from hub.store import clients, interactions, steps, work
from hub.store.engine import Store, sqlite_url
from hub.store.steps import Step
from hub.store.work import Work
from hub.testing.builders import NOW, PHONE, call

WHY = Reason(code="test")
ID = InteractionId("i1")
CONTACT = RecordRef(kind=RecordKind.CONTACT, id="1")
LIFE = timedelta(seconds=5)
OVERLAP = timedelta(seconds=2)
NEW_CONTACT = CreateContact(key=StepKey("i1/create_contact"), name="Petro", phones=(PHONE,), reason=WHY)


class Crm:
    """An account that notes which kinds each reading was of; a reading is one request."""

    def __init__(self, now: datetime) -> None:
        self.readings: list[set[RecordKind]] = []
        self.begins: list[datetime] = []
        self.error: VendorError | None = None
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self.clock = FakeClock(now)
        known: dict[RecordKind, Stamp] = {}
        self.account = cast(
            Account,
            SimpleNamespace(
                project="auto", name="crm", session=self, fold=self._fold, succeeded=lambda: None,
                capabilities=SimpleNamespace(barrier_kinds=frozenset({RecordKind.CONTACT, RecordKind.TASK})),
                directory=SimpleNamespace(as_of=lambda *_: None), vendor_clock=VendorClock(),
                complete_until=known, is_complete=lambda kinds, until: known.update(dict.fromkeys(kinds, until)),
            ),
        )  # fmt: skip

    async def barrier(self, kinds: Collection[RecordKind], since: datetime) -> Changes:
        charge(1)
        self.readings.append(set(kinds))
        self.begins.append(since)
        self.is_asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return Changes()

    async def _fold(self, changes: Changes, seen_at: datetime) -> None: ...


class Desk:
    """A barrier, and one call that is over at `NOW` and wants a new contact."""

    def __init__(self, store: Store, now: datetime = NOW) -> None:
        self.crm, self._store = Crm(now), store
        #: what a look at the directory shows now; the decision saw ""
        self.shows = ""
        self.barrier = Barrier(self.crm.account, store, self.crm.clock, view=self._view, life=LIFE, overlap=OVERLAP)

    async def _view(self, items: Sequence[Work]) -> Mapping[InteractionId, str]:
        return {item.interaction_id: self.shows for item in items}

    def step(self) -> Step:
        [found] = self._store.read_now(lambda conn: steps.of_interaction(conn, ID))
        return found

    async def foresee(self, *actions: Action) -> None:
        self.barrier.foresee(actions)
        await asyncio.gather(*self.barrier.reading)

    async def check(self) -> tuple[set[InteractionId], int]:
        """Who is to be decided again, and what the check costs the interaction in requests."""
        with counted() as cost:
            return await self.barrier.check([self.step()]), cost.requests


def over(conn: Connection) -> None:
    """The call is over at `NOW`, decided, and nothing of it sent."""
    found = clients.resolve(conn, "auto", Identity(phones=(PHONE,)), clients.JoinRules(), now=NOW)
    owner = ClientId(found.client_id)
    stored = interactions.put(conn, call(id=ID), client_id=owner, received_at=NOW, decide_at=NOW)
    work.add(
        conn, interaction_id=ID, project="auto", client_id=owner, sequence=stored.sequence, connections=["crm"], now=NOW
    )
    steps.add(
        conn, [NEW_CONTACT], project="auto", connection="crm", interaction_id=ID, client_id=owner, urgency=1, now=NOW
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(sqlite_url(tmp_path / "hub.db")) as opened:
        opened.write_now(over)
        yield opened


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


FORESEEN = [
    # what an interaction wants, and of which kinds it is read before its steps are stored
    ([NEW_CONTACT], [{RecordKind.CONTACT}]),
    ([AddNote(key=StepKey("n"), on=CONTACT, text="n", reason=WHY), NEW_CONTACT], [{RecordKind.CONTACT}]),
    ([CreateDeal(key=StepKey("d"), name="d", contact=CONTACT, reason=WHY)], []),
    (
        [CreateTask(key=StepKey("t"), task="x", text="", on=CONTACT, assignee=EmployeeId("a"), due_at=NOW, reason=WHY)],
        [],
    ),
    ([AddNote(key=StepKey("n"), on=CONTACT, text="n", reason=WHY)], []),
    ([], []),
]


@pytest.mark.parametrize(("actions", "readings"), FORESEEN)
async def test_only_what_a_new_contact_rests_on_is_read_ahead(
    desk: Desk, actions: list[Action], readings: list[set[RecordKind]]
) -> None:
    await desk.foresee(*actions)
    assert desk.crm.readings == readings


async def test_the_reading_that_was_foreseen_serves_the_check_and_is_charged_to_it_once(desk: Desk) -> None:
    """X6, H11: one request instead of two in a row, and the interaction's cost tells of it."""
    await desk.foresee(NEW_CONTACT)
    assert await desk.check() == (set(), 1)
    assert len(desk.crm.readings) == 1
    # compared once: it costs nothing more, nor is the same reading charged again
    assert await desk.check() == (set(), 0)
    desk.barrier.forget([desk.step()])
    assert await desk.check() == (set(), 0)


async def test_a_check_waits_for_the_reading_that_is_under_way(desk: Desk) -> None:
    desk.crm.may_answer.clear()
    desk.barrier.foresee([NEW_CONTACT])
    checking = asyncio.create_task(desk.check())
    async with asyncio.timeout(20):
        await desk.crm.is_asked.wait()
    assert not checking.done()
    desk.crm.may_answer.set()
    assert (await checking)[0] == set()
    assert len(desk.crm.readings) == 1


async def test_of_several_that_are_over_at_once_the_first_reads_ahead_for_all(desk: Desk) -> None:
    desk.crm.may_answer.clear()
    for _ in range(3):
        desk.barrier.foresee([NEW_CONTACT])
        await asyncio.sleep(0)
    assert len(desk.barrier.reading) == 1
    desk.crm.may_answer.set()
    await asyncio.gather(*desk.barrier.reading)
    assert len(desk.crm.readings) == 1


@pytest.mark.parametrize(("before", "readings"), [(timedelta(seconds=1), 2), (timedelta(0), 1)])
async def test_a_reading_that_began_before_the_call_was_over_proves_nothing_of_it(
    store: Store, before: timedelta, readings: int
) -> None:
    """A person may have made the contact between the two."""
    desk = Desk(store, NOW - before)
    await desk.foresee(NEW_CONTACT)
    desk.crm.clock.advance(before)
    await desk.check()
    assert len(desk.crm.readings) == readings


async def test_a_foreseen_reading_that_is_too_old_is_done_again(desk: Desk) -> None:
    await desk.foresee(NEW_CONTACT)
    desk.crm.clock.advance(LIFE + timedelta(seconds=1))
    await desk.check()
    assert len(desk.crm.readings) == 2


async def test_a_foreseen_reading_that_failed_is_nobodys_trouble_and_proves_nothing(desk: Desk) -> None:
    """H4: whoever sends what rests on it reads then, and hears of it; when the CRM answers again all is well."""
    desk.crm.error = Unavailable("away")
    await desk.foresee(NEW_CONTACT)
    with pytest.raises(Unavailable, match="away"):
        await desk.check()
    desk.crm.error = None
    assert (await desk.check())[0] == set()
    assert len(desk.crm.readings) == 3


async def test_what_the_foreseen_reading_shows_is_decided_again(desk: Desk) -> None:
    """X5: read ahead or not, a contact that a person made meanwhile is not made twice."""
    await desk.foresee(NEW_CONTACT)
    desk.shows = "a contact of this number"
    assert (await desk.check())[0] == {ID}


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_set_hides_nothing_that_a_person_made_since(desk: Desk, hours: int) -> None:
    """X5: a reading from before counts by the time that has passed; what is asked for begins where it ended."""
    step = timedelta(hours=hours)
    await desk.foresee(NEW_CONTACT)
    assert desk.crm.begins == [NOW - timedelta(hours=1) - OVERLAP], "nothing is known yet"
    desk.crm.clock.advance(timedelta(seconds=5))
    desk.crm.clock.step(step)
    desk.barrier.forget([desk.step()])
    await desk.check()
    assert desk.crm.begins[1:] == [NOW + step - OVERLAP]
    # and of a reading that is too old nothing counts, though by the wall clock it may lie in the future
    desk.crm.clock.advance(LIFE + timedelta(seconds=1))
    desk.crm.clock.step(-step)
    await desk.check()
    assert len(desk.crm.begins) == 3
