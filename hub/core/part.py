"""What every part of a policy shares: it never changes once read, and a word that it does not know is refused."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

__all__ = ["Duration", "Part", "parse_duration"]


class Part(BaseModel):
    """A part of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


_UNITS = {
    "ms": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
    "week": 604800, "weeks": 604800,
}  # fmt: skip
_PIECE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_WHOLE = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*[a-z]+\s*)+")


def parse_duration(value: Any) -> timedelta:
    """``"10 minutes"``, ``"1 hour 30 minutes"`` or a number of seconds; raises ValueError with what is allowed."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return timedelta(seconds=value)
    if isinstance(value, str) and _WHOLE.fullmatch(value.lower()):
        pieces = _PIECE.findall(value.lower())
        if all(unit in _UNITS for _, unit in pieces):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in pieces)
            if seconds < 1e9:
                return timedelta(seconds=seconds)
    raise ValueError(f"{value!r} is no duration; write a number and a unit: seconds, minutes, hours, days or weeks")


#: a length of time as a person writes it
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["10 minutes"]}, {"type": "number"}]}),
]
