"""What keeps the console to those who may see it: headers, cookies, a brake on guessing passwords (H8)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.clock import Clock

__all__ = [
    "FORM_COOKIE",
    "SESSION_COOKIE",
    "SESSION_LIFE",
    "GuessLimit",
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


@dataclass(slots=True)
class GuessLimit:
    """Failed attempts per key (an address, a login) within a sliding window; the memory of one process.

    Keys are bounded: the oldest are forgotten first, so that made-up logins cannot fill the memory.
    """

    clock: Clock
    attempts: int = 10
    window: timedelta = timedelta(minutes=5)
    keys: int = 10_000
    _failed: dict[str, deque[float]] = field(default_factory=dict)

    def may_try(self, *keys: str) -> bool:
        """False if any of ``keys`` failed too often lately."""
        since = self.clock.monotonic() - self.window.total_seconds()
        for key in keys:
            failed = self._failed.get(key)
            while failed and failed[0] < since:
                failed.popleft()
            if failed and len(failed) >= self.attempts:
                return False
        return True

    def failed(self, *keys: str) -> None:
        """Remember a failure."""
        now = self.clock.monotonic()
        for key in keys:
            self._failed.setdefault(key, deque(maxlen=self.attempts)).append(now)
            while len(self._failed) > self.keys:
                self._failed.pop(next(iter(self._failed)))

    def succeeded(self, *keys: str) -> None:
        """The right password was given: forget the failures."""
        for key in keys:
            self._failed.pop(key, None)
