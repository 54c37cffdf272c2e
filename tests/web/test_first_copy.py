"""A web process that begins says nothing wrong before it has its copy of the directory (H6, H9, R3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hub.clock import FakeClock, SystemClock
from hub.compose import build_services
from hub.runtime.fleet import Fleet
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import cluster, directory_stream
from tests.postgres import Server
from tests.web.conftest import CRM, NOW, PROJECT, Web, serving, set_up

pytestmark = pytest.mark.postgres

CALLER = {"caller": "380501112233"}
KEY = "Tm9ib2R5IHNob3VsZCB1c2UgdGhpcyBrZXkgYW55d2g="
#: what the proxy of deploy/nginx adds to a question of the telephony
OTHERS = {"x-hub-asks-others": "yes"}


async def nothing(*_: str) -> None:
    """Nothing is gained, given or dropped by a web process."""


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - the state of another task
            await asyncio.sleep(0.01)


class Copying:
    """A web process of which a test says when PostgreSQL lets it copy."""

    def __init__(self, web: Web, fleet: Fleet, gate: psycopg.Connection[Any]) -> None:
        self.web, self.fleet, self._gate = web, fleet, gate

    async def ready(self) -> tuple[int, object]:
        """Status and what is told of the directory."""
        answer = await self.web.client.get("/readyz")
        return answer.status_code, answer.json()["directory"]

    async def ask(self, **headers: str) -> tuple[int, str]:
        """Status and answer to the telephony's question."""
        answer = await self.web.client.post(self.web.forward(), json=CALLER, headers=headers)
        return answer.status_code, answer.text

    async def figures(self) -> list[str]:
        """The lines of /metrics."""
        return (await self.web.client.get("/metrics")).text.splitlines()

    async def let_copy(self) -> None:
        """Nothing holds the copying up any more; returns when it is complete."""
        self._gate.rollback()
        await until(lambda: self.fleet.copies.is_complete)


@pytest.fixture
def told(postgres_url: str, tmp_path: Path) -> str:
    """A database in which another process has told of one client; the account is in nobody else's file."""
    services = services_on(postgres_url, tmp_path / "first", SystemClock())
    services.store.write_now(cluster.prepare)
    set_up(services)
    rows = services.directory.rows_after(PROJECT, CRM, (0, ""), 100)
    services.store.write_now(lambda conn: directory_stream.put(conn, PROJECT, CRM, rows))
    services.close()
    return postgres_url


def services_on(url: str, data: Path, clock: FakeClock | SystemClock, **more: float) -> Services:
    settings = Settings(
        environment="development",
        data_directory=data,
        database_url=url,
        role="web",
        secret_key=KEY,
        **more,  # type: ignore[arg-type]
    )
    return build_services(settings, clock, is_running=True)


@contextlib.asynccontextmanager
async def beginning(
    url: str, data: Path, server: Server, clock: FakeClock | SystemClock, **more: float
) -> AsyncIterator[Copying]:
    """A web process on a fresh machine whose copying waits for a lock that this holds."""
    services = services_on(url, data, clock, **more)
    fleet = Fleet(services, heard=lambda _: None, gained=nothing, giving=nothing, dropped=nothing)
    with contextlib.closing(server.connect(url.rpartition("/")[2])) as gate:
        gate.autocommit = False
        gate.execute("LOCK TABLE hub_directory IN ACCESS EXCLUSIVE MODE")
        copying = asyncio.create_task(fleet.copies.run())
        try:
            async with serving(services) as web:
                yield Copying(web, fleet, gate)
        finally:
            gate.rollback()
            copying.cancel()
            await asyncio.gather(copying, return_exceptions=True)
            services.close()


async def test_a_process_without_its_first_copy_is_not_ready_and_leaves_questions_to_others(
    told: str, tmp_path: Path, postgres_server: Server
) -> None:
    """H9, R3: a rolling restart behind a proxy makes no known caller an unknown one."""
    async with beginning(told, tmp_path / "second", postgres_server, SystemClock()) as found:
        status, directory = await found.ready()
        assert status == 503
        assert directory == {
            "is_complete": False,
            "lacks": "nobody could be asked yet",
            "ready_anyway_in_seconds": pytest.approx(600, abs=60),
        }
        # through a proxy that asks another process then
        assert (await found.ask(**OTHERS))[0] == 503
        # nobody else is there: the scheme goes on, and the telephony hears no error
        assert await found.ask() == (200, "")
        assert "hub_directory_first_copy 0.0" in await found.figures()
        await found.let_copy()
        figures = await found.figures()
        assert "hub_directory_first_copy 1.0" in figures
        assert f'hub_directory_copy_age_seconds{{connection="{CRM}",project="{PROJECT}"}}' in "\n".join(figures)
        # nobody leads the project, and a web process that says that it lives is counted
        assert f'hub_project_leaders{{project="{PROJECT}"}} 0.0' in figures
        living = asyncio.create_task(found.fleet.say_alive())
        async with asyncio.timeout(20):
            while 'hub_processes{role="web"} 1.0' not in await found.figures():  # noqa: ASYNC110 - another task does it
                await asyncio.sleep(0.01)
        living.cancel()
        await found.fleet.close()
        assert 'hub_processes{role="web"} 0.0' in await found.figures()
        assert await found.ready() == (200, {"is_complete": True})
        assert await found.ask(**OTHERS) == (200, "examplecom_olena")
        assert await found.ask() == (200, "examplecom_olena")


async def test_a_first_copy_is_waited_for_no_longer_than_the_setting_says(
    told: str, tmp_path: Path, postgres_server: Server
) -> None:
    """H9: what cannot be copied must not keep a process from its work for ever."""
    clock = FakeClock(NOW)
    async with beginning(told, tmp_path / "second", postgres_server, clock, first_copy_seconds=30) as found:
        clock.advance(timedelta(seconds=29))
        assert (await found.ready())[0] == 503
        clock.advance(timedelta(seconds=1))
        assert (await found.ready())[0] == 200
        assert await found.ask(**OTHERS) == (200, "")


async def test_what_a_first_copy_lacks_is_told_by_account_and_an_import_that_never_ran_is_not_waited_for(
    told: str, tmp_path: Path
) -> None:
    """H9: the number of changes to come; an account of which nobody has told anything lacks nothing."""
    services = services_on(told, tmp_path / "second", SystemClock())
    fleet = Fleet(services, heard=lambda _: None, gained=nothing, giving=nothing, dropped=nothing)
    copies = fleet.copies
    taken: list[object] = []
    take_over = services.directory.take_over

    def watched(*of: object) -> None:
        taken.append(copies.lacking)
        take_over(*of)  # type: ignore[arg-type]

    services.directory.take_over = watched  # type: ignore[method-assign,assignment]
    assert copies.lacking is None
    copying = asyncio.create_task(copies.run())
    try:
        await until(lambda: copies.is_complete)
    finally:
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
        services.close()
    assert taken == [{(PROJECT, CRM): 2}]
    assert copies.lacking == {}
