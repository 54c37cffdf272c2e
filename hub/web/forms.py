"""The hub's own form endpoint (J8): what a site posts is stored and becomes an interaction."""

from __future__ import annotations

from datetime import timedelta

from starlette.types import Receive, Scope, Send

from hub.runtime.services import Services
from hub.store.projects import Channel
from hub.web.limits import Rate
from hub.web.webhooks import NOT_FOUND, Desk, empty_answer, send_answer

__all__ = ["Forms"]

#: a browser may post from the site's own pages, and reads nothing but "yes"
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, OPTIONS"),
    (b"access-control-allow-headers", b"content-type"),
    (b"access-control-max-age", b"86400"),
)
_PREFLIGHT = empty_answer(204, b"", *_CORS)
_TOO_MANY = empty_answer(429, b"too many\n", (b"retry-after", b"60"), *_CORS)
_WRONG_METHOD = empty_answer(405, b"post the form\n", (b"allow", b"POST, OPTIONS"))

#: forms of one project a minute: the address stands in the site's page for everybody to read
MOST_A_MINUTE = 600


class Forms:
    """POST ``/forms/{project}/{secret}``, JSON or form-encoded; the secret of any channel of the project."""

    def __init__(self, services: Services, desk: Desk) -> None:
        self._services, self._desk = services, desk
        self.rate = Rate(MOST_A_MINUTE, timedelta(minutes=1), services.clock.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/")
        found = self._find(parts[2], parts[3]) if len(parts) == 4 else None
        if found is None:
            await send_answer(send, NOT_FOUND)
        elif scope["method"] == "OPTIONS":
            await send_answer(send, _PREFLIGHT)
        elif scope["method"] != "POST":
            await send_answer(send, _WRONG_METHOD)
        elif not self.rate.allows(found.project):
            await send_answer(send, _TOO_MANY)
        else:
            answer = await self._desk.take(scope, receive, found.project, found.name)
            if answer is not None:
                start, body = answer
                await send({**start, "headers": [*start["headers"], *_CORS]})
                await send(body)

    def _find(self, project: str, secret: str) -> Channel | None:
        """The channel with ``secret``; every channel is tried, so that the time tells nothing."""
        live = self._services.projects.find(project)
        names = sorted({*live.channels, *live.problems}) if live else []
        tried = [self._services.projects.addresses.channel(project, name, secret) for name in names or [""]]
        return next((found for found in tried if found is not None), None)
