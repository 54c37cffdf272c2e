"""What columns are made of on both engines, and the tables' common ground."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, MetaData, Text, TypeDecorator

from hub.store.instant import microseconds, moment

__all__ = ["Id", "UtcTime", "metadata", "request_columns"]


class UtcTime(TypeDecorator[datetime]):
    """An aware instant, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        return microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


#: SQLite gives 64-bit row ids to INTEGER only
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def request_columns() -> tuple[Column[Any], ...]:
    """Of a table that keeps requests as they came in (`hub.store.inbox`, `hub.store.spool`)."""
    return (
        Column("project", Text, nullable=False),
        #: the channel or, for kind crm, the connection
        Column("channel", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("received_at", UtcTime, nullable=False),
        Column("method", Text, nullable=False, default="POST"),
        Column("query", LargeBinary, nullable=False, default=b""),
        Column("headers", LargeBinary, nullable=False, default=b"[]"),
        Column("body", LargeBinary, nullable=False, default=b""),
    )
