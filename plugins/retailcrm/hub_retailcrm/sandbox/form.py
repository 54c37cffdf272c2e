"""PHP's way of writing nested values in a query or a form, and JSON inside form fields (1)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .reply import Json, Problem, wrong_input

_KEY = re.compile(r"\[([^\]]*)\]")
PAGE_SIZES = (20, 50, 100)


def nested(pairs: list[tuple[str, str]]) -> Json:
    """``filter[ids][]=1`` and the like as nested objects and lists."""
    tree: Json = {}
    for name, value in pairs:
        head, _, _ = name.partition("[")
        path = [head, *_KEY.findall(name[len(head) :])]
        place: Json = tree
        for at, part in enumerate(path[:-1]):
            key = part or str(len(place))
            found = place.setdefault(key, {})
            if not isinstance(found, dict):
                raise wrong_input(f"{'.'.join(path[: at + 1])} is both a value and a table")
            place = found
        place[path[-1] or str(len(place))] = value
    return {key: _lists(value) for key, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(item) for item in value.values()]
    return {key: _lists(item) for key, item in value.items()}


@dataclass(slots=True)
class Ask:
    """One request, taken apart."""

    method: str
    path: str
    raw_query: str = ""
    query: Json = field(default_factory=dict)
    #: form fields as they came: plain text or JSON in text
    form: Json = field(default_factory=dict)
    key: str = ""
    #: the variable parts of the path
    parts: tuple[str, ...] = ()

    def parameter(self, name: str, default: str = "") -> str:
        """A plain parameter, of the query or the form."""
        found = self.form.get(name, self.query.get(name, default))
        return str(found)

    def json(self, name: str) -> Any:
        """The JSON in form field ``name``. 400 if it is missing or no JSON."""
        text = self.form.get(name)
        if text is None or text == "":
            raise Problem(400, f"Parameter '{name}' is missing")
        if not isinstance(text, str):
            return text
        try:
            return json.loads(text)
        except ValueError:
            raise wrong_input(f"{name}: no JSON") from None

    def entity(self, name: str) -> Json:
        """A JSON object."""
        found = self.json(name)
        if not isinstance(found, dict):
            raise wrong_input(f"{name}: an object is expected")
        return found

    def entities(self, name: str, most: int) -> list[Json]:
        """A JSON list of at most ``most`` objects."""
        found = self.json(name)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise wrong_input(f"{name}: a list of objects is expected")
        if len(found) > most:
            raise wrong_input(f"{name}: at most {most} entities")
        return found

    @property
    def filter(self) -> Json:
        """``filter[...]``; a plain ``filter=None``, as the vendor's own client sends it, filters nothing."""
        found = self.query.get("filter", {})
        return found if isinstance(found, dict) else {}

    def page(self) -> tuple[int, int]:
        """(number, size) of the wanted page."""
        limit, number = self.parameter("limit", "20"), self.parameter("page", "1")
        if not limit.isdigit() or int(limit) not in PAGE_SIZES:
            raise wrong_input(f"limit: one of {', '.join(map(str, PAGE_SIZES))}")
        if not number.isdigit() or int(number) < 1:
            raise wrong_input("page: a number from 1")
        return int(number), int(limit)


def parse_query(text: str) -> Json:
    """A query string."""
    return nested(parse_qsl(text, keep_blank_values=True))


def texts(value: Any) -> list[str]:
    """A filter's list, or its single value."""
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else [str(value)]
