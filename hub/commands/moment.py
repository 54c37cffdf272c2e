"""Moments as people type them: ``30d``, ``2026-11-21``, ``2026-11-21 14:30``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hub.errors import ConfigurationError

__all__ = ["parse_moment"]

_AGO = re.compile(r"(\d{1,5})\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, *, option: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The moment that ``text`` names: so long ago, or a day or minute in ``zone``; None for "".

    Raises ConfigurationError that names ``option``.
    """
    if not text.strip():
        return None
    ago = _AGO.fullmatch(text.strip().lower())
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is no moment; write 30m, 12h, 30d, 2w, 2026-11-21 or '2026-11-21 14:30'", path=option
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)
