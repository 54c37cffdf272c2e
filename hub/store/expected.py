"""Whom the next decisions are about: what they will lack can be read for many of them at once (H5)."""

from __future__ import annotations

from sqlalchemy import Connection, Integer, bindparam, select, text

from hub.core.phone import Phone
from hub.store.prepared import Prepared
from hub.store.schema import client_key, work

__all__ = ["phones_expected"]

_PHONES = Prepared(
    select(client_key.c.value)
    .select_from(work.join(client_key, client_key.c.client_id == work.c.client_id))
    .where(
        work.c.project == bindparam("of_project"),
        work.c.connection == bindparam("of_connection"),
        # word for word the condition of its partial index, or no engine sees it
        text("work.state = 'open'"),
        client_key.c.kind == "phone",
    )
    .order_by(work.c.sequence)
    .limit(bindparam("most", type_=Integer))
)


def phones_expected(conn: Connection, project: str, connection: str, *, most: int = 1000) -> list[Phone]:
    """The numbers of clients who wait for a decision in one CRM, the oldest first, each once."""
    rows = _PHONES.rows(conn, of_project=project, of_connection=connection, most=most)
    return list(dict.fromkeys(Phone(row[0]) for row in rows))
