"""RetailCRM's dates: without an offset, in the account's zone (reference 1). Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

__all__ = ["to_day", "to_due", "to_floor", "to_moment", "to_text"]

_MOMENT, _DUE, _DAY = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"


def to_moment(text: str | None, zone: ZoneInfo) -> datetime | None:
    """The instant that ``text`` (with or without seconds) names; None if it names none.

    In the hour that autumn repeats it may be either; the first is taken.
    """
    for form in (_MOMENT, _DUE):
        try:
            return datetime.strptime((text or "").strip(), form).replace(tzinfo=zone).astimezone(UTC)
        except ValueError:
            continue
    return None


def to_text(moment: datetime, zone: ZoneInfo) -> str:
    """A date-time with seconds, as calls and filters want it."""
    return moment.astimezone(zone).strftime(_MOMENT)


def to_due(moment: datetime, zone: ZoneInfo) -> str:
    """A task's due time, which has no seconds."""
    return moment.astimezone(zone).strftime(_DUE)


def to_day(moment: datetime, zone: ZoneInfo) -> str:
    """A day, for filters that know nothing finer."""
    return moment.astimezone(zone).strftime(_DAY)


def to_floor(moment: datetime, zone: ZoneInfo) -> str:
    """A date-time that is certainly not after ``moment``: in autumn's repeated hour, its first beginning."""
    local = moment.astimezone(zone)
    first, second = local.replace(fold=0).utcoffset(), local.replace(fold=1).utcoffset()
    if first is not None and second is not None and first > second:
        local -= first - second
    return local.strftime(_MOMENT)
