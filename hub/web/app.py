"""The web side of the hub: routes as data, and the two busiest addresses in front of the router (DESIGN 8)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.runtime.live import Live
from hub.runtime.services import Services
from hub.store.inbox import InboxKind
from hub.web import oauth
from hub.web.console.routes import ROUTES
from hub.web.crm_hooks import CrmHooks
from hub.web.forms import Forms
from hub.web.forwarding import Forwarding
from hub.web.headers import SecurityHeaders, show_error, show_http_error
from hub.web.health import healthz, readyz
from hub.web.metrics import Counts, metrics
from hub.web.panel.routes import panel_routes
from hub.web.webhooks import Desk, Webhooks
from hub.web.widget.ability import abilities_of
from hub.web.widget.routes import ROUTES as WIDGET
from hub.web.widget.visitor import Gate

__all__ = ["HubApp", "build_app"]

#: what the addresses of forwarding begin with
FORWARD = "/forward/"
#: amoCRM switches a webhook off that takes longer than 2 s
CRM_LONGEST = timedelta(seconds=1.6)


class HubApp:
    """The ASGI application. `counts` is what it counted, `routes` what it serves."""

    def __init__(
        self,
        inner: Starlette,
        *,
        is_https: bool,
        busy: Sequence[tuple[str, ASGIApp]],
        desks: Mapping[InboxKind, Desk],
        forms: Forms,
        forwarding: Forwarding,
        live: Live,
    ) -> None:
        self.live = live
        self._inner = SecurityHeaders(inner, is_https=is_https)
        self._busy = tuple(busy)
        self.desks, self.forms, self.forwarding = desks, forms, forwarding
        self.prompt_paths, self.at_once = FORWARD.encode(), forwarding.at_once
        self.state = inner.state
        self.counts: Counts = inner.state.counts
        self.routes: Sequence[BaseRoute] = inner.routes

    def stopping(self) -> None:
        """The server stops: streams end at once, and their browsers come back to the next process."""
        self.live.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            for prefix, endpoint in self._busy:
                if path.startswith(prefix):
                    await endpoint(scope, receive, send)
                    return
        await self._inner(scope, receive, send)


def build_app(services: Services) -> HubApp:
    """Everything that the hub serves over HTTP. Endpoints find ``services`` in ``request.app.state``."""
    counts = Counts()
    desks: dict[InboxKind, Desk] = {
        "hook": Desk(services, counts, "hook"),
        "form": Desk(services, counts, "form"),
        "crm": Desk(services, counts, "crm", longest=CRM_LONGEST),
    }
    forwarding = Forwarding(services, counts)
    webhooks = Webhooks(services, desks["hook"], counts)
    forms = Forms(services, desks["form"])
    crm_hooks = CrmHooks(services, desks["crm"])
    routes: list[BaseRoute] = [
        Route("/hooks/{project}/{channel}/{secret}", webhooks),
        Route("/forward/{project}/{channel}/{secret}", forwarding),
        Route("/forms/{project}/{secret}", forms),
        Route("/crm/{project}/{connection}/{secret}", crm_hooks),
        Route("/oauth/{vendor}/callback", oauth.callback),
        Route("/oauth/{vendor}/disconnect", oauth.disconnect, methods=["GET", "POST"]),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        *WIDGET,
        *panel_routes(services),
        *ROUTES,
    ]
    watches = (*(desk.watch for desk in desks.values()), forwarding.watch)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await forwarding.prepare()
        async with forwarding.journal.running(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(watch.run(), name="request times") for watch in watches]
            tasks.append(group.create_task(services.live.run(), name="live events"))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    inner = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: show_http_error, Exception: show_error},
    )
    inner.state.services, inner.state.counts, inner.state.gate = services, counts, Gate(services)
    services.live.abilities = partial(abilities_of, services)
    is_https = services.settings.public_url.startswith("https://")
    return HubApp(
        inner,
        is_https=is_https,
        busy=((FORWARD, forwarding), ("/hooks/", webhooks), ("/crm/", crm_hooks), ("/forms/", forms)),
        desks=desks,
        forms=forms,
        forwarding=forwarding,
        live=services.live,
    )
