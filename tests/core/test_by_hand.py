"""What an employee presses, as actions: pure, by the policy, never two of one (U1, A3, A14, W2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.core import by_hand
from hub.core.interaction import Call, ClientId, Direction, Disposition, Identity, InteractionId, ProjectId
from hub.core.phone import Phone
from hub.core.plan import CreateContact, CreateDeal, CreateTask, NewRecord, UpdateContact, UpdateDeal
from hub.core.policy import load_policy
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.core.revise import BY_HAND
from hub.core.snapshot import History, Snapshot

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CLIENT, REQUEST = ClientId("c1"), "6b0c7e2a-0000-4000-8000-000000000001"
OLEG, ANNA = EmployeeId("oleg"), EmployeeId("anna")
PHONE = Phone("+380501112233")
POLICY = load_policy(
    """
[project]
region = "UA"

[[employees]]
id = "oleg"
roles = ["manager", "senior"]

[[employees]]
id = "anna"

[deals]
pipeline = "Sales"
stage = "First contact"

[tasks.talked]
text = "talked"
completed = true

[tasks.call_back]
text = "Call back {{ phone }}"
due = "10 minutes"
until_reached = true

[[tasks.call_back.overdue]]
after = "5 minutes"
notify = ["assignee"]
"""
)
CALL = Call(
    id=InteractionId("i1"),
    project=ProjectId("p"),
    channel="phone",
    source="ringostat",
    external_id="u1",
    started_at=NOW,
    direction=Direction.INBOUND,
    disposition=Disposition.PENDING,
    client=Identity(phones=(PHONE,)),
    is_final=False,
)
CONTACT = Contact(id="1", name="Maria", phones=(PHONE,), responsible=OLEG, deal_ids=("2",))
DEAL = Deal(id="2", responsible=OLEG, contact_ids=("1",))
UNKNOWN = Snapshot(connection="crm", taken_at=NOW)
KNOWN = replace(UNKNOWN, contacts=(CONTACT,), deals=(DEAL,))


def test_taking_changes_what_is_somebody_elses_and_nothing_more() -> None:
    own = replace(DEAL, id="3", responsible=ANNA)
    actions = by_hand.take(CLIENT, ANNA, REQUEST, contact=CONTACT, deals=(DEAL, own))
    assert [(type(one), one.responsible) for one in actions if isinstance(one, UpdateContact | UpdateDeal)] == [
        (UpdateDeal, ANNA),
        (UpdateContact, ANNA),
    ]
    assert {one.reason.code for one in actions} == {BY_HAND}
    assert by_hand.take(CLIENT, OLEG, REQUEST, contact=CONTACT, deals=(DEAL,)) == ()


def test_an_unclaimed_deal_is_accepted_before_its_contact_is_changed() -> None:
    """W2: the CRM hides the contact of a deal that nobody has accepted."""
    deal, contact = by_hand.take(
        CLIENT, ANNA, REQUEST, contact=CONTACT, deals=(replace(DEAL, responsible=ANNA),), unclaimed=DEAL
    )
    assert isinstance(deal, UpdateDeal)
    assert isinstance(contact, UpdateContact)
    assert deal.accepts
    assert contact.after == deal.key


def test_a_request_is_the_same_step_however_often_it_comes() -> None:
    first, again = (by_hand.take(CLIENT, ANNA, REQUEST, contact=CONTACT, deals=()) for _ in range(2))
    assert first == again
    key = first[0].key
    assert by_hand.read_personal_key(key) == (ANNA, REQUEST, "take")
    assert by_hand.read_personal_key("i1/record_call") is None
    assert by_hand.read_personal_key("c1~by/anna") is None


def create(snapshot: Snapshot, *what: str, name: str = "") -> list[type]:
    made = by_hand.create(
        CALL, snapshot, POLICY, NOW, client=CLIENT, employee=ANNA, request=REQUEST, what=frozenset(what), name=name
    )
    return [type(one) for one in made]


def test_what_is_missing_is_made_by_the_policy_under_the_keys_of_a_decision() -> None:
    """While it still rings; the decision after the call finds the same keys and makes no second ones."""
    contact, deal = by_hand.create(
        CALL, UNKNOWN, POLICY, NOW, client=CLIENT, employee=ANNA, request=REQUEST, what=frozenset({"deal"}), name="Ivan"
    )
    assert isinstance(contact, CreateContact)
    assert isinstance(deal, CreateDeal)
    assert (contact.key, contact.name, contact.phones) == ("c1/create_contact", "Ivan", (PHONE,))
    assert (deal.key, deal.pipeline, deal.stage) == ("i1/create_deal", "Sales", "First contact")
    assert deal.contact == NewRecord(kind=RecordKind.CONTACT, key=contact.key)
    assert (contact.responsible, deal.responsible) == (ANNA, ANNA)


def test_what_is_there_is_not_made_again() -> None:
    """A14."""
    assert create(UNKNOWN, "contact") == [CreateContact]
    assert create(KNOWN, "contact") == []
    assert create(KNOWN, "contact", "deal") == []
    assert create(replace(KNOWN, deals=()), "contact", "deal") == [CreateDeal]


def test_one_call_back_is_open_for_one_employee() -> None:
    """A3, X10: with the policy's text, deadline and escalation; a deadline of one's own needs none."""

    def plan(snapshot: Snapshot, due: datetime | None = None) -> tuple[list[CreateTask], list[str]]:
        found = by_hand.call_back(CALL, snapshot, POLICY, NOW, client=CLIENT, employee=ANNA, request=REQUEST, due=due)
        return [one for one in found.actions if isinstance(one, CreateTask)], list(found.due)

    [task], timers = plan(KNOWN)
    assert (task.key, task.assignee, task.due_at) == ("c1/task/call_back/anna/i1", ANNA, NOW + timedelta(minutes=10))
    assert task.on == RecordRef(kind=RecordKind.DEAL, id="2")
    assert timers == [f"{task.key}/overdue/0"]
    [own], none = plan(KNOWN, NOW + timedelta(days=1))
    assert (own.due_at, none) == (NOW + timedelta(days=1), [])
    open_one = Task(id="9", responsible=ANNA, on=CONTACT.ref)
    history = History(open_task_keys={"c1/task/call_back/anna/i0": "9"})
    assert plan(replace(KNOWN, tasks=(open_one,), history=history))[0] == []
    assert by_hand.call_back_kind(POLICY) == "call_back"
    assert by_hand.call_back_kind(load_policy('[project]\nregion = "UA"\n')) == ""
