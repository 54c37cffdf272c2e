"""Runs a sandbox on a loopback port: in a thread for tests, or as its own process."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .sandbox import Sandbox

_START_SECONDS = 15.0


class _CuttableProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn picks the class itself
    """uvicorn's protocol that also hands its connection to the application, which may cut it."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """uvicorn's server that stops as soon as it is told to, from any thread."""

    #: called once it serves, if set
    announce: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and self.announce is not None:
            self.announce()

    async def main_loop(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        ticks = asyncio.create_task(super().main_loop())
        told = asyncio.create_task(self._told.wait())
        await asyncio.wait((ticks, told), return_when=asyncio.FIRST_COMPLETED)
        for task in (ticks, told):
            task.cancel()
        await asyncio.gather(ticks, told, return_exceptions=True)

    def stop(self) -> None:
        """End serving."""
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._told.set)


def server_for(sandbox: Sandbox) -> _Server:
    """A uvicorn server for the sandbox; give it sockets to serve on."""
    return _Server(
        uvicorn.Config(
            sandbox.app,
            http=_CuttableProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            backlog=4096,
        )
    )


def listening_socket(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A bound socket; port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


@contextmanager
def serve(sandbox: Sandbox, *, port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """Serve the sandbox from a thread: ``with serve(Sandbox()) as (sandbox, base_url):``."""
    listener = listening_socket(port)
    server = server_for(sandbox)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the sandbox did not start")
        time.sleep(0.002)
    try:
        yield sandbox, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        sandbox.release()
        server.stop()
        thread.join(timeout=_START_SECONDS)
        listener.close()
