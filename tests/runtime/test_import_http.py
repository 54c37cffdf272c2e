"""The importing process asks vendors by a client of its own: it answers and fails as httpx's own does (DESIGN 11)."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from hub.runtime.import_http import ThreadTransport
from tests.ports import free_port
from tests.tls import contexts_for

PAGE = b'{"_embedded": {"contacts": []}}' * 10_000


def answer(head: str, body: bytes = b"", *, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def whole(body: bytes, head: str = "") -> bytes:
    return answer(f"{head}Content-Length: {len(body)}\r\n", body)


ANSWERS = {
    "/page": whole(PAGE, "Content-Type: application/hal+json\r\nX-Twice: a\r\nX-Twice: b\r\n"),
    "/gzip": whole(gzip.compress(PAGE), "Content-Encoding: gzip\r\n"),
    "/chunked": answer("Transfer-Encoding: chunked\r\n", b"5\r\n12345\r\n3\r\n678\r\n0\r\n\r\n"),
    "/to-the-end": answer("Connection: close\r\n", PAGE),
    "/empty": answer("", status="204 No Content"),
    "/refused": answer("Content-Length: 5\r\n", b"later", status="429 Too Many Requests"),
    "/moved": answer("Location: /page\r\nContent-Length: 0\r\n", status="302 Found"),
    "/cut": answer("Content-Length: 500\r\n", b"half"),
    "/nothing": b"",
    "/garbage": b"who are you?\r\n\r\n",
}
#: after these the server says goodbye
LAST = {"/to-the-end", "/cut", "/nothing", "/garbage"}


class Vendor:
    """Answers each path as told; remembers what came on which connection."""

    def __init__(self) -> None:
        self.connections = 0
        self.heard: list[tuple[str, bytes]] = []
        self.asked = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        while head := await self._head(reader):
            length = next((int(line[16:]) for line in head if line.lower().startswith("content-length: ")), 0)
            self.heard.append((head[0], await reader.readexactly(length)))
            self.asked.set()
            path = head[0].split(" ")[1].partition("?")[0]
            if path == "/silence":
                continue
            writer.write(ANSWERS[path])
            await writer.drain()
            if path in LAST:
                break
        writer.close()

    @staticmethod
    async def _head(reader: asyncio.StreamReader) -> list[str]:
        try:
            return (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return []

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Vendor, str]]:
    vendor = Vendor()
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield vendor, f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        vendor.hang_up()
        server.close()
        await server.wait_closed()


def client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, timeout=20, follow_redirects=False)


async def outcome(http: httpx.AsyncClient, url: str, method: str, body: bytes | None) -> object:
    """The answer, or the kind of error."""
    try:
        timeout = httpx.Timeout(20, read=0.2) if "/silence" in url else 20
        found = await http.request(method, url, content=body, timeout=timeout)
    except httpx.TransportError as err:
        return type(err)
    return found.status_code, found.headers.raw, found.headers.get_list("X-Twice"), found.content


@pytest.mark.parametrize("path", [*ANSWERS, "/silence", "/page?filter[id][]=1&order[updated_at]=desc&with=leads,%20x"])
@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b'{"name": "Oleg"}'), ("POST", b"")])
async def test_it_answers_and_fails_as_httpx_does(path: str, method: str, body: bytes | None) -> None:
    async with listening() as (vendor, address), AsyncExitStack() as stack:
        told = []
        for transport in (httpx.AsyncHTTPTransport(), ThreadTransport(ssl.create_default_context)):
            http = await stack.enter_async_context(client(transport))
            found = await outcome(http, address + path, method, body)
            told.append(_lowered(found))
        assert told[0] == told[1]
        assert vendor.heard[0] == vendor.heard[1]


def _lowered(found: object) -> object:
    """Names of headers in small letters: httpx keeps the vendor's."""
    if isinstance(found, tuple):
        status, raw, *rest = found
        return status, [(name.lower(), value) for name, value in raw], *rest
    return found


async def test_pages_come_over_one_connection_and_over_a_new_one_when_the_vendor_has_hung_up() -> None:
    async with listening() as (vendor, address), client(ThreadTransport(ssl.create_default_context)) as http:
        for _ in range(3):
            assert (await http.get(f"{address}/page")).content == PAGE
        assert vendor.connections == 1
        vendor.hang_up()
        await vendor.writers[0].wait_closed()
        assert (await http.get(f"{address}/page")).content == PAGE
        assert vendor.connections == 2
        # an answer that cannot be trusted leaves no connection to go on with
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{address}/cut")
        assert (await http.get(f"{address}/page")).content == PAGE


async def test_requests_at_once_do_not_wait_for_each_other() -> None:
    async with listening() as (vendor, address), client(ThreadTransport(ssl.create_default_context)) as http:
        hanging = asyncio.create_task(http.get(f"{address}/silence"))
        await vendor.asked.wait()
        assert (await http.get(f"{address}/page")).content == PAGE
        assert not hanging.done()
        vendor.hang_up()
        with pytest.raises(httpx.RemoteProtocolError):
            await hanging


async def test_nobody_listening_is_a_connection_that_failed() -> None:
    async with client(ThreadTransport(ssl.create_default_context)) as http:
        assert await outcome(http, f"http://127.0.0.1:{free_port()}/page", "GET", None) is httpx.ConnectError


async def test_a_vendor_is_believed_only_with_a_certificate_that_is_trusted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server, trusting = contexts_for("127.0.0.1", tmp_path_factory.mktemp("tls"))
    async with listening(server) as (_, address):
        async with client(ThreadTransport(lambda: trusting)) as http:
            assert (await http.get(f"{address}/page")).content == PAGE
        async with client(ThreadTransport(ssl.create_default_context)) as http:
            assert await outcome(http, f"{address}/page", "GET", None) is httpx.ConnectError
