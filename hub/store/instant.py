"""Instants as both databases keep them: whole microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["microseconds", "moment"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(value: datetime) -> int:
    """The instant as it is stored, for the statements that are written by hand."""
    return (value - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The instant that `microseconds` stored."""
    return _EPOCH + timedelta(microseconds=stored)
