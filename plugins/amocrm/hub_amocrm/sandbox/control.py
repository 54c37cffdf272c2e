"""``/_sandbox/…``: what only this vendor's sandbox is ordered by, beside what every CRM's has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from starlette.requests import Request
from starlette.routing import Route

from hub_sandbox import json_object, order

if TYPE_CHECKING:
    from .sandbox import Sandbox

_KEPT_DEFAULT = 1000


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of one sandbox; every order is also a method of ``Sandbox``."""
    control = _Control(sandbox)
    return [
        order("/ban", control.lift_ban, "DELETE"),
        order("/records", control.records, "GET"),
        order("/deliveries", control.deliveries, "GET"),
        order("/tokens", control.tokens, "POST"),
        order("/session", control.session, "POST"),
        order("/widget", control.widget, "POST"),
        order("/integration", control.integration, "GET", "POST"),
        order("/disconnect", control.disconnect, "POST"),
        order("/account", control.account, "POST"),
        order("/seed", control.seed, "POST"),
        order("/save", control.save, "POST"),
    ]


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def lift_ban(self, request: Request) -> Any:
        self._sandbox.lift_ban()
        return {}

    async def records(self, request: Request) -> Any:
        return self._sandbox.records(seeded=request.query_params.get("seeded") == "1")

    async def deliveries(self, request: Request) -> Any:
        limit = int(request.query_params.get("limit", _KEPT_DEFAULT))
        return self._sandbox.deliveries()[-limit:]

    async def tokens(self, request: Request) -> Any:
        body = await json_object(request)
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

    async def session(self, request: Request) -> Any:
        body = await json_object(request)
        return {"session_id": self._sandbox.log_in(int(body["user_id"]))}

    async def widget(self, request: Request) -> Any:
        return self._sandbox.install_widget(**await json_object(request))

    async def integration(self, request: Request) -> Any:
        if request.method == "POST":
            return dataclasses.asdict(self._sandbox.set_integration(**await json_object(request)))
        return dataclasses.asdict(self._sandbox.integration)

    async def disconnect(self, request: Request) -> Any:
        body = await json_object(request)
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
        body = await json_object(request)
        for user in body.get("users", ()):
            self._sandbox.add_user(**user)
        for entry in body.get("pipelines", ()):
            self._sandbox.add_pipeline(entry["id"], entry["name"], *entry.get("stages", ()))
        fields = [self._sandbox.add_field(**field).id for field in body.get("fields", ())]
        return {"fields": fields}

    async def seed(self, request: Request) -> Any:
        body = await json_object(request)
        return self._sandbox.seed(int(body.get("contacts", 0)), int(body.get("leads", 0)))

    async def save(self, request: Request) -> Any:
        file = Path((await json_object(request))["file"])
        self._sandbox.save(file)
        return {"file": str(file)}
