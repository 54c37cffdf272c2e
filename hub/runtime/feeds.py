"""Keeping one account's part of the directory fresh: polls, the CRM's webhooks, records to read again (H6, X9).

Polling alone is complete: it goes on from a cursor that is stored together with what it brought. Webhooks make it
faster; they are told as records to read again, and many are read in one request. What waits to be read again lies in
the directory itself, so that a crash loses none of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.clock import Clock, Stamp
from hub.core.records import RecordKind, RecordRef
from hub.errors import AccessError, PayloadError, Throttled, VendorError
from hub.ports import Changes, Sink
from hub.runtime.account import Account
from hub.runtime.freshness import Freshness, Measured, Path
from hub.runtime.pace import Urgency, urgency
from hub.store import inbox, projects
from hub.store.directory_fold import answered, records_of
from hub.store.engine import Store
from hub.store.inbox import InboxStatus, Received

__all__ = ["Feed", "FeedTiming", "feed_cursor"]

log = logging.getLogger(__name__)

#: where the feed goes on, kept with the directory's own content: without the one, the other is worth nothing
CURSOR_MARK = "feed"
_KINDS = (RecordKind.CONTACT, RecordKind.COMPANY, RecordKind.DEAL, RecordKind.TASK)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTiming:
    """When a feed asks."""

    #: between two polls while the CRM's webhooks arrive
    poll: timedelta = timedelta(seconds=20)
    #: and while they do not, or there are none
    poll_alone: timedelta = timedelta(seconds=8)
    #: how long a touched record waits for others, to be read in the same request
    debounce: timedelta = timedelta(milliseconds=300)
    #: a change that no webhook told within this time says that webhooks are not to be relied on
    patience: timedelta = timedelta(seconds=10)
    #: records that are read again at once
    batch: int = 250


def feed_cursor(account: Account) -> str:
    """Where the account's feed goes on; "" if it never began, or the directory was lost."""
    return account.directory.mark(account.project, account.name, CURSOR_MARK)


class Feed:
    """The feed of one account."""

    def __init__(
        self,
        account: Account,
        store: Store,
        clock: Clock,
        *,
        sink: Sink,
        timing: FeedTiming = FeedTiming(),
        folded: Callable[[Collection[RecordRef]], None] = lambda _: None,
    ) -> None:
        """``folded`` hears of the records that were news, for views and popups."""
        self.account, self._store, self._clock, self._timing = account, store, clock, timing
        self._sink, self._folded = sink, folded
        self.freshness = Freshness(clock.now())
        #: whether the CRM's webhooks come; None until anything shows it
        self.webhooks_are_healthy: bool | None = None if account.context.webhook_url else False
        #: how long the last polls took, the longest of them
        self._poll_took = timedelta(0)
        #: monotonic seconds, as is what follows from it: nobody is alarmed because a clock was set
        self._polled_at: float | None = None
        #: how much longer than its interval the next poll has waited for a burst to end
        self._postponed = timedelta(0)
        self._began_at = clock.monotonic()
        self._told: asyncio.Queue[Received] = asyncio.Queue()
        self._touch = asyncio.Event()
        self._poll_now = asyncio.Event()
        self._polling, self._reading = asyncio.Lock(), asyncio.Lock()
        #: asked for and not answered, by a sink that breaks its promise: not asked for again and again
        self._unanswered: set[RecordRef] = set()

    # --- what others tell ---------------------------------------------------------------------------------------

    def told(self, row: Received) -> None:
        """The CRM's own webhook arrived; never raises, returns at once."""
        self._told.put_nowait(row)

    def wake(self) -> None:
        """Our own writes have touched records (`Account.fold_own` put them into the directory)."""
        self._touch.set()

    async def touch(self, refs: Collection[RecordRef]) -> None:
        """Read ``refs`` again soon, together with whatever else waits."""
        if refs:
            await self._fold(Changes(touched=tuple(refs)), self._clock.now())
            self._touch.set()

    def poll_soon(self) -> None:
        """Do not wait for the next poll's turn."""
        self._poll_now.set()

    # --- what others ask ----------------------------------------------------------------------------------------

    def bound(self) -> timedelta | None:
        """No change in the CRM is unknown to the directory for longer than this, as of now (X9); None: no feed yet.

        The slowest way that must work holds: a webhook can be lost, polling finds it. Two polls may lie between a
        change and its being seen only if the first began just before it, so it is one interval and one poll's time.
        While polls fail, it is the time since the last that went through.
        """
        if self._polled_at is None:
            return None
        promised = self._interval + self._poll_took
        return max(promised, timedelta(seconds=self._clock.monotonic() - self._polled_at))

    def is_late(self) -> bool:
        """True if polls do not go through as promised: to be alarmed."""
        since = self._began_at if self._polled_at is None else self._polled_at
        promised = 3 * (self._interval + self._poll_took) + self._postponed
        return timedelta(seconds=self._clock.monotonic() - since) > promised + timedelta(seconds=5)

    def measured(self, path: Path | None = None) -> Measured:
        """The delays of the last hour as they were seen."""
        return self.freshness.measured(self._clock.now(), path)

    # --- running ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the directory fresh until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll_forever(), name="feed polls")
            tasks.create_task(self._read_forever(), name="feed reads")
            tasks.create_task(self._hear_forever(), name="feed webhooks")

    async def ensure_started(self) -> None:
        """Make sure that the feed has a position: what changes from here on will be told. Raises VendorError."""
        if not feed_cursor(self.account):
            await self.poll()

    async def poll(self) -> None:
        """One poll, to the end of what is new. Raises VendorError; what came before is kept."""
        account = self.account
        async with self._polling:
            began, start = self._clock.now(), self._clock.monotonic()
            seen_at = began
            cursor = feed_cursor(account)
            with urgency(Urgency.RECORD):
                async for page in account.session.changes(cursor):
                    # complete only when the touched ones are read too
                    await self._fold(replace(page, as_of=None), seen_at, cursor=page.cursor or None)
                    self._look_for_lost_webhooks(page, began)
                    self._note(page, "poll")
                    cursor = page.cursor or cursor
                    as_of, seen_at = page.as_of, self._clock.now()
                    if page.touched or account.directory.touched(account.project, account.name, limit=1):
                        await self._read_touched("poll")
                    if as_of is not None:
                        await self._complete(as_of, cursor)
            took = timedelta(seconds=self._clock.monotonic() - start)
            # the slow ones count for a while, then fade
            self._poll_took = max(took, self._poll_took * 0.9)
            self._polled_at = start

    async def _poll_forever(self) -> None:
        while True:
            await self._until_ready()
            self._poll_now.clear()
            try:
                await self.poll()
            except VendorError as error:
                self._failed(error)
                continue
            self.account.succeeded()
            self._postponed = timedelta(0)
            await _wait(self._poll_now, self._interval)
            await self._let_burst_pass()

    async def _let_burst_pass(self) -> None:
        """While the account's requests are scarce they are the interactions' (H5), for two intervals at most.

        A poll reads again all that the hub writes in a burst, which would take a third of what it may ask.
        """
        step = timedelta(seconds=1)
        while self.account.is_crowded and self._postponed < 2 * self._interval and not self._poll_now.is_set():
            await _wait(self._poll_now, step)
            self._postponed += step

    async def _read_forever(self) -> None:
        while True:
            self._touch.clear()
            await self._until_ready()
            account = self.account
            try:
                if account.directory.touched(account.project, account.name, limit=1):
                    await asyncio.sleep(self._timing.debounce.total_seconds())
                    await self._read_touched("webhook")
                    account.succeeded()
            except VendorError as error:
                self._failed(error)
                continue
            # our own writes touch records without waking us in another process
            await _wait(self._touch, timedelta(seconds=2))

    async def _hear_forever(self) -> None:
        while True:
            rows = [await self._told.get()]
            while not self._told.empty():
                rows.append(self._told.get_nowait())
            for row in rows:
                await self._hear(row)

    async def _hear(self, row: Received) -> None:
        try:
            changes = self._sink.parse_webhook(row.request, self.account.context)
        except (PayloadError, AccessError) as err:
            field = err.field if isinstance(err, PayloadError) else ""
            status = InboxStatus.UNREADABLE if isinstance(err, PayloadError) else InboxStatus.FAILED
            now, text = self._clock.now(), str(err)
            log.warning("a webhook of %s was not understood", self.account.name, extra={"action": "feed.unreadable"})
            await self._store.write(lambda conn: inbox.mark(conn, row.id, status, now=now, field=field, note=text))
            return
        self.webhooks_are_healthy = True
        await self._fold(replace(changes, cursor="", as_of=None), row.request.received_at)
        self._note(changes, "webhook")
        if changes.touched:
            self._touch.set()

    async def _until_ready(self) -> None:
        account = self.account
        while not account.may_ask:
            seconds = 1.0
            if account.health.may_ask and (left := account.retry_in) is not None:
                seconds = max(0.01, left)
            await _wait(account.resumed, timedelta(seconds=seconds))
            if not account.may_ask:
                # resumed stays set while a ready account pauses
                await asyncio.sleep(min(seconds, 1.0))

    def _failed(self, error: VendorError) -> None:
        self.account.failed(error)
        if isinstance(error, Throttled):
            self.account.pacer.pause(error.retry_after)

    @property
    def _interval(self) -> timedelta:
        # in a burst the account's requests go to its interactions first (H5)
        heard, alone = self.account.capabilities.poll_every
        if self.webhooks_are_healthy is False and not self.account.is_crowded:
            return max(self._timing.poll_alone, alone)
        return max(self._timing.poll, heard)

    # --- folding ------------------------------------------------------------------------------------------------

    async def _fold(self, changes: Changes, seen_at: datetime, *, cursor: str | None = None) -> None:
        account = self.account
        marks: Mapping[str, str] = {} if cursor is None else {CURSOR_MARK: cursor}
        await account.fold(changes, seen_at, marks=marks)

    async def _complete(self, as_of: datetime, cursor: str) -> None:
        """Everything up to ``as_of`` is in the directory."""
        account = self.account
        await self._fold(Changes(as_of=as_of), as_of)
        await self._store.write(
            lambda conn: projects.set_feed(conn, account.project, account.name, cursor=cursor, as_of=as_of)
        )
        account.is_complete(_KINDS, Stamp.of(self._clock, as_of))

    async def _read_touched(self, path: Path) -> None:
        """Read everything again that waits for it, many records in a request. Raises VendorError."""
        account = self.account
        async with self._reading:
            while True:
                limit = self._timing.batch + len(self._unanswered)
                waiting = account.directory.touched(account.project, account.name, limit=limit)
                refs = [ref for ref in waiting if ref not in self._unanswered][: self._timing.batch]
                if not refs:
                    return
                # later than the touch, which is what takes it off the list
                began = self._clock.now()
                with urgency(Urgency.RECORD):
                    found = await account.session.read(refs)
                await self._fold(found, began)
                self._note(found, path)
                self._unanswered |= set(refs) - answered(found)

    def _note(self, changes: Changes, path: Path) -> None:
        news = self.freshness.note(records_of(changes), path, self._clock.now())
        told = [*news, *changes.deleted]
        if told:
            self._folded(told)

    def _look_for_lost_webhooks(self, page: Changes, began: datetime) -> None:
        """A change that polling brings first, although a webhook had time to tell it."""
        if self.webhooks_are_healthy is False:
            return
        overdue = began - self._timing.patience
        lost = self.freshness.unknown(records_of(page), before=overdue)
        if lost:
            log.warning(
                "connection %s/%s: %d changes came without a webhook; polling more often",
                self.account.project,
                self.account.name,
                len(lost),
                extra={"action": "feed.webhooks_lost", "count": len(lost)},
            )
            self.webhooks_are_healthy = False


async def _wait(event: asyncio.Event, at_most: timedelta) -> None:
    """Until ``event``, or for ``at_most``."""
    try:
        async with asyncio.timeout(at_most.total_seconds()):
            await event.wait()
    except TimeoutError:
        pass
