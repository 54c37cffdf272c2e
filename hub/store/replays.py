"""Which ended interactions somebody may want decided anew (X13)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from hub.core.interaction import ClientId, InteractionId
from hub.store.schema import interaction, work
from hub.store.work import COLUMNS, JOINED, Work, WorkState, read_work

#: only what is ended can be decided anew
ENDED = (WorkState.FINISHED, WorkState.ATTENTION)

__all__ = ["Selection", "count_unfinished", "page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the tables can tell apart; what is empty does not filter."""

    project: str
    interaction_id: InteractionId | None = None
    connection: str = ""
    channels: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    client_id: ClientId | None = None
    #: begun at or after, and before
    since: datetime | None = None
    until: datetime | None = None
    #: finished, attention, or both
    states: Collection[WorkState] = ENDED


def page(conn: Connection, wanted: Selection, *, after: tuple[int, str] = (0, ""), limit: int = 200) -> list[Work]:
    """Ended work in the order of arrival; page on with ``after`` = (sequence, connection) of the last one seen."""
    sequence, connection = after
    statement = (
        select(*COLUMNS)
        .select_from(JOINED)
        .where(*_conditions(wanted), work.c.state.in_(sorted(state.value for state in wanted.states)))
        .where((work.c.sequence > sequence) | ((work.c.sequence == sequence) & (work.c.connection > connection)))
        .order_by(work.c.sequence, work.c.connection)
        .limit(limit)
    )
    return [read_work(row) for row in conn.execute(statement)]


def count_unfinished(conn: Connection, wanted: Selection) -> int:
    """How many of the wanted are still under way: they cannot be decided anew yet."""
    ended = [state.value for state in ENDED]
    statement = select(func.count()).select_from(JOINED).where(*_conditions(wanted), work.c.state.not_in(ended))
    return int(conn.execute(statement).scalar_one())


def _conditions(wanted: Selection) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [work.c.project == wanted.project]
    if wanted.interaction_id is not None:
        found.append(work.c.interaction_id == wanted.interaction_id)
    if wanted.connection:
        found.append(work.c.connection == wanted.connection)
    if wanted.channels:
        found.append(interaction.c.channel.in_(wanted.channels))
    if wanted.kinds:
        found.append(interaction.c.kind.in_(wanted.kinds))
    if wanted.client_id is not None:
        found.append(work.c.client_id == wanted.client_id)
    if wanted.since is not None:
        found.append(interaction.c.started_at >= wanted.since)
    if wanted.until is not None:
        found.append(interaction.c.started_at < wanted.until)
    return found
