"""What keeps the console to those who may see it: headers, cookies (H8)."""

from __future__ import annotations

from datetime import timedelta

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "FORM_COOKIE",
    "SESSION_COOKIE",
    "SESSION_LIFE",
    "SecurityHeaders",
    "clear_cookie",
    "is_foreign_post",
    "set_cookie",
]

SESSION_COOKIE = "hub_session"
#: the anti-forgery token of the forms that come before a session: login, first administrator
FORM_COOKIE = "hub_form"
SESSION_LIFE = timedelta(days=14)

#: no inline script or style, nothing from elsewhere but recordings, which the telephony keeps
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "media-src 'self' https: http:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # links lead to CRMs and recordings: they need not learn our addresses
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """ASGI middleware that puts `HEADERS` on every answer; pages are never cached."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def set_cookie(response: Response, name: str, value: str, *, is_secure: bool, life: timedelta) -> None:
    """A cookie that scripts cannot read and other sites' forms do not send."""
    response.set_cookie(
        name,
        value,
        max_age=int(life.total_seconds()),
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, name: str, *, is_secure: bool) -> None:
    """Make the browser forget the cookie."""
    response.delete_cookie(name, path="/", secure=is_secure, httponly=True, samesite="lax")


def is_foreign_post(request: Request) -> bool:
    """True if the browser says that another site's page sent this; the token decides where it says nothing."""
    return request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
