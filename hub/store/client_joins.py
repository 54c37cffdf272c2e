"""Two clients become one, and two again: what moved is written down with each join (X12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, or_, select, tuple_, update

from hub.core.interaction import ClientId
from hub.store import codec, waiting
from hub.store.schema import client, client_join, client_key, due, interaction, step, work

__all__ = ["Join", "join", "list_joins", "undo", "were_parted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """One join that the hub made."""

    id: int
    project: str
    kept: ClientId
    joined: ClientId
    reason: str
    at: datetime
    undone_at: datetime | None


def join(conn: Connection, project: str, *, kept: ClientId, joined: ClientId, reason: str, now: datetime) -> None:
    """Move everything of ``joined`` to ``kept`` and write down what moved."""
    keys = conn.execute(select(client_key.c.kind, client_key.c.value).where(client_key.c.client_id == joined)).all()
    interactions = conn.execute(select(interaction.c.id).where(interaction.c.client_id == joined)).scalars().all()
    earlier = conn.execute(select(client.c.id).where(client.c.merged_into == joined)).scalars().all()
    moved = {"keys": [list(key) for key in keys], "interactions": list(interactions), "clients": list(earlier)}
    conn.execute(
        insert(client_join).values(
            project=project, kept=kept, joined=joined, reason=reason, moved=codec.dump_json(moved), at=now
        )
    )
    conn.execute(update(client_key).where(client_key.c.client_id == joined).values(client_id=kept))
    _move_interactions(conn, interactions, kept)
    # of two looks with one name the kept client's stays: it was there first
    own = select(due.c.key).where(due.c.project == project, due.c.client_id == kept)
    conn.execute(delete(due).where(due.c.project == project, due.c.client_id == joined, due.c.key.in_(own)))
    conn.execute(update(due).where(due.c.project == project, due.c.client_id == joined).values(client_id=kept))
    conn.execute(
        update(client).where(or_(client.c.id == joined, client.c.merged_into == joined)).values(merged_into=kept)
    )
    waiting.move(conn, origin=joined, to=kept)
    talked = conn.execute(
        select(client.c.last_talked, client.c.last_talked_at, client.c.name).where(client.c.id == joined)
    ).one()
    if talked.last_talked is not None:
        conn.execute(
            update(client)
            .where(
                client.c.id == kept,
                or_(client.c.last_talked_at.is_(None), client.c.last_talked_at < talked.last_talked_at),
            )
            .values(last_talked=talked.last_talked, last_talked_at=talked.last_talked_at)
        )
    if talked.name:
        conn.execute(update(client).where(client.c.id == kept, client.c.name == "").values(name=talked.name))


def _move_interactions(conn: Connection, interactions: Sequence[str], to: ClientId) -> None:
    # in slices: an old client may have more interactions than a statement takes parameters
    for start in range(0, len(interactions), 500):
        part = interactions[start : start + 500]
        conn.execute(update(interaction).where(interaction.c.id.in_(part)).values(client_id=to))
        conn.execute(update(work).where(work.c.interaction_id.in_(part)).values(client_id=to))
        conn.execute(update(step).where(step.c.interaction_id.in_(part)).values(client_id=to))


def were_parted(conn: Connection, project: str, one: ClientId, other: ClientId) -> bool:
    """Whether somebody undid a join of these two: then the hub does not join them again by itself."""
    pair = or_(
        and_(client_join.c.kept == one, client_join.c.joined == other),
        and_(client_join.c.kept == other, client_join.c.joined == one),
    )
    return (
        conn.execute(
            select(client_join.c.id)
            .where(client_join.c.project == project, client_join.c.undone_at.is_not(None), pair)
            .limit(1)
        ).first()
        is not None
    )


def list_joins(conn: Connection, project: str, *, client_id: ClientId | None = None, limit: int = 100) -> list[Join]:
    """Joins, newest first."""
    statement = (
        select(client_join).where(client_join.c.project == project).order_by(client_join.c.id.desc()).limit(limit)
    )
    if client_id is not None:
        statement = statement.where(or_(client_join.c.kept == client_id, client_join.c.joined == client_id))
    return [
        Join(
            id=row.id,
            project=row.project,
            kept=ClientId(row.kept),
            joined=ClientId(row.joined),
            reason=row.reason,
            at=row.at,
            undone_at=row.undone_at,
        )
        for row in conn.execute(statement)
    ]


def undo(conn: Connection, join_id: int, now: datetime) -> bool:
    """Give the joined client back what the join took; False if it was undone already or never was.

    What came after the join stays with the kept client. Both are then never joined by the hub again.
    """
    row = conn.execute(
        select(client_join).where(client_join.c.id == join_id, client_join.c.undone_at.is_(None))
    ).first()
    if row is None:
        return False
    moved = codec.load_json(row.moved)
    joined = ClientId(row.joined)
    for start in range(0, len(moved["keys"]), 200):
        part = [tuple(key) for key in moved["keys"][start : start + 200]]
        conn.execute(
            update(client_key)
            .where(client_key.c.project == row.project, tuple_(client_key.c.kind, client_key.c.value).in_(part))
            .values(client_id=joined)
        )
    _move_interactions(conn, moved["interactions"], joined)
    waits = waiting.get(conn, ClientId(row.kept))
    if waits is not None and waits.interaction_id in moved["interactions"]:
        waiting.move(conn, origin=waits.client_id, to=joined)
    conn.execute(update(client).where(client.c.id == joined).values(merged_into=None))
    conn.execute(update(client).where(client.c.id.in_(moved["clients"])).values(merged_into=joined))
    conn.execute(update(client_join).where(client_join.c.id == join_id).values(undone_at=now))
    return True
