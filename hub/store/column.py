"""What columns are made of on both engines, and the tables' common ground."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, TypeDecorator

__all__ = ["Id", "Moment", "metadata", "microseconds", "moment"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(value: datetime) -> int:
    """The instant as `Moment` stores it, for the statements that are written by hand."""
    return (value - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The instant that `microseconds` stored."""
    return _EPOCH + timedelta(microseconds=stored)


class Moment(TypeDecorator[datetime]):
    """An aware instant, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


#: SQLite gives 64-bit row ids to INTEGER only
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()
