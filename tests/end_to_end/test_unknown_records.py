"""Not to know of a record is not to know that it is gone: what the hub made is made again only if a person deleted it.

The directory may be behind (a fold that is late, a copy that is), and it can be lost, and filled again without what
the import leaves out (DESIGN 3). Each test makes it forget, as if a long time had passed since.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from hub_wazzup.sandbox import Sandbox as Wazzup
from sqlalchemy import Connection, func, select, update

from hub.compose import Hub
from hub.core.interaction import InteractionId
from hub.core.records import RecordKind, RecordRef
from hub.runtime.importer import mark_imported
from hub.store import schema, work
from tests.end_to_end.messenger_world import messenger_world
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CRM, PROJECT, World, preset, world

pytestmark = pytest.mark.usefixtures("each_engine")

RATED = ANSWERED | {"category_number": "2", "employee_mark": "5"}


def grow_old(conn: Connection) -> None:
    """Let the steps have ended an hour ago."""
    hour_ago = schema.step.c.id, schema.step.c.ended_at
    for id, ended in conn.execute(select(*hour_ago)).all():
        change = update(schema.step).where(schema.step.c.id == id)
        conn.execute(change.values(ended_at=ended - timedelta(hours=1)))


def forget(hub: Hub) -> None:
    """The directory was lost, and filled again by an import that brought nothing of what is asked for."""
    hub.services.directory.forget(PROJECT, CRM)
    mark_imported(hub.services.directory, PROJECT, CRM, hub.services.clock.now())


async def decided(company: World, count: int) -> None:
    """Wait until so many decisions are made, and everything of them is written."""
    store = company.hub.services.store
    counted = select(func.count()).select_from(schema.decision)
    await company.until(lambda: store.read_now(lambda conn: conn.execute(counted).scalar_one()) == count)
    await company.settled(1)


def sizes(company: World) -> list[int]:
    return [len(company.records()[kind]) for kind in ("contacts", "leads")]


async def test_a_revision_makes_nothing_again_of_which_the_directory_knows_nothing(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3, X5: however long ago it was made; it is read, and then the directory knows."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        await company.hub.services.store.write(grow_old)
        forget(company.hub)
        await company.webhook("rating", RATED)
        await decided(company, 2)
        assert sizes(company) == [1, 1]
        [lead] = company.records()["leads"]
        deal = RecordRef(kind=RecordKind.DEAL, id=str(lead["id"]))
        assert company.hub.services.directory.get(PROJECT, CRM, deal) is not None


async def test_a_revision_makes_again_what_a_person_deleted_a_moment_after_it_was_made(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3: a record that is known to be deleted is, however young; a deal that stays is not doubled by it."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        [lead] = company.records()["leads"]
        deal = RecordRef(kind=RecordKind.DEAL, id=str(lead["id"]))
        company.sandbox.person("delete", entity="leads", id=lead["id"])
        directory, feed = company.hub.services.directory, company.hub.services.feeds[PROJECT, CRM]
        await feed.touch([deal])
        await company.until(lambda: directory.get(PROJECT, CRM, deal) is None)
        await company.webhook("rating", RATED)
        await decided(company, 2)
        left = [one for one in company.records()["leads"] if not one["is_deleted"]]
        assert len(left) == 1
        assert left[0]["id"] != lead["id"]


async def test_a_replay_looks_up_what_its_decision_saw_before_it_takes_it_for_gone(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X13: or it would be decided on the CRM of today, as if the client's deal were gone."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        store, now = company.hub.services.store, company.hub.services.clock.now()
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-2.2"})
        await company.settled(2)
        second = max(
            store.read_now(lambda conn: conn.execute(select(schema.work.c.sequence, schema.work.c.interaction_id)))
        )
        before, purposes = sizes(company), select(schema.decision.c.purpose)
        company.sandbox.person("close_lead", id=company.records()["leads"][0]["id"])
        forget(company.hub)
        await store.write(lambda conn: work.reopen(conn, InteractionId(second[1]), CRM, now))
        await company.until(lambda: "replay" in store.read_now(lambda conn: conn.execute(purposes).scalars().all()))
        await company.settled(2)
        assert sizes(company) == before


async def test_a_messengers_client_without_a_number_stays_one_contact_though_the_directory_was_lost(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """J4, DESIGN 3: no key leads to the contact; only the hub remembers its id."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company:
        company.vendor.channel.transport = "tgapi"
        told: dict[str, Any] = {"chat_type": "telegram", "name": "Марія"}
        await company.vendor.people.client_writes("5559999", "Добрий день", **told)
        await company.settled(1)
        forget(company.hub)
        await company.vendor.people.client_writes("5559999", "Ви працюєте?", **told)
        await company.settled(2)
        assert [len(company.records(kind)) for kind in ("contacts", "leads")] == [1, 1]
