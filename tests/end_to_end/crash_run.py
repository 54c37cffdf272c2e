"""One whole crash run; ``python -m tests.end_to_end.crash_run`` does it with the full times (`scripts/crash-full`)."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.engine.checkpoints import CHECKPOINTS
from tests.end_to_end.crash_world import CrashWorld, Timing, calling, crash_world, judge

__all__ = ["Outcome", "crash_often", "crash_worlds"]

#: the moments at which a request is on its way get most of the kills
OFTEN = {"writer.marked_sent": 46, "writer.answered": 50}
#: every other checkpoint, also one that is yet to come
ELSEWHERE = 3
RANDOM = 24


async def crash_often(
    world: CrashWorld, *, per_second: float = 4.0, patience: float = 15.0, share: float = 1.0
) -> CrashWorld:
    """Kill the hub at every checkpoint and at random while calls come in, then let it finish.

    Kills do not wait for earlier doubts: they meet steps that are in doubt from several earlier lives.
    """
    draw = random.Random(world.seed)
    moments = [name for name in CHECKPOINTS for _ in range(max(1, round(OFTEN.get(name, ELSEWHERE) * share)))]
    moments += ["random"] * round(RANDOM * share)
    draw.shuffle(moments)
    # doubts must exist before they can be checked
    moments.sort(key=lambda name: name.startswith("doubt."))
    async with calling(world.caller, per_second):
        for name in moments:
            if name == "random":
                # the first second of a life is quiet: the one before may have used up the CRM's limit
                await world.kill_after(draw.uniform(0.2, 2.2))
            else:
                await world.kill_at(name, draw.choice((1, 1, 1, 2)), patience=patience)
    await world.settle(60 + 12 * (world.timing.doubt_wait + world.timing.request_timeout))
    return world


@dataclass(slots=True)
class Outcome:
    """What several worlds together came to."""

    report: dict[str, Any]
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    attention: list[str] = field(default_factory=list)
    violations: int = 0


async def crash_worlds(
    folder: Path, timing: Timing, *, worlds: int = 2, patience: float = 15.0, share: float = 1.0
) -> Outcome:
    """Several worlds side by side, since a crash test mostly waits; ``share`` of the usual kills in all of them."""
    began = time.monotonic()

    async def one(seed: int) -> Outcome:
        place = folder / f"world{seed}"
        place.mkdir()
        async with crash_world(place, timing, seed=seed) as world:
            await crash_often(world, patience=patience, share=share / worlds)
            records = await world.crm.records()
            stats = (await world.crm.http.get(f"{world.crm.address}/_sandbox/stats")).json()
            verdict = judge(records, world.caller.accepted.values(), world.caller.unanswered.values())
            return Outcome(
                report=world.report() | {"applied_late": stats["faults"].get("late", 0)},
                lost=list(verdict.lost),
                doubled=list(verdict.doubled),
                attention=world.attention(),
                violations=stats["violations"],
            )

    found = await asyncio.gather(*(one(seed) for seed in range(1, worlds + 1)))
    report = _merged([outcome.report for outcome in found])
    report |= {"factor": timing.factor, "seconds": round(time.monotonic() - began)}
    return Outcome(
        report=report,
        lost=[line for outcome in found for line in outcome.lost],
        doubled=[line for outcome in found for line in outcome.doubled],
        attention=[line for outcome in found for line in outcome.attention],
        violations=sum(outcome.violations for outcome in found),
    )


def _merged(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts added up; of seconds the largest."""
    merged: dict[str, Any] = {}
    for name in reports[0]:
        values = [report[name] for report in reports]
        if isinstance(values[0], dict):
            merged[name] = dict(sum((Counter(value) for value in values), Counter[str]()))
        elif name.endswith("_seconds"):
            merged[name] = max(value for value in values if value is not None)
        else:
            merged[name] = sum(values)
    return merged


async def _main(factor: float, share: float, folder: Path) -> int:
    timing = Timing(factor=factor)
    # a doubt is looked at only so long after the request: the kill there must have the patience
    patience = 30 + 2 * (timing.doubt_wait + timing.request_timeout)
    outcome = await crash_worlds(folder, timing, patience=patience, share=share)
    for sentence in (*outcome.lost, *outcome.doubled, *outcome.attention):
        print(sentence, file=sys.stderr)  # noqa: T201 - a command's output
    counts = {
        "lost": len(outcome.lost),
        "doubled": len(outcome.doubled),
        "needs_attention": len(outcome.attention),
        "violations_of_the_limit": outcome.violations,
    }
    print(json.dumps(outcome.report | counts, indent=1))  # noqa: T201 - a command's output
    return 1 if outcome.lost or outcome.doubled else 0


def main() -> int:
    """Parse the arguments, run, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factor", type=float, default=1.0, help="divides all times that concern doubt; default 1")
    parser.add_argument("--share", type=float, default=1.0, help="share of the usual kills; default 1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hub-crash-") as folder:
        return asyncio.run(_main(options.factor, options.share, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
