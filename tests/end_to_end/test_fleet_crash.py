"""Exactly once over several processes and a database server that dies too (X5, H3, H9)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.crash_world import Timing
from tests.end_to_end.fleet_crash import crash_fleet
from tests.postgres import Server

pytestmark = [pytest.mark.crash, pytest.mark.postgres]


@pytest.mark.timeout(420)
async def test_nothing_is_lost_doubled_or_out_of_order_whatever_process_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X5, H9: two web processes, two workers, the server; SIGKILL at every checkpoint and at random, under traffic."""
    with Server(is_durable=True) as server:
        outcome = await crash_fleet(tmp_path, server, Timing(factor=10))
    with capsys.disabled():
        print(f"\nfleet crash test: {json.dumps(outcome.report)}")  # noqa: T201 - the run has to report its counts
    assert outcome.verdict.lost == []
    assert outcome.verdict.doubled == []
    assert outcome.without_row == []
    assert outcome.disordered == []
    assert outcome.attention == []
    # one of two web processes is always there, and keeps what comes while the database is away
    assert outcome.report["unanswered"] == 0
    assert outcome.report["kills"]["server"] == 2
    assert sum(outcome.report["kills"].values()) >= 12
