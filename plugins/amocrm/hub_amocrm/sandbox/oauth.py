"""Consent, tokens and their rotation (reference 4)."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import html
import json
import secrets
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey

from .ask import Ask
from .config import Integration
from .reply import Json, Reply, problem
from .world import World

CODE_SECONDS = 20 * 60
ACCESS_SECONDS = 24 * 3600
REFRESH_SECONDS = 90 * 24 * 3600
LONG_LIVED_SECONDS = 5 * 365 * 24 * 3600
DISPOSABLE_SECONDS = 30 * 60
_PROBLEM_TYPE = "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"


@dataclass(slots=True, kw_only=True)
class Grant:
    """Something issued to an integration: a code, an access token or a refresh token."""

    client_id: str
    user_id: int
    expires_at: float
    #: A used code and a spent refresh token stay known: the refusal says "revoked".
    revoked: bool = False


class OAuth:
    """The account's integrations and everything issued to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        # A key of this sandbox alone: clients read the claims, nobody but us checks the signature.
        self._key = OctKey.import_key(hashlib.sha512(f"sandbox/{world.config.seed}".encode()).digest())
        self.open()

    def open(self) -> None:
        """Begin with the configured integration and nothing issued."""
        first = dataclasses.replace(self._world.config.integration)
        self.integrations: dict[str, Integration] = {first.client_id: first}
        self.codes: dict[str, Grant] = {}
        self.access: dict[str, Grant] = {}
        self.refresh: dict[str, Grant] = {}

    def issue_code(self, client_id: str, user_id: int | None = None) -> str:
        """A one-time code as the consent page makes it, good for 20 minutes."""
        code = "def50200" + secrets.token_hex(48)
        owner = user_id or self._world.account.owner_id
        self.codes[code] = Grant(client_id=client_id, user_id=owner, expires_at=self._world.clock.now() + CODE_SECONDS)
        return code

    def issue_long_lived(
        self, client_id: str | None = None, user_id: int | None = None, seconds: int = LONG_LIVED_SECONDS
    ) -> str:
        """A token of the integration's Keys tab: no refresh, 401 once it expired or was revoked."""
        client_id = client_id or next(iter(self.integrations))
        return self._issue_access(client_id, user_id or self._world.account.owner_id, seconds, "127.0.0.1")

    def issue_pair(self, client_id: str | None = None, user_id: int | None = None, host: str = "127.0.0.1") -> Json:
        """An access and a refresh token, as the token endpoint answers them."""
        client_id = client_id or next(iter(self.integrations))
        owner = user_id or self._world.account.owner_id
        refresh = "def50200" + secrets.token_hex(64)
        self.refresh[refresh] = Grant(
            client_id=client_id, user_id=owner, expires_at=self._world.clock.now() + REFRESH_SECONDS
        )
        access = self._issue_access(client_id, owner, ACCESS_SECONDS, host)
        return {
            "token_type": "Bearer",
            "expires_in": ACCESS_SECONDS,
            "access_token": access,
            "refresh_token": refresh,
        }

    def issue_disposable(
        self, audience: str, user_id: int | None = None, client_id: str | None = None, *, age: int = 0
    ) -> str:
        """A front-end token (X-Auth-Token), signed with the integration's secret, 30 minutes (4.7).

        ``age`` seconds ago it was issued: one of more than 30 minutes has expired.
        """
        integration = self.integrations[client_id or next(iter(self.integrations))]
        now, owner = self._world.now() - age, user_id or self._world.account.owner_id
        user = self._world.users.get(owner)
        claims: dict[str, Any] = {
            "iss": f"https://{self._world.account.subdomain}.amocrm.ru",
            "aud": audience,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + DISPOSABLE_SECONDS,
            "account_id": self._world.account.id,
            "subdomain": self._world.account.subdomain,
            "client_uuid": integration.client_id,
            "user_id": owner,
            "is_admin": bool(user and user.is_admin),
        }
        key = OctKey.import_key(integration.client_secret)
        return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, key)

    def authorize(self, header: str) -> Grant | None:
        """The grant behind an Authorization header, or None: expired, revoked, unknown."""
        kind, _, token = header.partition(" ")
        grant = self.access.get(token.strip()) if kind.lower() == "bearer" else None
        if grant is None or grant.revoked or grant.expires_at <= self._world.clock.now():
            return None
        return grant

    def revoke_all(self, client_id: str) -> None:
        """Kill every token of an integration, as switching it off does."""
        for issued in (self.codes, self.access, self.refresh):
            for grant in issued.values():
                if grant.client_id == client_id:
                    grant.revoked = True

    def disconnect_address(self, client_id: str) -> str | None:
        """The disconnect hook's address with its signature (4.4); None when none is configured."""
        integration = self.integrations[client_id]
        if integration.disconnect_url is None:
            return None
        account_id = str(self._world.account.id)
        message = f"{client_id}|{account_id}".encode()
        signature = hmac.new(integration.client_secret.encode(), message, hashlib.sha256).hexdigest()
        query = {"account_id": account_id, "client_uuid": client_id, "signature": signature}
        return f"{integration.disconnect_url}?{urlencode(query)}"

    def consent(self, ask: Ask) -> Reply:
        """GET /oauth: the page where a person allows the integration, or the redirect after it."""
        query = dict(ask.pairs)
        integration = self.integrations.get(query.get("client_id", ""))
        if integration is None:
            return _html(404, "<h1>Integration not found</h1>")
        decision = query.get("decision") or ("allow" if self._world.switches.auto_consent else "")
        if decision:
            return self._redirect(ask, integration, query, allowed=decision == "allow")
        fields = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in query.items()
        )
        page = (
            f"<h1>{html.escape(self._world.account.name)}</h1><p>Allow the integration "
            f"<code>{html.escape(integration.client_id)}</code> to work with this account?</p>"
            f'<form method="get" action="/oauth">{fields}'
            '<button name="decision" value="allow">Allow</button> '
            '<button name="decision" value="deny">Deny</button></form>'
        )
        return _html(200, page)

    def token(self, ask: Ask) -> Reply:
        """POST /oauth2/access_token: JSON, or a form."""
        try:
            body = json.loads(ask.raw_body)
        except ValueError:
            body = dict(parse_qsl(ask.raw_body.decode("utf-8", "replace")))
        if not isinstance(body, dict):
            return _refused(400, "Check the `grant_type` parameter")
        integration = self.integrations.get(str(body.get("client_id")))
        if integration is None or not hmac.compare_digest(
            str(body.get("client_secret")).encode(), integration.client_secret.encode()
        ):
            return _refused(400, "Check the `client_id` parameter")
        if body.get("redirect_uri") != integration.redirect_uri:
            return _refused(400, "Check the `client_id` parameter")
        match body.get("grant_type"):
            case "authorization_code":
                return self._exchange(ask, integration, str(body.get("code")))
            case "refresh_token":
                return self._rotate(ask, integration, str(body.get("refresh_token")))
            case _:
                return _refused(400, "Check the `grant_type` parameter")

    def current_subdomain(self, ask: Ask) -> Reply:
        """GET /oauth2/account/current/subdomain: where a renamed account lives now (4.6)."""
        grant = self.refresh.get(ask.headers.get("x-refresh-token", ""))
        if grant is None or grant.revoked or grant.expires_at <= self._world.clock.now():
            return problem(401, "Invalid refresh token")
        account = self._world.account
        domain = self._world.switches.moved_to or ask.headers.get("host", "")
        body = {
            "id": account.id,
            "subdomain": account.subdomain,
            "domain": domain,
            "top_level_domain": "ru",
        }
        return Reply(200, json.dumps(body).encode(), "application/json")

    def _exchange(self, ask: Ask, integration: Integration, code: str) -> Reply:
        grant = self.codes.get(code)
        if grant is None or grant.client_id != integration.client_id:
            return _refused(400, "Cannot decrypt the authorization code")
        if grant.revoked:
            return _refused(400, "Authorization code has been revoked")
        if grant.expires_at <= self._world.clock.now():
            return _refused(400, "Authorization code has expired")
        grant.revoked = True
        return self._pair(ask, grant)

    def _rotate(self, ask: Ask, integration: Integration, token: str) -> Reply:
        grant = self.refresh.get(token)
        if grant is None or grant.client_id != integration.client_id:
            return _refused(401, "Invalid refresh token")
        if grant.revoked or grant.expires_at <= self._world.clock.now():
            return _refused(401, "Token has been revoked")
        grant.revoked = True
        return self._pair(ask, grant)

    def _pair(self, ask: Ask, grant: Grant) -> Reply:
        pair = self.issue_pair(grant.client_id, grant.user_id, ask.headers.get("host", ""))
        return Reply(200, json.dumps(pair).encode(), "application/json")

    def _redirect(self, ask: Ask, integration: Integration, query: dict[str, str], *, allowed: bool) -> Reply:
        back = {"state": query.get("state", ""), "client_id": integration.client_id}
        if allowed:
            referer = self._world.switches.referer or ask.headers.get("host", "")
            code = self.issue_code(integration.client_id)
            back = {"code": code, "referer": referer, "platform": "1"} | back
        else:
            back = {"error": "access_denied"} | back
        joint = "&" if urlsplit(integration.redirect_uri).query else "?"
        location = f"{integration.redirect_uri}{joint}{urlencode(back)}"
        return Reply(302, b"", None, {"Location": location})

    def _issue_access(self, client_id: str, user_id: int, seconds: int, host: str) -> str:
        now = self._world.now()
        integration = self.integrations[client_id]
        claims: dict[str, Any] = {
            "aud": client_id,
            "jti": secrets.token_hex(40),
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "sub": str(user_id),
            "grant_type": "",
            "account_id": self._world.account.id,
            "base_domain": "amocrm.ru",
            "api_domain": host,
            "version": 2,
            "scopes": list(integration.scopes),
        }
        token = jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, self._key)
        self.access[token] = Grant(client_id=client_id, user_id=user_id, expires_at=self._world.clock.now() + seconds)
        return token


def _refused(status: int, hint: str) -> Reply:
    body = {
        "hint": hint,
        "title": "Некорректный запрос" if status == 400 else "Токен отозван",
        "type": _PROBLEM_TYPE,
        "status": status,
        "detail": "Проверьте параметры запроса" if status == 400 else "Токен недействителен",
    }
    return Reply(status, json.dumps(body, ensure_ascii=False).encode(), "application/problem+json")


def _html(status: int, inner: str) -> Reply:
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>amoCRM sandbox</title>{inner}</html>'
    return Reply(status, page.encode(), "text/html; charset=utf-8")
