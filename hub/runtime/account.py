"""One connected CRM account at run time: its session, its pace, its health, its part of the directory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import httpx

from hub.clock import Clock, Stamp
from hub.core.records import RecordKind
from hub.errors import Banned, NeedsCredentials, Unavailable, VendorError
from hub.ports import Changes, ConnectionContext, SinkCapabilities, SinkSession
from hub.runtime.pace import Pacer
from hub.runtime.resolve import Names
from hub.runtime.vendor_clock import VendorClock
from hub.store.directory import Directory
from hub.store.directory_fold import OWN_WRITE_MARGIN, Merged

__all__ = ["STEPS_MARK", "Account", "Health"]

log = logging.getLogger(__name__)

#: up to when our own steps are in the directory, kept with its own content
STEPS_MARK = "steps"
#: by how many seconds our clock was ahead of the CRM's then
_AHEAD_MARK = "ahead"
#: records that are folded in one transaction when steps are replayed
_AT_ONCE = 500


class Health(StrEnum):
    """How a connection is; the console shows it, the writer obeys it."""

    READY = "ready"
    #: the vendor fails or cannot be reached: asked again after a growing pause
    RETRYING = "retrying"
    #: stops until the account is connected again
    NEEDS_CREDENTIALS = "needs_credentials"
    #: stops until the settings are changed
    MISCONFIGURED = "misconfigured"
    #: the vendor refuses everything: stops until a person resumes
    BANNED = "banned"
    OFF = "off"

    @property
    def may_ask(self) -> bool:
        """True if requests may be tried."""
        return self in (Health.READY, Health.RETRYING)


@dataclass(slots=True)
class Account:
    """Shared by the writer, the feeds and the lanes of one connection."""

    project: str
    name: str
    sink: str
    session: SinkSession
    context: ConnectionContext
    #: the way to the vendor that ``context.http`` takes
    transport: httpx.AsyncBaseTransport
    capabilities: SinkCapabilities
    pacer: Pacer
    directory: Directory
    clock: Clock
    #: called with (project, connection, health, sentence) when the health changes; stores and shows it
    on_health: Callable[[str, str, Health, str], None]
    names: Names
    #: how far our clock is ahead of the CRM's
    vendor_clock: VendorClock = field(default_factory=VendorClock)
    health: Health = Health.READY
    health_reason: str = ""
    #: True once the first import went through: absence from the directory means something
    is_imported: bool = False
    #: how long a request may take before its answer is given up
    request_timeout: timedelta = timedelta(seconds=20)
    #: when the CRM last took a write
    written_at: datetime | None = None
    #: how many steps and decisions that are no bulk waited when its writer last looked; no more than a hundred of these
    backlog: int = 0
    #: up to when each kind of record is known to be complete
    complete_until: dict[RecordKind, Stamp] = field(default_factory=dict)
    #: nothing is asked any more: the hub ends, the settings changed, or another process has it
    is_closed: bool = False
    #: set when a stopped account may go on
    resumed: asyncio.Event = field(default_factory=asyncio.Event)
    _failures: int = 0
    #: monotonic seconds: a clock that is set back must not leave the CRM alone for an hour
    _retry_at: float | None = None

    async def fold(self, changes: Changes, seen_at: datetime, *, marks: Mapping[str, str] | None = None) -> None:
        """Let the directory know what was read by a request that began at ``seen_at``."""
        told_at = self.vendor_clock.theirs(seen_at)
        await self.directory.fold_async(self.project, self.name, changes, seen_at, told_at=told_at, marks=marks)

    def is_complete(self, kinds: Iterable[RecordKind], until: Stamp) -> None:
        """Everything of ``kinds`` that the CRM held at ``until`` is in the directory."""
        for kind in kinds:
            known = self.complete_until.get(kind)
            if known is None or known.tick < until.tick:
                self.complete_until[kind] = until

    async def fold_own(self, changes: Changes, done_at: datetime) -> None:
        """Let the directory know of our own write, and how far the steps are folded (DESIGN 3)."""
        ahead = str(self.vendor_clock.ahead.total_seconds())
        await self.fold(changes, done_at, marks={STEPS_MARK: done_at.isoformat(), _AHEAD_MARK: ahead})

    async def fold_effects(self, effects: Sequence[tuple[datetime, Changes]], since: datetime) -> None:
        """`fold_own` of all that was done from ``since`` on, oldest first, many in one transaction.

        It was done by a process before this one, whose clock was ahead of the CRM's by what it knew last.
        """
        begun, until, merged = since, since, Merged()
        known = self.directory.mark(self.project, self.name, _AHEAD_MARK)
        ahead = timedelta(seconds=float(known or 0))
        for done_at, changes in effects:
            if merged.size >= _AT_ONCE or (merged.deleted and done_at - begun > OWN_WRITE_MARGIN):
                await self._fold_merged(merged, begun, until, ahead)
                merged = Merged()
            begun, until = (begun if merged.size else done_at), done_at
            merged.add(changes, done_at - ahead)
        await self._fold_merged(merged, begun, until, ahead)

    async def _fold_merged(self, merged: Merged, begun: datetime, until: datetime, ahead: timedelta) -> None:
        changes, marks = merged.changes(), {STEPS_MARK: until.isoformat()}
        await self.directory.fold_async(self.project, self.name, changes, begun, told_at=begun - ahead, marks=marks)

    def folded_until(self) -> datetime:
        """Steps done before this instant are in the directory."""
        text = self.directory.mark(self.project, self.name, STEPS_MARK)
        return datetime.fromisoformat(text) if text else datetime(1970, 1, 1, tzinfo=UTC)

    async def close(self) -> None:
        """Release the session and its connections; whoever asks still, or later, hears that it cannot be reached.

        What became of such a request says nothing about the CRM: the health stays as it was. The client itself stays
        open, for a closed one raises what nobody expects of a vendor.
        """
        self.is_closed = True
        await self.transport.aclose()
        await self.session.close()

    def succeeded(self) -> None:
        """The vendor answered."""
        self.pacer.succeeded()
        self._failures, self._retry_at = 0, None
        if self.health is Health.RETRYING:
            self.set_health(Health.READY, "")

    def failed(self, error: VendorError) -> timedelta:
        """The vendor failed as a whole; the pause before it is asked again."""
        if isinstance(error, NeedsCredentials):
            self.set_health(Health.NEEDS_CREDENTIALS, str(error))
        elif isinstance(error, Banned):
            self.set_health(Health.BANNED, str(error))
        elif isinstance(error, Unavailable):
            self._failures += 1
            self.set_health(Health.RETRYING, str(error))
        seconds = min(60.0, 0.5 * 2 ** min(self._failures, 8))
        self._retry_at = self.clock.monotonic() + seconds
        return timedelta(seconds=seconds)

    @property
    def retry_in(self) -> float | None:
        """For how many seconds more the vendor is left alone; None if it is well."""
        return None if self._retry_at is None else max(0.0, self._retry_at - self.clock.monotonic())

    @property
    def may_ask(self) -> bool:
        """True if a request may be tried now."""
        return not self.is_closed and self.health.may_ask and not self.retry_in

    @property
    def is_crowded(self) -> bool:
        """True in a burst: what is asked beside the interactions waits a little, or is asked for many (H5)."""
        return self.pacer.headroom < 0.5 or self.backlog >= 100

    def resume(self) -> None:
        """Credentials were renewed, settings changed, or a person says that the ban is lifted."""
        self._failures, self._retry_at = 0, None
        self.set_health(Health.READY, "")
        self.resumed.set()

    def set_health(self, health: Health, reason: str) -> None:
        """Say how the connection is; one line when it goes and one when it is back."""
        if health is self.health or self.is_closed:
            return
        before, self.health, self.health_reason = self.health, health, reason
        level = logging.INFO if health is Health.READY else logging.WARNING
        log.log(
            level,
            "connection %s/%s is %s (was %s) %s",
            self.project,
            self.name,
            health.value,
            before.value,
            reason,
            extra={"action": f"connection.{health.value}"},
        )
        if health is Health.READY:
            self.resumed.set()
        else:
            self.resumed.clear()
        self.on_health(self.project, self.name, health, reason)
