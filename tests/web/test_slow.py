"""Who says nothing, or says it too slowly, does not hold what others need, also without nginx (H8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from hub.runtime.services import Services
from hub.web import limits, server
from tests.web.conftest import Web, serving, set_up

HEAD = b"POST /console/login HTTP/1.1\r\nHost: hub\r\nContent-Type: application/x-www-form-urlencoded\r\n"


async def test_a_form_that_trickles_in_is_refused_in_time(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FORM_TIME", timedelta(milliseconds=200))
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    try:
        writer.write(HEAD + b"Content-Length: 500\r\n\r\nlogin=olha&pass")
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            assert b"connection: close" in await reader.read()
    finally:
        writer.close()


async def test_a_connection_that_never_says_what_it_wants_is_closed(
    make_services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is silent, one that stops amid its headers; one that was served and waits keeps its own time."""
    monkeypatch.setattr(server, "HEADERS", 0.2)
    services = make_services()
    set_up(services)
    async with serving(services) as web:
        silent, halting, served = [await asyncio.open_connection("127.0.0.1", web.port) for _ in range(3)]
        try:
            halting[1].write(HEAD)
            served[1].write(b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
            async with asyncio.timeout(40):
                assert (await served[0].readline()).startswith(b"HTTP/1.1 ")
                assert await silent[0].read() == b""
                assert await halting[0].read() == b""
            assert not served[0].at_eof()
        finally:
            for _, writer in (silent, halting, served):
                writer.close()
    services.close()
