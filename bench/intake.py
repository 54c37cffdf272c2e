"""Webhooks accepted durably (SQLite, FULL) against a bare POST endpoint, 16 connections, one core.

``python -m bench.intake [--quick] [--database sqlite|postgresql]``; the last line is JSON. The base reads its body and
answers nothing, in the same server process. What is accepted is read by another process there (`hub run --role web`),
and by the same one where the delays are measured. On PostgreSQL (``fsync`` and ``synchronous_commit`` on) the web
process is measured alone, with the server's processor time beside it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench.forwarding import CALL, HOOK
from bench.generator import Spec
from bench.importing import beside_import
from bench.measure import FIRST_NUMBER, Served, compare, cpus, generate, machine, make_company, quiet_json, served
from bench.postgres import postgres
from bench.usage import processor_seconds, tree

NUMBERS = 20_000
#: webhooks a second while an import runs: what a busy company's telephony sends, many times over
RATE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds: under 40 s")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    chosen = parser.parse_args()
    quick = chosen.quick
    rounds, seconds = (3, 1.5) if quick else (7, 3.0)
    if chosen.database == "postgresql":
        _on_postgresql(rounds, seconds)
        return
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        directory = Path(name)
        make_company(directory, NUMBERS)
        with served(directory, "web") as process:
            spec = {"body": CALL, "callers": (FIRST_NUMBER, NUMBERS), "connections": 16}
            found = compare(process, spec, HOOK, rounds=rounds, seconds=seconds)
            print(f"accepted: {found}", flush=True)
    # a company of its own: that of the rounds has tens of thousands of webhooks left to read
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        directory = Path(name)
        make_company(directory, NUMBERS)
        with served(directory) as process:
            idle = _latency(process, 2 if quick else 10)
            with beside_import(directory):
                print("while an import runs:")
                loaded = _latency(process, 5 if quick else 20)
    print(f"measured on {machine()}")
    print(
        quiet_json(
            ratio=found.ratio,
            ratio_asgi=found.ratio_asgi,
            p99_ms_importing=loaded,
            p99_ms_idle=idle,
            rate=found.rate,
            errors=found.errors,
        )
    )


def _on_postgresql(rounds: int, seconds: float) -> None:
    with postgres() as server, tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        directory, url = Path(name), server.create()
        make_company(directory, NUMBERS, database_url=url)
        with served(directory, "web", database_url=url) as process:
            spec = {"body": CALL, "callers": (FIRST_NUMBER, NUMBERS), "connections": 16}
            before = processor_seconds(tree(server.pid))
            found = compare(process, spec, HOOK, rounds=rounds, seconds=seconds)
            used = processor_seconds(tree(server.pid)) - before
            with server.connect(url.rpartition("/")[2]) as conn:
                rows = conn.execute("SELECT count(*) FROM inbox").fetchone()
    assert rows is not None
    assert rows[0], "nothing was stored: the measurement means nothing"
    print(f"accepted: {found}")
    print(f"measured on {machine()}")
    print(
        quiet_json(
            database="postgresql",
            ratio=found.ratio,
            cpu_ratio=found.cpu_ratio,
            rate=found.rate,
            web_us=found.cpu_us,
            database_us=used / rows[0] * 1e6,
            errors=found.errors,
        )
    )


def _latency(process: Served, seconds: float) -> float:
    """The 99th percentile in milliseconds at `RATE` webhooks a second, from the request to the yes."""
    _, core = cpus()
    found = generate(
        Spec(
            port=process.port,
            path=HOOK,
            rate=RATE,
            seconds=seconds,
            body=CALL,
            callers=(FIRST_NUMBER, NUMBERS),
            first=700_000_000,
            cpu=core,
        )
    )
    print(f"at {RATE}/s: median {found.median_ms:.2f} ms, 99 % {found.p99_ms:.2f} ms, worst {found.worst_ms:.1f} ms")
    return found.p99_ms


if __name__ == "__main__":
    main()
