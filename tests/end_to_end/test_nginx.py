"""Two web processes behind nginx as `deploy/` sets it up, also while both restart (H9)."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox

from hub.compose import build_services
from hub.settings import Settings
from hub.testing.running import Process
from tests.end_to_end.fleet_world import KEY, Fleet, fleet
from tests.end_to_end.nginx import behind_nginx
from tests.end_to_end.tabs import open_tab
from tests.end_to_end.test_popups import CALL
from tests.end_to_end.test_popups_fleet import ANNA_FOR_OLEG, JANA_OF_OLEG
from tests.end_to_end.world import CHANNEL, CRM, PROJECT
from tests.ports import free_port

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgres]


@pytest.fixture
def found(postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]) -> Iterator[Fleet]:
    with fleet(postgres_url, tmp_path, *amocrm, policy=ANNA_FOR_OLEG, HUB_PROXIES="127.0.0.1") as begun:
        begun.know(JANA_OF_OLEG)
        yield begun


@dataclass(slots=True)
class Telephony:
    """Tells of calls and asks whom to ring, and repeats nothing."""

    secret: str
    sent: list[str] = field(default_factory=list)
    #: what came back, with how often
    webhooks: Counter[int] = field(default_factory=Counter)
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)

    async def go_on(self, http: httpx.AsyncClient) -> None:
        """Until cancelled; what is under way then is finished."""
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    number = len(self.sent)
                    self.sent.append(f"ua0_-{number}.1")
                    group.create_task(self._tell(http, self.sent[-1]))
                    group.create_task(self._ask(http, number))
                    await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                return

    async def _tell(self, http: httpx.AsyncClient, uniq: str) -> None:
        path = f"/hooks/{PROJECT}/{CHANNEL}/{self.secret}?moment=before"
        self.webhooks[(await http.post(path, json=CALL | {"uniqueid": uniq})).status_code] += 1

    async def _ask(self, http: httpx.AsyncClient, number: int) -> None:
        question = {"call_id": f"ua0_-{number}.1", "uuid": f"u{number}", "caller": CALL["caller"], "dst": CALL["dst"]}
        answer = await http.post(f"/forward/{PROJECT}/{CHANNEL}/{self.secret}", json=question)
        self.answers[answer.status_code, answer.text] += 1


@pytest.mark.timeout(240)
async def test_both_web_processes_restart_under_traffic_and_nobody_notices(found: Fleet, tmp_path: Path) -> None:
    """H9, H3, R3: no webhook is lost, no known caller is unknown, and a tab is told what happens."""
    ports = (free_port(), free_port())
    webs = [found.start("web", HUB_PORT=str(port))[0] for port in ports]
    found.start("worker")
    settings = Settings(
        environment="development", data_directory=tmp_path / "own", database_url=found.url, secret_key=KEY
    )
    services = build_services(settings)
    telephony = Telephony(found.secrets[PROJECT])
    with behind_nginx(tmp_path / "nginx", ports) as (address, certificate):
        trust = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(base_url=address, verify=trust, trust_env=False, timeout=30) as http:
            await _until_ready(webs)
            going = asyncio.create_task(telephony.go_on(http))
            async with open_tab(services, address, PROJECT, CRM, "anna", trust=trust) as anna:
                # nothing is held back on the way
                await anna.until(lambda: anna.states != [])
            for web, port in zip(webs, ports, strict=True):
                await asyncio.to_thread(web.end)
                again = await asyncio.to_thread(lambda port=port: found.start("web", HUB_PORT=str(port)))  # type: ignore[misc]
                await _until_ready(again)
                # as operations.md says
                await asyncio.sleep(2)
            going.cancel()
            await going
            assert (await http.get("/metrics")).status_code == 404
            async with open_tab(services, address, PROJECT, CRM, "anna", trust=trust) as anna:
                await anna.until(lambda: anna.states != [])
            # with nobody there at all the telephony's own scheme goes on
            for process in found.processes:
                if process.role == "web":
                    await asyncio.to_thread(process.end)
            gone = await http.post(f"/forward/{PROJECT}/{CHANNEL}/{telephony.secret}", json={"caller": CALL["caller"]})
            assert (gone.status_code, gone.text) == (200, "")
    services.close()
    assert telephony.webhooks == {200: len(telephony.sent)}
    assert telephony.answers == {(200, "examplecom_anna"): len(telephony.sent)}
    assert len(telephony.sent) > 20
    rows = found.rows("SELECT convert_from(body, 'UTF8')::json ->> 'uniqueid' FROM inbox WHERE kind = 'hook'")
    assert {row[0] for row in rows} == set(telephony.sent)
    assert telephony.secret not in (tmp_path / "nginx" / "hub.log").read_text()


async def _until_ready(processes: list[Process]) -> None:
    """As a rolling restart waits: past nginx, which does not pass it on."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http, asyncio.timeout(60):
        for process in processes:
            while (await http.get(f"http://127.0.0.1:{process.port}/readyz")).status_code != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
