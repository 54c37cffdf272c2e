"""``/_sandbox/…``: the sandbox ordered from outside, as JSON. Not rate limited, no token needed.

Refused orders answer 400 with ``{"error": …}``.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from .sandbox import Sandbox


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of one sandbox; every order is also a method of ``Sandbox``."""
    control = _Control(sandbox)

    def route(path: str, handler: Callable[[Request], Awaitable[Any]], *methods: str) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(await handler(request))
            except (ValueError, TypeError, KeyError) as err:
                return JSONResponse({"error": str(err)}, status_code=400)

        return Route(path, endpoint, methods=list(methods))

    return [
        route("/health", control.health, "GET"),
        route("/switches", control.switches, "GET", "POST", "PATCH"),
        route("/faults", control.faults, "GET", "POST", "DELETE"),
        route("/records", control.records, "GET"),
        route("/stats", control.stats, "GET", "DELETE"),
        route("/requests", control.requests, "GET"),
        route("/deliveries", control.deliveries, "GET"),
        route("/clock", control.clock, "GET", "POST"),
        route("/person", control.person, "POST"),
        route("/tokens", control.tokens, "POST"),
        route("/seed", control.seed, "POST"),
        route("/reset", control.reset, "POST"),
        route("/settle", control.settle, "POST"),
    ]


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def health(self, request: Request) -> Any:
        return {"ok": True, "now": self._sandbox.world.clock.now()}

    async def switches(self, request: Request) -> Any:
        if request.method != "GET":
            self._sandbox.switch(**await _object(request))
        return dataclasses.asdict(self._sandbox.world.switches)

    async def faults(self, request: Request) -> Any:
        if request.method == "DELETE":
            self._sandbox.clear_faults()
        if request.method == "POST":
            body = await request.json()
            for fault in body if isinstance(body, list) else [body]:
                self._sandbox.order_fault(fault)
        return [dataclasses.asdict(fault) for fault in self._sandbox.faults.waiting]

    async def records(self, request: Request) -> Any:
        return self._sandbox.records()

    async def stats(self, request: Request) -> Any:
        if request.method == "DELETE":
            self._sandbox.reset_stats()
        return self._sandbox.stats()

    async def requests(self, request: Request) -> Any:
        return self._sandbox.requests()[-int(request.query_params.get("limit", 1000)) :]

    async def deliveries(self, request: Request) -> Any:
        return self._sandbox.deliveries()[-int(request.query_params.get("limit", 1000)) :]

    async def clock(self, request: Request) -> Any:
        if request.method == "POST":
            self._sandbox.advance(float((await _object(request))["advance"]))
        return {"now": self._sandbox.world.clock.now()}

    async def person(self, request: Request) -> Any:
        body = await _object(request)
        return self._sandbox.person(body.pop("action"), **body)

    async def tokens(self, request: Request) -> Any:
        body = await _object(request)
        match body.get("kind", "refresh"):
            case "refresh":
                return {"refresh_token": self._sandbox.refresh_token()}
            case "code":
                return {"code": self._sandbox.authorization_code()}
            case kind:
                raise ValueError(f"kind is refresh or code, not {kind!r}")

    async def seed(self, request: Request) -> Any:
        body = await _object(request)
        return self._sandbox.seed(**{name: int(value) for name, value in body.items()})

    async def reset(self, request: Request) -> Any:
        await self._sandbox.settled(at_once=True)
        await asyncio.to_thread(self._sandbox.reset)
        return {}

    async def settle(self, request: Request) -> Any:
        await self._sandbox.settled(at_once=bool((await _object(request)).get("at_once")))
        return self._sandbox.stats()


async def _object(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if not raw.strip():
        return {}
    body = await request.json()
    if not isinstance(body, dict):
        raise ValueError("an object is expected")
    return body
