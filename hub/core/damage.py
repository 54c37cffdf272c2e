"""Records that cannot be read as they came: what of them can, and whether one might be the one looked for (X5).

A list in which one record has an odd value is worth reading: the other records stand. The odd one must neither vanish
(who looks whether a lost write arrived would believe that it did not, and a barrier would prove an absence that is
none) nor stop everything. So it is read without the parts that do not fit, and says what they were.
"""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, Field, ValidationError, create_model

__all__ = [
    "Damage",
    "Place",
    "damage_of",
    "is_named",
    "may_be",
    "numbers_in",
    "said_by",
    "salvage",
    "salvage_with",
    "texts_in",
]

#: the way to a part of a record: names of fields, places in lists
Place: TypeAlias = tuple[Any, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)
RecordT = TypeVar("RecordT")

#: odd values in one record before it is given up
_MOST_PARTS = 50
#: an integer of so many digits may be a telephone number that somebody sent without quotes
_LEAST_DIGITS = 9
_ABSENT = object()


@dataclass(slots=True)
class Damage:
    """What was wrong with a record."""

    #: the record as it came
    raw: Mapping[str, Any]
    #: by the record's field, in what of it something had to be left out
    lost: dict[str, list[Any]] = field(default_factory=dict)

    def holds(self, text: str) -> bool:
        """Whether ``text`` stands anywhere in the record."""
        return bool(text) and any(text in found for found in texts_in(self.raw))


def salvage(model: type[ModelT], item: Any) -> ModelT | None:
    """`salvage_with` for a pydantic ``model``."""

    def attempt(left: Mapping[str, Any], damage: Damage) -> ModelT | Place:
        try:
            record: ModelT = _damaged(model).model_validate({**left, "damage": damage})
        except ValidationError as err:
            return max((_place(left, error["loc"]) for error in err.errors(include_input=False)), key=len)
        return record

    return salvage_with(attempt, item, has_number="id" in model.model_fields)


def salvage_with(
    attempt: Callable[[Mapping[str, Any], Damage], RecordT | Place], item: Any, *, has_number: bool
) -> RecordT | None:
    """``item`` without what cannot be read, with its `Damage`; None if nothing can be made of it.

    ``attempt`` reads what is left, or says where it went wrong. A record whose number cannot be read gets a negative
    one, so that it can be told from its neighbours: see `is_named`. It is good for being looked at only.
    """
    if not isinstance(item, dict) or not item:
        return None
    damage, left = Damage(raw=item), copy.deepcopy(item)
    for _ in range(_MOST_PARTS):
        found = attempt(left, damage)
        if not isinstance(found, tuple):
            return found
        place = _place(left, found)
        if place:
            # of a list, the member: what is sound in it may make no sense without the rest
            odd = left[place[0]][place[1]] if _is_index(left[place[0]], [*place, ""][1]) else left[place[0]]
            damage.lost.setdefault(str(place[0]), []).append(copy.deepcopy(odd))
            _cut(left, place)
        elif has_number and "id" not in left:
            left["id"] = -1 - zlib.crc32(json.dumps(item, default=str).encode())
        else:
            return None
    return None


@cache
def _damaged(model: type[BaseModel]) -> type[Any]:
    return create_model(f"Damaged{model.__name__}", __base__=model, damage=(Any, Field(default=None, exclude=True)))


def _place(item: Any, loc: Sequence[Any]) -> Place:
    """The deepest part of ``item`` on the way to ``loc``, which names members of unions too."""
    place: list[Any] = []
    for part in loc:
        is_there = part in item if isinstance(item, dict) else _is_index(item, part)
        if is_there:
            place.append(part)
            item = item[part]
    return tuple(place)


def _is_index(item: Any, part: Any) -> bool:
    return isinstance(item, list) and isinstance(part, int) and part < len(item)


def _cut(item: Any, place: Sequence[Any]) -> None:
    for part in place[:-1]:
        item = item[part]
    item.pop(place[-1])


def damage_of(record: object) -> Damage | None:
    """What was wrong with ``record``; None if it was read as it came."""
    found = getattr(record, "damage", None)
    return found if isinstance(found, Damage) else None


def said_by(record: BaseModel) -> Mapping[str, Any]:
    """What the vendor said of ``record``, as it came where that could not be read."""
    damage = damage_of(record)
    return record.model_dump() if damage is None else damage.raw


def is_named(record: Any) -> bool:
    """Whether the record's number could be read: without it nothing can be done with it, nor be said of it."""
    return record.id > 0 if isinstance(record.id, int) else bool(record.id)


def may_be(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether ``found`` might say what ``wanted`` does: only what can be read and differs says no."""
    for name, value in wanted.items():
        held = found.get(name, _ABSENT)
        if held is None or isinstance(held, type(value)):
            if held != value:
                return False
        elif isinstance(held, str | int) and isinstance(value, str | int) and str(held) != str(value):
            return False
    return True


def numbers_in(damage: Damage | None, name: str) -> Iterable[str]:
    """Every text in what was lost of the field ``name`` that could hold a telephone number."""
    if damage is None:
        return ()
    found = (text for part in damage.lost.get(name, ()) for text in texts_in(part))
    return [text for text in found if sum(sign.isdigit() for sign in text) >= _LEAST_DIGITS]


def texts_in(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value."""
    match value:
        case str():
            yield value
        case bool() | None:
            return
        case int() | float():
            yield str(value)
        case dict():
            for part in value.values():
                yield from texts_in(part)
        case list():
            for part in value:
                yield from texts_in(part)
