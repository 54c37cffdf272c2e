"""What pops up for each employee (U1); whoever never chose wants everything, quietly."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, select

from hub.core.popup import Preferences
from hub.core.records import EmployeeId
from hub.store import codec
from hub.store.dialect import insert_or
from hub.store.live_schema import popup_preference

__all__ = ["get", "of_employees", "put"]


def get(conn: Connection, project: str, employee: EmployeeId) -> Preferences:
    """What ``employee`` wants; the defaults if they never chose."""
    return of_employees(conn, project, (employee,)).get(employee, Preferences())


def of_employees(conn: Connection, project: str, employees: Collection[EmployeeId]) -> dict[EmployeeId, Preferences]:
    """What those of ``employees`` want who have chosen."""
    if not employees:
        return {}
    rows = conn.execute(
        select(popup_preference.c.employee, popup_preference.c.body).where(
            popup_preference.c.project == project, popup_preference.c.employee.in_(sorted(employees))
        )
    )
    return {EmployeeId(row.employee): _load(row.body) for row in rows}


def put(conn: Connection, project: str, employee: EmployeeId, wanted: Preferences, now: datetime) -> None:
    """Store what ``employee`` wants; it holds from the next popup on."""
    statement = insert_or(conn, popup_preference).values(
        project=project, employee=employee, body=codec.dump_json(asdict(wanted)), updated_at=now
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["project", "employee"],
            set_={"body": statement.excluded.body, "updated_at": statement.excluded.updated_at},
        )
    )


def _load(body: bytes) -> Preferences:
    told = codec.load_json(body)
    known = Preferences.__dataclass_fields__
    return Preferences(**{name: bool(value) for name, value in told.items() if name in known})
