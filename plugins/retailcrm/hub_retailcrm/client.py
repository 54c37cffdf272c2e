"""RetailCRM's API v5: one method per endpoint. Names and shapes are `wire`'s; refusals become errors in `problem`.

https://docs.retailcrm.ru/Developers/API
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError

from hub.errors import Unavailable
from hub_retailcrm import wire
from hub_retailcrm.auth import KeyAuth
from hub_retailcrm.config import RetailCrmSettings
from hub_retailcrm.problem import PARTLY_FAILED, Sent, raise_for

__all__ = ["Item", "Page", "Params", "RetailCrmClient"]

Params: TypeAlias = Sequence[tuple[str, str]]
#: the JSON of one record in a write
Item: TypeAlias = dict[str, Any]
ModelT = TypeVar("ModelT", bound=wire.Wire)

_USER_AGENT = "crm-hub/1.0"
_NEVER_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page(Generic[ModelT]):
    """One page of a list, and how many pages there are."""

    items: tuple[ModelT, ...]
    pages: int = 1
    #: records as the answer held them: fewer may be readable
    size: int = 0
    #: records of the whole list
    total: int = 0


class RetailCrmClient:
    """The endpoints that the hub uses."""

    def __init__(self, http: httpx.AsyncClient, settings: RetailCrmSettings) -> None:
        self._http, self._address, self._auth = http, settings.address, KeyAuth(settings)

    # --- the account --------------------------------------------------------------------------------------------

    async def credentials(self) -> wire.Credentials:
        """GET /api/credentials: what the key may do and which shops it sees."""
        return _read(wire.Credentials, await self._get("/api/credentials"))

    async def time_zone(self) -> str:
        """GET /api/v5/settings: ``settings.timezone.value``."""
        found = (await self._get("/api/v5/settings")).get("settings")
        zone = found.get("timezone") if isinstance(found, dict) else None
        return str(zone.get("value") or "UTC") if isinstance(zone, dict) else "UTC"

    async def reference(self, path: str, key: str, model: type[ModelT]) -> tuple[ModelT, ...]:
        """GET /api/v5/reference/{path}: an object keyed by code, no paging (4)."""
        found = await self._get(f"/api/v5/reference/{path}")
        return _many(model, wire.keyed(found.get(key)))

    async def users(self, page: int) -> Page[wire.User]:
        """GET /api/v5/users: the deactivated ones too (8)."""
        return await self._list(wire.User, "/api/v5/users", "users", _paged(page))

    async def custom_fields(self, page: int) -> Page[wire.CustomField]:
        """GET /api/v5/custom-fields: of customers and orders (4)."""
        return await self._list(wire.CustomField, "/api/v5/custom-fields", "customFields", _paged(page))

    async def dictionaries(self, page: int) -> Page[wire.Dictionary]:
        """GET /api/v5/custom-fields/dictionaries."""
        path = "/api/v5/custom-fields/dictionaries"
        return await self._list(wire.Dictionary, path, "customDictionaries", _paged(page))

    async def register_module(self, code: str, module: Item) -> None:
        """POST /api/v5/integration-modules/{code}/edit: makes the module if it is new (7)."""
        path = f"/api/v5/integration-modules/{code}/edit"
        await self._post(path, {"integrationModule": module}, Sent(operation="POST integration-modules"))

    # --- lists --------------------------------------------------------------------------------------------------

    async def customers(self, params: Params) -> Page[wire.Customer]:
        """GET /api/v5/customers (2)."""
        return await self._list(wire.Customer, "/api/v5/customers", "customers", params)

    async def corporate(self, params: Params) -> Page[wire.Corporate]:
        """GET /api/v5/customers-corporate (2)."""
        return await self._list(wire.Corporate, "/api/v5/customers-corporate", "customersCorporate", params)

    async def orders(self, params: Params) -> Page[wire.Order]:
        """GET /api/v5/orders (3)."""
        return await self._list(wire.Order, "/api/v5/orders", "orders", params)

    async def tasks(self, params: Params) -> Page[wire.Task]:
        """GET /api/v5/tasks (6)."""
        return await self._list(wire.Task, "/api/v5/tasks", "tasks", params)

    async def notes(self, params: Params) -> Page[wire.Note]:
        """GET /api/v5/customers/notes (2)."""
        return await self._list(wire.Note, "/api/v5/customers/notes", "notes", params)

    async def history(self, path: str, params: Params) -> Page[wire.Change]:
        """GET /api/v5/{path}/history: ascending by id, ``sinceId`` exclusive (5)."""
        return await self._list(wire.Change, f"/api/v5/{path}/history", "history", params)

    async def task(self, task_id: str) -> wire.Task:
        """GET /api/v5/tasks/{id}. Raises Stale if there is none."""
        return _read(wire.Task, (await self._get(f"/api/v5/tasks/{task_id}")).get("task"))

    async def customer_of(self, phone: str) -> int | None:
        """GET /api/v5/telephony/manager: whose the number is by RetailCRM's own reading of numbers (7)."""
        params = [("phone", phone), ("details", "1"), ("ignoreStatus", "1")]
        found = (await self._get("/api/v5/telephony/manager", params)).get("customer")
        customer_id = found.get("id") if isinstance(found, dict) else None
        # its numbers come as texts in some versions (1, Ids)
        return int(customer_id) if isinstance(customer_id, int | str) and str(customer_id).isdigit() else None

    # --- writes -------------------------------------------------------------------------------------------------

    async def create(self, path: str, name: str, item: Item, site: str, sent: Sent) -> int:
        """POST /api/v5/{path}/create with the entity in form field ``name``; the new id."""
        return await self._made(f"/api/v5/{path}/create", {name: item, "site": site}, sent)

    async def edit(self, path: str, name: str, record_id: str, item: Item, sent: Sent) -> None:
        """POST /api/v5/{path}/{id}/edit, addressed by the CRM's own id: ``by`` is externalId otherwise (1)."""
        await self._post(f"/api/v5/{path}/{record_id}/edit", {name: item, "by": "id"}, sent)

    async def edit_task(self, task_id: str, item: Item, sent: Sent) -> None:
        """POST /api/v5/tasks/{id}/edit: a partial change (6)."""
        await self._post(f"/api/v5/tasks/{task_id}/edit", {"task": item}, sent)

    async def upload(self, path: str, name: str, items: Sequence[Item], site: str, sent: Sent) -> wire.Uploaded:
        """POST /api/v5/{path}/upload: at most 50; 460 if some of them failed, and then too the rest is kept (1)."""
        fields = {name: list(items), "site": site}
        found = await self._post(f"/api/v5/{path}/upload", fields, sent, or_status=PARTLY_FAILED)
        word = name[0].upper() + name[1:]
        made = [*wire.keyed(found.get(f"uploaded{word}")), *wire.keyed(found.get(name))]
        return wire.Uploaded(
            made=_many(wire.Made, made), failed=_many(wire.Made, wire.keyed(found.get(f"failed{word}")))
        )

    async def link_contact(self, company_id: str, customer_id: str, sent: Sent) -> None:
        """POST /api/v5/customers-corporate/{id}/contacts/create (2); the form field's name is the official client's."""
        fields = {"contact": {"isMain": False, "customer": {"id": int(customer_id)}}, "by": "id"}
        await self._post(f"/api/v5/customers-corporate/{company_id}/contacts/create", fields, sent)

    async def upload_client_ids(self, items: Sequence[Item], sent: Sent) -> None:
        """POST /api/v5/web-analytics/client-ids/upload: Google Analytics ids of customers (2)."""
        await self._post("/api/v5/web-analytics/client-ids/upload", {"clientIds": list(items)}, sent)

    async def upload_calls(self, items: Sequence[Item], sent: Sent) -> None:
        """POST /api/v5/telephony/calls/upload: at most 50, each new or known already as a duplicate (7)."""
        found = await self._post("/api/v5/telephony/calls/upload", {"calls": list(items)}, sent)
        processed, known = found.get("processedCallsCount"), len(wire.keyed(found.get("duplicateCalls")))
        if not isinstance(processed, int) or processed + known < len(items):
            raise Unavailable("RetailCRM's answer does not account for every call", operation=sent.operation)

    async def call_event(self, item: Item, sent: Sent) -> frozenset[str]:
        """POST /api/v5/telephony/call/event: the users that RetailCRM does not know (7)."""
        found = await self._post("/api/v5/telephony/call/event", {"event": item}, sent)
        return frozenset(str(one) for one in wire.keyed(found.get("notExistUsers")))

    async def notify(self, item: Item, sent: Sent) -> None:
        """POST /api/v5/notifications/send (8)."""
        await self._post("/api/v5/notifications/send", {"notification": item}, sent)

    # --- transport ----------------------------------------------------------------------------------------------

    async def _made(self, path: str, fields: Mapping[str, Any], sent: Sent) -> int:
        found = await self._post(path, fields, sent)
        if not isinstance(found.get("id"), int):
            raise Unavailable("RetailCRM's answer to a write cannot be read", operation=sent.operation)
        return int(found["id"])

    async def _list(self, model: type[ModelT], path: str, key: str, params: Params) -> Page[ModelT]:
        found = await self._get(path, params)
        items = wire.keyed(found.get(key))
        is_list = isinstance(found.get(key), list | dict)
        if not is_list or not all(isinstance(item, Mapping) and item for item in items):
            # not taken for an empty list: whoever looks whether a lost write arrived would believe that it did not (X5)
            raise Unavailable(
                f"RetailCRM answered in an unknown form: no list of {key}", maybe_applied=False, operation=f"GET {path}"
            )
        pages = found.get("pagination")
        told = _read(wire.Pagination, pages) if isinstance(pages, dict) else wire.Pagination(totalCount=len(items))
        return Page(_many(model, items, wire.salvaged), told.totalPageCount, len(items), told.totalCount)

    async def _get(self, path: str, params: Params = ()) -> dict[str, Any]:
        request = self._http.build_request(
            "GET", self._address + path, params=list(params) or None, headers={"User-Agent": _USER_AGENT}
        )
        return await self._send(request, Sent(operation=f"GET {path}", is_read=True))

    async def _post(
        self, path: str, fields: Mapping[str, Any], sent: Sent, *, or_status: int | None = None
    ) -> dict[str, Any]:
        """A form: every object or list is one field that holds JSON; what is "" is left out (1)."""
        data = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in fields.items()
            if value != ""
        }
        request = self._http.build_request("POST", self._address + path, data=data, headers={"User-Agent": _USER_AGENT})
        return await self._send(request, sent, or_status)

    async def _send(self, request: httpx.Request, sent: Sent, or_status: int | None = None) -> dict[str, Any]:
        try:
            response = await self._http.send(request, auth=self._auth, follow_redirects=False)
        except httpx.TransportError as err:
            maybe = not sent.is_read and not isinstance(err, _NEVER_REACHED)
            said = f"RetailCRM cannot be reached: {type(err).__name__}"
            raise Unavailable(said, maybe_applied=maybe, operation=sent.operation) from err
        is_expected = response.is_success or response.status_code == or_status
        try:
            found = json.loads(response.content) if is_expected else None
        except ValueError:
            found = None
        # of a partly failed batch the body says what was kept, so it is no refusal
        is_good = isinstance(found, dict) and (found.get("success") is True or response.status_code == or_status)
        if not isinstance(found, dict) or not is_good:
            raise_for(response.status_code, response.content, sent)
        return found


def _read(model: type[ModelT], found: Any) -> ModelT:
    try:
        return model.model_validate(found)
    except ValidationError as err:
        raise Unavailable(
            f"RetailCRM answered in an unknown form: {_fields_of(err)}", maybe_applied=False, operation=model.__name__
        ) from err


def _many(
    model: type[ModelT],
    items: Sequence[Any],
    otherwise: Callable[[type[ModelT], Any], ModelT | None] = lambda model, item: None,
) -> tuple[ModelT, ...]:
    """The records of an answer; what ``otherwise`` makes of those that cannot be read is named in the log."""
    found: list[ModelT] = []
    for item in items:
        try:
            found.append(model.model_validate(item))
        except ValidationError as err:
            extra = {"action": "retailcrm.unreadable", "fields": _fields_of(err)}
            logger.warning("RetailCRM sent a %s that cannot be read", model.__name__, extra=extra)
            if (record := otherwise(model, item)) is not None:
                found.append(record)
    return tuple(found)


def _fields_of(err: ValidationError) -> str:
    """Where it went wrong, without the values: they may be a client's."""
    return ", ".join(".".join(str(part) for part in error["loc"]) for error in err.errors(include_input=False)[:5])


def _paged(page: int) -> Params:
    return [("limit", "100"), ("page", str(page))]
