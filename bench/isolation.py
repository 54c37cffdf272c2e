"""``python -m bench.isolation``: what a flood, or a dead CRM, of one project does to another's calls (H8).

One hub with many projects, one process, SQLite. The quiet project's answered calls are timed from the webhook to the
finished CRM writes: alone, while another project gets far more calls than it can be rid of, and while that one's CRM
is dead with all of its calls waiting. The figures are ratios of medians within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.live import CRM, webhook
from hub.compose import Hub
from hub.demo import traffic
from hub.demo.amocrm_stage import crm_sandbox
from hub.demo.project import CHANNEL, connect, demo_policy, make_project
from hub.settings import Settings
from hub.store import projects, work
from hub.web.app import build_app
from hub.web.server import serve_forever

__all__ = ["measure"]

QUIET, NOISY = "quiet", "noisy"


@dataclass(slots=True, kw_only=True)
class _Company:
    """The hub with all its projects, and the addresses that the telephony of two of them knows."""

    hub: Hub
    http: httpx.AsyncClient
    hooks: dict[str, str]
    login: str
    told: int = 0

    async def tell(self, project: str) -> None:
        self.told += 1
        phone = f"38067{2000000 + self.told}"
        answer = await self.http.post(
            self.hooks[project], json=webhook(self.told, phone, self.login), params={"moment": "after"}
        )
        answer.raise_for_status()

    async def timed(self, rounds: int, finished: int) -> list[float]:
        """Milliseconds that each of ``rounds`` calls of the quiet project took; ``finished`` were done before."""
        store, taken = self.hub.services.store, []
        for number in range(rounds):
            await asyncio.sleep(1.0)
            began = time.perf_counter()
            await self.tell(QUIET)
            while True:
                states = await store.read(lambda conn: work.count_states(conn, QUIET))
                if states.get((CRM, "finished"), 0) > finished + number:
                    break
                await asyncio.sleep(0.002)
            taken.append((time.perf_counter() - began) * 1000)
        return taken

    async def flood(self, per_second: int) -> None:
        """Calls of the noisy project, until cancelled."""
        while True:
            await asyncio.gather(*(self.tell(NOISY) for _ in range(per_second // 10)))
            await asyncio.sleep(0.1)


async def measure(rounds: int, count: int, per_second: int) -> dict[str, float]:
    """The quiet project's median alone, beside a flood and beside a dead CRM."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        day = traffic.generate(seed=7, calls=30).to_record()
        dying = AsyncExitStack()
        stack.push_async_callback(dying.aclose)
        crms = {
            QUIET: await stack.enter_async_context(crm_sandbox("--limit", "0")),
            NOISY: await dying.enter_async_context(crm_sandbox("--limit", "0")),
        }
        hub = Hub(Settings(environment="development", data_directory=folder, port=0, log_level="error"))
        policy = demo_policy("car-dealer", day)
        channels = {CHANNEL: {"api_base": "http://127.0.0.1:9"}}
        for name, crm in crms.items():
            await crm.preload({**day["preload"], "contacts": [], "deals": [], "tasks": []})
            make_project(hub.services, policy=policy, channels=channels, crms={CRM: await crm.settings()}, project=name)
            await connect(hub.services, name)
        for number in range(count - len(crms)):
            make_project(hub.services, policy=policy, channels=channels, crms={}, project=f"still-{number}")
        await stack.enter_async_context(hub)
        for name in crms:
            while hub.services.importers[name, CRM].is_needed():  # noqa: ASYNC110 - another process's work
                await asyncio.sleep(0.02)
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve_forever(build_app(hub.services), "127.0.0.1", 0, ready=started.set_result))
        stack.callback(serving.cancel)
        port, hooks = await started, {}
        for name in crms:
            row = await hub.services.store.read(
                lambda conn, name=name: projects.find_channel(conn, hub.services.cipher, name, CHANNEL)  # type: ignore[misc]
            )
            assert row is not None
            hooks[name] = f"http://127.0.0.1:{port}/hooks/{name}/{CHANNEL}/{row.secret}"
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60, trust_env=False))
        login = next(employee["login"] for employee in day["employees"] if employee["login"])
        company = _Company(hub=hub, http=http, hooks=hooks, login=login)
        await company.timed(2, 0)
        alone = await company.timed(rounds, 2)
        flood = asyncio.create_task(company.flood(per_second))
        await asyncio.sleep(1)
        flooded = await company.timed(rounds, 2 + rounds)
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        await dying.aclose()
        for _ in range(100):
            await company.tell(NOISY)
        await asyncio.sleep(5)
        beside_dead = await company.timed(rounds, 2 + 2 * rounds)
    base = statistics.median(alone)
    return {
        "projects": count,
        "flood_per_second": per_second,
        "alone_ms": round(base, 1),
        "flooded_ms": round(statistics.median(flooded), 1),
        "beside_dead_ms": round(statistics.median(beside_dead), 1),
        "flooded_ratio": round(statistics.median(flooded) / base, 2),
        "beside_dead_ratio": round(statistics.median(beside_dead) / base, 2),
    }


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and projects")
    parser.add_argument("--flood", type=int, default=20, help="calls of the noisy project a second")
    chosen = parser.parse_args()
    rounds, count = (7, 20) if chosen.quick else (25, 100)
    print(json.dumps(asyncio.run(measure(rounds, count, chosen.flood))))


if __name__ == "__main__":
    main()
