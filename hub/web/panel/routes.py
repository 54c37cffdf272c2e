"""The addresses of the panels, as data; `hub.web.app` mounts them."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from hub.runtime.services import Services
from hub.web.panel.page import Panels

__all__ = ["panel_routes"]


def panel_routes(services: Services) -> list[BaseRoute]:
    """Both addresses of a panel."""
    panels = Panels(services)
    return [
        Route("/panel/{project}/{connection}/open", panels.open, methods=["GET"]),
        Route("/panel/{project}/{connection}/{entity}/{id}", panels.show, methods=["GET"]),
    ]
