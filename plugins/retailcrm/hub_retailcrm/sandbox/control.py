"""``/_sandbox/…``: the sandbox ordered from outside, as JSON; no key, no limit. What is refused answers 400."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from .sandbox import Sandbox

Order = Callable[[dict[str, Any]], Awaitable[Any] | Any]


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of one sandbox; every order is also a method of `Sandbox`."""

    def switches(values: dict[str, Any]) -> Any:
        sandbox.switch(**values)
        return dataclasses.asdict(sandbox.world.switches)

    def order_fault(values: dict[str, Any]) -> Any:
        sandbox.order_fault(values)
        return sandbox.stats()["faults_waiting"]

    def clear_faults(_: dict[str, Any]) -> Any:
        sandbox.clear_faults()
        return []

    def clock(values: dict[str, Any]) -> Any:
        sandbox.advance(float(values.get("advance", 0)))
        return {"now": sandbox.world.clock.now()}

    async def settle(values: dict[str, Any]) -> Any:
        await sandbox.gateway.settle(at_once=bool(values.get("at_once")))
        return sandbox.stats()

    async def reset(_: dict[str, Any]) -> Any:
        await asyncio.to_thread(sandbox.reset)
        return {}

    def save(values: dict[str, Any]) -> Any:
        sandbox.save(Path(values["file"]))
        return {"file": values["file"]}

    def key(values: dict[str, Any]) -> Any:
        made = sandbox.add_key(values["value"], sites=tuple(values.get("sites", ())))
        return {"value": made.value}

    def revoke(values: dict[str, Any]) -> Any:
        sandbox.revoke_key(values.get("value", ""))
        return {}

    def reset_stats(_: dict[str, Any]) -> Any:
        sandbox.reset_stats()
        return sandbox.stats()

    return [
        _route("/health", "GET", lambda _: {"ok": True, "now": sandbox.world.clock.now()}),
        _route("/switches", "GET", switches),
        _route("/switches", "POST", switches),
        _route("/faults", "GET", lambda _: sandbox.stats()["faults_waiting"]),
        _route("/faults", "POST", order_fault),
        _route("/faults", "DELETE", clear_faults),
        _route("/records", "GET", lambda _: sandbox.records()),
        _route("/stats", "GET", lambda _: sandbox.stats()),
        _route("/stats", "DELETE", reset_stats),
        _route("/requests", "GET", lambda _: sandbox.requests()[-1000:]),
        _route("/clock", "POST", clock),
        _route("/person", "POST", lambda values: sandbox.person(values.pop("action"), **values)),
        _route("/keys", "POST", key),
        _route("/keys", "DELETE", revoke),
        _route("/reset", "POST", reset),
        _route("/settle", "POST", settle),
        _route("/save", "POST", save),
    ]


def _route(path: str, method: str, order: Order) -> Route:
    async def endpoint(request: Request) -> JSONResponse:
        try:
            raw = await request.body()
            values = await request.json() if raw.strip() else {}
            if not isinstance(values, dict):
                raise ValueError("an object is expected")
            found = order(values)
            return JSONResponse(await found if isinstance(found, Awaitable) else found)
        except (ValueError, TypeError, KeyError) as err:
            return JSONResponse({"error": str(err)}, status_code=400)

    return Route(path, endpoint, methods=[method])
