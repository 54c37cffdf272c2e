"""One project's flood, or dead CRM, keeps no other waiting: projects take turns (H4, H8)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from hub.clock import FakeClock
from hub.core.interaction import ClientId
from hub.ports import RawRequest
from hub.store import inbox, interactions
from hub.store.engine import Store
from hub.store.interactions import JournalFilter
from hub.store.turns import Turns
from hub.store.work import Lane
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CHANNEL, PROJECT, World, connect_services, prepare_services, preset, world

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def lane(project: str, client: int) -> Lane:
    return Lane(client_id=ClientId(f"c{client}"), connection="crm", project=project)


def test_who_has_little_waits_for_one_of_each_and_not_for_a_flood() -> None:
    waiting: Turns[Lane] = Turns(lambda lane: lane.project)
    for client in range(1000):
        waiting.append(lane("flood", client))
    waiting.append(lane("shop", 1))
    waiting.append(lane("bank", 1))
    waiting.append(lane("shop", 2))
    taken = [waiting.popleft() for _ in range(6)]
    assert [one.project for one in taken] == ["flood", "shop", "bank", "flood", "shop", "flood"]
    assert [one.client_id for one in taken if one.project == "flood"] == ["c0", "c1", "c2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9))))
def test_whatever_waits_comes_out_once_and_in_its_owners_order(items: list[tuple[str, int]]) -> None:
    waiting: Turns[tuple[str, int]] = Turns(lambda item: item[0])
    for item in items:
        waiting.append(item)
    distinct = list(dict.fromkeys(items))
    assert len(waiting) == len(distinct)
    assert all(item in waiting for item in distinct)
    if distinct:
        waiting.remove(distinct[0])
        assert distinct.pop(0) not in waiting
    taken = []
    while waiting:
        taken.append(waiting.popleft())
    assert sorted(taken) == sorted(distinct)
    for owner in "abc":
        assert [item for item in taken if item[0] == owner] == [item for item in distinct if item[0] == owner]


@pytest.fixture
def store(database_url: str) -> Store:
    return Store(database_url, clock=FakeClock(NOW))


def test_of_several_projects_each_has_its_share_read(store: Store) -> None:
    """In the order in which they came; whose rows are being read already is left out."""

    def put(conn: Connection, project: str, count: int) -> None:
        requests = [RawRequest(method="POST", body=b"%d" % number, received_at=NOW) for number in range(count)]
        inbox.add_many(conn, project=project, channel="c", kind="hook", requests=requests)

    with store:
        store.write_now(lambda conn: put(conn, "flood", 500))
        store.write_now(lambda conn: put(conn, "shop", 3))
        found = store.read_now(lambda conn: inbox.unread_by_project(conn, share=16))
        assert {project: len(rows) for project, rows in found.items()} == {"flood": 16, "shop": 3}
        for rows in found.values():
            assert [row.request.body for row in rows] == [b"%d" % number for number in range(len(rows))]
        assert set(store.read_now(lambda conn: inbox.unread_by_project(conn, share=16, but_not={"flood"}))) == {"shop"}
        if store.is_sqlite:
            plan = store.read_now(
                lambda conn: conn.execute(
                    text("EXPLAIN QUERY PLAN SELECT * FROM inbox WHERE status = 'new' AND project = 'x' ORDER BY id")
                ).all()
            )
            assert "inbox_waiting" in str(plan)


@pytest.mark.timeout(120)
async def test_a_call_behind_another_projects_flood_is_written_while_the_flood_is_still_read(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """The shop's one call comes last of all and is done when most of the flood is not even decided."""
    sandbox, address = amocrm
    count = 300
    async with world(tmp_path, sandbox, address) as company:
        services = company.hub.services
        prepare_services(services, address, sandbox.long_lived_token(), preset("zoho-standard"), project="flood")
        await connect_services(services, "flood")
        now = services.clock.now()
        body = "&".join(f"{name}={value}" for name, value in ANSWERED.items() if name not in ("uniqueid", "caller"))

        def put(conn: Connection) -> None:
            for number in range(count):
                raw = f"{body}&uniqueid=ua0_-7.{number}&caller=38067{3000000 + number}".encode()
                request = RawRequest(
                    method="POST",
                    query=b"moment=after",
                    headers=(("content-type", "application/x-www-form-urlencoded"),),
                    body=raw,
                    received_at=now,
                )
                inbox.add(conn, project="flood", channel=CHANNEL, kind="hook", request=request)

        await services.store.write(put)
        await company.webhook("after", ANSWERED)
        await company.until(lambda: bool(_known(company, PROJECT)))
        assert _known(company, "flood") < count / 2


def _known(company: World, project: str) -> int:
    store = company.hub.services.store
    return len(store.read_now(lambda conn: interactions.journal(conn, project, JournalFilter(), limit=1000)))
