"""Browser tabs of employees, as far as popups need them: an open event stream and what it leaves on the screen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from hub.core.records import EmployeeId
from hub.runtime.services import Services
from hub.web.widget.live import make_ticket

__all__ = ["Tab", "open_tab"]


@dataclass(slots=True)
class Tab:
    """One tab: what it was sent, and what is on its screen."""

    employee: str
    #: (kind, id, body), in order
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    is_open: bool = False

    @property
    def screen(self) -> dict[str, dict[str, Any]]:
        """The popups that are shown now, by key."""
        shown: dict[str, dict[str, Any]] = {}
        for kind, _, body in self.events:
            if kind == "popup":
                shown[body["key"]] = body
            elif kind == "dismiss":
                shown.pop(body["key"], None)
        return shown

    @property
    def states(self) -> list[str]:
        """The states of the popups on the screen."""
        return [found["state"] for found in self.screen.values()]

    @property
    def last_id(self) -> str:
        """What a browser says when it comes back."""
        return max((id for _, id, _ in self.events if id), key=int, default="0")

    async def until(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until ``holds``; fails with what the tab shows."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"{self.employee} sees {self.screen} after {self.events}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_tab(
    services: Services,
    address: str,
    project: str,
    connection: str,
    employee: str,
    *,
    after: str = "",
    language: str = "en",
    trust: ssl.SSLContext | bool = True,
) -> AsyncIterator[Tab]:
    """A tab of ``employee``, open as soon as the stream says hello; ``trust``: whose https addresses are believed."""
    tab = Tab(employee=employee)
    query = {"ticket": make_ticket(services, project, connection, EmployeeId(employee)), "lang": language}
    if after:
        query["after"] = after
    async with httpx.AsyncClient(base_url=address, timeout=None, verify=trust) as client:  # noqa: S113 - a stream has no end
        reading = asyncio.create_task(_read(client, query, tab))
        try:
            await tab.until(lambda: tab.is_open or reading.done())
            if reading.done():
                reading.result()
            yield tab
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


async def _read(client: httpx.AsyncClient, query: dict[str, str], tab: Tab) -> None:
    async with client.stream("GET", "/widget/api/live", params=query) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = id = data = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            match name:
                case "event":
                    kind = value
                case "id":
                    id = value
                case "data":
                    data = value
                case "" if kind:
                    tab.is_open = True
                    tab.events.append((kind, id, json.loads(data)))
                    kind = id = data = ""
    tab.is_open = False
