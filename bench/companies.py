"""Several companies in one hub, each between its telephony and a CRM account of its own; every part is a process.

The hub runs as people start it (``hub run --role …``) on SQLite or on a PostgreSQL of the measurement; each CRM is
amoCRM's sandbox without its limit, asked by the hub at the plugin's highest pace.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx
from sqlalchemy import text

from bench.live import webhook
from bench.postgres import Server, postgres
from bench.usage import processor_seconds, tree
from hub.compose import build_services
from hub.demo import traffic
from hub.demo.amocrm_stage import AmoCrmStage
from hub.demo.project import CHANNEL, connect, demo_policy, make_project
from hub.settings import Settings
from hub.store import cluster, projects
from hub.store.engine import Store, open_store
from hub.testing.running import Process

__all__ = [
    "CRM",
    "FIRST_CALLER",
    "Call",
    "Company",
    "Engine",
    "Kind",
    "World",
    "companies",
    "new_calls",
    "running",
    "seconds_of",
    "stop_on_signals",
]

CRM = AmoCrmStage.name
#: the plugin's highest pace: the sandbox has no limit, so that the hub is what is measured
PACE = 50
CONNECTIONS = 16
#: the client of the first of `new_calls`; the next ones follow
FIRST_CALLER = 380671000000
#: seconds for anything to start, or to be finished with
PATIENCE = 300.0

Engine: TypeAlias = Literal["sqlite", "postgresql"]
Kind: TypeAlias = Literal["all", "web", "worker", "database", "sandboxes"]
#: where it is told, and what
Call: TypeAlias = "tuple[Company, dict[str, str]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """One project: its CRM, where its telephony sends webhooks, and who works there."""

    name: str
    sandbox: subprocess.Popen[str]
    #: of the sandbox
    address: str
    hook: str
    logins: tuple[str, ...]

    @property
    def forwarding(self) -> str:
        """Where its telephony asks who should answer."""
        return self.hook.partition("?")[0].replace("/hooks/", "/forward/", 1)


@dataclass(slots=True, kw_only=True)
class World:
    """The companies, and the processes that are measured."""

    directory: Path
    url: str
    store: Store
    companies: tuple[Company, ...]
    server: Server | None
    processes: list[Process] = field(default_factory=list)

    # --- processes ----------------------------------------------------------------------------------------------

    def start(self, role: str) -> Process:
        """``hub run --role …``; returns when it serves."""
        number = len(list(self.directory.glob("*.log"))) + 1
        environment = {
            "HUB_DATA_DIRECTORY": str(self.directory),
            "HUB_DATABASE_URL": "" if self.server is None else self.url,
            "HUB_LOG_LEVEL": "error",
        }
        process = Process.start(role, log=self.directory / f"{role}-{number}.log", environment=environment)
        process.await_served()
        self.processes.append(process)
        return process

    def start_all(self) -> None:
        """One process that does everything; on PostgreSQL one that answers and one that works."""
        for role in ("all",) if self.server is None else ("web", "worker"):
            self.start(role)

    @property
    def answering(self) -> Process:
        """The first process that accepts webhooks and answers questions."""
        return next(process for process in self.processes if process.role != "worker")

    def stop(self) -> None:
        """End all processes of the hub in order."""
        while self.processes:
            self.processes.pop().end()

    def settle(self, *, but_not: Sequence[str] = ()) -> None:
        """Wait until every project is somebody's, as many are each worker's, and all ``but_not`` these were read."""
        self.until(lambda: self._placed() and self._imported(but_not), what="the projects are placed and imported")

    def _placed(self) -> bool:
        workers = sum(1 for process in self.processes if process.role != "web")
        if self.server is None:
            return True
        rows = self.rows("SELECT cardinality(owns) FROM hub_process WHERE beat_at > now() - interval '9 s'")
        owned = sorted(int(row[0]) for row in rows)
        most = -(-len(self.companies) // workers)
        return sum(owned) == len(self.companies) and owned[-1] <= most

    def _imported(self, but_not: Sequence[str]) -> bool:
        return {row[0] for row in self.rows("SELECT project FROM connection WHERE imported_at IS NULL")} <= {*but_not}

    # --- what they used -----------------------------------------------------------------------------------------

    def pids(self) -> dict[Kind, list[int]]:
        """The processes by what they are; the importing children of the hub's count as their parents'."""
        found: dict[Kind, list[int]] = {}
        roles: dict[str, Kind] = {"all": "all", "web": "web", "worker": "worker"}
        for process in self.processes:
            found.setdefault(roles[process.role], []).extend(tree(process.pid))
        if self.server is not None:
            found["database"] = tree(self.server.pid)
        found["sandboxes"] = [company.sandbox.pid for company in self.companies if company.sandbox.poll() is None]
        return found

    def used(self) -> dict[Kind, float]:
        """Seconds of a processor by kind, so far."""
        return {kind: processor_seconds(pids) for kind, pids in self.pids().items()}

    def by_process(self) -> dict[str, list[int]]:
        """The processes of the hub each by itself, without importing children; the database server's together."""
        found = {f"{process.role}-{number}": [process.pid] for number, process in enumerate(self.processes, start=1)}
        if self.server is not None:
            found["database"] = tree(self.server.pid)
        return found

    def disk_bytes(self) -> int:
        """The truth on disk, without the log ahead of it."""
        if self.server is not None:
            return int(self.rows("SELECT pg_database_size(current_database())")[0][0])
        return int(self.rows("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")[0][0])

    # --- traffic ------------------------------------------------------------------------------------------------

    def tell(self, calls: Iterable[Call]) -> float:
        """Send the calls' webhooks as fast as they are accepted, in turn to those who accept; seconds it took."""
        ports = [process.port for process in self.processes if process.role != "worker"]
        began = time.perf_counter()
        asyncio.run(_tell(deque(calls), ports))
        return time.perf_counter() - began

    def finished(self, names: Sequence[str] | None = None) -> int:
        """How many interactions are finished, of all projects or of those named."""
        found = self.rows(
            "SELECT project, state, count(*) FROM work WHERE state IN ('finished', 'attention') GROUP BY project, state"
        )
        if any(state == "attention" for _, state, _ in found):
            raise RuntimeError("an interaction needs attention: the measurement means nothing")
        return sum(count for project, _, count in found if names is None or project in names)

    def until(self, holds: Callable[[], bool], *, what: str, seconds: float = PATIENCE, every: float = 0.25) -> None:
        """Wait until ``holds``; RuntimeError with what the processes said if it does not."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                said = "\n".join(log.read_text()[-1500:] for log in self.directory.glob("*.log"))
                raise RuntimeError(f"not reached within {seconds:.0f} s: {what}\n{said}")
            time.sleep(every)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What a statement finds in the truth."""
        return self.store.read_now(lambda conn: list(conn.execute(text(statement), values).all()))


def new_calls(of: Sequence[Company], count: int, *, first: int) -> list[Call]:
    """So many answered calls, in turn of each company, every one of a client whom its CRM does not know.

    ``first`` numbers the calls and the clients: below 9 million.
    """
    made = []
    for number in range(first, first + count):
        company = of[number % len(of)]
        call = webhook(number, str(FIRST_CALLER + number), company.logins[number % len(company.logins)])
        made.append((company, call))
    return made


async def _tell(waiting: deque[Call], ports: Sequence[int]) -> None:
    await asyncio.gather(*(_tell_over(waiting, ports[number % len(ports)]) for number in range(CONNECTIONS)))


async def _tell_over(waiting: deque[Call], port: int) -> None:
    """By hand: a client's library would take more time than the hub does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while waiting:
            company, values = waiting.popleft()
            body = json.dumps(values).encode()
            head = (
                f"POST {company.hook} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            if not answer.split(" ", 2)[1].startswith("2"):
                raise RuntimeError("a webhook was not accepted")
            await reader.readexactly(int(answer.partition("content-length:")[2].split("\r\n", 1)[0] or 0))
    finally:
        writer.close()
        await writer.wait_closed()


@contextmanager
def companies(count: int, server: Server | None, names: Sequence[str] = ()) -> Iterator[World]:
    """Connected companies, no process of the hub yet; ``server`` None = SQLite. All ends with the block."""
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-", ignore_cleanup_errors=True))
        directory = Path(name)
        url = "" if server is None else server.create()
        settings = Settings(environment="development", data_directory=directory, database_url=url)
        sandboxes = [_start_sandbox() for _ in range(count)]
        stack.callback(_end, [running for running, _ in sandboxes])
        wanted = names or [f"company-{number}" for number in range(1, count + 1)]
        made = asyncio.run(_make(settings, dict(zip(wanted, sandboxes, strict=True))))
        store = open_store(settings.database)
        stack.callback(store.close)
        world = World(directory=directory, url=url, store=store, companies=made, server=server)
        stack.callback(world.stop)
        yield world


@contextmanager
def running(engine: Engine, count: int) -> Iterator[World]:
    """Connected companies in a hub that runs and has read them; one worker on PostgreSQL. All ends with the block."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres()) if engine == "postgresql" else None
        world = stack.enter_context(companies(count, server))
        world.start_all()
        world.settle()
        yield world


def seconds_of(process: Process) -> float:
    """Seconds of a processor, with those of its importing children."""
    return processor_seconds(tree(process.pid))


def _start_sandbox() -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "hub_amocrm.sandbox", "--port", "0", "--limit", "0"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    return running, running.stdout.readline().strip()


def _end(processes: Iterable[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


async def _make(settings: Settings, sandboxes: dict[str, tuple[subprocess.Popen[str], str]]) -> tuple[Company, ...]:
    day = traffic.generate(seed=7, calls=30).to_record()
    policy = demo_policy("car-dealer", day)
    logins = tuple(employee["login"] for employee in day["employees"] if employee["login"])
    services = build_services(settings)
    found = []
    try:
        if not services.store.is_sqlite:
            services.store.write_now(cluster.prepare)
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            for name, (running, address) in sandboxes.items():
                crm = AmoCrmStage(address=address, http=http)
                await crm.preload({**day["preload"], "contacts": [], "deals": [], "tasks": []})
                make_project(
                    services,
                    policy=policy,
                    # nobody answers there: the hub must not look for the vendor's log
                    channels={CHANNEL: {"api_base": "http://127.0.0.1:9"}},
                    crms={CRM: {**await crm.settings(), "requests_per_second": PACE}},
                    project=name,
                )
                await connect(services, name)
                row = services.store.read_now(
                    lambda conn, name=name: projects.find_channel(conn, services.cipher, name, CHANNEL)  # type: ignore[misc]
                )
                assert row is not None
                hook = f"/hooks/{name}/{CHANNEL}/{row.secret}?moment=after"
                found.append(Company(name=name, sandbox=running, address=address, hook=hook, logins=logins))
    finally:
        services.close()
    return tuple(found)


def stop_on_signals() -> None:
    """Let SIGTERM end the measurement as Ctrl+C does: everything that it started ends with it."""

    def stop(*_: object) -> None:
        raise SystemExit("stopped")

    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, stop)
