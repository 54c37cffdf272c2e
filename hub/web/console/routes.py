"""Every address of the console and the set-up, as data; `hub.web.app` mounts `ROUTES`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from hub.web.console import attention, client, connections, dashboard, interaction, journal, login, policy
from hub.web.console.security import SecurityHeaders
from hub.web.console.setup import SETUP
from hub.web.console.visit import Handler, signed_in, to

__all__ = ["ROUTES"]

_STATIC = Path(__file__).parent.parent / "static"
_PROTECTED = [Middleware(SecurityHeaders)]


def _get(path: str, handler: Handler) -> Route:
    return Route(path, signed_in(handler), methods=["GET"])


def _post(path: str, handler: Handler, role: Literal["admin", "head"] = "head") -> Route:
    return Route(path, signed_in(handler, role=role), methods=["POST"])


async def _root(request: Request) -> Response:
    """GET / leads people to the console."""
    return to("/console/")


ROUTES: list[BaseRoute] = [
    Route("/", _root),
    Mount(
        "/console",
        middleware=_PROTECTED,
        routes=[
            Mount("/static", StaticFiles(directory=_STATIC)),
            Route("/login", login.log_in, methods=["GET", "POST"]),
            _post("/logout", login.log_out),
            _post("/language", login.choose_language),
            _get("/", dashboard.home),
            _get("/{project}/", dashboard.dashboard),
            _get("/{project}/journal", journal.journal),
            _get("/{project}/journal/rows", journal.journal_rows),
            _get("/{project}/events", journal.journal_events),
            _get("/{project}/interactions/{id}", interaction.interaction_page),
            _post("/{project}/interactions/{id}/replay", interaction.replay),
            _post("/{project}/interactions/{id}/no-reply", interaction.no_reply_needed),
            _get("/{project}/clients/{id}", client.client_page),
            _get("/{project}/clients/{id}/chat", client.chat_of_client),
            _get("/{project}/attention", attention.attention),
            _post("/{project}/attention/messages", attention.settle_message),
            _post("/{project}/attention/read-again", attention.read_again),
            _post("/{project}/attention/replay", attention.replay_all),
            _get("/{project}/connections", connections.connections),
            _post("/{project}/connections/resume", connections.resume, "admin"),
            _get("/{project}/policy", policy.policy_page),
            _post("/{project}/mode", connections.change_mode, "admin"),
        ],
    ),
    Mount("/setup", middleware=_PROTECTED, routes=SETUP),
]
