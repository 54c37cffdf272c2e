"""What the hub counts, for Prometheus; each metric's help says its unit."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hub.runtime.account import Health
from hub.runtime.services import Services
from hub.store import cluster, inbox, steps, work
from hub.store.cluster import Peer
from hub.web.health import is_near

if TYPE_CHECKING:
    from hub.runtime.fleet import Fleet

__all__ = ["Counts", "Histogram", "metrics"]

log = logging.getLogger(__name__)

#: seconds that the database may take to be counted
READ_TIME = 5.0


class Histogram:
    """How often a value fell where; a fraction of the cost of the client library's, which counts on each answer."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value`` in."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def sum(self) -> float:
        return self._sum

    def buckets(self) -> list[tuple[str, float]]:
        """The counts up to each bound, as Prometheus wants them."""
        total = 0
        found: list[tuple[str, float]] = []
        for bound, count in zip((*map(repr, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass(slots=True)
class Counts:
    """What happened in this process since it started."""

    #: (project, channel or connection, kind) -> requests on disk
    accepted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: (endpoint, reason) -> requests not taken
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (project, channel, outcome) -> forwarding answers
    forwarded: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: (project, channel, outcome) -> replies that webhooks are owed
    owed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: forwarding answers that are not in the database yet
    journal_waiting: int = 0
    #: forwarding answers that never came into the database
    journal_lost: int = 0
    #: seconds
    forwarding_took: Histogram = field(
        default_factory=lambda: Histogram((0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.2, 0.3, 1.0))
    )
    #: seconds
    fact_age: Histogram = field(
        default_factory=lambda: Histogram((1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0, 604800.0))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What only the database knows."""

    inbox: dict[str, int]
    steps: dict[tuple[str, str, str], int]
    attention: dict[str, int]
    #: the processes that live; () on SQLite
    peers: Sequence[Peer] = ()


def _read(conn: Connection, fleet: Fleet | None) -> _Stored:
    return _Stored(
        peers=() if fleet is None else cluster.peers(conn, fleet.stalled),
        inbox={status.value: count for status, count in inbox.counts(conn).items()},
        steps=dict(steps.count_states(conn)),
        attention={
            connection: count
            for (connection, state), count in work.count_states(conn).items()
            if state == work.WorkState.ATTENTION.value
        },
    )


class _Reading(Collector):
    """One look at everything."""

    def __init__(self, services: Services, counts: Counts, stored: _Stored | None) -> None:
        self._services, self._counts, self._stored = services, counts, stored

    def collect(self) -> Iterator[Metric]:
        yield from self._happened()
        yield from self._spooled()
        yield GaugeMetricFamily(
            "hub_database_up",
            "Whether the database answers, 1 for yes and 0 for no",
            value=float(self._stored is not None),
        )
        if self._stored is not None:
            yield from self._stands(self._stored)
        yield from self._accounts()
        fleet = self._services.fleet
        if fleet is not None:
            # only where there is a PostgreSQL: a hub on SQLite needs no driver of it
            from hub.web.fleet_metrics import fleet_figures

            projects = [
                (project.name, [found.name for found in project.connections])
                for project in self._services.projects.all()
            ]
            yield from fleet_figures(fleet, projects, None if self._stored is None else self._stored.peers)

    def _spooled(self) -> Iterator[Metric]:
        spool = self._services.intake.spool
        if spool is None:
            return
        yield GaugeMetricFamily(
            "hub_spool_waiting",
            "Requests that wait on this machine until the database is back, in requests",
            value=spool.waiting,
        )
        yield GaugeMetricFamily(
            "hub_spool_age_seconds",
            "How long the first of them has waited, in seconds",
            value=spool.age.total_seconds(),
        )
        yield GaugeMetricFamily(
            "hub_spool_full",
            "Whether the last one found no room and was refused, 1 for yes and 0 for no",
            value=spool.is_full,
        )
        yield GaugeMetricFamily(
            "hub_spool_refused",
            "Requests that the database can never take, set aside since this process started, in requests",
            value=spool.refused,
        )
        yield CounterMetricFamily("hub_spool_kept", "Requests that went to the spool, in requests", value=spool.kept)

    def _happened(self) -> Iterator[Metric]:
        accepted = CounterMetricFamily(
            "hub_webhooks_accepted",
            "Requests stored before they were answered 2xx, in requests",
            labels=("project", "channel", "kind"),
        )
        for labels, count in self._counts.accepted.items():
            accepted.add_metric(labels, count)
        yield accepted
        refused = CounterMetricFamily(
            "hub_requests_refused", "Requests that were not taken, in requests", labels=("endpoint", "reason")
        )
        for reason, count in self._counts.refused.items():
            refused.add_metric(reason, count)
        yield refused
        forwarded = CounterMetricFamily(
            "hub_forwarding_answers",
            "Answers to the telephony's question whom to ring, in answers",
            labels=("project", "channel", "outcome"),
        )
        for labels, count in self._counts.forwarded.items():
            forwarded.add_metric(labels, count)
        yield forwarded
        owed = CounterMetricFamily(
            "hub_owed_replies",
            "Replies to webhooks whose vendor waits for data, in replies",
            labels=("project", "channel", "outcome"),
        )
        for labels, count in self._counts.owed.items():
            owed.add_metric(labels, count)
        yield owed
        took = self._counts.forwarding_took
        yield HistogramMetricFamily(
            "hub_forwarding_duration_seconds",
            "From reading the telephony's question to the answer, in seconds",
            buckets=took.buckets(),
            sum_value=took.sum,
        )
        age = self._counts.fact_age
        yield HistogramMetricFamily(
            "hub_forwarding_fact_age_seconds",
            "Age of the oldest fact that a forwarding answer rests on (X9), in seconds",
            buckets=age.buckets(),
            sum_value=age.sum,
        )
        yield GaugeMetricFamily(
            "hub_forwarding_journal_waiting",
            "Forwarding answers that are not in the journal yet, in answers",
            value=self._counts.journal_waiting,
        )
        yield CounterMetricFamily(
            "hub_forwarding_journal_lost",
            "Forwarding answers that never came into the journal, in answers",
            value=self._counts.journal_lost,
        )

    def _stands(self, stored: _Stored) -> Iterator[Metric]:
        rows = GaugeMetricFamily(
            "hub_inbox", "Stored requests by what became of them, in requests; new is the queue", labels=("status",)
        )
        for status in inbox.InboxStatus:
            rows.add_metric((status.value,), stored.inbox.get(status.value, 0))
        yield rows
        yield GaugeMetricFamily(
            "hub_webhooks_unreadable",
            "Requests kept although they could not be read, in requests",
            value=stored.inbox.get(inbox.InboxStatus.UNREADABLE.value, 0),
        )
        found = GaugeMetricFamily(
            "hub_steps", "Actions for the CRM by their state, in steps", labels=("connection", "state", "kind")
        )
        for labels, count in stored.steps.items():
            found.add_metric(labels, count)
        yield found
        attention = GaugeMetricFamily(
            "hub_needs_attention", "Interactions that wait for a person, in interactions", labels=("connection",)
        )
        for connection, count in stored.attention.items():
            attention.add_metric((connection,), count)
        yield attention

    def _accounts(self) -> Iterator[Metric]:
        labels = ("project", "connection")
        headroom = GaugeMetricFamily(
            "hub_pacer_headroom_ratio", "Unused share of the CRM's request limit, from 0 to 1", labels=labels
        )
        waiting = GaugeMetricFamily(
            "hub_pacer_waiting", "Requests that wait for their turn under the CRM's limit, in requests", labels=labels
        )
        ready = GaugeMetricFamily(
            "hub_connection_ready", "Whether the CRM account works, 1 for ready and 0 for not", labels=labels
        )
        ahead = GaugeMetricFamily(
            "hub_connection_clock_ahead_seconds",
            "How far this machine's clock is ahead of the CRM's, in seconds; negative if it is behind",
            labels=labels,
        )
        for key, account in self._services.accounts.items():
            ahead.add_metric(key, account.vendor_clock.ahead.total_seconds())
            headroom.add_metric(key, account.pacer.headroom)
            waiting.add_metric(key, account.pacer.waiting)
            ready.add_metric(key, float(account.health is Health.READY))
        yield from (headroom, waiting, ready, ahead)


async def metrics(request: Request) -> Response:
    """GET /metrics, for callers of this machine or its private network."""
    if not is_near(request):
        raise HTTPException(403, "metrics are for this machine and its private network")
    services: Services = request.app.state.services
    registry = CollectorRegistry(auto_describe=False)
    stored: _Stored | None = None
    try:
        async with asyncio.timeout(READ_TIME):
            stored = await services.store.read(lambda conn: _read(conn, services.fleet))
    except Exception as err:  # noqa: BLE001 - figures are wanted most when the database is away
        log.debug("the database cannot be counted: %s", err, extra={"action": "metrics.no_database"})
    registry.register(_Reading(services, request.app.state.counts, stored))
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
