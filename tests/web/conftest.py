"""A hub's web side over loopback: a real store in a temporary directory, the real plugins, a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.clock import FakeClock
from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Contact, Deal, EmployeeId
from hub.ports import Changes
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.web.app import HubApp, build_app
from hub.web.server import serve_forever

#: a Monday, half past eleven in Kyiv
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PROJECT, CHANNEL, CRM = "shop", "phone", "amo"
SECRET, CRM_SECRET = "c0ffee" * 5, "decade" * 5
KNOWN, STRANGER = Phone("+380501112233"), Phone("+380671234567")

POLICY = """
[project]
region = "UA"
time_zone = "Europe/Kyiv"

[[employees]]
id = "olena"
name = "Olena"
destinations = ["examplecom_olena"]

[[employees]]
id = "petro"
name = "Petro"
destinations = ["380671110000"]
"""


@dataclass(slots=True)
class Web:
    """What a test holds in its hands."""

    services: Services
    app: HubApp
    client: httpx.AsyncClient
    port: int
    wakes: list[int] = field(default_factory=list)

    def hook(self, secret: str = SECRET, *, project: str = PROJECT, channel: str = CHANNEL) -> str:
        return f"/hooks/{project}/{channel}/{secret}"

    def forward(self, secret: str = SECRET) -> str:
        return f"/forward/{PROJECT}/{CHANNEL}/{secret}"


def publish(services: Services, text: str) -> None:
    """Put a policy in force."""
    store = services.store
    head = store.read_now(lambda conn: policies.head(conn, PROJECT))
    store.write_now(
        lambda conn: policies.publish(
            conn,
            PROJECT,
            text=text,
            author="test",
            based_on=head.version if head else None,
            now=services.clock.now(),
        )
    )
    services.projects.reload_now()


def set_up(
    services: Services,
    *,
    policy: str = POLICY,
    channel: Mapping[str, Any] | None = None,
    project: bool = True,
) -> None:
    """One project with a channel and a CRM whose directory knows one client; ``project`` False if it stands already."""
    store, cipher, now = services.store, services.cipher, services.clock.now()
    if project:
        store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=now))
    store.write_now(
        lambda conn: projects.add_channel(
            conn,
            cipher,
            project=PROJECT,
            name=CHANNEL,
            source="ringostat",
            settings=dict(channel or {}),
            now=now,
            secret=SECRET,
        )
    )
    store.write_now(
        lambda conn: projects.add_connection(
            conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings={}, now=now, secret=CRM_SECRET
        )
    )
    bound = [Binding(kind="employee", name="olena", value="1"), Binding(kind="employee", name="petro", value="2")]
    store.write_now(lambda conn: bindings.put(conn, PROJECT, CRM, bound))
    publish(services, policy)
    know(services, KNOWN, contact_of="2", deal_of="1")


def know(services: Services, phone: Phone, *, contact_of: str = "", deal_of: str = "", id: str = "c1") -> None:
    """Let the directory know a contact, and an open deal of it, by the CRM's users."""
    deals = (
        (Deal(id=f"d{id}", name="Tea", responsible=EmployeeId(f"@{deal_of}"), is_open=True, contact_ids=(id,)),)
        if deal_of
        else ()
    )
    contact = Contact(
        id=id,
        name="Client",
        phones=(phone,),
        responsible=EmployeeId(f"@{contact_of}") if contact_of else None,
        deal_ids=tuple(deal.id for deal in deals),
    )
    services.directory.fold(PROJECT, CRM, Changes(contacts=(contact,), deals=deals), services.clock.now())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@contextlib.asynccontextmanager
async def serving(services: Services) -> AsyncIterator[Web]:
    """The app on a port of its own."""
    app = build_app(services)
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve_forever(app, "127.0.0.1", 0, ready=found.set_result))
    server.add_done_callback(lambda _: None if found.done() else found.set_exception(OSError("not served")))
    port = await found
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield Web(services=services, app=app, client=client, port=port)
    finally:
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server


@pytest.fixture
def make_services(tmp_path: Path, clock: FakeClock) -> Callable[..., Services]:
    """Opens services on the test's directory; the second call is the next process."""

    def make(**overrides: Any) -> Services:
        settings = Settings(environment="development", data_directory=tmp_path / "var", **overrides)
        return build_services(settings, clock)

    return make


@pytest.fixture
async def web(make_services: Callable[..., Services]) -> AsyncIterator[Web]:
    services = make_services(public_url="https://hub.example.net")
    try:
        set_up(services)
        async with serving(services) as found:
            yield found
    finally:
        services.close()
