"""Faults ordered from outside: what shall go wrong with the next requests of a kind."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .config import Switches

Kind = Literal["throttle", "status", "slow", "hang", "disconnect", "late", "down"]
KINDS: tuple[str, ...] = get_args(Kind)
_WRITES = ("POST", "PATCH", "PUT", "DELETE")
#: POST that only asks
_READS = ("/coql", "/oauth")


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the next ``count`` requests of ``method`` whose path begins with ``path``.

    =========== ====================================================================================
    throttle    429, nothing applied
    status      ``status`` is answered; ``applied`` says whether the request took effect
    slow        answered after ``delay`` seconds more
    hang        never answered; ``applied`` says whether it took effect
    disconnect  the connection is cut; ``applied`` says whether it took effect before that
    late        the connection is cut, the request is applied ``late`` seconds after (min, max)
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
        self.waiting: list[Fault] = []
        self.struck: Counter[str] = Counter()
        self._random = random.Random(self._seed)

    def order(self, fault: Fault) -> None:
        """Let ``fault`` strike when its turn comes."""
        if fault.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {fault.kind!r}")
        self.waiting.append(fault)

    def clear(self) -> None:
        """Withdraw every waiting fault."""
        self.waiting.clear()

    def strike(self, method: str, path: str, switches: Switches) -> Fault | None:
        """The fault for this request, if any; one that was ordered for it, or one by chance."""
        for fault in self.waiting:
            if fault.fits(method, path):
                fault.count -= 1
                if fault.count <= 0:
                    self.waiting.remove(fault)
                self.struck[fault.kind] += 1
                return dataclasses.replace(fault)
        is_write = method in _WRITES and not any(part in path for part in _READS)
        if is_write and self._random.random() < switches.late_apply_probability:
            self.struck["late"] += 1
            return Fault(kind="late", late=switches.late_apply_seconds)
        return None

    def draw(self, bounds: tuple[float, float]) -> float:
        """A number from ``bounds``, evenly."""
        return self._random.uniform(*bounds)


def fault_from(values: dict[str, Any]) -> Fault:
    """A fault from JSON; ValueError names what is wrong."""
    known = {item.name for item in dataclasses.fields(Fault)}
    unknown = set(values) - known
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    if "late" in values:
        values = {**values, "late": tuple(values["late"])}
    return Fault(**values)
