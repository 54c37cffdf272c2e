"""What a sandbox is started with, and the switches that may be turned while it runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .account import Account


@dataclass(slots=True, kw_only=True)
class Switches:
    """The behaviour of the server, changeable at any moment through ``/_sandbox/switches``."""

    #: ordinary methods in any sliding second per key; None switches the limit off (1, Limits)
    limit_per_second: int | None = 10
    #: methods under ``/telephony``, counted for themselves
    telephony_per_second: int | None = 40
    #: milliseconds that a request takes, drawn evenly from this range; None: none
    latency_ms: tuple[int, int] | None = None
    #: seconds by which ``filter[name]`` and ``filter[customer]`` lag behind writes
    search_lag_seconds: float = 0.0
    #: seconds by which the history methods lag behind writes
    history_lag_seconds: float = 0.0
    #: probability that a write is cut off and applied later, by a delay from ``late_apply_seconds``
    late_apply_probability: float = 0.0
    late_apply_seconds: tuple[float, float] = (0.0, 20.0)
    #: every connection is closed without an answer
    down: bool = False
    #: the sub-domain is unknown: JSON 400 for GET, the web server's HTML 405 for POST
    account_is_gone: bool = False

    def update(self, values: dict[str, Any]) -> None:
        """Set several by name; ValueError names an unknown one or a wrong pair."""
        known = {item.name for item in dataclasses.fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"unknown switch {name!r}; there are {', '.join(sorted(known))}")
            if name in ("latency_ms", "late_apply_seconds") and value is not None:
                low, high = value
                if low > high:
                    raise ValueError(f"{name} is a pair [min, max], not {value!r}")
                value = (low, high)
            setattr(self, name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """What a sandbox begins with. Every part has a default that works."""

    account: Account = field(default_factory=Account)
    switches: Switches = field(default_factory=Switches)
    #: of every random choice: latency, late applications
    seed: int = 1
    #: unix seconds at which the sandbox's clock starts; None: real time
    start_at: float | None = None
