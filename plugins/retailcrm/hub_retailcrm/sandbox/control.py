"""``/_sandbox/…``: what only this vendor's sandbox is ordered by, beside what every CRM's has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import Route

from hub_sandbox import json_object, order

if TYPE_CHECKING:
    from .sandbox import Sandbox


def control_routes(sandbox: Sandbox) -> list[Route]:
    """The routes of one sandbox; every order is also a method of `Sandbox`."""

    async def add_key(request: Request) -> Any:
        values = await json_object(request)
        made = sandbox.add_key(values["value"], sites=tuple(values.get("sites", ())))
        return {"value": made.value}

    async def revoke_key(request: Request) -> Any:
        sandbox.revoke_key((await json_object(request)).get("value", ""))
        return {}

    async def save(request: Request) -> Any:
        file = (await json_object(request))["file"]
        sandbox.save(Path(file))
        return {"file": file}

    return [
        order("/keys", add_key, "POST"),
        order("/keys", revoke_key, "DELETE"),
        order("/save", save, "POST"),
    ]
