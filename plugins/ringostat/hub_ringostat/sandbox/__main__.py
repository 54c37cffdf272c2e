"""``python -m hub_ringostat.sandbox --port N``: the sandbox as a program of its own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hub_sandbox import run_until_stopped

from .server import Sandbox


def main() -> None:
    """Serve until stopped, the address printed as one line; everything else is ordered through ``/_sandbox/…``."""
    parser = argparse.ArgumentParser(prog="python -m hub_ringostat.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8082, help="0: a free one")
    parser.add_argument("--project", type=int, default=55555, help="project id")
    parser.add_argument("--auth-key", default="sandbox-auth-key", help="what the Auth-key header must hold")
    parser.add_argument("--traffic", type=Path, help="a traffic file to load (docs/traffic-file.md)")
    parser.add_argument("--hook", help="address that all webhooks go to")
    parser.add_argument("--mixed", action="store_true", help="each moment in another shape")
    chosen = parser.parse_args()
    sandbox = Sandbox(project_id=chosen.project, auth_key=chosen.auth_key)

    def set_up(address: str) -> str:
        sandbox.url = address
        if chosen.traffic is not None:
            sandbox.load_traffic(json.loads(chosen.traffic.read_text(encoding="utf-8")))
        if chosen.hook:
            sandbox.set_up(chosen.hook, mixed=chosen.mixed)
        return address

    run_until_stopped(sandbox.app, host=chosen.host, port=chosen.port, listening=set_up)


if __name__ == "__main__":
    main()
