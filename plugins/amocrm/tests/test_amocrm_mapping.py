"""amoCRM's words and the hub's, both ways (6, 7, 9, 13)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hub_amocrm import wire
from hub_amocrm.body import CALL_STATUSES, Bodies
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.mapping import Reader
from hub_amocrm.profile import FieldSpec, Profile

from hub.core.interaction import Disposition
from hub.core.phone import Phone
from hub.core.plan import CreateContact, CreateDeal, CreateTask, Reason, StepKey
from hub.core.records import RecordKind, RecordRef, UserId, crm_user
from hub.ports import Write

READER = Reader(region="UA")
WHY = Reason(code="test")
KEY = StepKey("i1/x")


def multitext(code: str, *values: str) -> dict[str, Any]:
    return {"field_id": 1, "field_code": code, "values": [{"value": value, "enum_code": "WORK"} for value in values]}


def test_a_contact_is_read_in_the_hubs_words() -> None:
    found = wire.read(
        wire.Contact,
        {
            "id": 4100210,
            "name": "Oleg",
            "responsible_user_id": 8800101,
            "created_at": 1767200100,
            "updated_at": 1767200200,
            "custom_fields_values": [
                multitext("PHONE", "067 123-45-67", "+380671234567", "внутр. 12"),
                multitext("EMAIL", " Oleg@Example.com "),
                {"field_id": 5, "field_code": None, "values": [{"value": "Чай"}, {"value": 12.5}]},
                {"field_id": 6, "field_code": None, "values": [{"value": True}]},
            ],
            "_embedded": {"tags": [{"id": 1, "name": "vip"}], "companies": [{"id": 9}], "leads": [{"id": 7}]},
        },
    )
    contact = READER.contact(found)
    assert contact.phones == (Phone("+380671234567"),)
    assert contact.emails == ("oleg@example.com",)
    assert contact.responsible == crm_user(8800101)
    assert contact.fields == {"5": "Чай, 12.5", "6": "true"}
    assert (contact.company_id, contact.deal_ids, contact.tags) == ("9", ("7",), ("vip",))
    assert contact.updated_at == datetime(2025, 12, 31, 16, 56, 40, tzinfo=UTC)


ODD = [
    # what amoCRM sends instead of an empty value (22.6)
    {"id": 1, "custom_fields_values": None, "_embedded": []},
    {"id": 1, "name": None, "responsible_user_id": 0, "_embedded": {"tags": None, "companies": None}},
    {"id": 1, "custom_fields_values": [{"field_id": 5, "field_code": "PHONE", "values": None}]},
    {"id": 1, "custom_fields_values": [{"field_id": 5, "values": [{"value": {"name": "ТОВ", "vat_id": "1"}}]}]},
]


@pytest.mark.parametrize("item", ODD)
def test_a_card_without_the_usual_is_read_all_the_same(item: dict[str, Any]) -> None:
    contact = READER.contact(wire.read(wire.Contact, item))
    assert (contact.id, contact.name, contact.responsible, contact.phones) == ("1", "", None, ())


STATES = [
    # status, is open, is won
    (9100011, True, False),
    (9100010, True, False),
    (142, False, True),
    (143, False, False),
]


@pytest.mark.parametrize(("status", "is_open", "is_won"), STATES)
def test_won_and_lost_are_the_same_in_every_pipeline(status: int, is_open: bool, is_won: bool) -> None:
    """11; an incoming lead that nobody accepted counts as open: it must not get a twin (A14)."""
    deal = READER.deal(wire.read(wire.Lead, {"id": 1, "status_id": status, "pipeline_id": 9100002}))
    assert (deal.is_open, deal.is_won, deal.stage_id) == (is_open, is_won, str(status))


def test_a_deals_main_contact_stands_first() -> None:
    found = {"id": 1, "_embedded": {"contacts": [{"id": 3, "is_main": False}, {"id": 2, "is_main": True}]}}
    assert READER.deal(wire.read(wire.Lead, found)).contact_ids == ("2", "3")


RESULTS: list[Any] = [[], None, {"text": "Дозвонились"}]


@pytest.mark.parametrize("result", RESULTS)
def test_a_task_is_read_whatever_stands_for_no_result(result: Any) -> None:
    item = {"id": 1, "text": "Дело", "entity_id": 7, "entity_type": "leads", "result": result, "complete_till": 1}
    task = READER.task(wire.read(wire.Task, item))
    assert task.on == RecordRef(kind=RecordKind.DEAL, id="7")
    assert task.is_open


def test_eleven_digits_that_begin_with_eight_are_read_as_seven_where_the_project_says_so() -> None:
    """W7."""
    found = wire.read(wire.Contact, {"id": 1, "custom_fields_values": [multitext("PHONE", "8 912 345-67-89")]})
    assert Reader(region="RU", eight_is_seven=True).contact(found).phones == (Phone("+79123456789"),)


# --- writing --------------------------------------------------------------------------------------------------------

FIELDS = {
    "1": FieldSpec(record=RecordKind.DEAL, type="text"),
    "2": FieldSpec(record=RecordKind.DEAL, type="numeric"),
    "3": FieldSpec(record=RecordKind.DEAL, type="checkbox"),
    "4": FieldSpec(record=RecordKind.DEAL, type="select"),
    "5": FieldSpec(record=RecordKind.DEAL, type="multiselect", choices=("Чай", "Кофе", "Чай, чёрный")),
    "6": FieldSpec(record=RecordKind.DEAL, type="date"),
    "7": FieldSpec(record=RecordKind.DEAL, type="date_time"),
    "8": FieldSpec(record=RecordKind.DEAL, type="tracking_data", code="UTM_SOURCE"),
    "9": FieldSpec(record=RecordKind.DEAL, type="smart_address"),
    "10": FieldSpec(record=RecordKind.DEAL, type="linked_entity"),
    "11": FieldSpec(record=RecordKind.DEAL, type="multitext", code="IM"),
    "12": FieldSpec(record=RecordKind.DEAL, type="textarea"),
}
BODIES = Bodies(
    settings=AmoCrmSettings(field_limit=20),
    profile=Profile(
        account_id="1",
        subdomain="nordtea",
        time_zone="Europe/Moscow",
        hub_id_fields={RecordKind.CONTACT: "90", RecordKind.DEAL: "91"},
        fields=FIELDS,
    ),
)

VALUES = [
    # field, text, what is sent
    ("1", "Киев", {"field_id": 1, "values": [{"value": "Киев"}]}),
    ("1", "я" * 30, {"field_id": 1, "values": [{"value": "я" * 19 + "…"}]}),
    ("2", "1 200,50", {"field_id": 2, "values": [{"value": 1200.5}]}),
    ("2", "много", {"field_id": 2, "values": [{"value": "много"}]}),
    ("3", "Да", {"field_id": 3, "values": [{"value": True}]}),
    ("3", "нет", {"field_id": 3, "values": [{"value": False}]}),
    ("4", "Сайт", {"field_id": 4, "values": [{"value": "Сайт"}]}),
    ("5", "Чай, Кофе", {"field_id": 5, "values": [{"value": "Чай"}, {"value": "Кофе"}]}),
    ("5", "Чай, чёрный", {"field_id": 5, "values": [{"value": "Чай, чёрный"}]}),
    ("6", "2026-03-04", {"field_id": 6, "values": [{"value": 1772571600}]}),
    ("7", "2026-03-04T10:00:00+02:00", {"field_id": 7, "values": [{"value": 1772611200}]}),
    ("7", "1772611200", {"field_id": 7, "values": [{"value": 1772611200}]}),
    ("7", "завтра", {"field_id": 7, "values": [{"value": "завтра"}]}),
    ("8", "google", {"field_code": "UTM_SOURCE", "values": [{"value": "google"}]}),
    ("9", "Крещатик 1", {"field_id": 9, "values": [{"value": "Крещатик 1", "enum_code": "address_line_1"}]}),
    ("10", "x", None),
    ("11", "@olga", {"field_id": 11, "values": [{"value": "@olga", "enum_code": "WORK"}]}),
    ("12", "я" * 30, {"field_id": 12, "values": [{"value": "я" * 30}]}),
    ("77", "unknown field", {"field_id": 77, "values": [{"value": "unknown field"}]}),
    ("1", "", None),
]


@pytest.mark.parametrize(("field", "text", "sent"), VALUES)
def test_a_field_is_written_by_its_type(field: str, text: str, sent: dict[str, Any] | None) -> None:
    action = CreateDeal(key=KEY, name="Чай", reason=WHY)
    item = BODIES.deal(Write(key=KEY, action=action, hub_id="", fields={field: text}), action)
    assert item.get("custom_fields_values", []) == ([sent] if sent else [])


def test_what_is_not_known_is_not_sent() -> None:
    """1.3: an omitted field stays as it is, null or [] would clear it or be refused."""
    action = CreateContact(key=KEY, name=" Ольга ", reason=WHY)
    item = BODIES.contact(Write(key=KEY, action=action, hub_id="h1"), action)
    assert item == {"name": "Ольга", "custom_fields_values": [{"field_id": 90, "values": [{"value": "h1"}]}]}


def test_a_deal_names_its_main_contact_and_company() -> None:
    action = CreateDeal(key=KEY, name="Чай", reason=WHY)
    refs = {
        "contact": RecordRef(kind=RecordKind.CONTACT, id="2"),
        "company": RecordRef(kind=RecordKind.COMPANY, id="3"),
    }
    item = BODIES.deal(Write(key=KEY, action=action, hub_id="", refs=refs, user=UserId("5")), action)
    assert item["_embedded"] == {"contacts": [{"id": 2, "is_main": True}], "companies": [{"id": 3}]}
    assert item["responsible_user_id"] == 5


def test_a_task_without_a_card_hangs_on_nothing() -> None:
    due = datetime(2026, 5, 4, tzinfo=UTC)
    action = CreateTask(key=KEY, task="check", text="Проверьте", on=None, assignee=None, due_at=due, reason=WHY)
    item = BODIES.task(Write(key=KEY, action=action, hub_id=""), action)
    assert item == {"text": "Проверьте", "complete_till": int(due.timestamp())}


def test_every_disposition_has_a_status_or_deliberately_none() -> None:
    """15: omit what amoCRM has no word for; a null is refused."""
    assert set(Disposition) - set(CALL_STATUSES) == {Disposition.FAILED, Disposition.PENDING}
