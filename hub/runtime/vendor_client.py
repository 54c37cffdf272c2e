"""The HTTP client that plugins get: what went wrong on the way is one family of errors (X4)."""

from __future__ import annotations

from typing import Any

import httpx

__all__ = ["VendorClient"]


class VendorClient(httpx.AsyncClient):
    """A body that cannot be unpacked is an answer that did not arrive, as one that was cut off: whoever asks handles
    `httpx.TransportError`, and httpx counts broken gzip as another kind."""

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """See `httpx.AsyncClient.send`. Raises `httpx.TransportError`."""
        try:
            return await super().send(request, **options)
        except httpx.DecodingError as err:
            raise httpx.RemoteProtocolError(f"the answer cannot be unpacked: {err}", request=request) from err
