"""What is wrong with a policy, told with file, line, path and what is allowed (H11)."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from hub.errors import ConfigurationError

__all__ = ["SENTENCES", "complain", "first_problem", "line_of", "sentence"]

_WHOLE, _NUMBER, _TRUTH = "this must be a whole number", "this must be a number", "this must be true or false"
_LIST, _TABLE = "this must be a list", "this must be a table of names and values"
_DATE, _MOMENT = "this must be a date, such as 2026-12-31", "this must be a moment, such as 2026-12-31T09:30"
_CLOCK, _LENGTH = "this must be a time of day, such as 09:30", "this must be a length of time, in seconds"
_ADDRESS = "this must be an address that begins with https://"
#: what is said of pydantic's commonest errors, by their type; places are filled from the error's context. The
#: catalogue (``locales/<language>/policy.po``) has these sentences, so no wording of pydantic's is relied on
SENTENCES: Mapping[str, str] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number", "decimal_type", "decimal_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), _LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), _TABLE),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DATE),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing"), _MOMENT),
    **dict.fromkeys(("time_type", "time_parsing"), _CLOCK),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), _LENGTH),
    **dict.fromkeys(("url_type", "url_parsing", "url_scheme", "url_syntax_violation"), _ADDRESS),
    "missing": "this is missing",
    "extra_forbidden": "this is not known here",
    "string_type": "this must be text",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "this does not fit the pattern {pattern}",
    "too_short": "at least {min_length} entries, not {actual_length}",
    "too_long": "at most {max_length} entries, not {actual_length}",
    "literal_error": "allowed: {expected}",
    "enum": "allowed: {expected}",
    "greater_than": "this must be more than {gt}",
    "greater_than_equal": "this must be at least {ge}",
    "less_than": "this must be less than {lt}",
    "less_than_equal": "this must be at most {le}",
    "multiple_of": "this must be a multiple of {multiple_of}",
}

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_NAME = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")

Path = Sequence[str | int]


def complain(err: ValidationError, model: type[BaseModel], text: str, file: str) -> ConfigurationError:
    """The first problem of ``err`` as the administrator should read it; the number of further ones follows."""
    path, said = first_problem(err, model)
    return ConfigurationError(said, path=".".join(map(str, path)), file=file, line=line_of(text, path))


def first_problem(err: ValidationError, model: type[BaseModel]) -> tuple[list[str | int], str]:
    """Where in ``model`` the first problem of ``err`` is, and what to say of it."""
    problems = err.errors()
    first = problems[0]
    if first["type"] == "missing":
        # what is mistyped is why something is missing beside it
        beside = (one for one in problems if one["loc"][:-1] == first["loc"][:-1])
        first = next((one for one in beside if one["type"] == "extra_forbidden"), first)
    path = _readable([part for part in first["loc"] if isinstance(part, str | int)])
    said = _problem(first, model)
    return path, f"{said} (and {len(problems) - 1} more)" if len(problems) > 1 else said


def _problem(error: Any, model: type[BaseModel]) -> str:
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        allowed = sorted(_fields_at(model, path[:-1]))
        near = difflib.get_close_matches(str(path[-1]), allowed, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        return f"{str(path[-1])!r} is not known here{hint} Allowed: {', '.join(allowed) or 'nothing more'}".replace(
            "here Allowed", "here. Allowed"
        )
    if error["type"] == "missing":
        return f"{str(path[-1])!r} is missing"
    message = sentence(error)
    if error["type"] == "value_error" or isinstance(error["input"], dict | list):
        return message
    return f"{error['input']!r} cannot be used: {message}"


def sentence(error: Mapping[str, Any]) -> str:
    """What one of pydantic's ``error``s says, by its type and its context; never with the value that was given."""
    known = SENTENCES.get(error["type"])
    if known is None:
        return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    context = {name: str(value) for name, value in error.get("ctx", {}).items()}
    # "'a', 'b' or 'c'": a list needs no word of any language
    context["expected"] = context.get("expected", "").replace("' or '", "', '")
    return known.format_map(context)


def _readable(path: list[str | int]) -> list[str | int]:
    """``path`` without the names of alternatives that pydantic adds to it."""
    return [
        part
        for part in path
        if not (isinstance(part, str) and (part in {"str", "date", "datetime"} or part[:1].isupper()))
    ]


def _fields_at(model: Any, path: Path) -> set[str]:
    """The fields allowed at ``path`` below ``model``."""
    if not path:
        return _names(model)
    step, rest = path[0], path[1:]
    for candidate in _models(model):
        if isinstance(step, str) and step in candidate.model_fields:
            return _fields_at(candidate.model_fields[step].annotation, rest)
        if step == candidate.__name__:
            return _fields_at(candidate, rest)
        by_alias = [found for found in candidate.model_fields.values() if found.alias == step]
        if by_alias:
            return _fields_at(by_alias[0].annotation, rest)
    inner = _inner(model)
    return _fields_at(inner, rest) if inner is not None else set()


def _names(annotation: Any) -> set[str]:
    return {found.alias or name for model in _models(annotation) for name, found in model.model_fields.items()}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


def _inner(annotation: Any) -> Any:
    """What lies in a list or table."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return next((found for part in parts if (found := _inner(part)) is not None), None)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return parts[1]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return parts[0]
    return None


def line_of(text: str, path: Path) -> int | None:
    """The line of ``text`` that says what stands at ``path``, or its nearest beginning; None if none does."""
    counts: dict[tuple[str | int, ...], int] = {}
    here: tuple[str | int, ...] = ()
    best, depth = None, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            here = _opened(_split(header[2]), header[1] == "[[", counts)
            found = here
        else:
            assigned = _ASSIGNMENT.match(line)
            if not assigned:
                continue
            found = (*here, *_split(assigned[1]))
        agreed = _agreed(found, path)
        if agreed > depth and agreed == len(found):
            best, depth = number, agreed
    return best


def _opened(names: list[str], is_array: bool, counts: dict[tuple[str | int, ...], int]) -> tuple[str | int, ...]:
    """The path that a header opens, with the number of each list's last item."""
    where: tuple[str | int, ...] = ()
    for index, name in enumerate(names):
        where = (*where, name)
        if is_array and index == len(names) - 1:
            counts[where] = counts.get(where, -1) + 1
        if where in counts:
            where = (*where, counts[where])
    return where


def _split(text: str) -> list[str]:
    return [name.strip("\"'") for name in _NAME.findall(text)]


def _agreed(found: Path, path: Path) -> int:
    count = 0
    for one, other in zip(found, path, strict=False):
        if str(one) != str(other):
            return count
        count += 1
    return count
