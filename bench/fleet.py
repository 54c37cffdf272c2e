"""``python -m bench.fleet [--quick]``: how many interactions a second several processes carry, and what stops them.

Companies with an account each, without any limit of the vendor's, get answered calls of new clients as fast as they
are accepted: first one process on SQLite, then on PostgreSQL one web process with 1, 2 and 4 workers (H9). Told are
the interactions finished per second from the first webhook on, as a ratio to one worker, and the processor time of
each kind of process per interaction: on a machine with few cores, or a busy one, that is what shows the limit. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from bench.companies import Company, Kind, World, companies, new_calls, seconds_of, stop_on_signals
from bench.measure import machine
from bench.postgres import postgres

__all__ = ["Round", "measure_round"]

WORKERS = (1, 2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one load of calls came to."""

    calls: int
    accepted_seconds: float
    finished_seconds: float
    #: seconds of a processor
    used: dict[Kind, float]
    #: of that worker which used most
    busiest: float
    requests: int
    #: what PostgreSQL wrote to its log, 0 on SQLite; and its transactions, those that only read included
    log_bytes: int
    transactions: int

    @property
    def per_second(self) -> float:
        return self.calls / self.finished_seconds

    def cost_ms(self, kind: Kind) -> float:
        """Milliseconds of a processor per interaction."""
        return self.used.get(kind, 0.0) / self.calls * 1000

    @property
    def most_per_worker(self) -> float:
        """Interactions a second at which one process that decides and writes has used up its core."""
        return 1000 / (self.cost_ms("worker") or self.cost_ms("all"))

    def record(self) -> dict[str, float]:
        costs = {f"{kind}_ms": round(self.cost_ms(kind), 2) for kind in self.used}
        return {
            "per_second": round(self.per_second, 1),
            "accepted_per_second": round(self.calls / self.accepted_seconds, 1),
            **costs,
            "busiest_share": round(self.busiest / self.finished_seconds, 3),
            "machine_share": round(sum(self.used.values()) / self.finished_seconds, 3),
            "requests_per_interaction": round(self.requests / self.calls, 3),
            "log_bytes_per_interaction": round(self.log_bytes / self.calls),
            "transactions_per_interaction": round(self.transactions / self.calls, 2),
            "most_per_worker": round(self.most_per_worker, 1),
        }


def measure_round(world: World, calls: int, *, first: int, of: Sequence[Company] = ()) -> Round:
    """Send so many calls of all companies, or of these, and wait until the last one is finished."""
    chosen = of or world.companies
    names = [company.name for company in chosen]
    before, requests, log, transactions = world.used(), _requests(world), _log_bytes(world), _transactions(world)
    each = {process.pid: seconds_of(process) for process in world.processes}
    done, began = world.finished(names), time.perf_counter()
    accepted = world.tell(new_calls(chosen, calls, first=first))
    world.until(lambda: world.finished(names) - done >= calls, what=f"{calls} calls are finished")
    finished = time.perf_counter() - began
    after = world.used()
    return Round(
        calls=calls,
        accepted_seconds=accepted,
        finished_seconds=finished,
        used={kind: after[kind] - before[kind] for kind in after},
        busiest=max(seconds_of(process) - each[process.pid] for process in world.processes),
        requests=_requests(world) - requests,
        log_bytes=_log_bytes(world) - log,
        transactions=_transactions(world) - transactions,
    )


def _requests(world: World) -> int:
    """How many requests all sandboxes have answered."""
    total = 0
    for company in world.companies:
        if company.sandbox.poll() is not None:
            continue
        with urllib.request.urlopen(f"{company.address}/_sandbox/stats", timeout=30) as answer:  # noqa: S310
            total += int(json.load(answer)["requests_total"])
    return total


def _log_bytes(world: World) -> int:
    return 0 if world.server is None else int(world.rows("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])


def _transactions(world: World) -> int:
    if world.server is None:
        return 0
    return int(
        world.rows("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")[0][0]
    )


def measure(count: int, calls: int) -> dict[str, Round]:
    """All kinds of hub, one after the other."""
    found: dict[str, Round] = {}
    with companies(count, None) as world:
        world.start("all")
        world.settle()
        found["sqlite"] = _warm_round(world, calls, first=0)
        _tell("SQLite, one process", found["sqlite"])
    with postgres() as server, companies(count, server) as world:
        world.start("web")
        first = 0
        for workers in WORKERS:
            while sum(process.role == "worker" for process in world.processes) < workers:
                world.start("worker")
            world.settle()
            name = f"postgresql_{workers}"
            found[name] = _warm_round(world, calls, first=first)
            first += 2 * calls
            _tell(f"PostgreSQL, 1 web, {workers} worker{'s' * (workers > 1)}", found[name])
    return found


def _warm_round(world: World, calls: int, *, first: int) -> Round:
    measure_round(world, max(len(world.companies), calls // 8), first=first + calls)
    return measure_round(world, calls, first=first)


def _tell(name: str, found: Round) -> None:
    costs = ", ".join(f"{kind} {found.cost_ms(kind):.1f}" for kind in found.used)
    print(
        f"{name}: {found.per_second:.1f} interactions/s; processor ms per interaction: {costs}; "
        f"busiest process {found.busiest / found.finished_seconds:.0%} of a core, "
        f"a worker has its core full at {found.most_per_worker:.0f}/s",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, the last line as JSON."""
    stop_on_signals()
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 companies, 240 calls a round: some two minutes")
    chosen = parser.parse_args(arguments)
    count, calls = (4, 240) if chosen.quick else (8, 1600)
    found = measure(count, calls)
    base = found["postgresql_1"]
    result = {name: one.record() for name, one in found.items()}
    for name, one in found.items():
        result[name]["ratio_to_one_worker"] = round(one.per_second / base.per_second, 2)
    print(f"measured on {machine()}")
    print(json.dumps({"companies": count, "calls": calls, **result}))


if __name__ == "__main__":
    main()
