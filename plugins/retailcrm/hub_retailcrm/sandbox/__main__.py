"""``python -m hub_retailcrm.sandbox``: the sandbox as a process of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hub_sandbox import run_until_stopped

from .config import SandboxConfig, Switches
from .sandbox import Sandbox


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the address is printed as one line once it listens."""
    options = _parser().parse_args(arguments)
    switches = Switches()
    if options.limit is not None:
        switches.limit_per_second = options.limit or None
    if options.latency:
        low, _, high = options.latency.partition("-")
        switches.latency_ms = (int(low), int(high or low))
    if options.late_apply is not None:
        switches.late_apply_seconds = (0.0, options.late_apply)
        switches.late_apply_probability = options.late_apply_probability
    switches.search_lag_seconds = options.search_lag
    sandbox = Sandbox(SandboxConfig(seed=options.seed, switches=switches))
    if options.state is not None and options.state.exists():
        sandbox.load(options.state)
    run_until_stopped(sandbox.app, host=options.host, port=options.port)
    if options.state is not None:
        sandbox.save(options.state)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hub_retailcrm.sandbox", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: a free one (default)")
    add("--limit", type=int, help="requests in any sliding second, default 10; 0: no limit")
    add("--latency", metavar="MIN-MAX", help="milliseconds that a request takes, such as 50-400")
    add("--late-apply", type=float, metavar="SECONDS", help="cut writes off, apply them up to so much later")
    add("--late-apply-probability", type=float, default=0.05, help="how often, default 0.05")
    add("--search-lag", type=float, default=0.0, help="seconds by which the search lags behind writes")
    add("--seed", type=int, default=1, help="of every random choice")
    add("--state", type=Path, help="file to take the state from at start and to keep it in at the end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
