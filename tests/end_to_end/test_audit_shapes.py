"""Other CRMs' records as the auditor reads them: what is planted there is found, what is right is left alone (X5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hub_retailcrm.sandbox import Sandbox, SandboxConfig
from hub_zoho.sandbox import Sandbox as ZohoSandbox
from hub_zoho.sandbox import SandboxConfig as ZohoConfig

from hub.demo.audit import audit
from hub.demo.retailcrm_stage import as_read_by_the_auditor
from hub.demo.traffic import generate
from hub.demo.zoho_stage import as_read_by_the_auditor as zoho_records

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


class Zoho:
    """The Zoho sandbox as people fill it."""

    def __init__(self) -> None:
        self.sandbox = ZohoSandbox(ZohoConfig())

    def verdict(self, day: dict[str, Any]) -> tuple[int, int]:
        """How much the auditor finds lost and doubled."""
        found = audit(day, zoho_records(json.loads(json.dumps(self.sandbox.records()))))
        return found.lost, found.doubled

    def create(self, module: str, **values: Any) -> str:
        return str(self.sandbox.person("create", module=module, **values)["id"])

    def lead(self, phone: str = NEW, **values: Any) -> str:
        return self.create("Leads", Last_Name="Anna", Company="-", Phone=phone, **values)

    def call(self, lead: str, id: str = "c1") -> None:
        self.create(
            "Calls",
            Subject="Call",
            Call_Type="Inbound",
            Call_Start_Time="2026-07-29T11:00:00+03:00",
            Call_Duration="01:00",
            Description=f"https://records.example/1.wav\nRingostat {id}",
            What_Id={"id": lead},
            **{"$se_module": "Leads"},
        )


@pytest.fixture
def zoho() -> Zoho:
    return Zoho()


def test_zoho_after_a_perfect_day_has_no_findings(zoho: Zoho, day: dict[str, Any]) -> None:
    """A lead is the person and the deal in one."""
    zoho.call(zoho.lead())
    assert zoho.verdict(day) == (0, 0)


def test_call_that_zoho_does_not_hold_is_lost(zoho: Zoho, day: dict[str, Any]) -> None:
    zoho.lead()
    assert zoho.verdict(day) == (1, 0)


def test_second_call_record_in_zoho_is_a_double(zoho: Zoho, day: dict[str, Any]) -> None:
    lead = zoho.lead()
    zoho.call(lead)
    zoho.call(lead)
    assert zoho.verdict(day) == (0, 1)


def test_second_open_lead_of_one_number_is_a_double(zoho: Zoho, day: dict[str, Any]) -> None:
    zoho.call(zoho.lead())
    zoho.sandbox.advance(60)
    zoho.lead("050 111-22-33")
    assert zoho.verdict(day) == (0, 1)


def test_lead_of_a_contact_that_zoho_knows_is_that_contacts_deal(zoho: Zoho, day: dict[str, Any]) -> None:
    zoho.create("Contacts", Last_Name="Anna", Phone=NEW)
    zoho.call(zoho.lead())
    assert zoho.verdict(day) == (0, 0)
    zoho.create("Contacts", Last_Name="Anna", Mobile=f"+{NEW}")
    assert zoho.verdict(day) == (0, 1), "two contacts are two"
