"""``hub demo``: a day of real traffic over real HTTP, from the telephony's sandbox through the hub into the CRM's."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection
from starlette.types import Receive, Scope, Send

from hub.compose import Hub
from hub.core.text import Language
from hub.demo import audit, channels, traffic
from hub.demo.amocrm_stage import AmoCrmStage
from hub.demo.project import PROJECT, connect, demo_policy, make_project
from hub.demo.retailcrm_stage import RetailCrmStage
from hub.demo.stage import TOO_BUSY, CrmStage, DemoStopped, sandbox_process
from hub.demo.summary import DemoSummary, listed, show_summary
from hub.demo.zoho_stage import ZohoStage
from hub.language import Translator, translator
from hub.logs import set_up_logs
from hub.settings import Settings
from hub.store import inbox, projects, users, work
from hub.store.crypto import hash_password
from hub.store.inbox import InboxStatus
from hub.web.app import HubApp, build_app
from hub.web.server import serve_forever

__all__ = ["DemoOptions", "play"]

LOGIN, PASSWORD = "demo", "demo-password"
#: seconds without any progress after which something is wrong
LONGEST_STILL = 180
_STAGES: Mapping[str, type[CrmStage]] = {stage.name: stage for stage in (AmoCrmStage, ZohoStage, RetailCrmStage)}
_CHANNEL_TITLES = {"ringostat": "Ringostat", "jivo": "Jivo", "wazzup": "Wazzup"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What ``hub demo`` was asked for."""

    preset: str = "car-dealer"
    #: of the plugins' names; those that are not installed are left out
    channels: tuple[str, ...] = ("ringostat", "jivo", "wazzup")
    crms: tuple[str, ...] = ("amocrm", "zoho", "retailcrm")
    calls: int = 150
    seed: int = 7
    port: int = 8080
    #: stop after the day instead of serving on
    is_once: bool = False
    is_json: bool = False
    data: Path | None = None
    #: of what is told
    language: Language = "en"


@dataclass(slots=True, kw_only=True)
class _Scene:
    """What the day is played with."""

    hub: Hub
    console: Console
    http: httpx.AsyncClient
    day: Mapping[str, Any]
    #: the sandboxes' addresses, by the channel's name
    channels: Mapping[str, str]
    crms: Sequence[CrmStage]
    t: Translator
    #: of the hub
    address: str = ""
    is_quiet: bool = False
    #: the day ends with its figures: nothing is served afterwards
    is_once: bool = False


async def play(options: DemoOptions, console: Console) -> DemoSummary:
    """Play the last working day; then, unless asked to stop, keep serving until interrupted."""
    async with AsyncExitStack() as stack:
        _stop_as_by_keyboard(stack)
        data = _data_folder(options, stack)
        level = os.environ.get("HUB_LOG_LEVEL", "warning")
        settings = Settings(environment="development", data_directory=data, port=options.port, log_level=level)
        set_up_logs(settings)
        hub = Hub(settings)
        played = traffic.last_working_day(hub.services.clock.now())
        day = traffic.generate(seed=options.seed, day=played, calls=options.calls).to_record()
        scene = await _set_stage(hub, options, day, console, stack)
        make_project(
            hub.services,
            policy=demo_policy(options.preset, day, [crm.name for crm in scene.crms]),
            channels={name: channels.settings_of(name, address) for name, address in scene.channels.items()},
            crms={crm.name: await crm.settings() for crm in scene.crms},
        )
        await connect(hub.services)
        _add_user(hub)
        await stack.enter_async_context(hub)
        await _imported(hub)
        told = asyncio.Event()
        scene.address, serving = await _serve(hub, settings, stack, told)
        playing = asyncio.create_task(_play(scene), name="day")
        stopping = asyncio.create_task(told.wait(), name="told to stop")
        await asyncio.wait({playing, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if told.is_set() or not playing.done():
            # the web server hears the signals: once it was told to stop, the day is over, with webhooks on their way
            playing.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
            await serving
            raise KeyboardInterrupt
        summary = playing.result()
        if not options.is_once:
            console.print(scene.t("demo.serving"), style="bold")
            await serving
        return summary


def _stop_as_by_keyboard(stack: AsyncExitStack) -> None:
    """Let SIGTERM do what Ctrl+C does for as long as the demo lives: everything is closed in order, without a word."""
    if threading.current_thread() is threading.main_thread():
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))


async def _play(scene: _Scene) -> DemoSummary:
    """The whole day, and what came of it."""
    before = sum([await crm.requests() for crm in scene.crms])
    heard = await _play_day(scene)
    summary, findings = await _sum_up(scene, before, heard)
    _show(scene, summary, findings)
    return summary


def _data_folder(options: DemoOptions, stack: AsyncExitStack) -> Path:
    data = options.data
    if data is None:
        data = Path(tempfile.mkdtemp(prefix="hub-demo-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
    elif (data / "hub.db").exists():
        raise DemoStopped(f"{data} holds a hub already: name an empty folder, the demo begins anew")
    return data


async def _set_stage(
    hub: Hub, options: DemoOptions, day: Mapping[str, Any], console: Console, stack: AsyncExitStack
) -> _Scene:
    """Start the sandboxes of the chosen vendors whose plugins are installed; fill the CRMs."""
    plugins = hub.services.plugins
    for what, asked, there_are in (("channel", options.channels, channels.MODULES), ("CRM", options.crms, _STAGES)):
        if unknown := sorted(set(asked) - set(there_are)):
            raise DemoStopped(f"there is no {what} {unknown[0]!r} in the demo; there are {', '.join(there_are)}")
    sources = [name for name in options.channels if name in plugins.sources and name in channels.MODULES]
    sinks = [name for name in options.crms if name in plugins.sinks and name in _STAGES]
    if not sources or not sinks:
        raise DemoStopped("the demo needs at least one channel and one CRM: see `hub check` for what is installed")
    titles = [*(_CHANNEL_TITLES[name] for name in sources), *(_STAGES[name].title for name in sinks)]
    t = translator(options.language)
    console.print(t("demo.starting", vendors=listed(titles, t)), style="dim")
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=120, trust_env=False))
    crms: list[CrmStage] = []
    for name in sinks:
        address = await stack.enter_async_context(sandbox_process(f"hub_{name}.sandbox", "--port", "0"))
        crms.append(_STAGES[name](address=address, http=http))
    await asyncio.gather(*(crm.preload(day["preload"]) for crm in crms))
    addresses = {
        name: await stack.enter_async_context(sandbox_process(channels.MODULES[name], "--port", "0"))
        for name in sources
    }
    return _Scene(
        hub=hub,
        console=console,
        http=http,
        day=day,
        channels=addresses,
        crms=crms,
        t=t,
        is_quiet=options.is_json,
        is_once=options.is_once,
    )


def _add_user(hub: Hub) -> None:
    services = hub.services
    services.store.write_now(
        lambda conn: users.add_user(
            conn, login=LOGIN, password_hash=hash_password(PASSWORD), role="admin", now=services.clock.now()
        )
    )


async def _imported(hub: Hub) -> None:
    """Wait until the running hub has read the whole accounts."""
    for (project, _), importer in hub.services.importers.items():
        while project == PROJECT and importer.is_needed():  # noqa: ASYNC110 - the import is another process's work
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class _Web:
    """The hub's web, which says so at once when it is told to stop."""

    app: HubApp
    told: asyncio.Event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def stopping(self) -> None:
        self.told.set()
        self.app.stopping()


async def _serve(
    hub: Hub, settings: Settings, stack: AsyncExitStack, told: asyncio.Event
) -> tuple[str, asyncio.Task[None]]:
    """Serve the hub's web in the background; its address, and the task that ends some time after it was ``told``."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    app = _Web(build_app(hub.services), told)
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
    return f"http://{settings.host}:{await started}", serving


def _why(ended: asyncio.Task[None]) -> BaseException:
    if ended.cancelled():
        return asyncio.CancelledError()
    return ended.exception() or RuntimeError("the web server stopped at once")


async def _play_day(scene: _Scene) -> channels.Heard:
    """Send every webhook of the day, then wait until the hub has done with all of them; what the vendors heard."""
    day, hub, http = scene.day, scene.hub, scene.http
    for name, sandbox in scene.channels.items():
        secret = await hub.services.store.read(partial(_secret, hub=hub, channel=name))
        hook, forward = (f"{scene.address}/{door}/{PROJECT}/{name}/{secret}" for door in ("hooks", "forward"))
        await channels.hook_up(http, name, sandbox, hook, forward, day)
    events: Sequence[Mapping[str, Any]] = sorted(
        [*day["calls"], *day["forms"]], key=lambda event: str(event.get("started_at") or event.get("at"))
    )
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    told = {"ringostat": len(events), "jivo": len(day["chats"]), "wazzup": len(day["messages"])}
    with Progress(*columns, console=scene.console, disable=scene.is_quiet) as progress:
        sending = progress.add_task(scene.t("demo.playing"), total=sum(told[name] for name in scene.channels))

        heard = channels.Heard(advance=partial(progress.advance, sending))
        asking = channels.asking_calls(day)
        # all channels at once, as on a real day: the same client may call and write
        async with asyncio.TaskGroup() as playing:
            for name, sandbox in scene.channels.items():
                match name:
                    case "ringostat":
                        playing.create_task(channels.play_events(http, sandbox, events, asking, heard))
                    case "jivo":
                        playing.create_task(channels.play_chats(http, sandbox, day, heard))
                    case _:
                        playing.create_task(channels.play_messages(http, sandbox, day, heard))
        await _settled(hub, progress, scene.t)
    return heard


def _secret(conn: Connection, *, hub: Hub, channel: str) -> str:
    found = projects.find_channel(conn, hub.services.cipher, PROJECT, channel)
    assert found is not None
    return found.secret


async def _settled(hub: Hub, progress: Progress, t: Translator) -> None:
    """Wait until the inbox is read and every interaction is finished or needs attention."""
    services = hub.services
    writing = progress.add_task(t("demo.writing"), total=None)
    quiet, ended, moved_at = 0, -1, services.clock.monotonic()
    while True:
        states = await services.store.read(lambda conn: work.count_states(conn, PROJECT))
        unread = await services.store.read(lambda conn: inbox.counts(conn, PROJECT).get(InboxStatus.NEW, 0))
        done = sum(count for (_, state), count in states.items() if state in ("finished", "attention"))
        if done != ended:
            ended, moved_at = done, services.clock.monotonic()
        elif services.clock.monotonic() - moved_at > LONGEST_STILL:
            raise DemoStopped(
                f"nothing has moved for {LONGEST_STILL} s ({done} of {sum(states.values())} interactions are done); "
                f"{TOO_BUSY}; the databases are in {services.settings.data_directory}"
            )
        total = sum(states.values())
        progress.update(writing, completed=ended, total=total)
        quiet = quiet + 1 if ended == total and not unread and hub.lanes.is_idle else 0
        if quiet >= 3:
            return
        await asyncio.sleep(0.1)


async def _sum_up(
    scene: _Scene, before: int, heard: channels.Heard
) -> tuple[DemoSummary, Sequence[tuple[str, audit.Finding]]]:
    """The totals over all CRMs; each CRM is audited by itself."""
    held = scene.day["preload"]
    judged = {kind: scene.day[kind] for kind in ("calls", "forms", "chats", "messages")}
    if "jivo" not in scene.channels:
        judged["chats"] = []
    if "wazzup" not in scene.channels:
        judged["messages"] = []
    made: Counter[str] = Counter()
    findings: list[tuple[str, audit.Finding]] = []
    for crm in scene.crms:
        records = await crm.records()
        found = audit.audit({**scene.day, **judged}, records)
        findings += [(crm.title, finding) for finding in found.findings]
        made["contacts"] += len(records["contacts"]) - len(held["contacts"])
        made["deals"] += len(records["leads"]) - len(held["deals"])
        made["tasks"] += len(records["tasks"]) - len(held["tasks"])
        made["calls"] += sum(note["note_type"] in ("call_in", "call_out") for note in records["notes"])
        made["requests"] += await crm.requests()
        made["lost"] += found.lost
        made["doubled"] += found.doubled
    states = await scene.hub.services.store.read(lambda conn: work.count_states(conn, PROJECT))
    by_crm: Counter[str] = Counter()
    for (name, _), count in states.items():
        by_crm[name] += count
    return (
        DemoSummary(
            interactions=max(by_crm.values(), default=0),
            contacts=made["contacts"],
            deals=made["deals"],
            tasks=made["tasks"],
            calls=made["calls"],
            requests=made["requests"] - before,
            lost=made["lost"],
            doubled=made["doubled"],
            needs_attention=sum(count for (_, state), count in states.items() if state == "attention"),
            late=heard.late + heard.forwarded.unanswered,
            forwarding_questions=heard.forwarded.questions,
            forwarding_answered=heard.forwarded.answered,
            forwarding_to=dict(sorted(heard.forwarded.to.items(), key=lambda named: (-named[1], named[0]))),
        ),
        findings,
    )


def _show(scene: _Scene, summary: DemoSummary, findings: Sequence[tuple[str, audit.Finding]]) -> None:
    console, t = scene.console, scene.t
    titles = [_CHANNEL_TITLES[name] for name in scene.channels]
    show_summary(console, t, summary, findings, channels=titles, crms=[crm.title for crm in scene.crms])
    if scene.is_once:
        return
    console.print()
    console.print(t("demo.where"), style="bold")
    login = t("demo.login", login=LOGIN, password=PASSWORD)
    width = max(10, len(t("demo.console")), len(t("demo.why")), *(len(crm.title) for crm in scene.crms))
    console.print(f"  {t('demo.console'):<{width}} {scene.address}/console/  ({login})", highlight=False)
    place = f"HUB_ENVIRONMENT=development HUB_DATA_DIRECTORY={scene.hub.services.settings.data_directory}"
    console.print(f"  {t('demo.why'):<{width}} {t('demo.why_how')}", highlight=False)
    example = next((call["id"] for call in scene.day["calls"] if call["kind"] == "client"), "CALL-ID")
    console.print(f"  {'':<{width}} {place} .venv/bin/hub explain {example}", highlight=False)
    for stage in scene.crms:
        console.print(f"  {stage.title:<{width}} {stage.address}/_sandbox/records", highlight=False)
