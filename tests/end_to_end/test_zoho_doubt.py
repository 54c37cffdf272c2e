"""Zoho CRM's lost answers, refusals and conversions through the whole hub: once each, and on with it (X5, H4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hub_zoho.sandbox import Sandbox, SandboxConfig, serve

from hub.core.phone import Phone
from hub.store import steps
from tests.end_to_end.world import preset
from tests.end_to_end.zoho_world import CRM, PROJECT, USERS, Call, ZohoWorld, zoho_world

pytestmark = pytest.mark.usefixtures("each_engine")

#: all that concerns doubt, a hundred times faster than in production
FAST = '[timing]\nsettle = "0.02 s"\ndoubt_wait = "0.3 s"\nrequest_timeout = "1 s"\n'
PHONE = "+380501112233"
ANSWERED = Call(no="Z1", by="oleg")
DEALS = "Standard (Standard)"

FAULTS: list[dict[str, Any]] = [
    {"kind": "disconnect", "applied": True},
    {"kind": "disconnect", "applied": False},
    {"kind": "status", "status": 500, "applied": True},
    {"kind": "hang", "applied": True},
    {"kind": "late", "late": (0.2, 0.6)},
]


@asynccontextmanager
async def doubting(tmp_path: Path, **config: Any) -> AsyncIterator[ZohoWorld]:
    """zoho-standard with call records, in haste."""
    policy = preset("zoho-standard").replace('on = "none"', 'on = "deal"') + FAST
    with serve(Sandbox(SandboxConfig(**config))) as (sandbox, address):
        async with zoho_world(tmp_path, sandbox, address, policy) as world:
            yield world


def once(world: ZohoWorld) -> None:
    """One of everything that an answered call of a new client makes."""
    records = world.sandbox.records()
    assert {name: len(records[name]) for name in ("Leads", "Tasks", "Calls")} == {"Leads": 1, "Tasks": 1, "Calls": 1}
    assert records["Contacts"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(map(str, fault.values())))
async def test_a_lost_answer_doubles_nothing_and_loses_nothing(tmp_path: Path, fault: dict[str, Any]) -> None:
    """X5: each fault on each write of an answered call, in an organisation without the field for our mark."""
    async with doubting(tmp_path, has_hub_id=False) as world:
        for module in ("Leads", "Tasks", "Calls"):
            world.sandbox.fail_next("POST", f"/crm/v8/{module}", exact=True, **fault)
        await world.ring(ANSWERED, PHONE, 1)
        await world.company.settled(1)
        await asyncio.to_thread(world.sandbox.settle)
        once(world)
        assert world.sandbox.stats()["faults"] == {fault["kind"]: 3}
        states = await world.hub.services.store.read(steps.count_states)
        assert {state for _, _, state in states} == {"done"}


async def test_ten_identical_webhooks_make_one_lead(tmp_path: Path) -> None:
    """X5: however often an event arrives, it has one effect; contact and deal are one request (H5)."""
    async with doubting(tmp_path) as world:
        await asyncio.gather(*(world.ring(ANSWERED, PHONE, 1) for _ in range(10)))
        await world.company.settled(1)
        once(world)
        assert await world.company.cost() <= 6


async def test_an_employee_who_left_is_noticed_and_the_call_is_decided_again(tmp_path: Path) -> None:
    """DESIGN 4: each record is answered by itself; the refused owner makes the hub read the employees anew."""
    async with doubting(tmp_path) as world:
        world.sandbox.person("deactivate", id=USERS["oleg"])
        await asyncio.gather(world.ring(ANSWERED, PHONE, 1), world.ring(Call(no="Z1", by="anna"), "+380501112244", 2))
        await world.company.settled(2)
        owners = {lead["Phone"]: lead["Owner"]["id"] for lead in world.sandbox.records()["Leads"]}
        assert owners == {PHONE: USERS["irina"], "+380501112244": USERS["anna"]}


async def test_a_lead_that_people_converted_goes_on_as_the_deal_that_it_became(tmp_path: Path) -> None:
    """Z3, H6: the next call finds contact and deal, not a lead that is no more; its open task came along."""
    async with doubting(tmp_path) as world:
        await world.ring(Call(no="Z8", outcome="NO ANSWER"), PHONE, 1)
        await world.company.settled(1)
        (lead,) = world.sandbox.records()["Leads"]
        stock = {"Deal_Name": "Чай", "Closing_Date": "2030-01-01", "Stage": "Qualification", "Pipeline": DEALS}
        world.sandbox.person("convert", id=lead["id"], Deals=stock)
        await world.seen()
        await world.ring(Call(no="Z3", by="irina"), PHONE, 2)
        await world.company.settled(2)
        records = world.sandbox.records()
        (deal,) = records["Deals"]
        assert [one["Converted__s"] for one in records["Leads"]] == [True]
        assert {task["What_Id"]["id"] for task in records["Tasks"]} == {deal["id"]}
        assert {task["Status"] for task in records["Tasks"]} == {"Completed"}, "reaching the client ends the task"
        held = world.hub.services.directory.lookup(PROJECT, CRM, Phone(PHONE))
        assert [one.id for one in held.deals] == [deal["id"]]


async def test_a_connection_that_was_revoked_waits_and_goes_on_when_it_is_mended(tmp_path: Path) -> None:
    """H4: one clear line, no lost work."""
    async with doubting(tmp_path) as world:
        world.sandbox.revoke()
        await world.ring(ANSWERED, PHONE, 1)
        account = world.hub.services.accounts[PROJECT, CRM]
        await world.company.until(lambda: account.health.value == "needs_credentials")
        assert "invalid_code" in account.health_reason
        # the same grant lives again, as after connecting anew
        token = account.context.settings.refresh_token.get_secret_value()  # type: ignore[attr-defined]  # Zoho's own
        grant = world.sandbox.oauth.grant()
        world.sandbox.oauth.grants[token] = grant
        # whatever was asked with the old one has failed by now
        await world.company.quiet()
        account.resume()
        await world.company.settled(1)
        once(world)
