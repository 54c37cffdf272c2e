"""Sets the stage of the demo: sandboxes as processes of their own, the CRMs filled with what the day begins with.

Everything goes over HTTP, as it would with the vendors; the hub imports no plugin (H1).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import httpx

__all__ = ["CrmStage", "order", "sandbox_process"]

#: what a sandbox gets to end by itself
_END_SECONDS = 5.0


@asynccontextmanager
async def sandbox_process(module: str, *arguments: str) -> AsyncIterator[str]:
    """Run ``python -m module`` until the block ends; gives the address that it prints first.

    It does not outlive this process, however that ends: its standard input is a pipe that only we hold, and it ends
    with that (``hub_sandbox.serving.ATTENDED``). Ctrl+C in a terminal does not reach it: the hub ends first, and
    meets no vendor that is gone.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "HUB_SANDBOX_ATTENDED": "1"},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} did not start")
        yield line.decode().strip()
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop the sandbox, by force if it does not listen."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def order(http: httpx.AsyncClient, address: str, path: str, body: Any = None) -> Any:
    """POST one order to the sandbox at ``address``; raises RuntimeError with its sentence if it refuses."""
    answer = await http.post(f"{address}/_sandbox/{path}", json={} if body is None else body)
    if answer.status_code != 200:
        raise RuntimeError(f"the sandbox refused {path}: {answer.text}")
    return answer.json()


@dataclass(slots=True, kw_only=True)
class CrmStage(ABC):
    """A CRM's sandbox from outside: its address, and what the demo may order there."""

    #: of the plugin, and of the connection
    name: ClassVar[str]
    #: as the vendor writes it
    title: ClassVar[str]

    address: str
    http: httpx.AsyncClient

    @abstractmethod
    async def settings(self) -> dict[str, Any]:
        """The connection's settings, as an administrator would enter them."""

    @abstractmethod
    async def preload(self, held: Mapping[str, Any]) -> None:
        """Users, contacts, deals and tasks as they were before the day (docs/traffic-file.md)."""

    async def order(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST one order; raises RuntimeError with the sandbox's sentence if it refuses."""
        return await order(self.http, self.address, path, dict(body or {}))

    async def person(self, action: str, **values: Any) -> Any:
        """Somebody does ``action`` in the CRM's own pages."""
        return await self.order("person", {"action": action, **values})

    async def dump(self) -> dict[str, Any]:
        """Everything that the CRM holds, in the vendor's own shapes."""
        found: dict[str, Any] = (await self.http.get(f"{self.address}/_sandbox/records")).json()
        return found

    async def records(self) -> dict[str, Any]:
        """Everything that the CRM holds, in the shapes that the auditor reads (`hub.demo.audit`)."""
        return await self.dump()

    async def requests(self) -> int:
        """How many API requests the CRM was asked so far."""
        return int((await self.http.get(f"{self.address}/_sandbox/stats")).json()["requests_total"])
