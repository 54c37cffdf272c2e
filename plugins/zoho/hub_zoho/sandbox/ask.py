"""One request as the handlers see it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .reply import Json, Refusal


@dataclass(slots=True, kw_only=True)
class Ask:
    """A request, its body unread until somebody wants it."""

    method: str
    path: str
    raw_query: str
    raw_body: bytes
    origin: str
    headers: dict[str, str]
    #: the named parts of the path
    params: dict[str, str] = field(default_factory=dict)
    user_id: str = ""
    client_id: str = ""

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The form in the body; the token endpoint takes the query string too."""
        return self.query | dict(parse_qsl(self.raw_body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> Json:
        """The object in the body, whatever its Content-Type."""
        try:
            found = json.loads(self.raw_body or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Refusal(400, "INVALID_DATA", "body is not a JSON object")
        return found

    def data(self, key: str = "data", most: int = 100) -> list[Json]:
        """The records of a write."""
        items: Any = self.json().get(key)
        if items is None:
            raise Refusal(400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": key})
        if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
            raise Refusal(400, "INVALID_DATA", "invalid data", {"api_name": key, "expected_data_type": "jsonarray"})
        if len(items) > most:
            raise Refusal(400, "INVALID_DATA", "invalid data", {"api_name": key, "maximum_length": most})
        return items
