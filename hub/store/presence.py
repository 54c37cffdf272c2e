"""Whose tab is open: each process says for whom it keeps a stream, and says so again before the word runs out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, delete, select, update

from hub.core.records import EmployeeId
from hub.store.dialect import insert_or
from hub.store.live_schema import presence
from hub.store.prepared import Prepared
from hub.store.schema import UtcTime

#: project, connection, employee
Tab: TypeAlias = tuple[str, str, EmployeeId]

__all__ = ["Tab", "begin", "end", "forget_before", "present", "renew"]


def begin(
    conn: Connection, project: str, connection: str, employee: EmployeeId, *, process: str, until: datetime
) -> None:
    """``process`` keeps an open tab of ``employee``."""
    statement = insert_or(conn, presence).values(
        project=project, connection=connection, employee=employee, process=process, until=until
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "connection", "employee", "process"], set_={"until": statement.excluded.until}
        )
    )


def end(
    conn: Connection, project: str, connection: str, employee: EmployeeId, *, process: str, until: datetime
) -> None:
    """The last tab of ``employee`` with ``process`` was closed: it counts until ``until``, for it may be reloading."""
    conn.execute(
        update(presence)
        .where(
            presence.c.project == project,
            presence.c.connection == connection,
            presence.c.employee == employee,
            presence.c.process == process,
        )
        .values(until=until)
    )


def renew(conn: Connection, process: str, tabs: Collection[Tab], *, now: datetime, until: datetime) -> None:
    """``tabs`` of ``process`` are still open; rows that ran out, of whomever, go."""
    conn.execute(delete(presence).where(presence.c.until < now))
    for project, connection, employee in sorted(tabs):
        begin(conn, project, connection, employee, process=process, until=until)


_PRESENT = Prepared(
    select(presence.c.connection, presence.c.employee).where(
        presence.c.project == bindparam("of_project"), presence.c.until >= bindparam("now", type_=UtcTime)
    )
)


def present(conn: Connection, project: str, now: datetime) -> frozenset[tuple[str, EmployeeId]]:
    """(connection, employee) of every open tab of the project, in whatever process."""
    rows = _PRESENT.rows(conn, of_project=project, now=now)
    return frozenset((connection, EmployeeId(employee)) for connection, employee in rows)


def forget_before(conn: Connection, moment: datetime) -> int:
    """Drop what ran out before ``moment``; how many."""
    return conn.execute(delete(presence).where(presence.c.until < moment)).rowcount
