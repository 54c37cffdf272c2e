"""Who wrote to us and has not been answered: one row for each such client, over all channels (W6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from hub.core.interaction import ClientId, Interaction, InteractionId
from hub.core.records import EmployeeId
from hub.core.waiting import answers, asks
from hub.store import codec
from hub.store.dialect import insert_or
from hub.store.messenger_schema import waiting
from hub.store.prepared import Prepared
from hub.store.schema import UtcTime
from hub.store.schema import interaction as interactions

__all__ = ["Waiting", "count_by_employee", "end", "follow", "get", "list_waiting", "move", "set_employee"]

#: so many of the interactions that overtook one are looked at
_LATER = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A client who waits for an answer."""

    project: str
    client_id: ClientId
    #: the first interaction that nobody has answered, and its channel
    interaction_id: InteractionId
    channel: str
    since: datetime
    #: whose client it is, as the last decision had it; None while it is nobody's
    employee: EmployeeId | None


def _waiting(row: Any) -> Waiting:
    return Waiting(
        project=row.project,
        client_id=ClientId(row.client_id),
        interaction_id=InteractionId(row.interaction_id),
        channel=row.channel,
        since=row.since,
        employee=EmployeeId(row.employee) if row.employee else None,
    )


_ANSWERED = Prepared(
    delete(waiting).where(
        waiting.c.client_id == bindparam("of_client"), waiting.c.since <= bindparam("at", type_=UtcTime)
    )
)


def follow(conn: Connection, found: Interaction, client_id: ClientId) -> Interaction | None:
    """Take in an interaction that is over: an answer ends the waiting, a question begins it unless it was overtaken.

    The order of arrival does not matter: an answer ends only what was asked before it, and of several questions the
    first one counts. Returns an earlier arrived question from which on the client waits now: the look at it may have
    come already, while it was not the first.
    """
    if answers(found):
        if _ANSWERED.change(conn, of_client=client_id, at=found.moment):
            further = [one for one in _later(conn, found, client_id) if asks(one)]
            first = min(further, key=lambda one: one.moment, default=None)
            if first is not None:
                _begin(conn, first, client_id)
            return first
    elif asks(found) and not any(answers(one) for one in _later(conn, found, client_id)):
        conn.execute(delete(waiting).where(waiting.c.client_id == client_id, waiting.c.since > found.moment))
        _begin(conn, found, client_id)
    return None


def _begin(conn: Connection, found: Interaction, client_id: ClientId) -> None:
    values = {
        "project": found.project,
        "client_id": client_id,
        "interaction_id": found.id,
        "channel": found.channel,
        "since": found.moment,
    }
    conn.execute(insert_or(conn, waiting).values(values).on_conflict_do_nothing(index_elements=["client_id"]))


def _later(conn: Connection, found: Interaction, client_id: ClientId) -> list[Interaction]:
    """The client's other interactions since ``found``, of which the newest are enough."""
    rows = conn.execute(
        select(interactions.c.body)
        .where(
            interactions.c.client_id == client_id,
            interactions.c.started_at >= found.started_at,
            interactions.c.id != found.id,
        )
        .order_by(interactions.c.sequence.desc())
        .limit(_LATER)
    )
    known = [codec.load_interaction(row[0]) for row in rows]
    return [one for one in known if one.moment >= found.moment]


def get(conn: Connection, client_id: ClientId) -> Waiting | None:
    """How the client waits; None if they do not."""
    row = conn.execute(select(waiting).where(waiting.c.client_id == client_id)).first()
    return None if row is None else _waiting(row)


def end(conn: Connection, client_id: ClientId, interaction_id: InteractionId) -> bool:
    """The client no longer waits since ``interaction_id``: no reply is needed; False if they did not."""
    where = (waiting.c.client_id == client_id) & (waiting.c.interaction_id == interaction_id)
    return bool(conn.execute(delete(waiting).where(where)).rowcount)


def set_employee(conn: Connection, client_id: ClientId, employee: EmployeeId | None) -> None:
    """Remember whose client it is that waits."""
    conn.execute(update(waiting).where(waiting.c.client_id == client_id).values(employee=employee))


def list_waiting(conn: Connection, project: str, employee: EmployeeId | None = None) -> list[Waiting]:
    """Who waits, the longest first; only the clients of ``employee`` if given."""
    statement = select(waiting).where(waiting.c.project == project)
    if employee is not None:
        statement = statement.where(waiting.c.employee == employee)
    return [_waiting(row) for row in conn.execute(statement.order_by(waiting.c.since, waiting.c.client_id))]


def count_by_employee(conn: Connection, project: str) -> dict[EmployeeId, int]:
    """How many clients wait for each employee; the load of unanswered chats (J3)."""
    rows = conn.execute(
        select(waiting.c.employee, func.count())
        .where(waiting.c.project == project, waiting.c.employee.is_not(None))
        .group_by(waiting.c.employee)
    )
    return {EmployeeId(row[0]): row[1] for row in rows}


def move(conn: Connection, *, origin: ClientId, to: ClientId) -> None:
    """Two clients are one: of both the longer waiting stays (X12)."""
    mine, theirs = get(conn, to), get(conn, origin)
    if theirs is None:
        return
    if mine is not None and mine.since <= theirs.since:
        conn.execute(delete(waiting).where(waiting.c.client_id == origin))
        return
    conn.execute(delete(waiting).where(waiting.c.client_id == to))
    conn.execute(update(waiting).where(waiting.c.client_id == origin).values(client_id=to))
