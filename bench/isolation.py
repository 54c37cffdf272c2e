"""``python -m bench.isolation``: what a flood, or a dead CRM, of one project does to another's calls (H8).

One hub with many projects in one process on SQLite, and another process that sends and times. The quiet project's
answered calls are timed from the webhook to the finished CRM writes, as the database tells them: alone, while another
project gets more calls than one core can be rid of (``--flood``), and while that one's CRM is dead with all of its
calls waiting. The figures are ratios of medians within one run. The CRM answers at once, where a real one takes a
hundred milliseconds and more: what the hub adds counts for more here than anywhere else.

What is no part of the answer is kept out of it: a call rests until its account's pace is free again, and the flood's
own vendors give way to the quiet project's on the core that they share. Processor time is told, but not compared: while
a call waits for its CRM or for the disk the hub does the flood's work, which moves the call by nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.generator import Spec
from bench.live import CRM, webhook
from bench.measure import Served, cpus, machine, quiet_json, served, start
from hub.compose import build_services
from hub.demo import traffic
from hub.demo.amocrm_stage import crm_sandbox
from hub.demo.channels import MODULES, settings_of
from hub.demo.project import CHANNEL, connect, demo_policy, make_project
from hub.demo.stage import sandbox_process
from hub.settings import Settings
from hub.store import projects

__all__ = ["measure"]

QUIET, NOISY = "quiet", "noisy"
#: calls of the noisy project that wait for its dead CRM
WAITING = 100
#: seconds between two calls: the account's pace counts the requests of one second, the hub's own polls among them
REST = 1.7
#: the niceness of the flood's own vendors, which in life are other machines
_GIVES_WAY = 10
_FINISHED = "SELECT count(*) FROM work WHERE project = ? AND state = 'finished'"
_WAITING = (
    "SELECT (SELECT count(*) FROM work WHERE project = ?1 AND state <> 'finished')"
    " + (SELECT count(*) FROM inbox WHERE project = ?1 AND status = 'new')"
)
_IMPORTED = "SELECT count(*) FROM connection WHERE imported_at IS NOT NULL"


@dataclass(slots=True)
class _Took:
    """One phase: milliseconds from the webhook to the finished writes, and the hub's processor time meanwhile."""

    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    @property
    def medians(self) -> tuple[float, float]:
        return statistics.median(self.ms), statistics.median(self.cpu_ms)


@dataclass(slots=True, kw_only=True)
class _Company:
    """The hub as its telephony sees it, and its database as an onlooker does."""

    process: Served
    http: httpx.Client
    onlooker: sqlite3.Connection
    #: paths of the two projects' webhooks
    hooks: dict[str, str]
    login: str
    told: int = 0

    def tell(self, project: str) -> None:
        self.told += 1
        body = webhook(self.told, f"38067{2000000 + self.told}", self.login)
        address = f"http://127.0.0.1:{self.process.port}{self.hooks[project]}"
        self.http.post(address, json=body).raise_for_status()

    def count(self, query: str, *values: str) -> int:
        return int(self.onlooker.execute(query, values).fetchone()[0])

    def rest(self, seconds: float) -> None:
        """Let the hub work; nothing else runs here."""
        time.sleep(seconds)

    def cpu_ms(self) -> float:
        """Milliseconds of processor time that all threads of the hub have used."""
        # Linux: the clock of another process by its id
        return time.clock_gettime((~self.process.pid << 3) | 2) * 1000

    def timed(self, rounds: int) -> _Took:
        """What each of ``rounds`` calls of the quiet project took."""
        took = _Took()
        for _ in range(rounds):
            time.sleep(REST)
            before = self.count(_FINISHED, QUIET)
            began, used = time.perf_counter(), self.cpu_ms()
            self.tell(QUIET)
            while self.count(_FINISHED, QUIET) == before:
                if time.perf_counter() - began > 60:
                    raise RuntimeError("a call of the quiet project was not finished within a minute")
                time.sleep(0.001)
            took.cpu_ms.append(self.cpu_ms() - used)
            took.ms.append((time.perf_counter() - began) * 1000)
        return took

    def flood(self, per_second: int, seconds: float) -> subprocess.Popen[str]:
        """Calls of the noisy project, for ``seconds``: every number is a new client's."""
        call = webhook(0, "{caller}", self.login) | {"uniqueid": "ua0_-{n}.1"}
        process = start(
            Spec(
                port=self.process.port,
                path=self.hooks[NOISY],
                rate=per_second,
                seconds=seconds,
                body=json.dumps(call),
                callers=(380503000000, 900_000),
                cpu=cpus()[1],
            )
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, _GIVES_WAY)
        return process


def _children() -> set[int]:
    """The processes that this one has started and that still run."""
    return {int(pid) for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


@contextmanager
def _beside() -> Iterator[None]:
    """Keep what is started inside off the core that is measured."""
    before = os.sched_getaffinity(0)
    _, core = cpus()
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def measure(rounds: int, count: int, per_second: int) -> dict[str, float]:
    """The quiet project's median alone, beside a flood and beside a dead CRM."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        day = traffic.generate(seed=7, calls=30).to_record()
        dying = AsyncExitStack()
        stack.push_async_callback(dying.aclose)
        with _beside():
            crms = {QUIET: await stack.enter_async_context(crm_sandbox("--limit", "0"))}
            before = _children()
            crms[NOISY] = await dying.enter_async_context(crm_sandbox("--limit", "0"))
            for pid in _children() - before:
                os.setpriority(os.PRIO_PROCESS, pid, _GIVES_WAY)
            phone = await stack.enter_async_context(sandbox_process(MODULES[CHANNEL], "--port", "0"))
        services = build_services(Settings(environment="development", data_directory=folder, log_level="error"))
        hooks: dict[str, str] = {}
        try:
            policy = demo_policy("car-dealer", day)
            channels = {CHANNEL: settings_of(CHANNEL, phone)}
            for name, crm in crms.items():
                await crm.preload({**day["preload"], "contacts": [], "deals": [], "tasks": []})
                settings = {CRM: await crm.settings()}
                make_project(services, policy=policy, channels=channels, crms=settings, project=name)
                await connect(services, name)
                row = await services.store.read(
                    lambda conn, name=name: projects.find_channel(conn, services.cipher, name, CHANNEL)  # type: ignore[misc]
                )
                assert row is not None
                hooks[name] = f"/hooks/{name}/{CHANNEL}/{row.secret}?moment=after"
            for number in range(count - len(crms)):
                make_project(services, policy=policy, channels={}, crms={}, project=f"still-{number}")
        finally:
            services.close()
        login = next(employee["login"] for employee in day["employees"] if employee["login"])
        with ExitStack() as beside:
            company = _Company(
                process=beside.enter_context(served(folder)),
                http=beside.enter_context(httpx.Client(timeout=60, trust_env=False)),
                onlooker=sqlite3.connect(f"file:{folder / 'hub.db'}?mode=ro", uri=True, isolation_level=None),
                hooks=hooks,
                login=login,
            )
            beside.callback(company.onlooker.close)
            beside.enter_context(_beside())
            while company.count(_IMPORTED) < len(crms):
                company.rest(0.05)
            company.timed(3)
            alone = company.timed(rounds)
            # at its longest a phase is a call a minute
            noise = company.flood(per_second, rounds * (REST + 60))
            beside.callback(noise.kill)
            company.rest(2)
            began, finished = time.perf_counter(), company.count(_FINISHED, NOISY)
            flooded = company.timed(rounds)
            finished = company.count(_FINISHED, NOISY) - finished
            seconds = time.perf_counter() - began
            waiting = company.count(_WAITING, NOISY)
            if noise.poll() is not None:
                raise RuntimeError("the flood ended before its time: the measurement means nothing")
            noise.kill()
            noise.wait()
            await dying.aclose()
            for _ in range(WAITING):
                company.tell(NOISY)
            company.rest(5)
            beside_dead = company.timed(rounds)
    figures = {
        "projects": float(count),
        "flood_per_second": float(per_second),
        "flood_finished_per_second": finished / seconds,
        "flood_waiting": float(waiting),
    }
    base, _ = alone.medians
    for word, phase in (("alone", alone), ("flooded", flooded), ("beside_dead", beside_dead)):
        took, cpu = phase.medians
        figures |= {f"{word}_ms": took, f"{word}_cpu_ms": cpu}
        if phase is not alone:
            figures[f"{word}_ratio"] = took / base
    return figures


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and projects: a minute on a quiet machine")
    parser.add_argument("--flood", type=int, default=20, help="calls of the noisy project a second")
    chosen = parser.parse_args()
    rounds, count = (7, 20) if chosen.quick else (25, 100)
    figures = asyncio.run(measure(rounds, count, chosen.flood))
    print(f"measured on {machine()}")
    print(quiet_json(**figures))


if __name__ == "__main__":
    main()
