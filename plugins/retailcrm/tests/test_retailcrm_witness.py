"""The vendor's own published client works with the sandbox, with only its address changed (H10)."""

from __future__ import annotations

import time
from typing import Any

import pytest
import retailcrm  # type: ignore[import-untyped]  # published without types
from hub_retailcrm.sandbox import Sandbox


@pytest.fixture
def witness(vendor: tuple[Sandbox, str]) -> Any:
    sandbox, url = vendor
    sandbox.reset()
    sandbox.switch(limit_per_second=None, telephony_per_second=None, account_is_gone=False)
    return retailcrm.v5(url, sandbox.api_key)


def good(response: Any) -> dict[str, Any]:
    """The answer of a request that went through."""
    told: dict[str, Any] = response.get_response()
    assert told["success"] is True, told
    return told


def test_client_reads_what_the_account_is(witness: Any) -> None:
    assert "5.0" in good(witness.api_versions())["versions"]
    assert good(witness.api_credentials())["sitesAvailable"] == ["main"]
    assert good(witness.statuses())["statuses"]["no-call"]["group"] == "cancel"
    assert good(witness.status_groups())["statusGroups"]["approval"]["process"] is True
    assert good(witness.order_types())["orderTypes"]["eshop-legal"]["active"] is True
    assert good(witness.order_methods())["orderMethods"]["phone"]["defaultForApi"] is True
    assert list(good(witness.sites())["sites"]) == ["main"]
    assert [user["id"] for user in good(witness.users({"active": 1}))["users"]] == [21, 22, 23, 24]
    assert good(witness.user(22))["user"]["lastName"] == "Громов"
    assert [field["code"] for field in good(witness.custom_fields({"entity": "customer"}))["customFields"]] == [
        "club",
        "city_code",
    ]
    assert good(witness.user_groups())["groups"][1]["code"] == "managers"


def test_client_makes_finds_and_changes_customers(witness: Any) -> None:
    made = good(
        witness.customer_create({"externalId": "c1", "firstName": "Ольга", "phones": [{"number": "89229112322"}]})
    )
    assert good(witness.customer("c1"))["customer"]["id"] == made["id"]
    assert good(witness.customer(made["id"], "id"))["customer"]["firstName"] == "Ольга"
    assert [one["id"] for one in good(witness.customers({"name": "89229112322"}))["customers"]] == [made["id"]]
    good(witness.customer_edit({"externalId": "c1", "addTags": ["vip"], "phones": [{"number": "1234567"}]}))
    changed = good(witness.customer("c1"))["customer"]
    assert [tag["name"] for tag in changed["tags"]] == ["vip"]
    assert changed["phones"] == [{"number": "1234567"}]
    note = good(witness.customer_note_create({"text": "Hello", "managerId": 22, "customer": {"externalId": "c1"}}))
    assert [one["id"] for one in good(witness.customer_notes({"customerIds": [made["id"]]}))["notes"]] == [note["id"]]
    good(witness.customer_note_delete(note["id"]))
    other = good(witness.customer_create({"firstName": "Оля"}))
    good(witness.customers_combine([{"id": other["id"]}], {"id": made["id"]}))
    assert witness.customer(other["id"], "id").get_status_code() == 404


def test_client_uploads_batches_with_partial_answers(witness: Any) -> None:
    """460: what was kept, what failed and why."""
    good(witness.customers_upload([{"externalId": "a1"}, {"externalId": "a2"}]))
    response = witness.customers_upload([{"externalId": "a2"}, {"externalId": "a3"}])
    assert response.get_status_code() == 460
    told = response.get_response()
    assert [one["externalId"] for one in told["uploadedCustomers"]] == ["a3"]
    assert told["failedCustomers"] == [{"externalId": "a2"}]
    assert told["errorMsg"] == "Customers are loaded with errors"
    orders = good(witness.orders_upload([{"externalId": "o1", "customer": {"externalId": "a1"}}]))
    assert orders["uploadedOrders"][0]["externalId"] == "o1"


def test_client_makes_orders_and_polls_their_history(witness: Any) -> None:
    good(witness.customer_create({"externalId": "c1", "firstName": "Ольга"}))
    order = good(witness.order_create({"externalId": "o1", "customer": {"externalId": "c1"}, "status": "new"}))
    assert order["order"]["number"] == f"{order['id']}C"
    good(witness.order_edit({"externalId": "o1", "status": "no-call", "managerId": 23}))
    assert good(witness.order("o1"))["order"]["managerId"] == 23
    [status] = good(witness.orders_statuses([order["id"]], []))["orders"]
    assert (status["status"], status["group"]) == ("no-call", "cancel")
    history = good(witness.orders_history({"sinceId": 0}))["history"]
    assert [entry["id"] for entry in history] == sorted(entry["id"] for entry in history)
    assert all(entry["apiKey"]["current"] for entry in history)
    later = good(witness.orders_history({"sinceId": history[-1]["id"]}))["history"]
    assert later == []
    found = good(witness.orders({"extendedStatus": ["no-call"], "customerId": order["order"]["customer"]["id"]}))
    assert [one["id"] for one in found["orders"]] == [order["id"]]


def test_client_works_with_tasks(witness: Any) -> None:
    refused = witness.task_create({"text": "Call"})
    assert refused.get_status_code() == 400
    assert refused.get_response()["errors"] == {"performerId": "This value should not be blank."}
    task = good(witness.task_create({"text": "Call", "performerId": 22, "datetime": "2030-01-02 10:00"}))
    good(witness.task_edit({"id": task["id"], "complete": True}))
    told = good(witness.task(task["id"]))["task"]
    assert (told["performer"], told["complete"]) == (22, True)
    assert good(witness.tasks({"status": "performing"}))["tasks"] == []


def test_client_speaks_telephony(witness: Any) -> None:
    telephony = {"inputEventSupported": True, "additionalCodes": [{"userId": 22, "code": "101"}]}
    module = {
        "code": "pbx",
        "integrationCode": "pbx",
        "active": True,
        "name": "PBX",
        "clientId": "1",
        "baseUrl": "https://pbx.example",
        "integrations": {"telephony": telephony},
    }
    good(witness.integration_module_edit(module))
    assert good(witness.integration_module("pbx"))["integrationModule"]["name"] == "PBX"
    event = {"phone": "+380501112233", "type": "in", "codes": ["101", "999"], "userIds": [23, 29]}
    told = good(witness.telephony_call_event(event))
    assert (told["notExistCodes"], told["notExistUsers"]) == (["999"], [29])
    call = {
        "date": "2026-02-03 10:15:00",
        "type": "in",
        "phone": "+380501112233",
        "userId": 22,
        "result": "answered",
        "duration": 62,
        "externalId": "rs-1",
        "recordUrl": "https://rec.example/1.mp3",
    }
    assert good(witness.telephony_calls_upload([call]))["processedCallsCount"] == 1
    assert good(witness.telephony_calls_upload([call]))["duplicateCalls"] == ["rs-1"]
    good(witness.customer_create({"firstName": "Ольга", "phones": [{"number": "0501112233"}], "managerId": 22}))
    assert good(witness.telephony_manager("380501112233", 1, 1))["manager"]["id"] == 22


def test_client_sees_refusals_as_the_vendor_writes_them(witness: Any, vendor: tuple[Sandbox, str]) -> None:
    sandbox, url = vendor
    assert retailcrm.v5(url, "wrong").users().get_response()["errorMsg"] == 'Wrong "apiKey" value.'
    assert witness.order("nothing").get_status_code() == 404
    sandbox.switch(limit_per_second=2)
    sandbox.limiter.now = lambda: 0.0
    codes = [witness.users().get_status_code() for _ in range(4)]
    sandbox.switch(limit_per_second=None)
    sandbox.limiter.now = time.monotonic
    assert codes == [200, 200, 503, 503]
