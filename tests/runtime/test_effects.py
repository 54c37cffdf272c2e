"""What a done step did, as the directory knows it at once (H6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hub.core.phone import Phone
from hub.core.plan import (
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Reason,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Catalogue, Contact, Deal, Pipeline, RecordKind, RecordRef, Stage, Task, UserId, crm_user
from hub.ports import Changes, Done, Write
from hub.runtime.effects import effect, made

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WHY = Reason(code="test")
KEY = StepKey("k")
CONTACT, DEAL, TASK = (RecordRef(kind=kind, id="1") for kind in (RecordKind.CONTACT, RecordKind.DEAL, RecordKind.TASK))
CATALOGUE = Catalogue(
    pipelines=(Pipeline(id="10", name="Sales", stages=(Stage(id="142", name="Won", is_final=True, is_won=True),)),)
)


def after(write: Write, done: Done) -> Changes:
    return effect(write, done, CATALOGUE, NOW)


def test_a_new_contact_is_found_by_its_number_at_once() -> None:
    action = CreateContact(key=KEY, name="A", phones=(Phone("+380501112233"),), reason=WHY)
    (found,) = after(Write(key=KEY, action=action, hub_id="h", user=UserId("5")), made(RecordKind.CONTACT, 1)).contacts
    assert (found.id, found.phones, found.responsible) == ("1", ("+380501112233",), crm_user(UserId("5")))
    assert found.updated_at is None, "whatever the CRM tells later wins"


def test_a_new_deal_hangs_on_its_contact_and_is_open_unless_its_stage_is_final() -> None:
    action = CreateDeal(key=KEY, name="D", reason=WHY)
    write = Write(key=KEY, action=action, hub_id="h", refs={"contact": CONTACT}, pipeline_id="10", stage_id="7")
    (found,) = after(write, Done(record=DEAL)).deals
    assert (found.contact_ids, found.is_open) == (("1",), True)
    won = Write(key=KEY, action=action, hub_id="h", pipeline_id="10", stage_id="142")
    (found,) = after(won, Done(record=DEAL)).deals
    assert (found.is_open, found.is_won) == (False, True)


def test_an_open_task_is_known_and_a_completed_one_is_not() -> None:
    action = CreateTask(key=KEY, task="t", text="t", on=CONTACT, assignee=None, due_at=NOW, reason=WHY)
    write = Write(key=KEY, action=action, hub_id="h", refs={"on": CONTACT})
    (found,) = after(write, Done(record=TASK)).tasks
    assert found.on == CONTACT
    closing = CompleteTask(key=KEY, task=TASK, reason=WHY)
    done = after(Write(key=KEY, action=closing, hub_id="h", refs={"task": TASK}), Done(record=TASK))
    assert done == Changes(deleted=(TASK,))


def test_what_the_crm_joined_or_changed_is_read_again() -> None:
    """amoCRM's duplicate control: what the record is now, only the CRM knows."""
    joined = Write(key=KEY, action=CreateContact(key=KEY, name="A", reason=WHY), hub_id="h")
    assert after(joined, Done(record=CONTACT, is_merged=True)) == Changes(touched=(CONTACT,))
    changed = Write(key=KEY, action=UpdateDeal(key=KEY, deal=DEAL, reason=WHY), hub_id="h", refs={"deal": DEAL})
    assert after(changed, Done(record=DEAL)) == Changes(touched=(DEAL,))


def test_the_clients_next_interaction_sees_what_was_changed_before_it_is_read_again() -> None:
    """W12: the second answer is decided on the first one's claim."""
    before = Deal(id="1", stage_id="7", responsible=crm_user(UserId("5")), tags=("a",), updated_at=NOW, price=10.0)
    action = UpdateDeal(key=KEY, deal=DEAL, add_tags=("b",), accepts=True, reason=WHY)
    write = Write(key=KEY, action=action, hub_id="h", refs={"deal": DEAL}, user=UserId("6"), stage_id="142")
    found = effect(write, Done(record=DEAL), CATALOGUE, NOW, before)
    expected = replace(
        before, stage_id="142", responsible=crm_user(UserId("6")), tags=("a", "b"), is_open=False, is_won=True
    )
    assert found == Changes(deals=(expected,), touched=(DEAL,))
    of_contact = Contact(id="1", name="A", phones=(Phone("+380501112233"),), updated_at=NOW)
    adding = UpdateContact(key=KEY, contact=CONTACT, add_phones=(Phone("+380671112233"),), reason=WHY)
    told = effect(
        Write(key=KEY, action=adding, hub_id="h", refs={"contact": CONTACT}), Done(record=CONTACT), CATALOGUE, NOW,
        of_contact,
    )  # fmt: skip
    assert told.contacts == (replace(of_contact, phones=(Phone("+380501112233"), Phone("+380671112233"))),)
    moving = UpdateTask(key=KEY, task=TASK, due_at=NOW, reason=WHY)
    task = Task(id="1", text="t", responsible=crm_user(UserId("5")))
    moved = Write(key=KEY, action=moving, hub_id="h", refs={"task": TASK}, user=UserId("6"))
    assert effect(moved, Done(record=TASK), CATALOGUE, NOW, task).tasks == (
        replace(task, responsible=crm_user(UserId("6")), due_at=NOW),
    )
