"""Every address of the widget, as data; `hub.web.app` mounts `ROUTES`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount

from hub.web.widget.live import dismiss, live, ticket
from hub.web.widget.session import session
from hub.web.widget.visitor import open_route, visit_route

__all__ = ["ROUTES"]

ROUTES: list[BaseRoute] = [
    Mount(
        "/widget/api",
        routes=[
            visit_route("/session", post=session),
            visit_route("/ticket", post=ticket),
            open_route("/live", live),
            visit_route("/popups/{key}/dismiss", post=dismiss),
        ],
    ),
]
