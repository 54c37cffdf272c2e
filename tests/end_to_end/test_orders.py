"""Part C of the requirements, end to end: calls become customers and orders in RetailCRM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.shop import POLICY, Crm, Shop, retail_stand, shop

ANSWERED = {
    "type": "in",
    "uniqueid": "ua0_-1785312345.4410072",
    "calldate": "2026-07-29 11:05:45",
    "disposition": "ANSWERED",
    "billsec": "62",
    "duration": "71",
    "waiting": "9",
    "has_recording": "1",
    "recording_wav": "https://app.ringostat.com/recordings/1.wav?token=5c0f",
    "caller": "380501112233",
    "dst": "380441234567",
    "connected_with": "examplecom_oleg",
    "utm_source": "google",
    "client_id": "1093817.42",
}
MISSED = {
    "type": "in",
    "uniqueid": "ua0_-1785312500.77",
    "calldate": "2026-07-29 11:08:20",
    "disposition": "NO ANSWER",
    "billsec": "0",
    "duration": "20",
    "waiting": "20",
    "caller": "380501112244",
    "dst": "380441234567",
}


@pytest.fixture
def retail() -> Iterator[Crm]:
    with retail_stand() as crm:
        yield crm


def orders(found: Shop) -> list[dict[str, Any]]:
    return list(found.records()["orders"])


async def test_new_clients_call_becomes_customer_order_and_call_record(tmp_path: Path, retail: Crm) -> None:
    """C1, R7: in the status that the rules choose; the GA client id goes to the customer alone."""
    async with shop(tmp_path, retail) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        found = company.records()
        [customer], [order], [call] = found["customers"], found["orders"], found["calls"]
        assert [phone["number"] for phone in customer["phones"]] == ["+380501112233"]
        assert (customer["managerId"], order["managerId"], call["userId"]) == (22, 22, 22)
        assert order["customer"]["id"] == customer["id"] == call["customer"]
        assert (order["status"], order["orderType"], order["orderMethod"]) == ("new", "eshop-individual", "phone")
        assert (order["phone"], order["source"]) == ("+380501112233", {"source": "google"})
        assert (call["result"], call["duration"], call["externalId"]) == ("answered", 62, ANSWERED["uniqueid"])
        assert call["recordUrl"] == ANSWERED["recording_wav"]
        # as the document asks (R7): the customer only
        assert customer["lastClientId"] == "1093817.42"
        assert "clientId" not in order
        assert await company.cost() <= 10


async def test_feedback_number_gives_an_order_that_is_not_open(tmp_path: Path, retail: Crm) -> None:
    """C1: the higher of contradicting rules wins; such an order is closed, and the next call makes a real one."""
    async with shop(tmp_path, retail) as company:
        await company.webhook("after", ANSWERED | {"dst": "380441230000"})
        await company.settled(1)
        assert [order["status"] for order in orders(company)] == ["cancel-other"]
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-1785312399.9"})
        await company.settled(2)
        assert [order["status"] for order in orders(company)] == ["cancel-other", "new"]
        assert len(company.records()["customers"]) == 1


async def test_existing_order_is_neither_moved_nor_doubled(tmp_path: Path, retail: Crm) -> None:
    """C1, A14: existing orders stay where they are, whatever the rules say."""
    customer = retail.sandbox.person("create_customer", firstName="Ольга", phone="050 111 22 33", managerId=23)
    retail.sandbox.person("create_order", customer_id=customer["id"], status="client-confirmed", managerId=23)
    async with shop(tmp_path, retail, imports=True) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        assert [(order["status"], order["managerId"]) for order in orders(company)] == [("client-confirmed", 23)]
        assert len(company.records()["customers"]) == 1
        assert len(company.records()["calls"]) == 1


async def test_customer_made_by_hand_a_moment_ago_is_not_doubled(tmp_path: Path, retail: Crm) -> None:
    """DESIGN 2: absence is proven by the history before anything is made."""
    async with shop(tmp_path, retail) as company:
        await company.until(lambda: retail.sandbox.stats()["requests"].get("GET /api/v5/tasks/history", 0) > 0)
        customer = retail.sandbox.person("create_customer", firstName="Ольга", phone="050 111 22 33", managerId=23)
        retail.sandbox.person("create_order", customer_id=customer["id"], managerId=23)
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        assert [one["id"] for one in company.records()["customers"]] == [customer["id"]]
        assert [order["managerId"] for order in orders(company)] == [23]
        assert len(company.records()["calls"]) == 1


async def test_caller_goes_to_the_responsible_of_the_open_order(tmp_path: Path, retail: Crm) -> None:
    """C2, C3, C4, A14: the newest open order's responsible, else the customer's; a new caller goes on by the scheme."""
    customer = retail.sandbox.person("create_customer", firstName="Ольга", phone="098 111-22-33", managerId=23)
    other = retail.sandbox.person("create_customer", firstName="Пётр", phone="+380 98 444 55 66", managerId=23)
    earlier = "2026-07-01 10:00:00"
    retail.sandbox.person("create_order", customer_id=customer["id"], managerId=21, createdAt=earlier)
    retail.sandbox.person("create_order", customer_id=customer["id"], status="client-confirmed", managerId=22)
    retail.sandbox.person("create_order", customer_id=other["id"], status="complete", managerId=22)
    async with shop(tmp_path, retail, imports=True) as company:
        assert await company.forwards("380981112233") == "examplecom_oleg"
        assert await company.forwards("380984445566") == "examplecom_anna"
        assert await company.forwards("380671234567") == ""
        retail.sandbox.switch(down=True)
        assert await company.forwards("0981112233") == "examplecom_oleg"
        retail.sandbox.switch(down=False)


async def test_missed_calls_make_one_call_back_on_the_order(tmp_path: Path, retail: Crm) -> None:
    """C5: the task hangs on the order; a second missed call makes no second one; reaching the client closes it."""
    async with shop(tmp_path, retail) as company:
        await company.webhook("after", MISSED)
        await company.settled(1)
        await company.webhook("after", MISSED | {"uniqueid": "ua0_-1785312600.78"})
        await company.settled(2)
        [order], [task] = orders(company), company.records()["tasks"]
        assert (task["order"]["id"], task["performer"], task["complete"]) == (order["id"], 21, False)
        outgoing = {
            "type": "out",
            "uniqueid": "ua0_-1785312900.78",
            "calldate": "2026-07-29 11:15:00",
            "disposition": "ANSWERED",
            "billsec": "30",
            "duration": "40",
            "caller": "examplecom_oleg",
            "callee": "380501112244",
            "outbound_number": "380441234567",
        }
        await company.webhook("outgoing_after", outgoing)
        await company.settled(3)
        assert [task["complete"] for task in company.records()["tasks"]] == [True]


async def test_task_of_a_client_whose_orders_are_closed_hangs_on_the_newest(tmp_path: Path, retail: Crm) -> None:
    """C5: no new order for a missed call of a known customer; their newest earlier order bears the task."""
    customer = retail.sandbox.person("create_customer", firstName="Ольга", phone="050 111 22 44", managerId=23)
    for _ in range(2):
        newest = retail.sandbox.person("create_order", customer_id=customer["id"], status="complete", managerId=22)
    async with shop(tmp_path, retail, imports=True) as company:
        await company.webhook("after", MISSED)
        await company.settled(1)
        [task] = company.records()["tasks"]
        assert task["order"]["id"] == newest["id"]
        assert len(orders(company)) == 2


async def test_both_recordings_of_a_transferred_call_are_kept(tmp_path: Path, retail: Crm) -> None:
    """C6: the call bears the final leg's recording; the other's stands in a note on the customer, once."""
    first = ANSWERED | {
        "connected_with": "examplecom_anna",
        "recording_wav": "https://app.ringostat.com/recordings/0.wav",
    }
    async with shop(tmp_path, retail, policy=POLICY.replace('settle = "200 ms"', 'settle = "2 s"')) as company:
        await company.webhook("after", first)
        await company.webhook("after", ANSWERED | {"calldate": "2026-07-29 11:07:05"})
        await company.settled(1)
        found = company.records()
        [call], [note] = found["calls"], found["notes"]
        assert call["userId"] == 22
        assert call["recordUrl"] == ANSWERED["recording_wav"]
        assert "https://app.ringostat.com/recordings/0.wav" in note["text"]
        assert "Анна Котова" in note["text"]
        assert note["customer"]["id"] == found["customers"][0]["id"]


async def test_new_order_pops_up_for_its_responsible(tmp_path: Path, retail: Crm) -> None:
    """C7: card and notification, with number and link, also when no call is ringing."""
    async with shop(tmp_path, retail, public_url="https://hub.example.net") as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        found = company.records()
        [order] = found["orders"]
        assert [(popup["user"], popup["phone"]) for popup in found["popups"]] == [(22, "+380501112233")]
        [notice] = found["notifications"]
        assert notice["userIds"] == [22]
        assert "+380501112233" in notice["message"]
        assert f"/orders/{order['id']}/edit" in notice["message"]


async def test_internal_calls_are_not_sent(tmp_path: Path, retail: Crm) -> None:
    """C9, R6: a call between employees makes nothing in RetailCRM."""
    internal = ANSWERED | {"caller": "examplecom_anna", "dst": "examplecom_oleg", "connected_with": "examplecom_oleg"}
    async with shop(tmp_path, retail) as company:
        await company.webhook("after", internal)
        await company.settled(1)
        found = company.records()
        assert [found[kind] for kind in ("customers", "orders", "tasks", "calls", "notes", "events")] == [[]] * 6


@pytest.mark.parametrize(
    "fault",
    [
        {"path": "/api/v5/customers/create", "kind": "disconnect", "applied": True},
        {"path": "/api/v5/orders/create", "status": 502, "applied": True},
        {"path": "/api/v5/telephony/calls/upload", "kind": "disconnect", "applied": True},
    ],
    ids=lambda fault: f"{fault['path'].rsplit('/', 2)[-2]}-{fault.get('kind', fault.get('status'))}",
)
async def test_lost_answers_double_nothing(tmp_path: Path, retail: Crm, fault: dict[str, Any]) -> None:
    """X5: whatever became of the answer, one customer, one order and one call are there in the end."""
    async with shop(tmp_path, retail) as company:
        retail.sandbox.fail_next("POST", **fault)
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        found = company.records()
        assert [len(found[kind]) for kind in ("customers", "orders", "calls")] == [1, 1, 1]


async def test_deactivated_employee_is_replaced_and_nothing_is_lost(tmp_path: Path, retail: Crm) -> None:
    """A2, A13: RetailCRM refuses the employee; the employees are read again, and the senior gets the order."""
    async with shop(tmp_path, retail) as company:
        retail.sandbox.person("change_user", id=22, active=False)
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        assert [(order["managerId"], order["status"]) for order in orders(company)] == [(21, "new")]
        assert len(company.records()["calls"]) == 1


async def test_revoked_key_stops_the_connection_and_loses_nothing(tmp_path: Path, retail: Crm) -> None:
    """H4: needs_credentials in one clear line; with a new key the work goes on by itself."""
    async with shop(tmp_path, retail) as company:
        account = company.hub.services.accounts[("auto", "retailcrm")]
        retail.sandbox.revoke_key()
        await company.webhook("after", ANSWERED)
        await company.until(lambda: account.health.value == "needs_credentials")
        assert "does not accept the API key" in account.health_reason
        retail.sandbox.add_key(retail.sandbox.api_key)
        account.resume()
        await company.settled(1)
        assert len(orders(company)) == 1
