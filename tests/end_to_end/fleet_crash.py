"""Crash runs over several processes on PostgreSQL: workers, web processes and the server itself are killed (X5, H9).

``python -m tests.end_to_end.fleet_crash`` does a long one with the full times (`scripts/crash-full`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.compose import build_services
from hub.demo.amocrm_stage import crm_sandbox
from hub.engine.checkpoints import CHECKPOINTS
from hub.runtime.importer import IMPORTED_MARK
from hub.settings import Settings
from hub.store import cluster, directory_stream, projects
from tests.end_to_end.crash_world import Caller, Timing, Verdict, calling, judge
from tests.end_to_end.fleet_world import KEY
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, connect_services, prepare_services
from tests.ports import free_port
from tests.postgres import Server

__all__ = ["Outcome", "crash_fleet"]


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    verdict: Verdict
    #: accepted webhooks that have no row
    without_row: list[str]
    #: clients whose calls stand in the CRM in another order than they came in
    disordered: list[str]
    attention: list[str]
    report: dict[str, Any]


@dataclass(slots=True)
class Seat:
    """One place for a process: a nursery that forks one hub after the other, always with the same role and port."""

    role: str
    port: int
    nursery: asyncio.subprocess.Process
    pid: int = 0
    is_ready: bool = False
    #: how the last life ended
    status: int = 0
    #: lives that ended before they served
    stillborn: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: asyncio.Task[None] | None = None

    async def start(self, crash_at: str = "") -> None:
        """Begin a life; again if it ends before it serves, as systemd does it; returns when it serves."""
        async with asyncio.timeout(120):
            while True:
                await self._begin(crash_at)
                # a checkpoint may come before a worker serves
                if self.is_ready or self.status == -signal.SIGKILL:
                    return
                self.stillborn += 1
                await asyncio.sleep(2)

    async def _begin(self, crash_at: str) -> None:
        assert self.nursery.stdin is not None
        self.pid, self.is_ready, self.status = 0, False, 0
        self._ended.clear()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name=f"seat {self.port}")
        self.nursery.stdin.write(json.dumps({"crash_at": crash_at}).encode() + b"\n")
        await self.nursery.stdin.drain()
        async with asyncio.timeout(60):
            while not (self.pid and (self.is_ready or self._ended.is_set())):
                self._heard.clear()
                await self._heard.wait()

    async def _read(self) -> None:
        assert self.nursery.stdout is not None
        async for line in self.nursery.stdout:
            said = json.loads(line)
            self.pid = said.get("pid", self.pid)
            self.is_ready |= "ready" in said
            if "ended" in said:
                self.status = said["ended"]
                self._ended.set()
            self._heard.set()

    async def died(self, patience: float) -> bool:
        """Whether it ended by itself within ``patience``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._ended.wait()
        return self._ended.is_set()

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the life."""
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, how)
        async with asyncio.timeout(60):
            await self._ended.wait()

    async def close(self) -> None:
        """End life and nursery."""
        if self.pid and not self._ended.is_set():
            await self.kill()
        assert self.nursery.stdin is not None
        self.nursery.stdin.close()
        await self.nursery.wait()
        if self._reading is not None:
            await self._reading


@asynccontextmanager
async def _seat(role: str, environment: Mapping[str, str], log: Path) -> AsyncIterator[Seat]:
    # it is free again between two lives, and nobody else may be given it then
    port = free_port()
    with log.open("ab") as errors:
        nursery = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.end_to_end.hub_nursery",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**environment, "HUB_ROLE": role, "HUB_PORT": str(port)},
            cwd=Path(__file__).parents[2],
        )
    assert nursery.stdout is not None
    await nursery.stdout.readline()
    seat = Seat(role, port, nursery)
    try:
        yield seat
    finally:
        await seat.close()


async def crash_fleet(
    folder: Path,
    server: Server,
    timing: Timing,
    *,
    rounds: int = 10,
    server_kills: Sequence[int] = (3, 6),
    per_second: float = 3.0,
    patience: float = 7.0,
    seed: int = 1,
) -> Outcome:
    """Kill for ``rounds``, in those of ``server_kills`` the database server too; then let it finish, and judge."""
    url = server.url(server.create())
    draw = random.Random(seed)
    arguments = ["--latency", "20-150", "--search-lag", "2", "--seed", str(seed)]
    arguments += ["--late-apply", str(timing.late_apply)]
    async with crm_sandbox(*arguments) as crm, contextlib.AsyncExitStack() as stack:
        await crm.order("switches", {"latency_ms": None, "late_apply_probability": 0.0})
        secret = await _prepare(folder / "var", url, crm.address, await crm.token(), timing)
        await crm.order("switches", {"latency_ms": [20, 150], "late_apply_probability": 0.1})
        environment = {
            **os.environ,
            "HUB_ENVIRONMENT": "development",
            "HUB_DATA_DIRECTORY": str(folder / "var"),
            "HUB_DATABASE_URL": url,
            "HUB_SECRET_KEY": KEY,
            "HUB_LOG_LEVEL": "warning",
        }

        async def two(role: str) -> list[Seat]:
            seats = (_seat(role, environment, folder / f"{role}{number}.log") for number in (1, 2))
            return list(await asyncio.gather(*(stack.enter_async_context(seat) for seat in seats)))

        webs, workers = await two("web"), await two("worker")
        await asyncio.gather(*(seat.start() for seat in webs))
        moments = [name for name in CHECKPOINTS if name != "inbox.stored"]
        draw.shuffle(moments)
        moments.sort(key=lambda name: name.startswith("doubt."))
        first, *others = [f"http://127.0.0.1:{seat.port}/hooks/{PROJECT}/{CHANNEL}/{secret}" for seat in webs]
        caller = Caller(url=first, more=tuple(others), seed=seed)
        kills: Counter[str] = Counter()
        async with calling(caller, per_second):
            await asyncio.gather(*(seat.start(_armed(moments, place)) for place, seat in enumerate(workers)))
            for number in range(rounds):
                owner = workers[number % 2]
                if number in server_kills:
                    await asyncio.to_thread(server.kill)
                    await asyncio.sleep(draw.uniform(0.3, 1.5))
                    await asyncio.to_thread(server.start)
                    kills["server"] += 1
                if number % 4 == 3:
                    web = webs[number // 4 % 2]
                    await web.kill()
                    kills["web"] += 1
                    await web.start("inbox.stored:3" if number % 8 == 3 else "")
                    if number % 8 == 3 and await web.died(10):
                        kills["inbox.stored"] += 1
                        await web.start()
                if await owner.died(patience):
                    kills[_armed(moments, number).partition(":")[0]] += 1
                else:
                    await owner.kill()
                    kills["worker"] += 1
                await owner.start(_armed(moments, number + 2) if number + 2 < rounds else "")
        await _settle(server, url, 60 + 12 * (timing.doubt_wait + timing.request_timeout))
        await asyncio.sleep(timing.late_apply)
        await asyncio.gather(*(seat.kill(signal.SIGTERM) for seat in (*webs, *workers)))
        await crm.order("settle")
        records = await crm.records()
    with contextlib.closing(server.connect(url.rpartition("/")[2])) as conn:
        hooks = conn.execute("SELECT body FROM inbox WHERE kind = 'hook' ORDER BY id").fetchall()
        refused = conn.execute("SELECT key, note FROM step WHERE state = 'rejected'").fetchall()
    order: dict[str, int] = {}
    for place, (body,) in enumerate(hooks):
        order.setdefault(json.loads(bytes(body))["uniqueid"], place)
    return Outcome(
        verdict=judge(records, caller.accepted.values(), caller.unanswered.values()),
        without_row=sorted(set(caller.accepted) - set(order)),
        disordered=_disordered(records, order),
        attention=[f"{key}: {note}" for key, note in refused],
        report={
            "accepted": len(caller.accepted),
            "unanswered": len(caller.unanswered.keys() - caller.accepted.keys()),
            "refusals": dict(sorted(caller.refusals.items())),
            "stillborn": {f"{seat.role} {seat.port}": seat.stillborn for seat in (*webs, *workers) if seat.stillborn},
            "kills": dict(kills),
            "factor": timing.factor,
        },
    )


def _armed(moments: Sequence[str], place: int) -> str:
    return f"{moments[place % len(moments)]}:{1 + place % 2}"


def _disordered(records: Mapping[str, Any], order: Mapping[str, int]) -> list[str]:
    """Contacts whose call records were made in another order than the calls came in."""
    by_contact: defaultdict[int, list[str]] = defaultdict(list)
    for note in sorted(records["notes"], key=lambda note: int(note["id"])):
        if note["note_type"] in ("call_in", "call_out"):
            by_contact[note["entity_id"]].append(note["params"]["uniq"])
    return [
        f"contact {contact}: {uniqs}"
        for contact, uniqs in by_contact.items()
        if [order[uniq] for uniq in uniqs] != sorted(order[uniq] for uniq in uniqs)
    ]


async def _settle(server: Server, url: str, seconds: float) -> None:
    """Wait until nothing is left to do."""
    end = time.monotonic() + seconds
    with contextlib.closing(server.connect(url.rpartition("/")[2])) as conn:
        while time.monotonic() < end:
            row = conn.execute(
                "SELECT (SELECT count(*) FROM work WHERE state IN ('open', 'writing'))"
                " + (SELECT count(*) FROM inbox WHERE status = 'new')"
            ).fetchone()
            if row is not None and not row[0]:
                return
            await asyncio.sleep(0.25)


async def _prepare(data: Path, url: str, address: str, token: str, timing: Timing) -> str:
    """A connected project, as the set-up leaves it; the channel's secret."""
    services = build_services(
        Settings(environment="development", data_directory=data, database_url=url, secret_key=KEY)
    )
    try:
        services.store.write_now(cluster.prepare)
        prepare_services(services, address, token, timing.policy())
        await connect_services(services)
        mark = {IMPORTED_MARK: services.clock.now().isoformat()}
        services.store.write_now(lambda conn: directory_stream.put(conn, PROJECT, CRM, (), mark))
        found = services.store.read_now(lambda conn: projects.find_channel(conn, services.cipher, PROJECT, CHANNEL))
        assert found is not None
        return found.secret
    finally:
        services.close()


def main() -> int:
    """A long run with the times of production; prints one JSON object."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--factor", type=float, default=1.0, help="divides all times that concern doubt; default 1")
    parser.add_argument("--rounds", type=int, default=40, help="lives of workers; default 40")
    options = parser.parse_args()
    timing = Timing(factor=options.factor)
    # a doubt is looked at only so long after the request: the kill there must have the patience
    patience = 15 + 2 * (timing.doubt_wait + timing.request_timeout)
    with tempfile.TemporaryDirectory(prefix="hub-crash-") as folder, Server(is_durable=True) as server:
        kills = range(5, options.rounds, 10)
        run = crash_fleet(Path(folder), server, timing, rounds=options.rounds, server_kills=kills, patience=patience)
        outcome = asyncio.run(run)
    wrong = [*outcome.verdict.lost, *outcome.verdict.doubled, *outcome.without_row, *outcome.disordered]
    for sentence in (*wrong, *outcome.attention):
        print(sentence, file=sys.stderr)  # noqa: T201 - a command's output
    print(json.dumps(outcome.report | {"wrong": len(wrong)}, indent=1))  # noqa: T201 - a command's output
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
