"""The demo as a newcomer runs it: which day it plays, and that nothing of it outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from hub.cli import app
from hub.commands.demo import demo
from hub.demo.channels import asking_calls
from hub.demo.play import DemoOptions
from hub.demo.stage import DemoStopped
from hub.demo.traffic import generate, last_working_day
from hub.errors import Unavailable

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


def test_each_clients_first_contact_of_the_day_is_asked_about() -> None:
    """R2: what a question is answered must not depend on how far the hub is with the same client's other contacts."""
    day = generate(calls=150).to_record()
    asking = asking_calls(day)
    calls = [call for call in day["calls"] if call["id"] in asking]
    assert len(calls) == len(asking) > 50
    assert all(call["direction"] == "in" and call["kind"] == "client" for call in calls)
    numbers = [call["client_number"] for call in calls if call["client_number"]]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & {one["client_number"] for one in [*day["chats"], *day["messages"]]}
    # hidden numbers are asked about too, and nobody is rung for them
    assert [call for call in calls if not call["client_number"]]


STOPS = [
    # the command's words                          what is wrong                    what to do
    (["--data", "FOLDER"], "holds a hub already", "name an empty folder"),
    (["--preset", "nobody"], "no preset 'nobody'", "there are car-dealer"),
    (["--channel", "nobody"], "no channel 'nobody'", "there are ringostat, jivo, wazzup"),
    (["--crm", "nobody"], "no CRM 'nobody'", "there are amocrm, zoho, retailcrm"),
]


@pytest.mark.parametrize(("words", "wrong", "remedy"), STOPS, ids=lambda value: None)
def test_what_stops_the_demo_is_told_in_a_sentence(words: list[str], wrong: str, remedy: str, tmp_path: Path) -> None:
    """H11: what is wrong and what to do, exit status 1, no traceback."""
    (tmp_path / "hub.db").touch()
    chosen = [str(tmp_path) if word == "FOLDER" else word for word in words]
    told = CliRunner().invoke(app, ["demo", "--once", "--port", "0", "--crm", "zoho", *chosen])
    assert told.exit_code == 1
    assert wrong in told.stderr
    assert remedy in told.stderr
    assert "Traceback" not in told.output


FAILURES: list[tuple[Exception, str]] = [
    (DemoStopped("the sandbox refused"), "the sandbox refused"),
    (ExceptionGroup("both", [DemoStopped("the first"), DemoStopped("the second")]), "the first"),
    (Unavailable("amoCRM cannot be reached"), "amoCRM cannot be reached"),
    (TimeoutError(), "something took too long; the machine may be too busy"),
    (httpx.ReadTimeout(""), "something took too long; the machine may be too busy"),
    (OSError(98, "address already in use"), "[Errno 98] address already in use; is the port taken? --port 0"),
    (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero; HUB_LOG_LEVEL=debug"),
]


@pytest.mark.parametrize(("error", "sentence"), FAILURES, ids=lambda value: type(value).__name__)
def test_whatever_fails_during_the_day_is_told_in_a_sentence(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("hub.commands.demo.play", fails)
    with pytest.raises(typer.Exit) as stopped:
        demo(DemoOptions())
    assert stopped.value.exit_code == 1
    assert f"error the demo stopped: {sentence}" in capsys.readouterr().err
