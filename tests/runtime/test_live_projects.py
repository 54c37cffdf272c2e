"""The set-up as the process holds it: of several readings at once the one that knows most stays (H3, X1)."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.compose import build_services
from hub.settings import Settings
from hub.store import policies, projects
from hub.store.engine import Store

POLICY = '[project]\nregion = "UA"\ntime_zone = "Europe/Kyiv"\nlanguage = "uk"\n'


async def test_a_reading_that_was_held_up_does_not_bring_an_older_policy_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would decide every call until the next change."""
    services = build_services(Settings(environment="development", data_directory=tmp_path))
    store, now = services.store, services.clock.now()
    store.write_now(lambda conn: projects.add_project(conn, "auto", now=now))
    publish = partial(policies.publish, project="auto", author="test", now=now)
    store.write_now(lambda conn: publish(conn, text=POLICY, based_on=None))
    has_read, may_return, read = asyncio.Event(), asyncio.Event(), Store.read

    async def held_up(self: Store, *asked: Any, **how: Any) -> Any:
        found = await read(self, *asked, **how)
        has_read.set()
        await may_return.wait()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", held_up)
        slow = asyncio.create_task(services.projects.reload())
        await has_read.wait()
    store.write_now(lambda conn: publish(conn, text=f"{POLICY}# changed\n", based_on=1))
    await services.projects.reload()
    assert services.projects.get("auto").policy_version == 2
    may_return.set()
    await slow
    assert services.projects.get("auto").policy_version == 2
    services.close()
