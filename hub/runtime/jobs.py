"""What the hub does by the clock: one list, each line a job (H7).

Tokens need no job of their own: every request renews them with hours to spare, and the hourly look at the catalogue
is a request of each account that may be asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub.engine.schedule import Job
from hub.errors import VendorError
from hub.runtime.catalogue import CatalogueRefresh
from hub.runtime.counters import Counters
from hub.runtime.feeds import Feed
from hub.runtime.reconcile import Reconciler
from hub.runtime.retention import Retention
from hub.runtime.services import Services
from hub.runtime.sharing import Sharing
from hub.runtime.silence import SilenceAlarm
from hub.runtime.subscriptions import Subscriptions
from hub.store import events
from hub.store.directory_file import connect

__all__ = ["Chores"]

log = logging.getLogger(__name__)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(slots=True, kw_only=True)
class Chores:
    """The hub's scheduled jobs; ``feeds`` are those that run in this process, by project and connection."""

    services: Services
    reconciler: Reconciler
    silence: SilenceAlarm
    retention: Retention
    feeds: Mapping[tuple[str, str], Feed]
    subscriptions: Subscriptions
    sharing: Sharing
    counters: Counters
    _late: set[tuple[str, str]] = field(default_factory=set)

    def jobs(self, place: str = "") -> list[Job]:
        """Every job with its period.

        Of several processes only one runs a job's instant; ``place`` names this one in those that look at the accounts
        that each process has for itself.
        """
        here = f"-{place}" if place else ""
        return [
            Job(name="reconcile", period=7 * MINUTE, run=_ignoring_the_instant(self.reconciler.reconcile)),
            Job(name="reconcile-nightly", period=DAY, run=self._reconcile_widely),
            Job(name=f"catalogue{here}", period=HOUR, run=self._refresh_catalogues),
            Job(name="silence", period=HOUR, run=_ignoring_the_instant(self.silence.check)),
            Job(name=f"freshness{here}", period=MINUTE, run=self._watch_freshness),
            Job(name="retention", period=DAY, run=_ignoring_the_instant(self.retention.clean)),
            Job(name="sessions", period=HOUR, run=_ignoring_the_instant(self.retention.end_sessions)),
            Job(name="subscriptions", period=MINUTE, run=_ignoring_the_instant(self.subscriptions.look)),
            Job(name=f"sharing{here}", period=MINUTE, run=_ignoring_the_instant(self.sharing.run)),
            Job(name=f"counters{here}", period=MINUTE, run=_ignoring_the_instant(self.counters.look)),
            Job(name=f"optimise{here}", period=7 * DAY, run=self._optimise),
        ]

    async def _reconcile_widely(self, instant: datetime) -> None:
        await self.reconciler.reconcile(reach=2 * DAY)

    async def _refresh_catalogues(self, instant: datetime) -> None:
        """One account that cannot be asked does not keep the others from being asked."""
        services = self.services
        for key, account in list(services.accounts.items()):
            feed = self.feeds.get(key)
            is_deaf = bool(account.context.webhook_url) and feed is not None and feed.webhooks_are_healthy is False
            refresh = CatalogueRefresh(account, services.store, services.clock, changed=services.changed)
            # of several processes the one that has the account asks; another one's may be closed any moment
            if not account.may_ask or not services.is_own(key[0]):
                continue
            try:
                await refresh.refresh(is_setup=is_deaf)
            except VendorError as error:
                log.info("the catalogue of %s/%s waits: %s", *key, error, extra={"action": "catalogue.waits"})

    async def _watch_freshness(self, instant: datetime) -> None:
        """A feed that falls behind its bound is an alarm: forwarding answers may be older than promised (X9)."""
        now = self.services.clock.now()
        for key, feed in list(self.feeds.items()):
            is_late = feed.is_late()
            if is_late == (key in self._late):
                continue
            (self._late.add if is_late else self._late.discard)(key)
            bound = feed.bound()
            body = {"connection": key[1], "bound_seconds": None if bound is None else round(bound.total_seconds())}
            kind = "feed.late" if is_late else "feed.on_time"
            log.log(
                logging.WARNING if is_late else logging.INFO,
                "the feed of %s/%s is %s",
                *key,
                "late" if is_late else "on time again",
                extra={"action": kind},
            )
            await self.services.store.write(
                lambda conn, key=key, kind=kind, body=body: events.append(  # type: ignore[misc]
                    conn, project=key[0], kind=kind, body=body, now=now
                )
            )

    async def _optimise(self, instant: datetime) -> None:
        """Let SQLite renew what it knows of its tables, and give back the space of its log."""
        path = self.services.settings.directory_path

        def optimise() -> None:
            driver = connect(path)
            try:
                driver.execute("PRAGMA optimize").close()
                driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                driver.close()

        await asyncio.to_thread(optimise)


def _ignoring_the_instant(work: Callable[[], Awaitable[object]]) -> Callable[[datetime], Awaitable[None]]:
    async def run(instant: datetime) -> None:
        await work()

    return run
