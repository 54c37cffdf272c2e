"""Runs a sandbox on a loopback port: from a thread for tests, or as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

__all__ = ["ATTENDED", "SandboxServer", "listening_socket", "run_until_stopped", "serve_app"]

#: set in the environment by whoever starts a sandbox and holds its standard input: when that input ends, since the
#: one who held it is gone in whatever way, the sandbox ends too
ATTENDED = "HUB_SANDBOX_ATTENDED"

_START_SECONDS = 15.0

#: Seconds that a connection stays open between requests: nginx's own default, as vendors have it before them. uvicorn's
#: 5 are just those after which httpx gives an idle connection up: the sandbox closed it at the very moment at which a
#: client asked on it again, and that request failed for no fault of either.
_KEEP_ALIVE = 75


class _CuttableProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn picks the class itself
    """uvicorn's protocol that also hands its connection to the application, which may cut it."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class SandboxServer(uvicorn.Server):
    """Tells when it serves, and stops as soon as it is told to, from any thread."""

    def __init__(self, app: ASGIApp, serving: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_CuttableProtocol,
                ws="none",
                lifespan="auto",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=1,
                backlog=4096,
            )
        )
        self._serving = serving
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._serving()

    async def main_loop(self) -> None:
        # uvicorn looks every 100 ms whether it should end: too long for hundreds of tests
        self._loop = asyncio.get_running_loop()
        ticks, told = asyncio.create_task(super().main_loop()), asyncio.create_task(self._told.wait())
        await asyncio.wait((ticks, told), return_when=asyncio.FIRST_COMPLETED)
        for task in (ticks, told):
            task.cancel()
        await asyncio.gather(ticks, told, return_exceptions=True)

    def stop(self) -> None:
        """End serving; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)


def listening_socket(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A bound socket; port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


@contextmanager
def serve_app(
    app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, before_stop: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Serve any ASGI app from a thread of its own; gives its address. RuntimeError if it does not start."""
    ready = threading.Event()
    with listening_socket(port, host) as listener:
        server = SandboxServer(app, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
        thread.start()
        if not ready.wait(_START_SECONDS):
            raise RuntimeError("the sandbox did not start")
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            before_stop()
            server.stop()
            thread.join(timeout=_START_SECONDS)


def run_until_stopped(
    app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, listening: Callable[[str], str] = lambda address: address
) -> None:
    """Serve until SIGTERM or SIGINT, then return. Once it serves, one line is printed: what ``listening`` says of the
    address, the address itself by default. Where `ATTENDED` is set, the end of standard input ends it as well."""
    with listening_socket(port, host) as listener:
        line = listening(f"http://{host}:{listener.getsockname()[1]}")

        def announce() -> None:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

        # uvicorn raises the signal again once it has stopped: by then it must not end the process, for state may
        # still have to be written
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        server = SandboxServer(app, announce)
        if os.environ.get(ATTENDED):
            threading.Thread(target=_stop_with_input, args=(server,), name="attended", daemon=True).start()
        server.run(sockets=[listener])


def _stop_with_input(server: SandboxServer) -> None:
    """End ``server`` when nobody holds this process's standard input any more."""
    # not sys.stdin: a thread that waits inside it would hold its lock when the interpreter ends
    while os.read(0, 4096):
        pass
    server.stop()
