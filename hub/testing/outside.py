"""Notices what a plugin does to the world outside while it should only compute."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import httpx

from hub.testing.check import fail

__all__ = ["Nowhere", "untouched"]

_EVENTS = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.getaddrinfo",
        "subprocess.Popen",
        "os.system",
        "os.remove",
        "os.rename",
        "os.mkdir",
        "shutil.copyfile",
        "sqlite3.connect",
    }
)
_WRITING = frozenset("wxa+")
_seen: ContextVar[list[str] | None] = ContextVar("seen", default=None)


@contextmanager
def untouched(what: str) -> Iterator[None]:
    """Report it if anything is written or anybody is asked inside."""
    _listen()
    seen: list[str] = []
    token = _seen.set(seen)
    try:
        yield
    finally:
        _seen.reset(token)
    if seen:
        fail(f"{what} is not mere computation: {seen[0]}")


@cache
def _listen() -> None:
    """Hooks cannot be taken out again, so there is one, which hears nothing outside `untouched`."""
    sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" and event not in _EVENTS:
        return
    seen = _seen.get()
    if seen is None:
        return
    if event == "open":
        path, mode, *_ = arguments
        # an import keeps its bytecode
        if not isinstance(mode, str) or not _WRITING & set(mode) or str(path).endswith((".pyc", ".tmp")):
            return
    seen.append(f"{event} {arguments!r}"[:200])


class Nowhere(httpx.AsyncBaseTransport):
    """A way to the vendor on which nobody listens."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)
