"""Which record in the CRM a write made whose answer was lost (X5).

What a sink can read settles it. A record that cannot be read, and might be the one, settles nothing: then nobody may
say that the write was not applied, or it would be made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from hub.core.damage import damage_of, is_named
from hub.core.plan import StepKey
from hub.errors import Problem, Rejected

__all__ = ["Lost", "pair", "unsure"]


class Lost(Protocol):
    """What was sent and not answered: a `hub.ports.Write`."""

    @property
    def key(self) -> StepKey: ...


LostT = TypeVar("LostT", bound=Lost)
RecordT = TypeVar("RecordT")


def pair(
    writes: Sequence[LostT],
    records: Sequence[RecordT],
    is_that: Callable[[LostT, RecordT], bool],
    may_be_that: Callable[[LostT, RecordT], bool],
) -> dict[StepKey, RecordT]:
    """The record of each write that has one; a record needs an ``id`` (`is_named`).

    Each record answers for one write at most, so that two equal notes need two notes in the CRM. ``may_be_that`` is
    asked about what is left over: raises `Rejected`, which names the write, if it says yes.
    """
    left = list(records)
    found: dict[StepKey, RecordT] = {}
    for write in writes:
        index = next((i for i, one in enumerate(left) if is_named(one) and is_that(write, one)), None)
        if index is not None:
            found[write.key] = left.pop(index)
    for write in writes:
        if write.key not in found:
            for one in left:
                if may_be_that(write, one):
                    raise unsure([write.key], one)
    return found


def unsure(keys: Iterable[StepKey], record: object = None, field: str = "") -> Rejected:
    """Nobody can say whether ``record`` is what one of ``keys`` made.

    ``field`` is what of it cannot be read; by default what its `Damage` says.
    """
    damage = damage_of(record)
    lost = field or (", ".join(damage.lost) if damage else "")
    which = f"record {getattr(record, 'id', '')}" if hasattr(record, "id") and is_named(record) else "a record"
    text = f"{which} may be it, but its {lost} cannot be read" if lost else f"{which} may be it, but it cannot be read"
    return Rejected(text, problems={str(key): [Problem(text=text)] for key in keys}, operation="find_done")
