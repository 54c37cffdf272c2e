"""A hub that people can open in a browser, beside both sandboxes: for the console's tests and its screenshots."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from hub_amocrm import sandbox as crm
from hub_ringostat import sandbox as telephony
from playwright.async_api import Browser, Page, async_playwright, expect

from hub.compose import Hub
from hub.runtime import setup, staffing
from hub.settings import Settings
from hub.store import projects, work
from hub.web.app import build_app
from hub.web.links import hook_url
from hub.web.server import serve_forever
from tests.ports import free_port

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PROJECT, CRM, CHANNEL = "nordtea", "amocrm", "ringostat"
LOGIN, PASSWORD = "olha", "correct horse battery"
#: milliseconds for what a page or the browser is sure to do, on a machine that others share
PATIENCE = 60_000
#: a name that would be markup if anybody forgot to escape it
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

STAFF = (
    telephony.Employee(
        id="1101", name="I. Belova", email="irina@nordtea.example", extension="101", login="examplecom_irina"
    ),
    telephony.Employee(id="1102", name="Sales 2", extension="102", login="examplecom_oleg", mobile="74950000112"),
    telephony.Employee(id="1103", name="Котова Анна", extension="103", login="examplecom_anna"),
    telephony.Employee(id="1109", name="Тарас Гнатюк", email="taras@example.com", login="examplecom_taras"),
)


@dataclass(slots=True)
class Scene:
    """What a test holds in its hands."""

    hub: Hub
    crm: crm.Sandbox
    crm_address: str
    telephony: telephony.Sandbox
    telephony_address: str
    address: str
    numbers: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        """What the first administrator must show."""
        return setup.first_token(self.hub.services.cipher)

    def crm_settings(self) -> Mapping[str, Any]:
        return {
            "address": self.crm_address,
            "long_lived_token": self.crm.long_lived_token(),
            "is_loopback_allowed": True,
        }

    def channel_settings(self) -> Mapping[str, Any]:
        return {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": self.telephony_address}

    async def prepare(self, *, mode: str = "live") -> None:
        """Everything that the set-up does, by its functions: as ``hub setup`` would."""
        services = self.hub.services
        await setup.create_administrator(services, token=self.token, login=LOGIN, password=PASSWORD, language="en")
        await setup.create_project(
            services,
            name=PROJECT,
            title="Nord Tea",
            preset="zoho-standard",
            language="ru",
            region="UA",
            time_zone="Europe/Kyiv",
            author=LOGIN,
        )
        await setup.add_connection(services, PROJECT, name=CRM, sink="amocrm", values=self.crm_settings())
        await setup.connect(services, PROJECT, CRM)
        await staffing.bind_found(services, PROJECT, CRM)
        await setup.add_channel(services, PROJECT, name=CHANNEL, source="ringostat", values=self.channel_settings())
        found = await staffing.match_staff(services, PROJECT, CRM)
        await staffing.write_staff(services, PROJECT, CRM, found.pairs, author=LOGIN, senior="8800101")
        now = services.clock.now()

        def finish(conn: Any) -> None:
            projects.change_project(conn, PROJECT, mode=mode)  # type: ignore[arg-type]
            projects.set_import(conn, PROJECT, CRM, cursor="", progress=1.0, finished_at=now)
            projects.set_feed(conn, PROJECT, CRM, cursor="", as_of=now)

        await services.store.write(finish)
        await setup.refresh(services)

    async def hook(self, values: Mapping[str, Any] | bytes, moment: str = "after") -> None:
        """One webhook over HTTP; bytes are sent as they are."""
        services = self.hub.services
        row = await setup.find_channel(services, PROJECT, CHANNEL)
        body = values if isinstance(values, bytes) else json.dumps(dict(values)).encode()
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                hook_url(self.address, PROJECT, CHANNEL, row.secret),
                params={"moment": moment},
                content=body,
                headers={"content-type": "application/json"},
            )
        assert answer.status_code == 200, answer.text

    async def call(self, caller: str, *, answered_by: str = "", talk: int = 0, **more: Any) -> None:
        """A finished call of a client."""
        self.numbers += 1
        now = self.hub.services.clock.now()
        await self.hook(
            {
                "uniqueid": f"ua0_-{int(now.timestamp())}.{4410000 + self.numbers}",
                "type": "in",
                "calldate": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "caller": caller,
                "dst": "380441234567",
                "disposition": "ANSWERED" if answered_by else "NO ANSWER",
                "duration": talk + 14,
                "waiting": 14,
                "billsec": talk,
                "connected_with": answered_by,
                **more,
            }
        )

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], seconds: float = 90) -> None:
        """Wait until ``holds``, or fail."""
        end = time.monotonic() + seconds
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            if time.monotonic() > end:
                raise AssertionError(f"not reached within {seconds} s: {self.states()}")
            await asyncio.sleep(0.05)

    def states(self) -> dict[tuple[str, str], int]:
        """How many works stand in which state."""
        return self.hub.services.store.read_now(lambda conn: work.count_states(conn, PROJECT))

    async def settled(self, ended: int) -> None:
        """Wait until so many interactions are finished or need attention."""
        await self.until(
            lambda: sum(n for (_, state), n in self.states().items() if state in ("finished", "attention")) >= ended
        )


@contextlib.asynccontextmanager
async def scene(data: Path) -> AsyncIterator[Scene]:
    """A running hub with nothing set up."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    staff = telephony.Sandbox(employees=STAFF)
    with crm.serve(crm.Sandbox()) as (account, crm_address), telephony.serve(staff) as (_, telephony_address):
        settings = Settings(environment="development", data_directory=data, public_url=address)
        async with Hub(settings) as hub:
            ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            serving = serve_forever(build_app(hub.services), "127.0.0.1", port, ready=ready.set_result)
            server = asyncio.create_task(serving)
            try:
                await asyncio.wait_for(asyncio.shield(ready), 60)
                yield Scene(
                    hub=hub,
                    crm=account,
                    crm_address=crm_address,
                    telephony=staff,
                    telephony_address=telephony_address,
                    address=address,
                )
            finally:
                server.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await server


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    if not os.access(CHROMIUM, os.X_OK):
        raise AssertionError("the browser is missing: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS), timeout=PATIENCE)
        try:
            yield found
        finally:
            await found.close()


async def press(page: Page, name: str) -> None:
    """Press the button that is called just so and sends a form; the page that answers is there afterwards.

    Whoever presses the next button at once may still have the old page before them, and takes the first press back.
    """
    async with page.expect_navigation():
        await page.get_by_role("button", name=name, exact=True).click()


async def log_in(page: Page, address: str) -> None:
    """From the login page to the console."""
    await page.goto(f"{address}/console/login")
    await page.fill("#login", LOGIN)
    await page.fill("#password", PASSWORD)
    await page.click("main button")
    await page.wait_for_url("**/console/**/")
