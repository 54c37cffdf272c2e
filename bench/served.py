"""The process that is measured: the hub's own web server, and beside it the bare endpoint that it is compared with.

``python -m bench.served DIRECTORY ROLE [CPU]`` prints its port as a line of JSON and serves until SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hub.compose import Hub, build_services
from hub.runtime.services import Services
from hub.settings import Settings
from hub.web.app import HubApp, build_app
from hub.web.server import serve_forever

__all__ = ["BARE", "BARE_ASGI", "WithBare"]

#: the least that a POST endpoint is in this framework
BARE = "/bare"
#: the least that the server underneath can do
BARE_ASGI = "/bare-asgi"
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"0")],
}
_BODY = {"type": "http.response.body", "body": b""}


async def bare(request: Request) -> Response:
    """Reads its body and says yes."""
    await request.body()
    return Response(b"")


async def bare_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """The same without a framework."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send(_START)
    await send(_BODY)


class WithBare:
    """``app`` with `BARE` and `BARE_ASGI` in front: the base pays for none of the hub's own layers."""

    def __init__(self, app: HubApp) -> None:
        self._app = app
        self._framework = Starlette(routes=[Route(BARE, bare, methods=["POST"])])
        self.prompt_paths, self.at_once, self.stopping = app.prompt_paths, app.at_once, app.stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path == BARE:
            await self._framework(scope, receive, send)
        elif path == BARE_ASGI:
            await bare_asgi(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def serve(directory: Path, role: str) -> None:
    """The hub in one process, as `hub run --role` has it."""
    settings = Settings(environment="development", data_directory=directory, role="web" if role == "web" else "all")
    if role == "web" and not settings.database_url:
        services = build_services(settings)
        try:
            await _serve(services)
        finally:
            services.close()
        return
    async with Hub(settings) as hub:
        await _serve(hub.services)


async def _serve(services: Services) -> None:
    def ready(port: int) -> None:
        print(json.dumps({"port": port}), flush=True)

    await serve_forever(WithBare(build_app(services)), "127.0.0.1", 0, ready=ready)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        os.sched_setaffinity(0, {int(sys.argv[3])})
    uvloop.run(serve(Path(sys.argv[1]), sys.argv[2]))
