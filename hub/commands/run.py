"""``hub run`` and ``hub backup``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import uvloop
from sqlalchemy.exc import DatabaseError

from hub.commands.context import Exit, console, fail, no_folder, opened, quietly, say, unusable
from hub.compose import Hub
from hub.errors import ConfigurationError
from hub.logs import set_up_logs
from hub.settings import Settings, load_settings
from hub.store import backup as copies
from hub.web.app import build_app
from hub.web.server import serve_forever
from hub.web.worker_app import build_worker_app

__all__ = ["backup", "run", "serve_hub"]

log = logging.getLogger(__name__)

#: seconds that the end in order may take once requests are answered; with their `hub.web.server.GRACE` less than the 30
#: of the files in ``deploy/``
LONGEST_END = 15.0


def run(*, role: str | None, host: str | None, port: int | None) -> None:
    """Run until SIGTERM or Ctrl+C."""
    ending = threading.Timer(LONGEST_END, _end_now)
    ending.daemon = True
    try:
        settings = load_settings(role=role, host=host, port=port)
        set_up_logs(settings)
        quietly(lambda: uvloop.run(serve_hub(settings, ending=ending.start)))
    except ConfigurationError as err:
        raise fail(str(err)) from err
    except DatabaseError as err:
        # what supervises the process starts it again; the others keep what comes in meanwhile
        raise fail(unusable(err), Exit.UNAVAILABLE) from err
    except OSError as err:
        raise fail(f"cannot listen on {host or 'HUB_HOST'}: {err}", Exit.UNAVAILABLE) from err
    finally:
        ending.cancel()


def _end_now() -> None:
    """A database that stands still holds threads which nothing can stop; what is left undone is what a kill leaves."""
    log.error(
        "the end in order takes too long, so it is cut short: what was accepted is kept, and goes on at the next start",
        extra={"action": "hub.cut_short"},
    )
    os._exit(Exit.UNAVAILABLE)


async def serve_hub(settings: Settings, *, ending: Callable[[], None] = lambda: None) -> None:
    """The whole hub in this process: workers and web, as ``settings.role`` says; ``ending`` hears when it ends."""
    try:
        hub = Hub(settings)
    except OSError as err:
        raise fail(no_folder(err)) from err

    def ready(port: int) -> None:
        log.info("the hub serves on http://%s:%d", settings.host, port, extra={"action": "hub.ready"})
        say("The hub serves on {address} (console: /console/)", address=f"http://{settings.host}:{port}")

    # a worker answers nobody but those who look after it
    app = build_worker_app(hub.services) if settings.role == "worker" else build_app(hub.services)
    async with hub:
        try:
            await serve_forever(app, settings.host, settings.port, ready=ready, proxies=settings.proxies)
        finally:
            ending()


def backup(target: Path) -> None:
    """Copy the truth and ``directory.db`` consistently; a PostgreSQL by ``pg_dump``."""
    with opened() as services:
        settings = services.settings
        if not services.store.is_sqlite:
            console.print(f"{copies.dump(services.store.url, target)}", highlight=False)
            say("The key of the encrypted columns is not copied: keep it elsewhere.", style="dim")
            return
        files = [Path(services.store.url.database or ""), settings.directory_path]
        for copy in copies.backup(files, target):
            console.print(f"{copy}", highlight=False)
        say("The key of the encrypted columns is not copied: keep it elsewhere.", style="dim")
