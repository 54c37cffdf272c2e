"""Behaviour that may be turned while a sandbox runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["CrmSwitches", "pair_of"]

_PAIRS = ("latency_ms", "late_apply_seconds")


@dataclass(slots=True, kw_only=True)
class CrmSwitches:
    """What every CRM's sandbox can do; a vendor's switches extend it."""

    #: milliseconds that a request takes, drawn evenly from this range; None: none
    latency_ms: tuple[int, int] | None = None
    #: seconds by which the search lags behind writes; lists never lag
    search_lag_seconds: float = 0.0
    #: probability that a write is cut off and applied later, by a delay from ``late_apply_seconds``
    late_apply_probability: float = 0.0
    late_apply_seconds: tuple[float, float] = (0.0, 20.0)
    #: every connection is closed without an answer
    down: bool = False

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several switches by name; ValueError names an unknown one or a wrong value."""
        known = {item.name for item in dataclasses.fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown switch {name!r}; there are {', '.join(sorted(known))}")
            setattr(self, name, pair_of(name, value) if name in _PAIRS and value is not None else value)


def pair_of(name: str, value: Any) -> tuple[float, float]:
    """``value`` as a range; ValueError names ``name`` if it is none."""
    if not isinstance(value, list | tuple) or len(value) != 2 or value[0] > value[1]:
        raise ValueError(f"{name} is a pair [min, max], not {value!r}")
    return value[0], value[1]
