"""One whole crash run; ``python -m tests.end_to_end.crash_run`` does it with the full times (`scripts/crash-full`)."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hub.engine.checkpoints import CHECKPOINTS
from tests.end_to_end.crash_world import CrashWorld, Timing, calling, crash_world, judge

__all__ = ["crash_often"]

#: the moments at which a request is on its way get most of the kills
OFTEN = {"writer.marked_sent": 30, "writer.answered": 45}
#: every other checkpoint, also one that is yet to come
ELSEWHERE = 5
RANDOM = 45


async def crash_often(
    world: CrashWorld, *, per_second: float = 4.0, patience: float = 10.0, share: float = 1.0
) -> dict[str, Any]:
    """Kill the hub at every checkpoint and at random while calls come in, then let it finish; the counts.

    Kills do not wait for earlier doubts: they meet steps that are in doubt from several earlier lives.
    """
    draw = random.Random(world.seed)
    moments = [name for name in CHECKPOINTS for _ in range(max(1, int(OFTEN.get(name, ELSEWHERE) * share)))]
    moments += ["random"] * int(RANDOM * share)
    draw.shuffle(moments)
    # doubts must exist before they can be checked
    moments.sort(key=lambda name: name.startswith("doubt."))
    began = time.monotonic()
    async with calling(world.caller, per_second):
        for name in moments:
            if name == "random":
                await world.kill_after(draw.uniform(0.1, 0.9))
            else:
                await world.kill_at(name, draw.choice((1, 1, 1, 2, 3)), patience=patience)
    killing = time.monotonic() - began
    await world.settle(60 + 12 * (world.timing.doubt_wait + world.timing.request_timeout))
    total = time.monotonic() - began
    return {**world.report(), "seconds_killing": round(killing, 1), "seconds": round(total, 1)}


async def _main(factor: float, share: float, folder: Path) -> int:
    async with crash_world(folder, Timing(factor=factor)) as world:
        # a doubt is looked at only so long after the request: the kill there must have the patience
        patience = 30 + 2 * (world.timing.doubt_wait + world.timing.request_timeout)
        report = await crash_often(world, patience=patience, share=share)
        records = await world.crm.records()
        stats = (await world.crm.http.get(f"{world.crm.address}/_sandbox/stats")).json()
    verdict = judge(records, world.caller.accepted.values(), world.caller.unanswered.values())
    report |= {
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "needs_attention": len(world.attention()),
        "violations_of_the_limit": stats["violations"],
        "applied_late": stats["faults"].get("late", 0),
    }
    for sentence in (*verdict.lost, *verdict.doubled, *world.attention()):
        print(sentence, file=sys.stderr)  # noqa: T201 - a command's output
    print(json.dumps(report, indent=1))  # noqa: T201 - a command's output
    return 1 if verdict.lost or verdict.doubled else 0


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
