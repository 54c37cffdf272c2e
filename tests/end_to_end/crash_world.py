"""The world of the crash tests: a sandbox, a hub that is killed, calls that come in all the time, and a judge.

The judge reads the accepted webhooks and the CRM's records, never the hub. The only thing read from the hub's own
database is, right after a kill, how many steps stood in state ``sent``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from hub.compose import Hub
from hub.demo.amocrm_stage import AmoCrmStage, crm_sandbox
from hub.demo.stage import CrmStage
from hub.runtime.importer import mark_imported
from hub.settings import Settings
from hub.store import projects
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, connect, prepare, preset
from tests.ports import free_port

__all__ = ["CrashWorld", "Sent", "Timing", "Verdict", "calling", "crash_world", "judge", "nursed"]

#: who always answers whom: one employee for one client, so that each answered call makes exactly one task
LOGINS = ("examplecom_irina", "examplecom_oleg", "examplecom_anna")
#: every so many-th client is only ever missed
MISSED_EVERY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The times of DESIGN 2 and 7, all that concern doubt divided by one ``factor``; 1 = as in production."""

    factor: float = 1.0

    @property
    def doubt_wait(self) -> float:
        return 30 / self.factor

    @property
    def request_timeout(self) -> float:
        return 20 / self.factor

    @property
    def late_apply(self) -> float:
        return 20 / self.factor

    def policy(self) -> str:
        """zoho-standard with a call record on the contact, and these times."""
        text = preset("zoho-standard").replace('on = "none"', 'on = "contact"')
        return (
            f'{text}\n[timing]\nsettle = "{3 / self.factor:.3f} s"\n'
            f'doubt_wait = "{self.doubt_wait:.3f} s"\nrequest_timeout = "{self.request_timeout:.3f} s"\n'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One call that was told to the hub, maybe several times."""

    uniq: str
    phone: str
    is_answered: bool


@dataclass(slots=True, kw_only=True)
class Caller:
    """Tells the hub of calls over HTTP; retries nothing, remembers what was answered 2xx."""

    url: str
    #: of further web processes: every call goes to one of them all, and on to the next if that one does not answer,
    #: as a proxy in front does it
    more: tuple[str, ...] = ()
    seed: int = 1
    accepted: dict[str, Sent] = field(default_factory=dict)
    #: told, but no answer came: stored or not, nobody knows
    unanswered: dict[str, Sent] = field(default_factory=dict)
    #: why a process did not say 2xx, by its place among the addresses
    refusals: Counter[str] = field(default_factory=Counter)
    clients: int = 0
    calls: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def call(self, http: httpx.AsyncClient) -> None:
        """One call, of a new client or of one who called before; sometimes told twice."""
        draw = self._random
        if self.clients and draw.random() < 0.35:
            number = draw.randrange(max(0, self.clients - 12), self.clients)
        else:
            number = self.clients
            self.clients += 1
        self.calls += 1
        sent = Sent(
            uniq=f"ua0_-{self.seed}.{self.calls}",
            phone=f"+38050{1000000 + number:07d}",
            is_answered=number % MISSED_EVERY != 0,
        )
        body = _webhook(sent, LOGINS[number % len(LOGINS)], self.calls)
        for _ in range(2 if draw.random() < 0.15 else 1):
            addresses = list(enumerate((self.url, *self.more), start=1))
            draw.shuffle(addresses)
            for place, address in addresses:
                if await self._is_accepted(http, place, address, body):
                    self.accepted[sent.uniq] = sent
                    break
            else:
                self.unanswered[sent.uniq] = sent

    async def _is_accepted(self, http: httpx.AsyncClient, place: int, address: str, body: dict[str, str]) -> bool:
        try:
            answer = await http.post(address, params={"moment": "after"}, json=body)
        except httpx.HTTPError as error:
            self.refusals[f"{place}: {type(error).__name__}"] += 1
            return False
        if not answer.is_success:
            self.refusals[f"{place}: {answer.status_code}"] += 1
        return answer.is_success

    async def call_forever(self, per_second: float) -> None:
        """Call until cancelled."""
        async with (
            httpx.AsyncClient(timeout=5, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as http,
            asyncio.TaskGroup() as group,
        ):
            while True:
                group.create_task(self.call(http))
                await asyncio.sleep(self._random.expovariate(per_second))


def _webhook(sent: Sent, login: str, number: int) -> dict[str, str]:
    body = {
        "type": "in",
        "uniqueid": sent.uniq,
        "calldate": f"2026-07-29 {8 + number // 3600 % 12:02d}:{number // 60 % 60:02d}:{number % 60:02d}",
        "caller": sent.phone.removeprefix("+"),
        "dst": "380441234567",
        "waiting": "9",
        "duration": "71",
    }
    if not sent.is_answered:
        return {**body, "disposition": "NO ANSWER", "billsec": "0"}
    return {
        **body,
        "disposition": "ANSWERED",
        "billsec": "62",
        "connected_with": login,
        "has_recording": "1",
        "recording_wav": f"https://app.ringostat.com/recordings/{sent.uniq}.wav",
    }


# --- the hub's life ---------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Kill:
    """One kill: where (a checkpoint, or "random"), and how many steps were on their way."""

    at: str
    sent: int
    in_doubt: int
    #: seconds from the fork until requests were accepted; None if it died before
    ready: float | None


@dataclass(slots=True, kw_only=True)
class CrashWorld:
    """What a crash test holds in its hands."""

    timing: Timing
    crm: CrmStage
    caller: Caller
    data: Path
    nursery: asyncio.subprocess.Process
    seed: int
    kills: list[Kill] = field(default_factory=list)
    believes_nothing: bool = False
    #: seconds that the present life needed until it accepted requests
    _ready: float | None = None

    async def _heard(self) -> dict[str, Any]:
        assert self.nursery.stdout is not None
        line = await self.nursery.stdout.readline()
        if not line:
            raise RuntimeError("the nursery died")
        found: dict[str, Any] = json.loads(line)
        return found

    async def start(self, crash_at: str = "") -> int:
        """Begin a hub's life; its pid."""
        assert self.nursery.stdin is not None
        order = {"crash_at": crash_at, "believes_nothing": self.believes_nothing}
        self.nursery.stdin.write(json.dumps(order).encode() + b"\n")
        await self.nursery.stdin.drain()
        return await self._pid()

    async def _pid(self) -> int:
        heard = await self._heard()
        self._ready = heard.get("ready")
        if "ready" in heard:  # the hub was quicker than its nursery
            heard = await self._heard()
        return int(heard["pid"])

    async def until_ready(self) -> float:
        """Wait until the hub accepts requests; raises if it died."""
        if self._ready is None:
            heard = await self._heard()
            if "ready" not in heard:
                raise RuntimeError(f"the hub ended: {heard}")
            self._ready = float(heard["ready"])
        return self._ready

    async def _ended(self) -> int:
        while True:
            heard = await self._heard()
            if "ready" in heard:
                self._ready = float(heard["ready"])
            if "ended" in heard:
                return int(heard["ended"])

    async def kill_at(self, checkpoint: str, count: int = 1, *, patience: float = 10.0) -> Kill:
        """One life that ends at the ``count``-th passing of ``checkpoint``; at a random moment if that never comes."""
        pid = await self.start(f"{checkpoint}:{count}")
        at = checkpoint
        try:
            async with asyncio.timeout(patience):
                status = await self._ended()
        except TimeoutError:
            at = "random"
            os.kill(pid, signal.SIGKILL)
            status = await self._ended()
        return self._count(at, status)

    async def kill_after(self, seconds: float) -> Kill:
        """One life that ends so long after its beginning."""
        pid = await self.start()
        await self.until_ready()
        await asyncio.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        return self._count("random", await self._ended())

    def _count(self, at: str, status: int) -> Kill:
        if status != -signal.SIGKILL:
            raise RuntimeError(f"the hub ended by itself with {status}; see {self.data / 'hub.log'}")
        with contextlib.closing(sqlite3.connect(self.data / "hub.db")) as database:
            states = dict(database.execute("SELECT state, count(*) FROM step GROUP BY state"))
        kill = Kill(at=at, sent=states.get("sent", 0), in_doubt=states.get("in_doubt", 0), ready=self._ready)
        self.kills.append(kill)
        return kill

    async def settle(self, seconds: float) -> None:
        """One last life without a kill, until the CRM holds what was accepted or nothing more happens."""
        pid = await self.start()
        await self.until_ready()
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._unfinished():  # noqa: ASYNC110 - another process does the work
            await asyncio.sleep(0.25)
        # what was cut off may still be applied, also after the hub has done its work
        await asyncio.sleep(self.timing.late_apply)
        os.kill(pid, signal.SIGTERM)
        await self._ended()
        await self.crm.order("settle")

    def _unfinished(self) -> int:
        with contextlib.closing(sqlite3.connect(self.data / "hub.db")) as database:
            found: int = database.execute(
                "SELECT (SELECT count(*) FROM work WHERE state IN ('open', 'writing'))"
                " + (SELECT count(*) FROM inbox WHERE status = 'new')"
            ).fetchone()[0]
        return found

    def attention(self) -> list[str]:
        """Why interactions need attention; there should be none."""
        with contextlib.closing(sqlite3.connect(self.data / "hub.db")) as database:
            rows = database.execute("SELECT key, note FROM step WHERE state = 'rejected'").fetchall()
        return [f"{key}: {note}" for key, note in rows]

    def report(self) -> dict[str, Any]:
        """The counts that the issue asks for."""
        ready = sorted(kill.ready for kill in self.kills if kill.ready is not None)
        hits = Counter(kill.at for kill in self.kills if kill.sent)
        return {
            "factor": self.timing.factor,
            "kills": len(self.kills),
            "kills_at": dict(Counter(kill.at for kill in self.kills)),
            "kills_with_a_step_sent": sum(hits.values()),
            "of_these_at": dict(hits),
            "steps_sent_at_kills": sum(kill.sent for kill in self.kills),
            "kills_while_in_doubt": sum(kill.in_doubt > 0 for kill in self.kills),
            "accepted": len(self.caller.accepted),
            "clients": len({sent.phone for sent in self.caller.accepted.values()}),
            "restart_median_seconds": round(ready[len(ready) // 2], 3) if ready else None,
        }


@asynccontextmanager
async def crash_world(
    folder: Path,
    timing: Timing,
    *,
    seed: int = 1,
    late_probability: float = 0.1,
    latency_ms: tuple[int, int] = (50, 400),
    believes_nothing: bool = False,
) -> AsyncIterator[CrashWorld]:
    """A sandbox and a nursery; calls begin with `calling`."""
    arguments = ["--latency", f"{latency_ms[0]}-{latency_ms[1]}", "--search-lag", "2", "--seed", str(seed)]
    arguments += ["--late-apply", str(timing.late_apply), "--late-apply-probability", str(late_probability)]
    async with crm_sandbox(*arguments) as crm:
        data, port = folder / "var", free_port()
        await crm.order("switches", {"latency_ms": None, "late_apply_probability": 0.0})
        secret = await _prepare(data, crm, timing)
        switches = {"latency_ms": list(latency_ms), "late_apply_probability": late_probability}
        await crm.order("switches", switches)
        async with nursed(data, crm, port, secret, timing, seed=seed, believes_nothing=believes_nothing) as world:
            yield world


@asynccontextmanager
async def nursed(
    data: Path,
    crm: CrmStage,
    port: int,
    secret: str,
    timing: Timing,
    *,
    seed: int = 1,
    believes_nothing: bool = False,
) -> AsyncIterator[CrashWorld]:
    """A hub on ``data``, which is set up, whose lives are counted; ``crm`` is the sandbox beside it."""
    environment = {
        **os.environ,
        "HUB_ENVIRONMENT": "development",
        "HUB_DATA_DIRECTORY": str(data),
        "HUB_PORT": str(port),
        "HUB_LOG_LEVEL": "warning",
    }
    with (data / "hub.log").open("ab") as log:
        nursery = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.end_to_end.hub_nursery",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        try:
            assert nursery.stdout is not None
            await nursery.stdout.readline()
            url = f"http://127.0.0.1:{port}/hooks/{PROJECT}/{CHANNEL}/{secret}"
            yield CrashWorld(
                timing=timing,
                crm=crm,
                caller=Caller(url=url, seed=seed),
                data=data,
                nursery=nursery,
                seed=seed,
                believes_nothing=believes_nothing,
            )
        finally:
            assert nursery.stdin is not None
            nursery.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await nursery.wait()
            if nursery.returncode is None:
                nursery.kill()
                await nursery.wait()


@asynccontextmanager
async def calling(caller: Caller, per_second: float) -> AsyncIterator[None]:
    """Calls come in while the block runs."""
    task = asyncio.create_task(caller.call_forever(per_second))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _prepare(data: Path, crm: AmoCrmStage, timing: Timing) -> str:
    """A connected project in ``data``, as the set-up leaves it; the channel's secret."""
    hub = Hub(Settings(environment="development", data_directory=data))
    try:
        prepare(hub, crm.address, await crm.token(), timing.policy())
        await connect(hub)
        mark_imported(hub.services.directory, PROJECT, CRM, hub.services.clock.now())
        found = hub.services.store.read_now(
            lambda conn: projects.find_channel(conn, hub.services.cipher, PROJECT, CHANNEL)
        )
        assert found is not None
        return found.secret
    finally:
        hub.services.close()


# --- the judge --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is missing and what is there too often; both empty if every interaction was applied once."""

    lost: Sequence[str]
    doubled: Sequence[str]


def judge(records: Mapping[str, Any], accepted: Iterable[Sent], unanswered: Iterable[Sent]) -> Verdict:
    """Each accepted call: one call note and one task; each of their clients: one contact, one deal, linked.

    A call whose webhook got no answer may be there once or not at all.
    """
    lost: list[str] = []
    doubled: list[str] = []
    told = {sent.uniq: sent for sent in unanswered}
    sure = {sent.uniq: sent for sent in accepted}
    told |= sure
    notes = Counter(note["params"]["uniq"] for note in records["notes"] if note["note_type"] in ("call_in", "call_out"))
    contacts = defaultdict(list)
    for contact in records["contacts"]:
        for phone in _phones(contact):
            contacts[phone].append(contact)
    deals: dict[int, list[int]] = {
        contact["id"]: [lead["id"] for lead in contact["_embedded"]["leads"]] for contact in records["contacts"]
    }
    linked = Counter(lead for found in deals.values() for lead in found)

    def count(what: str, found: int, *, is_sure: bool, most: int = 1) -> None:
        if found > most:
            doubled.append(f"{what}: {found}")
        elif is_sure and found < 1:
            lost.append(what)

    for uniq, sent in told.items():
        is_sure = uniq in sure
        count(f"call note {uniq}", notes[uniq], is_sure=is_sure)
        if sent.is_answered:
            tasks = [task for task in records["tasks"] if f"/{uniq}.wav" in task["text"]]
            count(f"task of call {uniq}", len(tasks), is_sure=is_sure)
            if any(not task["is_completed"] for task in tasks):
                lost.append(f"completion of the task of call {uniq}")
    for phone in {sent.phone for sent in told.values()}:
        is_sure = any(sent.phone == phone for sent in sure.values())
        count(f"contact {phone}", len(contacts[phone]), is_sure=is_sure)
        own = [deal for contact in contacts[phone] for deal in deals[contact["id"]]]
        count(f"deal of {phone}", len(own), is_sure=is_sure)
        if not any(sent.is_answered for sent in told.values() if sent.phone == phone):
            ids = {*own, *(contact["id"] for contact in contacts[phone])}
            waiting = [task for task in records["tasks"] if task["entity_id"] in ids and not task["is_completed"]]
            count(f"call-back of {phone}", len(waiting), is_sure=is_sure)
    doubled += [f"deal {lead['id']} of nobody" for lead in records["leads"] if not linked[lead["id"]]]
    doubled += [f"contact {contact['id']} of nobody" for contact in records["contacts"] if not _phones(contact)]
    return Verdict(lost=sorted(lost), doubled=sorted(doubled))


def _phones(contact: Mapping[str, Any]) -> list[str]:
    fields = contact.get("custom_fields_values") or ()
    return [value["value"] for item in fields if item.get("field_code") == "PHONE" for value in item["values"]]
