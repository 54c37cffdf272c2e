"""The Ringostat API over HTTP (reference part C): one method per endpoint; retries are the caller's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Generator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from hub.errors import NeedsCredentials, Problem, Rejected, Throttled, Unavailable, VendorError

from .config import RingostatSettings
from .wire import RpcAnswer, Staff

__all__ = ["CallbackParty", "Marketing", "RingostatAuth", "RingostatClient", "raise_for"]

#: a period in which the limit is still reached is not cut further: two calls a second do not happen in one project
_SHORTEST_WINDOW = timedelta(minutes=1)
_DAY = timedelta(days=1)


class RingostatAuth(httpx.Auth):
    """Adds the project's ``Auth-key`` (reference C.1)."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Auth-key"] = self._key.get_secret_value()
        yield request


class CallbackParty(BaseModel):
    """One side of an extended callback: a number or SIP login, or the id of a forwarding scheme."""

    model_config = ConfigDict(frozen=True)

    value: str
    is_scheme: bool = False


class Marketing(BaseModel):
    """What is attached to an ordered call, all optional (reference C.4)."""

    model_config = ConfigDict(frozen=True)

    client_ip: str = ""
    client_id: str = ""
    user_agent: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""

    def to_wire(self) -> dict[str, str]:
        told = {
            "clientIp": self.client_ip,
            "clientId": self.client_id,
            "clientUserAgent": self.user_agent,
            "utmSource": self.utm_source,
            "utmMedium": self.utm_medium,
            "utmCampaign": self.utm_campaign,
            "utmTerm": self.utm_term,
            "utmContent": self.utm_content,
        }
        return {key: value for key, value in told.items() if value}


class RingostatClient:
    """Speaks for one project. Methods raise Throttled, Unavailable, NeedsCredentials, Rejected."""

    def __init__(self, http: httpx.AsyncClient, settings: RingostatSettings, *, connection: str = "ringostat") -> None:
        self._http = http
        self._settings = settings
        self._connection = connection
        self._auth = RingostatAuth(settings.auth_key)

    async def calls(self, since: datetime, until: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """Rows of the call log between two instants, as they come, possibly repeated and from outside the period.

        GET /calls/list, one request per window; a window whose answer reaches the limit is halved and asked again.
        https://ringostat.readme.io/reference/get_calls-list
        """
        zone = ZoneInfo(self._settings.list_zone)
        widest = self._settings.list_window_days * _DAY
        windows: list[tuple[datetime, datetime]] = []
        while since < until:
            windows.append((since, min(since + widest, until)))
            since += widest
        windows.reverse()
        while windows:
            begin, end = windows.pop()
            rows = await self._window(begin.astimezone(zone), end.astimezone(zone))
            if len(rows) >= self._settings.list_limit and end - begin > _SHORTEST_WINDOW:
                middle = begin + (end - begin) / 2
                windows += [(middle, end), (begin, middle)]
                continue
            for row in rows:
                yield row

    async def staff(self) -> list[Staff]:
        """The project's employees and their destinations.

        POST /api/json-rpc, method getProjectStaffListAndDirections (article 9188142). The result is an object by
        staffId; an array is read too.
        """
        result = await self._rpc(
            "/api/json-rpc",
            "getProjectStaffListAndDirections",
            {"projectId": self._project_id(), "departmentsFullFormat": False},
            is_read=True,
        )
        rows = list(result.values()) if isinstance(result, Mapping) else result
        if rows is None:
            return []
        try:
            return [Staff.model_validate(row) for row in rows]
        except (ValidationError, TypeError) as err:
            raise self._unreadable("getProjectStaffListAndDirections", "a list of employees") from err

    async def ring(
        self,
        client: CallbackParty,
        employee: CallbackParty,
        *,
        direction: str = "out",
        marketing: Marketing | None = None,
    ) -> Any:
        """Order a call between ``client`` and ``employee``; the vendor's own result, whose form is not documented.

        POST /a/v2, method ``Api\\V2\\Callback.external``. The vendor's texts disagree on which side ``caller`` is
        (?): live clients send the client there, and so do we. Not repeated by anybody: a second request rings again.
        """
        params: dict[str, Any] = {
            "projectId": self._settings.project_id,
            "caller": client.value,
            "callee": employee.value,
            "caller_type": "scheme" if client.is_scheme else "default",
            "callee_type": "scheme" if employee.is_scheme else "default",
            "manager_dst": 0 if self._settings.ring_employee_first else 1,
            "direction": direction,
            **(marketing.to_wire() if marketing else {}),
        }
        return await self._rpc("/a/v2", "Api\\V2\\Callback.external", params)

    async def ring_simply(self, line: str, destination: str) -> None:
        """Order a call from the project's number ``line`` to ``destination``.

        POST /callback/outward_call, a form; any 2xx is success, the body is not documented (reference C.3).
        """
        await self._send("POST", "/callback/outward_call", data={"extension": line, "destination": destination})

    async def online(self) -> list[str]:
        """SIP logins that are registered now: GET /sipstatus/online (reference C.5)."""
        return await self._logins("/sipstatus/online")

    async def speaking(self) -> list[str]:
        """SIP logins that are on a call now: GET /sipstatus/speaking (reference C.5)."""
        return await self._logins("/sipstatus/speaking")

    async def _logins(self, path: str) -> list[str]:
        found = self._json(await self._send("GET", path, is_read=True), path)
        if not isinstance(found, list):
            raise self._unreadable(path, "an array of logins")
        return [str(login) for login in found]

    async def _window(self, begin: datetime, end: datetime) -> list[Mapping[str, Any]]:
        response = await self._send(
            "GET",
            "/calls/list",
            is_read=True,
            params={
                "export_type": "json",
                "from": f"{begin:%Y-%m-%d %H:%M:%S}",
                "to": f"{end:%Y-%m-%d %H:%M:%S}",
                "fields": ",".join(self._settings.list_fields),
                "merge": "0",
                "order": "calldate asc",
            },
        )
        rows = self._json(response, "/calls/list") if response.content.strip() else []
        if not isinstance(rows, list):
            raise self._unreadable("/calls/list", "an array of calls")
        return [row for row in rows if isinstance(row, Mapping)]

    async def _rpc(self, path: str, method: str, params: Mapping[str, Any], *, is_read: bool = False) -> Any:
        """Errors come with HTTP 200 as an ``error`` member (reference C.1)."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        response = await self._send(
            "POST", path, content=orjson.dumps(message), headers={"Content-Type": "application/json"}, is_read=is_read
        )
        try:
            answer = RpcAnswer.model_validate(self._json(response, method))
        except ValidationError as err:
            raise self._unreadable(method, "a JSON-RPC answer") from err
        if answer.error:
            problem = Problem(code=answer.error.code, text=answer.error.message)
            raise Rejected(problems={"": [problem]}, connection=self._connection, operation=method)
        return answer.result

    async def _send(self, method: str, path: str, *, is_read: bool = False, **more: Any) -> httpx.Response:
        operation = f"{method} {path}"
        if not self._settings.auth_key.get_secret_value():
            raise NeedsCredentials(
                "the channel has no Auth-key, so its API cannot be asked",
                connection=self._connection,
                operation=operation,
            )
        try:
            response = await self._http.request(method, self._settings.api_base + path, auth=self._auth, **more)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as err:
            raise Unavailable(
                f"Ringostat cannot be reached: {err}",
                maybe_applied=False,
                connection=self._connection,
                operation=operation,
            ) from err
        except httpx.TransportError as err:
            raise Unavailable(
                f"Ringostat did not answer: {type(err).__name__}",
                maybe_applied=not is_read,
                connection=self._connection,
                operation=operation,
            ) from err
        raise_for(response, connection=self._connection, operation=operation, is_read=is_read)
        return response

    def _json(self, response: httpx.Response, operation: str) -> Any:
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as err:
            raise self._unreadable(operation, "JSON") from err

    def _unreadable(self, operation: str, wanted: str) -> VendorError:
        return Unavailable(
            f"Ringostat answered something else than {wanted}", connection=self._connection, operation=operation
        )

    def _project_id(self) -> int | str:
        project = self._settings.project_id
        return int(project) if project.isascii() and project.isdigit() else project


def raise_for(response: httpx.Response, *, connection: str, operation: str, is_read: bool = False) -> None:
    """Turn a status into the error that says what follows; nothing for 2xx.

    401 and 403 mean a bad key or no access (reference C.1); limits are not documented, so any 429 is believed.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    if status in (401, 403):
        raise NeedsCredentials(
            f"Ringostat refused the Auth-key with {status}", connection=connection, operation=operation
        )
    if status == 429:
        raise Throttled(
            "Ringostat asks to slow down",
            retry_after=_retry_after(response),
            connection=connection,
            operation=operation,
        )
    if status >= 500 or status in (408, 425):
        raise Unavailable(
            f"Ringostat answered {status}", maybe_applied=not is_read, connection=connection, operation=operation
        )
    problem = Problem(code=str(status), text=_said(response))
    raise Rejected(problems={"": [problem]}, connection=connection, operation=operation)


def _retry_after(response: httpx.Response) -> timedelta | None:
    with contextlib.suppress(ValueError, OverflowError):
        return timedelta(seconds=max(0.0, float(response.headers.get("Retry-After", ""))))
    return None


def _said(response: httpx.Response) -> str:
    """The vendor's own words, as far as the body has any."""
    with contextlib.suppress(orjson.JSONDecodeError):
        body = orjson.loads(response.content)
        if isinstance(body, Mapping):
            return str(body.get("message") or body.get("error") or "")[:300]
    return response.text[:300]
