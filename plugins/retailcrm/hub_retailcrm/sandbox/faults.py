"""Faults ordered from outside: what shall go wrong with the next requests of a kind."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["throttle", "status", "slow", "hang", "disconnect", "late"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next ``count`` requests of ``method`` whose path begins with ``path``.

    ``throttle``: 503 in JSON, nothing applied. ``status``: that status in the web server's HTML. ``slow``: answered
    ``delay`` seconds later. ``hang``: never answered. ``disconnect``: the connection is cut. ``late``: it is cut, and
    the request is applied so many seconds (min, max) after. ``applied`` says whether a request with ``status``,
    ``hang`` or ``disconnect`` took effect.
    """

    method: str = "*"
    path: str = "/"
    kind: Kind = "status"
    count: int = 1
    status: int = 500
    applied: bool = False
    delay: float = 0.0
    late: tuple[float, float] = (0.0, 20.0)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.count < 1:
            raise ValueError("a fault strikes at least once")
        self.late = (float(self.late[0]), float(self.late[1]))


class FaultBook:
    """The faults that wait, first ordered first, and how many of each kind struck."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.open()

    def open(self) -> None:
        """Begin anew."""
        self.waiting: list[Fault] = []
        self.struck: Counter[str] = Counter()
        self._dice = random.Random(self._seed)

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that is meant for this request."""
        for fault in self.waiting:
            if fault.method in ("*", method) and path.startswith(fault.path):
                fault.count -= 1
                if not fault.count:
                    self.waiting.remove(fault)
                self.struck[fault.kind] += 1
                return fault
        return None

    def happens(self, probability: float) -> bool:
        """A throw of the dice, by the sandbox's seed."""
        return bool(probability) and self._dice.random() < probability

    def draw(self, bounds: tuple[float, float]) -> float:
        """A number from a range."""
        return self._dice.uniform(*bounds)


def fault_from(values: dict[str, Any]) -> Fault:
    """A fault from its JSON; ValueError names what is wrong."""
    unknown = sorted(set(values) - set(Fault.__slots__))
    if unknown:
        raise ValueError(f"unknown in a fault: {', '.join(unknown)}; allowed: {', '.join(Fault.__slots__)}")
    return Fault(**values)
