"""``python -m bench.soak [--quick] [--minutes N] [--database sqlite|postgresql]``: whether memory stays where it is.

Two companies get steady traffic: answered calls, half of them of clients who called before, and forwarding questions.
After a warm-up, in which every cache is filled, the memory that each process has asked for itself is looked at every
ten seconds; a straight line through these tells how it grows. The run fails (exit 1) if a process grows faster than
``--most`` megabytes an hour, by more than the line's own uncertainty, or holds more and more files open. Told besides:
what the truth on disk grows by per interaction, on PostgreSQL by table. ``--quick`` shows that it runs: a minute says
nothing of memory. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.companies import FIRST_CALLER, Engine, World, new_calls, running, stop_on_signals
from bench.forwarding import QUESTION
from bench.generator import Spec
from bench.measure import generate, machine
from bench.usage import open_files, own_mb, resident_mb

__all__ = ["Line", "fit"]

EVERY = 10.0
#: clients who call again and again
CLIENTS = 1_500
#: seconds before the end of the warm-up's last call and the first look
SETTLE = 15.0


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through measured points: how fast it rises, and how uncertain that is (two standard errors)."""

    slope: float
    uncertainty: float


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Least squares; raises ValueError for less than three points."""
    if len(points) < 3:
        raise ValueError("a line through so few points says nothing")
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return Line(slope, 2 * math.sqrt(rest / (count - 2) / spread))


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What was looked at, by process."""

    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    files: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def look(self, world: World, hours: float) -> None:
        for name, pids in world.by_process().items():
            self.memory.setdefault(name, []).append((hours, own_mb(pids)))
            self.files.setdefault(name, []).append((hours, float(open_files(pids))))


def measure(
    engine: Engine, minutes: float, per_second: float, most: float, clients: int
) -> tuple[dict[str, object], bool]:
    """The figures, and whether memory is steady."""
    with running(engine, 2) as world:
        told = clients
        world.tell(new_calls(world.companies, clients, first=0))
        world.until(lambda: world.finished() >= clients, what="the warm-up is finished", seconds=1800)
        time.sleep(SETTLE)
        seen, before, tables = _Seen(), world.disk_bytes(), _tables(world)
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < minutes * 60:
            seen.look(world, elapsed / 3600)
            end = time.monotonic() + EVERY
            for _ in range(int(EVERY)):
                told += _second(world, told, round(per_second), clients)
                time.sleep(max(0.0, min(1.0, end - time.monotonic())))
        world.until(lambda: world.finished() >= told, what="all calls are finished", seconds=600)
        seen.look(world, (time.monotonic() - began) / 3600)
        count = told - clients
        grown = {name: round((size - tables.get(name, 0)) / count) for name, size in _tables(world).items()}
        whole = {name: round(resident_mb(pids)) for name, pids in world.by_process().items()}
        disk = (world.disk_bytes() - before) / count
    return _judged(engine, seen, most) | {
        "interactions": count,
        "disk_bytes_per_interaction": round(disk),
        "by_table": {name: size for name, size in sorted(grown.items(), key=lambda item: -item[1]) if size >= 20},
        "whole_mb": whole,
    }, not _growing(seen, most)


def _second(world: World, told: int, calls: int, clients: int) -> int:
    """One second's calls and questions; how many calls."""
    fresh = new_calls(world.companies, calls, first=told)
    again = new_calls(world.companies, calls, first=told % (clients - calls))
    # every other call is of a client who called before: a call of its own, of the same number
    mixed = [
        (company, values if number % 2 else {**values, "caller": known[1]["caller"]})
        for number, ((company, values), known) in enumerate(zip(fresh, again, strict=True))
    ]
    world.tell(mixed)
    port, path, callers = world.answering.port, world.companies[0].forwarding, (FIRST_CALLER, clients)
    generate(Spec(port=port, path=path, rate=20, seconds=0.3, body=QUESTION, callers=callers, first=told * 100))
    return calls


def _tables(world: World) -> dict[str, int]:
    """Bytes of each table with its indexes; {} on SQLite."""
    if world.server is None:
        return {}
    rows = world.rows(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return {str(name): int(size) for name, size in rows}


def _judged(engine: str, seen: _Seen, most: float) -> dict[str, object]:
    told: dict[str, Mapping[str, float]] = {}
    for name, points in seen.memory.items():
        line = fit(points)
        told[name] = {
            "first_mb": round(points[0][1], 1),
            "last_mb": round(points[-1][1], 1),
            "mb_per_hour": round(line.slope, 1),
            "uncertainty": round(line.uncertainty, 1),
            "files": seen.files[name][-1][1],
        }
        print(f"{engine} {name}: {told[name]}", flush=True)
    return {"database": engine, "most_mb_per_hour": most, "own_memory": told}


def _growing(seen: _Seen, most: float) -> list[str]:
    """The processes whose memory or files surely grow beyond the bar."""
    found = []
    for name, points in seen.memory.items():
        line, files = fit(points), fit(seen.files[name])
        # a database server's processes come and go with the connections; its buffers are not counted here
        if line.slope - line.uncertainty > most or files.slope - files.uncertainty > 60:
            found.append(name)
            print(f"{name} grows: {line.slope:.1f} MB and {files.slope:.0f} open files an hour", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures, the last line as JSON; 1 if a process grows."""
    stop_on_signals()
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one minute, 100 clients")
    parser.add_argument("--minutes", type=float, default=10.0, help="after the warm-up; at least 1")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--per-second", type=float, default=2.0, help="calls a second")
    parser.add_argument("--most", type=float, default=30.0, help="megabytes an hour that a process may grow by")
    chosen = parser.parse_args(arguments)
    minutes, clients = (1.0, 100) if chosen.quick else (max(1.0, chosen.minutes), CLIENTS)
    found, is_steady = measure(chosen.database, minutes, chosen.per_second, chosen.most, clients)
    print(f"measured on {machine()}")
    print(json.dumps({**found, "is_steady": is_steady}))
    return 0 if is_steady or chosen.quick else 1


if __name__ == "__main__":
    sys.exit(main())
