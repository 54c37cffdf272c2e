"""Every address of the widget, as data; `hub.web.app` mounts `ROUTES`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount

from hub.web.widget.session import session
from hub.web.widget.visitor import visit_route

__all__ = ["ROUTES"]

ROUTES: list[BaseRoute] = [
    Mount(
        "/widget/api",
        routes=[
            visit_route("/session", post=session),
        ],
    ),
]
