"""The silence alarm: each hour, every channel is compared with the same hour of earlier weeks (X7).

What counts are interactions that a webhook told. Those that only the vendor's log told (reconciliation) do not, or
the log would hide that the webhooks have stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, select

from hub.clock import Clock
from hub.core.silence import WEEKS, Silence, is_judged, judge
from hub.engine.projects import LiveProject, Projects
from hub.store import codec, events
from hub.store.engine import Store
from hub.store.schema import event, fragment, inbox, interaction

__all__ = ["SilenceAlarm", "hourly_counts"]

log = logging.getLogger(__name__)

_SILENT, _HEARD = "channel.silent", "channel.heard"


def hourly_counts(conn: Connection, project: str, channel: str, since: datetime) -> dict[datetime, int]:
    """Interactions that a webhook told, by the beginning of the hour of their first word; the first hour always."""
    told_by = fragment.join(inbox, inbox.c.id == fragment.c.inbox_id)
    by_log = select(fragment.c.digest).select_from(told_by).where(fragment.c.interaction_id == interaction.c.id)
    is_recovered = exists(by_log.where(inbox.c.kind == "recovered")) & ~exists(by_log.where(inbox.c.kind == "hook"))
    rows = conn.execute(
        select(interaction.c.received_at).where(
            interaction.c.project == project,
            interaction.c.channel == channel,
            # what began earlier and was told now is no sign of life of an earlier hour
            interaction.c.started_at >= since - timedelta(days=1),
            interaction.c.received_at >= since,
            ~is_recovered,
        )
    )
    counts: dict[datetime, int] = {}
    for (moment,) in rows:
        hour = moment.replace(minute=0, second=0, microsecond=0)
        counts[hour] = counts.get(hour, 0) + 1
    return counts


class SilenceAlarm:
    """Judges every channel of every project."""

    def __init__(self, store: Store, clock: Clock, projects: Projects) -> None:
        self._store, self._clock, self._projects = store, clock, projects

    async def check(self) -> Mapping[tuple[str, str], Silence]:
        """The channels that are too quiet now; a change is told once, as an event and a line of the log."""
        now = self._clock.now()
        found: dict[tuple[str, str], Silence] = {}
        for project in self._projects.all():
            if project.policy is None or not is_judged(now, project.policy.company_hours):
                continue
            for name in project.channels:
                silence = await self._store.read(
                    lambda conn, project=project, name=name: self._judge(conn, project, name, now)  # type: ignore[misc]
                )
                if silence is not None:
                    found[project.name, name] = silence
                await self._tell(project.name, name, silence, now)
        return found

    async def silent(self, project: str) -> Mapping[str, Mapping[str, Any]]:
        """The channels of ``project`` whose alarm stands, with what was said, for the console and health pages."""
        return await self._store.read(lambda conn: _standing(conn, project, self._clock.now()))

    @staticmethod
    def _judge(conn: Connection, project: LiveProject, channel: str, now: datetime) -> Silence | None:
        assert project.policy is not None
        counts = hourly_counts(conn, project.name, channel, now - timedelta(weeks=WEEKS, days=1))
        return judge(counts, now, project.policy.company_hours)

    async def _tell(self, project: str, channel: str, silence: Silence | None, now: datetime) -> None:
        standing = await self._store.read(lambda conn: channel in _standing(conn, project, now))
        if standing == (silence is not None):
            return
        body: dict[str, Any] = {"channel": channel}
        if silence is not None:
            body |= {
                "since": silence.since.isoformat(),
                "until": silence.until.isoformat(),
                "seen": silence.seen,
                "usual": silence.usual,
            }
            log.warning(
                "channel %s/%s is too quiet: %d since %s, usual are %.0f",
                project,
                channel,
                silence.seen,
                silence.since.isoformat(timespec="minutes"),
                silence.usual,
                extra={"action": "channel.silent"},
            )
        else:
            log.info("channel %s/%s is heard again", project, channel, extra={"action": "channel.heard"})
        kind = _HEARD if silence is None else _SILENT
        await self._store.write(lambda conn: events.append(conn, project=project, kind=kind, body=body, now=now))


def _standing(conn: Connection, project: str, now: datetime) -> dict[str, Mapping[str, Any]]:
    """Which alarms were raised and not taken back; an alarm is forgotten after a week."""
    rows = conn.execute(
        select(event.c.kind, event.c.body)
        .where(event.c.project == project, event.c.kind.in_([_SILENT, _HEARD]), event.c.at >= now - timedelta(days=7))
        .order_by(event.c.id)
    )
    standing: dict[str, Mapping[str, Any]] = {}
    for kind, stored in rows:
        body = codec.load_json(stored)
        if kind == _SILENT:
            standing[body["channel"]] = body
        else:
            standing.pop(body["channel"], None)
    return standing
