"""The composition root: settings in, a running hub out. Nothing else builds these things."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from hub import rules
from hub.clock import Clock, SystemClock
from hub.core.interaction import Identity
from hub.core.records import RecordRef
from hub.engine.advance import Advance
from hub.engine.lanes import Lanes
from hub.engine.projects import LiveConnection, LiveProject, Projects
from hub.engine.schedule import Scheduler
from hub.errors import ConfigurationError, Unavailable, VendorError
from hub.plugins import load_plugins
from hub.runtime.account import Account, Health
from hub.runtime.account_writer import AccountWriter, WriterTiming
from hub.runtime.barrier import Barrier
from hub.runtime.catalogue import CatalogueRefresh
from hub.runtime.channel_client import ChannelClients
from hub.runtime.composing import Composer
from hub.runtime.counters import Counters
from hub.runtime.feeds import Feed
from hub.runtime.importer import Importer, Progress
from hub.runtime.ingest import Ingest
from hub.runtime.intake import Intake
from hub.runtime.jobs import Chores
from hub.runtime.missing import MissingRecords
from hub.runtime.opening import names_of, open_account
from hub.runtime.outbox import Outbox
from hub.runtime.pace import Urgency, urgency
from hub.runtime.popups import Popups
from hub.runtime.reconcile import Reconciler
from hub.runtime.retention import Retention
from hub.runtime.services import Services
from hub.runtime.sharing import Sharing
from hub.runtime.silence import SilenceAlarm
from hub.runtime.subscriptions import Subscriptions
from hub.runtime.timers import Timers
from hub.settings import Settings
from hub.store import codec, events, projects, steps
from hub.store.connection_state import ConnectionStates
from hub.store.crypto import load_cipher
from hub.store.directory import Directory
from hub.store.engine import Store
from hub.store.inbox import Received
from hub.store.projects import Status
from hub.store.work import Lane

__all__ = ["Hub", "build_services"]

log = logging.getLogger(__name__)

#: how often changes that another process made (`hub replay`, `policy import`) are looked for
NOTICE_EVERY = timedelta(milliseconds=300)


def build_services(settings: Settings, clock: Clock | None = None) -> Services:
    """Everything that commands and the web need, opened; nothing runs yet. Close with `Services.close`."""
    clock = clock or SystemClock()
    plugins = load_plugins(settings.plugins, builtin=(("hub", rules),))
    cipher = load_cipher(
        settings.secret_key.get_secret_value(),
        data_directory=settings.data_directory,
        is_production=settings.is_production,
    )
    store = Store(settings.database, clock=clock)
    store.open()
    directory = Directory(settings.directory_path)
    directory.open()
    found = Projects(store, cipher, plugins)
    found.reload_now()
    return Services(
        settings=settings,
        clock=clock,
        store=store,
        cipher=cipher,
        plugins=plugins,
        projects=found,
        directory=directory,
        states=ConnectionStates(store, cipher),
        intake=Intake(store, lambda: None),
    )


@dataclass(slots=True)
class _Running:
    """One connection's tasks."""

    account: Account
    writer: AccountWriter
    feed: Feed
    missing: MissingRecords
    tasks: list[asyncio.Task[None]]
    fingerprint: tuple[object, ...]


class Hub:
    """A running hub: ``async with Hub(settings) as hub`` starts everything but the web server."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.services = build_services(settings, clock)
        self._running: dict[tuple[str, str], _Running] = {}
        #: by which custom fields each connection's records are found, as the directory was told
        self._key_fields: dict[tuple[str, str], frozenset[str]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        services = self.services
        self.popups = services.popups = Popups(services, wake_live=services.live.wake)
        self.advance = Advance(
            services.store,
            services.clock,
            services.projects,
            services.directory,
            search=self._search,
            read=self._read,
            wake_writer=self._wake_writer,
            planned=self.popups.planned,
        )
        self.lanes = Lanes(services.store, services.clock, self.advance, give_up=self.advance.give_up)
        self.ingest = Ingest(
            services.store,
            services.clock,
            services.projects,
            services.plugins,
            wake_lane=self.lanes.wake,
            wake_lane_at=self.lanes.wake_at,
            arrived=self.popups.arrived,
            crm_told=self._crm_told,
            due_came=self._due_came,
        )
        self.timers = Timers(
            services.store,
            services.clock,
            services.projects,
            services.directory,
            wake_ingest=self.ingest.wake,
            wake_writer=self._wake_writer,
        )
        self.channel_clients = ChannelClients(services.plugins, services.clock)
        self.reconciler = Reconciler(
            services.store,
            services.clock,
            services.projects,
            services.plugins,
            http=self.channel_clients,
            announce=self.ingest.announce,
        )
        self.outbox = Outbox(
            services.store,
            services.clock,
            services.projects,
            services.plugins,
            http=self.channel_clients,
            announce=self.ingest.announce,
        )
        services.composer = Composer(services, http=self.channel_clients, wake=self.outbox.wake)
        chores = Chores(
            services=services,
            reconciler=self.reconciler,
            silence=SilenceAlarm(services.store, services.clock, services.projects),
            retention=Retention(services.store, services.clock, services.projects),
            feeds=services.feeds,
            subscriptions=Subscriptions(services, http=self.channel_clients),
            sharing=Sharing(services, http=self.channel_clients),
            counters=Counters(services, http=self.channel_clients),
        )
        self.chores = chores
        self.scheduler = Scheduler(services.store, services.clock, chores.jobs())
        services.intake.wake = self.ingest.wake
        services.changed = self._changed.set
        services.sweep = self._changed.set

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Hub:
        await self._follow_connections()
        self._start(self.lanes.run(), "lanes")
        self._start(self.popups.run(), "popups")
        self._start(self.ingest.run(), "ingest")
        self._start(self.timers.run(), "timers")
        self._start(self.outbox.run(), "outbox")
        self._start(self.scheduler.run(), "scheduler")
        self._start(self._notice_forever(), "changes")
        return self

    async def __aexit__(self, *_: object) -> None:
        for key in list(self._running):
            await self._stop_connection(key)
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.channel_clients.close()
        self.services.close()

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.critical("%s stopped", task.get_name(), exc_info=task.exception(), extra={"action": "hub.broken"})

    async def _notice_forever(self) -> None:
        """Take over what the console or another process changed: projects, channels, connections, replays."""
        services = self.services
        seen = await services.store.data_version()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NOTICE_EVERY.total_seconds()):
                    await self._changed.wait()
            version = await services.store.data_version()
            if version == seen and not self._changed.is_set():
                continue
            seen = version
            self._changed.clear()
            await services.projects.reload()
            await self._follow_connections()
            self.ingest.wake()
            self.outbox.wake()
            services.live.wake()
            for run in self._running.values():
                run.writer.wake()

    # --- connections --------------------------------------------------------------------------------------------

    async def _follow_connections(self) -> None:
        """Start what is new, stop what is gone, restart what changed its settings, refresh everybody's names."""
        wanted: dict[tuple[str, str], tuple[LiveProject, LiveConnection]] = {
            (project.name, connection.name): (project, connection)
            for project in self.services.projects.all()
            for connection in project.connections
            if connection.row.status is not Status.OFF
        }
        for key in self._running.keys() - wanted.keys():
            await self._stop_connection(key)
        for key, (project, connection) in wanted.items():
            await self._identify_by(key, connection)
            fingerprint = (connection.row.sink, str(dict(connection.row.settings)), project.policy_version)
            run = self._running.get(key)
            if run is not None and run.fingerprint != fingerprint:
                await self._stop_connection(key)
                run = None
            if run is None:
                await self._start_connection(project, connection, fingerprint)
                continue
            run.account.names = names_of(connection)
            run.account.is_imported = connection.row.imported_at is not None
            stored = Health(connection.row.status.value)
            if stored is Health.READY and not run.account.health.may_ask:
                run.account.resume()
                run.writer.wake()

    async def _identify_by(self, key: tuple[str, str], connection: LiveConnection) -> None:
        """Let the directory find clients by the policy's further keys too (J4); a change reads all records anew."""
        fields = frozenset(field for known in connection.key_field_ids.values() for field in known)
        if self._key_fields.get(key) != fields:
            await asyncio.to_thread(self.services.directory.set_key_fields, *key, fields)
            self._key_fields[key] = fields

    async def _start_connection(
        self, project: LiveProject, connection: LiveConnection, fingerprint: tuple[object, ...]
    ) -> None:
        services = self.services
        key = (project.name, connection.name)
        try:
            account = open_account(services, project, connection, on_health=self._health_changed)
        except ConfigurationError as err:
            self._health_changed(*key, Health.MISCONFIGURED, str(err))
            return
        policy = project.policy
        timing = WriterTiming(doubt_wait=policy.timing.doubt_wait) if policy else WriterTiming()
        await self._replay_effects(account)
        barrier = Barrier(
            account,
            services.store,
            services.clock,
            view=self.advance.views,
            life=timing.barrier_life,
            overlap=timing.clock_skew,
        )
        writer = AccountWriter(
            account,
            services.store,
            services.clock,
            timing,
            barrier=barrier,
            wake_lane=self.lanes.wake,
            refresh_names=partial(self._refresh_names, account),
            may_write=partial(self._may_write, project.name),
            popups=self.popups,
        )
        feed = Feed(account, services.store, services.clock, sink=services.plugins.sink(account.sink))
        importer = Importer(
            account,
            services.store,
            services.clock,
            directory=services.settings.directory_path,
            begin_feed=feed.ensure_started,
            plugins=services.settings.plugins,
            progressed=partial(self._imported, key),
        )
        services.accounts[key], services.feeds[key], services.importers[key] = account, feed, importer
        label = f"{project.name}/{connection.name}"
        tasks = [
            self._start(writer.run(), f"writer {label}"),
            self._start(feed.run(), f"feed {label}"),
            self._start(self._import(importer), f"import {label}"),
        ]
        self._running[key] = _Running(
            account=account,
            writer=writer,
            feed=feed,
            missing=MissingRecords(account),
            tasks=tasks,
            fingerprint=fingerprint,
        )

    async def _import(self, importer: Importer) -> None:
        """Read the whole account once, when it is connected or the directory was lost."""
        account = importer.account
        while importer.is_needed():
            try:
                await importer.run()
            except VendorError as error:
                log.warning(
                    "the import of %s/%s stopped: %s",
                    account.project,
                    account.name,
                    error,
                    extra={"action": "import.stopped"},
                )
                await account.resumed.wait()
                await asyncio.sleep(1)

    def _imported(self, key: tuple[str, str], progress: Progress) -> None:
        if progress.is_done:
            log.info("the import of %s/%s is complete", *key, extra={"action": "import.done"})
            self.services.changed()

    async def _replay_effects(self, account: Account) -> None:
        """Fold into the directory what was done and perhaps not folded before the last stop (DESIGN 3)."""
        services = self.services
        mark = account.folded_until()
        effects = await services.store.read(
            lambda conn: steps.since(conn, account.project, account.name, mark - timedelta(minutes=1))
        )
        for ended, body in effects:
            await account.fold_own(codec.load_changes(body), ended)

    async def _stop_connection(self, key: tuple[str, str]) -> None:
        run = self._running.pop(key)
        for known in (self.services.accounts, self.services.feeds, self.services.importers):
            known.pop(key, None)
        for task in run.tasks:
            task.cancel()
        await asyncio.gather(*run.tasks, return_exceptions=True)
        await run.missing.close()
        await run.account.close()

    # --- what the parts ask of each other -----------------------------------------------------------------------

    async def _refresh_names(self, account: Account) -> None:
        """Read the CRM's users and names again, and let the next decision know. Raises VendorError."""
        services = self.services
        await CatalogueRefresh(account, services.store, services.clock, changed=services.changed).refresh()
        await services.projects.reload()
        project = services.projects.find(account.project)
        connection = project.connection(account.name) if project else None
        if connection is not None:
            account.names = names_of(connection)

    def _may_write(self, project: str) -> bool:
        live = self.services.projects.find(project)
        return live is not None and live.is_writing

    def _crm_told(self, row: Received) -> None:
        """The CRM's own webhook: its feed hears it; without one, polling finds what it told."""
        run = self._running.get((row.project, row.channel))
        if run is not None:
            run.feed.told(row)

    async def _due_came(self, row: Received) -> None:
        """The moment of a client's timer has come (X10)."""
        await self.timers.handle(row)

    def _wake_writer(self, project: str, connection: str) -> None:
        run = self._running.get((project, connection))
        if run is not None:
            run.writer.wake()

    def _health_changed(self, project: str, connection: str, health: Health, reason: str) -> None:
        """Store it, show it, and let the writer look."""
        now = self.services.clock.now()

        def store(conn: Connection) -> None:
            changed = projects.set_status(conn, project, connection, Status(health.value), now=now, reason=reason)
            if changed:
                body = {"connection": connection, "health": health.value, "reason": reason}
                events.append(conn, project=project, kind="connection", body=body, now=now)

        async def write() -> None:
            await self.services.store.write(store)

        self._start(write(), "health")
        self._wake_writer(project, connection)

    async def _search(self, lane: Lane, identity: Identity) -> None:
        """Ask the CRM's search for one client, while the directory cannot be relied on."""
        run = self._running.get((lane.project, lane.connection))
        if run is None or not run.account.may_ask:
            raise Unavailable("the connection cannot be asked now", connection=lane.connection, maybe_applied=False)
        began = self.services.clock.now()
        try:
            with urgency(Urgency.RECORD):
                changes = await run.account.session.search(identity)
        except VendorError as error:
            run.account.failed(error)
            raise
        run.account.succeeded()
        await run.account.fold(changes, began)

    async def _read(self, lane: Lane, refs: Sequence[RecordRef]) -> None:
        """Read records that a decision needs and the directory knows by id only."""
        run = self._running.get((lane.project, lane.connection))
        if run is None:
            raise Unavailable("the connection is not running", connection=lane.connection, maybe_applied=False)
        await run.missing.read(refs)
