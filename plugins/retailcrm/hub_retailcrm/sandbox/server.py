"""Serves a sandbox on a loopback port: from a thread for tests, or as a process of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from .sandbox import Sandbox

_SECONDS = 15.0


class _OpenHanded(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn picks the class itself
    """uvicorn's protocol, with the connection in reach of the application, which may have to cut it."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.app_state = self.app_state | {"connection": transport}


class SandboxServer(uvicorn.Server):
    """Tells when it serves, and ends when it is told to."""

    def __init__(self, sandbox: Sandbox, serving: Callable[[], None]) -> None:
        config = uvicorn.Config(
            sandbox.app,
            http=_OpenHanded,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._serving = serving
        self._end = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._serving()

    async def main_loop(self) -> None:
        # uvicorn looks every 100 ms whether it should end: too long for hundreds of tests
        self._loop = asyncio.get_running_loop()
        loop, end = asyncio.create_task(super().main_loop()), asyncio.create_task(self._end.wait())
        await asyncio.wait((loop, end), return_when=asyncio.FIRST_COMPLETED)
        loop.cancel()
        end.cancel()
        await asyncio.gather(loop, end, return_exceptions=True)

    def stop(self) -> None:
        """End; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end.set)


def bind(port: int = 0, host: str = "127.0.0.1") -> socket.socket:
    """A socket on ``port``; 0 takes a free one."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


@contextmanager
def serve(sandbox: Sandbox, *, port: int = 0) -> Iterator[tuple[Sandbox, str]]:
    """``with serve(Sandbox()) as (sandbox, address):``, from a thread."""
    ready = threading.Event()
    with bind(port) as listener:
        server = SandboxServer(sandbox, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        if not ready.wait(_SECONDS):
            raise RuntimeError("the sandbox did not start")
        try:
            yield sandbox, f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            sandbox.release()
            server.stop()
            thread.join(_SECONDS)
