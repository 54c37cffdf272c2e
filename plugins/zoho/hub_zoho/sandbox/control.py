"""``/_sandbox/…``: what only this vendor's sandbox is ordered by, beside what every CRM's has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import Route

from hub_sandbox import json_object, order

if TYPE_CHECKING:
    from .sandbox import Sandbox


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of one sandbox; every order is also a method of ``Sandbox``."""

    async def deliveries(request: Request) -> Any:
        return sandbox.deliveries()[-int(request.query_params.get("limit", 1000)) :]

    async def tokens(request: Request) -> Any:
        match (await json_object(request)).get("kind", "refresh"):
            case "refresh":
                return {"refresh_token": sandbox.refresh_token()}
            case "code":
                return {"code": sandbox.authorization_code()}
            case kind:
                raise ValueError(f"kind is refresh or code, not {kind!r}")

    async def seed(request: Request) -> Any:
        return sandbox.seed(**{name: int(value) for name, value in (await json_object(request)).items()})

    return [
        order("/deliveries", deliveries, "GET"),
        order("/tokens", tokens, "POST"),
        order("/seed", seed, "POST"),
    ]
