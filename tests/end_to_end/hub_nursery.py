"""Hubs that can be killed again and again: a process that has everything imported forks one hub after the other.

``python -m tests.end_to_end.hub_nursery`` reads one JSON order a line from its standard input, ``{"crash_at": "name:n",
"believes_nothing": false}``, and forks a hub with its web server, settings from the environment. It answers with lines
``{"pid": …}``, ``{"ready": seconds}`` and ``{"ended": status}``. A fresh interpreter would spend its time on imports
and a crash test wants hundreds of restarts; whatever a hub does after its imports is done anew in every fork.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time
from typing import Any

from hub.compose import Hub
from hub.core.phone import parse_phone
from hub.engine import checkpoints
from hub.logs import set_up_logs
from hub.plugins import load_plugins
from hub.runtime import pace
from hub.runtime.certificates import certificates
from hub.runtime.doubt import Doubt
from hub.runtime.results import Results
from hub.settings import load_settings
from hub.store import steps
from hub.web.app import build_app
from hub.web.server import serve_forever
from hub.web.worker_app import build_worker_app


def main() -> None:
    """Fork a hub for each order, until the input ends."""
    # every hub imports all plugins that are installed; the rest is loaded lazily by its libraries
    load_plugins()
    for module in (
        "httpcore",
        "sqlalchemy.dialects.sqlite",
        "uvicorn.protocols.http.httptools_impl",
        *(("hub.runtime.fleet", "hub.store.postgres") if "HUB_DATABASE_URL" in os.environ else ()),
    ):
        importlib.import_module(module)
    parse_phone("0501112233", "UA")
    certificates()
    # as the command does once it has its imports: no fork looks for garbage among them
    gc.freeze()
    _say({"waiting": True})
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _live(order, began)
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"ended": os.waitstatus_to_exitcode(status)})


def _live(order: dict[str, Any], began: float) -> None:
    """Be a hub; never returns."""
    os.environ["HUB_CRASH_AT"] = order.get("crash_at", "")
    importlib.reload(checkpoints)
    # as if this process had begun with its imports: a fork lives on its forebear's heels, a real start does not
    pace.started = time.monotonic() + 0.5
    if order.get("believes_nothing"):
        believe_nothing()
    settings = load_settings()
    set_up_logs(settings)

    async def live() -> None:
        hub = Hub(settings)
        async with hub:
            await serve_forever(
                build_worker_app(hub.services) if settings.role == "worker" else build_app(hub.services),
                settings.host,
                settings.port,
                ready=lambda _: _say({"ready": time.monotonic() - began}),
            )

    status = 1
    try:
        asyncio.run(live())
        status = 0
    finally:
        os._exit(status)


def believe_nothing() -> None:
    """Take the in-doubt check out: what was sent is sent again without a look. A test must see doubles then."""

    async def send_again(doubt: Doubt) -> None:
        account, now = doubt._account, doubt._clock.now()
        due = await doubt._store.read(lambda conn: steps.due_doubts(conn, account.project, account.name, now))
        if due:
            await doubt._finish(Results(again=[(step, "not looked for", None, False) for step in due]))

    Doubt.check_due = send_again  # type: ignore[method-assign,assignment]  # the very thing that the test takes away


def _say(what: dict[str, Any]) -> None:
    # one write: lines of a hub and of its nursery must not mix
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    main()
