"""A directory that is lost or far behind is never taken for the CRM.

On SQLite only, for on PostgreSQL its truth lies in the database (H9).
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox, SandboxConfig, serve
from sqlalchemy import Connection, select, update

from hub.compose import Hub
from hub.core.records import Deal, RecordKind, RecordRef, Task
from hub.ports import Changes
from hub.runtime.account import Account
from hub.settings import Settings
from hub.store import schema
from hub.store.directory import Directory
from hub.store.directory_file import load_record
from tests.end_to_end.test_doubt import once, policy
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import World, world


async def test_a_lost_directory_is_not_taken_for_an_empty_crm(tmp_path: Path) -> None:
    """DESIGN 3: the directory can be rebuilt; until it is, the CRM is asked, and no old client is made again."""
    days = timedelta(days=3).total_seconds()
    with serve(Sandbox(SandboxConfig(start_at=time.time() - days))) as (sandbox, address):
        sandbox.person("create_contact", name="Old client", phone="380501112233", responsible_user_id=8800102)
        sandbox.advance(days)
        async with world(tmp_path, sandbox, address, policy=policy()):
            pass
        for file in (tmp_path / "var").glob("directory.db*"):
            file.unlink()
        # the import cannot begin for a while
        sandbox.fail_next("GET", "/api/v4/events", kind="throttle", count=3)
        hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
        async with hub:
            company = World(hub=hub, sandbox=sandbox, address=address)
            await company.webhook("after", ANSWERED)
            await company.settled(1)
        once(company)


async def test_a_client_made_by_hand_while_the_hub_was_down_is_not_made_again_before_the_first_poll(
    tmp_path: Path,
) -> None:
    """X5, A1: a barrier reads from where the directory ends, however long ago the hub went down (DESIGN 2)."""
    hours = timedelta(hours=3).total_seconds()
    with serve(Sandbox(SandboxConfig(start_at=time.time() - hours - 60))) as (sandbox, address):
        async with world(tmp_path, sandbox, address, policy=policy()) as company:
            directory = company.hub.services.directory
            await company.until(lambda: directory.as_of("auto", "amocrm") is not None)
        with sqlite3.connect(tmp_path / "var" / "directory.db") as file:
            file.execute("UPDATE account SET as_of = as_of - ?", (int((hours + 60) * 1e6),))
        sandbox.advance(30)
        sandbox.person("create_contact", name="Walk-in", phone="380501112233", responsible_user_id=8800102)
        sandbox.advance(hours + 30)
        # the first poll gets no answer in time
        sandbox.fail_next("GET", "/api/v4/events", kind="hang", count=5)
        hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
        async with hub:
            company = World(hub=hub, sandbox=sandbox, address=address)
            await company.webhook("after", ANSWERED)
            await company.settled(1)
        once(company)


def one_year_ago(conn: Connection) -> None:
    """Let every step have ended a year ago."""
    for id, ended in conn.execute(select(schema.step.c.id, schema.step.c.ended_at)).all():
        change = update(schema.step).where(schema.step.c.id == id)
        conn.execute(change.values(ended_at=ended - timedelta(days=365)))


async def test_a_lost_directory_does_not_take_a_year_old_deal_of_the_hubs_for_an_open_one(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """A1, H6: what the hub did long ago is not what is; a deal that was closed since gets no more calls."""
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        await company.hub.services.store.write(one_year_ago)
        [lead] = company.records()["leads"]
        company.sandbox.person("close_lead", id=lead["id"])
    for file in (tmp_path / "var").glob("directory.db*"):
        file.unlink()
    # neither the import nor the feed tells anything for a while
    company.sandbox.fail_next("GET", "/api/v4/events", kind="hang", count=5)
    hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
    async with hub:
        company = World(hub=hub, sandbox=company.sandbox, address=company.address)
        await company.until(lambda: ("auto", "amocrm") in hub.services.feeds)
        assert not hub.services.directory.count_open_deals("auto", "amocrm")
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-2.2"})
        await company.settled(2)
    assert [len(company.records()[kind]) for kind in ("contacts", "leads")] == [1, 2]


async def test_effects_are_replayed_many_in_one_transaction_and_end_as_one_by_one(tmp_path: Path) -> None:
    """H4: a thousand steps of a lost hour cost a handful of transactions, and the last word of each record stays."""
    noon = datetime(2026, 7, 29, 12, tzinfo=UTC)
    effects: list[tuple[datetime, Changes]] = []
    for number in range(1000):
        at, id = noon + timedelta(seconds=number), str(number % 400)
        deal = Deal(id=id, name=f"{number}", pipeline_id="1", stage_id="2", contact_ids=(id,))
        task = Task(id=str(number), text=f"{number}", on=RecordRef(kind=RecordKind.DEAL, id=id))
        effects.append((at, Changes(deals=(deal,), tasks=(task,) if number % 3 else ())))
        if number % 5 == 0:
            effects.append((at, Changes(deleted=(RecordRef(kind=RecordKind.TASK, id=str(number // 2)),))))
    effects.append((noon + timedelta(hours=1), Changes(touched=(RecordRef(kind=RecordKind.DEAL, id="7"),))))
    found, writes = [], []
    for one_by_one in (True, False):
        with Directory(tmp_path / f"{one_by_one}.db") as directory:
            nothing: Any = None
            account = Account(
                project="auto",
                name="amocrm",
                sink="amocrm",
                session=nothing,
                context=nothing,
                transport=nothing,
                capabilities=nothing,
                pacer=nothing,
                directory=directory,
                clock=nothing,
                on_health=nothing,
                names=nothing,
            )
            if one_by_one:
                for at, changes in effects:
                    await account.fold_own(changes, at)
            else:
                await account.fold_effects(effects, noon)
            rows = directory.rows_after("auto", "amocrm", (0, ""), 5000)
            # what lies there, without the moments at which it was put there
            found.append(
                [
                    (kind, id, body and replace(load_record(kind, body), updated_at=None))
                    for kind, id, _, _, body in rows
                ]
            )
            writes.append(directory.writes)
            assert account.folded_until() == effects[-1][0]
            assert [ref.id for ref in directory.touched("auto", "amocrm")] == ["7"]
    assert found[0] == found[1]
    assert writes[0] == 1200
    assert writes[1] < 30
