"""Answers that break on their way (X4, X5)."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest

from hub.runtime.vendor_client import VendorClient

PACKED = gzip.compress(b'{"id": 1}')


@pytest.mark.parametrize(
    ("coding", "body", "length"),
    [("gzip", b'{"id": 1}', 9), ("gzip", b"\x1f\x8b" + PACKED[12:], 30), ("identity", b'{"id": 1', 9)],
    ids=["gzip that is none", "gzip that is damaged", "cut off"],
)
async def test_a_body_that_did_not_arrive_whole_is_an_error_of_the_way(coding: str, body: bytes, length: int) -> None:
    """Plugins take it for what it is: nobody knows what became of the request."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, VendorClient(trust_env=False) as http:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://127.0.0.1:{port}/")
