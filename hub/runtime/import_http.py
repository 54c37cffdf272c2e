"""The importing process's way to a vendor: the standard library's HTTP client, each request in a thread (DESIGN 11).

An import asks for one page after another and gets some hundred kilobytes each time. On the event loop these come in
many small pieces through several layers: six times the processor time that a thread needs that waits at its socket.
"""

from __future__ import annotations

import asyncio
import http.client
import select
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import httpx

__all__ = ["ThreadTransport"]

#: scheme, host, port
_Origin: TypeAlias = tuple[str, str, int | None]


class ThreadTransport(httpx.AsyncBaseTransport):
    """Keeps the connections alive that answered; never sends anything twice."""

    def __init__(self, certificates: Callable[[], ssl.SSLContext]) -> None:
        self._certificates = certificates
        self._idle: dict[_Origin, list[http.client.HTTPConnection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer. Raises httpx.TransportError as httpx's own transport does."""
        return await asyncio.to_thread(self._ask, request, await request.aread())

    async def aclose(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _ask(self, request: httpx.Request, body: bytes) -> httpx.Response:
        origin = (request.url.scheme, request.url.host, request.url.port)
        timeouts = request.extensions.get("timeout", {})
        connection = self._alive(origin) or self._connected(request, origin, timeouts.get("connect"))
        try:
            with _told(request, httpx.WriteTimeout, httpx.WriteError):
                connection.sock.settimeout(timeouts.get("write"))
                target = request.url.raw_path.decode("ascii")
                connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
                for name, value in request.headers.raw:
                    connection.putheader(name.decode("ascii"), value)
                connection.endheaders(body or None, encode_chunked="transfer-encoding" in request.headers)
            with _told(request, httpx.ReadTimeout, httpx.ReadError):
                connection.sock.settimeout(timeouts.get("read"))
                answer = connection.getresponse()
                content = answer.read()
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:  # neither side wants to close it
            self._idle.setdefault(origin, []).append(connection)
        return httpx.Response(answer.status, headers=answer.getheaders(), stream=httpx.ByteStream(content))

    def _alive(self, origin: _Origin) -> http.client.HTTPConnection | None:
        """A connection that the vendor has not closed meanwhile; one that says anything unasked is closed too."""
        waiting = self._idle.get(origin, [])
        while waiting:
            connection = waiting.pop()
            if not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return None

    def _connected(self, request: httpx.Request, origin: _Origin, timeout: float | None) -> http.client.HTTPConnection:
        scheme, host, port = origin
        connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=self._certificates())
            if scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        with _told(request, httpx.ConnectTimeout, httpx.ConnectError):
            connection.connect()
        return connection


@contextmanager
def _told(
    request: httpx.Request, late: type[httpx.TransportError], broken: type[httpx.TransportError]
) -> Iterator[None]:
    """What goes wrong inside, in httpx's words."""
    try:
        yield
    except TimeoutError as err:
        raise late(str(err), request=request) from err
    except http.client.HTTPException as err:  # one of them is an OSError too
        raise httpx.RemoteProtocolError(f"{type(err).__name__}: {err}", request=request) from err
    except OSError as err:
        raise broken(str(err), request=request) from err
