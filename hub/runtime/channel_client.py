"""HTTP to the channels' vendors: one paced client for each channel, at one pace with all other processes (X7, H9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import httpx

from hub.clock import Clock
from hub.plugins import Plugins
from hub.ports import ChannelConfig, Pace
from hub.runtime.certificates import certificates
from hub.runtime.pace import AT_ONCE, PacedTransport, Pacer, SharedPace
from hub.runtime.vendor_client import VendorClient

__all__ = ["ChannelClients"]

#: for sources that name no pace of their own
_CAREFUL = Pace(requests=1, per=timedelta(seconds=1), source="no limit is known")
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class ChannelClients:
    """Makes each channel's client when it is first asked for; close at the end."""

    def __init__(
        self,
        plugins: Plugins,
        clock: Clock,
        *,
        shared: SharedPace | None = None,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """``guard`` raises where this process may not ask any more, right before a request leaves."""
        self._plugins, self._clock, self._shared, self._guard = plugins, clock, shared, guard
        self._clients: dict[tuple[str, str], httpx.AsyncClient] = {}
        self._pacers: list[Pacer] = []

    def __call__(self, channel: ChannelConfig) -> httpx.AsyncClient:
        """The client for ``channel``; requests wait for their turn."""
        key = (channel.project, channel.name)
        if key not in self._clients:
            pace: Pace = getattr(self._plugins.source(channel.source), "pace", _CAREFUL)
            scope = f"channel/{channel.source}/{channel.project}/{channel.name}"
            pacer = Pacer(pace, self._clock, scope=scope, shared=self._shared)
            pacer.guard = self._guard
            self._pacers.append(pacer)
            transport = PacedTransport(httpx.AsyncHTTPTransport(verify=certificates(), limits=AT_ONCE), pacer)
            self._clients[key] = VendorClient(transport=transport, timeout=_TIMEOUT, follow_redirects=False)
        return self._clients[key]

    async def close(self) -> None:
        """Release all connections."""
        for client in self._clients.values():
            await client.aclose()
        for pacer in self._pacers:
            await pacer.idle()
        self._clients.clear()
