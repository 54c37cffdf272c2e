"""One connected amoCRM account over loopback, without the rest of a running hub: for tests of feeds and imports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.compose import Hub
from hub.runtime.account import Account
from hub.runtime.feeds import Feed, FeedTiming
from hub.runtime.importer import Importer
from hub.runtime.intake import raw_request
from hub.runtime.opening import open_account
from hub.settings import Settings
from hub.store import events, inbox, projects
from hub.web.server import serve_forever
from tests.end_to_end.world import CRM, PROJECT, connect, prepare, preset

__all__ = ["CRM", "PROJECT", "Connected", "connected"]


@dataclass(slots=True)
class Connected:
    """What a test holds in its hands."""

    hub: Hub
    sandbox: Sandbox
    account: Account
    directory_path: Path

    def feed(self, **timing: Any) -> Feed:
        sink = self.hub.services.plugins.sink("amocrm")
        return Feed(
            self.account, self.hub.services.store, self.hub.services.clock, sink=sink, timing=FeedTiming(**timing)
        )

    def importer(self, feed: Feed, **more: Any) -> Importer:
        services = self.hub.services
        return Importer(
            self.account,
            services.store,
            services.clock,
            directory=self.directory_path,
            begin_feed=feed.ensure_started,
            **more,
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the views were told."""
        found = self.hub.services.store.read_now(lambda conn: events.read_after(conn, 0))
        return [dict(event.body) for event in found if event.kind == kind]


async def until(holds: Callable[[], bool], seconds: float = 90) -> float:
    """Wait until ``holds``; how long it took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not reached within {seconds} s")
        await asyncio.sleep(0.03)
    return time.monotonic() - began


@asynccontextmanager
async def connected(
    tmp_path: Path, sandbox: Sandbox, address: str, *, public_url: str = "", **more: Any
) -> AsyncIterator[Connected]:
    """An account of the sandbox, opened as the hub opens it; ``more`` are settings of the plugin."""
    settings = Settings(environment="development", data_directory=tmp_path / "var", public_url=public_url)
    hub = Hub(settings)
    services = hub.services
    try:
        prepare(hub, address, sandbox.long_lived_token(), preset("zoho-standard"))
        if more:
            own = {"address": address, "long_lived_token": sandbox.long_lived_token(), "is_loopback_allowed": True}
            services.store.write_now(
                lambda conn: projects.change_connection(conn, services.cipher, PROJECT, CRM, own | more)
            )
            services.projects.reload_now()
        await connect(hub)
        project = services.projects.get(PROJECT)
        account = open_account(services, project, project.connections[0])
        try:
            yield Connected(hub=hub, sandbox=sandbox, account=account, directory_path=settings.directory_path)
        finally:
            await account.close()
    finally:
        services.close()


@asynccontextmanager
async def hooks(company: Connected, feed: Feed, port: int) -> AsyncIterator[None]:
    """Receives the CRM's webhooks as the hub's web does: stored first, then told to the feed."""
    services = company.hub.services

    async def receive(request: Request) -> Response:
        raw = raw_request(
            request.method, request.url.query.encode(), request.headers.raw, await request.body(), services.clock.now()
        )
        row_id = await services.store.write(
            lambda conn: inbox.add(conn, project=PROJECT, channel=CRM, kind="crm", request=raw)
        )
        row = await services.store.read(lambda conn: inbox.get(conn, row_id))
        assert row is not None
        feed.told(row)
        return Response()

    app = Starlette(routes=[Route("/crm/{rest:path}", receive, methods=["POST"])])
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_forever(app, "127.0.0.1", port, ready=ready.set_result))
    await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
    assert ready.done()
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
