"""Zoho CRM's API v8 over httpx: one method per endpoint, one request per call.

Nothing found is 204 without a body, nothing changed 304. Every method raises what `problem.raise_for` says, and
Unavailable when no answer came. Pages: https://www.zoho.com/crm/developer/docs/api/v8/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError
from pydantic_core import from_json

from hub.errors import Unavailable
from hub_zoho import wire
from hub_zoho.auth import Credentials
from hub_zoho.problem import Sent, raise_for, to_unavailable
from hub_zoho.wire import Outcome, Row

__all__ = ["Deleted", "Item", "Page", "ZohoClient"]

#: the body of one record in a write
Item: TypeAlias = dict[str, Any]
Params: TypeAlias = Sequence[tuple[str, str]]
ModelT = TypeVar("ModelT", bound=wire.Wire)

_USER_AGENT = "crm-hub/1.0"
_BASE = "/crm/v8"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: tuple[Row, ...] = ()
    has_more: bool = False
    #: for pages beyond the tenth
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """A record in the recycle bin or gone."""

    id: str
    at: int


class ZohoClient:
    """The endpoints that the hub uses."""

    def __init__(self, http: httpx.AsyncClient, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials
        #: of the rolling 24 hours; None until the vendor tells, which it does after half are gone (2)
        self.credits_left: int | None = None

    # --- metadata -----------------------------------------------------------------------------------------------

    async def organisation(self) -> wire.Organisation:
        """GET /org"""
        found = self._models(wire.Organisation, await self._json("GET", "/org"), "org")
        if not found:
            raise Unavailable("Zoho told nothing about the organisation", maybe_applied=False, operation="GET /org")
        return found[0]

    async def users(self, page: int) -> tuple[tuple[wire.User, ...], bool]:
        """GET /users?type=AllUsers: active and deactivated ones; with whether there are more."""
        params = [("type", "AllUsers"), ("page", str(page)), ("per_page", "200")]
        found = await self._json("GET", "/users", params=params)
        return self._models(wire.User, found, "users"), _has_more(found)

    async def fields(self, module: str) -> tuple[wire.FieldDefinition, ...]:
        """GET /settings/fields?module="""
        found = await self._json("GET", "/settings/fields", params=[("module", module)])
        return self._models(wire.FieldDefinition, found, "fields")

    async def layouts(self, module: str) -> tuple[wire.Layout, ...]:
        """GET /settings/layouts?module="""
        found = await self._json("GET", "/settings/layouts", params=[("module", module)])
        return self._models(wire.Layout, found, "layouts")

    async def pipelines(self, layout_id: str) -> tuple[wire.Pipeline, ...]:
        """GET /settings/pipeline?layout_id="""
        found = await self._json("GET", "/settings/pipeline", params=[("layout_id", layout_id)])
        return self._models(wire.Pipeline, found, "pipeline")

    # --- reading ------------------------------------------------------------------------------------------------

    async def records(self, module: str, params: Params, *, since: int | None = None) -> Page:
        """GET /{module}: ``fields`` is mandatory; ``since`` (unix seconds) goes into If-Modified-Since.

        https://www.zoho.com/crm/developer/docs/api/v8/get-records.html
        """
        headers = {} if since is None else {"If-Modified-Since": _moment(since)}
        return _page(module, await self._json("GET", f"/{module}", params=params, headers=headers))

    async def related(self, module: str, record_id: str, name: str, params: Params) -> Page:
        """GET /{module}/{id}/{related list}"""
        return _page(name, await self._json("GET", f"/{module}/{record_id}/{name}", params=params))

    async def search(self, module: str, params: Params) -> Page:
        """GET /{module}/search: exactly one of criteria, email, phone, word acts; the index lags (4).

        https://www.zoho.com/crm/developer/docs/api/v8/search-records.html
        """
        return _page(module, await self._json("GET", f"/{module}/search", params=params))

    async def coql(self, module: str, query: str) -> Page:
        """POST /coql: never lags; lookups bring id and name only (4).

        https://www.zoho.com/crm/developer/docs/api/v8/COQL-Overview.html
        """
        sent = Sent(operation="POST /coql", is_read=True)
        return _page(module, await self._json("POST", "/coql", body={"select_query": query}, sent=sent))

    async def deleted(self, module: str, since: int, page: int) -> tuple[tuple[Deleted, ...], bool]:
        """GET /{module}/deleted?type=all; with whether there are more."""
        params = [("type", "all"), ("page", str(page)), ("per_page", "200")]
        headers = {"If-Modified-Since": _moment(since)}
        found = await self._json("GET", f"/{module}/deleted", params=params, headers=headers)
        rows = [Row(module, item) for item in _listed(found, "data")]
        moments = [(row.id, row.moment("deleted_time")) for row in rows]
        return tuple(Deleted(i, int(at.timestamp()) if at else since) for i, at in moments if i), _has_more(found)

    # --- writes -------------------------------------------------------------------------------------------------

    async def insert(self, module: str, items: Sequence[Item], *, triggers: bool) -> tuple[Outcome, ...]:
        """POST /{module}: at most 100 records, each answered by itself, in order (2).

        https://www.zoho.com/crm/developer/docs/api/v8/insert-records.html
        """
        return await self._write("POST", f"/{module}", items, triggers=triggers)

    async def update(self, module: str, items: Sequence[Item], *, triggers: bool) -> tuple[Outcome, ...]:
        """PUT /{module}: partial, the ids stand in the items."""
        return await self._write("PUT", f"/{module}", items, triggers=triggers)

    async def convert(self, lead_id: str, item: Item) -> Outcome:
        """POST /Leads/{id}/actions/convert: one lead, five credits.

        https://www.zoho.com/crm/developer/docs/api/v8/convert-lead.html
        """
        found = await self._write("POST", f"/Leads/{lead_id}/actions/convert", [item], triggers=True)
        return found[0] if found else Outcome.of(None)

    async def add_tags(self, module: str, ids: Sequence[str], names: Sequence[str]) -> tuple[Outcome, ...]:
        """POST /{module}/actions/add_tags: the tags join those that are there; unknown ones are made (7)."""
        body = {"tags": [{"name": name} for name in names], "ids": list(ids), "over_write": False}
        path = f"/{module}/actions/add_tags"
        return _outcomes(await self._json("POST", path, body=body, sent=Sent(operation=f"POST {path}")))

    async def watch(self, method: str, item: Item) -> Outcome:
        """POST or PUT /actions/watch: make a channel, or replace its details (8).

        https://www.zoho.com/crm/developer/docs/api/v8/notifications/overview.html
        """
        sent = Sent(operation=f"{method} /actions/watch", is_read=True)
        found = await self._json(method, "/actions/watch", body={"watch": [item]}, sent=sent, answer="watch")
        return next(iter(_outcomes(found, "watch")), Outcome.of(None))

    # --- transport ----------------------------------------------------------------------------------------------

    async def _write(self, method: str, path: str, items: Sequence[Item], *, triggers: bool) -> tuple[Outcome, ...]:
        body: Item = {"data": list(items)}
        if not triggers:
            body["trigger"] = []
        return _outcomes(await self._json(method, path, body=body, sent=Sent(operation=f"{method} {path}")))

    async def _json(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        sent: Sent | None = None,
        answer: str = "data",
    ) -> Any:
        """The JSON of the answer, None if there is none. An answer that judges each record by itself is no error,
        whatever its status says (2)."""
        sent = sent or Sent(operation=f"{method} {path}", is_read=True)
        url = await self._credentials.api() + _BASE + path
        request = self._http.build_request(
            method, url, params=list(params) or None, json=body, headers={"User-Agent": _USER_AGENT, **(headers or {})}
        )
        try:
            response = await self._http.send(request, auth=self._credentials, follow_redirects=False)
        except httpx.TransportError as err:
            raise to_unavailable(err, sent) from err
        left = response.headers.get("x-api-credits-remaining", "")
        self.credits_left = int(left[:9]) if left.isdecimal() else self.credits_left
        if response.status_code == 304:
            return None
        found = self._parse(response, sent)
        is_judged = response.status_code == 400 and isinstance(found, dict) and isinstance(found.get(answer), list)
        if not response.is_success and not is_judged:
            raise_for(response.status_code, response.headers, response.content, sent)
        return found

    def _parse(self, response: httpx.Response, sent: Sent) -> Any:
        if not response.content.strip():
            return None
        try:
            found = from_json(response.content)
        except ValueError:
            found = None
        if response.is_success and not isinstance(found, dict):
            raise Unavailable(
                "Zoho answered with something that is no JSON object",
                maybe_applied=not sent.is_read,
                operation=sent.operation,
            )
        return found

    def _models(self, model: type[ModelT], found: Any, key: str) -> tuple[ModelT, ...]:
        try:
            return tuple(model.model_validate(item) for item in _listed(found, key))
        except ValidationError as err:
            places = ", ".join(".".join(map(str, error["loc"])) for error in err.errors(include_input=False)[:5])
            text = f"Zoho answered in an unknown form: {places}"
            raise Unavailable(text, maybe_applied=False, operation=model.__name__) from None


def _moment(seconds: int) -> str:
    """ISO 8601 with offset and no fraction (2)."""
    return datetime.fromtimestamp(max(0, seconds), UTC).isoformat(timespec="seconds")


def _listed(found: Any, key: str) -> list[dict[str, Any]]:
    items = found.get(key) if isinstance(found, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _info(found: Any) -> Mapping[str, Any]:
    info = found.get("info") if isinstance(found, dict) else None
    return info if isinstance(info, dict) else {}


def _has_more(found: Any) -> bool:
    return _info(found).get("more_records") is True


def _page(module: str, found: Any) -> Page:
    """A page of records; an empty list has no body (4).

    What is no list at all is not taken for an empty one: whoever looks whether a lost write arrived would believe that
    it did not (X5). A record whose id cannot be read stays in it, with "" for the id: it may be that write's.
    """
    rows = tuple(Row(module, item) for item in _listed(found, "data") if item)
    if found is not None and (not isinstance(found.get("data"), list) or len(rows) < len(found["data"])):
        raise Unavailable(
            "Zoho answered in an unknown form: no list of records", maybe_applied=False, operation=f"GET {module}"
        )
    return Page(rows, _has_more(found), str(_info(found).get("next_page_token") or ""))


def _outcomes(found: Any, key: str = "data") -> tuple[Outcome, ...]:
    items = found.get(key) if isinstance(found, dict) else None
    return tuple(Outcome.of(item) for item in items) if isinstance(items, list) else ()
