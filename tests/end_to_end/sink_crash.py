"""``python -m tests.end_to_end.sink_crash``: exactly once with Zoho CRM and RetailCRM, whenever the hub is killed (X5).

amoCRM's run has the most kills (`tests.end_to_end.test_crash`); here is shown that what holds there holds for the other
sinks, with their own marks, lists and limits. The judge reads the accepted webhooks and the CRM, never the hub.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from hub.compose import Hub
from hub.demo.retailcrm_stage import RetailCrmStage
from hub.demo.stage import CrmStage, sandbox_process
from hub.demo.zoho_stage import ZohoStage
from hub.engine.checkpoints import CHECKPOINTS
from hub.runtime.importer import mark_imported
from hub.runtime.opening import open_account
from hub.settings import Settings
from hub.store import bindings, policies, projects
from hub.store.bindings import Binding
from hub.store.projects import Status
from tests.end_to_end.crash_world import CrashWorld, Sent, Timing, Verdict, calling, nursed
from tests.end_to_end.shop import RETAILCRM_USERS
from tests.end_to_end.world import CHANNEL, PROJECT, preset
from tests.end_to_end.zoho_world import USERS as ZOHO_USERS
from tests.ports import free_port

TIMING = Timing(factor=10)
STAGES: dict[str, type[CrmStage]] = {"zoho": ZohoStage, "retailcrm": RetailCrmStage}
USERS: dict[str, Mapping[str, str]] = {"zoho": ZOHO_USERS, "retailcrm": RETAILCRM_USERS}
POLICIES = {
    "zoho": preset("zoho-standard").replace('on = "none"', 'on = "deal"'),
    "retailcrm": preset("retailcrm-orders"),
}
#: the moments at which a request is on its way
OFTEN = {"writer.marked_sent": 8, "writer.answered": 8}
RANDOM = 4


async def set_up(data: Path, crm: CrmStage) -> str:
    """A connected project in ``data``, as the set-up leaves it; the channel's secret."""
    name, secret = crm.name, "s3cret-of-the-crash"
    timing = (
        f'\n[timing]\nsettle = "{3 / TIMING.factor} s"\ndoubt_wait = "{TIMING.doubt_wait} s"\n'
        f'request_timeout = "{TIMING.request_timeout} s"\n'
    )
    hub = Hub(Settings(environment="development", data_directory=data))
    services, now = hub.services, hub.services.clock.now()
    try:
        settings = await crm.settings()

        def begin(conn: Any) -> None:
            projects.add_project(conn, PROJECT, now=now, mode="live")
            policies.publish(conn, PROJECT, text=POLICIES[name] + timing, author="test", based_on=None, now=now)
            cipher = services.cipher
            projects.add_channel(
                conn, cipher, project=PROJECT, name=CHANNEL, source="ringostat", settings={}, now=now, secret=secret
            )
            projects.add_connection(conn, cipher, project=PROJECT, name=name, sink=name, settings=settings, now=now)

        await services.store.write(begin)
        await services.projects.reload()
        project = services.projects.get(PROJECT)
        account = open_account(services, project, project.connections[0])
        try:
            catalogue = await account.session.connect()
        finally:
            await account.close()

        def keep(conn: Any) -> None:
            projects.set_catalogue(conn, PROJECT, name, catalogue, now)
            people = [Binding(kind="employee", name=who, value=user) for who, user in USERS[name].items()]
            bindings.put(conn, PROJECT, name, people)
            projects.set_status(conn, PROJECT, name, Status.READY, now=now)
            projects.set_import(conn, PROJECT, name, cursor="", progress=1.0, finished_at=now)

        await services.store.write(keep)
        mark_imported(services.directory, PROJECT, name, now)
    finally:
        services.close()
    return secret


async def kill_often(world: CrashWorld) -> None:
    """A life for every checkpoint, most where requests are on their way, and some that end at random."""
    draw = random.Random(world.seed)
    moments = [name for name in CHECKPOINTS for _ in range(OFTEN.get(name, 1))] + ["random"] * RANDOM
    draw.shuffle(moments)
    # doubts must exist before they can be checked
    moments.sort(key=lambda name: name.startswith("doubt."))
    async with calling(world.caller, per_second=3):
        for name in moments:
            if name == "random":
                await world.kill_after(draw.uniform(0.2, 2.0))
            else:
                await world.kill_at(name, patience=20)
    await world.settle(60 + 12 * (TIMING.doubt_wait + TIMING.request_timeout))


def judge(records: Mapping[str, Any], accepted: Iterable[Sent], unanswered: Iterable[Sent]) -> Verdict:
    """Each accepted call: one call record; each of their clients: one contact and one deal, linked."""
    sure = {sent.uniq: sent for sent in accepted}
    told = {sent.uniq: sent for sent in unanswered} | sure
    lost: list[str] = []
    doubled: list[str] = []

    def count(what: str, found: int, *, is_sure: bool) -> None:
        if found > 1:
            doubled.append(f"{what}: {found}")
        elif is_sure and not found:
            lost.append(what)

    notes = Counter(note["params"]["uniq"] for note in records["notes"])
    holders: dict[str, list[int]] = defaultdict(list)
    for contact in records["contacts"]:
        for value in contact["custom_fields_values"][0]["values"]:
            holders[value["value"]].append(contact["id"])
    deals = Counter(contact["id"] for lead in records["leads"] for contact in lead["_embedded"]["contacts"])
    for uniq in told:
        count(f"call record {uniq}", notes[uniq], is_sure=uniq in sure)
    for phone in {sent.phone for sent in told.values()}:
        is_sure = any(sent.phone == phone for sent in sure.values())
        count(f"contact {phone}", len(holders[phone]), is_sure=is_sure)
        count(f"deal of {phone}", sum(deals[id] for id in holders[phone]), is_sure=is_sure)
    return Verdict(lost=sorted(lost), doubled=sorted(doubled))


async def crash(folder: Path, name: str) -> dict[str, Any]:
    """One world from set-up to verdict: the counts, what is lost, what is doubled."""
    async with (
        sandbox_process(f"hub_{name}.sandbox", "--port", "0") as address,
        httpx.AsyncClient(timeout=60, trust_env=False) as http,
    ):
        crm, data, port = STAGES[name](address=address, http=http), folder / name, free_port()
        secret = await set_up(data, crm)
        await crm.order("switches", {"latency_ms": [50, 400]})
        async with nursed(data, crm, port, secret, TIMING) as world:
            for _ in range(10):
                await crm.order("faults", {"method": "POST", "kind": "disconnect", "applied": True})
                await crm.order("faults", {"method": "POST", "kind": "late", "late": [0, TIMING.late_apply]})
            await kill_often(world)
            found = judge(await crm.records(), world.caller.accepted.values(), world.caller.unanswered.values())
            stats = (await http.get(f"{address}/_sandbox/stats")).json()
            more = {"faults": stats["faults"], "violations": stats["violations"], "attention": world.attention()}
            return {**world.report(), **more, "lost": found.lost, "doubled": found.doubled}


async def _main(folder: Path) -> int:
    """Both CRMs at once, since both mostly wait."""
    reports = await asyncio.gather(*(crash(folder, name) for name in sorted(STAGES)))
    for name, report in zip(sorted(STAGES), reports, strict=True):
        print(json.dumps({"crm": name, **report}, indent=1))  # noqa: T201 - a command's output
    return 1 if any(report["lost"] or report["doubled"] or report["attention"] for report in reports) else 0


def main() -> int:
    """Run, judge; the exit status is 1 if something is lost, doubled or in need of attention."""
    with tempfile.TemporaryDirectory(prefix="hub-crash-") as folder:
        return asyncio.run(_main(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
