"""``/_sandbox/…``: the sandbox ordered from outside, as JSON. Not rate limited, no token needed.

Refused orders answer 400 with ``{"error": …}``.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from .sandbox import Sandbox

_KEPT_DEFAULT = 1000


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
        route("/switches", control.get_switches, "GET"),
        route("/switches", control.set_switches, "POST", "PATCH"),
        route("/faults", control.get_faults, "GET"),
        route("/faults", control.order_faults, "POST"),
        route("/faults", control.clear_faults, "DELETE"),
        route("/ban", control.lift_ban, "DELETE"),
        route("/records", control.records, "GET"),
        route("/stats", control.stats, "GET"),
        route("/stats", control.reset_stats, "DELETE"),
        route("/requests", control.requests, "GET"),
        route("/deliveries", control.deliveries, "GET"),
        route("/clock", control.clock, "GET", "POST"),
        route("/person", control.person, "POST"),
        route("/tokens", control.tokens, "POST"),
        route("/integration", control.integration, "GET", "POST"),
        route("/disconnect", control.disconnect, "POST"),
        route("/account", control.account, "POST"),
        route("/seed", control.seed, "POST"),
        route("/reset", control.reset, "POST"),
        route("/settle", control.settle, "POST"),
        route("/save", control.save, "POST"),
    ]


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def health(self, request: Request) -> Any:
        return {"ok": True, "now": self._sandbox.world.clock.now(), "account_id": self._sandbox.world.account.id}

    async def get_switches(self, request: Request) -> Any:
        return dataclasses.asdict(self._sandbox.world.switches)

    async def set_switches(self, request: Request) -> Any:
        self._sandbox.switch(**await _object(request))
        return await self.get_switches(request)

    async def get_faults(self, request: Request) -> Any:
        return [dataclasses.asdict(fault) for fault in self._sandbox.faults.waiting]

    async def order_faults(self, request: Request) -> Any:
        body = await request.json()
        for fault in body if isinstance(body, list) else [body]:
            self._sandbox.order_fault(fault)
        return await self.get_faults(request)

    async def clear_faults(self, request: Request) -> Any:
        self._sandbox.clear_faults()
        return []

    async def lift_ban(self, request: Request) -> Any:
        self._sandbox.lift_ban()
        return {}

    async def records(self, request: Request) -> Any:
        return self._sandbox.records(seeded=request.query_params.get("seeded") == "1")

    async def stats(self, request: Request) -> Any:
        return self._sandbox.stats()

    async def reset_stats(self, request: Request) -> Any:
        self._sandbox.reset_stats()
        return self._sandbox.stats()

    async def requests(self, request: Request) -> Any:
        limit = int(request.query_params.get("limit", _KEPT_DEFAULT))
        return self._sandbox.requests()[-limit:]

    async def deliveries(self, request: Request) -> Any:
        limit = int(request.query_params.get("limit", _KEPT_DEFAULT))
        return self._sandbox.deliveries()[-limit:]

    async def clock(self, request: Request) -> Any:
        if request.method == "POST":
            self._sandbox.advance(float((await _object(request))["advance"]))
        return {"now": self._sandbox.world.clock.now()}

    async def person(self, request: Request) -> Any:
        body = await _object(request)
        return self._sandbox.person(body.pop("action"), **body)

    async def tokens(self, request: Request) -> Any:
        body = await _object(request)
        kind, user_id = body.get("kind", "long_lived"), body.get("user_id")
        match kind:
            case "long_lived":
                return {"token": self._sandbox.long_lived_token(user_id)}
            case "code":
                return {"code": self._sandbox.authorization_code(user_id)}
            case "pair":
                return self._sandbox.token_pair(user_id)
            case "disposable":
                return {"token": self._sandbox.disposable_token(body["audience"], user_id)}
            case _:
                raise ValueError(f"kind is long_lived, code, pair or disposable, not {kind!r}")

    async def integration(self, request: Request) -> Any:
        if request.method == "POST":
            return dataclasses.asdict(self._sandbox.set_integration(**await _object(request)))
        return dataclasses.asdict(self._sandbox.integration)

    async def disconnect(self, request: Request) -> Any:
        body = await _object(request)
        address = self._sandbox.disconnect(body.get("client_id"))
        if address is None:
            return {"called": None}
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            try:
                answer = await client.get(address)
            except httpx.HTTPError as err:
                return {"called": address, "error": type(err).__name__}
        return {"called": address, "status": answer.status_code}

    async def account(self, request: Request) -> Any:
        body = await _object(request)
        for user in body.get("users", ()):
            self._sandbox.add_user(**user)
        for entry in body.get("pipelines", ()):
            self._sandbox.add_pipeline(entry["id"], entry["name"], *entry.get("stages", ()))
        fields = [self._sandbox.add_field(**field).id for field in body.get("fields", ())]
        return {"fields": fields}

    async def seed(self, request: Request) -> Any:
        body = await _object(request)
        return self._sandbox.seed(int(body.get("contacts", 0)), int(body.get("leads", 0)))

    async def reset(self, request: Request) -> Any:
        await self._sandbox.settled(at_once=True)
        await asyncio.to_thread(self._sandbox.reset)
        return {}

    async def settle(self, request: Request) -> Any:
        body = await _object(request)
        await self._sandbox.settled(at_once=bool(body.get("at_once")))
        return self._sandbox.stats()

    async def save(self, request: Request) -> Any:
        file = Path((await _object(request))["file"])
        self._sandbox.save(file)
        return {"file": str(file)}


async def _object(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if not raw.strip():
        return {}
    body = await request.json()
    if not isinstance(body, dict):
        raise ValueError("an object is expected")
    return body
