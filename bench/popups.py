"""How soon a popup stands in the browser, and what open tabs cost.

``python -m bench.popups [--quick]``; the last line is JSON: ``median_ms`` and ``p95_ms`` from the first byte of a
"before call" webhook over HTTP to the event in the stream of the right employee's tab, on an idle hub;
``idle_share`` of one core that ``tabs`` open tabs cost beyond what the hub costs without any.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench.measure import CHANNEL, CRM, FIRST_NUMBER, PROJECT, SECRET, Served, machine, make_company, quiet_json
from hub.compose import build_services
from hub.core.records import EmployeeId
from hub.settings import Settings
from hub.web.widget.live import make_ticket

TABS = 300
EMPLOYEES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 40 s")
    quick = parser.parse_args().quick
    calls, seconds = (30, 6.0) if quick else (200, 60.0)
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        directory = Path(name)
        make_company(directory, 1000)
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.served", str(directory), "all"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            served = Served(process.pid, json.loads(process.stdout.readline())["port"])
            result = asyncio.run(_measure(served, directory, calls, seconds))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    took, bare, idle = result
    median, p95 = statistics.median(took), sorted(took)[int(len(took) * 0.95)]
    share = max(0.0, idle - bare)
    print(f"popup after {median:.1f} ms (p95 {p95:.1f} ms), {len(took)} calls with {TABS} tabs open")
    print(f"{TABS} open tabs: {share:.2%} of a core beside {bare:.2%} without any")
    print(f"measured on {machine()}")
    print(quiet_json(median_ms=median, p95_ms=p95, idle_share=share, bare_share=bare, tabs=TABS))


async def _measure(served: Served, directory: Path, calls: int, seconds: float) -> tuple[list[float], float, float]:
    await asyncio.sleep(3)
    bare = await _share(served, seconds)
    tickets = _tickets(directory)
    streams = [_Stream(served.port, ticket) for ticket in itertools.islice(itertools.cycle(tickets), TABS)]
    try:
        await asyncio.gather(*(stream.open() for stream in streams))
        await asyncio.sleep(3)
        idle = await _share(served, seconds)
        took = []
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", trust_env=False) as telephony:
            for number in range(calls):
                # the contact's responsible is employee number % 50 + 1; the tabs are in the order of the employees
                who = number % EMPLOYEES
                call = {"type": "in", "uniqueid": f"ua0_-{number}.1", "caller": str(FIRST_NUMBER + number)}
                heard = [asyncio.create_task(one.event()) for one in streams[who::EMPLOYEES]]
                began = time.perf_counter()
                answer = await telephony.post(f"/hooks/{PROJECT}/{CHANNEL}/{SECRET}?moment=before", json=call)
                answer.raise_for_status()
                await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
                took.append((time.perf_counter() - began) * 1000)
                await asyncio.gather(*heard)
                await asyncio.sleep(0.05)
        return took, bare, idle
    finally:
        for stream in streams:
            stream.close()


async def _share(served: Served, seconds: float) -> float:
    before, since = served.cpu_seconds(), time.perf_counter()
    await asyncio.sleep(seconds)
    return (served.cpu_seconds() - before) / (time.perf_counter() - since)


def _tickets(directory: Path) -> list[str]:
    """One for each employee, as the hub's own web hands them out."""
    services = build_services(Settings(environment="development", data_directory=directory))
    try:
        return [make_ticket(services, PROJECT, CRM, EmployeeId(f"e{number}")) for number in range(1, EMPLOYEES + 1)]
    finally:
        services.close()


class _Stream:
    """An open tab over a bare socket: the measured work is the hub's, not a client library's."""

    def __init__(self, port: int, ticket: str) -> None:
        self._port, self._ticket = port, ticket
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(f"GET /widget/api/live?ticket={self._ticket} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
        await self._writer.drain()
        await self._reader.readuntil(b"event: hello")

    async def event(self) -> None:
        """The next popup."""
        assert self._reader is not None
        await self._reader.readuntil(b"event: popup")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


if __name__ == "__main__":
    main()
