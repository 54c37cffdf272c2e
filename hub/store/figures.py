"""Counts for the people who watch: each figure can name the interactions behind it (U2, J6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select

from hub.core.interaction import InteractionId
from hub.store import codec
from hub.store.inbox import InboxStatus
from hub.store.interactions import Stored, find
from hub.store.schema import inbox, interaction, step, work
from hub.store.work import WorkState

__all__ = [
    "Waiting",
    "count_attention",
    "count_calls",
    "count_in_doubt",
    "in_doubt",
    "last_call_at",
    "oldest_waiting",
    "unconnected",
]

_FAILED = [InboxStatus.UNREADABLE.value, InboxStatus.FAILED.value]
_UNFINISHED = [WorkState.OPEN.value, WorkState.WRITING.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is not finished in some CRM."""

    count: int
    #: the longest waiting interaction and when it came, None if nothing waits
    oldest: InteractionId | None = None
    since: datetime | None = None


def count_attention(conn: Connection, project: str) -> int:
    """How much waits for a person: refused interactions, unread requests, interactions that no CRM gets."""
    refused = conn.execute(
        select(func.count())
        .select_from(work)
        .where(work.c.project == project, work.c.state == WorkState.ATTENTION.value)
    ).scalar_one()
    unread = conn.execute(
        select(func.count()).select_from(inbox).where(inbox.c.status.in_(_FAILED), inbox.c.project == project)
    ).scalar_one()
    lone = conn.execute(select(func.count()).select_from(interaction).where(_is_unconnected(project))).scalar_one()
    return int(refused) + int(unread) + int(lone)


def _is_unconnected(project: str) -> ColumnElement[bool]:
    has_work = exists().where(work.c.interaction_id == interaction.c.id)
    return and_(interaction.c.project == project, interaction.c.decide_at.is_not(None), ~has_work)


def unconnected(conn: Connection, project: str, limit: int = 100) -> list[Stored]:
    """Finished interactions for which no CRM has any work, newest first: the project had no connection."""
    ids = conn.execute(
        select(interaction.c.id).where(_is_unconnected(project)).order_by(interaction.c.sequence.desc()).limit(limit)
    ).scalars()
    return _stored(conn, ids.all())


def count_calls(conn: Connection, project: str, since: datetime, until: datetime) -> Counter[tuple[str, str]]:
    """How many calls of the period ended how, by (direction, disposition)."""
    rows = conn.execute(
        select(interaction.c.body).where(
            interaction.c.project == project,
            interaction.c.started_at >= since,
            interaction.c.started_at < until,
            interaction.c.kind == "call",
        )
    )
    bodies = (codec.load_json(row[0]) for row in rows)
    return Counter((body["direction"], body["disposition"]) for body in bodies)


def last_call_at(conn: Connection, project: str, until: datetime) -> datetime | None:
    """When the last call before ``until`` began; None if there was none yet."""
    found: datetime | None = conn.execute(
        select(interaction.c.started_at)
        .where(interaction.c.project == project, interaction.c.started_at < until, interaction.c.kind == "call")
        .order_by(interaction.c.started_at.desc())
        .limit(1)
    ).scalar_one_or_none()
    return found


def count_in_doubt(conn: Connection, project: str) -> int:
    """How many interactions have a step of which nobody knows yet whether the CRM applied it (X5)."""
    return int(
        conn.execute(
            select(func.count(step.c.interaction_id.distinct())).where(
                step.c.project == project, step.c.state == "in_doubt"
            )
        ).scalar_one()
    )


def in_doubt(conn: Connection, project: str, limit: int = 100) -> list[Stored]:
    """The interactions that `count_in_doubt` counts, newest first."""
    ids = conn.execute(
        select(step.c.interaction_id, func.max(step.c.id))
        .where(step.c.project == project, step.c.state == "in_doubt")
        .group_by(step.c.interaction_id)
        .order_by(func.max(step.c.id).desc())
        .limit(limit)
    )
    return _stored(conn, [row[0] for row in ids])


def oldest_waiting(conn: Connection, project: str) -> Waiting:
    """What is over but not yet finished in every CRM."""
    where = and_(work.c.project == project, work.c.state.in_(_UNFINISHED), interaction.c.decide_at.is_not(None))
    joined = work.join(interaction, interaction.c.id == work.c.interaction_id)
    count = conn.execute(
        select(func.count(work.c.interaction_id.distinct())).select_from(joined).where(where)
    ).scalar_one()
    row = conn.execute(
        select(interaction.c.id, interaction.c.received_at)
        .select_from(joined)
        .where(where)
        .order_by(interaction.c.sequence)
        .limit(1)
    ).first()
    if row is None:
        return Waiting(count=int(count))
    return Waiting(count=int(count), oldest=InteractionId(row[0]), since=row[1])


def _stored(conn: Connection, ids: Sequence[str]) -> list[Stored]:
    found = (find(conn, InteractionId(id)) for id in ids)
    return [item for item in found if item is not None]
