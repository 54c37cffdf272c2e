"""Which handler answers which path, which scope it wants and what it costs (sections 1 and 2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from . import convert, coql, notifications, records, search, settings
from .ask import Ask
from .reply import Refusal, Reply
from .world import World

Handler = Callable[[World, Ask], Reply]
_PREFIX = "/crm/v8"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    #: scopes, one of which is enough; ``{module}`` is the module in lower case
    scopes: tuple[str, ...]
    cost: int = 1
    #: counts for the lower limit of calls in flight
    is_heavy: bool = False


def _module(kind: str) -> tuple[str, ...]:
    one = "ZohoCRM.modules.{module}"
    several = ("ALL", kind) + (("WRITE",) if kind in ("CREATE", "UPDATE") else ())
    return ("ZohoCRM.modules.ALL", f"ZohoCRM.modules.{kind}", *(f"{one}.{word}" for word in several))


_READ, _CREATE, _UPDATE, _DELETE = (_module(word) for word in ("READ", "CREATE", "UPDATE", "DELETE"))
_SETTINGS = ("ZohoCRM.settings.ALL", "ZohoCRM.settings.READ")
_CHANNELS = ("ZohoCRM.notifications.ALL", "ZohoCRM.notifications.WRITE")
_ROUTES = (
    Route("GET", "/org", settings.org, ("ZohoCRM.org.ALL", "ZohoCRM.org.READ")),
    Route("GET", "/users", settings.users, ("ZohoCRM.users.ALL", "ZohoCRM.users.READ")),
    Route("GET", "/settings/fields", settings.fields, (*_SETTINGS, "ZohoCRM.settings.fields.READ")),
    Route("GET", "/settings/modules", settings.modules, (*_SETTINGS, "ZohoCRM.settings.modules.READ")),
    Route("GET", "/settings/layouts", settings.layouts, (*_SETTINGS, "ZohoCRM.settings.layouts.READ")),
    Route("GET", "/settings/pipeline", settings.pipelines, (*_SETTINGS, "ZohoCRM.settings.pipeline.ALL")),
    Route(
        "GET", "/settings/related_lists", settings.related_lists, (*_SETTINGS, "ZohoCRM.settings.related_lists.READ")
    ),
    Route("POST", "/coql", coql.query, ("ZohoCRM.coql.READ",), is_heavy=True),
    Route("POST", "/actions/watch", notifications.watch, _CHANNELS),
    Route("PUT", "/actions/watch", notifications.watch, _CHANNELS),
    Route("PATCH", "/actions/watch", notifications.watch, _CHANNELS),
    Route("GET", "/actions/watch", notifications.list_channels, (*_CHANNELS, "ZohoCRM.notifications.READ")),
    Route("DELETE", "/actions/watch", notifications.unwatch, _CHANNELS),
    Route("POST", "/Leads/{id}/actions/convert", convert.convert, _module("CREATE"), cost=5, is_heavy=True),
    Route("GET", "/{module}/search", search.search, ("ZohoSearch.securesearch.READ",)),
    Route("GET", "/{module}/deleted", records.deleted, _READ),
    Route("GET", "/{module}/actions/count", records.count_records, _READ),
    Route("POST", "/{module}/upsert", records.upsert, _CREATE),
    Route("POST", "/{module}/actions/add_tags", records.change_tags, _UPDATE),
    Route("POST", "/{module}/actions/remove_tags", records.change_tags, _UPDATE),
    Route("POST", "/{module}/{id}/actions/add_tags", records.change_tags, _UPDATE),
    Route("POST", "/{module}/{id}/actions/remove_tags", records.change_tags, _UPDATE),
    Route("GET", "/{module}/{id}/{related}", records.related, _READ),
    Route("GET", "/{module}", records.list_records, _READ),
    Route("GET", "/{module}/{id}", records.get_record, _READ),
    Route("POST", "/{module}", records.insert, _CREATE),
    Route("PUT", "/{module}", records.update, _UPDATE),
    Route("PUT", "/{module}/{id}", records.update, _UPDATE),
    Route("DELETE", "/{module}", records.delete, _DELETE),
    Route("DELETE", "/{module}/{id}", records.delete, _DELETE),
)


def _pattern(path: str) -> re.Pattern[str]:
    text = re.sub(r"\{(\w+)\}", lambda found: _part(found.group(1)), path)
    return re.compile(f"{_PREFIX}{text}/?")


def _part(name: str) -> str:
    return rf"(?P<{name}>\d+)" if name == "id" else rf"(?P<{name}>[A-Za-z]\w*)"


_TABLE = tuple((_pattern(route.path), route) for route in _ROUTES)


def find_route(ask: Ask) -> Route:
    """The route of the request; its parameters are put into it. Raises Refusal."""
    known = False
    for pattern, route in _TABLE:
        found = pattern.fullmatch(ask.path)
        if found is None:
            continue
        known = True
        if route.method == ask.method:
            ask.params = {key: value for key, value in found.groupdict().items() if value is not None}
            return route
    if known:
        raise Refusal(400, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one")
    message = "Please check if the URL trying to access is a correct one"
    raise Refusal(404, "INVALID_URL_PATTERN", message)


def may(route: Route, ask: Ask, scopes: tuple[str, ...]) -> bool:
    """Whether a token with ``scopes`` may use the route."""
    module = ask.params.get("module", "Leads").lower()
    return any(scope.replace("{module}", module) in scopes for scope in route.scopes)


def cost_of(route: Route, ask: Ask) -> int:
    """The credits of the call: 1 for every 10 records written, 1 for every 50 records tagged."""
    if route.handler in (records.insert, records.update, records.upsert):
        return max(1, -(-_items(ask, "data") // 10))
    if route.handler is records.change_tags:
        return max(1, -(-_items(ask, "ids") // 50))
    return route.cost


def is_heavy(route: Route, ask: Ask) -> bool:
    """Whether it counts for the lower limit of calls in flight."""
    return route.is_heavy or (ask.method in ("POST", "PUT") and _items(ask, "data") > 10) or "sort_by" in ask.query


def _items(ask: Ask, key: str) -> int:
    try:
        found = ask.json().get(key)
    except Refusal:
        return 0
    return len(found) if isinstance(found, list) else 0
