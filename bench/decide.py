"""``python -m bench.decide``: microseconds of one decision with fifty rules.

The base of comparison is one JSON round trip of the same call in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from hub.core.decide import NO_TURNS, decide
from hub.core.interaction import ClientId
from hub.core.policy import Policy
from hub.store import codec
from hub.testing import builders

NOW = datetime(2026, 7, 29, 9, 0, tzinfo=UTC)

_RULE = """
[[rules]]
name = "campaign {n}"
when = {{ utm_campaign = "campaign-{n}", department = "department-{n}" }}
tags = ["tag-{n}"]
"""


def with_rules(count: int) -> Policy:
    """The car dealer's policy with ``count`` rules that are all looked at."""
    return builders.policy("car-dealer", "".join(_RULE.format(n=n) for n in range(count)))


def median_us(run: Callable[[], object], rounds: int) -> float:
    """Median microseconds of ``run``."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        run()
        taken.append(time.perf_counter_ns() - began)
    return statistics.median(taken) / 1000


def measure(rounds: int) -> dict[str, float]:
    """An answered call of a known client with an open deal, and a missed call of a new one."""
    policy = with_rules(50)
    answered = builders.answered(by=builders.COLLEAGUE)
    known = builders.client(deal=builders.OWNER)
    missed = builders.missed()
    client = ClientId("c1")
    figures = {
        "known_answered_us": median_us(
            lambda: decide(answered, known, NO_TURNS, policy, NOW, client_id=client), rounds
        ),
        "new_missed_us": median_us(
            lambda: decide(missed, builders.NEW_CLIENT, NO_TURNS, policy, NOW, client_id=client), rounds
        ),
    }
    trip = median_us(lambda: codec.load_interaction(codec.dump_interaction(answered)), rounds)
    worst = max(figures.values())
    return {
        **{name: round(value, 1) for name, value in figures.items()},
        "median_us": round(worst, 1),
        "json_round_trip_us": round(trip, 1),
        "ratio": round(worst / trip, 2),
    }


def main() -> None:
    """Print the figures, the last line as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="keep it under 40 s")
    chosen = parser.parse_args()
    print(json.dumps(measure(2_000 if chosen.quick else 20_000)))


if __name__ == "__main__":
    main()
