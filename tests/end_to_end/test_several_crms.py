"""Several CRMs serve one project (C8): each with its own plan, pace and failures; forwarding asks them in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hub.store import steps, work
from tests.end_to_end.shop import POLICY, Crm, Shop, amo_stand, retail_stand, shop
from tests.end_to_end.test_orders import ANSWERED, MISSED
from tests.end_to_end.world import PROJECT

#: new clients of missed calls are shared out evenly
IN_TURN = POLICY.replace(
    'responsible = ["dialled_owner", "senior"]\ntasks = [{ task', 'responsible = ["turn"]\ntasks = [{ task'
)
IN_TURN += '\n[assignment]\ngroup = "all"\n[assignment.groups.all]\nmembers = ["oleg", "anna"]\n'


@pytest.fixture
def both() -> Iterator[tuple[Crm, Crm]]:
    with amo_stand() as amo, retail_stand() as retail:
        yield amo, retail


def owners(company: Shop) -> tuple[list[str], list[str]]:
    """Whose the new deals are, by employee, in amoCRM and in RetailCRM."""
    found = []
    for name, kind, field in (("amocrm", "leads", "responsible_user_id"), ("retailcrm", "orders", "managerId")):
        who = {user: employee for employee, user in company.crms[name].users.items()}
        deals = sorted(company.holds(name)[kind], key=lambda deal: deal["id"])
        found.append([who[str(deal[field])] for deal in deals])
    return found[0], found[1]


def written(company: Shop, crm: str) -> int:
    """How many calls are written to one of the CRMs, once nothing waits there; 0 before."""

    def count(conn: Connection) -> int:
        states = steps.count_states(conn, PROJECT)
        waiting = {state for name, _, state in states if name == crm} - {"done", "withdrawn"}
        return 0 if waiting else len(company.calls_of(crm))

    return company.hub.services.store.read_now(count)


async def test_one_call_is_written_to_both_with_the_turn_taken_once(tmp_path: Path, both: tuple[Crm, Crm]) -> None:
    """C8: employee and turn are chosen once per interaction; the next client's turn is the next employee's in both."""
    async with shop(tmp_path, *both, policy=IN_TURN) as company:
        await company.webhook("after", MISSED)
        await company.settled(2)
        await company.webhook("after", MISSED | {"uniqueid": "ua0_-2.2", "caller": "380501112255"})
        await company.settled(4)
        amo, retail = owners(company)
        assert amo == retail
        assert sorted(amo) == ["anna", "oleg"]
        assert [len(company.holds(crm)["tasks"]) for crm in ("amocrm", "retailcrm")] == [2, 2]
        assert len(company.calls_of("amocrm")) == len(company.calls_of("retailcrm")) == 2


async def test_each_crm_has_a_plan_of_its_own(tmp_path: Path, both: tuple[Crm, Crm]) -> None:
    """C8: a client who is new to one CRM and known to the other gets a new deal in the one only."""
    _, retail = both
    customer = retail.sandbox.person("create_customer", firstName="Ольга", phone="050 111 22 33", managerId=23)
    retail.sandbox.person("create_order", customer_id=customer["id"], status="client-confirmed", managerId=23)
    async with shop(tmp_path, *both, imports=True) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(2)
        assert len(company.holds("amocrm")["contacts"]) == len(company.holds("amocrm")["leads"]) == 1
        assert [order["status"] for order in company.holds("retailcrm")["orders"]] == ["client-confirmed"]
        assert len(company.calls_of("retailcrm")) == 1


@pytest.mark.parametrize("down", ["amocrm", "retailcrm"])
async def test_crm_that_is_down_holds_up_only_itself(tmp_path: Path, both: tuple[Crm, Crm], down: str) -> None:
    """C8, H4: the other CRM's work goes on; what waits is written by itself when the CRM is back, once."""
    up = "retailcrm" if down == "amocrm" else "amocrm"
    async with shop(tmp_path, *both) as company:
        company.crms[down].sandbox.switch(down=True)
        for number in range(3):
            call = {"uniqueid": f"ua0_-3.{number}", "caller": f"38050111330{number}"}
            await company.webhook("after", ANSWERED | call)
        await company.until(lambda: written(company, up) == 3)
        assert len(company.calls_of(up)) == 3
        assert company.calls_of(down) == []
        company.crms[down].sandbox.switch(down=False)
        await company.settled(6)
        assert len(company.calls_of(down)) == 3
        assert len({call_id(call) for call in company.calls_of(down)}) == 3
        states = await company.hub.services.store.read(work.count_states)
        assert {state for _, state in states} == {"finished"}


def call_id(call: dict[str, Any]) -> str:
    return str(call["externalId"] if "externalId" in call else call["params"]["uniq"])


async def test_forwarding_asks_the_crms_in_the_policys_order(tmp_path: Path, both: tuple[Crm, Crm]) -> None:
    """C8, R2: the first in which the caller is somebody's answers; whom it does not know the next one may."""
    amo, retail = both
    amo.sandbox.person("create_contact", name="Ольга", phone="050 111 22 33", responsible_user_id=8800102)
    retail.sandbox.person("create_customer", firstName="Ольга", phone="380501112233", managerId=23)
    retail.sandbox.person("create_customer", firstName="Пётр", phone="380501112244", managerId=23)
    # known to both, and nobody's in RetailCRM
    amo.sandbox.person("create_contact", name="Вера", phone="380501112255", responsible_user_id=8800102)
    retail.sandbox.person("create_customer", firstName="Вера", phone="380501112255")
    for name, order, expected in (
        ("first", (amo, retail), "examplecom_oleg"),
        ("second", (retail, amo), "examplecom_anna"),
    ):
        async with shop(tmp_path / name, *order, imports=True) as company:
            assert await company.forwards("380501112233") == expected
            assert await company.forwards("380501112244") == "examplecom_anna"
            assert await company.forwards("380501112255") == "examplecom_oleg"
            order[0].sandbox.switch(down=True)
            assert await company.forwards("380501112233") == expected
            order[0].sandbox.switch(down=False)
