"""``python -m bench.burst``: how fast a burst of answered calls drains under amoCRM's own limit (X6).

The base of comparison is arithmetic: what four requests a call would take at the same limit.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import deque
from urllib.parse import urlsplit

import uvloop

from bench.live import live, webhook

#: requests in any second that the hub allows itself (amoCRM: 7)
LIMIT = 6
PER_CALL = 4
CONNECTIONS = 16


async def _tell_all(hook: str, waiting: deque[dict[str, str]]) -> None:
    """Post what waits over one connection, by hand: a client's library would take more time than the hub's intake."""
    url = urlsplit(hook)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        while waiting:
            body = json.dumps(waiting.popleft()).encode()
            head = (
                f"POST {url.path}?moment=after HTTP/1.1\r\nHost: {url.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            assert answer.split(" ", 2)[1].startswith("2"), "a webhook was not accepted"
            await reader.readexactly(int(answer.partition("content-length:")[2].split("\r\n", 1)[0] or 0))
    finally:
        writer.close()
        await writer.wait_closed()


async def measure(calls: int) -> dict[str, float]:
    """One burst: a fifth of the callers is known to the CRM, some call twice."""
    rng = random.Random(7)
    known = calls // 5
    async with live("--seed-contacts", str(known), "--seed-leads", str(known // 2)) as company:
        numbers = [f"7900000{index:04d}" for index in range(known)]
        numbers += [f"38067{1000000 + index}" for index in range(calls - known - calls // 20)]
        numbers += rng.choices(numbers, k=calls - len(numbers))
        rng.shuffle(numbers)
        before = await company.crm.requests()
        logins = company.logins
        waiting = deque(webhook(index, number, logins[index % len(logins)]) for index, number in enumerate(numbers))
        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(_tell_all(company.hook, waiting) for _ in range(CONNECTIONS)))
        accepted = time.perf_counter() - began
        await company.finished(calls, every=0.05)
        drained, used = time.perf_counter() - began, time.process_time() - used
        requests = await company.crm.requests() - before
        stats = (await company.http.get(f"{company.crm.address}/_sandbox/stats")).json()
        records = await company.crm.records()
    uniq = [note["params"]["uniq"] for note in records["notes"] if note["note_type"] == "call_in"]
    assert len(uniq) == len(set(uniq)) == calls, "a call was lost or doubled: the measurement means nothing"
    assert not stats["violations"], "the vendor's limit was broken"
    return {
        "calls": calls,
        "accepted_seconds": round(accepted, 2),
        "drained_seconds": round(drained, 2),
        "requests": requests,
        "requests_per_interaction": round(requests / calls, 3),
        # of the hub's process, in which the senders are too
        "cpu_ms_per_call": round(used * 1000 / calls, 1),
        "most_in_a_second": stats["most_in_a_second"],
        "ratio": round(calls * PER_CALL / LIMIT / drained, 1),
    }


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="keep it under 40 s")
    parser.add_argument("--calls", type=int, default=1000)
    chosen = parser.parse_args()
    print(json.dumps(uvloop.run(measure(chosen.calls))))


if __name__ == "__main__":
    main()
