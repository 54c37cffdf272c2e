"""One pace per scope, whoever asks from whichever process (DESIGN 4, H9, X6)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel
from sqlalchemy import make_url

from hub.clock import SystemClock
from hub.errors import LeaseLost
from hub.plugins import Plugins
from hub.ports import ChannelConfig, Pace
from hub.runtime.channel_client import ChannelClients
from hub.runtime.pace import Pacer
from hub.store import cluster
from hub.store.engine import Store
from hub.store.shared_pace import FilePace, PostgresPace

LIMIT, PER = 3, 0.15


async def _ask(pacer: Pacer, times: int, moments: list[float]) -> None:
    clock = SystemClock()

    async def once() -> None:
        place = await pacer.acquire()
        pacer.sent(place)
        moments.append(clock.monotonic())
        pacer.answered(place)

    await asyncio.gather(*(once() for _ in range(times)))


def _pacers(one: FilePace | PostgresPace, other: FilePace | PostgresPace) -> list[Pacer]:
    pace = Pace(requests=LIMIT, per=timedelta(seconds=PER))
    return [Pacer(pace, SystemClock(), scope="amocrm/auto", shared=shared) for shared in (one, other)]


def _worst(moments: list[float]) -> int:
    """The most requests within one window."""
    return max(sum(1 for moment in moments if begin <= moment < begin + PER) for begin in moments)


async def test_two_processes_of_one_machine_keep_one_pace(tmp_path: Path) -> None:
    """DESIGN 4: `hub setup` and `hub check` beside a running hub take from the same window, in a file."""
    shared = [FilePace(tmp_path / "pace.db", SystemClock()) for _ in range(2)]
    moments: list[float] = []
    await asyncio.gather(*(_ask(pacer, 6, moments) for pacer in _pacers(*shared)))
    for one in shared:
        one.close()
    assert len(moments) == 12
    assert _worst(moments) <= LIMIT


async def test_the_places_of_a_killed_process_are_held_all_the_same(tmp_path: Path) -> None:
    """X6, H3: who is started after a SIGKILL knows what the one before may have on its way, and how long."""
    killed = f"""if True:
        import asyncio, os, signal
        from hub.clock import SystemClock
        from hub.store.shared_pace import FilePace
        pace = FilePace({str(tmp_path / "pace.db")!r}, SystemClock())
        taken = [asyncio.run(pace.take("amocrm/auto", 3, 100)) for _ in range(3)]
        assert all(place for place, _ in taken), taken
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", killed], check=False, timeout=60)  # noqa: ASYNC221 - nothing else runs
    assert done.returncode == -signal.SIGKILL
    one = FilePace(tmp_path / "pace.db", SystemClock())
    place, wait = await one.take("amocrm/auto", 3, 100)
    one.close()
    assert place == 0
    assert 0 < wait <= 100


@pytest.mark.postgres
async def test_processes_of_several_machines_keep_one_pace(postgres_url: str) -> None:
    """H9: the window is in PostgreSQL, and a 429 that one of them hears stops the others too."""
    url = make_url(postgres_url)
    with Store(url) as store:
        store.write_now(cluster.prepare)
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    shared = [PostgresPace(conninfo) for _ in range(2)]
    moments: list[float] = []
    pacers = _pacers(*shared)
    await asyncio.gather(*(_ask(pacer, 6, moments) for pacer in pacers))
    assert _worst(moments) <= LIMIT
    paused = SystemClock().monotonic()
    await shared[0].pause("amocrm/auto", 0.4)
    later: list[float] = []
    await _ask(pacers[1], 1, later)
    assert later[0] - paused >= 0.4
    for one in shared:
        one.close()


async def test_two_processes_ask_a_channels_vendor_at_one_pace_and_a_silent_one_not_at_all(tmp_path: Path) -> None:
    """H9, X6: what a channel's API takes in a second holds for the worker, the web and `hub recover` together."""
    arrived: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            pass
        arrived.append(SystemClock().monotonic())
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    def lost() -> None:
        raise LeaseLost("another worker has it")

    shared = [FilePace(tmp_path / "pace.db", SystemClock()) for _ in range(2)]
    channel = ChannelConfig(
        project="shop", name="phone", source="slow", settings=_NoSettings(), region="UA", time_zone="Europe/Kyiv"
    )
    plugins = cast("Plugins", _Plugins())
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        processes = [ChannelClients(plugins, SystemClock(), shared=one) for one in shared]
        await asyncio.gather(*(process(channel).get(address) for process in processes for _ in range(4)))
        silent = ChannelClients(plugins, SystemClock(), shared=shared[0], guard=lost)
        with pytest.raises(LeaseLost):
            await silent(channel).get(address)
        for process in (*processes, silent):
            await process.close()
    for one in shared:
        one.close()
    assert len(arrived) == 8
    # a place is held for a window from its answer on, so this holds where they arrive too
    assert _worst(arrived) <= LIMIT


class _NoSettings(BaseModel):
    """The channel needs none."""


class _Slow:
    pace = Pace(requests=LIMIT, per=timedelta(seconds=PER))


class _Plugins:
    """What the clients ask of the plugins: a source, and its pace."""

    def source(self, name: str) -> _Slow:
        assert name == "slow"
        return _Slow()


async def test_without_the_file_each_keeps_the_pace_for_itself(tmp_path: Path) -> None:
    """H4: a pace that cannot be shared stops nobody; where it can be again, it is."""
    shared = FilePace(tmp_path / "missing" / "pace.db", SystemClock())
    alone: list[float] = []
    pacer = _pacers(shared, shared)[0]
    await _ask(pacer, 4, alone)
    assert _worst(alone) <= LIMIT
    (tmp_path / "missing").mkdir()
    assert (await shared.take("amocrm/auto", LIMIT, 1.0))[0] > 0
    assert all(later >= earlier for earlier, later in pairwise(sorted(alone)))
    shared.close()
