"""An account that closes while somebody asks: nothing stays open, whoever asked is told, nobody asks anew (X6)."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import Connection

from hub.core.interaction import ClientId, Identity
from hub.core.phone import Phone
from hub.errors import Unavailable
from hub.runtime.account import Account, Health
from hub.runtime.catalogue import CatalogueRefresh
from hub.runtime.opening import open_account
from hub.store import projects
from hub.store.projects import Status
from hub.store.work import Lane
from tests.end_to_end.world import preset, world
from tests.runtime.connected import CRM, PROJECT, Connected, connected, until


def opened(company: Connected, health: list[Health]) -> Account:
    """Another account of the same CRM, without a connection yet."""
    services = company.hub.services
    project = services.projects.get(PROJECT)
    account = open_account(services, project, project.connections[0], on_health=lambda *told: health.append(told[2]))
    # what the tests of one sandbox ask needs no turns
    account.pacer.acquire = company.account.pacer.acquire  # type: ignore[method-assign]
    return account


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fails with what was thrown away open."""
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in found] == []


async def ask(account: Account) -> str:
    """What came of one request: "" if it was answered."""
    try:
        await account.session.catalogue()
    except Unavailable as error:
        account.failed(error)
        return f"{error} maybe_applied={error.maybe_applied}"
    return ""


async def test_an_account_may_close_at_any_moment_of_a_request(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """A connection that is made while its client closes would belong to nobody."""
    health: list[Health] = []
    async with connected(tmp_path, *amocrm) as company:
        with nothing_left_open():
            for turns in range(40):
                account = opened(company, health)
                asking = asyncio.create_task(ask(account))
                for _ in range(turns):
                    await asyncio.sleep(0)
                async with asyncio.timeout(10):
                    await account.close()
                    await asking
                    assert await ask(account), "it hears that the account is closed"
            del account, asking
    assert health == [], "the CRM is not blamed for it"


@pytest.mark.usefixtures("each_engine")
async def test_a_hub_ends_at_once_though_its_crm_answers_nobody(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """H4: feeds, jobs and lanes ask when it ends; none of them is waited for, and none leaves anything open."""
    sandbox, address = amocrm
    with nothing_left_open():
        # whoever waited for one of these requests would wait for an hour
        policy = preset("zoho-standard") + '\n[timing]\nrequest_timeout = "1 h"\n'
        async with asyncio.timeout(120), world(tmp_path, sandbox, address, policy=policy) as company:
            services = company.hub.services
            account = services.accounts[PROJECT, CRM]
            assert account.request_timeout == timedelta(hours=1)
            for path in ("/api/v4/account", "/api/v4/contacts"):
                sandbox.fail_next("GET", path, exact=True, kind="hang", applied=True, count=50)
            refresh = CatalogueRefresh(account, services.store, services.clock, changed=services.changed)
            lane = Lane(client_id=ClientId("0-client"), connection=CRM, project=PROJECT)
            identity = Identity(phones=(Phone("+380501112233"),))
            asking = [
                asyncio.create_task(refresh.refresh()),
                asyncio.create_task(company.hub.connections.search(lane, identity)),
            ]
            await company.until(lambda: sandbox.stats()["faults"].get("hang", 0) >= 2)
        assert [type(one) for one in await asyncio.gather(*asking, return_exceptions=True)] == [Unavailable] * 2
        del company, services, account, refresh, asking


async def test_how_a_connection_is_stays_true_though_its_writes_change_places(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H9: on PostgreSQL a write that meets another process's is run again, and may come behind later ones."""
    async with world(tmp_path, *amocrm) as company:
        services = company.hub.services
        store, account = services.store, services.accounts[PROJECT, CRM]
        write, later = store.write, asyncio.Event()
        seen: list[Any] = []

        async def changing_places(fn: Callable[[Connection], Any]) -> Any:
            if "_health_changed" not in fn.__qualname__:
                return await write(fn)
            seen.append(fn)
            if len(seen) == 1:
                await later.wait()
            found = await write(fn)
            later.set()
            return found

        monkeypatch.setattr(store, "write", changing_places)
        account.set_health(Health.RETRYING, "it does not answer")
        account.set_health(Health.READY, "")
        await company.until(lambda: len(seen) == 2 and later.is_set())
        monkeypatch.undo()
        await store.write(lambda _: None)
        [row] = store.read_now(lambda conn: projects.list_connections(conn, services.cipher, PROJECT))
        assert row.status is Status.READY


async def test_who_got_a_turn_waits_for_no_connection(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """X6: while a CRM hangs all leave in their turn; those that waited further would overrun it when it is back."""
    sandbox, address = amocrm
    async with connected(tmp_path, *amocrm) as company:
        company.account.pacer.LONGEST = timedelta(milliseconds=50)
        sandbox.switch(limit_per_second=None)
        sandbox.fail_next("GET", "/api/v4/account", exact=True, kind="hang", count=30)
        headers, http = {"Authorization": f"Bearer {sandbox.long_lived_token()}"}, company.account.context.http
        asking = [asyncio.create_task(http.get(f"{address}/api/v4/account", headers=headers)) for _ in range(30)]
        await until(lambda: sandbox.stats()["faults"].get("hang") == 30)
        sandbox.clear_faults()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(one) for one in ended} == {httpx.RemoteProtocolError}, "none of them had an answer before"
