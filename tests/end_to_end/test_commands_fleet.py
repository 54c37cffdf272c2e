"""Commands beside a hub on PostgreSQL know what its workers know of the CRMs, whose copies they do not have (H9)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from typer.testing import CliRunner, Result

from hub.cli import app
from hub.runtime.feeds import feed_cursor
from hub.store import cluster
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CRM, PROJECT, World, world

pytestmark = pytest.mark.parametrize(
    "each_engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
OLD_CLIENT = "380507776655"


async def typed(company: World, *words: str) -> Result:
    """A command on the same machine; the hub goes on meanwhile."""
    settings = company.hub.services.settings
    environment = {"HUB_ENVIRONMENT": "development", "HUB_DATA_DIRECTORY": str(settings.data_directory)}
    return await asyncio.to_thread(CliRunner(env=environment).invoke, app, list(words))


async def test_every_command_that_looks_at_the_crm_sees_what_the_hub_sees(
    tmp_path: Path, amocrm: tuple[Sandbox, str], each_engine: None
) -> None:
    """H12, X1, X2, X12, X13: a client whom only the CRM told of is no new client to any of them."""
    sandbox, address = amocrm
    async with world(tmp_path, sandbox, address) as company:
        services = company.hub.services
        await company.until(lambda: bool(feed_cursor(services.accounts[PROJECT, CRM])))
        sandbox.person("create_contact", name="Old", phone=OLD_CLIENT, responsible_user_id=8800102)
        services.feeds[PROJECT, CRM].poll_soon()
        await company.until(lambda: bool(services.directory.counts(PROJECT, CRM)))
        await company.webhook("after", ANSWERED | {"caller": OLD_CLIENT})
        await company.settled(1)

        tried = await typed(company, "test-call", OLD_CLIENT, "--json")
        assert tried.exit_code == 0, tried.output
        [deal] = company.records()["leads"]
        assert str(deal["id"]) in tried.output, "the deal that the hub has made is found"
        assert "create_contact" not in tried.output

        told = await typed(company, "explain", ANSWERED["uniqueid"], "--json")
        assert (told.exit_code, json.loads(told.output)["interaction"] != {}) == (0, True)

        looked = await typed(company, "replay", ANSWERED["uniqueid"], "--json")
        assert looked.exit_code == 0, looked.output

        joins: Any = json.loads((await typed(company, "clients", "joins", "--json")).output)
        assert joins == []
        compared = await typed(company, "shadow", "--since", "7d", "--json")
        assert compared.exit_code == 0, compared.output
        checked = await typed(company, "check", "--json")
        assert {line["what"]: line["is_ok"] for line in json.loads(checked.output)}[f"CRM {PROJECT}/{CRM}"]


async def test_reading_an_account_by_hand_reaches_every_process(
    tmp_path: Path, amocrm: tuple[Sandbox, str], each_engine: None
) -> None:
    """H6: while no worker has it; one who has reads it by itself, and is not gone past."""
    sandbox, address = amocrm
    async with world(tmp_path, sandbox, address) as company:
        store = company.hub.services.store
        is_sqlite, stalled = store.is_sqlite, timedelta(seconds=8)
        if not is_sqlite:
            await company.until(
                lambda: any(peer.owns for peer in store.read_now(partial(cluster.peers, stalled=stalled)))
            )
        beside = await typed(company, "sync", "--json")
        assert (beside.exit_code, "stop the workers" in beside.output) == ((0, False) if is_sqlite else (1, True))
    sandbox.person("create_contact", name="Old", phone=OLD_CLIENT, responsible_user_id=8800102)
    alone = await typed(company, "sync", "--afresh", "--json")
    assert alone.exit_code == 0, alone.output
    assert json.loads(alone.output)["records"] >= 1
