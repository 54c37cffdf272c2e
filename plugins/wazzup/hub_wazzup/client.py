"""The Wazzup API v3 over HTTP: one method per endpoint; retries are the caller's."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
import orjson
from pydantic import SecretStr, ValidationError

from hub.errors import NeedsCredentials, Problem, Rejected, Throttled, Unavailable, VendorError

from .config import WazzupSettings
from .wire import Channel, Webhooks

__all__ = ["BATCH", "WazzupAuth", "WazzupClient", "code_of", "raise_for"]

#: most entities in one request (reference 2.3)
BATCH = 100
#: the limit's window (reference 2.2): no Retry-After is documented
_WINDOW = timedelta(seconds=5)
#: pages of users that are read before something must be wrong
_MOST_PAGES = 100


class WazzupAuth(httpx.Auth):
    """Adds the key (reference 1)."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        yield request


class WazzupClient:
    """Speaks for one account. Methods raise Throttled, Unavailable, NeedsCredentials, Rejected."""

    def __init__(self, http: httpx.AsyncClient, settings: WazzupSettings, *, connection: str = "wazzup") -> None:
        self._http, self._settings, self._connection = http, settings, connection
        self._auth = WazzupAuth(settings.api_key)

    # --- channels and webhooks (reference 3, 4)

    async def channels(self) -> list[Channel]:
        """GET /v3/channels: every number and account; an array."""
        return self._rows(Channel, "channels", await self._send("GET", "/channels"))

    async def webhooks(self) -> Webhooks:
        """GET /v3/webhooks: the account's one address and what is sent there."""
        found = self._json("webhooks", await self._send("GET", "/webhooks"))
        try:
            return Webhooks.model_validate(found or {})
        except ValidationError as err:
            raise self._unreadable("webhooks") from err

    async def set_webhooks(self, uri: str, subscriptions: Mapping[str, bool]) -> None:
        """PATCH /v3/webhooks: Wazzup tries the address at once with ``{"test": true}``; any 2xx is success."""
        await self._send("PATCH", "/webhooks", {"webhooksUri": uri, "subscriptions": dict(subscriptions)})

    # --- entities (reference 6, 7, 8)

    async def users(self) -> list[tuple[str, str]]:
        """GET /v3/users: (id, name) of everybody; an array, or pages of ``{count, data}`` in older accounts."""
        found: list[tuple[str, str]] = []
        for _ in range(_MOST_PAGES):
            path = f"/users?offset={len(found)}" if found else "/users"
            body = self._json("users", await self._send("GET", path))
            rows = body.get("data", []) if isinstance(body, Mapping) else body
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) and "id" in row for row in rows):
                raise self._unreadable("users")
            new = [(str(row["id"]), str(row.get("name") or "")) for row in rows]
            known = {id for id, _ in found}
            found += [one for one in new if one[0] not in known]
            count = body.get("count") if isinstance(body, Mapping) else None
            # a page that brings nothing new ends the reading, whatever the count says
            if not isinstance(count, int) or len(found) >= count or all(id in known for id, _ in new):
                break
        return found

    async def put(self, kind: str, items: Sequence[Mapping[str, Any]]) -> None:
        """POST /v3/users, /contacts, /deals or /pipelines: upsert by id, all or nothing, at most `BATCH`."""
        await self._send("POST", f"/{kind}", list(items))

    async def remove(self, kind: str, ids: Sequence[str]) -> None:
        """PATCH /v3/{kind}/bulk_delete; ids that Wazzup does not have are no error."""
        await self._send("PATCH", f"/{kind}/bulk_delete", list(ids))

    # --- messages (reference 9)

    async def send(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """POST /v3/message: 201 with ``messageId`` and ``chatId``."""
        found = self._json("message", await self._send("POST", "/message", message))
        if not isinstance(found, Mapping):
            raise self._unreadable("message")
        return found

    async def frame(self, question: Mapping[str, Any]) -> str:
        """POST /v3/iframe: the address of a page with chats."""
        found = self._json("iframe", await self._send("POST", "/iframe", question))
        url = found.get("url") if isinstance(found, Mapping) else None
        if not isinstance(url, str) or not url.startswith("https://"):
            raise self._unreadable("iframe")
        return url

    async def unanswered(self, user_id: str) -> int:
        """GET /v3/unanswered/{userId}: how many messages wait for the user, of the last 7 days."""
        found = self._json("unanswered", await self._send("GET", f"/unanswered/{user_id}"))
        count = found.get("counterV2", found.get("counter")) if isinstance(found, Mapping) else None
        if not isinstance(count, int):
            raise self._unreadable("unanswered")
        return count

    # --- how

    async def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        operation = f"{method} {path.partition('?')[0]}"
        if not self._settings.api_key.get_secret_value():
            raise NeedsCredentials(
                "enter the API key of Wazzup in the channel's settings",
                connection=self._connection,
                operation=operation,
            )
        content = None if body is None else orjson.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            response = await self._http.request(
                method, f"{self._settings.api_base}{path}", content=content, headers=headers, auth=self._auth
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as err:
            raise Unavailable(
                f"Wazzup cannot be reached: {type(err).__name__}",
                maybe_applied=False,
                connection=self._connection,
                operation=operation,
            ) from err
        except httpx.HTTPError as err:
            raise Unavailable(
                f"the answer of Wazzup was lost: {type(err).__name__}", connection=self._connection, operation=operation
            ) from err
        raise_for(response.status_code, response.content, connection=self._connection, operation=operation)
        return response

    def _json(self, operation: str, response: httpx.Response) -> Any:
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as err:
            raise self._unreadable(operation) from err

    def _rows(self, model: type[Channel], operation: str, response: httpx.Response) -> list[Channel]:
        rows = self._json(operation, response)
        try:
            return [model.model_validate(row) for row in rows]
        except (ValidationError, TypeError) as err:
            raise self._unreadable(operation) from err

    def _unreadable(self, operation: str) -> VendorError:
        return Unavailable(
            f"the answer of Wazzup to {operation} cannot be read", connection=self._connection, operation=operation
        )


def code_of(body: Mapping[str, Any]) -> str:
    """The error's code, normalised: the vendor writes camelCase and UPPER_SNAKE, plain and nested (reference 2.1)."""
    error = body.get("error")
    if isinstance(error, Mapping):
        error = error.get("code")
    return str(error or "").replace("_", "").lower()


def raise_for(status: int, content: bytes, *, connection: str = "", operation: str = "") -> None:
    """Turn an answer that is no success into what follows from it (reference 2.2)."""
    if 200 <= status < 300:
        return
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = {}
    if not isinstance(body, Mapping):
        body = {}
    code, said = code_of(body), str(body.get("description") or "")
    told: dict[str, str] = {
        "connection": connection,
        "operation": operation,
        "request_id": str(body.get("requestId") or ""),
    }
    if status == 401:
        raise NeedsCredentials("Wazzup refused the API key", **told)
    if status == 403:
        raise NeedsCredentials(
            "Wazzup does not open this to the key; a sidecar key only sends and reads messages", **told
        )
    if status == 429:
        raise Throttled("Wazzup asks to slow down", retry_after=_WINDOW, **told)
    if status >= 500 or status < 400:
        raise Unavailable(
            f"Wazzup answered {status} {code}".strip(),
            connection=connection,
            operation=operation,
            request_id=told["request_id"],
        )
    raise Rejected(problems={"": _problems(code, said or f"answered {status}", body.get("data"))}, **told)


def _problems(code: str, said: str, data: Any) -> list[Problem]:
    """What the refusal names: fields, or items of the sent array with their fields (reference 2.1)."""
    found: list[Problem] = []
    rows = data if isinstance(data, list) else [data]
    for row in rows:
        if not isinstance(row, Mapping):
            continue
        index = row.get("index")
        fields = row.get("fields")
        names = [str(name) for name in fields] if isinstance(fields, list) else []
        prefix = f"{index}" if isinstance(index, int) else ""
        found += [
            Problem(field=".".join(part for part in (prefix, name) if part), code=code, text=said)
            for name in names or [""]
        ]
    return found or [Problem(code=code, text=said)]
