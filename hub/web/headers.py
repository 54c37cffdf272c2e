"""What every answer carries: security headers, and one shape for errors (H11)."""

from __future__ import annotations

import html
import secrets

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SECURITY_HEADERS", "SecurityHeaders", "problem", "show_error", "show_http_error"]

#: set where the answer does not say otherwise itself
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)


class SecurityHeaders:
    """Adds `SECURITY_HEADERS` to every answer of ``app``; over https, also that it stays https."""

    def __init__(self, app: ASGIApp, *, is_https: bool = False) -> None:
        self._app = app
        self._added = SECURITY_HEADERS + (((b"strict-transport-security", b"max-age=31536000"),) if is_https else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                given = {name.lower() for name, _ in headers}
                if b"content-security-policy" in given:
                    # it says itself who may frame the page, and the older header cannot name anybody
                    given.add(b"x-frame-options")
                headers.extend(pair for pair in self._added if pair[0] not in given)
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, add)


def problem(status: int, error: str, *, field: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """An error for programs: ``{error, field, request_id}``; ``field`` is "" where no single one is at fault."""
    request_id = secrets.token_hex(8)
    return JSONResponse(
        {"error": error, "field": field, "request_id": request_id},
        status_code=status,
        headers={**(headers or {}), "x-request-id": request_id},
    )


def show_http_error(request: Request, err: Exception) -> Response:
    """An error for whoever asks: a sentence on a page for a browser, `problem` for a program."""
    assert isinstance(err, HTTPException)
    headers = dict(err.headers or {})
    if err.status_code in (204, 304):
        return Response(status_code=err.status_code, headers=headers)
    if "text/html" in request.headers.get("accept", ""):
        text = html.escape(err.detail)
        return HTMLResponse(
            f"<!doctype html><meta charset=utf-8><title>{text}</title><p>{text}</p>",
            status_code=err.status_code,
            headers=headers,
        )
    return problem(err.status_code, err.detail, headers=headers)


def show_error(request: Request, err: Exception) -> Response:
    """Something broke; Starlette has logged it, the caller learns nothing of it but an id."""
    return problem(500, "something went wrong in the hub")
