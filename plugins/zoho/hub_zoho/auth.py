"""Who we are to Zoho: a refresh token that never ends, access tokens of an hour, few of them (reference 1).

Access tokens are shared by all who work on the connection, stored before they are used, and renewed by one process at
a time: ten in ten minutes is all that Zoho gives out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import ValidationError

from hub.errors import NeedsCredentials, Stale, Throttled, Unavailable
from hub.ports import ConnectionContext
from hub_zoho import wire
from hub_zoho.config import ZohoSettings
from hub_zoho.problem import Sent, raise_for, to_unavailable

__all__ = ["TOKEN_PATH", "Credentials", "Tokens", "ask_token"]

TOKEN_PATH = "/oauth/v2/token"  # noqa: S105 - a path
_LOCK = "oauth"
_THROTTLED_FOR = timedelta(minutes=2)
#: after a failed refresh the old token goes on while it lives; asking at once again would only spend requests
_REFRESH_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the connection holds; what is secret is never printed."""

    access: str = field(default="", repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime
    #: where tokens are renewed, and where the API lives
    accounts: str
    api: str

    def to_state(self) -> dict[str, Any]:
        return {
            "access": self.access,
            "refresh": self.refresh,
            "expires_at": self.expires_at.timestamp(),
            "accounts": self.accounts,
            "api": self.api,
        }

    @classmethod
    def from_state(cls, value: Mapping[str, Any]) -> Tokens:
        return cls(
            access=value["access"],
            refresh=value["refresh"],
            expires_at=datetime.fromtimestamp(value["expires_at"], UTC),
            accounts=value["accounts"],
            api=value["api"],
        )


async def ask_token(http: httpx.AsyncClient, accounts: str, form: Mapping[str, str]) -> wire.TokenPair:
    """POST {accounts}/oauth/v2/token, form-encoded: success and failure both come with 200 (1).

    Raises NeedsCredentials if the grant is refused, Throttled after too many, Unavailable.
    https://www.zoho.com/crm/developer/docs/api/v8/refresh.html
    """
    # a write that waits for its token has not been sent
    sent = Sent(operation=f"POST {TOKEN_PATH}", is_read=True)
    try:
        request = http.build_request("POST", f"{accounts}{TOKEN_PATH}", data=dict(form))
        response = await http.send(request, auth=None, follow_redirects=False)
    except httpx.TransportError as err:
        raise to_unavailable(err, sent) from err
    if response.status_code == 429 or response.status_code >= 500:
        raise_for(response.status_code, response.headers, response.content, sent)
    try:
        return wire.TokenPair.model_validate_json(response.content)
    except ValidationError:
        pass  # not kept: pydantic quotes what it read, and that may be a token
    error, text = _error_of(response)
    if "too many" in text.lower():
        raise Throttled("Zoho gives out no more tokens for now", retry_after=_THROTTLED_FOR, operation=sent.operation)
    if not error:
        raise Unavailable("Zoho answered without tokens", maybe_applied=False, operation=sent.operation)
    raise NeedsCredentials(
        f"Zoho refused to give a token ({error}): check the data centre, the client ID and the secret, then connect "
        "the account again",
        operation=sent.operation,
    )


def _error_of(response: httpx.Response) -> tuple[str, str]:
    try:
        found = response.json()
    except ValueError:
        return ("" if response.is_success else str(response.status_code)), ""
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("error") or "")[:60], str(found.get("error_description") or "")


class Credentials(httpx.Auth):
    """Adds the token to each request, refreshes it ahead of time, and once after a 401."""

    def __init__(self, context: ConnectionContext, settings: ZohoSettings) -> None:
        self._context = context
        self._settings = settings
        self._tokens: Tokens | None = None
        self._not_before: datetime | None = None

    async def api(self) -> str:
        """Where the API lives, without a trailing slash. Raises NeedsCredentials if not connected."""
        return self._settings.api_address or (await self._current()).api

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send with the token (``Zoho-oauthtoken``, not Bearer); after a 401 with a new one, once."""
        tokens = await self._fresh()
        request.headers["Authorization"] = f"Zoho-oauthtoken {tokens.access}"
        response = yield request
        if response.status_code != 401:
            return
        await response.aread()  # frees the connection for the refresh
        if b"OAUTH_SCOPE_MISMATCH" in response.content:
            return  # another token of the same grant has the same scopes
        renewed = await self._renew(tokens, is_forced=True)
        request.headers["Authorization"] = f"Zoho-oauthtoken {renewed.access}"
        yield request

    async def store(self, pair: wire.TokenPair, *, accounts: str, api: str) -> None:
        """Keep the first tokens of a connection."""
        async with self._context.state.lock(_LOCK):
            await self._save(self._to_tokens(pair, accounts=accounts, api=api))

    async def _current(self) -> Tokens:
        if self._tokens is None:
            self._tokens = await self._load()
        if self._tokens is None:
            raise NeedsCredentials("the Zoho account is not connected yet")
        return self._tokens

    async def _load(self) -> Tokens | None:
        """What is stored; a refresh token in the settings counts for more than one of an earlier connection."""
        value, _version = await self._context.state.load()
        found = value.get("tokens")
        stored = Tokens.from_state(found) if found else None
        configured = self._settings.refresh_token.get_secret_value()
        if not configured or (stored is not None and stored.refresh == configured):
            return stored
        return Tokens(
            refresh=configured,
            expires_at=datetime.fromtimestamp(0, UTC),
            accounts=self._settings.accounts,
            api=self._settings.api,
        )

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

    def _is_due(self, tokens: Tokens) -> bool:
        return tokens.expires_at - self._context.clock.now() < self._settings.refresh_ahead

    async def _fresh(self) -> Tokens:
        """Tokens with time left; a failed refresh is met by the old one as long as it lives."""
        tokens = await self._current()
        now = self._context.clock.now()
        if not self._is_due(tokens):
            return tokens
        is_alive = bool(tokens.access) and tokens.expires_at > now
        if is_alive and self._not_before is not None and now < self._not_before:
            return tokens
        try:
            return await self._renew(tokens)
        except (Throttled, Unavailable):
            if not is_alive:
                raise
            self._not_before = now + _REFRESH_PAUSE
            return tokens

    async def _renew(self, used: Tokens, *, is_forced: bool = False) -> Tokens:
        """A new access token, or the one that another process stored meanwhile."""
        async with self._context.state.lock(_LOCK):
            stored = await self._load()
            if stored is None:
                raise NeedsCredentials("the Zoho account was disconnected")
            self._tokens = stored
            is_other = bool(stored.access) and stored.access != used.access
            if is_other or not (is_forced or self._is_due(stored)):
                return stored
            form = {
                "grant_type": "refresh_token",
                "refresh_token": stored.refresh,
                "client_id": self._settings.client_id,
                "client_secret": self._settings.client_secret.get_secret_value(),
            }
            pair = await ask_token(self._context.http, stored.accounts, form)
            api = pair.api_domain if self._settings.allows_api(pair.api_domain) else stored.api
            renewed = self._to_tokens(pair, accounts=stored.accounts, api=api, refresh=stored.refresh)
            await self._save(renewed)
        return renewed

    def _to_tokens(self, pair: wire.TokenPair, *, accounts: str, api: str, refresh: str = "") -> Tokens:
        return Tokens(
            access=pair.access_token,
            refresh=pair.refresh_token or refresh,
            expires_at=self._context.clock.now() + timedelta(seconds=pair.expires_in),
            accounts=accounts,
            api=api,
        )
