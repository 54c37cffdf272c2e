"""``python -m hub_wazzup.sandbox --port N``: the sandbox as a program of its own."""

from __future__ import annotations

import argparse

from hub_sandbox import run_until_stopped

from .server import Sandbox
from .state import Account, ChannelState


def main() -> None:
    """Serve until stopped, the API's address printed as one line; people are played through ``/_sandbox/…``."""
    parser = argparse.ArgumentParser(prog="python -m hub_wazzup.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8083, help="0: a free one")
    parser.add_argument("--api-key", default="sandbox-api-key", help="what the key must be")
    parser.add_argument("--first-answers", action="store_true", help="new clients go to the first who answers")
    chosen = parser.parse_args()
    channel = ChannelState(pipeline="1", new_clients="first" if chosen.first_answers else "turn")
    sandbox = Sandbox(Account(api_key=chosen.api_key, channels=[channel]))
    run_until_stopped(sandbox.app, host=chosen.host, port=chosen.port, listening=lambda address: f"{address}/v3")


if __name__ == "__main__":
    main()
