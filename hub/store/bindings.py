"""The policy's names and the CRM's ids that they stand for, per connection (H12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import Connection, delete, select

from hub.core.records import EmployeeId, UserId
from hub.store.dialect import insert_or
from hub.store.schema import binding

__all__ = ["Binding", "BindingKind", "employees_by_user", "list_bindings", "put", "remove", "values"]

BindingKind: TypeAlias = Literal["employee", "pipeline", "stage", "field", "task_type"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One name of the policy and what it is in the CRM."""

    kind: BindingKind
    #: the policy's word: employee id, pipeline name, "pipeline/stage", "deal/field" ...
    name: str
    #: the CRM's id; "" while nothing fits
    value: str
    #: chosen by a person: a later match by name does not change it
    is_manual: bool = False
    checked_at: datetime | None = None
    #: a sentence when the name vanished from the CRM
    problem: str = ""


def list_bindings(conn: Connection, project: str, connection: str, kind: BindingKind | None = None) -> list[Binding]:
    """The connection's bindings, by kind and name."""
    statement = (
        select(
            binding.c.kind,
            binding.c.name,
            binding.c.value,
            binding.c.is_manual,
            binding.c.checked_at,
            binding.c.problem,
        )
        .where(binding.c.project == project, binding.c.connection == connection)
        .order_by(binding.c.kind, binding.c.name)
    )
    if kind is not None:
        statement = statement.where(binding.c.kind == kind)
    return [
        Binding(
            kind=row.kind,
            name=row.name,
            value=row.value,
            is_manual=row.is_manual,
            checked_at=row.checked_at,
            problem=row.problem,
        )
        for row in conn.execute(statement)
    ]


def put(conn: Connection, project: str, connection: str, bindings: Sequence[Binding]) -> int:
    """Add or replace; how many changed. What a person chose is replaced only by what a person chose."""
    changed = 0
    for item in bindings:
        statement = insert_or(conn, binding).values(
            project=project,
            connection=connection,
            kind=item.kind,
            name=item.name,
            value=item.value,
            is_manual=item.is_manual,
            checked_at=item.checked_at,
            problem=item.problem,
        )
        new = statement.excluded
        changed += conn.execute(
            statement.on_conflict_do_update(
                index_elements=["project", "connection", "kind", "name"],
                set_={
                    "value": new.value,
                    "is_manual": new.is_manual,
                    "checked_at": new.checked_at,
                    "problem": new.problem,
                },
                where=binding.c.is_manual.is_(False) | new.is_manual.is_(True),
            )
        ).rowcount
    return changed


def remove(conn: Connection, project: str, connection: str, kind: BindingKind, name: str) -> None:
    """Forget one binding."""
    conn.execute(
        delete(binding).where(
            binding.c.project == project,
            binding.c.connection == connection,
            binding.c.kind == kind,
            binding.c.name == name,
        )
    )


def values(conn: Connection, project: str, connection: str, kind: BindingKind) -> Mapping[str, str]:
    """The CRM's ids by the policy's names; names that are not bound are left out."""
    return {item.name: item.value for item in list_bindings(conn, project, connection, kind) if item.value}


def employees_by_user(conn: Connection, project: str, connection: str) -> Mapping[UserId, EmployeeId]:
    """Which employee a user of the CRM is; of several the first by name."""
    found: dict[UserId, EmployeeId] = {}
    for name, value in values(conn, project, connection, "employee").items():
        found.setdefault(UserId(value), EmployeeId(name))
    return found
