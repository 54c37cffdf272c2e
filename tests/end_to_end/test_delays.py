"""Two quick interactions of each of several clients while everything in the hub is late (H3, X5): nothing is doubled.

For more: ``HUB_TEST_DELAYS="seeds=1,2,3 clients=20 presets=zoho-standard,car-dealer restarts=2"``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import Connection

from hub.runtime.services import Services
from hub.store import policies, projects, work
from tests.end_to_end.delays import Delays, delayed, doubles
from tests.end_to_end.test_doubt import FAST
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CHANNEL, PROJECT, World, preset, world

ASKED = dict(part.split("=", 1) for part in os.environ.get("HUB_TEST_DELAYS", "").split())
SEEDS = [int(seed) for seed in ASKED.get("seeds", "1").split(",")]
PRESETS = ASKED.get("presets", "zoho-standard").split(",")
CLIENTS, RESTARTS = int(ASKED.get("clients", "6")), int(ASKED.get("restarts", "0"))

MISSED = ANSWERED | {"disposition": "NO ANSWER", "billsec": "0", "has_recording": "0", "recording_wav": ""}
#: another number of the company, with a telephony project of its own
OTHER = "other"
#: the chat on its site
SITE = "site"
CHATS = """
[[matrix]]
name = "chat"
when = { kind = "chat" }
deal = "create"

"""


async def call_twice(company: World, delays: Delays, number: int) -> None:
    """A client's two calls, two seconds apart at most, mostly less; the first may be rated meanwhile."""
    chance, phone = delays.chance, f"38050{number:07d}"
    kinds = [(MISSED, ANSWERED), (ANSWERED, ANSWERED), (MISSED, MISSED), (ANSWERED, MISSED)]
    first, second = chance.choice(kinds)
    channel = chance.choice([CHANNEL, OTHER])
    pause, is_rated = chance.random() ** 4 * 2, chance.random() < 0.5
    await asyncio.sleep(chance.random() * CLIENTS / 4)
    first = first | {"uniqueid": f"ua0_-{number}.1", "caller": phone}
    await company.webhook("after", first)
    await asyncio.sleep(pause)
    # the same number as the other telephony writes it
    await company.webhook("after", second | {"uniqueid": f"ua0_-{number}.2", "caller": f"0{phone[3:]}"}, channel)
    if is_rated:
        await asyncio.sleep(chance.random())
        await company.webhook("rating", first | {"category_number": "2", "employee_mark": "5"})


def of_site(number: int, phone: str, event: str, **more: Any) -> dict[str, Any]:
    """What Jivo tells of a chat of the client who calls from ``phone`` later."""
    visitor = {"name": f"Марія {number}", "phone": f"0{phone[3:]}", "number": f"{number}"}
    return {"event_name": event, "widget_id": "aB3xYz9Q", "chat_id": 48000 + number, "visitor": visitor, **more}


async def chat_and_call(company: World, delays: Delays, number: int) -> None:
    """A client writes on the site and calls while the chat ends, or a moment later."""
    chance, phone = delays.chance, f"38050{number:07d}"
    await asyncio.sleep(chance.random() * CLIENTS / 4)
    accepted = of_site(number, phone, "chat_accepted", agent={"id": "3141", "name": "Олег Громов"})
    said = {"message": "Чи є в наявності?", "timestamp": 1785312345, "type": "visitor"}
    reply = {"message": "Так", "timestamp": 1785312380, "type": "agent", "agent_id": 3141}
    agents = [{"id": "3141", "name": "Олег Громов"}]
    ended = of_site(number, phone, "chat_finished", agents=agents, chat={"messages": [said, reply], "rate": None})
    await company.webhook("", accepted, SITE)
    await asyncio.sleep(chance.random() ** 4 * 2)
    call = chance.choice([MISSED, ANSWERED]) | {"uniqueid": f"ua0_-{number}.1", "caller": phone}
    first, second = chance.choice([((call, CHANNEL), (ended, SITE)), ((ended, SITE), (call, CHANNEL))])
    await company.webhook("after", *first)
    await asyncio.sleep(chance.random() ** 4 * 2)
    await company.webhook("after", *second)


async def restart(company: World, text: str, times: int) -> None:
    """Publish a policy so many times: the writer begins anew, whatever is on its way (DESIGN 6)."""
    services = company.hub.services
    for number in range(times):
        await asyncio.sleep(CLIENTS / 4 / times)
        said, now = f"{text}\n# {number}\n", services.clock.now()
        based_on = services.projects.get(PROJECT).policy_version
        await services.store.write(
            lambda conn, said=said, now=now, based_on=based_on: policies.publish(  # type: ignore[misc]
                conn, PROJECT, text=said, author="test", based_on=based_on, now=now
            )
        )
        await services.projects.reload()
        services.changed()


def add_channels(conn: Connection, services: Services) -> None:
    now = services.clock.now()
    for name, source in ((OTHER, "ringostat"), (SITE, "jivo")):
        projects.add_channel(conn, services.cipher, project=PROJECT, name=name, source=source, settings={}, now=now)


@pytest.mark.parametrize("chosen", PRESETS)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("come", [call_twice, chat_and_call])
async def test_nothing_is_doubled_however_late_everything_is(
    tmp_path: Path,
    amocrm: tuple[Sandbox, str],
    come: Callable[[World, Delays, int], Coroutine[Any, Any, None]],
    seed: int,
    chosen: str,
) -> None:
    """H3, X5, A3, A14, J1: a race needs one thing to be late, and another not."""
    text = preset(chosen).replace('on = "none"', 'on = "contact"').replace("[[matrix]]", f"{CHATS}[[matrix]]", 1) + FAST
    async with world(tmp_path, *amocrm, policy=text) as company:
        services = company.hub.services
        await services.store.write(lambda conn: add_channels(conn, services))
        await services.projects.reload()
        async with delayed(company.hub, seed) as delays:
            async with asyncio.TaskGroup() as group:
                group.create_task(restart(company, text, RESTARTS))
                for number in range(CLIENTS):
                    group.create_task(come(company, delays, number))
            await company.settled(2 * CLIENTS, 180)
        await company.until(lambda: company.unread() == 0)
        await company.settled(2 * CLIENTS)
        assert doubles(company.records()) == []
        assert len(company.records()["contacts"]) == CLIENTS
        found = await services.store.read(work.count_states)
        assert {state for _, state in found} == {"finished"}, found
