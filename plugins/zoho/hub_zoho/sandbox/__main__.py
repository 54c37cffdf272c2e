"""``python -m hub_zoho.sandbox``: the sandbox as its own process."""

from __future__ import annotations

import argparse
import sys

from hub_sandbox import run_until_stopped

from .config import Credentials, SandboxConfig, Switches
from .sandbox import Sandbox


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the address is printed as one line once it listens."""
    options = _parser().parse_args(arguments)
    switches = Switches()
    switches.update(_switches(options))
    credentials = Credentials()
    if options.redirect_uri:
        credentials.redirect_uri = options.redirect_uri
    config = SandboxConfig(
        seed=options.seed, switches=switches, credentials=credentials, has_hub_id=not options.without_hub_id
    )
    sandbox = Sandbox(config)
    sandbox.seed(options.seed_contacts, options.seed_leads, options.seed_deals)
    run_until_stopped(sandbox.app, host=options.host, port=options.port)
    return 0


def _switches(options: argparse.Namespace) -> dict[str, object]:
    switches: dict[str, object] = {"search_lag_seconds": options.search_lag}
    if options.concurrency is not None:
        switches["concurrency"] = options.concurrency or None
    if options.latency is not None:
        first, _, last = options.latency.partition("-")
        switches["latency_ms"] = (int(first), int(last or first))
    if options.late_apply is not None:
        switches["late_apply_seconds"] = (0.0, options.late_apply)
        switches["late_apply_probability"] = options.late_apply_probability
    if options.auto_consent:
        switches["auto_consent"] = True
    return switches


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hub_zoho.sandbox", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0: a free one (default)")
    add("--concurrency", type=int, help="calls in flight, default 10; 0: no limit")
    add("--latency", metavar="MIN-MAX", help="milliseconds that a request takes, such as 50-400")
    add("--late-apply", type=float, metavar="SECONDS", help="cut writes off, apply them up to so much later")
    add("--late-apply-probability", type=float, default=0.05, help="how often, default 0.05")
    add("--search-lag", type=float, default=0.0, help="seconds by which search lags behind writes")
    add("--seed", type=int, default=1, help="of every random choice")
    add("--seed-contacts", type=int, default=0)
    add("--seed-leads", type=int, default=0)
    add("--seed-deals", type=int, default=0, help="of the first contacts")
    add("--redirect-uri", help="the client's redirect address")
    add("--auto-consent", action="store_true", help="the consent page accepts by itself")
    add("--without-hub-id", action="store_true", help='the organisation has no field "Hub ID"')
    return parser


if __name__ == "__main__":
    sys.exit(main())
