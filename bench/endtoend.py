"""``python -m bench.endtoend``: from an answered call's webhook to its finished CRM writes, idle hub.

The hub is `hub run` on SQLite, a process of its own; the end is what its database tells, looked at each millisecond.
The base of comparison is the same number of requests sent one after another by a bare client in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import time
from contextlib import closing

import httpx

from bench.companies import Company, new_calls, running, stop_on_signals
from hub.demo.amocrm_stage import AmoCrmStage

#: seconds between two calls, in which what the hub asks by itself is over
REST = 2.4
_FINISHED = "SELECT count(*) FROM work WHERE state = 'finished'"


def measure(rounds: int) -> dict[str, float]:
    """Single calls of new clients."""
    taken: list[float] = []
    with running("sqlite", 1) as world:
        company = world.companies[0]
        hook = f"http://127.0.0.1:{world.answering.port}{company.hook}"
        before = asyncio.run(_requests(company))
        # a look that costs next to nothing: the hub, its CRM and this share two cores
        with closing(sqlite3.connect(world.directory / "hub.db")) as onlooker, httpx.Client(trust_env=False) as http:
            for number, (_, call) in enumerate(new_calls(world.companies, rounds, first=0)):
                time.sleep(REST)
                began = time.perf_counter()
                http.post(hook, json=call).raise_for_status()
                while onlooker.execute(_FINISHED).fetchone()[0] <= number:
                    if time.perf_counter() - began > 60:
                        raise RuntimeError("a call was not finished within a minute")
                    time.sleep(0.001)
                taken.append((time.perf_counter() - began) * 1000)
        requests = (asyncio.run(_requests(company)) - before) / rounds
        bare = asyncio.run(_bare(company, round(requests)))
    # the first call is the first of its kind since the start
    median = statistics.median(taken[1:])
    return {
        "rounds": rounds,
        "median_ms": round(median, 1),
        "worst_ms": round(max(taken[1:]), 1),
        "requests_per_call": round(requests, 1),
        "bare_requests_ms": round(bare, 1),
        "ratio": round(median / bare, 2),
    }


async def _requests(company: Company) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await AmoCrmStage(address=company.address, http=http).requests()


async def _bare(company: Company, requests: int) -> float:
    """Milliseconds that so many small requests take one after another."""
    taken = []
    async with httpx.AsyncClient(trust_env=False) as http:
        token = await AmoCrmStage(address=company.address, http=http).token()
        for _ in range(10):
            began = time.perf_counter()
            for _ in range(requests):
                await http.get(
                    f"{company.address}/api/v4/contacts",
                    params={"limit": "1"},
                    headers={"Authorization": f"Bearer {token}"},
                )
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def main() -> None:
    """Print the figures, the last line as JSON."""
    stop_on_signals()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="keep it under 40 s")
    chosen = parser.parse_args()
    print(json.dumps(measure(11 if chosen.quick else 40)))


if __name__ == "__main__":
    main()
