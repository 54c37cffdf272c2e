"""The connected CRM accounts of this process: started, stopped, and followed as the set-up changes (DESIGN 2.5, H9).

Where an account is this process's own it gets its writer, its feed and its import; where another worker has it, only
its session, so that forwarding and people can ask the CRM from here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from hub.clock import Clock
from hub.core.interaction import Identity, InteractionId
from hub.core.plan import Plan
from hub.core.records import RecordKind, RecordRef
from hub.engine.directory_copies import DirectoryCopies
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import ConfigurationError, LeaseLost, Unavailable, VendorError
from hub.runtime.account import STEPS_MARK, Account, Health
from hub.runtime.account_writer import AccountWriter, WriterTiming
from hub.runtime.barrier import Barrier
from hub.runtime.catalogue import CatalogueRefresh
from hub.runtime.feeds import Feed
from hub.runtime.importer import IMPORTED_MARK, Importer, ImportHeldUp, Progress
from hub.runtime.missing import MissingRecords
from hub.runtime.opening import names_of, open_account
from hub.runtime.pace import Urgency, urgency
from hub.runtime.popups import Popups
from hub.runtime.services import Services
from hub.store import codec, events, projects, steps
from hub.store.engine import problem_of
from hub.store.expected import phones_expected
from hub.store.inbox import Received
from hub.store.projects import Status
from hub.store.turns import on_behalf_of
from hub.store.work import Lane, Work

__all__ = ["Connections"]

log = logging.getLogger(__name__)

#: what was written so long ago, every list and search of every CRM shows
_SURELY_SHOWN = timedelta(hours=1)
#: how long requests under way may take before an account is given to another worker
_DRAIN = timedelta(seconds=10)
#: seconds until an import that could store nothing tries again
_HELD_UP = 5.0

Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class _Running:
    """One connection's tasks; those that write are there only where the account is this process's own."""

    account: Account
    fingerprint: tuple[object, ...]
    writer: AccountWriter | None = None
    feed: Feed | None = None
    missing: MissingRecords | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Connections:
    """Every connection that is not switched off."""

    def __init__(
        self,
        services: Services,
        clock: Clock,
        *,
        wake_lane: Callable[[Lane], None],
        start: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        keep: Callable[[Callable[[], Coroutine[Any, Any, None]], str], asyncio.Task[None]],
        is_own: Callable[[str], bool] = lambda _: True,
        popups: Popups | None = None,
        asks: bool = True,
        copies: DirectoryCopies | None = None,
    ) -> None:
        """``asks``: open the accounts of others too, for asking.

        ``start`` begins a task that the process watches, ``keep`` one that begins again when it breaks.
        """
        self._services, self._clock, self._wake_lane = services, clock, wake_lane
        self._start, self._keep = start, keep
        self._is_own, self._popups, self._asks, self._copies = is_own, popups, asks, copies
        #: what a decision about each of several works would see; given once the decisions are there
        self.views: Callable[[Sequence[Work]], Awaitable[Mapping[InteractionId, str]]]
        self._running: dict[Key, _Running] = {}
        #: by which custom fields each connection's records are found, as the directory was told
        self._key_fields: dict[Key, frozenset[str]] = {}
        self._giving: set[str] = set()
        #: how each connection is, and why, as it was last told
        self._health: dict[Key, tuple[Health, str]] = {}
        self._is_ending = False
        self._lock = asyncio.Lock()

    # --- following ----------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Start what is new, stop what is gone, restart what changed its settings, refresh everybody's names."""
        async with self._lock:
            if self._is_ending:
                return
            wanted: dict[Key, tuple[LiveProject, LiveConnection]] = {
                (project.name, connection.name): (project, connection)
                for project in self._services.projects.all()
                for connection in project.connections
                if connection.row.status is not Status.OFF and (self._asks or self._is_own(project.name))
            }
            for key in self._running.keys() - wanted.keys():
                await self._stop(key)
            for key, (project, connection) in wanted.items():
                await self._identify_by(key, connection)
                fingerprint = (
                    connection.row.sink,
                    str(dict(connection.row.settings)),
                    project.policy_version,
                    self._is_own(project.name),
                )
                run = self._running.get(key)
                if run is not None and run.fingerprint != fingerprint:
                    await self._stop(key)
                    run = None
                if run is None:
                    await self._begin(project, connection, fingerprint)
                    continue
                self._refresh(run, connection)

    def _refresh(self, run: _Running, connection: LiveConnection) -> None:
        account = run.account
        account.names = names_of(connection)
        account.is_imported = connection.row.imported_at is not None
        stored = Health(connection.row.status.value)
        if run.writer is None:
            # how it is, its writer knows, in another process
            account.health, account.health_reason = stored, connection.row.status_reason
        elif stored is Health.READY and not account.health.may_ask:
            account.resume()
            run.writer.wake()

    async def _identify_by(self, key: Key, connection: LiveConnection) -> None:
        """Let the directory find clients by the policy's further keys too (J4); a change reads all records anew."""
        fields = frozenset(field for known in connection.key_field_ids.values() for field in known)
        if self._key_fields.get(key) != fields:
            await asyncio.to_thread(self._services.directory.set_key_fields, *key, fields)
            self._key_fields[key] = fields

    async def _begin(self, project: LiveProject, connection: LiveConnection, fingerprint: tuple[object, ...]) -> None:
        key = (project.name, connection.name)
        is_own = self._is_own(project.name)
        told = partial(self._health_changed, settings=connection.row.settings)
        on_health = told if is_own else lambda *_: None
        try:
            account = open_account(self._services, project, connection, on_health=on_health)
        except ConfigurationError as err:
            if is_own:
                told(*key, Health.MISCONFIGURED, str(err))
            return
        if is_own:
            await self._begin_own(project, account, fingerprint)
        else:
            self._running[key] = _Running(account=account, fingerprint=fingerprint)
        self._services.accounts[key] = account

    async def _begin_own(self, project: LiveProject, account: Account, fingerprint: tuple[object, ...]) -> None:
        services, key = self._services, (project.name, account.name)
        if self._copies is not None:
            await self._copies.own(*key)
        policy = project.policy
        timing = WriterTiming(doubt_wait=policy.timing.doubt_wait) if policy else WriterTiming()
        await self._replay_effects(account)
        barrier = Barrier(
            account,
            services.store,
            services.clock,
            view=self.views,
            life=timing.barrier_life,
            overlap=timing.clock_skew,
        )
        writer = AccountWriter(
            account,
            services.store,
            services.clock,
            timing,
            barrier=barrier,
            wake_lane=self._wake_lane,
            refresh_names=partial(self._refresh_names, account),
            may_write=partial(self._may_write, project.name),
            popups=self._popups,
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
            tell=None if self._copies is None else partial(self._copies.tell, *key),
        )
        services.feeds[key], services.importers[key] = feed, importer
        label = f"{project.name}/{account.name}"
        with on_behalf_of(project.name):
            tasks = [
                self._keep(writer.run, f"writer {label}"),
                self._keep(feed.run, f"feed {label}"),
                self._start(self._import(importer), f"import {label}"),
            ]
        self._running[key] = _Running(
            account=account,
            writer=writer,
            feed=feed,
            missing=MissingRecords(account, expected=partial(self._expected, account)),
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
            except (ImportHeldUp, SQLAlchemyError) as error:
                # the disk is full, or the database away: what was stored is not read again
                log.warning(
                    "the import of %s/%s waits: %s",
                    account.project,
                    account.name,
                    problem_of(error),
                    extra={"action": "import.waits"},
                )
                await asyncio.sleep(_HELD_UP)

    def _imported(self, key: Key, progress: Progress) -> None:
        if progress.is_done:
            log.info("the import of %s/%s is complete", *key, extra={"action": "import.done"})
            self._services.changed()

    async def _replay_effects(self, account: Account) -> None:
        """Fold into the directory what was done and perhaps not folded before the last stop (DESIGN 3).

        A directory that was lost gets the last hour's: all that is older the CRM shows by now, in lists and searches,
        and as it is today. What was done to a deal in spring would say that it is open.
        """
        since = account.folded_until() - timedelta(minutes=1)
        place = (account.project, account.name)
        if is_lost := not any(account.directory.mark(*place, name) for name in (STEPS_MARK, IMPORTED_MARK)):
            since = max(since, self._clock.now() - _SURELY_SHOWN)
        effects = await self._services.store.read(lambda conn: steps.since(conn, *place, since))
        if effects or is_lost:
            await account.fold_effects([(ended, codec.load_changes(body)) for ended, body in effects], since)

    # --- stopping -----------------------------------------------------------------------------------------------

    def end(self) -> None:
        """The process ends: from now on no account is opened, whatever changes."""
        self._is_ending = True

    async def release(self, project: str) -> None:
        """Let the project's accounts go to another worker: what is on its way may end, nothing new leaves."""
        self._giving.add(project)
        try:
            writers = [run.writer for key, run in self._running.items() if key[0] == project and run.writer]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN.total_seconds()):
                    await asyncio.gather(*(writer.rest() for writer in writers))
            async with self._lock:
                for key in [key for key in self._running if key[0] == project]:
                    await self._stop(key)
                    if self._copies is not None:
                        await self._copies.disown(*key)
        finally:
            self._giving.discard(project)

    async def drop(self) -> None:
        """Stop everything at once: it may be another worker's already."""
        async with self._lock:
            for key in list(self._running):
                await self._stop(key)
                if self._copies is not None:
                    await self._copies.disown(*key)

    async def _stop(self, key: Key) -> None:
        run = self._running.pop(key)
        for known in (self._services.accounts, self._services.feeds, self._services.importers):
            known.pop(key, None)
        for task in run.tasks:
            task.cancel()
        await asyncio.gather(*run.tasks, return_exceptions=True)
        if run.missing is not None:
            await run.missing.close()
        await run.account.close()

    # --- what the parts ask of each other -----------------------------------------------------------------------

    def wake_writers(self) -> None:
        """Let every writer look."""
        for run in self._running.values():
            if run.writer is not None:
                run.writer.wake()

    def wake_writer(self, project: str, connection: str, is_urgent: bool = True) -> None:
        """Let one writer look, if it is here; see `AccountWriter.wake`."""
        run = self._running.get((project, connection))
        if run is not None and run.writer is not None:
            run.writer.wake(is_urgent=is_urgent)

    def foresee(self, lane: Lane, plan: Plan, is_first: bool) -> None:
        """Of an interaction's first decision; see `AccountWriter.foresee`."""
        run = self._running.get((lane.project, lane.connection)) if is_first else None
        if run is not None and run.writer is not None:
            run.writer.foresee(plan)

    def told(self, row: Received) -> None:
        """The CRM's own webhook: its feed hears it; without one, polling finds what it told."""
        run = self._running.get((row.project, row.channel))
        if run is not None and run.feed is not None:
            run.feed.told(row)

    async def search(self, lane: Lane, identity: Identity) -> None:
        """Ask the CRM's search for one client, while the directory cannot be relied on. Raises VendorError."""
        run = self._running.get((lane.project, lane.connection))
        if run is None or not run.account.may_ask:
            raise Unavailable("the connection cannot be asked now", connection=lane.connection, maybe_applied=False)
        began = self._clock.now()
        try:
            with urgency(Urgency.RECORD):
                changes = await run.account.session.search(identity)
        except VendorError as error:
            run.account.failed(error)
            raise
        run.account.succeeded()
        await run.account.fold(changes, began)

    async def read(self, lane: Lane, refs: Sequence[RecordRef], may_wait: bool) -> bool:
        """Read records that a decision needs and the directory knows by id only. Raises VendorError.

        False if they are read a little later, with others', which only happens to those who ``may_wait``: ``lane`` is
        woken then.
        """
        run = self._running.get((lane.project, lane.connection))
        if run is None or run.missing is None:
            raise Unavailable("the connection is not running", connection=lane.connection, maybe_applied=False)
        return await run.missing.read(refs, when_there=partial(self._wake_lane, lane) if may_wait else None)

    async def _expected(self, account: Account) -> list[RecordRef]:
        """Deals that the directory knows by id only, of clients whom the next decisions are about."""
        store, directory = self._services.store, self._services.directory

        def look(conn: Connection) -> list[RecordRef]:
            phones = phones_expected(conn, account.project, account.name)
            found = [directory.lookup(account.project, account.name, phone).missing for phone in phones]
            return [ref for refs in found for ref in refs if ref.kind is RecordKind.DEAL]

        return await store.read(look)

    async def _refresh_names(self, account: Account) -> None:
        """Read the CRM's users and names again, and let the next decision know. Raises VendorError."""
        services = self._services
        await CatalogueRefresh(account, services.store, services.clock, changed=services.changed).refresh()
        await services.projects.reload()
        project = services.projects.find(account.project)
        connection = project.connection(account.name) if project else None
        if connection is not None:
            account.names = names_of(connection)

    def _may_write(self, project: str) -> bool:
        live = self._services.projects.find(project)
        return live is not None and live.is_writing and project not in self._giving

    def _health_changed(
        self, project: str, connection: str, health: Health, reason: str, *, settings: Mapping[str, Any]
    ) -> None:
        """Store it, show it, and let the writer look. ``settings``: with which the account was opened."""
        now = self._clock.now()
        key = (project, connection)
        self._health[key] = (health, reason)

        def store(conn: Connection) -> None:
            # as it is now: a write that another process made wait is run again, perhaps behind the next one
            newest, why = self._health[key]
            status, cipher = Status(newest.value), self._services.cipher
            # what an answer to the former credentials says is nothing to those that a person gave meanwhile
            changed = projects.set_status(
                conn, project, connection, status, now=now, reason=why, opened_with=(cipher, settings)
            )
            if changed:
                body = {"connection": connection, "health": newest.value, "reason": why}
                events.append(conn, project=project, kind="connection", body=body, now=now)

        async def write() -> None:
            with contextlib.suppress(LeaseLost):
                await self._services.store.write(store)

        # a person who resumes the connection a moment later has the last word
        with on_behalf_of(None):
            self._start(write(), "health")
        self.wake_writer(project, connection)
