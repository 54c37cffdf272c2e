"""The one statement that Core does not say for both engines alike: insert, or change what stands there."""

from __future__ import annotations

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["insert_or"]


def insert_or(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert into ``table`` that understands ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)
