"""``/_sandbox/…``: a sandbox ordered from outside, as JSON; no token, no limit."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from .sandbox import CrmSandbox

__all__ = ["Handler", "crm_controls", "json_object", "order"]

#: how many requests are shown where the caller does not say
_SHOWN = 1000

#: what it returns is answered as JSON
Handler = Callable[[Request], Awaitable[Any]]


def order(path: str, handler: Handler, *methods: str) -> Route:
    """A control route. Refused orders (ValueError, TypeError, KeyError) answer 400 with ``{"error": …}``."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except (ValueError, TypeError, KeyError) as err:
            return JSONResponse({"error": str(err)}, status_code=400)

    return Route(path, endpoint, methods=list(methods))


async def json_object(request: Request) -> dict[str, Any]:
    """The request's body, {} if there is none; ValueError if it is no object."""
    raw = await request.body()
    if not raw.strip():
        return {}
    body = await request.json()
    if not isinstance(body, dict):
        raise ValueError("an object is expected")
    return body


def crm_controls(sandbox: CrmSandbox[Any, Any]) -> list[Route]:
    """What every CRM's sandbox is ordered by; each order is also a method of `CrmSandbox`."""

    async def health(_: Request) -> Any:
        return {"ok": True, "now": sandbox.world.clock.now()}

    async def switches(request: Request) -> Any:
        if request.method != "GET":
            sandbox.switch(**await json_object(request))
        return dataclasses.asdict(sandbox.world.switches)

    async def faults(request: Request) -> Any:
        if request.method == "DELETE":
            sandbox.clear_faults()
        if request.method == "POST":
            body = await request.json()
            for fault in body if isinstance(body, list) else [body]:
                sandbox.order_fault(fault)
        return [dataclasses.asdict(fault) for fault in sandbox.faults.waiting]

    async def records(_: Request) -> Any:
        return sandbox.records()

    async def stats(request: Request) -> Any:
        if request.method == "DELETE":
            sandbox.reset_stats()
        return sandbox.stats()

    async def requests(request: Request) -> Any:
        return sandbox.requests()[-int(request.query_params.get("limit", _SHOWN)) :]

    async def clock(request: Request) -> Any:
        if request.method == "POST":
            sandbox.advance(float((await json_object(request))["advance"]))
        return {"now": sandbox.world.clock.now()}

    async def person(request: Request) -> Any:
        body = await json_object(request)
        return sandbox.person(body.pop("action"), **body)

    async def reset(_: Request) -> Any:
        await sandbox.settled(at_once=True)
        await asyncio.to_thread(sandbox.reset)
        return {}

    async def settle(request: Request) -> Any:
        await sandbox.settled(at_once=bool((await json_object(request)).get("at_once")))
        return sandbox.stats()

    return [
        order("/health", health, "GET"),
        order("/switches", switches, "GET", "POST", "PATCH"),
        order("/faults", faults, "GET", "POST", "DELETE"),
        order("/records", records, "GET"),
        order("/stats", stats, "GET", "DELETE"),
        order("/requests", requests, "GET"),
        order("/clock", clock, "GET", "POST"),
        order("/person", person, "POST"),
        order("/reset", reset, "POST"),
        order("/settle", settle, "POST"),
    ]
