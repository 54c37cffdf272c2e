"""Turns through the real store: fifty clients who decide at once, capacity, a restart (J3, W3, DESIGN 1)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.compose import Hub
from hub.core.records import EmployeeId
from hub.settings import Settings
from hub.store import decisions, interactions, rota
from tests.end_to_end import pigeon
from tests.end_to_end.pigeon import send
from tests.end_to_end.world import CRM, PROJECT, World, preset, world

pytestmark = pytest.mark.usefixtures("each_engine")

POLICY = preset("wazzup-messengers")


@pytest.fixture(autouse=True)
def pigeons(monkeypatch: pytest.MonkeyPatch) -> None:
    pigeon.install(monkeypatch)


def shares(hub: Hub) -> Counter[EmployeeId | None]:
    """How many clients each employee has by the decisions that hold."""
    store = hub.services.store
    known = store.read_now(lambda conn: interactions.journal(conn, PROJECT, limit=1000))
    found = store.read_now(lambda conn: [decisions.latest(conn, one.id, CRM) for one in known])
    return Counter(one.plan.responsible for one in found if one is not None)


async def clients_write(company: World, numbers: range) -> None:
    """Each of so many new clients one message, all at once."""
    await asyncio.gather(*(send(company, f"m{n}", phone=f"+7916{n:07}", text="Hello") for n in numbers))


async def test_fifty_clients_at_once_are_shared_out_evenly_and_a_restart_forgets_no_turn(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J3, W3: each decision advances the turns from the state that it saw, or decides again."""
    async with world(tmp_path, *amocrm, policy=POLICY, mode="shadow") as company:
        await pigeon.open_channel(company)
        await clients_write(company, range(50))
        await company.settled(50)
        assert sorted(shares(company.hub).values()) == [16, 17, 17]
        assert company.hub.services.store.read_now(lambda conn: rota.load(conn, PROJECT))[1] == 50
    hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
    async with hub:
        again = World(hub=hub, sandbox=amocrm[0], address=amocrm[1])
        await send(again, "m50", phone="+79169999999", text="Hello")
        await again.settled(51)
        assert sorted(shares(hub).values()) == [17, 17, 17]


async def test_nobody_is_filled_beyond_their_capacity_however_many_decide_at_once(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J3: what is being made counts before the CRM shows it; who is full is passed over, the rest go to the senior."""
    policy = POLICY.replace('id = "irina"\n', 'id = "irina"\nreceives_new = false\n')
    policy = policy.replace('id = "oleg"\n', 'id = "oleg"\ncapacity = 4\n').replace(
        'id = "anna"\n', 'id = "anna"\ncapacity = 2\n'
    )
    async with world(tmp_path, *amocrm, policy=policy) as company:
        await pigeon.open_channel(company)
        await clients_write(company, range(10))
        await company.settled(10)
        assert shares(company.hub) == {"oleg": 4, "anna": 2, "irina": 4}
        assert company.hub.services.directory.count_open_deals(PROJECT, CRM) == {
            "@8800102": 4,
            "@8800103": 2,
            "@8800101": 4,
        }


async def test_unanswered_chats_may_be_what_counts(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """J3: who answers has room again."""
    policy = POLICY.replace("[assignment]\n", '[assignment]\nload = "unanswered_chats"\n')
    policy = policy.replace('id = "irina"\n', 'id = "irina"\nreceives_new = false\n')
    policy = policy.replace('id = "anna"\n', 'id = "anna"\nreceives_new = false\n')
    policy = policy.replace('id = "oleg"\n', 'id = "oleg"\ncapacity = 1\n')
    async with world(tmp_path, *amocrm, policy=policy, mode="shadow") as company:
        await pigeon.open_channel(company)
        for number, expected in ((1, {"oleg": 1}), (2, {"oleg": 1, "irina": 1})):
            await clients_write(company, range(number, number + 1))
            await company.settled(number)
            assert shares(company.hub) == expected
        await send(company, "reply", phone="+79160000001", by="examplecom_oleg", text="Hello")
        await company.settled(3)
        await clients_write(company, range(3, 4))
        await company.settled(4)
        # his reply counts for him too
        assert shares(company.hub) == {"oleg": 3, "irina": 1}
