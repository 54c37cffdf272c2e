"""A directory that is lost or far behind is never taken for the CRM.

On SQLite only, for on PostgreSQL its truth lies in the database (H9).
"""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from hub_amocrm.sandbox import Sandbox, SandboxConfig, serve

from hub.compose import Hub
from hub.settings import Settings
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
