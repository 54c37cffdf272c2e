"""Exactly once, whatever dies when (H3, X5): the hub is killed at every checkpoint and at random moments."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox, serve

from hub.compose import Hub
from hub.engine.checkpoints import CHECKPOINTS
from hub.runtime.importer import mark_imported
from hub.settings import Settings
from hub.store import projects
from tests.end_to_end.crash_run import crash_worlds
from tests.end_to_end.crash_world import Timing, calling, crash_world, judge
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, connect, prepare, preset

pytestmark = pytest.mark.crash

#: all times that concern doubt are divided by it; `docs/guarantees.md` tells of a run with the full times
FACTOR = 10


@pytest.mark.timeout(900)
async def test_every_accepted_call_is_applied_once_whenever_the_hub_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X5: SIGKILL at every checkpoint and at random, answers lost, requests applied late, webhooks told twice."""
    outcome = await crash_worlds(tmp_path, Timing(factor=FACTOR), worlds=3)
    report = outcome.report
    with capsys.disabled():
        print(f"\ncrash test: {json.dumps(report)}")  # noqa: T201 - the run has to report its counts
    assert outcome.lost == []
    assert outcome.doubled == []
    assert outcome.attention == []
    assert report["kills_with_a_step_sent"] >= 100
    assert set(report["kills_at"]) >= set(CHECKPOINTS)
    assert outcome.violations == 0


@pytest.mark.timeout(240)
async def test_without_the_check_of_doubts_the_judge_sees_doubles(tmp_path: Path) -> None:
    """X5: the crash test can fail; the in-doubt check is what makes it pass."""
    timing = Timing(factor=FACTOR)
    async with crash_world(tmp_path, timing, late_probability=0.0, believes_nothing=True) as world:
        async with calling(world.caller, per_second=4):
            for _ in range(8):
                await world.kill_at("writer.answered")
        await world.settle(60)
        records = await world.crm.records()
    verdict = judge(records, world.caller.accepted.values(), world.caller.unanswered.values())
    assert verdict.doubled != []


@pytest.mark.timeout(120)
def test_the_command_itself_dies_at_the_ordered_moment_and_goes_on_afterwards(tmp_path: Path) -> None:
    """H3: the same with `hub run` as people start it: killed as soon as a webhook is stored, applied by the next."""
    environment = {
        "PATH": os.environ["PATH"],
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIRECTORY": str(tmp_path / "var"),
        "HUB_LOG_LEVEL": "warning",
    }
    with serve(Sandbox()) as (sandbox, address):
        hub = Hub(Settings(environment="development", data_directory=tmp_path / "var"))
        try:
            prepare(hub, address, sandbox.long_lived_token(), preset("zoho-standard"))
            asyncio.run(connect(hub))
            mark_imported(hub.services.directory, PROJECT, CRM, hub.services.clock.now())
            channel = hub.services.store.read_now(
                lambda conn: projects.find_channel(conn, hub.services.cipher, PROJECT, CHANNEL)
            )
        finally:
            hub.services.close()
        assert channel is not None
        path = f"/hooks/{PROJECT}/{CHANNEL}/{channel.secret}?moment=after"
        with running(environment | {"HUB_CRASH_AT": "writer.marked_sent"}) as (process, port):
            answer = httpx.post(f"http://127.0.0.1:{port}{path}", json=ANSWERED, trust_env=False)
            assert answer.is_success
            assert process.wait(60) == -signal.SIGKILL
        assert sandbox.records()["leads"] == []
        with running(environment) as (process, port):
            answer = httpx.post(f"http://127.0.0.1:{port}{path}", json=OTHER, trust_env=False)
            assert answer.is_success
            end = time.monotonic() + 60
            while len(sandbox.records()["tasks"]) < 1 and time.monotonic() < end:
                time.sleep(0.1)
            # the second client's call is done at once; the first's waits until it may be looked for
            assert [len(sandbox.records()[kind]) for kind in ("contacts", "leads", "tasks")] == [1, 1, 1]


OTHER = ANSWERED | {"uniqueid": "ua0_-2.2", "caller": "380507654321"}


@contextmanager
def running(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """``hub run`` on a free port, until the block ends."""
    command = [sys.executable, "-c", "from hub.cli import main; main()", "run", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://[^:]+:(\d+)", line)
            assert found is not None, line
            yield process, int(found[1])
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)
