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

__all__ = ["CrmStage", "DemoStopped", "order", "sandbox_process"]

#: what a sandbox gets to begin, and to end by itself
_BEGIN_SECONDS, _END_SECONDS = 60.0, 5.0


#: what to do where something took too long
TOO_BUSY = "the machine may be too busy: end what else runs on it, or play a smaller day with --calls 40"


class DemoStopped(Exception):
    """The demo cannot go on: one sentence for people, with what to do where that is known."""


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
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError as err:
            raise DemoStopped(f"{module} did not start within {_BEGIN_SECONDS:.0f} s; {TOO_BUSY}") from err
        if not line:
            raise DemoStopped(f"{module} did not start: run `python -m {module}` to see why")
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
    """POST one order to the sandbox at ``address``; raises DemoStopped if it refuses or is silent."""
    try:
        answer = await http.post(f"{address}/_sandbox/{path}", json={} if body is None else body)
    except httpx.TimeoutException as err:
        raise DemoStopped(f"the sandbox at {address} did not carry out {path!r} in time; {TOO_BUSY}") from err
    except httpx.HTTPError as err:
        raise DemoStopped(f"the sandbox at {address} is gone ({type(err).__name__}): start the demo again") from err
    if answer.status_code != 200:
        raise DemoStopped(f"the sandbox at {address} refused {path!r}: {answer.text}")
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
        """POST one order; raises DemoStopped with the sandbox's sentence if it refuses."""
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
