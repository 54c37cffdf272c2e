"""Lists: filters that are documented and no others, pages, and the history of changes (1, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .form import Ask, texts
from .reply import Json, Reply, ok, wrong_input
from .world import SINGULAR, Kind, World

#: (world, record, the filter's value) -> whether it stays
Test = Callable[[World, Json, Any], bool]


def paged(ask: Ask, name: str, found: Iterable[Json]) -> Reply:
    """One page of ``found`` under ``name``."""
    number, limit = ask.page()
    items = list(found)
    start = (number - 1) * limit
    pagination = {
        "limit": limit,
        "totalCount": len(items),
        "currentPage": number,
        "totalPageCount": -(-len(items) // limit),
    }
    values: Json = {name: [shown(item) for item in items[start : start + limit]]}
    return ok(pagination=pagination, **values)


def shown(record: Json) -> Json:
    """A record as it is told: what is unset is left out, empty maps come as lists (1)."""
    told = {key: value for key, value in record.items() if value is not None and not key.startswith("_")}
    if told.get("customFields") == {}:
        told["customFields"] = []
    return told


def chosen(world: World, ask: Ask, records: Iterable[Json], tests: Mapping[str, Test]) -> list[Json]:
    """The records that pass every filter of the request. 400 for a filter that does not exist."""
    wanted = ask.filter
    unknown = sorted(set(wanted) - set(tests))
    if unknown:
        raise wrong_input(*(f"filter[{name}]: there is no such filter" for name in unknown))
    return [record for record in records if all(tests[name](world, record, value) for name, value in wanted.items())]


def one_of(field: str) -> Test:
    """The record's ``field`` is among the filter's values."""
    return lambda _, record, value: str(record.get(field, "")) in texts(value)


def inner(outer: str, field: str) -> Test:
    """The same of a nested object."""
    return lambda _, record, value: str((record.get(outer) or {}).get(field, "")) in texts(value)


def contains(field: str) -> Test:
    """The field holds the text, in any case."""
    return lambda _, record, value: str(value).casefold() in str(record.get(field, "")).casefold()


def not_before(field: str, *, days: bool = False) -> Test:
    """The moment in ``field`` is at or after the filter's; only its day counts with ``days``."""
    return lambda _, record, value: str(record.get(field) or "")[: 10 if days else None] >= _moment(value, days)


def not_after(field: str, *, days: bool = False) -> Test:
    """The moment in ``field`` is at or before the filter's."""
    return lambda _, record, value: (
        bool(record.get(field)) and (str(record[field])[: 10 if days else None] <= _moment(value, days))
    )


def _moment(value: Any, days: bool) -> str:
    text = str(value)
    return text[:10] if days else text


def digits(text: str) -> str:
    """The digits of ``text``."""
    return "".join(char for char in text if char.isdigit())


def person_matches(record: Json, wanted: str, numbers: Iterable[str]) -> bool:
    """The vendor's search: the full name holds the text, or a number holds its digits; numbers are not normalised."""
    text = wanted.strip().casefold()
    name = " ".join(str(record.get(key) or "") for key in ("lastName", "firstName", "patronymic", "nickName"))
    if text and text in name.casefold():
        return True
    plain = digits(wanted)
    return len(plain) >= 4 and any(plain in digits(number) for number in numbers)


def history(world: World, ask: Ask, kind: Kind) -> Reply:
    """GET /{kind}/history: ascending by id, ``sinceId`` exclusive (5)."""
    word = SINGULAR[kind]
    id_name = {"customers": "customerId", "corporate": "customerId", "orders": "orderId", "tasks": "taskId"}[kind]
    tests: dict[str, Test] = {
        "sinceId": lambda _, entry, value: entry["id"] > _number(value, "sinceId"),
        "startDate": not_before("createdAt"),
        "endDate": not_after("createdAt"),
        id_name: inner(word, "id"),
        id_name.replace("Id", "ExternalId"): inner(word, "externalId"),
    }
    latest = world.clock.now() - world.switches.history_lag_seconds
    seen = [entry for entry in world.history[kind] if entry["_at"] <= latest]
    found = chosen(world, ask, seen, tests)
    number, limit = ask.page()
    start = (number - 1) * limit
    pagination = {
        "limit": limit,
        "totalCount": len(found),
        "currentPage": number,
        "totalPageCount": -(-len(found) // limit),
    }
    told = [_entry(entry, ask.key, word) for entry in found[start : start + limit]]
    return ok(generatedAt=world.clock.told(), history=told, pagination=pagination)


def _entry(entry: Json, key: str, word: str) -> Json:
    told = {name: value for name, value in entry.items() if not name.startswith("_")}
    told[word] = shown(entry[word])
    if entry["_key"]:
        told["apiKey"] = {"current": entry["_key"] == key}
    return told


def _number(value: Any, name: str) -> int:
    if not str(value).isdigit():
        raise wrong_input(f"filter[{name}]: a number is expected")
    return int(value)
