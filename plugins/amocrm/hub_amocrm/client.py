"""amoCRM's server API v4 over httpx: one method per endpoint, one request per call.

Lists answer 204 without a body when they are empty. Every method raises what `problem.raise_for` says, and
Unavailable when no answer came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

import httpx
import msgspec
from pydantic_core import from_json

from hub.errors import Unavailable
from hub_amocrm import wire
from hub_amocrm.auth import Credentials, to_unavailable
from hub_amocrm.problem import Sent, raise_for
from hub_amocrm.wire import Card

__all__ = ["AmoCrmClient", "Item", "Page", "Params"]

Params: TypeAlias = Sequence[tuple[str, str]]
#: the body of one record in a write
Item: TypeAlias = dict[str, Any]
ModelT = TypeVar("ModelT", bound=wire.Wire)

_USER_AGENT = "crm-hub/1.0"
_READ = Sent(is_read=True)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page(Generic[ModelT]):
    """One page of a list; ``has_more`` may promise a page that turns out empty."""

    items: tuple[ModelT, ...]
    has_more: bool


class AmoCrmClient:
    """The endpoints that the hub uses."""

    def __init__(self, http: httpx.AsyncClient, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials

    # --- account ------------------------------------------------------------------------------------------------

    async def account(self) -> wire.Account:
        """GET /api/v4/account

        https://www.amocrm.ru/developers/content/crm_platform/account-info
        """
        params = [("with", "task_types,datetime_settings,is_api_filter_enabled")]
        found = await self._json("GET", "/api/v4/account", params=params)
        return self._read(wire.Account, found)

    async def users(self, page: int) -> Page[wire.User]:
        """GET /api/v4/users: an administrator's token only, 403 otherwise.

        https://www.amocrm.ru/developers/content/crm_platform/users-api
        """
        return await self._list(wire.User, "/api/v4/users", "users", _paged(page, 250, with_="phone_number"))

    async def pipelines(self) -> Page[wire.Pipeline]:
        """GET /api/v4/leads/pipelines, no paging.

        https://www.amocrm.ru/developers/content/crm_platform/leads_pipelines
        """
        return await self._list(wire.Pipeline, "/api/v4/leads/pipelines", "pipelines", ())

    async def custom_fields(self, card: Card, page: int) -> Page[wire.FieldDefinition]:
        """GET /api/v4/{card}/custom_fields: 50 on a page whatever is asked.

        https://www.amocrm.ru/developers/content/crm_platform/custom-fields
        """
        path = f"/api/v4/{card}/custom_fields"
        return await self._list(wire.FieldDefinition, path, "custom_fields", _paged(page, 50))

    async def create_custom_field(self, card: Card, item: Item) -> wire.FieldDefinition:
        """POST /api/v4/{card}/custom_fields: administrators only; answers 201 with the whole field."""
        path = f"/api/v4/{card}/custom_fields"
        found = await self._json("POST", path, body=[item], sent=Sent(operation=f"POST {path}"))
        items = self._items(wire.FieldDefinition, found, "custom_fields")
        if not items:
            self._unreadable(f"POST {path}")
        return items[0]

    async def webhooks(self, destination: str) -> Page[wire.Webhook]:
        """GET /api/v4/webhooks: 200 with an empty list, or 204; administrators only.

        https://www.amocrm.ru/developers/content/crm_platform/webhooks-api
        """
        params = [("filter[destination]", destination)]
        return await self._list(wire.Webhook, "/api/v4/webhooks", "webhooks", params)

    async def subscribe(self, destination: str, events: Sequence[str]) -> wire.Webhook:
        """POST /api/v4/webhooks: one object; the same destination again is updated and re-enabled."""
        body = {"destination": destination, "settings": list(events)}
        found = await self._json("POST", "/api/v4/webhooks", body=body, sent=Sent(operation="POST /api/v4/webhooks"))
        return self._read(wire.Webhook, found)

    # --- records ------------------------------------------------------------------------------------------------

    async def contacts(self, params: Params) -> Page[wire.Contact]:
        """GET /api/v4/contacts; ``with=leads`` is added, linked deals are absent without it.

        ``query`` also matches other fields and 7-digit tails: compare numbers yourself (19).
        https://www.amocrm.ru/developers/content/crm_platform/contacts-api
        """
        return await self._list(wire.Contact, "/api/v4/contacts", "contacts", _with(params, "leads"))

    async def companies(self, params: Params) -> Page[wire.Company]:
        """GET /api/v4/companies with contacts and leads.

        https://www.amocrm.ru/developers/content/crm_platform/companies-api
        """
        return await self._list(wire.Company, "/api/v4/companies", "companies", _with(params, "contacts,leads"))

    async def leads(self, params: Params) -> Page[wire.Lead]:
        """GET /api/v4/leads with contacts.

        https://www.amocrm.ru/developers/content/crm_platform/leads-api
        """
        return await self._list(wire.Lead, "/api/v4/leads", "leads", _with(params, "contacts"))

    async def deleted_cards(self, card: Card, params: Params) -> Page[wire.Entity]:
        """GET /api/v4/{card}?with=only_deleted: the bin, in short models."""
        return await self._list(wire.Entity, f"/api/v4/{card}", card, _with(params, "only_deleted"))

    async def tasks(self, params: Params) -> Page[wire.Task]:
        """GET /api/v4/tasks.

        https://www.amocrm.ru/developers/content/crm_platform/tasks-api
        """
        return await self._list(wire.Task, "/api/v4/tasks", "tasks", params)

    async def notes(self, card: Card, params: Params) -> Page[wire.Note]:
        """GET /api/v4/{card}/notes: of all records of the kind.

        https://www.amocrm.ru/developers/content/crm_platform/events-and-notes
        """
        return await self._list(wire.Note, f"/api/v4/{card}/notes", "notes", params)

    async def incoming(self, params: Params) -> Page[wire.Incoming]:
        """GET /api/v4/leads/unsorted: incoming leads that nobody accepted.

        https://www.amocrm.ru/developers/content/crm_platform/unsorted-api
        """
        return await self._list(wire.Incoming, "/api/v4/leads/unsorted", "unsorted", params)

    async def events(self, params: Params) -> Page[wire.Event]:
        """GET /api/v4/events: the log, newest first.

        https://www.amocrm.ru/developers/content/crm_platform/events-and-notes
        """
        return await self._list(wire.Event, "/api/v4/events", "events", params)

    async def contact(self, record_id: str) -> wire.Contact | None:
        """GET /api/v4/contacts/{id}; None if there is none (204; 404 elsewhere)."""
        return await self._single(wire.Contact, f"/api/v4/contacts/{record_id}", "leads")

    async def company(self, record_id: str) -> wire.Company | None:
        """GET /api/v4/companies/{id}."""
        return await self._single(wire.Company, f"/api/v4/companies/{record_id}", "contacts,leads")

    async def lead(self, record_id: str) -> wire.Lead | None:
        """GET /api/v4/leads/{id}."""
        return await self._single(wire.Lead, f"/api/v4/leads/{record_id}", "contacts")

    # --- writes -------------------------------------------------------------------------------------------------

    async def create(self, collection: str, items: Sequence[Item], sent: Sent) -> tuple[wire.Created, ...]:
        """POST /api/v4/{collection} (contacts, leads, tasks, contacts/notes ...): always an array (1.3)."""
        return await self._write("POST", f"/api/v4/{collection}", collection, items, sent)

    async def change(self, collection: str, items: Sequence[Item], sent: Sent) -> tuple[wire.Created, ...]:
        """PATCH /api/v4/{collection}: the batch form, each item with its id."""
        return await self._write("PATCH", f"/api/v4/{collection}", collection, items, sent)

    async def create_complex(self, items: Sequence[Item], sent: Sent) -> tuple[wire.Complex, ...]:
        """POST /api/v4/leads/complex: a deal with its contact, atomically; the answer is a bare array (9.1)."""
        found = await self._json("POST", "/api/v4/leads/complex", body=list(items), sent=sent)
        if not isinstance(found, list):
            self._unreadable(sent.operation)
        try:
            return tuple(wire.read(wire.Complex, item) for item in found)
        except msgspec.ValidationError:
            self._unreadable(sent.operation)

    async def create_incoming(self, items: Sequence[Item], sent: Sent) -> tuple[wire.Incoming, ...]:
        """POST /api/v4/leads/unsorted/sip (10)."""
        found = await self._json("POST", "/api/v4/leads/unsorted/sip", body=list(items), sent=sent)
        return self._items(wire.Incoming, found, "unsorted")

    async def accept_incoming(self, uid: str, body: Item, sent: Sent) -> None:
        """POST /api/v4/leads/unsorted/{uid}/accept: the lead gets a stage and a responsible (10.1).

        https://www.amocrm.ru/developers/content/crm_platform/unsorted-api
        """
        await self._json("POST", f"/api/v4/leads/unsorted/{uid}/accept", body=body, sent=sent)

    async def link(self, card: Card, items: Sequence[Item], sent: Sent) -> None:
        """POST /api/v4/{card}/link: the bulk form; linking twice is harmless (12)."""
        await self._json("POST", f"/api/v4/{card}/link", body=list(items), sent=sent)

    async def pop_up(self, items: Sequence[Item], sent: Sent) -> None:
        """POST /api/v2/events: a notice in the corner for users with an open tab; the answer's body is ignored (16).

        https://www.amocrm.ru/developers/content/telephony/call_event
        """
        await self._send("POST", "/api/v2/events", body={"add": list(items)}, sent=sent)

    # --- transport ----------------------------------------------------------------------------------------------

    async def _write(
        self, method: str, path: str, collection: str, items: Sequence[Item], sent: Sent
    ) -> tuple[wire.Created, ...]:
        found = await self._json(method, path, body=list(items), sent=sent)
        return self._items(wire.Created, found, collection.rsplit("/", 1)[-1])

    async def _list(self, model: type[ModelT], path: str, collection: str, params: Params) -> Page[ModelT]:
        body = await self._send("GET", path, params=params)
        try:
            page = wire.listing(model, collection).decode(body)
        except msgspec.DecodeError:
            return self._patiently(model, body, collection)
        return Page(tuple(page.embedded.items), bool(page.links.next))

    def _patiently(self, model: type[ModelT], body: bytes, collection: str) -> Page[ModelT]:
        """A page that is empty, or not quite as expected: what can be read of it.

        What is no list at all is not taken for an empty one, which has no body (1.1): whoever looks whether a lost
        write arrived would believe that it did not (X5).
        """
        if not body.strip():
            return Page((), False)
        found = _parse(body)
        links = found.get("_links") if isinstance(found, dict) else None
        embedded = found.get("_embedded") if isinstance(found, dict) else None
        items = embedded.get(collection) if isinstance(embedded, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) and item for item in items):
            raise Unavailable(f"amoCRM answered in an unknown form: no list of {collection}", operation=collection)
        # who cannot read whether there is more asks
        has_more = bool(links.get("next")) if isinstance(links, dict) else bool(items)
        return Page(self._items(model, found, collection, one=wire.salvaged), has_more)

    async def _single(self, model: type[ModelT], path: str, with_: str) -> ModelT | None:
        response = await self._ask("GET", path, params=[("with", with_)], body=None, sent=_READ)
        if response.status_code in (204, 404):
            return None
        self._check(response, Sent(operation=f"GET {path}", is_read=True))
        found = _parse(response.content)
        record = self._one(model, found, wire.salvaged)
        return self._read(model, found) if record is None else record

    async def _json(
        self, method: str, path: str, *, params: Params = (), body: Any = None, sent: Sent | None = None
    ) -> Any:
        return _parse(await self._send(method, path, params=params, body=body, sent=sent))

    async def _send(
        self, method: str, path: str, *, params: Params = (), body: Any = None, sent: Sent | None = None
    ) -> bytes:
        sent = sent or Sent(operation=f"{method} {path}", is_read=True)
        response = await self._ask(method, path, params=params, body=body, sent=sent)
        self._check(response, sent)
        return response.content

    async def _ask(self, method: str, path: str, *, params: Params, body: Any, sent: Sent) -> httpx.Response:
        url = await self._credentials.address() + path
        headers = {"User-Agent": _USER_AGENT}
        request = self._http.build_request(method, url, params=list(params) or None, json=body, headers=headers)
        try:
            return await self._http.send(request, auth=self._credentials, follow_redirects=False)
        except httpx.TransportError as err:
            raise to_unavailable(err, sent) from err

    def _check(self, response: httpx.Response, sent: Sent) -> None:
        if not response.is_success:
            raise_for(response.status_code, response.headers, response.content, sent)

    def _read(self, model: type[ModelT], found: Any) -> ModelT:
        try:
            return wire.read(model, found)
        except msgspec.ValidationError as err:
            raise Unavailable(f"amoCRM answered in an unknown form: {err}", operation=model.__name__) from err

    def _items(
        self,
        model: type[ModelT],
        found: Any,
        collection: str,
        one: Callable[[type[ModelT], Any], ModelT | None] = lambda model, item: None,
    ) -> tuple[ModelT, ...]:
        """The records of an answer; what ``one`` makes of those that cannot be read is named in the log."""
        embedded = found.get("_embedded") if isinstance(found, Mapping) else None
        items = embedded.get(collection) if isinstance(embedded, Mapping) else None
        if not isinstance(items, list):
            return ()
        return tuple(record for item in items if (record := self._one(model, item, one)) is not None)

    def _one(
        self, model: type[ModelT], item: Any, otherwise: Callable[[type[ModelT], Any], ModelT | None]
    ) -> ModelT | None:
        try:
            return wire.read(model, item)
        except msgspec.ValidationError as err:
            extra = {"action": "amocrm.unreadable", "fields": str(err)}
            logger.warning("amoCRM sent a %s that cannot be read", model.__name__, extra=extra)
            return otherwise(model, item)

    def _unreadable(self, operation: str) -> NoReturn:
        raise Unavailable("amoCRM's answer to a write cannot be read", operation=operation)


def _parse(body: bytes) -> Any | None:
    """The JSON in ``body``; None if it is empty, as in a 204."""
    if not body.strip():
        return None
    try:
        return from_json(body)  # a third of the standard library's time, for imports
    except ValueError as err:
        raise Unavailable("amoCRM answered with something that is not JSON") from err


def _paged(page: int, limit: int, *, with_: str = "") -> Params:
    params = [("page", str(page)), ("limit", str(limit))]
    return [*params, ("with", with_)] if with_ else params


def _with(params: Params, names: str) -> Params:
    return [("with", names), *params]
