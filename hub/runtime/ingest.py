"""Ingest: the inbox is read in order, parsed, merged and given its client; no CRM is asked (DESIGN 2.2, 2.3)."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from hub.clock import Clock
from hub.core.chat import ChatFragment, ClientChanged
from hub.core.folding import folded
from hub.core.further import with_further_keys
from hub.core.interaction import (
    Call,
    Chat,
    ClientId,
    Form,
    Identity,
    Interaction,
    InteractionId,
    Message,
    ProjectId,
)
from hub.core.merge import CallFragment, Moment
from hub.core.outgoing import Delivery, Receipt
from hub.core.policy import Policy
from hub.core.remark import remark
from hub.core.waiting import waiting_key
from hub.engine.checkpoints import checkpoint
from hub.engine.projects import LiveProject, Projects
from hub.errors import AccessError, ConfigurationError, LeaseLost, PayloadError
from hub.plugins import Plugins
from hub.ports import Ignored, Parsed
from hub.runtime.forms import parse_form
from hub.store import (
    clients,
    dues,
    events,
    identifier,
    inbox,
    interactions,
    locks,
    neighbour,
    outgoing,
    projects,
    waiting,
    work,
)
from hub.store.clients import JoinRules
from hub.store.dues import Due
from hub.store.engine import Store
from hub.store.inbox import InboxKind, InboxStatus, Received
from hub.store.interactions import Stored
from hub.store.turns import on_behalf_of
from hub.store.work import Lane

__all__ = ["Arrived", "Claims", "Ingest", "join_rules", "store_parsed"]

log = logging.getLogger(__name__)

#: what is over was so when it was told; told longer ago it wants the CRM as it is now: a person may have done it all
_STILL_TRUE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What one inbox row changed, for the lanes, the popups and the live views."""

    stored: Stored
    #: the fragment that told it; None for forms, messages and chats that are told whole
    fragment: CallFragment | ChatFragment | None
    connections: tuple[str, ...]


def join_rules(policy: Policy | None) -> JoinRules:
    """The policy's `identity` as the store's identity resolution reads it (J4, X12)."""
    if policy is None:
        return JoinRules()
    identity = policy.identity
    return JoinRules(
        join=identity.join,
        # a name never joins by itself (J7)
        kinds=tuple(key for key in identity.keys if key != "name"),
        ignore_absent=identity.absent_key == "ignore",
        shared=policy.shared_numbers,
    )


def decide_at(
    call: Call, before: datetime | None, *, now: datetime, over_at: datetime, settle: timedelta, is_further: bool
) -> datetime | None:
    """When ``call`` may be decided (DESIGN 2.3); None while it goes on.

    An answered call at once, as of when it was ``over_at``: what is read of the CRM after that serves it. A missed or
    transferred one after ``settle``, cut short by a further record, so that "leg 1 no answer, leg 2 answered" makes no
    false call-back. Once set, the moment only comes nearer.
    """
    if not call.is_final:
        return before
    if is_further and before is not None:
        return min(before, now)
    moment = over_at if call.is_answered and not call.is_transferred else now + settle
    return moment if before is None else min(before, moment)


def store_parsed(
    conn: Connection,
    found: Parsed,
    *,
    project: LiveProject,
    channel: str,
    source: str,
    inbox_id: int | None,
    received_at: datetime,
    now: datetime,
) -> Arrived | None:
    """Put what a source told into the store, in the caller's transaction; None if it told nothing new.

    Raises PayloadError, before anything is written, if the vendor gave one id to interactions of different kinds.
    """
    if isinstance(found, Ignored):
        return None
    if isinstance(found, Receipt):
        _take_receipt(conn, project.name, channel, found, now)
        return None
    locks.hold_arrivals(conn, project.name)
    over_at = min(max(received_at, now - _STILL_TRUE), now)
    if isinstance(found, ClientChanged):
        # by what the channel calls them: a number that is new to them may be somebody else's (J4)
        own = replace(_keys_of(found.client), phones=(), emails=(), fields={})
        owner = clients.find_owner(conn, project.name, own, join_rules(project.policy))
        chat = None if owner is None else interactions.latest_chat(conn, project.name, channel, owner)
        if chat is None:
            # a client of whom the hub never heard: their first chat will tell
            return None
        found = found.as_fragment(chat)
    before = interactions.find_external(conn, project.name, channel, found.external_id)
    if before is not None and before.interaction.kind != _kind_of(found):
        raise PayloadError(
            f"{found.external_id} is a {before.interaction.kind} already and cannot be a {_kind_of(found)} too",
            source=source,
            field="external_id",
        )
    interaction_id = before.id if before else identifier.new_interaction_id(now)
    fragment: CallFragment | ChatFragment | None = None
    interaction: Interaction
    ready: datetime | None
    if isinstance(found, CallFragment | ChatFragment):
        fragment = found
        # the row of the interaction must exist before its fragments; a repeated delivery changes nothing
        if not interactions.add_fragment(conn, interaction_id, found, inbox_id=inbox_id, received_at=received_at):
            return None
        known, first = [found], received_at
        if before is not None:
            known = list(interactions.fragments(conn, interaction_id))
            first = interactions.first_received(conn, interaction_id) or received_at
        interaction = folded(known, interaction_id, project.name, channel, source, first)
        if project.policy is not None:
            interaction = with_further_keys(interaction, project.policy.identity)
        ripe = before.decide_at if before else None
        if isinstance(interaction, Call):
            settle = project.policy.timing.settle if project.policy else timedelta(seconds=3)
            is_further = found.moment is Moment.ENDED
            ready = decide_at(interaction, ripe, now=now, over_at=over_at, settle=settle, is_further=is_further)
        else:
            ready = ripe or (over_at if interaction.is_final else None)
    else:
        if before is not None:
            return None
        if isinstance(found, Message) and outgoing.adopt_echo(conn, project.name, channel, found):
            return None
        interaction = _own(found, interaction_id, project.name, channel, source)
        if project.policy is not None:
            interaction = with_further_keys(interaction, project.policy.identity)
        ready = over_at if interaction.is_final else None
    resolved = clients.resolve(
        conn,
        project.name,
        _keys_of(interaction.client),
        join_rules(project.policy),
        now=now,
        current=before.client_id if before else None,
    )
    stored = interactions.put(
        conn,
        interaction,
        client_id=resolved.client_id,
        received_at=before.received_at if before else received_at,
        decide_at=ready,
        is_new=before is None,
    )
    names = tuple(connection.name for connection in project.connections)
    if stored.decide_at is not None and stored.is_changed:
        begins_anew = waiting.follow(conn, interaction, resolved.client_id)
        if begins_anew is not None:
            _look_again(conn, project.name, resolved.client_id, begins_anew.id, now)
        neighbour.note_keys(
            conn, project.name, interaction_id, _keys_of(interaction.client), join_rules(project.policy)
        )
        work.add(
            conn,
            interaction_id=interaction_id,
            project=project.name,
            client_id=resolved.client_id,
            sequence=stored.sequence,
            connections=names,
            now=now,
        )
    return Arrived(stored=stored, fragment=fragment, connections=names)


def _look_again(conn: Connection, project: str, client_id: ClientId, id: InteractionId, now: datetime) -> None:
    """A late answer showed that the client waits for another one: if the look at that is over, it comes again (W6)."""
    key = waiting_key(client_id, id)
    if all(found.key != key for found in dues.list_of_client(conn, project, client_id)):
        dues.put(conn, Due(project=project, client_id=client_id, key=key, at=now))


def _take_receipt(conn: Connection, project: str, channel: str, receipt: Receipt, now: datetime) -> None:
    """What became of a message that the hub sent; the live views are told of it."""
    known = outgoing.take_receipt(conn, project, channel, receipt)
    if known is not None:
        body = {"message": known.message.id, "channel": channel, "delivery": receipt.delivery.value}
        kind = "message.failed" if receipt.delivery is Delivery.FAILED else "message.delivery"
        events.append(conn, project=project, kind=kind, body=body, now=now)


def _keys_of(identity: Identity) -> Identity:
    """``identity`` without what names a place inside the company: an extension is nobody's own."""
    return replace(identity, handles=tuple(handle for handle in identity.handles if handle[0] != "extension"))


def _kind_of(found: CallFragment | ChatFragment | Form | Chat | Message) -> str:
    """The kind of the interaction that ``found`` tells of."""
    match found:
        case CallFragment():
            return "call"
        case ChatFragment():
            return "chat"
        case _:
            return found.kind


def _own(
    found: Form | Chat | Message, id: InteractionId, project: str, channel: str, source: str
) -> Form | Chat | Message:
    return replace(found, id=id, project=ProjectId(project), channel=channel, source=source)


class Claims(Protocol):
    """Which of several workers reads a project's inbox: one at a time, so that its order is kept (H9)."""

    def is_own(self, project: str) -> bool:
        """Whether this worker has the project's accounts."""

    def reading(self, project: str) -> AbstractAsyncContextManager[bool]:
        """Hold the right to read; False if another worker has it."""


class Ingest:
    """Reads the inbox until it is empty, then waits to be woken; each project's in its order, for itself (H8)."""

    #: how many rows of a project are read at once
    SHARE = 64
    #: how long a project's inbox may wait for the worker that has its accounts
    HELP_AFTER = timedelta(milliseconds=500)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        projects: Projects,
        plugins: Plugins,
        *,
        wake_lane: Callable[[Lane], None],
        wake_lane_at: Callable[[Lane, datetime], None],
        arrived: Callable[[Arrived], None],
        crm_told: Callable[[Received], None],
        due_came: Callable[[Received], Awaitable[None]],
        claims: Claims | None = None,
    ) -> None:
        self._store, self._clock, self._projects, self._plugins = store, clock, projects, plugins
        self._wake_lane, self._wake_lane_at = wake_lane, wake_lane_at
        self._arrived, self._crm_told, self._due_came = arrived, crm_told, due_came
        self._claims = claims
        self._wakeup = asyncio.Event()
        #: little was new when it was last looked
        self._is_quiet = True
        #: by project, who reads its rows now
        self._reading: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """There is something new in the inbox."""
        self._wakeup.set()

    async def run(self) -> None:
        """Read until cancelled."""
        try:
            while True:
                self._wakeup.clear()
                try:
                    await self.read_some()
                except Exception:  # noqa: BLE001 - logged there
                    self._broke()
                try:
                    async with asyncio.timeout(1.0):
                        await self._wakeup.wait()
                except TimeoutError:
                    pass
        finally:
            tasks = list(self._reading.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def read_some(self) -> None:
        """Begin to read up to `SHARE` rows of each project whose rows are not being read yet."""
        if self._claims is not None:
            late = self._clock.now() - self.HELP_AFTER
            for project, oldest in await self._store.read(inbox.waiting_by_project):
                is_own = self._claims.is_own(project)
                # who has a project's accounts first, the others where it lags
                if project not in self._reading and (is_own or oldest <= late):
                    self._begin(project, partial(self._read_claimed, self._claims, project, is_own=is_own))
            return
        busy = frozenset(self._reading)
        waiting = await self._store.read(
            lambda conn: inbox.unread_by_project(conn, share=self.SHARE, but_not=busy), is_short=self._is_quiet
        )
        self._is_quiet = sum(map(len, waiting.values())) < 8
        for project, rows in waiting.items():
            if project not in self._reading:
                self._begin(project, partial(self._read_rows, rows))

    def _begin(self, project: str, reading: Callable[[], Awaitable[int]]) -> None:
        with on_behalf_of(project):
            self._reading[project] = asyncio.create_task(self._read(project, reading), name=f"inbox {project}")

    async def _read(self, project: str, reading: Callable[[], Awaitable[int]]) -> None:
        count = 0
        try:
            count = await reading()
        except Exception:  # noqa: BLE001 - logged there
            self._broke()
        finally:
            del self._reading[project]
        if count:
            # meanwhile more may have come
            self.wake()

    def _broke(self) -> None:
        # the disk is full, or the like: nothing is lost, the rows are read as soon as they can be marked
        log.exception("the inbox cannot be read", extra={"action": "inbox.broken"})

    async def _read_claimed(self, claims: Claims, project: str, *, is_own: bool) -> int:
        """Of several workers each reads what it may; how many rows there were."""
        async with claims.reading(project) as may_read:
            if not may_read:
                return 0
            # the CRM's own webhooks and the timers want the account
            kinds: tuple[InboxKind, ...] = () if is_own else ("crm", "due")
            rows = await self._store.read(
                lambda conn: inbox.unread(conn, limit=self.SHARE, project=project, but_not=kinds)
            )
            return await self._read_rows(rows)

    async def _read_rows(self, rows: Sequence[Received]) -> int:
        # their order is kept: the writer takes them as they were given, and shares one commit among them
        await asyncio.gather(*(self._read_one(row) for row in rows))
        return len(rows)

    async def _read_one(self, row: Received) -> None:
        now = self._clock.now()
        if row.kind == "crm":
            await self._mark(row, InboxStatus.DONE)
            self._crm_told(row)
            return
        if row.kind == "due":
            await self._due_came(row)
            return
        try:
            project = self._projects.get(row.project)
            parsed = self._parse(project, row)
        except PayloadError as err:
            log.warning(
                "inbox %d of %s/%s cannot be read: %s",
                row.id,
                row.project,
                row.channel,
                err.field or "unknown field",
                extra={"action": "inbox.unreadable"},
            )
            await self._mark(row, InboxStatus.UNREADABLE, field=err.field, note=str(err))
            return
        except (ConfigurationError, AccessError) as err:
            await self._mark(row, InboxStatus.FAILED, note=str(err))
            return
        except Exception as err:
            # a source that breaks on a request is the plugin's fault; the request is kept and shown (H11)
            log.exception("source of %s/%s broke", row.project, row.channel, extra={"action": "source.broken"})
            await self._mark(
                row, InboxStatus.UNREADABLE, note=remark("plugin_failed", said=f"{type(err).__name__}: {err}")
            )
            return
        checkpoint("ingest.parsed")
        source = project.channels[row.channel].source
        try:
            arrived = await self._store.write(
                lambda conn: self._store_row(conn, row, parsed, project=project, source=source, now=now)
            )
        except (LeaseLost, OperationalError, sqlite3.OperationalError, OSError):
            # the database or this worker's right to write is away: the row waits for whoever reads it next
            raise
        except Exception as err:
            # one request that cannot be stored must not keep those behind it from being read (H4, H11)
            log.exception("inbox %d of %s/%s cannot be stored", row.id, row.project, row.channel)
            await self._mark(row, InboxStatus.FAILED, note=remark("not_stored", said=type(err).__name__))
            return
        checkpoint("ingest.stored")
        for item in arrived:
            self.announce(item)

    def announce(self, item: Arrived) -> None:
        """Wake the lanes of what came, at once or when it is ripe."""
        stored = item.stored
        if stored.decide_at is not None and stored.is_changed:
            now = self._clock.now()
            for name in item.connections:
                lane = Lane(client_id=stored.client_id, connection=name, project=stored.interaction.project)
                if stored.decide_at <= now:
                    self._wake_lane(lane)
                else:
                    self._wake_lane_at(lane, stored.decide_at)
        self._arrived(item)

    def _parse(self, project: LiveProject, row: Received) -> Sequence[Parsed]:
        if row.channel not in project.channels:
            problem = project.problems.get(row.channel, "there is no such channel")
            raise ConfigurationError(f"channel {row.channel!r}: {problem}", path="channels")
        channel = project.channels[row.channel]
        if row.kind == "form":
            return [parse_form(row.request, channel)]
        source = self._plugins.source(channel.source)
        source.verify(row.request, channel)
        return source.parse(row.request, channel)

    def _store_row(
        self,
        conn: Connection,
        row: Received,
        parsed: Sequence[Parsed],
        *,
        project: LiveProject,
        source: str,
        now: datetime,
    ) -> list[Arrived]:
        found: list[Arrived] = []
        refused: list[PayloadError] = []
        for item in parsed:
            try:
                arrived = store_parsed(
                    conn,
                    item,
                    project=project,
                    channel=row.channel,
                    source=source,
                    inbox_id=row.id,
                    received_at=row.request.received_at,
                    now=now,
                )
            except PayloadError as err:
                # nothing of this one is written; what else the request told is kept
                refused.append(err)
                continue
            if arrived is not None:
                found.append(arrived)
                body = {"interaction": arrived.stored.id, "channel": row.channel}
                events.append(conn, project=row.project, kind="interaction", body=body, now=now)
        projects.touch_channel(conn, row.project, row.channel, row.request.received_at)
        reasons = [item.reason for item in parsed if isinstance(item, Ignored)]
        status = InboxStatus.IGNORED if reasons and len(reasons) == len(parsed) else InboxStatus.DONE
        first = found[0].stored.id if found else None
        note, field = "; ".join(reasons), ""
        if refused:
            status, field, note = InboxStatus.UNREADABLE, refused[0].field, "; ".join(map(str, refused))
        inbox.mark(conn, row.id, status, now=now, interaction_id=first, field=field, note=note)
        return found

    async def _mark(self, row: Received, status: InboxStatus, *, field: str = "", note: str = "") -> None:
        now = self._clock.now()
        await self._store.write(lambda conn: inbox.mark(conn, row.id, status, now=now, field=field, note=note))
