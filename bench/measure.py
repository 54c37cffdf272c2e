"""What the measurements share: a company to measure with, the measured process, rounds that alternate with the base."""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.generator import Result, Spec
from bench.served import BARE, BARE_ASGI
from hub.compose import build_services
from hub.core.phone import Phone
from hub.core.records import Contact, Deal, EmployeeId
from hub.settings import Settings
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.store.directory import Directory
from hub.store.directory_file import KINDS, Record, connect, dump_record
from hub.store.directory_fold import keys_of, links_of
from hub.store.directory_rows import Rows

__all__ = [
    "CHANNEL",
    "CRM",
    "FIRST_NUMBER",
    "PROJECT",
    "SECRET",
    "Compared",
    "Served",
    "compare",
    "contact_of",
    "cpus",
    "generate",
    "machine",
    "make_company",
    "quiet_json",
    "served",
]

PROJECT, CHANNEL, CRM, SECRET = "bench", "phone", "crm", "5ec2e7" * 5
#: every number of this block is a valid Ukrainian mobile
FIRST_NUMBER = 380500000000
EMPLOYEES = 50

_POLICY = """
[project]
region = "UA"
time_zone = "Europe/Kyiv"
schedule = "all week"

[schedules."all week".hours]
"mon-sun" = ["00:00-24:00"]
"""


def _policy() -> str:
    people = (
        f'[[employees]]\nid = "e{number}"\nname = "Employee {number}"\ndestinations = ["company_e{number}"]\n'
        for number in range(1, EMPLOYEES + 1)
    )
    return _POLICY + "\n".join(people)


def contact_of(number: int) -> tuple[Record, ...]:
    """The contact with the ``number``-th phone, and its open deal for every third."""
    id, responsible = str(10_000_000 + number), EmployeeId(f"@{number % EMPLOYEES + 1}")
    deal = Deal(id=id, name=f"Tea {number}", responsible=responsible, is_open=True, contact_ids=(id,))
    has_deal = number % 3 == 0
    contact = Contact(
        id=id,
        name=f"Client {number}",
        phones=(Phone(f"+{FIRST_NUMBER + number}"),),
        responsible=responsible,
        deal_ids=(id,) if has_deal else (),
    )
    return (contact, deal) if has_deal else (contact,)


def make_company(directory: Path, numbers: int, *, database_url: str = "") -> None:
    """A project with 50 employees, one channel, one CRM and a directory of ``numbers`` contacts; "" = SQLite."""
    services = build_services(Settings(environment="development", data_directory=directory, database_url=database_url))
    try:
        store, cipher, now = services.store, services.cipher, services.clock.now()

        def store_all(conn: Any) -> None:
            projects.add_project(conn, PROJECT, now=now)
            policies.publish(conn, PROJECT, text=_policy(), author="bench", based_on=None, now=now)
            projects.add_channel(
                conn,
                cipher,
                project=PROJECT,
                name=CHANNEL,
                source="ringostat",
                # nobody answers there: the measured process must not look for the vendor's log
                settings={"api_base": "http://127.0.0.1:9"},
                now=now,
                secret=SECRET,
            )
            projects.add_connection(conn, cipher, project=PROJECT, name=CRM, sink="amocrm", settings={}, now=now)
            projects.set_import(conn, PROJECT, CRM, cursor="", progress=1.0, finished_at=now)
            bindings.put(
                conn,
                PROJECT,
                CRM,
                [Binding(kind="employee", name=f"e{number}", value=str(number)) for number in range(1, EMPLOYEES + 1)],
            )

        store.write_now(store_all)
    finally:
        services.close()
    _fill(directory / "directory.db", numbers)


def _fill(path: Path, numbers: int) -> None:
    """What an import of ``numbers`` contacts leaves in the file, without its checks record by record."""
    with Directory(path) as directory:
        directory.set_mark(PROJECT, CRM, "bench", str(numbers))
    driver = connect(path)
    account = driver.execute("SELECT id FROM account").fetchone()[0]
    seen = int(datetime.now(UTC).timestamp() * 1_000_000)
    kinds = {Contact: KINDS[Contact(id="", name="").ref.kind], Deal: KINDS[Deal(id="", name="").ref.kind]}
    driver.execute("PRAGMA synchronous = OFF")
    driver.execute("BEGIN")
    for start in range(0, numbers, 10_000):
        records, rows = [], Rows(account)
        for number in range(start, min(start + 10_000, numbers)):
            for record in contact_of(number):
                kind = kinds[type(record)]
                records.append((account, kind, record.id, seen, seen, dump_record(record)))
                rows.add(record, kind, seen, keys_of(record, ()), links_of(record))
        driver.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)", records)
        rows.write(driver)
    driver.execute("COMMIT")
    driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    driver.close()


def cpus() -> tuple[int | None, int | None]:
    """The core of what is measured and the core of what measures; None where there is only one."""
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[1]) if len(found) > 1 else (None, None)


@dataclass(frozen=True, slots=True)
class Served:
    """The measured process."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """What the process has used so far, all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(directory: Path, role: str = "all", *, database_url: str = "") -> Iterator[Served]:
    """The hub on one core; role ``web`` accepts and answers, and leaves the reading to another process; "" = SQLite."""
    core, _ = cpus()
    command = [sys.executable, "-m", "bench.served", str(directory), role, *([] if core is None else [str(core)])]
    environment = os.environ | {"HUB_DATABASE_URL": database_url}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the measured process did not start")
        yield Served(process.pid, json.loads(line)["port"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def start(spec: Spec) -> subprocess.Popen[str]:
    """A generator under way; `finish` has its result."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(spec)))
    process.stdin.close()
    return process


def finish(process: subprocess.Popen[str]) -> Result:
    """The result of `start`."""
    assert process.stdout is not None
    text = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError("the generator failed")
    return Result(**json.loads(text))


def generate(spec: Spec) -> Result:
    """Send and wait for the end."""
    return finish(start(spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A thing and its bases, measured in turns.

    The base is a bare endpoint of the framework, alone in its application; beside it stands the server underneath
    without any framework.
    """

    #: answers a second, the thing's by the base's
    ratio: float
    ratio_asgi: float
    #: processor time per request, the base's by the thing's: the same on a quiet machine, steadier on a loud one
    cpu_ratio: float
    rate: float
    base_rate: float
    asgi_rate: float
    cpu_us: float
    base_cpu_us: float
    errors: int
    sample: str

    def __str__(self) -> str:
        return (
            f"{self.rate:,.0f}/s of {self.base_rate:,.0f}/s = {self.ratio:.0%} "
            f"(without a framework {self.asgi_rate:,.0f}/s: {self.ratio_asgi:.0%}); "
            f"processor time {self.cpu_us:.0f} µs against {self.base_cpu_us:.0f} µs; errors {self.errors}"
        )


def compare(process: Served, spec: Mapping[str, Any], path: str, *, rounds: int, seconds: float) -> Compared:
    """Alternate rounds on ``path`` and on both bases; medians, so that one disturbed round does not count."""
    _, core = cpus()
    places = (BARE, path, BARE_ASGI)
    rates: dict[str, list[float]] = {place: [] for place in places}
    costs: dict[str, list[float]] = {place: [] for place in places}
    errors, sent, sample = 0, 0, ""
    for number in range(rounds + 1):
        for place in places:
            before = process.cpu_seconds()
            result = generate(
                Spec(
                    port=process.port,
                    path=place,
                    seconds=seconds if number else seconds / 3,
                    first=sent,
                    cpu=core,
                    **spec,
                )
            )
            sent += result.requests + 100_000
            errors += result.errors
            if place == path:
                sample = result.sample
            if number and result.requests:  # the first round only warms up
                rates[place].append(result.rate)
                costs[place].append((process.cpu_seconds() - before) / result.requests * 1e6)

    def share(base: str, of: dict[str, list[float]]) -> float:
        return statistics.median(mine / its for mine, its in zip(of[path], of[base], strict=True))

    return Compared(
        ratio=share(BARE, rates),
        ratio_asgi=share(BARE_ASGI, rates),
        cpu_ratio=1 / share(BARE, costs),
        rate=statistics.median(rates[path]),
        base_rate=statistics.median(rates[BARE]),
        asgi_rate=statistics.median(rates[BARE_ASGI]),
        cpu_us=statistics.median(costs[path]),
        base_cpu_us=statistics.median(costs[BARE]),
        errors=errors,
        sample=sample,
    )


def machine() -> str:
    """What it was measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def quiet_json(**values: Any) -> str:
    """The last line of a measurement."""
    return json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()})
