"""Faults on order: the vendor's API failing in the way a test asks for (DESIGN 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Fault", "FaultGate", "FaultKind"]

#: ``status``: answered so, nothing applied. ``cut``: the connection ends before anything is applied. ``lost``: applied,
#: then the connection ends without the answer. ``slow``: applied after ``seconds``
FaultKind = Literal["status", "cut", "lost", "slow"]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One ordered fault for a method and path ("*" fits all), for the next ``times`` requests."""

    method: str = "*"
    path: str = "*"
    kind: FaultKind = "status"
    status: int = 500
    body: bytes = b""
    seconds: float = 0.0
    times: int = 1

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in {"*", method} and self.path in {"*", path}


class FaultGate:
    """ASGI middleware in front of the vendor's API; the sandbox's own ``/_sandbox`` paths pass untouched."""

    def __init__(self, app: ASGIApp, *, take: Callable[[str, str], Fault | None]) -> None:
        self._app, self._take = app, take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None
        if scope["type"] == "http" and not scope["path"].startswith("/_sandbox"):
            fault = self._take(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        match fault.kind:
            case "status":
                await Response(fault.body, fault.status, media_type="application/json")(scope, receive, send)
            case "slow":
                await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)
            case "cut":
                await _hang_up(send)
            case "lost":
                await self._app(scope, receive, _unheard)
                await _hang_up(send)


async def _unheard(message: Message) -> None:
    """The answer that never arrives."""


async def _hang_up(send: Send) -> None:
    # a promised body that never comes: the server closes the connection in the middle
    promised = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": promised})
    await send({"type": "http.response.body", "body": b"[", "more_body": True})
