"""A lane that cannot be decided gives its interaction up and goes on (H4); a paused one waits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import select, update

from hub.core.remark import remarks
from hub.store import projects, schema, work
from tests.end_to_end.world import CRM, PROJECT, preset, world
from tests.runtime.test_replay import ANSWERED, MISSED, OLEG, call, over, replay

pytestmark = pytest.mark.usefixtures("each_engine")

SLOW_TO_SETTLE = preset("car-dealer") + '[timing]\nsettle = "1 s"\n'


async def test_what_cannot_be_decided_needs_attention_and_the_next_one_goes_on(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H4: after some attempts it is on the list with its reason; mended and replayed it is done, once."""
    table = schema.interaction
    async with world(tmp_path, *amocrm, policy=SLOW_TO_SETTLE) as company:
        store = company.hub.services.store
        company.hub.lanes.PAUSE = timedelta(milliseconds=5)
        await company.webhook("after", call(1, 1, 1, MISSED))
        await company.until(lambda: bool(store.read_now(lambda conn: conn.execute(select(table.c.id)).all())))
        id, body = store.read_now(lambda conn: conn.execute(select(table.c.id, table.c.body)).one())
        await store.write(lambda conn: conn.execute(update(table).values(body=b"{}")))
        await company.until(lambda: bool(store.read_now(lambda conn: work.attention(conn, PROJECT))))
        [item] = store.read_now(lambda conn: work.attention(conn, PROJECT))
        assert [part.code for part in remarks(item.note) if not isinstance(part, str)] == ["undecidable"]
        await company.webhook("after", call(2, 1, 5, ANSWERED, OLEG))
        await company.settled(2)
        assert len(company.calls()) == 1
        await store.write(lambda conn: conn.execute(update(table).where(table.c.id == id).values(body=body)))
        assert replay(company, write=True).opened == 1
        await over(company)
        assert len(company.calls()) == 2
        assert store.read_now(lambda conn: work.get(conn, id, CRM)).state is work.WorkState.FINISHED  # type: ignore[union-attr]


async def test_a_paused_project_takes_calls_in_and_writes_each_once_when_it_goes_on(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3, H12: neither what waits to be sent nor what comes meanwhile reaches the CRM, and nothing of it is lost."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        services = company.hub.services

        async def pause(is_paused: bool) -> None:
            await services.store.write(lambda conn: projects.change_project(conn, PROJECT, is_paused=is_paused))
            await services.projects.reload()
            services.changed()

        # the first call's deal waits for the vendor's patience when the project is paused
        company.sandbox.fail_next("POST", "/api/v4/leads/complex", kind="throttle")
        await company.webhook("after", call(1, 1, 1, ANSWERED, OLEG))
        await company.until(lambda: bool(company.sandbox.stats()["faults"]))
        await pause(True)
        await company.webhook("after", call(2, 2, 2, ANSWERED, OLEG))
        await company.until(lambda: company.unread() == 0)
        # what is asked for the set-up keeps to the vendor's patience too: once it is through, the deal could have gone
        await services.accounts[PROJECT, CRM].session.catalogue()
        await company.quiet()
        assert (company.records()["leads"], company.calls()) == ([], [])
        await pause(False)
        await company.settled(2)
        assert [len(company.records()[kind]) for kind in ("contacts", "leads", "tasks")] == [2, 2, 2]
        assert len(company.calls()) == 2
