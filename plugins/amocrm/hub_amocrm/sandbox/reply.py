"""The vendor's envelopes: lists, created items, problems (reference 1.1, 1.3, 2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

HAL = "application/hal+json"
PROBLEM = "application/problem+json"
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    422: "Unprocessable Entity",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}
Json = dict[str, Any]


@dataclass(slots=True)
class Reply:
    """One answer; ``content_type`` is sent as it stands, without a charset."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Problem(Exception):
    """A request that the server refuses; carries the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.status}")
        self.reply = reply


def hal(body: Any, status: int = 200) -> Reply:
    """A success with a body."""
    return Reply(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), HAL)


def nothing() -> Reply:
    """204: an empty list, a missing entity, something deleted."""
    return Reply(204)


def problem(status: int, detail: str, **more: Any) -> Reply:
    """The vendor's problem body."""
    body = {
        **more,
        "title": _TITLES.get(status, "Error"),
        "type": f"https://httpstatus.es/{status}",
        "status": status,
        "detail": detail,
    }
    return Reply(status, json.dumps(body, ensure_ascii=False).encode(), PROBLEM)


def invalid(errors: list[Json]) -> Reply:
    """400 with ``validation-errors``: ``[{"request_id", "errors": [{"code", "path", "detail"}]}]``."""
    return problem(400, "Request validation failed", **{"validation-errors": errors})


def bad_request(detail: str) -> Problem:
    """400 without validation errors."""
    return Problem(problem(400, detail))


def link(href: str) -> Json:
    """``{"self": {"href": …}}``."""
    return {"self": {"href": href}}


def listing(
    name: str,
    items: list[Json],
    *,
    origin: str,
    path: str,
    query: list[tuple[str, str]],
    page: int,
    limit: int,
    more: bool,
) -> Reply:
    """A page of a list; 204 when it is empty (reference 1.1)."""
    if not items:
        return nothing()

    def href(number: int) -> Json:
        rest = [pair for pair in query if pair[0] not in ("page", "limit")]
        pairs = [*rest, ("limit", str(limit)), ("page", str(number))]
        text = "&".join(f"{quote(key)}={quote(value)}" for key, value in pairs)
        return {"href": f"{origin}{path}?{text}"}

    links = {"self": href(page)}
    if more:
        links["next"] = href(page + 1)
    return hal({"_page": page, "_links": links, "_embedded": {name: items}})


def collected(name: str, items: list[Json], *, origin: str, path: str, status: int = 200) -> Reply:
    """The answer to a batch write."""
    return hal({"_links": link(origin + path), "_embedded": {name: items}}, status)


def totalled(
    name: str, items: list[Json], *, origin: str, path: str, status: int = 200, page_count: int | None = None
) -> Reply:
    """A list that tells its length (users, pipelines, fields, webhooks …)."""
    body: Json = {"_total_items": len(items), "_links": link(origin + path), "_embedded": {name: items}}
    if page_count is not None:
        body = {"_total_items": len(items), "_page": 1, "_page_count": page_count, **body}
    return hal(body, status)
