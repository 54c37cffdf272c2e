"""What a channel's vendor was told of our users, contacts, deals and pipelines, and under which ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from hub.core.interaction import ClientId
from hub.store import locks
from hub.store.dialect import insert_or
from hub.store.messenger_schema import shared
from hub.store.schema import client_join

__all__ = [
    "Shared",
    "deal_ids",
    "forget",
    "free_promise",
    "list_shared",
    "list_some",
    "promise_deal",
    "put",
    "record_key",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One entity as the vendor was told it."""

    id: str
    digest: str = ""
    #: `record_key` of what it is in the CRM; "" while it is in none
    record: str = ""
    #: why the vendor refused it; it is told again when it changes
    problem: str = ""


def record_key(connection: str, record_id: str) -> str:
    """How `Shared.record` names a record."""
    return f"{connection}/{record_id}"


def list_shared(conn: Connection, project: str, channel: str, kind: str) -> dict[str, Shared]:
    """Everything of one kind, by id."""
    rows = conn.execute(
        select(shared.c.id, shared.c.digest, shared.c.record, shared.c.problem).where(
            shared.c.project == project, shared.c.channel == channel, shared.c.kind == kind
        )
    )
    return {row.id: Shared(id=row.id, digest=row.digest, record=row.record, problem=row.problem) for row in rows}


def list_some(
    conn: Connection, project: str, channel: str, kind: str, ids: Iterable[str], records: Iterable[str]
) -> dict[str, Shared]:
    """Those of one kind with one of these ids, or that stand for one of these records."""
    found: dict[str, Shared] = {}
    columns = (shared.c.id, shared.c.digest, shared.c.record, shared.c.problem)
    at = (shared.c.project == project, shared.c.channel == channel, shared.c.kind == kind)
    for wanted in (shared.c.id.in_(sorted(set(ids))), shared.c.record.in_(sorted(set(records)))):
        for row in conn.execute(select(*columns).where(*at, wanted)):
            found[row.id] = Shared(id=row.id, digest=row.digest, record=row.record, problem=row.problem)
    return found


def put(conn: Connection, project: str, channel: str, kind: str, found: Iterable[Shared], now: datetime) -> None:
    """Remember what was told."""
    for one in found:
        statement = insert_or(conn, shared).values(
            project=project,
            channel=channel,
            kind=kind,
            id=one.id,
            digest=one.digest,
            record=one.record,
            problem=one.problem,
            at=now,
        )
        new = statement.excluded
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["project", "channel", "kind", "id"],
                set_={"digest": new.digest, "record": new.record, "problem": new.problem, "at": new.at},
            )
        )


def forget(conn: Connection, project: str, channel: str, kind: str, ids: Collection[str]) -> None:
    """The vendor was told that these are gone."""
    if ids:
        conn.execute(
            delete(shared).where(
                shared.c.project == project,
                shared.c.channel == channel,
                shared.c.kind == kind,
                shared.c.id.in_(sorted(ids)),
            )
        )


def joined_since(conn: Connection, project: str, channel: str, after: int) -> tuple[int, list[str], dict[str, None]]:
    """What joins of clients beyond the join ``after`` change: the newest join, contacts that are to go, their records.

    The records are those of the clients who went and of those who stayed.
    """
    rows = conn.execute(
        select(client_join.c.id, client_join.c.kept, client_join.c.joined)
        .where(client_join.c.project == project, client_join.c.id > after, client_join.c.undone_at.is_(None))
        .order_by(client_join.c.id)
    ).all()
    if not rows:
        return after, [], {}
    went, stayed = {row.joined for row in rows}, {row.kept for row in rows}
    known = list_some(conn, project, channel, "contacts", went | stayed, ())
    records = {row.record: None for row in known.values() if row.record}
    return rows[-1].id, sorted(went & known.keys()), records


def promise_deal(conn: Connection, project: str, channel: str, client_id: ClientId, now: datetime) -> str:
    """An id for a deal of the client that the CRM does not hold yet; the same one until a record takes its place."""
    locks.hold(conn, "promises", project, channel)
    at = (shared.c.project == project, shared.c.channel == channel, shared.c.kind == "deals")
    rows = conn.execute(
        select(shared.c.id, shared.c.record).where(*at, shared.c.id.like(f"{client_id}-%")).order_by(shared.c.id)
    ).all()
    for row in rows:
        if not row.record:
            return str(row.id)
    made = f"{client_id}-{len(rows) + 1}"
    conn.execute(insert(shared).values(project=project, channel=channel, kind="deals", id=made, at=now))
    return made


def free_promise(conn: Connection, project: str, channel: str, client_id: str) -> str:
    """The id of a deal that was promised for the client and that no record stands for; "" if there is none."""
    row = conn.execute(
        select(shared.c.id)
        .where(
            shared.c.project == project,
            shared.c.channel == channel,
            shared.c.kind == "deals",
            shared.c.id.like(f"{client_id}-%"),
            shared.c.record == "",
        )
        .order_by(shared.c.id)
    ).first()
    return "" if row is None else str(row.id)


def deal_ids(conn: Connection, project: str, channel: str, records: Collection[str]) -> Mapping[str, str]:
    """Under which promised ids the vendor knows these records (`record_key`); a record without one is absent."""
    rows = conn.execute(
        select(shared.c.record, shared.c.id).where(
            shared.c.project == project,
            shared.c.channel == channel,
            shared.c.kind == "deals",
            shared.c.record.in_(sorted(records)),
        )
    )
    return {row.record: row.id for row in rows}
