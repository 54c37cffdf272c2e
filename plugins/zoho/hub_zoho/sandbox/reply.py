"""Answers and refusals in the vendor's envelopes (section 2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Reply:
    """What goes back over the wire."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def answer(value: Any, status: int = 200) -> Reply:
    """``value`` as JSON."""
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), "application/json;charset=UTF-8")


def nothing() -> Reply:
    """Nothing found: 204 with an empty body."""
    return Reply(204)


def told(code: str, message: str, details: Json | None = None, status: str = "error") -> Json:
    """The object that stands for one outcome."""
    return {"code": code, "details": details or {}, "message": message, "status": status}


class Refusal(Exception):
    """The whole request is refused."""

    def __init__(self, http: int, code: str, message: str, details: Json | None = None) -> None:
        super().__init__(code)
        self.reply = answer(told(code, message, details), http)


class ItemRefusal(Exception):
    """One record of a write is refused; ``path`` is appended to ``$.data[i]``."""

    def __init__(self, code: str, message: str, api_name: str = "", **details: Any) -> None:
        super().__init__(code)
        self.code, self.message, self.api_name, self.details = code, message, api_name, details

    def told(self, index: int) -> Json:
        """The record's place in the answer."""
        details: Json = {}
        if self.api_name:
            details = {"api_name": self.api_name, "json_path": f"$.data[{index}].{self.api_name}"}
        return told(self.code, self.message, details | self.details)


def invalid(api_name: str, expected: str = "", **details: Any) -> ItemRefusal:
    """INVALID_DATA of one field."""
    if expected:
        details["expected_data_type"] = expected
    return ItemRefusal("INVALID_DATA", "invalid data", api_name, **details)
