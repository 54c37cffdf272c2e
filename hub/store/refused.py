"""What a person had taken off a contact: the hub never puts it there again by itself (X12)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from hub.store.prepared import Prepared
from hub.store.schema import refused_value

__all__ = ["has_any", "of_contacts", "put"]

_OF_CONTACTS = Prepared(
    select(refused_value.c.record_id, refused_value.c.value).where(
        refused_value.c.project == bindparam("of_project"),
        refused_value.c.connection == bindparam("of_connection"),
        refused_value.c.record_id.in_(bindparam("ids", expanding=True)),
    )
)
_ANY = Prepared(
    select(refused_value.c.value)
    .where(refused_value.c.project == bindparam("of_project"), refused_value.c.connection == bindparam("of_connection"))
    .limit(1)
)
_PUT = Prepared(
    sqlite.insert(refused_value).inline().on_conflict_do_nothing(),
    columns=("project", "connection", "record_id", "value", "at"),
    postgresql=postgresql.insert(refused_value).inline().on_conflict_do_nothing(),
)


def put(conn: Connection, project: str, connection: str, record_id: str, values: Iterable[str], now: datetime) -> None:
    """Remember that ``values`` do not belong on the contact."""
    given = {"project": project, "connection": connection, "record_id": record_id, "at": now}
    _PUT.change_many(conn, [{**given, "value": value.casefold()} for value in values])


def has_any(conn: Connection, project: str, connection: str) -> bool:
    """Whether anything was ever taken off in this CRM: hardly ever, so that decisions ask no more than this."""
    return _ANY.first(conn, of_project=project, of_connection=connection) is not None


def of_contacts(conn: Connection, project: str, connection: str, ids: Iterable[str]) -> frozenset[str]:
    """``contact id/value`` for each of these contacts, as `History.refused` has them."""
    wanted = sorted(ids)
    if not wanted:
        return frozenset()
    rows = _OF_CONTACTS.rows(conn, of_project=project, of_connection=connection, ids=wanted)
    return frozenset(f"{row[0]}/{row[1]}" for row in rows)
