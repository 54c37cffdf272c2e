"""A worker is stopped with a request in its hands and goes on when others have long done its work (H3, H9, X5).

``python -m tests.end_to_end.fleet_stop`` stops one for 60 s with the times of production (`scripts/crash-full fleet`).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hub_amocrm.sandbox import Sandbox, serve

from tests.end_to_end.crash_world import Timing
from tests.end_to_end.fleet_world import fleet
from tests.end_to_end.test_spine import ANSWERED
from tests.postgres import Server

__all__ = ["Stopped", "call", "stop_and_go_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What a stop came to; seconds count from the moment at which the worker stopped."""

    #: until another client of the same project was written to the CRM
    taken_over: float
    #: until the client in whose request it stopped was finished, its doubt included
    finished: float
    #: how long the worker stood
    stood: float
    #: requests that changed something in the CRM after it went on, before anything new came in
    stale_writes: int
    contacts: int
    deals: int
    #: call records in the CRM, and of these different calls
    records: int
    calls: int
    #: what the two workers count: cut off by the second, lost by the first
    cut_off: float
    tenures_lost: float


def call(number: int, client: int = 0) -> dict[str, str]:
    """An answered call of a client."""
    return ANSWERED | {"uniqueid": f"ua0_-9.{number}", "caller": f"38050{2000000 + client:07d}"}


def stop_and_go_on(
    url: str, folder: Path, amocrm: tuple[Sandbox, str], timing: Timing, *, stood: float, stalled: float = 8
) -> Stopped:
    """Stop one of two workers right before its request leaves, for ``stood`` seconds at least; tell what followed."""
    doubt = timing.request_timeout + 2 * timing.doubt_wait
    with fleet(url, folder, *amocrm, policy=timing.policy(), HUB_STALLED_SECONDS=str(stalled)) as found:
        (first,) = found.start("worker", HUB_CRASH_AT="writer.marked_sent", HUB_CRASH_SIGNAL="STOP")
        found.until(lambda: found.owner() != "", 60, "the first worker has the project")
        web, second = found.start("web", "worker")
        assert found.hook(web, call(1))
        found.until(lambda: first.is_stopped, 60, "the first worker stops before its request leaves")
        stopped = time.monotonic()
        assert found.hook(web, call(2, client=2))
        found.until(lambda: found.sandbox.records()["leads"] != [], 60, "the other client's call")
        taken_over = time.monotonic() - stopped
        found.until(lambda: found.finished() == 2, 60 + doubt, "both calls")
        finished = time.monotonic() - stopped
        time.sleep(max(0.0, stopped + stood - time.monotonic()))
        before = _writes(found.sandbox)
        first.go_on()
        stood = time.monotonic() - stopped
        found.until(lambda: first.says("worker.cut_off") and first.says("worker.back"), 60, "the first is back")
        # whatever it would still send, it sends at once
        time.sleep(2)
        stale = _writes(found.sandbox) - before
        assert found.hook(web, call(3))
        found.until(lambda: found.finished() == 3, 60 + doubt, "the third call")
        records = found.sandbox.records()
        notes = [note["params"]["uniq"] for note in records["notes"] if note["note_type"] == "call_in"]
        return Stopped(
            taken_over=round(taken_over, 1),
            finished=round(finished, 1),
            stood=round(stood, 1),
            stale_writes=stale,
            contacts=len(records["contacts"]),
            deals=len(records["leads"]),
            records=len(notes),
            calls=len(set(notes)),
            cut_off=found.figures(second)["hub_processes_cut_off_total"],
            tenures_lost=found.figures(first)["hub_tenures_lost_total"],
        )


def _writes(sandbox: Sandbox) -> int:
    return sum(one["method"] not in ("GET", "HEAD") for one in sandbox.requests())


def main() -> int:
    """One stop with the times of production; prints one JSON object."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--factor", type=float, default=1.0, help="divides all times that concern doubt; default 1")
    parser.add_argument("--stood", type=float, default=60.0, help="seconds for which the worker stands; default 60")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="hub-stop-") as folder,
        Server(is_durable=True) as server,
        serve(Sandbox()) as amocrm,
    ):
        url = server.url(server.create())
        outcome = stop_and_go_on(url, Path(folder), amocrm, Timing(factor=options.factor), stood=options.stood)
    print(json.dumps(asdict(outcome), indent=1))  # noqa: T201 - a command's output
    return 1 if outcome.stale_writes or outcome.records != outcome.calls or outcome.taken_over > 15 else 0


if __name__ == "__main__":
    sys.exit(main())
