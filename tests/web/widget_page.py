"""amoCRM's page, as far as the hub's widget API sees it: its origin, and the tokens that the vendor signs.

Tokens are put together here by hand, so that the check is not proven by the library that does it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx

from hub.runtime.services import Services
from hub.store import projects
from hub.store.projects import Status
from tests.web.conftest import CRM, NOW, PROJECT, Web, serving, set_up

HUB = "https://hub.example.net"
ORIGIN = "https://demo7.amocrm.ru"
CLIENT_ID = "0f1e2d3c-0000-4000-8000-000000000001"
SECRET_KEY = "k" * 32 + "Q7" * 16
ACCOUNT = 30011223
#: the CRM's users of tests.web.conftest
OLENA, PETRO = 1, 2

SETTINGS: Mapping[str, Any] = {
    "address": ORIGIN,
    "account_id": str(ACCOUNT),
    "client_id": CLIENT_ID,
    "client_secret": SECRET_KEY,
}


def encode(part: Mapping[str, Any]) -> str:
    """One part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def sign(claims: Mapping[str, Any], *, key: str = SECRET_KEY, header: Mapping[str, Any] | None = None) -> str:
    """A token as the vendor makes it, whatever its claims."""
    head = dict(header) if header is not None else {"typ": "JWT", "alg": "HS256"}
    text = f"{encode(head)}.{encode(claims)}"
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(str(head.get("alg")), hashlib.sha256)
    made = hmac.new(key.encode(), text.encode(), digest).digest()
    return f"{text}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def claims(user: int = OLENA, **changed: Any) -> dict[str, Any]:
    """What the vendor says of whoever looks at the page (reference 1.8)."""
    begins = int(NOW.timestamp())
    found = {
        "iss": ORIGIN,
        "aud": HUB,
        "jti": "6b0c7e2a-0000-4000-8000-000000000002",
        "iat": begins,
        "nbf": begins,
        "exp": begins + 1800,
        "account_id": ACCOUNT,
        "user_id": user,
        "subdomain": "demo7",
        "client_uuid": CLIENT_ID,
        "is_admin": False,
        **changed,
    }
    return {name: value for name, value in found.items() if value is not ...}


def connect(services: Services, **changed: Any) -> None:
    """The account is connected with the integration's keys."""
    now, settings = services.clock.now(), {**SETTINGS, **changed}

    def store(conn: Any) -> None:
        projects.change_connection(conn, services.cipher, PROJECT, CRM, settings)
        projects.set_status(conn, PROJECT, CRM, Status.READY, now=now)

    services.store.write_now(store)
    services.projects.reload_now()


class Page:
    """A page of the CRM with an employee before it."""

    def __init__(self, client: httpx.AsyncClient, token: str, *, origin: str = ORIGIN) -> None:
        self._client = client
        self.token = token
        self.origin = origin

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> httpx.Response:
        """One call of the widget."""
        headers = {"X-Auth-Token": self.token, "Origin": self.origin, "X-Requested-With": "XMLHttpRequest"}
        return await self._client.request(
            method,
            f"/widget/api{path}",
            params={"lang": "en", **query},
            json=body,
            headers={name: value for name, value in headers.items() if value},
        )

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.ask("GET", path, **query)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **query: str) -> httpx.Response:
        return await self.ask("POST", path, body if body is not None else {}, **query)


@asynccontextmanager
async def open_page(
    make_services: Callable[..., Services], user: int = OLENA, **changed: Any
) -> AsyncIterator[tuple[Web, Page]]:
    """A hub with one connected account, and its page as ``user`` sees it."""
    services = make_services(public_url=HUB)
    try:
        set_up(services)
        connect(services, **changed)
        async with serving(services) as web:
            yield web, Page(web.client, sign(claims(user)))
    finally:
        services.close()


#: the tokens of this module live from `NOW` for so long
LIFE = timedelta(seconds=1800)
