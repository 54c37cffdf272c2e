"""The process that is measured: the hub's own web server, and beside it the bare endpoint that it is compared with.

``python -m bench.served DIRECTORY [CPU]`` prints its port as a line of JSON and serves until SIGTERM.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.compose import Hub
from hub.settings import Settings
from hub.web.app import build_app
from hub.web.server import serve_forever

__all__ = ["BARE", "with_bare"]

BARE = "/bare"
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"0")],
}
_BODY = {"type": "http.response.body", "body": b""}


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads its body and says yes: the least that a POST endpoint can do in this server."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send(_START)
    await send(_BODY)


def with_bare(app: ASGIApp) -> ASGIApp:
    """``app`` with `BARE` in front."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == BARE:
            await bare(scope, receive, send)
        else:
            await app(scope, receive, send)

    return both


async def serve(directory: Path) -> None:
    """The whole hub in one process, as `hub run` has it."""
    settings = Settings(environment="development", data_directory=directory)
    async with Hub(settings) as hub:
        app = with_bare(build_app(hub.services))
        await serve_forever(app, "127.0.0.1", 0, ready=lambda port: print(json.dumps({"port": port}), flush=True))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    uvloop.run(serve(Path(sys.argv[1])))
