"""Faults on order: the vendor's API failing in the way a test asks for (DESIGN 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FaultKind = Literal["status", "slow", "hang", "disconnect"]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One ordered fault for a method and path ("*" fits all), for the next ``times`` requests."""

    method: str
    path: str
    kind: FaultKind
    status: int = 500
    seconds: float = 0.0
    times: int = 1
    retry_after: int | None = None

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {"*", method} and self.path in {"*", path}


class FaultGate:
    """ASGI middleware in front of the vendor's API; the sandbox's own ``/_sandbox`` paths pass untouched."""

    def __init__(self, app: ASGIApp, *, take: Callable[[str, str], Fault | None]) -> None:
        self._app = app
        self._take = take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        fault = self._take(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        match fault.kind:
            case "status":
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                body = {"message": f"ordered fault {fault.status}"}
                await JSONResponse(body, status_code=fault.status, headers=headers)(scope, receive, send)
            case "slow":
                await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)
            case "hang":
                await _until_gone(receive)
            case "disconnect":
                # A promised body that never comes: the server closes the connection in the middle.
                promised = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
                await send({"type": "http.response.start", "status": 200, "headers": promised})
                await send({"type": "http.response.body", "body": b"[", "more_body": True})


async def _until_gone(receive: Receive) -> None:
    """Says nothing until the client hangs up."""
    message: Any = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
