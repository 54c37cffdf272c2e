"""A whole small company for end-to-end tests: the amoCRM sandbox over loopback, a project, a running hub."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox
from sqlalchemy import func, select

from hub.clock import Clock
from hub.compose import Hub
from hub.ports import RawRequest
from hub.runtime.importer import mark_imported
from hub.runtime.opening import open_account
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import bindings, inbox, policies, projects, schema, work
from hub.store.bindings import Binding
from hub.store.inbox import InboxStatus
from hub.store.projects import Status

PROJECT, CHANNEL, CRM = "auto", "ringostat", "amocrm"

EMPLOYEES = """
[[employees]]
id = "irina"
name = "Ирина Белова"
email = "irina@nordtea.example"
roles = ["senior"]
logins = ["examplecom_irina"]
destinations = ["examplecom_irina"]

[[employees]]
id = "oleg"
name = "Олег Громов"
email = "oleg@nordtea.example"
logins = ["examplecom_oleg"]
destinations = ["examplecom_oleg"]
mobiles = ["067 123 45 67"]

[[employees]]
id = "anna"
name = "Анна Котова"
email = "anna@nordtea.example"
logins = ["examplecom_anna"]
destinations = ["examplecom_anna"]
"""

USERS = {"irina": "8800101", "oleg": "8800102", "anna": "8800103"}


def preset(name: str) -> str:
    """The text of a preset with this company's employees."""
    text = (Path(__file__).parents[2] / "hub" / "presets" / f"{name}.toml").read_text(encoding="utf-8")
    return text + EMPLOYEES


@dataclass(slots=True)
class World:
    """What a test holds in its hands."""

    hub: Hub
    #: of the main CRM: a Sandbox of its plugin
    sandbox: Any
    address: str

    async def webhook(self, moment: str, values: Mapping[str, Any], channel: str = CHANNEL) -> None:
        """One webhook of the telephony, or of the chat on the site, as JSON."""
        request = RawRequest(
            method="POST",
            query=f"moment={moment}".encode(),
            headers=(("content-type", "application/json"),),
            body=json.dumps(dict(values)).encode(),
            received_at=self.hub.services.clock.now(),
        )
        await self.hub.services.intake.accept(project=PROJECT, channel=channel, kind="hook", request=request)

    async def until(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until ``holds``; fails with the state of the work after ``seconds``."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                states = await self.hub.services.store.read(work.count_states)
                raise AssertionError(f"not reached within {seconds} s; work: {states}; {self.sandbox.stats()}")
            # most of these look into the database: a look too many costs more than it finds
            await asyncio.sleep(0.06)

    async def quiet(self) -> None:
        """Wait until the hub asks the CRM nothing any more, such as what it asks at its start."""
        asked = -1
        while asked != (asked := self.sandbox.stats()["requests_total"]):  # noqa: ASYNC110 - the other end is asked
            await asyncio.sleep(0.3)

    async def settled(self, interactions: int, seconds: float = 90) -> None:
        """Wait until so many interactions are finished or need attention."""

        def ended() -> bool:
            states = self.hub.services.store.read_now(work.count_states)
            finished = sum(count for (_, state), count in states.items() if state in ("finished", "attention"))
            return finished >= interactions

        await self.until(ended, seconds)

    def unread(self) -> int:
        """Inbox rows that nobody has read yet."""
        return self.hub.services.store.read_now(lambda conn: inbox.counts(conn, PROJECT)).get(InboxStatus.NEW, 0)

    async def cost(self) -> float:
        """Requests that the CRM was asked for all interactions so far; feeds and imports are not theirs."""
        spent: int = await self.hub.services.store.read(
            lambda conn: conn.execute(select(func.sum(schema.work.c.cost))).scalar_one()
        )
        return spent / 1000

    def records(self) -> Mapping[str, Any]:
        """What the CRM holds."""
        found: Mapping[str, Any] = self.sandbox.records()
        return found

    def calls(self) -> list[dict[str, Any]]:
        """The call records in the CRM."""
        return [note for note in self.records()["notes"] if note["note_type"] in ("call_in", "call_out")]


def prepare(
    hub: Hub,
    sandbox_address: str,
    token: str,
    policy: str,
    *,
    mode: str = "live",
    account: Mapping[str, Any] | None = None,
) -> None:
    """A project with one channel and one connected CRM, as the set-up would leave it."""
    prepare_services(hub.services, sandbox_address, token, policy, mode=mode, account=account)


def prepare_services(
    services: Services,
    sandbox_address: str,
    token: str,
    policy: str,
    *,
    mode: str = "live",
    project: str = PROJECT,
    account: Mapping[str, Any] | None = None,
) -> None:
    """`prepare` where no hub is to run in this process."""
    store, cipher, now = services.store, services.cipher, services.clock.now()
    store.write_now(lambda conn: projects.add_project(conn, project, now=now, mode=mode))  # type: ignore[arg-type]
    store.write_now(lambda conn: policies.publish(conn, project, text=policy, author="test", based_on=None, now=now))
    store.write_now(
        lambda conn: projects.add_channel(
            conn, cipher, project=project, name=CHANNEL, source="ringostat", settings={}, now=now
        )
    )
    settings = {"address": sandbox_address, "long_lived_token": token, "is_loopback_allowed": True, **(account or {})}
    store.write_now(
        lambda conn: projects.add_connection(
            conn, cipher, project=project, name=CRM, sink="amocrm", settings=settings, now=now
        )
    )
    services.projects.reload_now()


async def connect(hub: Hub) -> None:
    """Read the account's catalogue and bind the employees by hand."""
    await connect_services(hub.services)


async def connect_services(services: Services, name: str = PROJECT) -> None:
    """`connect` where no hub is to run in this process."""
    project = services.projects.get(name)
    account = open_account(services, project, project.connections[0])
    try:
        catalogue = await account.session.connect()
    finally:
        await account.close()
    now = services.clock.now()

    def store(conn: Any) -> None:
        projects.set_catalogue(conn, name, CRM, catalogue, now)
        bindings.put(conn, name, CRM, [Binding(kind="employee", name=k, value=v) for k, v in USERS.items()])
        projects.set_status(conn, name, CRM, Status.READY, now=now)
        projects.set_import(conn, name, CRM, cursor="", progress=1.0, finished_at=now)

    await services.store.write(store)
    await services.projects.reload()


@asynccontextmanager
async def world(
    tmp_path: Path,
    sandbox: Sandbox,
    address: str,
    *,
    policy: str = "",
    mode: str = "live",
    account: Mapping[str, Any] | None = None,
    public_url: str = "",
    clock: Clock | None = None,
) -> AsyncIterator[World]:
    """A running hub beside a fresh sandbox; ``account`` are further settings of the CRM's connection."""
    hub = Hub(Settings(environment="development", data_directory=tmp_path / "var", public_url=public_url), clock)
    text = policy or preset("zoho-standard")
    prepare(hub, address, sandbox.long_lived_token(), text, mode=mode, account=account)
    await connect(hub)
    # the account is empty: a process that reads the whole of it would find nothing
    mark_imported(hub.services.directory, PROJECT, CRM, hub.services.clock.now())
    async with hub:
        company = World(hub=hub, sandbox=sandbox, address=address)
        # of several processes each finds out first which accounts are its own
        await company.until(lambda: (PROJECT, CRM) in hub.services.feeds)
        yield company
