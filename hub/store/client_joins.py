"""Two clients become one, and two again: what moved is written down with each join (X12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, or_, select, tuple_, union_all, update

from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import StepKey
from hub.core.tasks import parse_task_key
from hub.store import codec, locks, waiting
from hub.store.messenger_schema import outgoing
from hub.store.prepared import Prepared
from hub.store.schema import client, client_join, client_key, due, interaction, step, work

__all__ = ["Join", "foreign_keys", "hold", "join", "list_joins", "undo", "were_parted"]


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
    #: what moved: (kind, value), and interactions
    keys: tuple[tuple[str, str], ...] = ()
    interactions: frozenset[InteractionId] = frozenset()


def join(conn: Connection, project: str, *, kept: ClientId, joined: ClientId, reason: str, now: datetime) -> None:
    """Move everything of ``joined`` to ``kept`` and write down what moved; the caller holds the arrivals."""
    _hold(conn, kept, joined)
    keys = conn.execute(select(client_key.c.kind, client_key.c.value).where(client_key.c.client_id == joined)).all()
    interactions = conn.execute(select(interaction.c.id).where(interaction.c.client_id == joined)).scalars().all()
    earlier = conn.execute(select(client.c.id).where(client.c.merged_into == joined)).scalars().all()
    before = conn.execute(select(*_REMEMBERED).where(client.c.id == kept)).one()
    other = conn.execute(select(*_REMEMBERED).where(client.c.id == joined)).one()
    moved = {
        "keys": [list(key) for key in keys],
        "interactions": list(interactions),
        "clients": list(earlier),
        "kept_before": _remembered(before),
    }
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
    conn.execute(update(outgoing).where(outgoing.c.client_id == joined).values(client_id=kept))
    values: dict[str, object] = {}
    earlier_talk = before.last_talked_at
    if other.last_talked is not None and (earlier_talk is None or earlier_talk < other.last_talked_at):
        values |= {"last_talked": other.last_talked, "last_talked_at": other.last_talked_at}
    if other.name and not before.name:
        values["name"] = other.name
    callers = sorted({*codec.load_json(before.called_by), *codec.load_json(other.called_by)})
    if callers != codec.load_json(before.called_by):
        values["called_by"] = codec.dump_json(callers)
    if values:
        conn.execute(update(client).where(client.c.id == kept).values(values))


def hold(conn: Connection, project: str, *ids: ClientId) -> None:
    """Until the transaction ends nothing comes in for these clients, and nothing is decided for them."""
    locks.hold_arrivals(conn, project)
    _hold(conn, *ids)


def _hold(conn: Connection, *ids: ClientId) -> None:
    """What decisions change beside arrivals: first the works, as they do, then who talked and called."""
    if locks.is_shared(conn):
        conn.execute(
            select(work.c.state)
            .where(work.c.client_id.in_(ids))
            .order_by(work.c.interaction_id, work.c.connection)
            .with_for_update()
        )
        conn.execute(select(client.c.id).where(client.c.id.in_(ids)).order_by(client.c.id).with_for_update())


#: what a join hands on of a client's own row
_REMEMBERED = (client.c.name, client.c.last_talked, client.c.last_talked_at, client.c.called_by)


def _remembered(row: Any) -> dict[str, Any]:
    at = row.last_talked_at
    return {
        "name": row.name,
        "last_talked": row.last_talked,
        "last_talked_at": at.isoformat() if at else None,
        "called_by": codec.load_json(row.called_by),
    }


def _move_interactions(conn: Connection, interactions: Sequence[str], to: ClientId) -> None:
    # in slices: an old client may have more interactions than a statement takes parameters
    for start in range(0, len(interactions), 500):
        part = interactions[start : start + 500]
        conn.execute(update(interaction).where(interaction.c.id.in_(part)).values(client_id=to))
        conn.execute(update(work).where(work.c.interaction_id.in_(part)).values(client_id=to))
        conn.execute(update(step).where(step.c.interaction_id.in_(part)).values(client_id=to))


def were_parted(conn: Connection, project: str, one: ClientId, other: ClientId) -> bool:
    """Whether somebody undid a join of these two, or of any that they took in: then the hub joins them no more."""
    return other in _parted_from(conn, project, one)


def _parted_from(conn: Connection, project: str, one: ClientId) -> set[ClientId]:
    """The clients, as they stand now, from which ``one`` was parted."""
    rows = _UNDONE.rows(conn, of_project=project, of_client=one)
    # a row of twice the same one is a client that ``one`` has taken in
    mine = {one} | {ClientId(kept) for kept, joined in rows if kept == joined}
    others = {ClientId(end) for row in rows for end in row} - mine
    if not others:
        return set()
    survivors = conn.execute(select(client.c.id, client.c.merged_into).where(client.c.id.in_(sorted(others))))
    return {ClientId(row.merged_into or row.id) for row in survivors} - {one}


_ENDS = (client_join.c.kept, client_join.c.joined)
_IS_TAKEN_IN = client.c.merged_into == bindparam("of_client")
_IS_UNDONE = and_(client_join.c.project == bindparam("of_project"), client_join.c.undone_at.is_not(None))
# asked for every decision, and nearly always in vain: one statement, with an index for each of its parts
_UNDONE = Prepared(
    union_all(
        select(client.c.id, client.c.id.label("same")).where(_IS_TAKEN_IN),
        *(select(*_ENDS).where(_IS_UNDONE, end == bindparam("of_client")) for end in _ENDS),
        *(select(*_ENDS).join(client, client.c.id == end).where(_IS_UNDONE, _IS_TAKEN_IN) for end in _ENDS),
    )
)


def foreign_keys(
    conn: Connection, project: str, id: ClientId, keys: Sequence[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """Those of ``keys`` that are another's from whom the client was parted: they say nothing of this one (X12)."""
    others = _parted_from(conn, project, id)
    if not others or not keys:
        return frozenset()
    rows = conn.execute(
        select(client_key.c.kind, client_key.c.value).where(
            client_key.c.project == project,
            client_key.c.client_id.in_(sorted(others)),
            tuple_(client_key.c.kind, client_key.c.value).in_([tuple(key) for key in keys]),
        )
    )
    return frozenset((row[0], row[1]) for row in rows)


def list_joins(
    conn: Connection,
    project: str,
    *,
    client_id: ClientId | None = None,
    id: int | None = None,
    since: datetime | None = None,
    limit: int = 100,
) -> list[Join]:
    """Joins, newest first."""
    statement = (
        select(client_join).where(client_join.c.project == project).order_by(client_join.c.id.desc()).limit(limit)
    )
    if client_id is not None:
        statement = statement.where(or_(client_join.c.kept == client_id, client_join.c.joined == client_id))
    if id is not None:
        statement = statement.where(client_join.c.id == id)
    if since is not None:
        statement = statement.where(client_join.c.at >= since)
    return [
        Join(
            id=row.id,
            project=row.project,
            kept=ClientId(row.kept),
            joined=ClientId(row.joined),
            reason=row.reason,
            at=row.at,
            undone_at=row.undone_at,
            keys=tuple((kind, value) for kind, value in codec.load_json(row.moved)["keys"]),
            interactions=frozenset(InteractionId(one) for one in codec.load_json(row.moved)["interactions"]),
        )
        for row in conn.execute(statement)
    ]


def undo(conn: Connection, join_id: int, now: datetime) -> bool:
    """Give the joined client back what the join took; False if it was undone already or never was.

    What came after the join stays with the kept client. Both are then never joined by the hub again. Where the kept
    client was joined to another meanwhile, it is given back from there, and undoing that later join moves it no more.
    """
    statement = select(client_join).where(client_join.c.id == join_id, client_join.c.undone_at.is_(None))
    row = conn.execute(statement).first()
    if row is None:
        return False
    locks.hold_arrivals(conn, row.project)
    row = conn.execute(statement).first()
    if row is None:
        return False
    moved = codec.load_json(row.moved)
    joined = ClientId(row.joined)
    later = _later(conn, row)
    holder = ClientId(later[-1].kept if later else row.kept)
    _hold(conn, holder, ClientId(row.kept), joined)
    for start in range(0, len(moved["keys"]), 200):
        part = [tuple(key) for key in moved["keys"][start : start + 200]]
        conn.execute(
            update(client_key)
            .where(client_key.c.project == row.project, tuple_(client_key.c.kind, client_key.c.value).in_(part))
            .values(client_id=joined)
        )
    _move_interactions(conn, moved["interactions"], joined)
    waits = waiting.get(conn, holder)
    if waits is not None and waits.interaction_id in moved["interactions"]:
        waiting.move(conn, origin=waits.client_id, to=joined)
    _give_back_looks(conn, row.project, holder, joined, frozenset(moved["interactions"]))
    _restore(conn, ClientId(row.kept), joined, moved.get("kept_before"))
    for further in later:
        _forget(conn, further, moved, joined)
    conn.execute(update(client).where(client.c.id == joined).values(merged_into=None))
    conn.execute(update(client).where(client.c.id.in_(moved["clients"])).values(merged_into=joined))
    conn.execute(update(client_join).where(client_join.c.id == join_id).values(undone_at=now))
    return True


def _later(conn: Connection, row: Row[Any]) -> list[Row[Any]]:
    """The joins that took what ``row`` joined further, in their order."""
    found: list[Row[Any]] = []
    holder = row.kept
    for one in conn.execute(
        select(client_join)
        .where(client_join.c.project == row.project, client_join.c.id > row.id, client_join.c.undone_at.is_(None))
        .order_by(client_join.c.id)
    ):
        if one.joined == holder:
            found.append(one)
            holder = one.kept
    return found


def _forget(conn: Connection, later: Row[Any], given_back: Mapping[str, Any], joined: ClientId) -> None:
    """Take what an earlier join gave back to ``joined`` out of what undoing ``later`` would move, and of its memory."""
    moved = codec.load_json(later.moved)
    interactions, clients = set(given_back["interactions"]), {joined, *given_back["clients"]}
    moved["keys"] = [key for key in moved["keys"] if key not in given_back["keys"]]
    moved["interactions"] = [one for one in moved["interactions"] if one not in interactions]
    moved["clients"] = [one for one in moved["clients"] if one not in clients]
    conn.execute(update(client_join).where(client_join.c.id == later.id).values(moved=codec.dump_json(moved)))
    before = moved.get("kept_before")
    if before is not None:
        brought = conn.execute(select(*_REMEMBERED).where(client.c.id == later.joined)).one()
        _restore(conn, ClientId(later.kept), joined, _together(before, _remembered(brought)))


def _together(kept: Mapping[str, Any], joined: Mapping[str, Any]) -> dict[str, Any]:
    """What one client remembers that holds ``kept`` and ``joined``."""
    talked = max(kept, joined, key=lambda one: one["last_talked_at"] or "")
    return {
        "name": kept["name"] or joined["name"],
        "last_talked": talked["last_talked"],
        "last_talked_at": talked["last_talked_at"],
        "called_by": sorted({*kept["called_by"], *joined["called_by"]}),
    }


def _give_back_looks(
    conn: Connection, project: str, kept: ClientId, joined: ClientId, interactions: frozenset[str]
) -> None:
    """Timers of tasks that the joined client's interactions opened go back with them."""
    keys = conn.execute(select(due.c.key).where(due.c.project == project, due.c.client_id == kept)).scalars().all()
    for key in keys:
        parsed = parse_task_key(StepKey(key.partition("/overdue/")[0]))
        if parsed is not None and parsed.opener in interactions:
            conn.execute(
                update(due)
                .where(due.c.project == project, due.c.client_id == kept, due.c.key == key)
                .values(client_id=joined)
            )


def _restore(conn: Connection, kept: ClientId, joined: ClientId, before: Mapping[str, Any] | None) -> None:
    """Who talked last, the name, who called: as before the join, unless something was added since."""
    if before is None:
        return
    now = conn.execute(select(*_REMEMBERED).where(client.c.id == kept)).one()
    own = conn.execute(select(*_REMEMBERED).where(client.c.id == joined)).one()
    values: dict[str, object] = {}
    if own.last_talked_at is not None and now.last_talked_at == own.last_talked_at:
        at = before["last_talked_at"]
        values |= {"last_talked": before["last_talked"], "last_talked_at": datetime.fromisoformat(at) if at else None}
    if own.name and now.name == own.name:
        values["name"] = before["name"]
    theirs = set(codec.load_json(own.called_by)) - set(before["called_by"])
    if theirs:
        values["called_by"] = codec.dump_json([one for one in codec.load_json(now.called_by) if one not in theirs])
    if values:
        conn.execute(update(client).where(client.c.id == kept).values(values))
