"""Other CRMs' records as the auditor reads them: what is planted there is found, what is right is left alone (X5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hub_retailcrm.sandbox import Sandbox, SandboxConfig

from hub.demo.audit import audit
from hub.demo.retailcrm_stage import as_read_by_the_auditor
from hub.demo.traffic import generate

NEW = "380501112233"


@pytest.fixture
def day() -> dict[str, Any]:
    """One answered call of a new client, nothing before it."""
    record: dict[str, Any] = json.loads(json.dumps(generate(calls=20).to_record()))
    call = next(call for call in record["calls"] if call["scenario"] == "new, answered")
    preload = {**record["preload"], "contacts": [], "deals": [], "tasks": []}
    return {
        **record,
        "calls": [{**call, "id": "c1", "client_number": NEW}],
        "forms": [],
        "chats": [],
        "messages": [],
        "preload": preload,
    }


def verdict(day: dict[str, Any], sandbox: Sandbox) -> tuple[int, int]:
    """How much the auditor finds lost and doubled in RetailCRM."""
    found = audit(day, as_read_by_the_auditor(json.loads(json.dumps(sandbox.records()))))
    return found.lost, found.doubled


def upload(sandbox: Sandbox, *ids: str) -> None:
    """Calls as a telephony uploads them."""
    for id in ids:
        sandbox.world.calls[id] = {"externalId": id, "type": "in", "phone": NEW, "customer": None}


def test_retailcrm_after_a_perfect_day_has_no_findings(day: dict[str, Any]) -> None:
    sandbox = Sandbox(SandboxConfig())
    customer = sandbox.person("create_customer", firstName="Anna", phone="050 111 22 33")
    sandbox.person("create_order", customer_id=customer["id"], managerComment="Tea")
    upload(sandbox, "c1")
    assert verdict(day, sandbox) == (0, 0)


def test_call_that_retailcrm_does_not_hold_is_lost(day: dict[str, Any]) -> None:
    sandbox = Sandbox(SandboxConfig())
    assert verdict(day, sandbox) == (1, 0)


def test_second_customer_with_one_number_however_typed_is_a_double(day: dict[str, Any]) -> None:
    sandbox = Sandbox(SandboxConfig())
    upload(sandbox, "c1")
    sandbox.person("create_customer", firstName="Anna", phone="050 111 22 33")
    sandbox.person("create_customer", firstName="Anna", phone="+380 50 111-22-33")
    assert verdict(day, sandbox) == (0, 1)


def test_second_order_while_the_first_is_open_is_a_double_even_if_that_is_closed_later(day: dict[str, Any]) -> None:
    sandbox = Sandbox(SandboxConfig())
    upload(sandbox, "c1")
    customer = sandbox.person("create_customer", firstName="Anna", phone=f"+{NEW}")
    first = sandbox.person("create_order", customer_id=customer["id"], managerComment="Tea")
    sandbox.advance(60)
    sandbox.person("create_order", customer_id=customer["id"], managerComment="More tea")
    assert verdict(day, sandbox) == (0, 1)
    sandbox.advance(60)
    sandbox.person("edit_order", id=first["id"], status="complete")
    assert verdict(day, sandbox) == (0, 1), "it was open when the second was made"


def test_order_after_the_first_was_closed_is_no_double(day: dict[str, Any]) -> None:
    sandbox = Sandbox(SandboxConfig())
    upload(sandbox, "c1")
    customer = sandbox.person("create_customer", firstName="Anna", phone=f"+{NEW}")
    first = sandbox.person("create_order", customer_id=customer["id"], managerComment="Tea")
    sandbox.person("edit_order", id=first["id"], status="no-call")
    sandbox.advance(60)
    sandbox.person("create_order", customer_id=customer["id"], managerComment="More tea")
    assert verdict(day, sandbox) == (0, 0)
