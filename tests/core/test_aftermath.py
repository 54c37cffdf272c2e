"""The records that actions leave behind, as a rehearsal has to imagine them (X2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.core.aftermath import Made, Stand, Words, changed, made
from hub.core.phone import Phone
from hub.core.plan import (
    Action,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Nothing,
    Reason,
    Ref,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.testing.builders import NOW, PHONE

BECAUSE, KEY = Reason(code="row"), StepKey("i/step")
IVAN, OLENA = EmployeeId("ivan"), EmployeeId("olena")
OTHER = Phone("+380672222222")
CONTACT = RecordRef(kind=RecordKind.CONTACT, id="c")
NEW_CONTACT = NewRecord(kind=RecordKind.CONTACT, key=StepKey("client/create_contact"))
DEAL = RecordRef(kind=RecordKind.DEAL, id="d")
TASK = RecordRef(kind=RecordKind.TASK, id="t")
STANDS = {"": Stand(pipeline_id="p", stage_id="new"), "Lost": Stand(pipeline_id="p", stage_id="lost", is_open=False)}
WORDS = Words(
    stand=lambda pipeline, stage, is_unsorted: STANDS[stage],
    fields=lambda kind, said: {f"{kind}-{name}": value for name, value in said.items()},
)


def said(kind: type[Any], **values: Any) -> Any:
    return kind(key=KEY, reason=BECAUSE, **values)


MADE = [
    (said(CreateContact, name="Petro", phones=(PHONE,), responsible=IVAN, fields={"utm": "x"}),
     Contact(id="1", name="Petro", phones=(PHONE,), responsible=IVAN, fields={"contact-utm": "x"}, created_at=NOW)),
    (said(CreateDeal, name="Tea", contact=NEW_CONTACT, responsible=IVAN, tags=("a",)),
     Deal(id="1", name="Tea", pipeline_id="p", stage_id="new", contact_ids=("c",), responsible=IVAN, tags=("a",),
          created_at=NOW)),
    (said(CreateDeal, name="Tea", stage="Lost"),
     Deal(id="1", name="Tea", pipeline_id="p", stage_id="lost", is_open=False, created_at=NOW)),
    (said(CreateTask, task="call_back", text="ring", on=DEAL, assignee=OLENA, due_at=NOW),
     Task(id="1", text="ring", on=DEAL, responsible=OLENA, due_at=NOW, created_at=NOW)),
]  # fmt: skip


@pytest.mark.parametrize(("action", "wanted"), MADE)
def test_a_creating_action_leaves_the_record_that_the_directory_would_show(action: Action, wanted: Made) -> None:
    def refer(ref: Ref | None) -> RecordRef | None:
        return CONTACT if isinstance(ref, NewRecord) else ref

    assert made(action, "1", refer=refer, at=NOW, words=WORDS) == wanted


PETRO = Contact(id="c", name="Petro", phones=(PHONE,), responsible=OLENA, tags=("a",))
TEA = Deal(id="d", pipeline_id="p", stage_id="new", responsible=OLENA, price=1.0)
RING = Task(id="t", responsible=OLENA, due_at=NOW)
LATER = NOW + timedelta(hours=1)

CHANGED = [
    (PETRO, said(UpdateContact, contact=CONTACT, responsible=IVAN), {"responsible": IVAN, "phones": (PHONE,)}),
    (PETRO, said(UpdateContact, contact=CONTACT, add_phones=(OTHER,), remove_tags=("a",)),
     {"responsible": OLENA, "phones": (PHONE, OTHER), "tags": ()}),
    (TEA, said(UpdateDeal, deal=DEAL, responsible=IVAN), {"responsible": IVAN, "stage_id": "new", "price": 1.0}),
    (TEA, said(UpdateDeal, deal=DEAL, stage="Lost"), {"responsible": OLENA, "stage_id": "lost", "is_open": False}),
    (TEA, said(UpdateDeal, deal=DEAL, price=2.0, add_tags=("b",)), {"price": 2.0, "tags": ("b",), "is_open": True}),
    (RING, said(UpdateTask, task=TASK, assignee=IVAN, due_at=LATER), {"responsible": IVAN, "due_at": LATER}),
    (RING, said(UpdateDeal, deal=DEAL, responsible=IVAN), {"responsible": OLENA}),
]  # fmt: skip


@pytest.mark.parametrize(("record", "action", "wanted"), CHANGED)
def test_an_updating_action_changes_what_it_names_and_nothing_else(
    record: Made, action: Action, wanted: dict[str, Any]
) -> None:
    after = changed(record, action, WORDS)
    assert {name: getattr(after, name) for name in wanted} == wanted


def test_what_makes_no_record_is_refused() -> None:
    with pytest.raises(TypeError):
        made(said(Nothing), "1", refer=lambda ref: None, at=NOW, words=WORDS)
