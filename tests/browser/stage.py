"""A hub, the sandboxes, the account's page with the widget installed in it, and people before it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from hub_amocrm import sandbox as crm
from playwright.async_api import Browser, BrowserContext

from hub.compose import Hub
from hub.runtime import setup
from hub.runtime.importer import mark_imported
from hub.settings import Settings
from hub.store import projects
from hub.web.app import build_app
from hub.web.links import forward_url, hook_url
from hub.web.server import serve_forever
from hub.widget_archive import Archive, build_archive
from tests.browser.account_page import AccountPages
from tests.browser.tab import Tab
from tests.end_to_end import world
from tests.ports import free_port

__all__ = ["ANNA", "IRINA", "OLEG", "Stage", "stage", "the_archive"]

#: users of the CRM; Irina is its administrator
IRINA, OLEG, ANNA = 8800101, 8800102, 8800103
SECRET = "sandbox-secret-of-the-integration-0123456789-abcdefghijklmnop"


@functools.cache
def the_archive() -> Archive:
    """The real widget, built once."""
    return build_archive()


@dataclass(slots=True)
class Stage:
    """What a test holds in its hands."""

    data: Path
    port: int
    crm: crm.Sandbox
    crm_address: str
    pages: AccountPages
    chromium: Browser
    policy: str = ""
    hub: Hub | None = None
    tabs: list[Tab] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)
    numbers: int = 0
    _server: asyncio.Task[None] | None = None

    @property
    def account(self) -> str:
        """The account's origin; another host than the hub's, so that CORS is real."""
        return self.crm_address.replace("127.0.0.1", "localhost")

    @property
    def address(self) -> str:
        """The hub's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> Hub:
        assert self.hub is not None
        return self.hub

    # --- the hub --------------------------------------------------------------------------------------------------

    async def start_hub(self) -> None:
        """Start the hub, for the first time or again, where it was."""
        is_new = not (self.data / "hub.db").exists() and not any(self.data.glob("*.db"))
        settings = Settings(environment="development", data_directory=self.data, public_url=self.address)
        hub = Hub(settings)
        if is_new:
            await self._prepare(hub)
        await hub.__aenter__()
        self.hub = hub
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        serving = serve_forever(build_app(hub.services), "127.0.0.1", self.port, ready=ready.set_result)
        self._server = asyncio.create_task(serving)
        await asyncio.wait([ready, self._server], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), "the hub does not listen"

    async def stop_hub(self) -> None:
        """Stop it as a deployment does; what it knows stays on disk."""
        if self._server is not None:
            self._server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._server
            self._server = None
        if self.hub is not None:
            await self.hub.__aexit__(None, None, None)
            self.hub = None

    async def _prepare(self, hub: Hub) -> None:
        token = self.crm.long_lived_token()
        world.prepare(hub, self.crm_address, token, self.policy or world.preset("zoho-standard"))
        services = hub.services
        settings = {
            "address": self.crm_address,
            "long_lived_token": token,
            "is_loopback_allowed": True,
            "client_id": self.crm.integration.client_id,
            "client_secret": self.crm.integration.client_secret,
        }
        services.store.write_now(
            lambda conn: projects.change_connection(conn, services.cipher, world.PROJECT, world.CRM, settings)
        )
        services.projects.reload_now()
        await world.connect(hub)
        mark_imported(services.directory, world.PROJECT, world.CRM, services.clock.now())

    # --- the channel ----------------------------------------------------------------------------------------------

    async def webhook(self, moment: str, **values: Any) -> None:
        """One webhook of the telephony, over HTTP."""
        channel = await setup.find_channel(self.running.services, world.PROJECT, world.CHANNEL)
        url = hook_url(self.address, world.PROJECT, world.CHANNEL, channel.secret)
        async with httpx.AsyncClient() as http:
            answer = await http.post(url, params={"moment": moment}, json=values)
        assert answer.status_code == 200, answer.text

    async def forwarding(self, caller: str) -> str:
        """Whom the hub would have a call of ``caller`` sent to."""
        channel = await setup.find_channel(self.running.services, world.PROJECT, world.CHANNEL)
        url = forward_url(self.address, world.PROJECT, world.CHANNEL, channel.secret)
        # the same question twice gets the same answer: each call has its own
        self.numbers += 1
        question = {
            "call_id": f"ua0_-{self.numbers}.1",
            "uuid": f"u-{self.numbers}",
            "caller": caller,
            "dst": "380441234567",
        }
        async with httpx.AsyncClient() as http:
            answer = await http.post(url, json=question)
        assert answer.status_code == 200, answer.text
        return answer.text

    # --- people ---------------------------------------------------------------------------------------------------

    def install(
        self, archive: Archive | None = None, *, code: str = "crm_hub", settings: Mapping[str, Any] | str = ""
    ) -> str:
        """Install a widget in the account; ours, pointed at the hub, unless told otherwise."""
        return self.pages.upload(
            archive or the_archive(), code=code, settings=settings or {"hub_address": self.address}
        )

    async def browser(self, user: int, **options: Any) -> BrowserContext:
        """A browser of its own in which ``user`` is logged in to the CRM."""
        context = await self.chromium.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
        await context.add_cookies([{"name": "session_id", "value": self.crm.log_in(user), "url": self.account}])
        # what a widget asks elsewhere is noted (`Tab.strangers`) and never leaves this machine
        await context.route(lambda url: not url.startswith((self.account, self.address)), lambda route: route.abort())
        self.contexts.append(context)
        return context

    async def open(
        self, user: int = OLEG, path: str = "/dashboard/", *, context: BrowserContext | None = None, **options: Any
    ) -> Tab:
        """A tab; in a new browser unless one is given."""
        context = context or await self.browser(user, **options)
        tab = await Tab.open(context, self.account, (self.account, self.address), path)
        self.tabs.append(tab)
        return tab

    async def close(self) -> None:
        for context in self.contexts:
            await context.close()


@contextlib.asynccontextmanager
async def stage(
    data: Path, chromium: Browser, *, policy: str = "", with_hub: bool = True, boot: Mapping[str, Any] | None = None
) -> AsyncIterator[Stage]:
    """Everything, with the hub running unless told otherwise; every tab is checked at the end."""
    port = free_port()
    sandbox = crm.Sandbox()
    sandbox.set_integration(redirect_uri=f"http://127.0.0.1:{port}/oauth/amocrm/callback")
    pages = AccountPages(sandbox, boot=dict(boot or {}))
    with crm.serve(sandbox) as (_, address):
        found = Stage(
            data=data, port=port, crm=sandbox, crm_address=address, pages=pages, chromium=chromium, policy=policy
        )
        try:
            if with_hub:
                await found.start_hub()
            yield found
            for tab in found.tabs:
                if not tab.page.is_closed():
                    await tab.check()
        finally:
            await found.close()
            await found.stop_hub()


def told(value: Any) -> str:
    """For messages of failures."""
    return json.dumps(value, ensure_ascii=False, indent=1)
