"""What the account's own pages ask for in a browser: the session, the list of widgets, the disposable token.

These addresses are not documented: they are read off the vendor's page by several public clients (widget reference
1.5, 1.8, 1.15). Everything here is done in the name of the person who is logged in.
"""

from __future__ import annotations

import json
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .ask import Ask
from .oauth import Grant, OAuth
from .reply import Json, Reply, problem
from .world import World

#: the vendor's name for its cookie
COOKIE = "session_id"
SESSION_SECONDS = 30 * 24 * 3600
_TOKEN_PATH = "/ajax/v2/integrations/"  # noqa: S105 - a path
_JSON = "application/json"


class FrontEnd:
    """Sessions of people, and the widgets that the administrator installed."""

    def __init__(self, world: World, oauth: OAuth) -> None:
        self._world = world
        self._oauth = oauth
        self.open()

    def open(self) -> None:
        """Nobody is logged in and nothing is installed."""
        self._sessions: dict[str, Grant] = {}
        #: by widget code: the record that the page's loader reads
        self.widgets: dict[str, Json] = {}
        #: ids that a widget asked to take out of the notification centre
        self.deleted_notices: list[str] = []

    def log_in(self, user_id: int) -> str:
        """The cookie's value for a person. ValueError for an unknown one."""
        if not self._world.is_active(user_id):
            raise ValueError(f"no active user {user_id}")
        session = secrets.token_hex(16)
        expires_at = self._world.clock.now() + SESSION_SECONDS
        self._sessions[session] = Grant(client_id="", user_id=user_id, expires_at=expires_at)
        return session

    def grant(self, ask: Ask) -> Grant | None:
        """Whose browser asks; None without a good session."""
        try:
            morsel = SimpleCookie(ask.headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self.session(morsel.value) if morsel is not None else None

    def session(self, value: str) -> Grant | None:
        """Whose session the cookie names; None once it ended."""
        grant = self._sessions.get(value)
        if grant is None or grant.expires_at <= self._world.clock.now() or not self._world.is_active(grant.user_id):
            return None
        return grant

    def answer(self, ask: Ask) -> Reply | None:
        """The answer to a request of a page; None if it is for somebody else."""
        path = ask.path.rstrip("/")
        match ask.method, path:
            case "POST", "/ajax/widgets/list":
                return self._list(ask)
            case "POST", "/ajax/widgets/edit":
                return self._edit(ask)
            case "POST", "/v3/inbox/delete":
                return self._delete_notices(ask)
            case "GET", _ if path.startswith(_TOKEN_PATH) and path.endswith("/disposable_token"):
                return self._token(ask, path.removeprefix(_TOKEN_PATH).removesuffix("/disposable_token"))
        return None

    def _token(self, ask: Ask, client_id: str) -> Reply:
        """GET /ajax/v2/integrations/{uuid}/disposable_token: only for the page's own script, with its session."""
        grant = self.grant(ask)
        if grant is None or ask.headers.get("x-requested-with") != "XMLHttpRequest":
            return problem(401, "Unauthorized")
        integration = self._oauth.integrations.get(client_id)
        if integration is None:
            return problem(404, "Integration not found")
        switches = self._world.switches
        audience = switches.token_audience or audience_of(integration.redirect_uri)
        token = self._oauth.issue_disposable(audience, grant.user_id, client_id, age=switches.token_age_seconds)
        return _json({"token": token})

    def _list(self, ask: Ask) -> Reply:
        """POST /ajax/widgets/list, form field ``area``: every widget with its settings, and the page's system data."""
        grant = self.grant(ask)
        if grant is None:
            return problem(401, "Unauthorized")
        area = parse_qs(ask.raw_body.decode("utf-8", "replace")).get("area", [""])[0]
        host = ask.headers.get("host", "")
        system = {
            "area": area,
            "displayed_count": 0,
            "displayed_count_by_area": {},
            "domain": host,
            "subdomain": self._world.account.subdomain,
            "server": f"https://{self._world.account.subdomain}.amocrm.ru",
        }
        return _json({"widgets": self.widgets, "system": system})

    def _edit(self, ask: Ask) -> Reply:
        """POST /ajax/widgets/edit: what the settings window saves. Our guess (?); no widget asks for it."""
        grant = self.grant(ask)
        if grant is None:
            return problem(401, "Unauthorized")
        if not self._world.users[grant.user_id].is_admin:
            return problem(403, "Only an administrator installs widgets")
        body = ask.object()
        record = self.widgets.get(str(body.get("code")))
        if record is None:
            return problem(404, "Widget not found")
        if body.get("active") in ("Y", "N"):
            record["active"] = body["active"]
        if isinstance(body.get("settings"), dict):
            record["settings"] = body["settings"]
        return _json({"status": "success"})

    def _delete_notices(self, ask: Ask) -> Reply:
        """POST /v3/inbox/delete ``{"id": [...], "all": false}``: notices are put away."""
        if self.grant(ask) is None:
            return problem(401, "Unauthorized")
        body = ask.object()
        ids: Any = body.get("id")
        self.deleted_notices += [str(one) for one in ids] if isinstance(ids, list) else []
        return _json({"status": "success"})


def audience_of(redirect_uri: str) -> str:
    """Scheme and host of the integration's redirect address: no path, no port (widget reference 1.8)."""
    parts = urlsplit(redirect_uri)
    return f"{parts.scheme}://{parts.hostname or ''}"


def _json(body: Json) -> Reply:
    return Reply(200, json.dumps(body, ensure_ascii=False).encode(), _JSON)
