"""Forwarding, the whole request (secret, parse, look-up, schedule, answer, journal) against a bare POST endpoint.

``python -m bench.forwarding [--quick]``; the last line is JSON. The base, a bare
endpoint of the framework alone in its application, reads its body and answers nothing, in the same server process;
``…_asgi`` compares with the server underneath without any framework.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench.generator import Result, Spec
from bench.importing import beside_import
from bench.measure import (
    CHANNEL,
    FIRST_NUMBER,
    PROJECT,
    SECRET,
    Served,
    compare,
    cpus,
    generate,
    machine,
    make_company,
    quiet_json,
    served,
    start,
)
from bench.served import BARE

PATH = f"/forward/{PROJECT}/{CHANNEL}/{SECRET}"
HOOK = f"/hooks/{PROJECT}/{CHANNEL}/{SECRET}?moment=after"
QUESTION = (
    '{"call_id":"ua0_-{n}","step_forward":"webhookNumber%3A42","uuid":"0b5a3c1e-6c1e-4a55-9a5d-{n}",'
    '"caller":"{caller}","dst":"380441234567"}'
)
CALL = (
    '{"uniqueid":"ua0_-{n}","calldate":"2026-03-02 11:20:00","call_type":"in","caller":"{caller}",'
    '"dst":"380441234567","disposition":"ANSWERED","duration":"70","billsec":"60","connected_with":"company_e7"}'
)
RATE = 1000
#: until what comes first is read, decided and written, in seconds
_SETTLING = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 thousand numbers, short rounds: under 40 s")
    quick = parser.parse_args().quick
    numbers, rounds, seconds = (100_000, 3, 1.0) if quick else (1_000_000, 7, 3.0)
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        directory = Path(name)
        print(f"filling the directory with {numbers:,} numbers", flush=True)
        make_company(directory, numbers)
        with served(directory) as process:
            spec = {"body": QUESTION, "callers": (FIRST_NUMBER, numbers)}
            closing = compare(process, {**spec, "is_closing": True}, PATH, rounds=rounds, seconds=seconds)
            kept = compare(process, spec, PATH, rounds=rounds, seconds=seconds)
            for word, found in (("Connection: close", closing), ("keep-alive", kept)):
                print(f"{word}: {found}", flush=True)
            if not kept.sample.startswith("company_e"):
                raise SystemExit(f"the answer is wrong: {kept.sample!r}")
            idle = _latency(process, numbers, 2 if quick else 10).p99_ms
            loaded, loaded_bare = _loaded(process, directory, numbers, *((3, 1.5) if quick else (5, 4.0)))
    print(f"measured on {machine()}")
    print(
        quiet_json(
            ratio_close=closing.ratio,
            ratio_keepalive=kept.ratio,
            ratio_close_asgi=closing.ratio_asgi,
            ratio_keepalive_asgi=kept.ratio_asgi,
            p99_ms_loaded=loaded,
            p99_ms_loaded_bare=loaded_bare,
            p99_ms_idle=idle,
            numbers=numbers,
            rate_close=closing.rate,
            rate_keepalive=kept.rate,
            errors=closing.errors + kept.errors,
        )
    )


def _latency(process: Served, numbers: int, seconds: float, path: str = PATH, first: int = 500_000_000) -> Result:
    """What `RATE` new connections a second waited for."""
    _, core = cpus()
    found = generate(
        Spec(
            port=process.port,
            path=path,
            is_closing=True,
            rate=RATE,
            seconds=seconds,
            body=QUESTION,
            callers=(FIRST_NUMBER, numbers),
            first=first,
            cpu=core,
        )
    )
    print(
        f"{'bare' if path == BARE else 'a question'} at {RATE}/s: median {found.median_ms:.2f} ms, "
        f"99 % {found.p99_ms:.2f} ms, worst {found.worst_ms:.1f} ms",
        flush=True,
    )
    return found


def _loaded(process: Served, directory: Path, numbers: int, rounds: int, seconds: float) -> tuple[float, float]:
    """The 99th percentiles of questions and of the bare endpoint, in turns, medians of ``rounds``.

    Meanwhile an import fills the directory, and webhooks come in, which are read, decided and written.
    """
    _, core = cpus()
    with beside_import(directory):
        webhooks = start(
            Spec(
                port=process.port,
                path=HOOK,
                rate=100,
                seconds=_SETTLING + rounds * (2 * seconds + 1),
                body=CALL,
                callers=(FIRST_NUMBER, numbers),
                first=900_000_000,
                # who sends them is no part of the hub
                cpu=core,
            )
        )
        try:
            time.sleep(_SETTLING)
            print("while an import runs and 100 webhooks a second come in:", flush=True)
            found: dict[str, list[float]] = {PATH: [], BARE: []}
            for number in range(2 * rounds):
                path = BARE if number % 2 else PATH
                first = 600_000_000 + number * 10_000_000
                found[path].append(_latency(process, numbers, seconds, path, first).p99_ms)
        finally:
            webhooks.terminate()
            webhooks.wait()
    return statistics.median(found[PATH]), statistics.median(found[BARE])


if __name__ == "__main__":
    main()
