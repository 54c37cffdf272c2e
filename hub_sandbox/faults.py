"""Faults ordered from outside: what shall go wrong with the next requests of a kind (DESIGN 7)."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .switches import pair_of

__all__ = ["KINDS", "Fault", "FaultBook", "Kind"]

Kind = Literal["throttle", "status", "slow", "hang", "disconnect", "late", "ban", "down"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next ``count`` requests of ``method`` whose path begins with ``path``.

    =========== ====================================================================================
    throttle    the vendor's answer to a client that asks too often, nothing applied
    status      ``status`` is answered after ``delay`` seconds; ``applied`` says whether the request took effect
    slow        answered after ``delay`` seconds more
    hang        never answered; ``applied`` says whether it took effect
    disconnect  the connection is cut; ``applied`` says whether it took effect before that
    late        the connection is cut, the request is applied ``late`` seconds after (min, max)
    ban         the vendor's ban, nothing applied (of vendors that ban)
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
    #: the whole path must be equal, not just its beginning
    exact: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}; there are {', '.join(KINDS)}")
        if self.count < 1:
            raise ValueError("a fault strikes at least once")
        self.late = pair_of("late", self.late)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fault:
        """A fault from its JSON; ValueError names what is wrong."""
        known = {item.name for item in dataclasses.fields(cls)}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(known))}")
        return cls(**values)

    def fits(self, method: str, path: str) -> bool:
        """Whether the fault is meant for this request."""
        if self.method not in ("*", method):
            return False
        return path == self.path if self.exact else path.startswith(self.path)


class FaultBook:
    """The faults that wait, first ordered first, and how many of each kind struck."""

    def __init__(self, seed: int, kinds: tuple[str, ...] = KINDS) -> None:
        self._seed, self._kinds = seed, kinds
        self.open()

    def open(self) -> None:
        """Begin without faults, with the choices of the seed."""
        self._waiting: list[Fault] = []
        self._dice = random.Random(self._seed)
        self.struck: Counter[str] = Counter()

    def order(self, fault: Fault) -> None:
        """Add a fault. ValueError for a kind that this vendor does not have."""
        if fault.kind not in self._kinds:
            raise ValueError(f"unknown kind of fault {fault.kind!r}; there are {', '.join(self._kinds)}")
        self._waiting.append(fault)

    def clear(self) -> None:
        """Withdraw every fault that has not struck."""
        self._waiting.clear()

    @property
    def waiting(self) -> list[Fault]:
        """The faults that have not struck yet."""
        return list(self._waiting)

    def strike(self, method: str, path: str) -> Fault | None:
        """The fault that was ordered for this request, counted down; None when it goes well."""
        for fault in self._waiting:
            if fault.fits(method, path):
                fault.count -= 1
                if not fault.count:
                    self._waiting.remove(fault)
                self.struck[fault.kind] += 1
                return fault
        return None

    def strike_by_chance(self, probability: float, late: tuple[float, float]) -> Fault | None:
        """With ``probability`` a fault that applies the request ``late`` seconds after cutting it off."""
        if not probability or self._dice.random() >= probability:
            return None
        self.struck["late"] += 1
        return Fault(kind="late", late=late)

    def draw(self, bounds: tuple[float, float]) -> float:
        """A number from a range, by the sandbox's seed."""
        return self._dice.uniform(*bounds)
