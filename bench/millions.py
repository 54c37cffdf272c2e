"""``python -m bench.millions [--quick]``: what ten million numbers cost (H6, DESIGN 11), ``--quick`` one million.

The account's records stand in PostgreSQL (``hub_directory``, written there by a statement, since an import of so many
would take the vendor a day); a web process that starts with an empty directory copies them, which is timed. Then whole
forwarding questions over HTTP are compared, in rounds that alternate, between a process with that copy and one with
100 thousand numbers: processor time per question, which other work on the machine does not change much. Told besides:
sizes on disk, memory, the look-up alone. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from bench.companies import seconds_of, stop_on_signals
from bench.forwarding import PATH, QUESTION
from bench.generator import Spec
from bench.measure import CRM, FIRST_NUMBER, PROJECT, Served, contact_of, generate, machine, make_company, served
from bench.postgres import Server, postgres
from bench.usage import resident_mb
from hub.core.phone import Phone
from hub.store import cluster
from hub.store.directory import Directory
from hub.store.directory_file import KINDS, dump_record
from hub.store.engine import Store
from hub.testing.running import Process

BASE = 100_000
LOOKUPS = 20_000
#: seconds that the first copy may take
PATIENCE = 5400.0
#: records written by one statement
TOGETHER = 500_000


def fill(store: Store, numbers: int) -> float:
    """Put what `bench.measure.contact_of` makes of each number into PostgreSQL; seconds it took."""
    began = time.perf_counter()
    # an index that is made afterwards costs a third of one that grows
    store.write_now(lambda conn: conn.execute(text("DROP INDEX hub_directory_change_index")))
    for first in range(0, numbers, TOGETHER):
        for values in _models():
            given = {**values, "project": PROJECT, "connection": CRM, "first": first}
            given["last"] = min(first + TOGETHER, numbers) - 1
            store.write_now(lambda conn, given=given: conn.execute(_FILL, given))  # type: ignore[misc]
    store.write_now(cluster.prepare)
    return time.perf_counter() - began


#: one record's body with other numbers: what the product writes, made by the server
_FILL = text(
    "INSERT INTO hub_directory (project, connection, kind, id, version, seen, body, change)"
    " SELECT :project, :connection, :kind, cast(10000000 + n AS text), 1, 1, convert_to("
    "replace(replace(replace(replace(:body, '#id#', cast(10000000 + n AS text)), '#phone#', cast(:phone + n AS text)),"
    " '#n#', cast(n AS text)), '#who#', cast(n % 50 + 1 AS text)), 'UTF8'), nextval('hub_directory_change')"
    " FROM generate_series(cast(:first AS bigint), cast(:last AS bigint)) AS n"
    " WHERE (n % 3 = 0) = :is_third"
)


def _models() -> Iterator[dict[str, Any]]:
    """Contacts without a deal, contacts with one, deals: each with marks in place of its numbers."""
    (alone,), (with_deal, deal) = contact_of(1), contact_of(3)
    for record, number in ((alone, 1), (with_deal, 3), (deal, 3)):
        body = dump_record(record).decode()
        for told, mark in (
            (str(10_000_000 + number), "#id#"),
            (str(FIRST_NUMBER + number), "#phone#"),
            (f"Client {number}", "Client #n#"),
            (f"Tea {number}", "Tea #n#"),
            (f'"@{number % 50 + 1}"', '"@#who#"'),
        ):
            body = body.replace(told, mark)
        yield {
            "body": body,
            "kind": KINDS[record.ref.kind],
            "is_third": record is not alone,
            "phone": FIRST_NUMBER,
        }


def copy_first(url: str, directory: Path) -> tuple[float, float, float]:
    """Seconds, seconds of a processor and megabytes that a new web process takes until it has all."""
    environment = {"HUB_DATA_DIRECTORY": str(directory), "HUB_DATABASE_URL": url, "HUB_LOG_LEVEL": "error"}
    began = time.perf_counter()
    process = Process.start("web", log=directory / "web.log", environment=environment)
    try:
        process.await_served()
        with Store(url) as store:
            last = store.read_now(
                lambda conn: int(conn.execute(text("SELECT max(change) FROM hub_directory")).scalar_one())
            )
        with Directory(directory / "web-1" / "directory.db") as copy:
            while int(copy.mark(PROJECT, CRM, "copied") or 0) < last:
                if time.perf_counter() - began > PATIENCE:
                    raise RuntimeError("the copy is not complete in time")
                time.sleep(0.5)
        seconds = time.perf_counter() - began
        return seconds, seconds_of(process), resident_mb([process.pid])
    finally:
        process.end()


def compare(small: Served, large: Served, numbers: int, *, rounds: int, seconds: float) -> tuple[float, float]:
    """Microseconds of a processor for a whole question, with few numbers and with many: medians of rounds in turn."""
    costs: dict[int, list[float]] = {small.pid: [], large.pid: []}
    first = 0
    for number in range(rounds + 1):
        for process, count in ((small, BASE), (large, numbers)):
            before = process.cpu_seconds()
            callers = (FIRST_NUMBER, count)
            spec = Spec(port=process.port, path=PATH, seconds=seconds, body=QUESTION, callers=callers, first=first)
            found = generate(spec)
            first += found.requests + 100_000
            if found.errors or not found.sample.startswith("company_e"):
                raise RuntimeError(f"the answer is wrong: {found.sample!r}, {found.errors} errors")
            if number:
                costs[process.pid].append((process.cpu_seconds() - before) / found.requests * 1e6)
    return statistics.median(costs[small.pid]), statistics.median(costs[large.pid])


def lookup_us(directory: Path, numbers: int) -> float:
    """Microseconds of a processor for the look-up alone, of numbers from all over; the best of five rounds."""
    chance, best = random.Random(7), float("inf")
    with Directory(directory / "directory.db") as found:
        for _ in range(5):
            phones = [Phone(f"+{FIRST_NUMBER + chance.randrange(numbers)}") for _ in range(LOOKUPS)]
            began = time.process_time()
            hits = sum(not found.lookup(PROJECT, CRM, phone).is_empty for phone in phones)
            best = min(best, (time.process_time() - began) / LOOKUPS * 1e6)
            assert hits == LOOKUPS, "a number was not found"
    return best


def measure(server: Server, numbers: int, *, rounds: int, seconds: float) -> dict[str, float]:
    """Fill, copy, ask."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-", ignore_cleanup_errors=True) as name:
        small, large, fleet = (Path(name) / part for part in ("small", "large", "fleet"))
        for directory, count in ((small, BASE), (large, 1)):
            directory.mkdir()
            make_company(directory, count)
        url = server.create()
        make_company(fleet, 1, database_url=url)
        with Store(url) as store:
            store.write_now(cluster.prepare)
            filled = fill(store, numbers)
            table = store.read_now(
                lambda conn: int(conn.execute(text("SELECT pg_total_relation_size('hub_directory')")).scalar_one())
            )
        print(f"{numbers:,} numbers are in PostgreSQL after {filled:.0f} s, {table / 2**20:,.0f} MB", flush=True)
        copied, processor, weight = copy_first(url, fleet)
        print(f"the first copy took {copied:.0f} s, {processor:.0f} s of a processor, {weight:.0f} MB", flush=True)
        (large / "directory.db").unlink()
        shutil.move(fleet / "web-1" / "directory.db", large / "directory.db")
        size = (large / "directory.db").stat().st_size
        alone = lookup_us(small, BASE), lookup_us(large, numbers)
        with served(small, "web") as few, served(large, "web") as many:
            base, cost = compare(few, many, numbers, rounds=rounds, seconds=seconds)
            memory = resident_mb([many.pid])
    return {
        "numbers": numbers,
        "records": numbers + -(-numbers // 3),
        "directory_mb": round(size / 2**20),
        "table_mb": round(table / 2**20),
        "first_copy_s": round(copied, 1),
        "first_copy_cpu_s": round(processor, 1),
        "first_copy_us_per_record": round(processor / (numbers * 4 / 3) * 1e6, 1),
        "resident_mb": round(memory),
        "lookup_us_100k": round(alone[0], 1),
        "lookup_us": round(alone[1], 1),
        "lookup_ratio": round(alone[1] / alone[0], 3),
        "question_us_100k": round(base, 1),
        "question_us": round(cost, 1),
        "question_ratio": round(cost / base, 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, the last line as JSON."""
    stop_on_signals()
    parser = argparse.ArgumentParser(prog="python -m bench.millions", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one million")
    parser.add_argument("--numbers", type=int, help="as many")
    chosen = parser.parse_args(arguments)
    numbers = chosen.numbers or (1_000_000 if chosen.quick else 10_000_000)
    with postgres() as server:
        found = measure(server, numbers, rounds=5 if chosen.quick else 9, seconds=1.5)
    print(f"measured on {machine()}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
