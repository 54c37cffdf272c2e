"""``python -m hub_jivo.sandbox --port N``: the cabinet as a program of its own."""

from __future__ import annotations

import argparse
import socket
import sys

import uvicorn

from .cabinet import Cabinet
from .control import build_app


def main() -> None:
    """Serve until stopped, the address printed as one line; chats are ordered through ``/_sandbox/…``."""
    parser = argparse.ArgumentParser(prog="python -m hub_jivo.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8084, help="0: a free one")
    parser.add_argument("--hook", default="", help="address that all webhooks go to")
    parser.add_argument("--widget", default="aB3xYz9Q", help="the channel's id")
    chosen = parser.parse_args()
    cabinet = Cabinet(hook=chosen.hook, widget_id=chosen.widget)
    listener = socket.create_server((chosen.host, chosen.port))
    sys.stdout.write(f"http://{chosen.host}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(build_app(cabinet), log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
