"""The API key as an `httpx.Auth`: in the header, since a parameter would stand in logs (reference 1)."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from hub.errors import NeedsCredentials
from hub_retailcrm.config import RetailCrmSettings

__all__ = ["KeyAuth"]


class KeyAuth(httpx.Auth):
    """Puts ``X-API-KEY`` on every request; raises NeedsCredentials for a host that must not see the key."""

    def __init__(self, settings: RetailCrmSettings) -> None:
        self._settings = settings

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._settings.has_allowed_host:
            raise NeedsCredentials("the account's address is not RetailCRM's: the API key is not sent there")
        request.headers["X-API-KEY"] = self._settings.api_key.get_secret_value()
        yield request
