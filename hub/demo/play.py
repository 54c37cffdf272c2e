"""``hub demo``: a day of real traffic over real HTTP, from the telephony's sandbox through the hub into the CRM's."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Connection

from hub.compose import Hub
from hub.demo import audit, traffic
from hub.demo.project import CHANNEL, CRM, PROJECT, connect, demo_policy, make_project
from hub.demo.stage import CrmStage, crm_sandbox, telephony_sandbox
from hub.logs import set_up_logs
from hub.settings import Settings
from hub.store import inbox, projects, users, work
from hub.store.crypto import hash_password
from hub.store.inbox import InboxStatus
from hub.web.app import build_app
from hub.web.server import serve_forever

__all__ = ["DemoOptions", "DemoSummary", "play"]

LOGIN, PASSWORD = "demo", "demo-password"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What ``hub demo`` was asked for."""

    preset: str = "car-dealer"
    calls: int = 150
    seed: int = 7
    port: int = 8080
    #: stop after the day instead of serving on
    is_once: bool = False
    is_json: bool = False
    data: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """What came of the day; ``lost`` and ``doubled`` are the auditor's, who never asks the hub."""

    interactions: int
    contacts: int
    deals: int
    tasks: int
    calls: int
    requests: int
    lost: int
    doubled: int
    needs_attention: int


async def play(options: DemoOptions, console: Console) -> DemoSummary:
    """Play the day; then, unless asked to stop, keep serving until interrupted."""
    async with AsyncExitStack() as stack:
        data = options.data
        if data is None:
            data = Path(tempfile.mkdtemp(prefix="hub-demo-"))
            stack.callback(shutil.rmtree, data, ignore_errors=True)
        elif (data / "hub.db").exists():
            raise SystemExit(f"{data} holds a hub already: name an empty folder, the demo begins anew")
        day = traffic.generate(seed=options.seed, day=date.today(), calls=options.calls).to_record()  # noqa: DTZ011 - the user's own day
        console.print("Starting the sandboxes of Ringostat and amoCRM …", style="dim")
        crm = await stack.enter_async_context(crm_sandbox())
        await crm.preload(day["preload"])
        telephony = await stack.enter_async_context(telephony_sandbox())
        level = os.environ.get("HUB_LOG_LEVEL", "warning")
        settings = Settings(environment="development", data_directory=data, port=options.port, log_level=level)
        set_up_logs(settings)
        hub = Hub(settings)
        make_project(
            hub.services,
            policy=demo_policy(options.preset, day),
            address=crm.address,
            token=await crm.token(),
            telephony={"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": telephony},
        )
        await connect(hub.services)
        _add_user(hub)
        await stack.enter_async_context(hub)
        await _imported(hub)
        address = await _serve(hub, settings, stack)
        before = await crm.requests()
        await _play_day(hub, day, telephony, address, console, quiet=options.is_json)
        summary, findings = await _sum_up(hub, crm, day, before)
        _show(console, summary, findings, address, crm.address)
        if not options.is_once:
            console.print("Serving until you press Ctrl+C.", style="bold")
            await asyncio.Event().wait()
        return summary


def _add_user(hub: Hub) -> None:
    services = hub.services
    services.store.write_now(
        lambda conn: users.add_user(
            conn, login=LOGIN, password_hash=hash_password(PASSWORD), role="admin", now=services.clock.now()
        )
    )


async def _imported(hub: Hub) -> None:
    """Wait until the running hub has read the whole account."""
    importer = hub.services.importers[PROJECT, CRM]
    while importer.is_needed():  # noqa: ASYNC110 - the import is another process's work: its mark is looked for
        await asyncio.sleep(0.05)


async def _serve(hub: Hub, settings: Settings, stack: AsyncExitStack) -> str:
    """Serve the hub's web in the background; its address."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app = build_app(hub.services)
    serving = asyncio.create_task(
        serve_forever(app, settings.host, settings.port, ready=started.set_result), name="web"
    )

    async def stop() -> None:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    stack.push_async_callback(stop)

    def tell(ended: asyncio.Task[None]) -> None:
        if not started.done():
            started.set_exception(_why(ended))

    serving.add_done_callback(tell)
    return f"http://{settings.host}:{await started}"


def _why(ended: asyncio.Task[None]) -> BaseException:
    if ended.cancelled():
        return asyncio.CancelledError()
    return ended.exception() or RuntimeError("the web server stopped at once")


async def _play_day(
    hub: Hub, day: Mapping[str, Any], telephony: str, address: str, console: Console, *, quiet: bool
) -> None:
    """Send every webhook of the day, then wait until the hub has done with all of them."""
    secret = await hub.services.store.read(lambda conn: _secret(hub, conn))
    hook = f"{address}/hooks/{PROJECT}/{CHANNEL}/{secret}"
    events: Sequence[Mapping[str, Any]] = sorted(
        [*day["calls"], *day["forms"]], key=lambda event: str(event.get("started_at") or event.get("at"))
    )
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    async with httpx.AsyncClient(timeout=120, trust_env=False) as http:
        await _order(http, telephony, "traffic", day)
        await _order(http, telephony, "webhooks", {"url": hook, "mixed": True})
        with Progress(*columns, console=console, disable=quiet) as progress:
            sending = progress.add_task("Playing the day", total=len(events))
            for start in range(0, len(events), 5):
                ids = [event["id"] for event in events[start : start + 5]]
                sent = await _order(http, telephony, "play", {"ids": ids, "at_once": 4})
                if sent["failed"]:
                    raise RuntimeError(f"{sent['failed']} webhooks were not accepted")
                progress.advance(sending, len(ids))
            await _settled(hub, progress)


async def _order(http: httpx.AsyncClient, telephony: str, path: str, body: Any) -> Any:
    answer = await http.post(f"{telephony}/_sandbox/{path}", json=body)
    answer.raise_for_status()
    return answer.json()


def _secret(hub: Hub, conn: Connection) -> str:
    found = projects.find_channel(conn, hub.services.cipher, PROJECT, CHANNEL)
    assert found is not None
    return found.secret


async def _settled(hub: Hub, progress: Progress) -> None:
    """Wait until the inbox is read and every interaction is finished or needs attention."""
    services = hub.services
    writing = progress.add_task("Writing to the CRM", total=None)
    quiet = 0
    while True:
        states = await services.store.read(lambda conn: work.count_states(conn, PROJECT))
        unread = await services.store.read(lambda conn: inbox.counts(conn, PROJECT).get(InboxStatus.NEW, 0))
        ended = sum(count for (_, state), count in states.items() if state in ("finished", "attention"))
        total = sum(states.values())
        progress.update(writing, completed=ended, total=total)
        quiet = quiet + 1 if ended == total and not unread and hub.lanes.is_idle else 0
        if quiet >= 3:
            return
        await asyncio.sleep(0.1)


async def _sum_up(
    hub: Hub, crm: CrmStage, day: Mapping[str, Any], before: int
) -> tuple[DemoSummary, Sequence[audit.Finding]]:
    records = await crm.records()
    found = audit.audit(dict(day), records)
    held = day["preload"]
    states = await hub.services.store.read(lambda conn: work.count_states(conn, PROJECT))
    return (
        DemoSummary(
            interactions=sum(states.values()),
            contacts=len(records["contacts"]) - len(held["contacts"]),
            deals=len(records["leads"]) - len(held["deals"]),
            tasks=len(records["tasks"]) - len(held["tasks"]),
            calls=sum(note["note_type"] in ("call_in", "call_out") for note in records["notes"]),
            requests=await crm.requests() - before,
            lost=found.lost,
            doubled=found.doubled,
            needs_attention=states.get((CRM, "attention"), 0),
        ),
        found.findings,
    )


def _show(console: Console, summary: DemoSummary, findings: Sequence[audit.Finding], address: str, crm: str) -> None:
    table = Table(title="A day of Ringostat traffic in amoCRM", show_header=False, title_style="bold")
    table.add_column(style="cyan")
    table.add_column(justify="right")
    names = {
        "interactions": "calls and forms taken in",
        "contacts": "contacts made",
        "deals": "deals made",
        "tasks": "tasks made",
        "calls": "call records made",
        "requests": "requests to the CRM",
        "lost": "lost",
        "doubled": "doubled",
        "needs_attention": "need attention",
    }
    for key, value in asdict(summary).items():
        table.add_row(names[key], str(value))
    console.print(table)
    for finding in findings[:10]:
        console.print(f"[red]{finding.kind}[/red] {finding.sentence}")
    console.print()
    console.print("Where to look", style="bold")
    console.print(f"  Console    {address}/console/  (login {LOGIN}, password {PASSWORD})", highlight=False)
    console.print("  Why here?  a click on any line of the journal, or: hub explain CALL-ID", highlight=False)
    console.print(f"  The CRM    {crm}/_sandbox/records", highlight=False)


def last_line(summary: DemoSummary) -> str:
    """The summary as the one JSON object that programs read."""
    return json.dumps(asdict(summary))
