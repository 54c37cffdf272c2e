"""POST /widget/api/session: what the widget must know before it shows anything (U1)."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from importlib.metadata import version

from starlette.responses import JSONResponse, Response

from hub.web.widget.ability import abilities_of
from hub.web.widget.live import new_ticket, wanted_popups
from hub.web.widget.visitor import Visitor

__all__ = ["MIN_WIDGET_VERSION", "session"]

#: older archives are asked to be renewed
MIN_WIDGET_VERSION = "1.0.0"


async def session(visitor: Visitor) -> Response:
    """Who looks, what they may do here, and where live events come from."""
    live, policy = visitor.project, visitor.project.policy
    abilities = abilities_of(visitor.services, live, visitor.employee)
    employee = None
    if visitor.employee is not None and policy is not None:
        employee = {
            "id": visitor.employee,
            "name": policy.names[visitor.employee],
            "roles": sorted(visitor.roles),
        }
    return JSONResponse(
        {
            "employee": employee,
            "is_admin": visitor.is_admin,
            "project": live.row.title or live.name,
            "language": visitor.language,
            "hub_version": hub_version(),
            "min_widget_version": MIN_WIDGET_VERSION,
            "may": {
                "settings": visitor.is_admin or visitor.employee is not None,
                "call_back": "call" in abilities,
                "call": "call" in abilities,
                "write": "write" in abilities,
            },
            "stream": "/widget/api/live",
            "popups": await wanted_popups(visitor),
            # a browser whose clock is wrong counts the seconds of a talk by ours
            "now": visitor.services.clock.now().astimezone(UTC).isoformat(),
            **await new_ticket(visitor),
        }
    )


@cache
def hub_version() -> str:
    """The version of the hub that runs."""
    return version("crm-hub")
