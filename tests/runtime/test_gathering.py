"""When a request that is not full waits for more of its kind (X6), as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import AddNote, CreateContact, CreateDeal, NewRecord, Reason, StepKey
from hub.core.records import RecordKind
from hub.core.revise import StepState, needs
from hub.runtime.batches import Batch, Unit, not_ready
from hub.runtime.gathering import Gathering
from hub.runtime.pace import Urgency
from hub.store.steps import Step

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WHY = Reason(code="test")
SIZE = 50


def note(id: int) -> Step:
    contact = NewRecord(kind=RecordKind.CONTACT, key=StepKey(f"{id}/create_contact"))
    action = AddNote(key=StepKey(f"{id}/note"), on=contact, text="n", reason=WHY)
    return Step(
        id=id,
        project="p",
        connection="c",
        key=action.key,
        interaction_id=InteractionId(str(id)),
        client_id=ClientId("c"),
        action=action,
        urgency=Urgency.RECORD,
        position=0,
        state=StepState.WAITING,
        needs=needs(action),
        hub_id=f"hub-{id}",
        attempts=0,
        doubt_checks=0,
        not_before=None,
        batch_id=None,
        created_at=NOW,
        sent_at=None,
        ended_at=None,
        record=None,
        note="",
    )


def notes(count: int, urgency: Urgency = Urgency.RECORD) -> Batch:
    return Batch(units=tuple(Unit(step=replace(note(id), urgency=urgency)) for id in range(1, count + 1)))


@pytest.mark.parametrize(
    ("count", "coming", "is_scarce", "rest", "waits"),
    [
        pytest.param(20, 60, True, 0.5, True, id="more than half as many again come, and one left a moment ago"),
        pytest.param(50, 60, True, 0.5, False, id="it is full"),
        pytest.param(20, 60, False, 0.5, False, id="requests are plenty"),
        pytest.param(20, 10, True, 0.5, False, id="few come: what stands ready does not wait for them"),
        pytest.param(1, 0, True, 0.5, False, id="alone, an action goes at once"),
        pytest.param(20, 60, True, 2, False, id="it has waited long enough"),
    ],
)
def test_request_with_room_waits_for_what_is_coming(
    count: int, coming: int, is_scarce: bool, rest: float, waits: bool
) -> None:
    gathering, batch = Gathering(), notes(count)
    gathering.left(batch.kind, NOW)
    gathering.answered(batch.kind)
    now = NOW + timedelta(seconds=rest)
    until = gathering.until(batch, size=SIZE, coming=coming, is_scarce=is_scarce, now=now)
    assert until == (NOW + Gathering.REST if waits else None)


def test_first_request_of_a_kind_goes_at_once_however_many_are_coming() -> None:
    assert Gathering().until(notes(1), size=SIZE, coming=100, is_scarce=True, now=NOW) is None


def test_request_waits_for_the_answer_to_the_last_of_its_kind_but_not_for_one_that_hangs() -> None:
    gathering, batch = Gathering(), notes(1)
    gathering.left(batch.kind, NOW)
    soon, late = NOW + timedelta(seconds=0.1), NOW + Gathering.ANSWER
    assert gathering.until(batch, size=SIZE, coming=0, is_scarce=False, now=soon) == late
    assert gathering.until(batch, size=SIZE, coming=0, is_scarce=False, now=late) is None


def test_popup_waits_for_nothing() -> None:
    gathering, batch = Gathering(), notes(1, Urgency.POPUP)
    gathering.left(batch.kind, NOW)
    assert gathering.until(batch, size=SIZE, coming=100, is_scarce=True, now=NOW) is None


def test_decisions_are_looked_at_at_once_unless_a_request_gathers_them() -> None:
    gathering, batch = Gathering(), notes(20)
    assert gathering.is_enough()
    gathering.left(batch.kind, NOW)
    gathering.looks()
    assert gathering.until(batch, size=SIZE, coming=60, is_scarce=True, now=NOW)
    assert [gathering.is_enough() for _ in range(Gathering.UNSEEN)] == [False] * (Gathering.UNSEEN - 1) + [True]


def test_what_was_decided_during_a_look_is_looked_at_unless_a_request_gathers_it() -> None:
    gathering, batch = Gathering(), notes(20)
    gathering.left(batch.kind, NOW)
    gathering.looks()
    assert gathering.is_enough()
    gathering.saw()
    assert gathering.is_enough(0)
    assert gathering.until(batch, size=SIZE, coming=60, is_scarce=True, now=NOW)
    assert not gathering.is_enough(0)


def test_request_with_room_goes_behind_full_ones_but_not_for_ever() -> None:
    """X6: a place that it takes is one that a full request lacks."""
    gathering, full, some = Gathering(), notes(SIZE), notes(1)
    assert gathering.turn(some, size=SIZE, now=NOW) == gathering.turn(full, size=SIZE, now=NOW) == 0
    gathering.left(some.kind, NOW)
    soon, late = NOW + timedelta(seconds=5), NOW + Gathering.LONGEST
    assert [gathering.turn(batch, size=SIZE, now=soon) for batch in (some, full)] == [1, 0]
    assert gathering.turn(some, size=SIZE, now=late) == 0


def test_what_waits_for_a_record_that_is_not_made_yet_is_coming() -> None:
    first, second, third = note(1), note(2), note(3)
    states = {first.needs[0]: StepState.DONE, second.needs[0]: StepState.SENT, third.needs[0]: StepState.WAITING}
    contact = CreateContact(key=StepKey("4/create_contact"), name="A", reason=WHY)
    ref = NewRecord(kind=RecordKind.CONTACT, key=contact.key)
    deal = CreateDeal(key=StepKey("4/create_deal"), name="D", contact=ref, reason=WHY)
    pair = [replace(note(4), action=contact, needs=()), replace(note(5), action=deal, needs=(contact.key,))]
    # the deal goes in one request with its contact, not in one of its own
    assert not_ready([first, second, third, *pair], states) == {Unit(step=first).kind: 2}


def test_a_clock_that_was_set_back_makes_nobody_wait_until_it_is_there_again() -> None:
    """H4: by the wall clock the last request left in the future; what waits for more would wait for an hour."""
    gathering, batch = Gathering(), notes(20)
    gathering.left(batch.kind, NOW + timedelta(hours=1))
    assert gathering.until(batch, size=SIZE, coming=60, is_scarce=True, now=NOW) is None
    assert gathering.turn(batch, size=SIZE, now=NOW) == 0
    gathering.answered(batch.kind)
    assert gathering.until(batch, size=SIZE, coming=60, is_scarce=True, now=NOW) is None
