"""Exactly once, whatever dies when (H3, X5): the hub is killed at every checkpoint and at random moments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.engine.checkpoints import CHECKPOINTS
from tests.end_to_end.crash_run import crash_often
from tests.end_to_end.crash_world import Timing, calling, crash_world, judge

pytestmark = pytest.mark.crash

#: all times that concern doubt are divided by it; `docs/guarantees.md` tells of a run with the full times
FACTOR = 10


@pytest.mark.timeout(900)
async def test_every_accepted_call_is_applied_once_whenever_the_hub_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X5: SIGKILL at every checkpoint and at random, answers lost, requests applied late, webhooks told twice."""
    async with crash_world(tmp_path, Timing(factor=FACTOR)) as world:
        report = await crash_often(world)
        records = await world.crm.records()
        stats = (await world.crm.http.get(f"{world.crm.address}/_sandbox/stats")).json()
    verdict = judge(records, world.caller.accepted.values(), world.caller.unanswered.values())
    with capsys.disabled():
        print(f"\ncrash test: {json.dumps(report)}")  # noqa: T201 - the run has to report its counts
    assert verdict.lost == []
    assert verdict.doubled == []
    assert world.attention() == []
    assert report["kills_with_a_step_sent"] >= 100
    assert set(report["kills_at"]) >= set(CHECKPOINTS)
    assert stats["violations"] == 0


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
