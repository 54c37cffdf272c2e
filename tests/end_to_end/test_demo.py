"""The demo as a newcomer runs it: which day it plays, and that nothing of it outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import httpx
import pytest

from hub.demo.traffic import generate, last_working_day

#: starts one sandbox as the demo does, tells its address, and lives on
_PARENT = """
import asyncio
from hub.demo.stage import sandbox_process

async def main():
    async with sandbox_process("hub_jivo.sandbox", "--port", "0") as address:
        print(address, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""

DAYS = [
    # the moment, in UTC                             the day that is over for a company in Kyiv
    (datetime(2026, 11, 20, 12, 0, tzinfo=UTC), date(2026, 11, 19)),  # a Friday at noon
    (datetime(2026, 11, 19, 21, 30, tzinfo=UTC), date(2026, 11, 18)),  # 23:30 there: Thursday goes on
    (datetime(2026, 11, 19, 22, 30, tzinfo=UTC), date(2026, 11, 19)),  # 00:30 there: Thursday is over
    (datetime(2026, 11, 21, 9, 0, tzinfo=UTC), date(2026, 11, 20)),  # Saturday
    (datetime(2026, 11, 22, 9, 0, tzinfo=UTC), date(2026, 11, 20)),  # Sunday
    (datetime(2026, 11, 23, 9, 0, tzinfo=UTC), date(2026, 11, 20)),  # Monday
]


@pytest.mark.parametrize(("now", "played"), DAYS, ids=lambda value: f"{value:%a-%d-%H%M}")
def test_the_day_played_is_a_working_day_that_is_over(now: datetime, played: date) -> None:
    """Nothing of it lies ahead, whatever the hour, and the company is open on it."""
    assert last_working_day(now) == played
    record = generate(day=last_working_day(now), calls=20).to_record()
    moments = [*(call["ended_at"] for call in record["calls"]), *(chat["at"] for chat in record["chats"])]
    assert max(datetime.fromisoformat(moment) for moment in moments) < now


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: str(how.name))
def test_a_sandbox_does_not_outlive_who_started_it(how: signal.Signals) -> None:
    """Killed at once, or by a signal that nobody handles: its children end with it."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as told:
        try:
            address = told.readline().strip()
            assert _answers(address)
        finally:
            os.kill(parent.pid, how)
            parent.wait()
    end = time.monotonic() + 30
    while _answers(address):
        assert time.monotonic() < end, "the sandbox lives on"
        time.sleep(0.05)


def _answers(address: str) -> bool:
    try:
        httpx.get(address, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
