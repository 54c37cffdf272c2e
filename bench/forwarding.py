"""Forwarding, the whole request (secret, parse, look-up, schedule, answer, journal) against a bare POST endpoint.

``python -m bench.forwarding [--quick]``; the last line is JSON. The base, a bare
endpoint of the framework alone in its application, reads its body and answers nothing, in the same server process;
``…_asgi`` compares with the server underneath without any framework.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.generator import Spec
from bench.measure import (
    CHANNEL,
    FIRST_NUMBER,
    PROJECT,
    SECRET,
    Served,
    compare,
    cpus,
    finish,
    generate,
    machine,
    make_company,
    quiet_json,
    served,
    start,
)

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 thousand numbers, short rounds: under 40 s")
    quick = parser.parse_args().quick
    numbers, rounds, seconds = (100_000, 3, 1.2) if quick else (1_000_000, 7, 3.0)
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
            idle = _latency(process, numbers, 2 if quick else 10)
            loaded = _loaded(process, directory, numbers, 5 if quick else 20)
    print(f"measured on {machine()}")
    print(
        quiet_json(
            ratio_close=closing.ratio,
            ratio_keepalive=kept.ratio,
            ratio_close_asgi=closing.ratio_asgi,
            ratio_keepalive_asgi=kept.ratio_asgi,
            p99_ms_loaded=loaded,
            p99_ms_idle=idle,
            numbers=numbers,
            rate_close=closing.rate,
            rate_keepalive=kept.rate,
            errors=closing.errors + kept.errors,
        )
    )


def _latency(process: Served, numbers: int, seconds: float) -> float:
    """The 99th percentile in milliseconds at `RATE` new connections a second."""
    _, core = cpus()
    found = generate(
        Spec(
            port=process.port,
            path=PATH,
            is_closing=True,
            rate=RATE,
            seconds=seconds,
            body=QUESTION,
            callers=(FIRST_NUMBER, numbers),
            first=500_000_000,
            cpu=core,
        )
    )
    print(f"at {RATE}/s: median {found.median_ms:.2f} ms, 99 % {found.p99_ms:.2f} ms, worst {found.worst_ms:.1f} ms")
    return found.p99_ms


def _loaded(process: Served, directory: Path, numbers: int, seconds: float) -> float:
    """The same while an import fills the directory and webhooks come in."""
    importing = subprocess.Popen([sys.executable, "-m", "bench.importing", str(directory / "directory.db")])
    burst = start(
        Spec(
            port=process.port,
            path=HOOK,
            rate=100,
            seconds=seconds,
            body=CALL,
            callers=(FIRST_NUMBER, numbers),
            first=900_000_000,
        )
    )
    try:
        print("while an import runs and 100 webhooks a second come in:", flush=True)
        return _latency(process, numbers, seconds)
    finally:
        finish(burst)
        importing.terminate()
        importing.wait()


if __name__ == "__main__":
    main()
