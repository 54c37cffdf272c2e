"""Names become ids (DESIGN 6): bound first, then the catalogue; what cannot be left out is not sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hub.core.interaction import Direction, Disposition
from hub.core.plan import CreateContact, CreateDeal, CreateTask, NewRecord, Reason, RecordCall, StepKey, UpdateDeal
from hub.core.records import (
    Catalogue,
    CrmUser,
    CustomField,
    EmployeeId,
    Pipeline,
    RecordKind,
    RecordRef,
    Stage,
    TaskType,
    UserId,
)
from hub.core.remark import remark
from hub.runtime.resolve import Names, Unresolved, resolve

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
WHY = Reason(code="test")
KEY = StepKey("k")
CATALOGUE = Catalogue(
    users=(CrmUser(id=UserId("1"), name="Oleg"), CrmUser(id=UserId("2"), name="Anna", is_active=False)),
    pipelines=(
        Pipeline(
            id="10",
            name="Sales",
            is_main=True,
            stages=(
                Stage(id="100", name="Incoming", is_unsorted=True),
                Stage(id="101", name="New"),
                Stage(id="142", name="Won", is_final=True, is_won=True),
            ),
        ),
        Pipeline(id="20", name="Service", stages=(Stage(id="201", name="New"),)),
    ),
    fields=(CustomField(id="500", record=RecordKind.DEAL, name="Source", code="SRC", type="text"),),
    task_types=(TaskType(id="7", name="Call back"),),
)
NAMES = Names(
    catalogue=CATALOGUE,
    users={EmployeeId("oleg"): UserId("1"), EmployeeId("anna"): UserId("2")},
    bound={("pipeline", "Repairs"): "20"},
)


def deal(pipeline: str = "", stage: str = "", fields: dict[str, str] | None = None) -> CreateDeal:
    return CreateDeal(key=KEY, name="D", pipeline=pipeline, stage=stage, fields=fields or {}, reason=WHY)


@pytest.mark.parametrize(
    ("pipeline", "stage", "ids", "complaints"),
    [
        ("", "", ("10", "101"), 0),  # the main one, its first stage where deals may be made
        ("sales", "WON", ("10", "142"), 0),  # whatever the case
        ("Repairs", "New", ("20", "201"), 0),  # bound by hand
        ("Gone", "New", ("10", "101"), 1),  # vanished: the main one, and a sentence
        ("Service", "Gone", ("20", "201"), 1),
    ],
)
def test_a_place_that_vanished_is_a_sentence_not_a_crash(
    pipeline: str, stage: str, ids: tuple[str, str], complaints: int
) -> None:
    write, missing = resolve(KEY, deal(pipeline, stage), hub_id="h", names=NAMES, made={})
    assert (write.pipeline_id, write.stage_id) == ids
    assert len(missing) == complaints


@pytest.mark.parametrize(
    ("pipeline", "stage", "ids"),
    [
        ("Sales", "Won", ("10", "142")),
        ("Gone", "Won", (None, None)),
        ("Sales", "Gone", (None, None)),
    ],
)
def test_a_deal_whose_next_stage_vanished_stays_where_it_is(
    pipeline: str, stage: str, ids: tuple[str | None, str | None]
) -> None:
    on = RecordRef(kind=RecordKind.DEAL, id="9")
    action = UpdateDeal(key=KEY, deal=on, pipeline=pipeline, stage=stage, reason=WHY)
    write, missing = resolve(KEY, action, hub_id="h", names=NAMES, made={})
    assert (write.pipeline_id, write.stage_id) == ids
    assert missing == (() if ids[0] else (remark("stays", pipeline=pipeline, name=stage),))


def test_fields_are_found_by_name_or_code_and_left_out_if_they_are_gone() -> None:
    wanted = {"source": "google", "SRC": "ads", "Nowhere": "x", "Source": ""}
    write, missing = resolve(KEY, deal(fields=wanted), hub_id="h", names=NAMES, made={})
    assert write.fields == {"500": "ads"}
    assert missing == (remark("no_field", record="deal", name="Nowhere"),)


def test_a_record_is_not_given_to_somebody_unknown() -> None:
    """A wrong owner is worse than a person who has to look."""
    action = CreateContact(key=KEY, name="A", responsible=EmployeeId("nobody"), reason=WHY)
    with pytest.raises(Unresolved, match="nobody"):
        resolve(KEY, action, hub_id="h", names=NAMES, made={})


def test_what_belongs_to_a_record_that_was_not_made_is_not_sent() -> None:
    on = NewRecord(kind=RecordKind.DEAL, key=StepKey("deal"))
    action = CreateTask(key=KEY, task="t", text="t", on=on, assignee=EmployeeId("oleg"), due_at=NOW, reason=WHY)
    with pytest.raises(Unresolved, match="deal"):
        resolve(KEY, action, hub_id="h", names=NAMES, made={})
    made = {StepKey("deal"): RecordRef(kind=RecordKind.DEAL, id="9")}
    write, _ = resolve(KEY, action, hub_id="h", names=NAMES, made=made)
    assert write.refs["on"].id == "9"


@pytest.mark.parametrize(("who", "user"), [("oleg", "1"), ("anna", None), ("nobody", None), ("@55", "55")])
def test_a_call_record_stands_without_an_employee_who_left(who: str, user: str | None) -> None:
    """A6, C6: the call is the truth, whoever talked; amoCRM refuses a deactivated user."""
    action = RecordCall(
        key=KEY,
        on=RecordRef(kind=RecordKind.CONTACT, id="7"),
        uniq="u",
        direction=Direction.INBOUND,
        disposition=Disposition.ANSWERED,
        phone=None,
        started_at=NOW,
        talk_seconds=1,
        responsible=EmployeeId(who),
        reason=WHY,
    )
    write, missing = resolve(KEY, action, hub_id="h", names=NAMES, made={})
    assert write.user == user
    assert bool(missing) == (user is None)


def test_an_unsorted_deal_goes_to_the_inbox_of_its_pipeline_if_that_is_on() -> None:
    """W2: the directory must know at once that it waits there; elsewhere the hub itself remembers it."""
    is_on = replace(
        NAMES, catalogue=replace(CATALOGUE, pipelines=tuple(replace(p, has_unsorted=True) for p in CATALOGUE.pipelines))
    )
    wanted = replace(deal("Sales", "New"), is_unsorted=True)
    write, missing = resolve(KEY, wanted, hub_id="h", names=is_on, made={})
    assert (write.stage_id, write.action, missing) == ("100", wanted, ())
    write, missing = resolve(KEY, wanted, hub_id="h", names=NAMES, made={})
    assert (write.stage_id, write.action, missing) == (
        "101",
        replace(wanted, is_unsorted=False),
        (remark("no_inbox", pipeline="Sales"),),
    )


def test_a_claimed_deal_is_moved_only_out_of_an_inbox() -> None:
    """W2: where there is none, a person may have moved the deal on meanwhile."""
    on = RecordRef(kind=RecordKind.DEAL, id="9")
    claim = UpdateDeal(key=KEY, deal=on, accepts=True, pipeline="Sales", stage="New", reason=WHY)
    assert resolve(KEY, claim, hub_id="h", names=NAMES, made={})[0].stage_id is None
    is_on = replace(
        NAMES, catalogue=replace(CATALOGUE, pipelines=tuple(replace(p, has_unsorted=True) for p in CATALOGUE.pipelines))
    )
    assert resolve(KEY, claim, hub_id="h", names=is_on, made={})[0].stage_id == "101"
