"""Every route: security headers, one shape of errors, and a server that starts and stops as told (DESIGN 8)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from hub.web.headers import SECURITY_HEADERS
from hub.web.server import GRACE, serve_forever
from tests.web.conftest import Web

MACHINE_ROUTES = {
    "/hooks/{project}/{channel}/{secret}",
    "/forward/{project}/{channel}/{secret}",
    "/forms/{project}/{secret}",
    "/crm/{project}/{connection}/{secret}",
    "/oauth/{vendor}/callback",
    "/oauth/{vendor}/disconnect",
    "/healthz",
    "/readyz",
    "/metrics",
}


def paths(web: Web) -> list[str]:
    found = []
    for route in web.app.routes:
        assert isinstance(route, Route | Mount)
        found.append(route.path)
    return found


async def test_every_address_of_the_design_is_there(web: Web) -> None:
    assert set(paths(web)) >= MACHINE_ROUTES


async def test_every_route_has_the_security_headers(web: Web) -> None:
    for path in [*paths(web), "/nowhere"]:
        asked = re.sub(r"\{[^}]*\}", "x", path) or "/"
        answer = await web.client.get(asked)
        for name, _ in SECURITY_HEADERS:
            if name == b"x-frame-options" and "frame-ancestors" in answer.headers["content-security-policy"]:
                # the newer word for the same, and the only one that can name who may
                continue
            assert name.decode() in answer.headers, f"{asked} has no {name.decode()}"
        assert "server" not in answer.headers, asked


async def test_every_error_for_programs_has_one_shape(web: Web) -> None:
    asked = [("GET", "/nowhere"), ("PUT", "/healthz"), ("POST", "/oauth/none/disconnect"), ("DELETE", "/metrics")]
    for method, path in asked:
        answer = await web.client.request(method, path, headers={"accept": "application/json"})
        assert answer.status_code >= 400, path
        assert set(answer.json()) == {"error", "field", "request_id"}, path
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_browser_gets_a_sentence(web: Web) -> None:
    answer = await web.client.get("/nowhere", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


async def test_what_breaks_tells_the_caller_nothing(web: Web) -> None:
    web.app.state.services = None
    answer = await web.client.get("/readyz")
    assert answer.status_code == 500
    assert answer.json()["error"] == "something went wrong in the hub"
    assert {name.decode() for name, _ in SECURITY_HEADERS} <= set(answer.headers)


async def test_https_stays_https(web: Web) -> None:
    assert "max-age" in (await web.client.get("/healthz")).headers["strict-transport-security"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server_and_not_the_process(web: Web, number: signal.Signals) -> None:
    """What comes after the server (the hub's own end) must still run."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_forever(web.app, "127.0.0.1", 0, ready=port.set_result))
    assert await asyncio.wait_for(port, 30) > 0
    os.kill(os.getpid(), number)
    await asyncio.wait_for(serving, 10)


@pytest.mark.parametrize("turns", range(4))
async def test_whoever_connects_at_the_very_end_holds_up_nothing_and_is_let_go(web: Web, turns: int) -> None:
    """H3: a worker that is restarted waits for requests, not for connections that it has hardly taken."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_forever(web.app, "127.0.0.1", 0, ready=port.set_result))
    with socket.create_connection(("127.0.0.1", await asyncio.wait_for(port, 30))) as caller:
        for _ in range(turns):
            await asyncio.sleep(0)
        serving.cancel()
        await asyncio.wait((serving,), timeout=GRACE / 2)
        assert serving.done()
        caller.settimeout(GRACE)
        # let go, or never taken
        with contextlib.suppress(ConnectionResetError):
            assert caller.recv(1) == b""


@pytest.mark.parametrize(
    ("proxies", "seen"), [("", "127.0.0.1"), ("127.0.0.1", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")]
)
async def test_only_a_proxy_that_is_named_is_believed_for_whom_it_asks(proxies: str, seen: str) -> None:
    """HUB_PROXIES: else anybody could make up an address, or all visitors would share the proxy's."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await PlainTextResponse(scope["client"][0])(scope, receive, send)

    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_forever(app, "127.0.0.1", 0, ready=port.set_result, proxies=proxies))
    address = f"http://127.0.0.1:{await asyncio.wait_for(port, 30)}"
    async with httpx.AsyncClient() as client:
        answer = await client.get(address, headers={"X-Forwarded-For": "198.51.100.9, 203.0.113.7"})
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert answer.text == seen


async def test_an_address_that_is_taken_says_so(web: Web) -> None:
    with pytest.raises(OSError, match=r"[Aa]ddress"):
        await serve_forever(web.app, "127.0.0.1", web.port, ready=lambda _: None)
