"""Who we are to amoCRM: OAuth with rotating refresh tokens, or a long-lived token (reference 4).

A refresh gives a new pair and kills the old one, so the pair is stored before it is used, by one process at a time.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from hub.errors import NeedsCredentials, Stale, Unavailable, VendorError
from hub.ports import ConnectionContext
from hub_amocrm import wire
from hub_amocrm.config import AmoCrmSettings
from hub_amocrm.problem import Sent, raise_for

__all__ = ["TOKEN_PATH", "Credentials", "Tokens", "read_claims", "to_unavailable"]

TOKEN_PATH = "/oauth2/access_token"  # noqa: S105 - a path
_LOCK = "oauth"
#: after a failed refresh the old token goes on while it lives; asking again at once would only spend requests
_REFRESH_PAUSE = timedelta(minutes=5)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A pair and the account's address; what is secret is never printed."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: datetime
    #: the address that was in the settings when the account was found to have moved, and the one since
    configured: str = ""
    address: str = ""
    redirect_uri: str = ""
    life: timedelta = timedelta(days=1)

    def to_state(self) -> dict[str, Any]:
        return {
            "access": self.access,
            "refresh": self.refresh,
            "expires_at": self.expires_at.timestamp(),
            "configured": self.configured,
            "address": self.address,
            "redirect_uri": self.redirect_uri,
            "life": self.life.total_seconds(),
        }

    @classmethod
    def from_state(cls, value: Mapping[str, Any]) -> Tokens:
        return cls(
            access=value["access"],
            refresh=value["refresh"],
            expires_at=datetime.fromtimestamp(value["expires_at"], UTC),
            configured=value["configured"],
            address=value["address"],
            redirect_uri=value["redirect_uri"],
            life=timedelta(seconds=value["life"]),
        )


def read_claims(token: str) -> dict[str, Any]:
    """What an access token says of itself, unverified (it is ours); {} if it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}


def to_unavailable(err: httpx.TransportError, sent: Sent) -> Unavailable:
    """The error for a request that got no answer; in doubt unless it certainly never left."""
    never_left = isinstance(err, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return Unavailable(
        f"amoCRM cannot be reached: {type(err).__name__}",
        maybe_applied=not (never_left or sent.is_read),
        operation=sent.operation,
    )


class Credentials(httpx.Auth):
    """Adds the token to each request, refreshes it ahead of time and once after a 401, follows a renamed account."""

    def __init__(self, context: ConnectionContext, settings: AmoCrmSettings) -> None:
        self._context = context
        self._settings = settings
        self._tokens: Tokens | None = None
        self._not_before: datetime | None = None
        #: why the tokens could not be renewed although they still work; "" if all is well
        self.alarm = ""

    @property
    def _long_lived(self) -> str:
        return self._settings.long_lived_token.get_secret_value()

    async def address(self) -> str:
        """Where the account lives, without a trailing slash.

        Raises NeedsCredentials if it is not connected, or tokens may not be sent to what a person typed.
        """
        typed = self._settings.address
        if not self._long_lived:
            tokens = await self._current()
            if not typed or tokens.configured == typed:
                return tokens.address
        elif not typed:
            raise NeedsCredentials("a long-lived token needs the account address in the settings")
        if not self._settings.allows(typed):
            raise NeedsCredentials("the account's address is not amoCRM's: the token is not sent there")
        return typed

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with the token; after a 401, or a sign of a renamed account, put that right and send once more."""
        if self._long_lived:
            request.headers["Authorization"] = f"Bearer {self._long_lived}"
            yield request
            return
        tokens = await self._fresh()
        request.headers["Authorization"] = f"Bearer {tokens.access}"
        response = yield request
        has_moved = _looks_moved(response)
        if response.status_code != 401 and not has_moved:
            return
        await response.aread()  # frees the connection for the refresh
        renewed = await self._renew(tokens, is_forced=True, has_moved=has_moved)
        if renewed is None:
            return
        await self._point(request)
        request.headers["Authorization"] = f"Bearer {renewed.access}"
        yield request

    async def store(self, pair: wire.TokenPair, *, address: str, redirect_uri: str) -> None:
        """Keep the first pair of a connection."""
        async with self._context.state.lock(_LOCK):
            await self._save(self._to_tokens(pair, address=address, redirect_uri=redirect_uri))

    async def _point(self, request: httpx.Request) -> None:
        """Send ``request`` to where the account is now."""
        found = httpx.URL(await self.address())
        request.url = request.url.copy_with(scheme=found.scheme, host=found.host, port=found.port)
        request.headers["Host"] = found.netloc.decode("ascii")

    async def _current(self) -> Tokens:
        if self._tokens is None:
            self._tokens = await self._load()
        if self._tokens is None:
            raise NeedsCredentials("the amoCRM account is not connected yet")
        return self._tokens

    async def _load(self) -> Tokens | None:
        value, _version = await self._context.state.load()
        found = value.get("tokens")
        return Tokens.from_state(found) if found else None

    async def _save(self, tokens: Tokens) -> None:
        """Store durably, then use; other parts of the state stay as they are."""
        while True:
            value, version = await self._context.state.load()
            try:
                await self._context.state.save({**value, "tokens": tokens.to_state()}, version)
            except Stale:
                continue  # somebody saved another part: the lock keeps the tokens ours
            self._tokens = tokens
            return

    def _is_due(self, tokens: Tokens, now: datetime) -> bool:
        return tokens.expires_at - now < min(self._settings.refresh_ahead, tokens.life / 2)

    async def _fresh(self) -> Tokens:
        """Tokens with time left; a failed refresh is met by the old ones as long as they live."""
        tokens = await self._current()
        now = self._context.clock.now()
        if not self._is_due(tokens, now):
            return tokens
        is_alive = tokens.expires_at > now
        if is_alive and self._not_before is not None and now < self._not_before:
            return tokens
        try:
            return await self._renew(tokens) or tokens
        except VendorError as err:
            if not is_alive:
                raise
            self._not_before = now + _REFRESH_PAUSE
            self.alarm = f"The amoCRM tokens could not be renewed and end at {tokens.expires_at:%Y-%m-%d %H:%M} UTC."
            logger.warning("%s", self.alarm, extra={"action": "amocrm.refresh_failed", "error": type(err).__name__})
            return tokens

    async def _renew(self, used: Tokens, *, is_forced: bool = False, has_moved: bool = False) -> Tokens | None:
        """New tokens, or those that another process stored meanwhile; None if only a move was suspected and denied."""
        async with self._context.state.lock(_LOCK):
            stored = await self._load()
            if stored is None:
                raise NeedsCredentials("the amoCRM account was disconnected")
            self._tokens = stored
            if stored.access != used.access or (has_moved and stored.address != used.address):
                return stored
            if has_moved:
                moved = await self._look_up(stored)
                if moved is None:
                    return None
                await self._save(moved)
                return moved
            if not is_forced and not self._is_due(stored, self._context.clock.now()):
                return stored
            renewed = await self._refresh(stored)
            await self._save(renewed)
        self._not_before, self.alarm = None, ""
        return renewed

    async def _refresh(self, tokens: Tokens) -> Tokens:
        """POST /oauth2/access_token with the refresh token; asks for the account's new name if its host refuses.

        https://www.amocrm.ru/developers/content/oauth/step-by-step
        """
        address = await self.address()
        response = await self._ask_refresh(tokens, address)
        if response.status_code in (401, 404) or response.is_redirect:
            moved = await self._look_up(tokens)
            if moved is not None:
                tokens = moved
                response = await self._ask_refresh(tokens, moved.address)
        if not response.is_success:
            if response.status_code in (400, 404, 405, 422):
                # the codes vary with the cause ("Token has been revoked" is 401, 400 was seen), the meaning does not
                raise NeedsCredentials(
                    f"amoCRM refused to renew the tokens ({response.status_code}); connect the account again",
                    operation=f"POST {TOKEN_PATH}",
                )
            raise_for(response.status_code, response.headers, response.content, Sent(operation=f"POST {TOKEN_PATH}"))
        pair = read_pair(response)
        fresh = self._to_tokens(pair, address=tokens.address, redirect_uri=tokens.redirect_uri)
        return replace(fresh, configured=tokens.configured, refresh=pair.refresh_token or tokens.refresh)

    async def _ask_refresh(self, tokens: Tokens, address: str) -> httpx.Response:
        body = {
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.get_secret_value(),
            "grant_type": "refresh_token",
            "refresh_token": tokens.refresh,
            "redirect_uri": tokens.redirect_uri,
        }
        return await self._send("POST", f"{address}{TOKEN_PATH}", body=body)

    async def _look_up(self, tokens: Tokens) -> Tokens | None:
        """The same tokens at the account's present address; None if it has not moved (4.6).

        GET https://{api_domain}/oauth2/account/current/subdomain
        """
        domain = str(read_claims(tokens.access).get("api_domain") or "")
        if not domain or not self._settings.allows_host(domain):
            return None
        url = f"{self._settings.address_of(domain)}/oauth2/account/current/subdomain"
        response = await self._send("GET", url, headers={"X-Refresh-Token": tokens.refresh})
        if not response.is_success:
            return None
        try:
            found = msgspec.json.decode(response.content, type=wire.Subdomain).domain
        except msgspec.DecodeError:
            return None
        if not found or not self._settings.allows_host(found):
            return None
        address = self._settings.address_of(found)
        if address == await self.address():
            return None
        logger.warning("The amoCRM account moved", extra={"action": "amocrm.moved", "host": urlsplit(address).netloc})
        return replace(tokens, configured=self._settings.address, address=address)

    async def _send(
        self, method: str, url: str, *, body: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        try:
            request = self._context.http.build_request(method, url, json=body, headers=headers)
            return await self._context.http.send(request, auth=None, follow_redirects=False)
        except httpx.TransportError as err:
            # a write that waits for its token has not been sent
            raise to_unavailable(err, Sent(operation=f"{method} {urlsplit(url).path}", is_read=True)) from err

    def _to_tokens(self, pair: wire.TokenPair, *, address: str, redirect_uri: str) -> Tokens:
        life = timedelta(seconds=pair.expires_in)
        return Tokens(
            access=pair.access_token,
            refresh=pair.refresh_token,
            expires_at=self._context.clock.now() + life,
            configured=self._settings.address,
            address=address,
            redirect_uri=redirect_uri,
            life=life,
        )


def read_pair(response: httpx.Response) -> wire.TokenPair:
    """The tokens in the token endpoint's answer."""
    try:
        return msgspec.json.decode(response.content, type=wire.TokenPair, strict=False)
    except msgspec.DecodeError as err:
        # which never quotes what it read: that is a token
        raise NeedsCredentials(f"amoCRM answered without tokens: {err}") from None


def _looks_moved(response: httpx.Response) -> bool:
    """A redirect, or a 404 that is not amoCRM's own: the old name of a renamed account (4.6)."""
    if response.is_redirect:
        return True
    return response.status_code == 404 and "json" not in response.headers.get("content-type", "")
