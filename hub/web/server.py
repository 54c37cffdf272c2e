"""The web server: uvicorn as the hub wants it, on any port, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hub.web.prompt import AnswersAtOnce, PromptProtocol

__all__ = ["HasStreams", "serve_forever", "server_config"]

#: seconds that running requests get to end after SIGTERM
GRACE = 10
#: seconds that a connection may stay open between requests
KEEP_ALIVE = 30
#: seconds within which a connection, once open, has to say what it wants; looked at as often, so it may take twice
HEADERS = 15
BACKLOG = 2048
#: uvloop lets in one connection for each descriptor in one turn of the loop: with a single one, turns of a millisecond
#: (background work, threads) let in fewer than a thousand a second, and the others queue for seconds. Each further one
#: costs a lone connection 2 microseconds; where connections queue, four save 5
LISTENERS = 4
#: how many more objects make the garbage collector look for garbage. Python's own 700 are held by the answers of a
#: moment until the journal has them: at 500 questions a second it looked eleven times a second, for up to 5 ms each, at
#: what was about to go by itself
NEW_OBJECTS = 10_000


def server_config(app: ASGIApp, *, proxies: str = "") -> uvicorn.Config:
    """uvicorn for ``app``; no access log, since addresses end in secrets (H8), and no banner in the answers.

    ``proxies``: addresses or networks, after commas, that are believed for whom they ask (``X-Forwarded-For``).
    """
    # what makes a connection's protocol need not be its class, though uvicorn writes it so
    protocol: Any = partial(PromptProtocol, app, {}) if isinstance(app, AnswersAtOnce) else "httptools"
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        backlog=BACKLOG,
    )


@runtime_checkable
class HasStreams(Protocol):
    """An application with answers that never end by themselves."""

    def stopping(self) -> None:
        """No more requests come: end what would go on for ever."""
        ...


class _Server(uvicorn.Server):
    """uvicorn that tells its port, sleeps while nothing happens, and leaves the process alone when it stops."""

    def __init__(self, config: uvicorn.Config, app: ASGIApp, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._app, self._ready = app, ready
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Take no more connections, finish what runs; a second time, do not wait for it."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._stop.set()
        if isinstance(self._app, HasStreams):
            self._app.stopping()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            # what is there now stays: looking through it for garbage would stop every answer for a tenth of a second
            gc.collect()
            gc.freeze()
            gc.set_threshold(NEW_OBJECTS)
            self._ready(sockets[0].getsockname()[1])

    async def main_loop(self) -> None:
        """Wait for `stop`; uvicorn's own loop looks ten times a second for things that are switched off here.

        Who opens connections and never says what they are for would hold them for ever where no nginx stands before
        the hub: one look at all of them costs less than a timer for each.
        """
        unsaid: Mapping[HttpToolsProtocol, object] = {}
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEADERS):
                    await self._stop.wait()
            open_now = [one for one in self.server_state.connections if isinstance(one, HttpToolsProtocol)]
            for one in open_now:
                if isinstance(one, PromptProtocol) and one.has_rested():
                    one.transport.close()
            now: dict[HttpToolsProtocol, object] = {one: one.scope for one in open_now if _is_unsaid(one)}
            for one, scope in now.items():
                # the same unfinished request, or none at all, as at the last look
                if one in unsaid and unsaid[one] is scope:
                    one.transport.close()
            unsaid = now

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs, and leave no connection open.

        Whom the system lets in at this very moment is known only some turns of the loop later. uvicorn would wait the
        whole `GRACE` for them to go by themselves; asyncio's own loop forgets, and leaves open, whoever it took while
        it closes: it takes nobody before it does.
        """
        loop = asyncio.get_running_loop()
        for one in sockets or ():
            with contextlib.suppress(RuntimeError):
                loop.remove_reader(one)
        await _turn()
        for server in self.servers:
            server.close()
        await _turn()
        await super().shutdown(sockets)
        for connection in self.server_state.connections:
            if isinstance(connection, HttpToolsProtocol):
                connection.transport.abort()
        await _turn()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop serving on a signal; uvicorn's own would raise it again and end the process with work unfinished."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)


async def _turn() -> None:
    """Let the loop turn more often than it takes from a connection's arrival until it is known, or gone."""
    for _ in range(5):
        await asyncio.sleep(0)


def _is_unsaid(connection: HttpToolsProtocol) -> bool:
    """Whether the request that has begun, or the first one, is not known yet: its headers are not complete."""
    if isinstance(connection, PromptProtocol) and connection.rested is not None:
        return False
    return connection.cycle is None or connection.cycle.scope is not connection.scope


async def serve_forever(app: ASGIApp, host: str, port: int, *, ready: Callable[[int], None], proxies: str = "") -> None:
    """Serve ``app`` until SIGTERM or SIGINT, or until cancelled; requests under way are finished first.

    ``ready`` is called with the port (the one that was found, for 0) once requests are accepted. Raises OSError if
    the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named, or asyncio's own loop leaves Nagle's algorithm on: 40 ms for every answer after the first
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    doors = [listening]
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.setblocking(False)
        server = _Server(server_config(app, proxies=proxies), app, ready)
        doors += [listening.dup() for _ in range(LISTENERS - 1)]
        serving = asyncio.create_task(server.serve(sockets=doors), name="web server")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            raise
    finally:
        for door in doors:
            door.close()
