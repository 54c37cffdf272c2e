"""Faults ordered from outside: what shall go wrong with the next requests of a kind."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .config import Switches

Kind = Literal["throttle", "status", "slow", "hang", "disconnect", "late", "ban", "down"]
KINDS: tuple[str, ...] = get_args(Kind)
_WRITES = ("POST", "PATCH", "PUT", "DELETE")


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next ``count`` requests of ``method`` whose path begins with ``path``.

    =========== ====================================================================================
    throttle    429 in plain text, nothing applied
    status      ``status`` is answered; ``applied`` says whether the request took effect
    slow        answered after ``delay`` seconds more
    hang        never answered; ``applied`` says whether it took effect
    disconnect  the connection is cut; ``applied`` says whether it took effect before that
    late        the connection is cut, the request is applied ``late`` seconds after (min, max)
    ban         403 with the vendor's HTML page, nothing applied
    down        the connection is cut, nothing applied
    =========== ====================================================================================
    """

    method: str = "*"
    path: str = "/"
    kind: Kind = "status"
    count: int = 1
    status: int = 500
    applied: bool = False
    delay: float = 0.0
    late: tuple[float, float] = (0.0, 20.0)
    #: The whole path must be equal, not just its beginning.
    exact: bool = False

    def fits(self, method: str, path: str) -> bool:
        """Whether the fault is meant for this request."""
        if self.method not in ("*", method):
            return False
        return path == self.path if self.exact else path.startswith(self.path)


class FaultBook:
    """The faults that wait, first ordered first, and how many of each kind struck."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.open()

    def open(self) -> None:
        """Begin without faults, with the choices of the seed."""
        self._waiting: list[Fault] = []
        self._random = random.Random(self._seed)
        self.struck: Counter[str] = Counter()

    def order(self, fault: Fault) -> None:
        """Add a fault. ValueError for a kind that does not exist or a count below one."""
        if fault.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {fault.kind!r}; there are {', '.join(KINDS)}")
        if fault.count < 1:
            raise ValueError("a fault strikes at least once")
        self._waiting.append(fault)

    def clear(self) -> None:
        """Withdraw every fault that has not struck."""
        self._waiting.clear()

    @property
    def waiting(self) -> list[Fault]:
        """The faults that have not struck yet."""
        return list(self._waiting)

    def strike(self, method: str, path: str, switches: Switches) -> Fault | None:
        """The fault of this request, or None; with its probability a write is applied late."""
        for fault in self._waiting:
            if fault.fits(method, path):
                fault.count -= 1
                if fault.count == 0:
                    self._waiting.remove(fault)
                self.struck[fault.kind] += 1
                return fault
        chance = switches.late_apply_probability
        if chance and method in _WRITES and self._random.random() < chance:
            self.struck["late"] += 1
            return Fault(kind="late", late=switches.late_apply_seconds)
        return None

    def draw(self, bounds: tuple[float, float]) -> float:
        """A number from a range, by the sandbox's seed."""
        return self._random.uniform(*bounds)


def fault_from(values: dict[str, Any]) -> Fault:
    """A fault from its JSON; ValueError names what is wrong."""
    allowed = set(Fault.__slots__)
    unknown = set(values) - allowed
    if unknown:
        raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(allowed))}")
    fresh = dict(values)
    if "kind" not in fresh:
        fresh["kind"] = "status"
    if "late" in fresh:
        first, last = fresh["late"]
        fresh["late"] = (float(first), float(last))
    return Fault(**fresh)
