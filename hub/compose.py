"""The composition root: settings in, a running hub out. Nothing else builds these things."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import OperationalError

from hub import rules
from hub.clock import Clock, SystemClock
from hub.core.phone import parse_phone
from hub.core.records import EmployeeId
from hub.engine.advance import Advance
from hub.engine.gate import Gate
from hub.engine.lanes import Lanes
from hub.engine.projects import Projects
from hub.engine.schedule import Scheduler
from hub.errors import ConfigurationError, LeaseLost
from hub.language import read_texts
from hub.plugins import load_plugins
from hub.runtime.channel_client import ChannelClients
from hub.runtime.composing import Composer
from hub.runtime.connections import Connections
from hub.runtime.counters import Counters
from hub.runtime.ingest import Ingest
from hub.runtime.intake import Intake
from hub.runtime.jobs import Chores
from hub.runtime.outbox import Outbox
from hub.runtime.popups import Popups
from hub.runtime.reconcile import Reconciler
from hub.runtime.retention import Retention
from hub.runtime.services import Services
from hub.runtime.sharing import Sharing
from hub.runtime.silence import SilenceAlarm
from hub.runtime.spool import Spool
from hub.runtime.subscriptions import Subscriptions
from hub.runtime.timers import Timers
from hub.settings import Settings, spoken_language
from hub.store import cluster, events
from hub.store import spool as spool_file
from hub.store.connection_state import ConnectionStates
from hub.store.crypto import load_cipher
from hub.store.directory import Directory
from hub.store.engine import Store
from hub.store.inbox import Received
from hub.store.place import take_alone, take_place
from hub.store.prepared import make_texts
from hub.store.shared_pace import FilePace, PostgresPace
from hub.store.turns import OWN, on_behalf_of, whose
from hub.store.work import Lane

if TYPE_CHECKING:
    from hub.runtime.fleet import Fleet

__all__ = ["Hub", "build_services"]

log = logging.getLogger(__name__)

#: after a start, when the first requests are answered and nobody waits for its end any more
FIRST_CALL_AFTER = timedelta(seconds=0.3)
#: how often changes that another process made (`hub replay`, `policy import`) are looked for
NOTICE_EVERY = timedelta(milliseconds=300)
#: the same on PostgreSQL, should a NOTIFY have been lost
LOOK_EVERY = timedelta(seconds=15)


def build_services(settings: Settings, clock: Clock | None = None, *, is_running: bool = False) -> Services:
    """Everything that commands and the web need, opened; nothing runs yet. Close with `Services.close`.

    ``is_running``: for a process of the hub rather than a command; on PostgreSQL it gets a directory of its own.
    """
    clock = clock or SystemClock()
    place = None
    if settings.database.get_backend_name() == "postgresql" and is_running:
        place = take_place(settings.data_directory, settings.role)
        settings = settings.model_copy(update={"directory_place": place.name})
    elif is_running:
        if settings.role != "all":
            raise ConfigurationError(
                "roles want PostgreSQL (HUB_DATABASE_URL); with SQLite one process is the whole hub", path="HUB_ROLE"
            )
        # two would do everything twice
        place = take_alone(settings.data_directory, Path(settings.database.database or ""))
        if place is None:
            raise ConfigurationError("a hub is running on this data directory, or on its database")
    plugins = load_plugins(settings.plugins, builtin=(("hub", rules),))
    cipher = load_cipher(
        settings.secret_key.get_secret_value(),
        data_directory=settings.data_directory,
        is_production=settings.is_production,
    )
    store = Store(settings.database, clock=clock)
    store.open()
    if not store.is_sqlite:
        store.write_now(cluster.prepare)
        store.write_now(events.renumber)
    directory = Directory(settings.directory_path, shares=store.shares)
    directory.open()
    found = Projects(store, cipher, plugins)
    found.reload_now()
    intake = Intake(store, lambda: None)
    if not store.is_sqlite and place is not None and settings.role != "worker":
        intake.spool = Spool(
            settings.data_directory / place.name / spool_file.FILE,
            store,
            clock,
            most_bytes=settings.spool_megabytes * 1024 * 1024,
        )
    return Services(
        settings=settings,
        clock=clock,
        store=store,
        cipher=cipher,
        plugins=plugins,
        projects=found,
        directory=directory,
        states=ConnectionStates(store, cipher),
        intake=intake,
        place=place,
        shared_pace=_shared_pace(settings, clock),
    )


def _shared_pace(settings: Settings, clock: Clock) -> FilePace | PostgresPace:
    """One pace per scope for the hub and the commands beside it, and for all processes on one PostgreSQL (DESIGN 4)."""
    if settings.database.get_backend_name() == "postgresql":
        return PostgresPace(settings.database.set(drivername="postgresql").render_as_string(hide_password=False))
    return FilePace(settings.data_directory / "pace.db", clock)


class Hub:
    """A running hub: ``async with Hub(settings) as hub`` starts everything but the web server.

    On SQLite one process is all of it. On PostgreSQL ``settings.role`` says what this process does: ``web`` takes in
    and answers, ``worker`` decides and writes, ``all`` both; any number of each may run (H9).
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.services = build_services(settings, clock, is_running=True)
        services = self.services
        self._background: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._gate = Gate(services.store.shares)
        self.popups = services.popups = Popups(services, wake_live=services.live.wake)
        #: the processes that share a PostgreSQL; None on SQLite
        self.fleet: Fleet | None = None
        works = services.settings.role != "web"
        if not services.store.is_sqlite:
            from hub.runtime.fleet import Fleet

            self.fleet = Fleet(
                services, heard=self._heard, gained=self._gained, giving=self._giving, dropped=self._dropped
            )
        is_own = self.fleet.is_own if self.fleet is not None else _is_everything
        services.is_own = is_own
        self.connections = Connections(
            services,
            services.clock,
            wake_lane=self._wake_lane,
            start=self._start,
            keep=self._keep,
            is_own=is_own,
            popups=self.popups,
            asks=self.fleet is None or services.settings.role != "worker",
            copies=self.fleet.copies if self.fleet is not None else None,
        )
        self.advance = Advance(
            services.store,
            services.clock,
            services.projects,
            services.directory,
            search=self.connections.search,
            read=self.connections.read,
            wake_writer=self.connections.wake_writer,
            foresee=self.connections.foresee,
            planned=self.popups.planned,
        )
        self.connections.views = self.advance.views
        self.lanes = self._lanes()
        self.ingest = Ingest(
            services.store,
            services.clock,
            services.projects,
            services.plugins,
            wake_lane=self.lanes.wake,
            wake_lane_at=self.lanes.wake_at,
            arrived=self.popups.arrived,
            crm_told=self.connections.told,
            due_came=self._due_came,
            claims=self.fleet,
        )
        self.timers = Timers(
            services.store,
            services.clock,
            services.projects,
            services.directory,
            wake_ingest=self.ingest.wake,
            wake_writer=self.connections.wake_writer,
        )
        self.channel_clients = ChannelClients(
            services.plugins, services.clock, shared=services.shared_pace, guard=services.assert_right
        )
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
            is_own=is_own,
        )
        # a row that is put into the outbox wakes the others by itself
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
        place = "" if self.fleet is None else self.fleet.id
        self.scheduler = Scheduler(services.store, services.clock, chores.jobs(place))
        services.intake.wake = self.ingest.wake if self.fleet is None else self.fleet.ring_inbox
        if services.intake.spool is not None:
            services.intake.spool.wake = services.intake.wake
        services.changed = self._changed.set
        services.sweep = self._changed.set
        self._works = works

    def _lanes(self) -> Lanes:
        services = self.services
        if self.fleet is None:
            return Lanes(
                services.store,
                services.clock,
                self.advance,
                give_up=self.advance.give_up,
                room=self.advance.resting.room,
            )
        return self.fleet.lanes(self.advance, self.advance.give_up, self.advance.resting.room)

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Hub:
        asyncio.get_running_loop().set_task_factory(self._gate.make_task)
        if self.fleet is not None:
            await self.fleet.open(works=self._works)
            self._keep(self.fleet.bell.run, "bell")
            self._keep(self.fleet.copies.run, "directory copies")
            if not self._works:
                self._keep(self.fleet.say_alive, "presence")
        await self.connections.follow()
        if self.services.intake.spool is not None:
            self._keep(self.services.intake.spool.run, "spool")
        if self._works:
            self._keep(self.lanes.run, "lanes")
            self._keep(self.popups.run, "popups")
            self._keep(self.ingest.run, "ingest")
            self._keep(self.timers.run, "timers")
            self._keep(self.outbox.run, "outbox")
            self._keep(self.scheduler.run, "scheduler")
            if self.fleet is not None:
                self._keep(self.fleet.placement.run, "placement")
        self._keep(self._notice_forever, "changes")
        if self._works and self.services.store.is_sqlite:
            with on_behalf_of(OWN):
                self._start(self._prepare_first_call(), "first call")
        return self

    async def __aexit__(self, *_: object) -> None:
        # nothing begins any more: no job that asks the accounts, no account for a project that is given away
        self.connections.end()
        await self._cancel([task for task in self._background if task.get_name() == "scheduler"])
        if self.fleet is not None and self._works:
            await self.fleet.give_back()
        await self.connections.drop()
        await self._cancel(list(self._background))
        if self.fleet is not None:
            await self.fleet.close()
        await self.channel_clients.close()
        for pacer in self.services.pacers.values():
            await pacer.idle()
        self.services.close()
        asyncio.get_running_loop().set_task_factory(None)

    async def _cancel(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        """Start ``work``, and again when it breaks: a database that is away comes back."""

        async def keep() -> None:
            is_away = False
            task = asyncio.current_task()
            assert task is not None
            while True:
                try:
                    await work()
                except Exception as error:
                    if task.cancelling():
                        # a group of tasks that fails while it is cancelled tells of its failure only (Python 3.11):
                        # whoever cancelled waits for the end
                        raise asyncio.CancelledError from error
                    if not isinstance(error, OperationalError | LeaseLost):
                        log.exception("%s broke and begins again", name, extra={"action": "hub.broken"})
                    elif not is_away:
                        # told once: it is tried every second until the database is back
                        log.warning("%s waits for the database: %s", name, error, extra={"action": "hub.waits"})
                        is_away = True
                await asyncio.sleep(1)

        # no request waits for it, though one may have caused it
        with on_behalf_of(whose() or OWN):
            return self._start(keep(), name)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.critical("%s stopped", task.get_name(), exc_info=task.exception(), extra={"action": "hub.broken"})

    async def _prepare_first_call(self) -> None:
        """Soon after the start, piece by piece: all at once it would hold up the loop and all that it answers."""
        await asyncio.sleep(FIRST_CALL_AFTER.total_seconds())
        dialect = await self.services.store.read(lambda conn: conn.dialect, is_short=True)
        for _ in make_texts(dialect):
            await asyncio.sleep(0)
        for region in {project.policy.project.region for project in self.services.projects.all() if project.policy}:
            # the patterns of a region are one piece, which a thread shares with the loop
            await asyncio.to_thread(parse_phone, "", region)
        await asyncio.to_thread(read_texts, spoken_language())

    async def _notice_forever(self) -> None:
        """Take over what the console or another process changed: projects, channels, connections, replays."""
        services = self.services
        # on PostgreSQL the tables themselves tell of it; there any commit would change the version
        every = NOTICE_EVERY if self.fleet is None else LOOK_EVERY
        seen = await services.store.data_version()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every.total_seconds()):
                    await self._changed.wait()
            version = await services.store.data_version()
            if version == seen and not self._changed.is_set():
                continue
            seen = version
            self._changed.clear()
            if self.fleet is not None:
                # an import tells page by page: what comes together is read once
                await asyncio.sleep(0.05)
            await services.projects.reload()
            await self.connections.follow()
            self.ingest.wake()
            self.outbox.wake()
            services.live.wake()
            self.connections.wake_writers()

    # --- one of several processes -------------------------------------------------------------------------------

    def _heard(self, word: str) -> None:
        """Another process, or a table, rang (`hub.store.bell`)."""
        word, _, more = word.partition(" ")
        match word:
            case "changed":
                self._changed.set()
            case "inbox":
                self.ingest.wake()
            case "outbox":
                self.outbox.wake()
            case "event":
                self.services.live.wake()
            case "copy" if self.fleet is not None:
                self.fleet.copies.wake()
            case "answered" if self._works:
                for project, call_id, employee in json.loads(more):
                    self.popups.forwarded(project, call_id, EmployeeId(employee))

    async def _gained(self, project: str) -> None:
        assert self.fleet is not None
        await self.services.projects.reload()
        self.outbox.recover_anew(project)
        await self.connections.follow()
        self.fleet.serve_lanes()
        self.ingest.wake()
        self.outbox.wake()

    async def _giving(self, project: str) -> None:
        assert self.fleet is not None
        self.fleet.serve_lanes()
        await self.connections.release(project)
        await self.outbox.rest()
        await self.fleet.rest(project)
        # from now on it is only asked from here, if at all
        self._changed.set()

    async def _dropped(self) -> None:
        assert self.fleet is not None
        self.fleet.serve_lanes()
        await self.connections.drop()
        self._changed.set()

    # --- what the parts ask of each other -----------------------------------------------------------------------

    def _wake_lane(self, lane: Lane) -> None:
        self.lanes.wake(lane)

    async def _due_came(self, row: Received) -> None:
        """The moment of a client's timer has come (X10)."""
        await self.timers.handle(row)


def _is_everything(project: str) -> bool:
    """One process alone has every project."""
    return True
