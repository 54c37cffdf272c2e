"""Bytes of a request to flat parameters, in every shape that Ringostat and its receivers know (reference A.4, B.1).

Shapes: query string, form, flat JSON, JSON with a nested object (``additional_call_data``), an array of such
objects, and any mix: static parameters stand in the query whatever the body is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hub.errors import PayloadError
from hub.ports import RawRequest

__all__ = ["query_of", "read_payloads", "text_of"]

_DEEPEST = 4
_MOST_FIELDS = 1000
#: of one request; they are stored in one transaction, and no other project waits longer for it than about a second
_MOST_RECORDS = 1000


def read_payloads(request: RawRequest, *, nested_key: str) -> list[dict[str, str]]:
    """The parameters of each record in ``request``, one dict for one record; names as they came.

    Where a name stands in several places the root of the body wins over its nested object, and a value that is
    not empty over an empty one; the query comes last. Raises PayloadError.
    """
    query = query_of(request)
    return [_merged(record, query) for record in _records(request, nested_key)]


def query_of(request: RawRequest) -> dict[str, str]:
    """The parameters of the query string. Raises PayloadError if there are too many."""
    return _pairs(request.query, "query")


def text_of(value: Any) -> str:
    """A JSON value as the text that a form would carry: "" for null, 1 and 0 for booleans."""
    if isinstance(value, str):
        return value.replace("\0", "").strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):
        return ""


def _records(request: RawRequest, nested_key: str) -> Iterator[dict[str, str]]:
    body = request.body.strip()
    if not body:
        yield {}
        return
    if body[:1] in b"{[" or "json" in request.header("content-type").lower():
        yield from (_flat(record, nested_key) for record in _objects(body))
        return
    yield _unbracketed(_pairs(body, "body"), nested_key)


def _objects(body: bytes) -> list[Mapping[str, Any]]:
    try:
        # what is not UTF-8 is still worth reading: numbers and ids are ASCII
        found = orjson.loads(body.decode("utf-8-sig", "replace"))
    except orjson.JSONDecodeError as err:
        raise PayloadError(f"the body is not JSON: {err}", field="body") from err
    records = found if isinstance(found, list) else [found]
    if not records:
        raise PayloadError("the body is an empty JSON array", field="body")
    if len(records) > _MOST_RECORDS:
        raise PayloadError(f"the body holds {len(records)} records, more than {_MOST_RECORDS}", field="body")
    for record in records:
        if not isinstance(record, Mapping):
            raise PayloadError(f"the body must hold JSON objects, not {type(record).__name__}", field="body")
    return records


def _flat(record: Mapping[str, Any], nested_key: str) -> dict[str, str]:
    """Root values, then those of the nested object, then those of any other object inside."""
    found: dict[str, str] = {}
    inner: list[tuple[Mapping[str, Any], int]] = []
    for key, value in record.items():
        if isinstance(value, str) and key == nested_key:
            value = _embedded(value)
        if isinstance(value, Mapping):
            inner.insert(0, (value, 1)) if key == nested_key else inner.append((value, 1))
        else:
            _put(found, key, text_of(value))
    for mapping, depth in inner:
        for key, value in mapping.items():
            if isinstance(value, Mapping) and depth < _DEEPEST:
                inner.append((value, depth + 1))
            else:
                _put(found, key, text_of(value))
    return found


def _embedded(text: str) -> Any:
    """The object that a form or a careless encoder put into a string, or the string."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _unbracketed(pairs: Mapping[str, str], nested_key: str) -> dict[str, str]:
    """A form in which the nested object came as ``additional_call_data[userfield]`` or as one JSON string."""
    prefix = f"{nested_key}["
    record: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    for key, value in pairs.items():
        if key.startswith(prefix) and key.endswith("]"):
            nested[key[len(prefix) : -1]] = value
        else:
            record[key] = value
    if nested:
        record[nested_key] = nested
    return _flat(record, nested_key)


def _pairs(data: bytes, place: str) -> dict[str, str]:
    text = data.decode("utf-8", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as err:
        raise PayloadError(f"the {place} cannot be read: {err}", field=place) from err
    found: dict[str, str] = {}
    for key, value in pairs:
        _put(found, key, text_of(value))
    return found


def _merged(record: dict[str, str], query: Mapping[str, str]) -> dict[str, str]:
    for key, value in query.items():
        _put(record, key, value)
    return record


def _put(found: dict[str, str], key: str, value: str) -> None:
    key = key.replace("\0", "").strip()
    if key and not found.get(key):
        found[key] = value
