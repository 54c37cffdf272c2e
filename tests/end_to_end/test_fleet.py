"""Several processes on PostgreSQL: one hub in every respect that anybody could notice (H9, H3, H4)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from tests.end_to_end.crash_world import Timing
from tests.end_to_end.fleet_world import fleet
from tests.end_to_end.test_spine import ANSWERED

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgres]

#: seconds that a process may need to start, where others use the machine too
START = 30


def call(number: int, client: int = 0) -> dict[str, str]:
    """An answered call of a client."""
    return ANSWERED | {"uniqueid": f"ua0_-9.{number}", "caller": f"38050{2000000 + client:07d}"}


@pytest.mark.timeout(180)
def test_a_call_goes_from_a_web_process_over_a_worker_into_the_crm(
    postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H9: one web process takes the webhook in, two workers are there, one of them writes it to the CRM, once."""
    with fleet(postgres_url, tmp_path, *amocrm) as found:
        web, *_ = found.start("web", "worker", "worker")
        for number in range(3):
            assert found.hook(web, call(number, client=number % 2))
        found.until(lambda: found.finished() == 3, 60, "three calls")
        records = found.sandbox.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [2, 2]


@pytest.mark.timeout(240)
@pytest.mark.crash
def test_a_worker_that_was_stopped_with_a_request_in_its_hands_writes_nothing_when_it_goes_on(
    postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3, H9: others take over within 15 s and look before they send; the one that wakes up has lost the right."""
    policy = Timing(factor=10).policy()
    with fleet(postgres_url, tmp_path, *amocrm, policy=policy, HUB_STALLED_SECONDS="8") as found:
        web, first = found.start("web", "worker", HUB_CRASH_AT="writer.marked_sent", HUB_CRASH_SIGNAL="STOP")
        found.until(lambda: found.owner() != "", 30, "the first worker has the project")
        assert found.hook(web, call(1))
        found.until(lambda: first.is_stopped, 30, "the first worker stops before its request leaves")
        stopped = time.monotonic()
        (second,) = found.start("worker")
        assert found.hook(web, call(2, client=2))
        found.until(lambda: len(found.sandbox.records()["leads"]) >= 1, 40, "the other client's call")
        # the start of the second worker is in it
        taken_over = time.monotonic() - stopped
        found.until(lambda: found.finished() == 2, 60, "both calls")
        assert second.says("worker.cut_others_off")
        first.go_on()
        found.until(
            lambda: first.says("worker.cut_off") and first.says("worker.back"), 30, "the first is at work again"
        )
        assert found.hook(web, call(3))
        found.until(lambda: found.finished() == 3, 60, "the third call")
        records = found.sandbox.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [2, 2]
        notes = [note for note in records["notes"] if note["note_type"] == "call_in"]
        assert len(notes) == len({note["params"]["uniq"] for note in notes})
    assert taken_over < 15 + START


@pytest.mark.timeout(180)
@pytest.mark.crash
def test_a_worker_ends_in_order_and_another_goes_on_without_a_doubt(
    postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H9: a rolling restart leaves nothing half-way, and needs no look at the CRM afterwards."""
    with fleet(postgres_url, tmp_path, *amocrm) as found:
        web, first = found.start("web", "worker")
        found.until(lambda: found.owner() != "", 30, "the first worker has the project")
        (second,) = found.start("worker")
        for number in range(6):
            assert found.hook(web, call(number, client=number % 3))
        first.end()
        found.until(lambda: found.finished() == 6, 60, "six calls")
        assert first.says("worker.gave")
        assert second.says("worker.gained")
        assert not second.says("writer.recovered")
        records = found.sandbox.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [3, 3]
