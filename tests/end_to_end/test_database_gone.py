"""The database server dies under traffic: what was accepted is neither lost nor doubled, nobody helps (H3, R3)."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox

from hub.commands.context import Exit
from hub.store.engine import Store
from hub.testing.running import Process
from tests.end_to_end.fleet_stop import call
from tests.end_to_end.fleet_world import Fleet, fleet
from tests.end_to_end.world import CHANNEL, PROJECT
from tests.postgres import Server

pytestmark = [pytest.mark.end_to_end, pytest.mark.postgres]

#: seconds: the vendor's patience with a webhook, and the telephony's with the question whom to ring
PATIENCE, BUDGET = 5.0, 2.0


def ready(process: Process) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"http://127.0.0.1:{process.port}/readyz", trust_env=False, timeout=10).json()
    return found


def ask(world: Fleet, process: Process, number: str) -> tuple[int, float]:
    """The telephony's question; the answer's status and how long it took."""
    began = time.monotonic()
    path = f"/forward/{PROJECT}/{CHANNEL}/{world.secrets[PROJECT]}"
    answer = httpx.post(f"http://127.0.0.1:{process.port}{path}", json={"caller": number}, trust_env=False)
    return answer.status_code, time.monotonic() - began


@pytest.mark.timeout(240)
def test_calls_that_come_while_the_database_is_gone_are_written_once_it_is_back(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """Killed under traffic; one web process is killed too, and what it kept is brought by the one after it."""
    with Server(is_durable=True) as server:
        url = server.url(server.create())
        with Store(url), fleet(url, tmp_path, *amocrm, HUB_SPOOL_MEGABYTES="64") as found:
            web, other, _ = found.start("web", "web", "worker")
            assert found.hook(web, call(1, client=1))
            found.until(lambda: found.finished() == 1, 60, "a call before")

            server.kill()
            for number in range(2, 8):
                began = time.monotonic()
                assert found.hook(web if number % 2 else other, call(number, client=number))
                assert time.monotonic() - began < PATIENCE
            # the same call again: many vendors repeat what they are not sure of
            assert found.hook(web, call(3, client=3))
            status, took = ask(found, web, "380502000001")
            assert (status, took < BUDGET) == (200, True)
            told = ready(web)
            assert told["ready"] is True
            assert "spool" in json.dumps(told)
            other.kill()

            server.start()
            [again] = found.start("web")
            found.until(lambda: found.finished() == 7, 90, "the calls that came meanwhile")
            assert found.hook(again, call(8, client=8))
            found.until(lambda: found.finished() == 8, 60, "a call after")
            found.until(lambda: ready(web)["spool"] == {"waiting": 0, "is_full": False}, 30, "an empty spool")
            asked = "SELECT count(*) FROM forwarding_log"
            found.until(lambda: found.rows(asked)[0][0] == 1, 30, "the answer in the journal")
            records = found.sandbox.records()
            assert [len(records[kind]) for kind in ("contacts", "leads")] == [8, 8]


@pytest.mark.timeout(240)
def test_a_process_that_is_told_to_end_while_the_database_stands_still_ends_all_the_same(
    postgres_server: Server, postgres_url: str, tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """H3, H9: by itself, before who supervises it loses patience; what it took in meanwhile is brought later, once."""
    with fleet(postgres_url, tmp_path, *amocrm) as found:
        processes = found.start("web", "worker")
        found.until(lambda: found.owner() != "", 30, "the worker has the project")
        with postgres_server.standing_still():
            assert found.hook(processes[0], call(1))
            for process in processes:
                process.running.terminate()
            for process in processes:
                assert process.running.wait(90) == Exit.UNAVAILABLE, process.last_words()
                assert process.says("hub.cut_short")
        found.start("web", "worker")
        found.until(lambda: found.finished() == 1, 90, "the call that came meanwhile")
        records = found.sandbox.records()
        assert [len(records[kind]) for kind in ("contacts", "leads")] == [1, 1]
