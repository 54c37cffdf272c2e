"""Full import and size of the directory (DESIGN 11): ``python -m bench.directory [--quick]``.

200,000 contacts and 300,000 deals come from the amoCRM sandbox through the product's own importer: the requests are
compared with the least that the vendor's pages allow, the processor time of both processes with how long the vendor's
limit of 7 requests a second makes the import last. What the child's start takes is told apart: a tenth of everything
needs a whole start too. Then a hub's process opens a directory of a million numbers, looks up, and is weighed. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Contact, RecordKind, crm_user
from hub.ports import Changes
from hub.runtime.feeds import Feed
from hub.runtime.importer import Importer
from hub.runtime.opening import open_account
from hub.runtime.services import Services
from hub.settings import Settings
from hub.store import policies, projects
from hub.store.directory import Directory
from hub.store.projects import Status

PROJECT, CRM = "bench", "amocrm"
#: the vendor's page, its limit, and the share of seeded leads that are open: the import reads open ones
PAGE, VENDOR_LIMIT, OPEN_EVERY = 250, 7, 4
#: the plugin's highest pace: the vendor's 7 a second would only make the bench wait
PACE = 50
FIRST_PHONE = 380_500_000_000
#: the seeded numbers are Russian, and so is the company: almost all numbers are of a company's own country
POLICY = '[project]\nregion = "RU"\n'
#: what the importing process does before it asks for anything
START = "import hub.runtime.import_child; from hub.plugins import load_plugins; load_plugins(('amocrm',))"


@contextmanager
def sandbox(contacts: int, deals: int) -> Iterator[str]:
    """The amoCRM sandbox as a process of its own, seeded, without its limit."""
    command = [sys.executable, "-m", "hub_amocrm.sandbox", "--limit", "0"]
    command += ["--seed-contacts", str(contacts), "--seed-leads", str(deals)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def prepare(services: Services, address: str) -> None:
    """One project with one connected account."""
    token = httpx.post(f"{address}/_sandbox/tokens", json={"kind": "long_lived"}).json()["token"]
    settings = {
        "address": address,
        "long_lived_token": token,
        "is_loopback_allowed": True,
        "requests_per_second": PACE,
    }
    store, cipher, now = services.store, services.cipher, services.clock.now()
    store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=now))
    store.write_now(lambda conn: policies.publish(conn, PROJECT, text=POLICY, author="bench", based_on=None, now=now))
    store.write_now(
        lambda conn: projects.add_connection(
            conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings=settings, now=now
        )
    )
    store.write_now(lambda conn: projects.set_status(conn, PROJECT, CRM, Status.READY, now=now))
    services.projects.reload_now()


async def measure_import(data: Path, contacts: int, deals: int) -> dict[str, float]:
    """Import everything; requests, seconds and processor time of parent and child."""
    with sandbox(contacts, deals) as address:
        services = build_services(Settings(environment="development", data_directory=data))
        try:
            prepare(services, address)
            project = services.projects.get(PROJECT)
            account = open_account(services, project, project.connections[0])
            try:
                await account.session.connect()
                feed = Feed(account, services.store, services.clock, sink=services.plugins.sink(account.sink))
                importer = Importer(
                    account,
                    services.store,
                    services.clock,
                    directory=services.settings.directory_path,
                    begin_feed=feed.ensure_started,
                )
                before, began = _processor_seconds(), time.monotonic()
                done = await importer.run()
                seconds, processor = time.monotonic() - began, _processor_seconds() - before
                counts = account.directory.counts(PROJECT, CRM)
            finally:
                await account.close()
        finally:
            services.close()
    open_deals = math.ceil(deals / OPEN_EVERY)
    assert counts[RecordKind.CONTACT] == contacts, f"{counts} are not {contacts} contacts"
    assert counts[RecordKind.DEAL] >= open_deals, f"{counts} are not {open_deals} open deals"
    start, records = _start_seconds(), contacts + open_deals
    least = math.ceil(contacts / PAGE) + math.ceil(open_deals / PAGE)
    return {
        "contacts": contacts,
        "deals": deals,
        "deals_open": open_deals,
        "requests": done.requests,
        "requests_least": least,
        "requests_ratio": round(done.requests / least, 3),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(processor, 1),
        "cpu_share": round(processor / (done.requests / VENDOR_LIMIT), 4),
        # a tenth of everything is still one whole start: told apart, so that --quick can be read
        "cpu_seconds_start": round(start, 2),
        "cpu_us_per_record": round((processor - start) / records * 1e6, 1),
    }


def _start_seconds() -> float:
    """Processor seconds that the importing process needs to begin, the least of three."""
    least = math.inf
    for _ in range(3):
        before = _processor_seconds()
        subprocess.run([sys.executable, "-c", START], check=True)
        least = min(least, _processor_seconds() - before)
    return least


def _processor_seconds() -> float:
    """Of this process and of its children that have ended: the importing one, not the sandbox."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def fill(data: Path, numbers: int) -> None:
    """A directory of ``numbers`` contacts with a number each."""
    now = datetime.now(UTC)
    with Directory(data / "directory.db") as directory:
        for start in range(0, numbers, 10_000):
            contacts = tuple(
                Contact(
                    id=str(n),
                    name=f"Client {n}",
                    phones=(Phone(f"+{FIRST_PHONE + n}"),),
                    responsible=crm_user(n % 7),
                    updated_at=now,
                )
                for n in range(start, min(numbers, start + 10_000))
            )
            directory.fold(PROJECT, CRM, Changes(contacts=contacts), now)


def weigh(data: Path, numbers: int) -> None:
    """The resident size of a hub's process that looks up all over the directory; run in a process of its own."""
    services = build_services(Settings(environment="development", data_directory=data))
    try:
        chance, found = random.Random(7), 0
        began = time.monotonic()
        for _ in range(20_000):
            phone = Phone(f"+{FIRST_PHONE + chance.randrange(numbers)}")
            found += not services.directory.lookup(PROJECT, CRM, phone).is_empty
        micros = (time.monotonic() - began) / 20_000 * 1e6
        status = Path("/proc/self/status").read_text()
    finally:
        services.close()
    assert found == 20_000
    kilobytes = int(status.partition("VmRSS:")[2].split()[0])
    print(json.dumps({"resident_mb": round(kilobytes / 1024, 1), "lookup_us": round(micros, 1)}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.directory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--weigh", nargs=2, metavar=("DATA", "NUMBERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weigh:
        weigh(Path(options.weigh[0]), int(options.weigh[1]))
        return
    scale = 0.1 if options.quick else 1.0
    contacts, deals, numbers = int(200_000 * scale), int(300_000 * scale), int(1_000_000 * scale)
    with tempfile.TemporaryDirectory() as folder:
        print(f"importing {contacts} contacts and {deals} deals", flush=True)
        result: dict[str, float] = asyncio.run(measure_import(Path(folder) / "import", contacts, deals))
        print(f"opening a directory of {numbers} numbers", flush=True)
        data = Path(folder) / "weigh"
        data.mkdir()
        fill(data, numbers)
        command = [sys.executable, "-m", "bench.directory", "--weigh", str(data), str(numbers)]
        weighed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    print(json.dumps(result | {"numbers": numbers} | json.loads(weighed)))


if __name__ == "__main__":
    main()
