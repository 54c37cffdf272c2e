"""Calls whose webhook never came are found in the vendor's own log and processed like the rest (X7)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.chat import ChatFragment, ClientChanged
from hub.core.merge import CallFragment, Moment
from hub.core.outgoing import Receipt
from hub.core.phone import mask_phone
from hub.core.remark import remark
from hub.engine.projects import LiveProject, Projects
from hub.errors import ConfigurationError, PayloadError, VendorError
from hub.plugins import Plugins
from hub.ports import ChannelConfig, Ignored, ListsInteractions, Parsed, RawRequest
from hub.runtime.ingest import Arrived, store_parsed
from hub.store import codec, events, inbox, interactions, projects
from hub.store.engine import Store
from hub.store.inbox import InboxStatus

__all__ = ["Reconciler", "Recovered", "Recovery"]

log = logging.getLogger(__name__)

#: an interaction that ended just now may still have its webhook on the way
GRACE = timedelta(minutes=2)
#: how far a regular look reaches back at least, and at most after the hub or the vendor was away
USUAL, FURTHEST = timedelta(hours=2), timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """One interaction that the vendor's log knows and we did not."""

    external_id: str
    started_at: datetime | None
    #: what is known of it in one line, numbers masked
    summary: str
    #: some of its webhooks came, but not the one that says how it ended
    was_begun: bool = False
    #: "" on a dry run
    interaction_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What one look into the vendor's log showed."""

    project: str
    channel: str
    since: datetime
    until: datetime
    is_dry_run: bool
    #: interactions in the log, known or not
    listed: int
    recovered: tuple[Recovered, ...]
    #: rows that could not be read, and why
    unreadable: tuple[str, ...] = ()


class Reconciler:
    """Compares channels with their vendors' logs.

    ``http`` gives the client for a channel, ``announce`` wakes the lanes (`Ingest.announce`).
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        projects: Projects,
        plugins: Plugins,
        *,
        http: Callable[[ChannelConfig], httpx.AsyncClient],
        announce: Callable[[Arrived], None],
    ) -> None:
        self._store, self._clock, self._projects, self._plugins = store, clock, projects, plugins
        self._http, self._announce = http, announce
        #: channels whose log could not be read at the last look
        self._away: set[tuple[str, str]] = set()

    def channels(self) -> list[tuple[LiveProject, ChannelConfig]]:
        """Every channel whose vendor keeps a log that can be read."""
        return [
            (project, channel)
            for project in self._projects.all()
            for channel in project.channels.values()
            if isinstance(self._plugins.sources.get(channel.source), ListsInteractions)
        ]

    async def reconcile(self, *, reach: timedelta = USUAL) -> list[Recovery]:
        """Look at every channel: the last ``reach``, or more if the last look that went through is longer ago.

        A vendor that fails holds up its own channel only: one line when it goes, one when it is back.
        """
        found: list[Recovery] = []
        for project, channel in self.channels():
            key = (project.name, channel.name)
            until = self._clock.now()
            since = max(until - FURTHEST, min(until - reach, await self._looked_until(*key, until) - reach))
            try:
                found.append(await self.recover(*key, since, until, is_dry_run=False))
            except VendorError as error:
                if key not in self._away:
                    self._away.add(key)
                    log.warning("the log of %s/%s cannot be read: %s", *key, error, extra={"action": "reconcile.away"})
                    await self._tell(project.name, channel.name, "unreachable", str(error))
                continue
            if key in self._away:
                self._away.discard(key)
                log.info("the log of %s/%s can be read again", *key, extra={"action": "reconcile.back"})
                await self._tell(project.name, channel.name, "reachable", "")
            await self._store.write(partial(_keep_cursor, project=key[0], channel=key[1], until=until))
        return found

    async def recover(
        self, project: str, channel: str, since: datetime, until: datetime, *, is_dry_run: bool
    ) -> Recovery:
        """Process what the vendor's log of ``[since, until)`` knows and we do not; known interactions stay untouched.

        A dry run only reports. Raises ConfigurationError if the channel has no such log, VendorError.
        """
        live = self._projects.get(project)
        config = live.channels.get(channel)
        if config is None:
            raise ConfigurationError(f"there is no channel {channel!r}", path=f"project {project}")
        source = self._plugins.source(config.source)
        if not isinstance(source, ListsInteractions):
            raise ConfigurationError(f"{config.source} keeps no log that can be read", path=f"channel {channel}")
        listed: dict[str, list[Parsed]] = {}
        unreadable: list[str] = []
        async for item in source.list_interactions(config, self._http(config), since, until):
            if isinstance(item, Ignored):
                unreadable.append(item.reason)
            elif not isinstance(item, ClientChanged):
                listed.setdefault(item.external_id, []).append(item)
        limit = self._clock.now() - GRACE
        candidates = {id: items for id, items in listed.items() if _ended_at(items, limit) <= limit}
        unknown = await self._store.read(lambda conn: _unknown(conn, project, channel, candidates))
        found: list[Recovered] = []
        for id, was_begun in unknown.items():
            items = listed[id]
            interaction_id = "" if is_dry_run else await self._process(live, config, items)
            if is_dry_run or interaction_id:
                found.append(_recovered(id, items, was_begun=was_begun, interaction_id=interaction_id))
        if found and not is_dry_run:
            log.warning(
                "%s/%s: %d interactions were in the vendor's log only; they are processed now",
                project,
                channel,
                len(found),
                extra={"action": "reconcile.recovered", "count": len(found)},
            )
        return Recovery(
            project=project,
            channel=channel,
            since=since,
            until=until,
            is_dry_run=is_dry_run,
            listed=len(listed),
            recovered=tuple(found),
            unreadable=tuple(unreadable),
        )

    async def _looked_until(self, project: str, channel: str, now: datetime) -> datetime:
        text = await self._store.read(lambda conn: projects.channel_cursor(conn, project, channel))
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return now

    async def _process(self, project: LiveProject, channel: ChannelConfig, items: Sequence[Parsed]) -> str:
        """Store one interaction as the webhook would have; "" if its webhook came in this very moment."""
        now = self._clock.now()
        arrived = await self._store.write(lambda conn: self._store_one(conn, project, channel, items, now))
        for item in arrived:
            self._announce(item)
        return str(arrived[-1].stored.id) if arrived else ""

    def _store_one(
        self, conn: Connection, project: LiveProject, channel: ChannelConfig, items: Sequence[Parsed], now: datetime
    ) -> list[Arrived]:
        found: list[Arrived] = []
        if not _unknown(conn, project.name, channel.name, [_external_id(items[0])]):
            return found
        for item in items:
            body = b"{}"
            if isinstance(item, CallFragment):
                item = replace(item, is_recovered=True)
                body = codec.dump_fragment(item)
            elif isinstance(item, ChatFragment):
                body = codec.dump_fragment(item)
            request = RawRequest(method="LIST", body=body, received_at=now)
            row = inbox.add(conn, project=project.name, channel=channel.name, kind="recovered", request=request)
            try:
                arrived = store_parsed(
                    conn,
                    item,
                    project=project,
                    channel=channel.name,
                    source=channel.source,
                    inbox_id=row,
                    received_at=now,
                    now=now,
                )
            except PayloadError as err:
                inbox.mark(conn, row, InboxStatus.UNREADABLE, now=now, field=err.field, note=str(err))
                continue
            id = arrived.stored.id if arrived else None
            note = remark("webhook_never_came")
            inbox.mark(conn, row, InboxStatus.DONE, now=now, interaction_id=id, note=note)
            if arrived is not None:
                found.append(arrived)
        if found:
            told = {"channel": channel.name, "interaction": found[-1].stored.id, "summary": _summary(items)}
            events.append(conn, project=project.name, kind="interaction.recovered", body=told, now=now)
        return found

    async def _tell(self, project: str, channel: str, state: str, reason: str) -> None:
        now, body = self._clock.now(), {"channel": channel, "state": state, "reason": reason}
        await self._store.write(
            lambda conn: events.append(conn, project=project, kind="channel.log", body=body, now=now)
        )


def _keep_cursor(conn: Connection, project: str, channel: str, until: datetime) -> None:
    projects.set_channel_cursor(conn, project, channel, until.isoformat())


def _external_id(item: Parsed) -> str:
    return "" if isinstance(item, Ignored | Receipt | ClientChanged) else item.external_id


def _unknown(conn: Connection, project: str, channel: str, listed: Iterable[str]) -> dict[str, bool]:
    """Which of the listed interactions are to be processed: never heard of (False), or begun and never ended (True)."""
    found: dict[str, bool] = {}
    for id in listed:
        known = interactions.find_external(conn, project, channel, id)
        if known is None:
            found[id] = False
        elif known.decide_at is None:
            found[id] = True
    return found


def _ended_at(items: Sequence[Parsed], default: datetime) -> datetime:
    """When the interaction was over, as far as its rows tell."""
    ends = [
        item.started_at + timedelta(seconds=item.duration_seconds or item.talk_seconds or 0)
        for item in items
        if isinstance(item, CallFragment) and item.started_at is not None and item.moment is Moment.ENDED
    ]
    return max(ends, default=default)


def _recovered(id: str, items: Sequence[Parsed], *, was_begun: bool, interaction_id: str) -> Recovered:
    starts = [item.started_at for item in items if isinstance(item, CallFragment) and item.started_at is not None]
    return Recovered(
        external_id=id,
        started_at=min(starts).astimezone(UTC) if starts else None,
        summary=_summary(items),
        was_begun=was_begun,
        interaction_id=interaction_id,
    )


def _summary(items: Sequence[Parsed]) -> str:
    first = items[0]
    if not isinstance(first, CallFragment):
        return first.kind
    phones = ", ".join(mask_phone(phone) for phone in first.client.phones) or "hidden number"
    direction = first.direction.value if first.direction else ""
    ended = first.disposition.value if first.disposition else ""
    return " ".join(part for part in (direction, "call", phones, ended) if part)
