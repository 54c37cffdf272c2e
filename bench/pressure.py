"""``python -m bench.pressure [--quick]``: forwarding while the hub is busy writing, on SQLite and on PostgreSQL.

Rounds alternate: questions as fast as they are answered over 16 connections, alone, and right after a burst of
answered calls was accepted, whose deciding and writing goes on meanwhile. On SQLite one process does everything; on
PostgreSQL a web process answers and a worker decides and writes, so that what is left of the ratio is what the cores of
the machine cannot give. Then the 99th percentile at a fixed rate of new connections, alone and under the same load. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.companies import FIRST_CALLER, Engine, World, new_calls, running, seconds_of, stop_on_signals
from bench.forwarding import QUESTION
from bench.generator import Result, Spec
from bench.measure import generate, machine

#: new connections a second where delays are measured
RATE = 100


@dataclass(slots=True, kw_only=True)
class _Asked:
    """One hub, asked."""

    world: World
    burst: int
    seconds: float
    told: int = 0
    questions: int = 0
    #: not within two seconds after the round's end
    unanswered: int = 0
    #: interactions finished in each round under load
    written: list[int] = field(default_factory=list)
    #: and actions done in the CRM: calls of one burst advance together, and finish together
    acted: list[int] = field(default_factory=list)

    def prepare(self) -> None:
        """Make clients who are known."""
        self._burst()
        self._rest()

    def _burst(self) -> None:
        self.world.tell(new_calls(self.world.companies, self.burst, first=self.told))
        self.told += self.burst

    def _rest(self) -> None:
        self.world.until(lambda: self.world.finished() >= self.told, what="all calls are finished")

    def _acted(self) -> int:
        return int(self.world.rows("SELECT count(*) FROM step WHERE state = 'done'")[0][0])

    def ask(self, *, is_loaded: bool, rate: float = 0.0) -> tuple[Result, float]:
        """What came back, and the microseconds of a processor per question of the process that answered."""
        process = self.world.answering
        # of clients whose calls were finished before
        callers = (FIRST_CALLER, self.told)
        if is_loaded:
            begun = self._acted()
            self._burst()
            # from the first action on: before, calls are only read
            self.world.until(lambda: self._acted() > begun, what="the burst is being written", every=0.05)
        before, done, acted = seconds_of(process), self.world.finished(), self._acted()
        spec = Spec(
            port=process.port,
            path=self.world.companies[0].forwarding,
            is_closing=bool(rate),
            rate=rate,
            seconds=self.seconds,
            body=QUESTION,
            callers=callers,
            first=self.questions,
        )
        found = generate(spec)
        self.questions += found.requests + 100_000
        used = (seconds_of(process) - before) / max(1, found.requests) * 1e6
        self.unanswered += found.errors
        if is_loaded:
            if done == self.told:
                raise RuntimeError("nothing was to be written any more: the measurement means nothing")
            self.written.append(self.world.finished() - done)
            self.acted.append(self._acted() - acted)
        self._rest()
        return found, used


def measure(engine: Engine, burst: int, rounds: int, seconds: float) -> dict[str, float]:
    """Alternating rounds; medians."""
    with running(engine, 2) as world:
        asked = _Asked(world=world, burst=burst, seconds=seconds)
        asked.prepare()
        asked.ask(is_loaded=False)
        alone, loaded = [], []
        for _ in range(rounds):
            alone.append(asked.ask(is_loaded=False))
            loaded.append(asked.ask(is_loaded=True))
        slow = [asked.ask(is_loaded=False, rate=RATE)[0].p99_ms for _ in range(rounds)]
        slow_loaded = [asked.ask(is_loaded=True, rate=RATE)[0].p99_ms for _ in range(rounds)]
    result = {
        "per_second": statistics.median(found.rate for found, _ in alone),
        "per_second_loaded": statistics.median(found.rate for found, _ in loaded),
        "ratio": statistics.median(b.rate / a.rate for (a, _), (b, _) in zip(alone, loaded, strict=True)),
        "process_us_per_question": statistics.median(used for _, used in alone),
        "process_us_per_question_loaded": statistics.median(used for _, used in loaded),
        "p99_ms": statistics.median(slow),
        "p99_ms_loaded": statistics.median(slow_loaded),
        "written_per_second": statistics.median(asked.written) / seconds,
        "acted_per_second": statistics.median(asked.acted) / seconds,
        "unanswered": float(asked.unanswered),
    }
    print(f"{engine}: {json.dumps({name: round(value, 2) for name, value in result.items()})}", flush=True)
    return {name: round(value, 3) for name, value in result.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, the last line as JSON."""
    stop_on_signals()
    parser = argparse.ArgumentParser(prog="python -m bench.pressure", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="one of them only")
    chosen = parser.parse_args(arguments)
    burst, rounds, seconds = (150, 3, 2.0) if chosen.quick else (300, 7, 3.0)
    engines: tuple[Engine, ...] = (chosen.database,) if chosen.database else ("sqlite", "postgresql")
    found = {engine: measure(engine, burst, rounds, seconds) for engine in engines}
    print(f"measured on {machine()}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
