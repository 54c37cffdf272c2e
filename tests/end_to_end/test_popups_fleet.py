"""Popups over several processes on PostgreSQL: one takes the webhook in, another works, a third keeps the tab (H9)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox

from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Contact, EmployeeId
from hub.runtime.services import Services
from hub.settings import Settings
from hub.testing.running import Process
from tests.end_to_end.fleet_world import KEY, Fleet, fleet
from tests.end_to_end.tabs import Tab, open_tab
from tests.end_to_end.test_popups import ANSWER, CALL, FORWARDED, POLICY, at
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, USERS

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgres]


#: whose clients Oleg's are while he is away, at any hour
ANNA_FOR_OLEG = POLICY.replace('schedule = "showroom"\n', "", 1).replace(
    'id = "oleg"', 'id = "oleg"\nabsences = [{ since = 2020-01-01, until = 2090-01-01, deputy = "anna" }]'
)


JANA_OF_OLEG = Contact(
    id="7", name="Jana", phones=(Phone("+380501112233"),), responsible=EmployeeId(f"@{USERS['oleg']}")
)


@pytest.fixture
def policy() -> str:
    return POLICY


@pytest.fixture
def found(postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str], policy: str) -> Iterator[Fleet]:
    with fleet(postgres_url, tmp_path, *amocrm, policy=policy) as begun:
        yield begun


@pytest.fixture
def services(found: Fleet, tmp_path: Path) -> Iterator[Services]:
    """Hands out tickets as any process would: they have one key."""
    settings = Settings(
        environment="development", data_directory=tmp_path / "own", database_url=found.url, secret_key=KEY
    )
    opened = build_services(settings)
    yield opened
    opened.close()


@pytest.mark.timeout(600)
async def test_popup_reaches_the_tab_of_another_process_and_the_crm_raises_none_for_it(
    found: Fleet, services: Services
) -> None:
    """H9, U1: who has an open tab anywhere is known everywhere; a tab that loses its process goes on at another."""
    front, tabs, _ = found.start("web", "web", "worker")
    async with _tab(services, tabs, "oleg") as oleg:
        await _tell(found, front, "forwarded", at("oleg"))
        await oleg.until(lambda: oleg.states == ["ringing"], 30)
        await _tell(found, front, "forwarded", at("anna"))
        found.until(lambda: len(found.sandbox.records()["popups"]) > 0, 30, "amoCRM tells Anna, who has no tab")
        tabs.end()
        await oleg.until(lambda: not oleg.is_open, 30)
        last = oleg.last_id
    await _tell(found, front, "taken", at("oleg"))
    async with _tab(services, front, "oleg", last) as again:
        await again.until(lambda: again.states == ["talking"], 30)
        await _tell(found, front, "after", ANSWER | at("oleg"))
        await again.until(lambda: again.states == ["ended"], 30)
    assert [popup["users"] for popup in found.sandbox.records()["popups"]] == [[int(USERS["anna"])]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("policy", [ANNA_FOR_OLEG])
async def test_forwarding_answer_of_a_web_process_moves_the_popup_at_once(found: Fleet, services: Services) -> None:
    """DESIGN 8, H9: the worker hears whom another process named, without the call's next webhook."""
    front, _ = found.start("web", "worker")
    async with _tab(services, front, "irina") as irina, _tab(services, front, "anna") as anna:
        await _tell(found, front, "before", {})
        await irina.until(lambda: irina.states == ["ringing"], 30)
        found.know(JANA_OF_OLEG)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{front.port}", trust_env=False) as telephony:
            await _until_told(telephony, found.secrets[PROJECT], "examplecom_anna")
        await irina.until(lambda: irina.screen == {}, 30)
        await anna.until(lambda: [shown["why"] for shown in anna.screen.values()] == [FORWARDED], 30)


async def _until_told(telephony: httpx.AsyncClient, secret: str, destination: str) -> None:
    """Ask until the copy is there: the telephony's question, another one each time."""
    async with asyncio.timeout(30):
        for number in itertools.count():
            question = {"call_id": CALL["uniqueid"], "uuid": f"u{number}", "caller": CALL["caller"], "dst": CALL["dst"]}
            answer = await telephony.post(f"/forward/{PROJECT}/{CHANNEL}/{secret}", json=question)
            if answer.text == destination:
                return
            await asyncio.sleep(0.05)


async def _tell(found: Fleet, process: Process, moment: str, told: dict[str, str]) -> None:
    path = f"/hooks/{PROJECT}/{CHANNEL}/{found.secrets[PROJECT]}?moment={moment}"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{process.port}", trust_env=False) as telephony:
        (await telephony.post(path, json=CALL | told)).raise_for_status()


def _tab(services: Services, process: Process, employee: str, after: str = "") -> AbstractAsyncContextManager[Tab]:
    return open_tab(services, f"http://127.0.0.1:{process.port}", PROJECT, CRM, employee, after=after)
