"""A running hub with its web side, a Wazzup sandbox that writes to it, and an amoCRM sandbox behind it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import hub_wazzup.sandbox as wazzup
from hub_amocrm.sandbox import Sandbox

from hub.clock import Clock
from hub.compose import Hub
from hub.core.interaction import Direction, Message
from hub.engine.projects import LiveProject
from hub.engine.schedule import Scheduler
from hub.runtime.importer import mark_imported
from hub.settings import Settings
from hub.store import interactions, outgoing, policies, projects, work
from hub.store.interactions import JournalFilter
from hub.store.outgoing import Queued
from hub.web.app import HubApp, build_app
from hub.web.links import hook_url
from hub.web.server import serve_forever
from tests.end_to_end.world import CRM, PROJECT, USERS, connect, preset

__all__ = ["CHATS", "MessengerWorld", "messenger_world"]

CHATS = "chats"
Mode = Literal["shadow", "live"]


@dataclass(slots=True)
class MessengerWorld:
    """What a test holds in its hands."""

    hub: Hub
    app: HubApp
    crm: Sandbox
    vendor: wazzup.Sandbox
    hook: str

    @property
    def project(self) -> LiveProject:
        return self.hub.services.projects.get(PROJECT)

    def records(self, kind: str) -> list[Mapping[str, Any]]:
        """What the CRM holds of one kind."""
        return list(self.crm.records()[kind])

    def open_tasks(self) -> list[Mapping[str, Any]]:
        return [task for task in self.records("tasks") if not task["is_completed"]]

    def messages(self, direction: Direction) -> list[Message]:
        """The messages that the hub knows, in their order."""
        rows = self.hub.services.store.read_now(
            lambda conn: interactions.journal(conn, PROJECT, JournalFilter(), limit=100)
        )
        found = [row.interaction for row in sorted(rows, key=lambda row: row.sequence)]
        return [one for one in found if isinstance(one, Message) and one.direction is direction]

    def outbox(self) -> list[Queued]:
        """Everything that was queued, in its order."""
        clients = {one.id for one in self._clients()}
        found = [
            one
            for id in clients
            for one in self.hub.services.store.read_now(lambda conn, id=id: outgoing.list_of_client(conn, id))  # type: ignore[misc]
        ]
        return sorted(found, key=lambda one: one.sequence)

    def _clients(self) -> list[Any]:
        from sqlalchemy import select

        from hub.store.schema import client

        return self.hub.services.store.read_now(lambda conn: list(conn.execute(select(client.c.id))))

    async def until(self, holds: Callable[[], Any], seconds: float = 90) -> None:
        """Wait until ``holds``; fails with the state of the work after ``seconds``."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                states = self.hub.services.store.read_now(work.count_states)
                hooks = [(one.status, list(one.body)) for one in self.vendor.sender.delivered]
                raise AssertionError(f"not reached within {seconds} s; work: {states}; webhooks: {hooks}")
            await asyncio.sleep(0.06)

    async def settled(self, count: int, seconds: float = 90) -> None:
        """Wait until so many interactions are finished."""

        def ended() -> bool:
            states = self.hub.services.store.read_now(work.count_states)
            finished = sum(number for (_, state), number in states.items() if state in ("finished", "attention"))
            return finished >= count

        await self.until(ended, seconds)


def _prepare(hub: Hub, crm_address: str, token: str, policy: str, settings: Mapping[str, Any], mode: Mode) -> str:
    """A project with one connected CRM and one Wazzup channel; the secret of the channel."""
    services = hub.services
    store, cipher, now = services.store, services.cipher, services.clock.now()
    store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=now, mode=mode))
    store.write_now(lambda conn: policies.publish(conn, PROJECT, text=policy, author="test", based_on=None, now=now))
    made = store.write_now(
        lambda conn: projects.add_channel(
            conn, cipher, project=PROJECT, name=CHATS, source="wazzup", settings=dict(settings), now=now
        )
    )
    of_crm = {"address": crm_address, "long_lived_token": token, "is_loopback_allowed": True}
    store.write_now(
        lambda conn: projects.add_connection(
            conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings=of_crm, now=now
        )
    )
    services.projects.reload_now()
    return made.secret


@contextlib.asynccontextmanager
async def messenger_world(
    tmp_path: Path,
    amocrm: tuple[Sandbox, str],
    vendor: tuple[wazzup.Sandbox, str],
    *,
    policy: str = "",
    settings: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    mode: Mode = "live",
) -> AsyncIterator[MessengerWorld]:
    """The vendor's employees are the project's, each seated on the first channel; webhooks go to the hub."""
    crm, crm_address = amocrm
    played, api_base = vendor
    hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"), clock)
    # a test says itself when the clock's jobs run
    hub.scheduler = Scheduler(hub.services.store, hub.services.clock, ())
    of_channel = {"api_base": api_base, "api_key": played.account.api_key, **(settings or {})}
    text = policy or preset("wazzup-messengers")
    secret = _prepare(hub, crm_address, crm.long_lived_token(), text, of_channel, mode)
    await connect(hub)
    mark_imported(hub.services.directory, PROJECT, CRM, hub.services.clock.now())
    app = build_app(hub.services)
    async with hub:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve_forever(app, "127.0.0.1", 0, ready=found.set_result))
        hook = hook_url(f"http://127.0.0.1:{await found}", PROJECT, CHATS, secret)
        known = played.account
        known.subscription = wazzup.SubscriptionState(
            uri=hook, messages_and_statuses=True, contacts_and_deals=True, channels=True, templates=True
        )
        known.users |= {id: {"id": id, "name": id.title()} for id in USERS}
        played.seat(*USERS)
        try:
            yield MessengerWorld(hub=hub, app=app, crm=crm, vendor=played, hook=hook)
        finally:
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await server
