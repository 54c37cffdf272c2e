"""Conditions over every parameter of interaction, client and the CRM's records (J2, A8), each with a neighbour."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hub.core.condition import Condition, compile_condition
from hub.core.facts import establish
from hub.core.field import FIELDS, OPEN_FIELDS
from hub.core.interaction import Attribution, Identity, Interaction
from hub.core.phone import Phone
from hub.core.plan import Check
from hub.core.records import Catalogue, Company, Contact, CustomField, Deal, EmployeeId, Pipeline, RecordKind, Stage
from hub.core.snapshot import History, Snapshot
from hub.testing.builders import NOW, OWNER, PHONE, answered, form, missed, open_task, policy
from hub.testing.chats import chat
from hub.testing.messages import message

RULES = policy(
    "car-dealer",
    '[schedules.night]\nhours = { mon-sun = ["22:00-24:00"] }\n',
    replacing=[('several = "fuller" ', 'keys = ["phone", "email", "name"]\nseveral = "fuller" ')],
)

KNOWN = Snapshot(
    connection="amocrm",
    taken_at=NOW,
    contacts=(
        Contact(
            id="c", name="Petro Bilyk", phones=(PHONE,), responsible=OWNER, company_id="w", tags=("vip",),
            fields={"1": "12"},
        ),
        Contact(id="d", name="Petro Bilyk", phones=(PHONE,)),
        Contact(id="e", name="Maria Koval"),
    ),
    companies=(
        Company(
            id="w", name="Nord Works", phones=(PHONE,), responsible=EmployeeId("ivan"), tags=("b2b",),
            fields={"2": "77"},
        ),
    ),
    deals=(
        Deal(
            id="o", name="Lamp", pipeline_id="p", stage_id="s", contact_ids=("c",), responsible=OWNER, price=900,
            created_at=NOW - timedelta(days=40), tags=("hot",), fields={"3": "red"},
        ),
        Deal(id="x", is_open=False, contact_ids=("c",)),
        Deal(id="y", is_open=False, contact_ids=("c",)),
    ),
    tasks=(open_task(OWNER),),
    catalogue=Catalogue(
        pipelines=(Pipeline(id="p", name="Sales", stages=(Stage(id="s", name="Talks"),)),),
        fields=(
            CustomField(id="1", name="Visits", record=RecordKind.CONTACT),
            CustomField(id="2", name="ИНН", record=RecordKind.COMPANY),
            CustomField(id="3", name="Colour", record=RecordKind.DEAL),
        ),
    ),
    history=History(last_talked=OWNER, last_talked_at=NOW - timedelta(days=3), interactions=7),
)  # fmt: skip

KYIV = Attribution(country="UA", region="Kyiv region", city="Kyiv", ip="192.0.2.1", ga_client_id="1.2")
CALL = answered(attribution=KYIV, summary="wants a discount", parameters={"sum": "1500", "Отдел": "Опт"})
CHAT = chat(client=Identity(phones=(PHONE,), name="Petro"))

CASES: list[tuple[Interaction, dict[str, Any], dict[str, Any]]] = [
    # the interaction
    (CALL, {"location": {"city": "kyiv"}}, {"location": {"city": "Lviv"}}),
    (CALL, {"location": {"country": ["UA", "PL"]}}, {"location": {"country": ["DE"]}}),
    (CALL, {"location": {"region": {"contains": "Kyiv"}}}, {"location": {"region": {"contains": "Odesa"}}}),
    (CALL, {"summary": {"contains": "DISCOUNT"}}, {"summary": {"contains": "complaint"}}),
    (CALL, {"parameters": {"sum": {"at_least": 1000}}}, {"parameters": {"sum": {"greater": 1500}}}),
    (CALL, {"parameters": {"sum": {"between": [1500, 1501]}}}, {"parameters": {"sum": {"less": 1500}}}),
    (CALL, {"parameters": {"Отдел": {"matches": "^оп"}}}, {"parameters": {"Отдел": {"exists": False}}}),
    (CALL, {"parameters": {"none": {"exists": False}}}, {"parameters": {"none": {"at_least": 0}}}),
    (CALL, {"ga_client_id": {"exists": True}}, {"ga_client_id": {"exists": False}}),
    (CHAT, {"kind": "chat", "messages": {"at_least": 1}}, {"messages": {"at_least": 2}}),
    (CHAT, {"text": {"contains": "lamp"}}, {"text": {"contains": "Yes, two"}}),
    (CHAT, {"page": {"ends_with": "/lamp"}}, {"page": {"ends_with": "/table"}}),
    (CHAT, {"is_missed": False, "answered_by": "olena"}, {"is_missed": True}),
    (chat(by=""), {"is_missed": True, "is_answered": False}, {"is_reached": True}),
    (message(), {"messengers": "WhatsApp"}, {"messengers": ["telegram", "viber"]}),
    (form(page="https://x.example/opt"), {"page": {"starts_with": "https://x.example/"}}, {"form_name": "x"}),
    # numbers, however they are typed
    (CALL, {"line": "044 123-45-67"}, {"line": "044 123-45-68"}),
    (CALL, {"line": ["067 000 00 00", "(044) 1234567"]}, {"line": {"none_of": ["0441234567"]}}),
    (CALL, {"phones": "050 111 22 33"}, {"phone": {"not_equals": "0501112233"}}),
    (CALL, {"phone": {"starts_with": "+38050"}}, {"phone": {"matches": "^050"}}),
    # the client
    (CALL, {"country": "UA"}, {"country": "PL"}),
    (CALL, {"interactions": {"greater": 6}}, {"interactions": 6}),
    (CALL, {"last_talked": "olena", "last_talked_days": {"between": [2.9, 3.1]}}, {"last_talked_days": {"less": 3}}),
    (CALL, {"is_new_client": False}, {"has_namesake": True}),
    (missed(client=Identity(phones=(Phone("+380631112233"),), name="Maria Koval")), {"has_namesake": True},
     {"is_new_client": False}),
    # the snapshot
    (CALL, {"contact": {"tags": "VIP"}}, {"contact": {"tags": {"none_of": ["vip"]}}}),
    (CALL, {"contact": {"fields": {"Visits": {"at_least": 10}}}}, {"contact": {"fields": {"Visits": {"less": 10}}}}),
    (CALL, {"company": {"name": {"contains": "works"}}}, {"company": {"name": {"exists": False}}}),
    (CALL, {"company": {"tags": ["b2b"]}}, {"company": {"tags": "b2c"}}),
    (CALL, {"company": {"fields": {"ИНН": "77"}}}, {"company": {"fields": {"ИНН": "78"}}}),
    (CALL, {"deal": {"stage": "talks", "pipeline": "Sales"}}, {"deal": {"stage": "Won"}}),
    (CALL, {"deal": {"fields": {"Colour": ["red", "blue"]}}}, {"deal": {"fields": {"Colour": {"exists": False}}}}),
    (CALL, {"deal": {"age_days": {"greater": 30}}}, {"deal": {"age_days": {"greater": 40}}}),
    (CALL, {"deal": {"tags": {"starts_with": "ho"}}, "price": {"at_most": 900}}, {"price": {"less": 900}}),
    (CALL, {"open_deals": 1, "closed_deals": 2}, {"closed_deals": {"at_least": 3}}),
    (CALL, {"duplicates": 1, "open_tasks": 1}, {"duplicates": 0}),
    (CALL, {"connection": "amocrm"}, {"connection": "zoho"}),
    # the time
    (CALL, {"moment": {"time_of_day": "11:30-12:30"}}, {"moment": {"time_of_day": "13:00-11:00"}}),
    (CALL, {"moment": {"working_hours": True}}, {"moment": {"working_hours": "night"}}),
    (CALL, {"moment": {"weekday": "mon"}}, {"moment": {"weekday": ["sat", "sun"]}}),
    # joined
    (CALL, {"any": [{"line": "x"}, {"not": {"is_missed": True}}]}, {"all": [{"is_answered": True}, {"line": "x"}]}),
    (CALL, {"not": {"any": [{"kind": "form"}, {"kind": "chat"}]}}, {"not": {"all": [{"kind": "call"}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("told", "holds", "fails"), CASES, ids=[str(case[1]) for case in CASES])
def test_a_condition_holds_and_its_neighbour_does_not(
    told: Interaction, holds: dict[str, Any], fails: dict[str, Any]
) -> None:
    facts = establish(told, KNOWN, RULES, NOW)

    def failure(condition: dict[str, Any]) -> Check | None:
        return compile_condition(Condition.model_validate(condition), RULES, lambda check: check)(facts)

    assert failure(holds) is None
    said = failure(fails)
    assert said is not None
    assert not said.is_met


def test_every_field_can_be_asked_of_every_kind_of_interaction() -> None:
    """A8: what a kind of interaction does not have is empty, never an error; the same for a client nobody knows."""
    nobody = replace(KNOWN, contacts=(), companies=(), deals=(), tasks=(), history=History())
    for told in (CALL, CHAT, chat(by=""), message(), form()):
        for known in (KNOWN, nobody):
            facts = establish(told, known, RULES, NOW)
            for name, field in FIELDS.items():
                operator, value = ("weekday", "mon") if field.type == "moment" else ("exists", True)
                condition = Condition(field=name, operator=operator, value=value)
                compile_condition(condition, RULES, lambda check: check)(facts)
            for prefix in OPEN_FIELDS:
                condition = Condition(field=f"{prefix}.anything", operator="equals", value="x")
                assert compile_condition(condition, RULES, lambda check: check)(facts) is not None
