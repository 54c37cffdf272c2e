"""Which waiting steps go out together (X6), as tables: kinds, sizes, needs, limits, order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import (
    Action,
    AddNote,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Notify,
    Reason,
    StepKey,
)
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.core.revise import StepState, needs
from hub.runtime.batches import Batch, blocked, form_batches
from hub.store.steps import Step

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WHY = Reason(code="test")
CARD = RecordRef(kind=RecordKind.CONTACT, id="7")
SIZES = {"create_contact": 50, "create_deal": 50, "create_task": 50, "add_note": 50, "notify": 10}
DONE, WAITING, REJECTED = StepState.DONE, StepState.WAITING, StepState.REJECTED


def step(id: int, action: Action, urgency: int = 1, attempts: int = 0) -> Step:
    return Step(
        id=id,
        project="p",
        connection="c",
        key=action.key,
        interaction_id=InteractionId(str(id)),
        client_id=ClientId("c"),
        action=action,
        urgency=urgency,
        position=0,
        state=WAITING,
        needs=needs(action),
        hub_id=f"hub-{id}",
        attempts=attempts,
        doubt_checks=0,
        not_before=None,
        batch_id=None,
        created_at=NOW,
        sent_at=None,
        ended_at=None,
        record=None,
        note="",
    )


def note(id: int, urgency: int = 1) -> Step:
    return step(id, AddNote(key=StepKey(f"{id}/note"), on=CARD, text="n", reason=WHY), urgency)


def popup(id: int) -> Step:
    return step(
        id, Notify(key=StepKey(f"{id}/notify"), employees=(EmployeeId("oleg"),), text="t", reason=WHY), urgency=0
    )


def contact(id: int, client: str) -> Step:
    return step(id, CreateContact(key=StepKey(f"{client}/create_contact"), name="A", reason=WHY))


def deal(id: int, client: str) -> Step:
    ref = NewRecord(kind=RecordKind.CONTACT, key=StepKey(f"{client}/create_contact"))
    return step(id, CreateDeal(key=StepKey(f"{client}/create_deal"), name="D", contact=ref, reason=WHY))


def task(id: int, client: str) -> Step:
    on = NewRecord(kind=RecordKind.DEAL, key=StepKey(f"{client}/create_deal"))
    return step(
        id,
        CreateTask(key=StepKey(f"{client}/task"), task="t", text="t", on=on, assignee=None, due_at=NOW, reason=WHY),
    )


def formed(
    waiting: Sequence[Step],
    *,
    states: dict[str, StepState] | None = None,
    limits: dict[int, int] | None = None,
    busy: set[int] | None = None,
    most: int = 4,
    has_combined_create: bool = True,
) -> list[tuple[str, list[int]]]:
    """The batches: their kind, and the ids of their steps."""
    known = {one.key: one.state for one in waiting}
    known |= {StepKey(key): state for key, state in (states or {}).items()}
    found = form_batches(
        waiting,
        known,
        sizes=SIZES,
        has_combined_create=has_combined_create,
        limits=limits or {},
        busy=busy or set(),
        most=most,
    )
    return [(batch.kind, [one.id for one in batch.steps]) for batch in found]


def test_what_waits_of_one_kind_goes_together() -> None:
    assert formed([note(1), note(2), note(3)]) == [("add_note on contact", [1, 2, 3])]


def test_a_deal_takes_its_new_contact_along() -> None:
    """DESIGN 4: one request for both; the task waits for the deal."""
    assert formed([contact(1, "a"), deal(2, "a"), task(3, "a")]) == [("create_deal+contact", [1, 2])]


def test_where_the_crm_cannot_the_contact_goes_first() -> None:
    assert formed([contact(1, "a"), deal(2, "a")], has_combined_create=False) == [("create_contact", [1])]


def test_a_deal_whose_contact_is_done_goes_alone() -> None:
    assert formed([deal(2, "a")], states={"a/create_contact": DONE}) == [("create_deal", [2])]


def test_a_deal_whose_contact_is_in_doubt_or_on_its_way_waits() -> None:
    """X5: or the contact would be made twice."""
    for state in (StepState.IN_DOUBT, StepState.SENT):
        assert formed([deal(2, "a")], states={"a/create_contact": state}) == []


def test_what_another_request_carries_is_left_out() -> None:
    assert formed([note(1), note(2)], busy={1}) == [("add_note on contact", [2])]
    assert formed([contact(1, "a"), deal(2, "a")], busy={1}) == []


def test_popups_go_first_and_the_oldest_after_them() -> None:
    """DESIGN 4: classes, then age; a popup does not wait behind an import."""
    waiting = [note(1, urgency=3), note(2), popup(9)]
    assert formed(waiting) == [("notify", [9]), ("add_note on contact", [2, 1])]


def test_no_batch_is_larger_than_the_vendor_likes() -> None:
    """DESIGN 4: amoCRM 50."""
    assert [len(ids) for _, ids in formed([note(id) for id in range(1, 121)])] == [50, 50, 20]


def test_no_more_requests_than_there_is_room_for() -> None:
    assert len(formed([note(id) for id in range(1, 301)], most=2)) == 2


def test_steps_of_a_failed_batch_go_in_smaller_ones() -> None:
    """DESIGN 4: halved; one that may only go alone goes alone, and the others together."""
    waiting = [note(id) for id in range(1, 7)]
    assert formed(waiting, limits=dict.fromkeys(range(1, 7), 3)) == [
        ("add_note on contact", [1, 2, 3]),
        ("add_note on contact", [4, 5, 6]),
    ]
    assert formed(waiting, limits={1: 1}) == [("add_note on contact", [1]), ("add_note on contact", [2, 3, 4, 5, 6])]
    assert formed(waiting, limits={4: 1}) == [("add_note on contact", [1, 2, 3, 5, 6]), ("add_note on contact", [4])]


def test_what_needs_something_refused_is_hopeless() -> None:
    """H4: it is told at once, and the lane goes on."""
    waiting = [deal(1, "a"), note(2)]
    for state in (REJECTED, StepState.WITHDRAWN):
        assert blocked(waiting, {StepKey("a/create_contact"): state}) == [waiting[0]]
    assert blocked(waiting, {}) == [waiting[0]]
    for state in (DONE, WAITING, StepState.SENT, StepState.IN_DOUBT):
        assert blocked(waiting, {StepKey("a/create_contact"): state}) == []


STEPS = st.lists(st.sampled_from(["note", "popup", "client", "contact", "deal"]), min_size=1, max_size=40)


@given(STEPS, st.dictionaries(st.integers(0, 80), st.integers(1, 5)), st.integers(1, 5), st.booleans())
def test_no_step_goes_twice_nor_before_what_it_needs(
    kinds: list[str], limits: dict[int, int], most: int, has_combined_create: bool
) -> None:
    """X5, X6: whatever waits, each step is in one batch at most, within every limit, with its needs met."""
    waiting: list[Step] = []
    for number, kind in enumerate(kinds):
        id, client = 2 * number, f"client{number}"
        match kind:
            case "note":
                waiting.append(note(id))
            case "popup":
                waiting.append(popup(id))
            case "client":
                waiting += [contact(id, client), deal(id + 1, client)]
            case "contact":
                waiting.append(contact(id, client))
            case _:
                waiting.append(deal(id, client))
    states = {one.key: one.state for one in waiting}
    batches: list[Batch] = form_batches(
        waiting,
        states,
        sizes=SIZES,
        has_combined_create=has_combined_create,
        limits=limits,
        busy=set(),
        most=most,
    )
    ids = [one.id for batch in batches for one in batch.steps]
    assert len(ids) == len(set(ids))
    assert len(batches) <= most
    for batch in batches:
        assert len({unit.kind for unit in batch.units}) == 1
        assert all(len(batch.units) <= limits.get(one.id, 50) for one in batch.steps)
        own = {one.key for one in batch.steps}
        for one in batch.steps:
            assert all(key in own or states.get(key) is DONE for key in one.needs)
