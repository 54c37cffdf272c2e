"""Several processes on PostgreSQL: one hub in every respect that anybody could notice (H9, H3, H4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from tests.end_to_end.crash_world import Timing
from tests.end_to_end.fleet_stop import call, stop_and_go_on
from tests.end_to_end.fleet_world import fleet
from tests.end_to_end.world import PROJECT

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgres]


@pytest.mark.timeout(180)
def test_a_call_goes_from_a_web_process_over_a_worker_into_the_crm(
    postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H9: one web process takes the webhook in, two workers are there, one of them writes it to the CRM, once."""
    with fleet(postgres_url, tmp_path, *amocrm) as found:
        web, *workers = found.start("web", "worker", "worker")
        for number in range(3):
            assert found.hook(web, call(number, client=number % 2))
        found.until(lambda: found.finished() == 3, 60, "three calls")
        records = found.sandbox.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [2, 2]
        # who lives and who leads what, as every process tells it
        for process in (web, *workers):
            figures = found.figures(process)
            assert figures['hub_processes{role="web"}'] == 1
            assert figures['hub_processes{role="worker"}'] == 2
            assert figures[f'hub_project_leaders{{project="{PROJECT}"}}'] == 1
        led = [f'hub_project_leads{{project="{PROJECT}"}}' in found.figures(worker) for worker in workers]
        assert sorted(led) == [False, True]


@pytest.mark.timeout(240)
@pytest.mark.crash
def test_a_worker_that_was_stopped_with_a_request_in_its_hands_writes_nothing_when_it_goes_on(
    postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3, H9: others take over within 15 s and look before they send; the one that wakes up has lost the right."""
    timing = Timing(factor=10)
    found = stop_and_go_on(postgres_url, tmp_path, amocrm, timing, stood=60)
    assert found.taken_over < 15
    # its own client waits for the doubt besides, which passes meanwhile
    assert found.finished < 15 + timing.request_timeout + 2 * timing.doubt_wait
    assert found.stale_writes == 0
    assert (found.contacts, found.deals) == (2, 2)
    assert found.records == found.calls == 3
    assert (found.cut_off, found.tenures_lost) == (1, 1)


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
