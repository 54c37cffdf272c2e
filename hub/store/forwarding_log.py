"""Every forwarding answer with its reasons (X1, X9); written in batches, after the answer has left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from sqlalchemy import Connection, insert, select

from hub.core.phone import Phone
from hub.store import codec
from hub.store.engine import driver_connection
from hub.store.instant import microseconds, moment
from hub.store.prepared import Prepared
from hub.store.schema import forwarding_log

__all__ = [
    "ForwardingEntry",
    "append_many",
    "append_new",
    "dump_many",
    "find",
    "find_by_call",
    "list_entries",
    "load_many",
]


@dataclass(slots=True, kw_only=True)
class ForwardingEntry:
    """One question of the telephony and what it was told.

    Not frozen: a thousand are made in a second, and a frozen one of this size takes four times as long to make.
    """

    project: str
    channel: str
    uuid: str
    call_id: str
    #: None for a hidden number
    caller: Phone | None
    asked_at: datetime
    #: "" = the telephony's own scheme goes on
    destination: str
    #: the policy's id of the employee, "" if nobody
    employee: str
    #: from reading the question to the answer
    took: timedelta
    #: of the oldest fact that was used; None if none was
    age: timedelta | None
    #: JSON of the explanation
    explanation: bytes = b"{}"
    #: 0 before it is stored
    id: int = 0


_MICROSECOND, _MILLISECOND = timedelta(microseconds=1), timedelta(milliseconds=1)
#: the largest number of its column; beyond 24 days a fact is just old
_OLDEST = 2**31 - 1


_INTO = (
    "INSERT INTO forwarding_log (project, channel, uuid, call_id, caller, asked_at, destination, employee, took, age,"
    " explanation) VALUES "
)
_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#: answers in one statement: each lets go of the interpreter for a moment, and takes it from those who answer
_TOGETHER = 25
_INSERT, _INSERT_TOGETHER = _INTO + _VALUES, _INTO + ", ".join([_VALUES] * _TOGETHER)


_PUT = Prepared(
    insert(forwarding_log).inline(),
    columns=(
        "project",
        "channel",
        "uuid",
        "call_id",
        "caller",
        "asked_at",
        "destination",
        "employee",
        "took",
        "age",
        "explanation",
    ),
)


def _row(entry: ForwardingEntry) -> tuple[object, ...]:
    return (
        entry.project,
        entry.channel,
        entry.uuid,
        entry.call_id,
        entry.caller or "",
        microseconds(entry.asked_at),
        entry.destination,
        entry.employee,
        entry.took // _MICROSECOND,
        _age_of(entry),
        entry.explanation,
    )


def _age_of(entry: ForwardingEntry) -> int | None:
    return None if entry.age is None else min(entry.age // _MILLISECOND, _OLDEST)


def append_many(conn: Connection, entries: Sequence[ForwardingEntry]) -> None:
    """Store the answers in their order."""
    if not entries:
        return
    driver = driver_connection(conn)
    if driver is not None:
        # Core takes ten times as long, and at a thousand answers a second that is felt (DESIGN 11)
        rows = [_row(entry) for entry in entries]
        alone = len(rows) % _TOGETHER
        driver.executemany(_INSERT, rows[:alone])
        for start in range(alone, len(rows), _TOGETHER):
            driver.execute(_INSERT_TOGETHER, tuple(chain.from_iterable(rows[start : start + _TOGETHER])))
        return
    _PUT.change_many(
        conn,
        [
            {
                "project": entry.project,
                "channel": entry.channel,
                "uuid": entry.uuid,
                "call_id": entry.call_id,
                "caller": entry.caller or "",
                "asked_at": entry.asked_at,
                "destination": entry.destination,
                "employee": entry.employee,
                "took": entry.took // _MICROSECOND,
                "age": _age_of(entry),
                "explanation": entry.explanation,
            }
            for entry in entries
        ],
    )


def append_new(conn: Connection, entries: Sequence[ForwardingEntry]) -> None:
    """The same for answers of which some may be there already: a commit may succeed although nobody heard of it."""
    table = forwarding_log

    def is_known(entry: ForwardingEntry) -> bool:
        same = select(table.c.id).where(
            table.c.project == entry.project,
            table.c.asked_at == entry.asked_at,
            table.c.channel == entry.channel,
            table.c.uuid == entry.uuid,
            table.c.caller == (entry.caller or ""),
        )
        return conn.execute(same.limit(1)).first() is not None

    append_many(conn, [entry for entry in entries if not is_known(entry)])


def dump_many(entries: Sequence[ForwardingEntry]) -> bytes:
    """The answers as bytes, for a file; `load_many` reads them."""
    return codec.dump_json([[*_row(entry)[:-1], entry.explanation.decode()] for entry in entries])


def load_many(body: bytes) -> list[ForwardingEntry]:
    """What `dump_many` wrote."""
    return [
        ForwardingEntry(
            project=project,
            channel=channel,
            uuid=uuid,
            call_id=call_id,
            caller=Phone(caller) if caller else None,
            asked_at=moment(asked_at),
            destination=destination,
            employee=employee,
            took=took * _MICROSECOND,
            age=None if age is None else age * _MILLISECOND,
            explanation=explanation.encode(),
        )
        for (
            project, channel, uuid, call_id, caller, asked_at, destination, employee, took, age, explanation,
        ) in codec.load_json(body)
    ]  # fmt: skip


def _entry(row: Any) -> ForwardingEntry:
    return ForwardingEntry(
        project=row.project,
        channel=row.channel,
        uuid=row.uuid,
        call_id=row.call_id,
        caller=Phone(row.caller) if row.caller else None,
        asked_at=row.asked_at,
        destination=row.destination,
        employee=row.employee,
        took=row.took * _MICROSECOND,
        age=None if row.age is None else row.age * _MILLISECOND,
        explanation=row.explanation,
        id=row.id,
    )


def find_by_call(conn: Connection, project: str, call_id: str) -> list[ForwardingEntry]:
    """The answers that were given for one call, in order."""
    rows = conn.execute(
        select(forwarding_log)
        .where(forwarding_log.c.project == project, forwarding_log.c.call_id == call_id)
        .order_by(forwarding_log.c.id)
    )
    return [_entry(row) for row in rows]


def find(
    conn: Connection, project: str, text: str, *, caller: Phone | None = None, limit: int = 10
) -> list[ForwardingEntry]:
    """Answers to the question or the call with this id, or to ``caller``, the newest first."""
    named = (forwarding_log.c.uuid == text) | (forwarding_log.c.call_id == text)
    if caller is not None:
        named |= forwarding_log.c.caller == caller
    rows = conn.execute(
        select(forwarding_log)
        .where(forwarding_log.c.project == project, named)
        .order_by(forwarding_log.c.id.desc())
        .limit(limit)
    )
    return [_entry(row) for row in rows]


def list_entries(
    conn: Connection, project: str, *, since: datetime | None = None, before: int | None = None, limit: int = 100
) -> list[ForwardingEntry]:
    """Answers, newest first; page on with ``before`` = the last id seen."""
    statement = select(forwarding_log).where(forwarding_log.c.project == project)
    if since is not None:
        statement = statement.where(forwarding_log.c.asked_at >= since)
    if before is not None:
        statement = statement.where(forwarding_log.c.id < before)
    return [_entry(row) for row in conn.execute(statement.order_by(forwarding_log.c.id.desc()).limit(limit))]
