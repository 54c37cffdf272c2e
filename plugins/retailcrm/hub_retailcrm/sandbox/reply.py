"""Answers in the vendor's envelope (1, Success and error envelopes)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
_PAGE = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and a body; no header of its own."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Problem(Exception):
    """A refusal: the whole request fails with this answer."""

    def __init__(self, status: int, text: str, errors: dict[str, str] | list[str] | None = None, **more: Any) -> None:
        super().__init__(text)
        self.status, self.text, self.errors, self.more = status, text, errors, more

    @property
    def reply(self) -> Reply:
        """The answer that says so."""
        body: Json = {"success": False, **self.more, "errorMsg": self.text}
        if self.errors is not None:
            body["errors"] = self.errors
        return answer(body, self.status)


def answer(body: Json, status: int = 200) -> Reply:
    """``body`` as JSON."""
    return Reply(status, json.dumps(body, ensure_ascii=False).encode())


def ok(status: int = 200, /, **values: Any) -> Reply:
    """A success."""
    return answer({"success": True, **values}, status)


def page(status: int, title: str) -> Reply:
    """The web server's own HTML."""
    return Reply(status, _PAGE.format(title).encode(), "text/html")


def throttled() -> Reply:
    """Over the limit: 503, not 429."""
    return answer({"success": False, "errorMsg": "Rate limit exceeded"}, 503)


def wrong_entity(**errors: str) -> Problem:
    """400 with the fields that are wrong."""
    return Problem(400, "Errors in the entity format", errors)


def wrong_input(*errors: str) -> Problem:
    """400 for parameters; here the vendor answers a list."""
    return Problem(400, "Errors in the input parameters", list(errors) or None)


def not_found(text: str = "Not found") -> Problem:
    """404."""
    return Problem(404, text)
