"""``python -m bench.waiting [--quick] [--database sqlite|postgresql]``: beside 20,000 clients whom a dead CRM blocks.

Three companies in one hub (PostgreSQL: one web process, one worker). One company's throughput, as fast as its
webhooks are accepted, is measured alone; then beside 20,000 clients with a call each of a company whose CRM died after
it had been read, all of them decided and waiting to be written; then also beside a quarter as many of a company whose
CRM died before the hub had read it, so that nothing of theirs can be decided. The figures are ratios of throughputs
(H4, H8); each round is repeated and the best ones are compared, since whatever else the machine does only slows.
Beside them: processor time per interaction, everything included that those who wait cost meanwhile. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import urlsplit

from bench.companies import Call, Company, World, companies, new_calls, stop_on_signals
from bench.fleet import Round, measure_round
from bench.measure import machine
from bench.postgres import postgres
from hub.demo.project import CHANNEL
from hub.ports import RawRequest
from hub.store import inbox

ALIVE, DEAD, UNREAD = "alive", "dead", "unread"
#: requests stored in one transaction
TOGETHER = 500
#: seconds that reading and deciding what blocks may take
PATIENCE = 3000.0


def measure(engine: str, blocked: int, calls: int, rounds: int) -> dict[str, float]:
    """Alone, beside those who wait to be written, and beside those who wait to be decided too."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres()) if engine == "postgresql" else None
        world = stack.enter_context(companies(3, server, (ALIVE, DEAD, UNREAD)))
        alive, dead, unread = world.companies
        _kill(unread)
        world.start_all()
        world.settle(but_not=(UNREAD,))
        first = 0

        def best() -> Round:
            nonlocal first
            found = []
            for _ in range(rounds + 1):
                found.append(measure_round(world, calls, first=first, of=(alive,)))
                first += calls
            return max(found[1:], key=lambda one: one.per_second)

        alone = best()
        print(f"alone: {_line(alone)}", flush=True)
        _kill(dead)
        began = time.perf_counter()
        _fill(world, new_calls((dead,), blocked, first=1_000_000))
        world.until(lambda: _states(world, DEAD, "writing") == blocked, what="all are decided", seconds=PATIENCE)
        print(f"{blocked} are decided and wait, after {time.perf_counter() - began:.0f} s", flush=True)
        idle = _rest_share(world)
        beside_dead = best()
        print(f"beside them: {_line(beside_dead)}; at rest they take {idle:.1%} of a core", flush=True)
        _fill(world, new_calls((unread,), blocked // 4, first=2_000_000))
        world.until(lambda: _states(world, UNREAD, "open") == blocked // 4, what="all are read", seconds=PATIENCE)
        idle_unread = _rest_share(world)
        beside_both = best()
        print(f"and {blocked // 4} undecided ones: {_line(beside_both)}; at rest {idle_unread:.1%}", flush=True)
    return {
        "blocked": blocked,
        "alone_per_second": round(alone.per_second, 1),
        "beside_dead_per_second": round(beside_dead.per_second, 1),
        "beside_both_per_second": round(beside_both.per_second, 1),
        "ratio_dead": round(beside_dead.per_second / alone.per_second, 3),
        "ratio_both": round(beside_both.per_second / alone.per_second, 3),
        "cpu_ratio_dead": round(_cost(alone) / _cost(beside_dead), 3),
        "cpu_ratio_both": round(_cost(alone) / _cost(beside_both), 3),
        "rest_share_dead": round(idle, 4),
        "rest_share_both": round(idle_unread, 4),
    }


def _cost(found: Round) -> float:
    """Milliseconds of a processor per interaction, without what the sandboxes take."""
    return sum(found.cost_ms(kind) for kind in found.used if kind != "sandboxes")


def _line(found: Round) -> str:
    return f"{found.per_second:.1f} interactions/s, {_cost(found):.1f} ms of a processor each"


def _kill(company: Company) -> None:
    company.sandbox.kill()
    company.sandbox.wait(30)


def _fill(world: World, calls: Sequence[Call]) -> None:
    """Store what a web process would have accepted, many requests in one transaction."""
    query = urlsplit(calls[0][0].hook).query.encode()
    for start in range(0, len(calls), TOGETHER):
        now = datetime.now(UTC)
        requests = [
            RawRequest(
                method="POST",
                query=query,
                headers=(("content-type", "application/json"),),
                body=json.dumps(values).encode(),
                received_at=now,
            )
            for _, values in calls[start : start + TOGETHER]
        ]
        name = calls[start][0].name
        world.store.write_now(
            lambda conn, requests=requests, name=name: inbox.add_many(  # type: ignore[misc]
                conn, project=name, channel=CHANNEL, kind="hook", requests=requests
            )
        )


def _states(world: World, project: str, state: str) -> int:
    return int(world.rows("SELECT count(*) FROM work WHERE project = :of AND state = :s", of=project, s=state)[0][0])


def _rest_share(world: World, seconds: float = 10.0) -> float:
    """Of a core, while nothing comes in: what it costs that so many wait."""
    if world.server is not None:
        # wake-ups that were put into the queue while everything was decided
        world.until(lambda: not world.rows("SELECT 1 FROM procrastinate_jobs LIMIT 1"), what="the queue is empty")
    time.sleep(3)
    before, began = world.used(), time.perf_counter()
    time.sleep(seconds)
    used = {kind: after - before[kind] for kind, after in world.used().items() if kind != "sandboxes"}
    return sum(used.values()) / (time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, the last line as JSON."""
    stop_on_signals()
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2,000 clients, short rounds")
    parser.add_argument("--blocked", type=int, help="as many clients")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    chosen = parser.parse_args(arguments)
    blocked, calls, rounds = (2_000, 100, 3) if chosen.quick else (20_000, 300, 5)
    found = measure(chosen.database, chosen.blocked or blocked, calls, rounds)
    print(f"measured on {machine()}")
    print(json.dumps({"database": chosen.database, **found}))


if __name__ == "__main__":
    main()
