"""Every address of the widget, as data; `hub.web.app` mounts `ROUTES`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount

from hub.web.widget import actions, settings
from hub.web.widget.card import card, why
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
            visit_route("/card", get=card),
            visit_route("/interactions/{id}/why", get=why),
            visit_route("/clients/{client}/take", post=actions.take),
            visit_route("/clients/{client}/create", post=actions.create),
            visit_route("/clients/{client}/task", post=actions.task),
            visit_route("/clients/{client}/call", post=actions.call),
            visit_route("/call", post=actions.call_number),
            visit_route("/clients/{client}/frame", get=actions.frame),
            visit_route("/tasks/{entity}/{task}/complete", post=actions.complete),
            visit_route("/tasks/{entity}/{task}/reschedule", post=actions.reschedule),
            visit_route("/settings", get=settings.read, put=settings.write),
        ],
    ),
]
