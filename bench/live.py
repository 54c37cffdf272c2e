"""A running hub between the vendors' sandboxes, for measurements of the whole way."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import Connection

from hub.compose import Hub
from hub.demo import traffic
from hub.demo.amocrm_stage import AmoCrmStage, crm_sandbox
from hub.demo.project import CHANNEL, PROJECT, connect, demo_policy, make_project
from hub.settings import Settings
from hub.store import projects, work
from hub.store.engine import driver_connection
from hub.web.app import build_app
from hub.web.server import serve_forever

__all__ = ["Live", "live", "webhook"]


CRM = AmoCrmStage.name


@dataclass(slots=True, kw_only=True)
class Live:
    """The hub, its CRM, and the address that the telephony knows."""

    hub: Hub
    crm: AmoCrmStage
    hook: str
    http: httpx.AsyncClient
    #: SIP logins of the employees
    logins: tuple[str, ...]

    async def tell(self, values: dict[str, str]) -> None:
        """One webhook over HTTP; raises if it was not accepted."""
        answer = await self.http.post(self.hook, json=values, params={"moment": "after"})
        answer.raise_for_status()

    async def finished(self, count: int, *, every: float = 0.002) -> None:
        """Wait until so many interactions are finished, asking ``every`` so many seconds."""
        store = self.hub.services.store
        while True:
            # a look at one row, while any interaction waits: to count them all would be a part of what is measured
            if await store.read(_is_any_left, is_short=True):
                await asyncio.sleep(every)
                continue
            states = await store.read(lambda conn: work.count_states(conn, PROJECT), is_short=True)
            if sum(states.values()) >= count and states.get((CRM, "finished"), 0) == sum(states.values()):
                return
            if states.get((CRM, "attention"), 0):
                raise RuntimeError("an interaction needs attention: the measurement means nothing")
            await asyncio.sleep(every)


def _is_any_left(conn: Connection) -> bool:
    driver = driver_connection(conn)
    assert driver is not None
    return driver.execute("SELECT 1 FROM work WHERE state IN ('open', 'writing') LIMIT 1").fetchone() is not None


@asynccontextmanager
async def live(*sandbox: str, preset: str = "car-dealer") -> AsyncIterator[Live]:
    """A fresh company; ``sandbox`` are arguments of the CRM sandbox (``--limit``, ``--seed-contacts`` ...)."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        day = traffic.generate(seed=7, calls=30).to_record()
        crm = await stack.enter_async_context(crm_sandbox(*sandbox))
        await crm.preload({**day["preload"], "contacts": [], "deals": [], "tasks": []})
        settings = Settings(environment="development", data_directory=folder, port=0)
        hub = Hub(settings)
        make_project(
            hub.services,
            policy=demo_policy(preset, day),
            channels={CHANNEL: {"api_base": "http://127.0.0.1:9"}},
            crms={CRM: await crm.settings()},
        )
        await connect(hub.services)
        await stack.enter_async_context(hub)
        importer = hub.services.importers[PROJECT, CRM]
        while importer.is_needed():  # noqa: ASYNC110 - the import is another process's work: its mark is looked for
            await asyncio.sleep(0.02)
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve_forever(build_app(hub.services), "127.0.0.1", 0, ready=started.set_result))
        stack.callback(serving.cancel)
        port = await started
        found = await hub.services.store.read(
            lambda conn: projects.find_channel(conn, hub.services.cipher, PROJECT, CHANNEL)
        )
        assert found is not None
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False))
        yield Live(
            hub=hub,
            crm=crm,
            hook=f"http://127.0.0.1:{port}/hooks/{PROJECT}/{CHANNEL}/{found.secret}",
            http=http,
            logins=tuple(employee["login"] for employee in day["employees"] if employee["login"]),
        )


def webhook(number: int, phone: str, login: str) -> dict[str, str]:
    """An answered inbound call as the telephony tells it afterwards."""
    return {
        "type": "in",
        "uniqueid": f"ua0_-17853{number:05d}.{number}",
        "calldate": "2026-07-29 11:05:45",
        "disposition": "ANSWERED",
        "billsec": "62",
        "duration": "71",
        "waiting": "9",
        "has_recording": "1",
        "recording_wav": f"https://app.ringostat.com/recordings/{number}.wav?token=5c0f",
        "caller": phone,
        "dst": "380441234567",
        "connected_with": login,
        "utm_source": "google",
    }
