"""``python -m bench.endtoend``: from an answered call's webhook to its finished CRM writes, idle hub.

The base of comparison is the same number of requests sent one after another by a bare client in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

import httpx
import uvloop

from bench.live import Live, live, webhook


async def measure(rounds: int) -> dict[str, float]:
    """Single calls of new clients, with rests between them in which the limit's window empties."""
    taken: list[float] = []
    async with live("--limit", "0") as company:
        before = await company.crm.requests()
        for number in range(rounds):
            await asyncio.sleep(2.4)
            began = time.perf_counter()
            await company.tell(webhook(number, f"38067{2000000 + number}", company.logins[0]))
            await company.finished(number + 1)
            taken.append((time.perf_counter() - began) * 1000)
        requests = (await company.crm.requests() - before) / rounds
        bare = await _bare(company, round(requests))
    median = statistics.median(taken[1:])
    return {
        "rounds": rounds,
        "median_ms": round(median, 1),
        "worst_ms": round(max(taken[1:]), 1),
        "requests_per_call": round(requests, 1),
        "bare_requests_ms": round(bare, 1),
        "ratio": round(median / bare, 2),
    }


async def _bare(company: Live, requests: int) -> float:
    """Milliseconds that so many small requests take one after another."""
    token = await company.crm.token()
    taken = []
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": f"Bearer {token}"}) as http:
        for _ in range(10):
            began = time.perf_counter()
            for _ in range(requests):
                await http.get(f"{company.crm.address}/api/v4/contacts", params={"limit": "1"})
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="keep it under 40 s")
    chosen = parser.parse_args()
    print(json.dumps(uvloop.run(measure(12 if chosen.quick else 40))))


if __name__ == "__main__":
    main()
