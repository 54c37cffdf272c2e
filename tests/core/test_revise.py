"""A later decision meets what an earlier one did (DESIGN 2, "Steps"): row by row, then any sequence of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.by_hand import personal_key
from hub.core.interaction import ClientId, Direction, Disposition
from hub.core.phone import Phone
from hub.core.plan import (
    Action,
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Nothing,
    Reason,
    RecordCall,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.core.revise import BY_HAND, Known, Revision, StepState, needs, revise

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WHY = Reason(code="test")
OLEG, ANNA = EmployeeId("oleg"), EmployeeId("anna")
CARD = RecordRef(kind=RecordKind.CONTACT, id="7")
PHONE = Phone("+380501112233")


def task(text: str = "call back", who: EmployeeId = OLEG, *, due: datetime = NOW, done: bool = False) -> CreateTask:
    return CreateTask(
        key=StepKey("c/task/call_back"),
        task="call_back",
        text=text,
        on=CARD,
        assignee=who,
        due_at=due,
        completed_at=NOW if done else None,
        reason=WHY,
    )


def contact(name: str = "A", who: EmployeeId = OLEG) -> CreateContact:
    return CreateContact(key=StepKey("c/create_contact"), name=name, phones=(PHONE,), responsible=who, reason=WHY)


def deal(name: str = "D", who: EmployeeId = OLEG) -> CreateDeal:
    ref = NewRecord(kind=RecordKind.CONTACT, key=StepKey("c/create_contact"))
    return CreateDeal(key=StepKey("i/create_deal"), name=name, contact=ref, responsible=who, reason=WHY)


def record(recording: str = "", text: str = "legs") -> RecordCall:
    return RecordCall(
        key=StepKey("i/record_call"),
        on=CARD,
        uniq="u1",
        direction=Direction.INBOUND,
        disposition=Disposition.ANSWERED,
        phone=PHONE,
        started_at=NOW,
        talk_seconds=10,
        recording=recording,
        text=text,
        reason=WHY,
    )


def note(text: str = "note") -> AddNote:
    return AddNote(key=StepKey("i/note/missed"), on=CARD, text=text, reason=WHY)


MADE = {
    "create_contact": RecordKind.CONTACT,
    "create_deal": RecordKind.DEAL,
    "create_task": RecordKind.TASK,
    "record_call": RecordKind.NOTE,
    "add_note": RecordKind.NOTE,
}


def known(state: StepState, action: Action, *, alive: bool = True, own: bool = True) -> dict[StepKey, Known]:
    made = RecordRef(kind=MADE[action.kind], id="1") if state is StepState.DONE and action.kind in MADE else None
    return {
        action.key: Known(key=action.key, state=state, action=action, record=made, is_record_alive=alive, is_own=own)
    }


def outline(found: Revision) -> dict[str, list[str]]:
    """What changes, in words: empty lists are left out."""
    words = {
        "add": [f"{action.kind} {action.key}" for action in found.added],
        "replace": [str(action.key) for action in found.replaced],
        "withdraw": [str(key) for key in found.withdrawn],
        "left": [str(key) for key, _ in found.left],
    }
    return {name: found for name, found in words.items() if found}


def adds(*what: str) -> dict[str, list[str]]:
    """The change that only adds."""
    return {"add": list(what)}


WAITING, DONE, REJECTED = StepState.WAITING, StepState.DONE, StepState.REJECTED

REPLACED = {"replace": ["c/create_contact"]}

ROWS: list[tuple[str, list[Action], dict[StepKey, Known], dict[str, list[str]]]] = [
    ("new is added", [note()], {}, {"add": ["add_note i/note/missed"]}),
    ("nothing is no step", [Nothing(key=StepKey("i/nothing"), reason=WHY)], {}, {}),
    ("done and the same is skipped", [note()], known(DONE, note()), {}),
    ("waiting and the same is skipped", [note()], known(WAITING, note()), {}),
    ("waiting and other is replaced", [note("b")], known(WAITING, note()), {"replace": ["i/note/missed"]}),
    ("waiting and no longer wanted is withdrawn", [], known(WAITING, note()), {"withdraw": ["i/note/missed"]}),
    ("refused and still wanted is tried again", [note()], known(REJECTED, note()), {"replace": ["i/note/missed"]}),
    ("refused and no longer wanted is withdrawn", [], known(REJECTED, note()), {"withdraw": ["i/note/missed"]}),
    (
        "withdrawn and wanted again waits again",
        [note()],
        known(StepState.WITHDRAWN, note()),
        {"replace": ["i/note/missed"]},
    ),
    ("withdrawn and not wanted stays", [], known(StepState.WITHDRAWN, note()), {}),
    ("done and unwanted note is left", [], known(DONE, note()), {"left": ["i/note/missed"]}),
    (
        "done and unwanted task is closed",
        [],
        known(DONE, task()),
        {"add": ["complete_task c/task/call_back~withdrawn/1"]},
    ),
    ("a completed task cannot be taken back", [], known(DONE, task(done=True)), {"left": ["c/task/call_back"]}),
    ("a deadline alone moves nothing (A3)", [task(due=NOW + timedelta(hours=4))], known(DONE, task()), {}),
    ("another assignee moves the task", [task(who=ANNA)], known(DONE, task()), adds("update_task c/task/call_back~2")),
    ("another name updates", [contact("B")], known(DONE, contact()), adds("update_contact c/create_contact~2")),
    ("another responsible updates", [deal(who=ANNA)], known(DONE, deal()), adds("update_deal i/create_deal~2")),
    ("a late recording becomes one note", [record("url")], known(DONE, record()), adds("add_note i/record_call~2")),
    ("deleted is made again", [contact()], known(DONE, contact(), alive=False), REPLACED),
    ("another's done contact is used as it is", [contact("B")], known(DONE, contact(), own=False), {}),
    ("another's waiting contact is left to it", [contact("B")], known(WAITING, contact(), own=False), {}),
    ("another's unwanted step is not ours to withdraw", [], known(WAITING, contact(), own=False), {}),
    ("another's refused is taken", [contact()], known(REJECTED, contact(), own=False), REPLACED),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "before", "change"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_revision(actions: list[Action], before: dict[StepKey, Known], change: dict[str, list[str]]) -> None:
    """DESIGN 2: compared by key; skipped, replaced, withdrawn, corrected or left in place."""
    assert outline(revise(actions, before, revision=2)) == change


def test_steps_on_their_way_are_left_alone() -> None:
    """DESIGN 2: whoever decided looks again when they have ended."""
    for state in (StepState.SENT, StepState.IN_DOUBT):
        assert outline(revise([note("b")], known(state, note()), 2)) == {}
        assert outline(revise([], known(state, note()), 2)) == {}


def test_a_step_needs_the_records_that_it_refers_to() -> None:
    assert needs(deal()) == ("c/create_contact",)
    assert needs(note()) == ()


def test_a_correction_does_not_undo_what_a_person_changed() -> None:
    """A13: only what the hub now says otherwise is written; the responsible may have been changed by hand."""
    change = revise([contact("B")], known(DONE, contact("A")), 2)
    (update,) = change.added
    assert isinstance(update, UpdateContact)
    assert (update.name, update.responsible) == ("B", None)


def by_hand(action: Action) -> Action:
    """``action`` as an employee wanted it."""
    return replace(action, reason=Reason(code=BY_HAND, values={"employee": ANNA}))


TAKEN = UpdateDeal(
    key=personal_key(ClientId("c"), ANNA, "r1", "take", "deal/1"),
    deal=RecordRef(kind=RecordKind.DEAL, id="1"),
    responsible=ANNA,
    reason=Reason(code=BY_HAND),
)

BY_A_PERSON: list[tuple[str, list[Action], dict[StepKey, Known], dict[str, list[str]]]] = [
    ("a waiting wish is not withdrawn", [], known(WAITING, by_hand(task())), {}),
    ("a refused wish is not withdrawn", [], known(REJECTED, by_hand(task())), {}),
    ("a task that a person wanted is not closed", [], known(DONE, by_hand(task())), {}),
    ("a contact that a person made is not left over", [], known(DONE, by_hand(contact())), {}),
    ("whom a person made it for stays", [deal(who=ANNA)], known(DONE, by_hand(deal())), {}),
    ("the name that a person gave stays", [contact("B")], known(DONE, by_hand(contact())), {}),
    ("a waiting contact is completed, not given away", [contact("B", ANNA)], known(WAITING, by_hand(contact())), {}),
    ("a taken deal is not given back", [deal(who=OLEG)], {**known(DONE, deal(who=OLEG)), **known(DONE, TAKEN)}, {}),
    (
        "nor given to whom a late record names",
        [deal(who=EmployeeId("petro"))],
        {**known(DONE, deal(who=OLEG)), **known(DONE, TAKEN)},
        {},
    ),
]


@pytest.mark.parametrize(
    ("actions", "before", "change"), [row[1:] for row in BY_A_PERSON], ids=[row[0] for row in BY_A_PERSON]
)
def test_no_later_decision_undoes_what_a_person_did(
    actions: list[Action], before: dict[StepKey, Known], change: dict[str, list[str]]
) -> None:
    """U1: taken, created, wished from a card or popup; what the hub adds to such a record it still may add."""
    assert outline(revise(actions, before, revision=2)) == change


# --- any sequence of decisions ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Crm:
    """A store and a CRM in one: steps by key as `advance` keeps them, and what sending them made."""

    steps: dict[StepKey, Known] = field(default_factory=dict)
    sent: list[Action] = field(default_factory=list)
    revision: int = 0
    next_id: int = 0
    #: of each record: what it says now
    tasks: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    contacts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def decide(self, actions: Sequence[Action]) -> None:
        self.revision += 1
        change = revise(actions, self.steps, self.revision)
        for key in change.withdrawn:
            assert self.steps[key].state in (WAITING, REJECTED)
            self.steps[key] = replace(self.steps[key], state=StepState.WITHDRAWN)
        for action in (*change.replaced, *change.added):
            self.steps[action.key] = Known(key=action.key, state=WAITING, action=action)
        assert len({action.key for action in change.added}) == len(change.added)

    def send(self, *, refuses: bool = False) -> None:
        for key, step in list(self.steps.items()):
            if step.state is not WAITING:
                continue
            if refuses:
                self.steps[key] = replace(step, state=REJECTED)
                continue
            self.sent.append(step.action)
            self.steps[key] = replace(step, state=DONE, record=self._apply(step.action))

    def _apply(self, action: Action) -> RecordRef | None:
        match action:
            case CreateTask():
                self.next_id += 1
                self.tasks[str(self.next_id)] = (action.text, str(action.assignee), action.completed_at is None)
                return RecordRef(kind=RecordKind.TASK, id=str(self.next_id))
            case UpdateTask(task=RecordRef() as ref):
                text, who, is_open = self.tasks[ref.id]
                self.tasks[ref.id] = (action.text or text, str(action.assignee or who), is_open)
                return ref
            case CompleteTask(task=RecordRef() as ref):
                text, who, _ = self.tasks[ref.id]
                self.tasks[ref.id] = (text, who, False)
                return ref
            case CreateContact():
                self.next_id += 1
                self.contacts[str(self.next_id)] = (action.name, str(action.responsible))
                return RecordRef(kind=RecordKind.CONTACT, id=str(self.next_id))
            case UpdateContact(contact=RecordRef() as ref):
                name, who = self.contacts[ref.id]
                self.contacts[ref.id] = (action.name or name, str(action.responsible or who))
                return ref
            case _:
                self.next_id += 1
                return RecordRef(kind=RecordKind.NOTE, id=str(self.next_id))


WISHES = st.fixed_dictionaries(
    {
        "task": st.none() | st.builds(task, st.sampled_from("ab"), st.sampled_from([OLEG, ANNA])),
        "contact": st.builds(contact, st.sampled_from("AB"), st.sampled_from([OLEG, ANNA])),
        "record": st.none() | st.builds(record, st.sampled_from(["", "url"]), st.sampled_from(["legs", "more legs"])),
        "note": st.none() | st.builds(note, st.sampled_from(["x", "y"])),
    }
)
HISTORY = st.lists(st.tuples(WISHES, st.sampled_from(["send", "keep", "refuse"])), min_size=1, max_size=7)


@given(HISTORY)
def test_any_sequence_of_decisions_ends_with_the_last_wish(
    history: list[tuple[dict[str, Action | None], str]],
) -> None:
    """DESIGN 2: any number of decisions and sendings between them end in the same CRM."""
    crm = Crm()
    wish: list[Action] = []
    for wishes, then in history:
        wish = [action for action in wishes.values() if action is not None]
        crm.decide(wish)
        if then != "keep":
            crm.send(refuses=then == "refuse")
    crm.decide(wish)
    crm.send()
    open_tasks = [(text, who) for text, who, is_open in crm.tasks.values() if is_open]
    assert open_tasks == [(one.text, str(one.assignee)) for one in wish if isinstance(one, CreateTask)]
    contacts = [(one.name, str(one.responsible)) for one in wish if isinstance(one, CreateContact)]
    assert list(crm.contacts.values()) == contacts
    notes = [action.text for action in crm.sent if isinstance(action, AddNote)]
    for one in wish:
        if isinstance(one, AddNote):
            assert one.text in notes
    assert all(step.state in (DONE, StepState.WITHDRAWN) for step in crm.steps.values())


@given(HISTORY)
def test_deciding_again_the_same_changes_nothing(history: list[tuple[dict[str, Action | None], str]]) -> None:
    """X13, A9: what was done is never repeated, however often the same is decided."""
    crm = Crm()
    wish: list[Action] = []
    for wishes, then in history:
        wish = [action for action in wishes.values() if action is not None]
        crm.decide(wish)
        if then != "keep":
            crm.send(refuses=then == "refuse")
    crm.decide(wish)
    crm.send()
    sent = len(crm.sent)
    for _ in range(3):
        crm.decide(wish)
        crm.send()
    assert crm.sent[sent:] == []


@given(HISTORY)
def test_each_call_has_one_record_whatever_was_decided(history: list[tuple[dict[str, Action | None], str]]) -> None:
    """A6: one call record for one call; what came later is told in notes."""
    crm = Crm()
    for wishes, then in history:
        crm.decide([action for action in wishes.values() if action is not None])
        if then != "keep":
            crm.send(refuses=then == "refuse")
    assert sum(isinstance(action, RecordCall) for action in crm.sent) <= 1
