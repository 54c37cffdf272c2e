"""``/{module}/search``: one of criteria, email, phone, word; the index lags (section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from .ask import Ask
from .records import module_of, paged, wanted_fields
from .reply import Refusal, Reply
from .value import parse_moment
from .world import Record, World

_CONDITION = re.compile(r"\(?([\w$]+):(\w+):((?:\\.|[^()\\])*)\)?")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "greater_than": lambda held, wanted: held > wanted,
    "greater_equal": lambda held, wanted: held >= wanted,
    "less_than": lambda held, wanted: held < wanted,
    "less_equal": lambda held, wanted: held <= wanted,
}


def search(world: World, ask: Ask) -> Reply:
    module, query = module_of(world, ask), ask.query
    names = wanted_fields(ask) if "fields" in query else list(world.modules[module].fields)
    fits = _condition(world, module, query)
    found = []
    for record in world.of(module, converted=query.get("converted", "false")):
        values = _indexed(world, record)
        if values is not None and fits(record, values):
            found.append(world.show(record, names, values))
    return paged(ask, found[:2000])


def _indexed(world: World, record: Record) -> dict[str, Any] | None:
    """The record as the index has it: as it was before its last change while that is not indexed."""
    return record.values if record.indexed_at <= world.clock.now() else record.indexed


def _condition(world: World, module: str, query: dict[str, str]) -> Callable[[Record, dict[str, Any]], bool]:
    """Of several the first acts, the others are ignored silently."""
    fields = world.modules[module].fields
    if text := query.get("criteria"):
        return _criteria(world, text)
    for name, type_ in (("email", "email"), ("phone", "phone")):
        if wanted := query.get(name):
            _long_enough(name, wanted)
            of_type = [spec.api_name for spec in fields.values() if spec.type == type_]
            if name == "email":
                return lambda _, values: any(wanted.casefold() == _text(values, n) for n in of_type)
            digits = re.sub(r"\D", "", wanted)
            return lambda _, values: any(digits in re.sub(r"\D", "", _text(values, n)) for n in of_type)
    if word := query.get("word"):
        _long_enough("word", word)
        return lambda _, values: any(word.casefold() in str(value).casefold() for value in values.values())
    names = ["criteria", "email", "phone", "word"]
    raise Refusal(400, "EXPECTED_PARAM_MISSING", "One of the expected parameter is missing", {"param_names": names})


def _long_enough(name: str, value: str) -> None:
    if len(value) < 2:
        raise Refusal(400, "INVALID_QUERY", "at least 2 characters", {"param_name": name})


def _text(values: dict[str, Any], name: str) -> str:
    return str(values.get(name) or "").casefold()


def _criteria(world: World, text: str) -> Callable[[Record, dict[str, Any]], bool]:
    parts = _CONDITION.findall(text)
    if not parts or len(parts) > 15:
        code = "CRITERIA_LIMIT_EXCEEDED" if parts else "INVALID_QUERY"
        raise Refusal(400, code, "invalid query formed", {"criteria": text[:100]})
    tests = [_one(name, operator, _unescaped(value)) for name, operator, value in parts]
    joins: Callable[[Iterable[bool]], bool] = any if re.search(r"\)\s*or\s*\(", text) else all
    return lambda record, values: joins(test(record, values) for test in tests)


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)


def _one(name: str, operator: str, wanted: str) -> Callable[[Record, dict[str, Any]], bool]:
    low = wanted.casefold()
    match operator:
        case "equals":
            # on text it behaves as contains
            return lambda _, values: low in _text(values, name)
        case "not_equal":
            return lambda _, values: low != _text(values, name)
        case "starts_with":
            return lambda _, values: _text(values, name).startswith(low)
        case "in":
            several = {one.strip().casefold() for one in wanted.split(",")}
            return lambda _, values: _text(values, name) in several
        case _ if operator in _SIGNS:
            sign, moment = _SIGNS[operator], parse_moment(wanted)
            return lambda record, values: sign(_plain(record, values, name), wanted if moment is None else moment)
    raise Refusal(400, "INVALID_QUERY", "invalid query formed", {"operator": operator, "column_name": name})


def _plain(record: Record, values: dict[str, Any], name: str) -> Any:
    moments = {"Modified_Time": record.modified, "Created_Time": record.created}
    return moments.get(name, values.get(name))
