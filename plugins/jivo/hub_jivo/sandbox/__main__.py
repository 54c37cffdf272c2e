"""``python -m hub_jivo.sandbox --port N``: the cabinet as a program of its own."""

from __future__ import annotations

import argparse

from hub_sandbox import run_until_stopped

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
    run_until_stopped(build_app(cabinet), host=chosen.host, port=chosen.port)


if __name__ == "__main__":
    main()
