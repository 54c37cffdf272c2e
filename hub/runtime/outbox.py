"""Messages that go out: queued durably, sent in each client's order, each once as far as its vendor allows (W8, W9).

``sent`` is committed before a request leaves. While the vendor recognises a repetition a lost answer is asked for
again; afterwards the message is looked for among those that the vendor told of, and if it is not there a person
decides: it is never sent a second time by itself (X5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.interaction import Destination, Direction, InteractionId, Message, ProjectId
from hub.core.outgoing import Outgoing, OutgoingState
from hub.engine.projects import LiveProject, Projects
from hub.errors import LeaseLost, NeedsCredentials, Rejected, Throttled, Unavailable, VendorError
from hub.messenger import SendsMessages, Sent
from hub.plugins import Plugins
from hub.ports import ChannelConfig
from hub.runtime.ingest import Arrived, store_parsed
from hub.store import acquaintance, events, locks, outgoing
from hub.store.engine import Store
from hub.store.outgoing import Queued

__all__ = ["Outbox"]

log = logging.getLogger(__name__)

#: how long the vendor's own word of a message is waited for after it no longer recognises a repetition
ECHO_WAIT = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=5)
#: how often a channel whose key is refused is tried
_CREDENTIALS_PAUSE = timedelta(minutes=1)
_MOST_AT_ONCE = 8


class Outbox:
    """Sends what is queued, of every channel that can send."""

    #: how often is looked without being woken
    EVERY = timedelta(seconds=5)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        projects: Projects,
        plugins: Plugins,
        *,
        http: Callable[[ChannelConfig], httpx.AsyncClient],
        announce: Callable[[Arrived], None],
        is_own: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """``is_own``: of which projects this process is to send; of each, only one process does (H9)."""
        self._store, self._clock, self._projects, self._is_own = store, clock, projects, is_own
        self._sending = asyncio.Lock()
        self._http, self._announce = http, announce
        self._senders = {name: one for name, one in plugins.sources.items() if isinstance(one, SendsMessages)}
        self._wakeup = asyncio.Event()
        #: channels that cannot be sent through now: told once when they go, once when they are back
        self._away: set[tuple[str, str]] = set()
        self._recovered: set[tuple[str, str]] = set()

    def wake(self) -> None:
        """Something was queued."""
        self._wakeup.set()

    def recover_anew(self, project: str) -> None:
        """Another process sent the project's messages until now: what it left half-way is looked at again."""
        self._recovered = {key for key in self._recovered if key[0] != project}

    async def rest(self) -> None:
        """Wait until what is being sent has been."""
        async with self._sending:
            pass

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._wakeup.clear()
            try:
                async with self._sending:
                    tried = await self.send_some()
                if tried:
                    continue
            except Exception:
                # the database is away, or the like: nothing is lost
                log.exception("messages cannot be sent", extra={"action": "outbox.broken"})
            try:
                async with asyncio.timeout(self.EVERY.total_seconds()):
                    await self._wakeup.wait()
            except TimeoutError:
                pass

    async def send_some(self) -> int:
        """Try the next message of every client, on every channel; how many were tried."""
        tried = 0
        async with asyncio.TaskGroup() as group:
            for project in self._projects.all():
                if not project.is_writing or not self._is_own(project.name):
                    continue
                for channel in project.channels.values():
                    sender = self._senders.get(channel.source)
                    if sender is None:
                        continue
                    ready = await self._ready(project.name, channel.name)
                    tried += len(ready)
                    for queued in ready:
                        group.create_task(self._take(project, channel, sender, queued), name="message")
        return tried

    async def _ready(self, project: str, channel: str) -> list[Queued]:
        now = self._clock.now()
        if (project, channel) not in self._recovered:
            self._recovered.add((project, channel))
            await self._store.write(lambda conn: outgoing.recover(conn, project, channel))
        return await self._store.read(lambda conn: outgoing.next_of_chats(conn, project, channel, now, _MOST_AT_ONCE))

    async def _take(self, project: LiveProject, channel: ChannelConfig, sender: SendsMessages, queued: Queued) -> None:
        now = self._clock.now()
        first = queued.message.sent_at
        if queued.state is OutgoingState.SENT and first is not None and now - first > sender.repeat_window(channel):
            await self._doubt(channel, sender, queued, now)
            return
        first = await self._store.write(lambda conn: outgoing.mark_sent(conn, queued.sequence, now))
        message = replace(queued.message, sent_at=first)
        try:
            sent = await sender.send(channel, self._http(channel), message)
        except VendorError as err:
            await self._failed(channel, queued, err, now)
            return
        except LeaseLost:
            # nothing has left: whoever has the project now looks what became of it
            raise
        except Exception as err:
            # the plugin broke, perhaps after the request left
            log.exception("sending through %s/%s broke", project.name, channel.name, extra={"action": "outbox.broken"})
            broken = Unavailable(f"{type(err).__name__}: {err}")
            await self._failed(channel, queued, broken, now)
            return
        arrived = await self._store.write(lambda conn: self._keep(conn, project, channel, queued, message, sent))
        await self._is_back(channel)
        if arrived is not None:
            self._announce(arrived)

    def _keep(
        self,
        conn: Connection,
        project: LiveProject,
        channel: ChannelConfig,
        queued: Queued,
        message: Outgoing,
        sent: Sent,
    ) -> Arrived | None:
        """The message is done; it becomes an interaction like one that an employee sent, unless its echo did."""
        now = self._clock.now()
        locks.hold_arrivals(conn, project.name)
        echo = None if sent.external_id else outgoing.find_echo(conn, message)
        vendors_id = echo.external_id if echo is not None else sent.external_id
        outgoing.end(conn, queued.sequence, OutgoingState.DONE, now, external_id=vendors_id)
        self._tell(conn, message, "message.sent", "")
        if echo is not None:
            return None
        kind, chat_id = message.chat
        known = acquaintance.identity_of(conn, message.client_id)
        chats = ((kind, chat_id), (kind, sent.chat_id or chat_id), *known.handles)
        found = Message(
            id=InteractionId(""),
            project=ProjectId(project.name),
            channel=channel.name,
            source=channel.source,
            external_id=sent.external_id or outgoing.own_name(message),
            started_at=message.sent_at or now,
            direction=Direction.OUTBOUND,
            client=replace(known, handles=tuple(dict.fromkeys(chats))),
            text=message.text or message.content_url,
            author=Destination(staff_id=message.author) if message.author else Destination(),
            is_automatic=message.is_automatic,
            account=message.account,
        )
        return store_parsed(
            conn,
            found,
            project=project,
            channel=channel.name,
            source=channel.source,
            inbox_id=None,
            received_at=now,
            now=now,
        )

    async def _failed(self, channel: ChannelConfig, queued: Queued, err: VendorError, now: datetime) -> None:
        """What follows is the error's type; only one that may have been applied leaves the message ``sent``."""
        pause = min(_LONGEST_PAUSE, timedelta(seconds=2 ** min(queued.attempts, 9)))
        was_sent_before = queued.state is OutgoingState.SENT
        match err:
            case Throttled():
                await self._put_back(queued, now + (err.retry_after or pause), err, was_sent=was_sent_before)
            case NeedsCredentials():
                await self._is_away(channel, err)
                await self._put_back(queued, now + _CREDENTIALS_PAUSE, err, was_sent=was_sent_before)
            case Unavailable() if err.maybe_applied:
                await self._put_back(queued, now + min(pause, timedelta(seconds=10)), err, was_sent=True)
            case Unavailable():
                await self._is_away(channel, err)
                await self._put_back(queued, now + pause, err, was_sent=was_sent_before)
            case Rejected():
                await self._end(queued, OutgoingState.REJECTED, str(err))
            case _:
                await self._put_back(queued, now + pause, err, was_sent=was_sent_before)

    async def _put_back(self, queued: Queued, at: datetime, err: VendorError, *, was_sent: bool) -> None:
        await self._store.write(lambda conn: outgoing.put_back(conn, queued.sequence, at, str(err), was_sent=was_sent))

    async def _doubt(self, channel: ChannelConfig, sender: SendsMessages, queued: Queued, now: datetime) -> None:
        """Too late to repeat: the vendor's own word of it is the only proof that it went out."""
        message = queued.message
        assert message.sent_at is not None
        echo = await self._store.read(lambda conn: outgoing.find_echo(conn, message))
        if echo is not None:
            note = f"the answer was lost; the vendor told of the message ({echo.id})"
            await self._end(queued, OutgoingState.DONE, note, external_id=echo.external_id)
            return
        until = message.sent_at + sender.repeat_window(channel) + ECHO_WAIT
        if now < until:
            await self._store.write(
                lambda conn: outgoing.put_back(conn, queued.sequence, until, queued.note, was_sent=True)
            )
            return
        note = "the vendor's answer was lost and it never told of the message: look into the chat, then decide"
        await self._end(queued, OutgoingState.IN_DOUBT, note)

    async def _end(self, queued: Queued, state: OutgoingState, note: str, *, external_id: str = "") -> None:
        now = self._clock.now()

        def end(conn: Connection) -> None:
            outgoing.end(conn, queued.sequence, state, now, external_id=external_id, note=note)
            kind = "message.sent" if state is OutgoingState.DONE else "message.failed"
            self._tell(conn, queued.message, kind, note)

        await self._store.write(end)
        if state is not OutgoingState.DONE:
            message = queued.message
            log.warning(
                "message %s of %s/%s was not sent: %s",
                message.id,
                message.project,
                message.channel,
                state.value,
                extra={"action": f"outbox.{state.value}"},
            )

    def _tell(self, conn: Connection, message: Outgoing, kind: str, note: str) -> None:
        body = {"message": message.id, "channel": message.channel, "note": note}
        events.append(conn, project=message.project, kind=kind, body=body, now=self._clock.now())

    async def _is_away(self, channel: ChannelConfig, err: VendorError) -> None:
        """One line when a channel cannot send any more, and one when it can again."""
        key = (channel.project, channel.name)
        if key not in self._away:
            self._away.add(key)
            log.warning("nothing can be sent through %s/%s: %s", *key, err, extra={"action": "outbox.away"})
            await self._tell_channel(channel, "unreachable", str(err))

    async def _is_back(self, channel: ChannelConfig) -> None:
        key = (channel.project, channel.name)
        if key in self._away:
            self._away.discard(key)
            log.info("messages go out through %s/%s again", *key, extra={"action": "outbox.back"})
            await self._tell_channel(channel, "reachable", "")

    async def _tell_channel(self, channel: ChannelConfig, state: str, reason: str) -> None:
        body = {"channel": channel.name, "state": state, "reason": reason}
        now = self._clock.now()
        await self._store.write(
            lambda conn: events.append(conn, project=channel.project, kind="channel.sending", body=body, now=now)
        )
