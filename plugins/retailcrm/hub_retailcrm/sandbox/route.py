"""Every path of the vendor that the sandbox serves, as data, with the right that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from . import listing, orders, people, setup, telephony, work
from .form import Ask
from .reply import Reply
from .world import World

Handler = Callable[[World, Ask], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path; ``{}`` stands for a variable part."""

    method: str
    template: str
    handler: Handler
    #: the scope that the key must have; "" = none
    scope: str = ""


class RouteTable:
    """Finds the route of a path; fixed parts go before variable ones."""

    def __init__(self, routes: Iterator[Route]) -> None:
        self._routes: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._routes.setdefault(route.template, {})[route.method] = route

    def find(self, path: str) -> tuple[str, tuple[str, ...], dict[str, Route]]:
        """(template, its variable parts, routes by method); no routes: an unknown path."""
        parts = path.rstrip("/").split("/")
        best: tuple[int, str, tuple[str, ...]] | None = None
        for template in self._routes:
            words = template.split("/")
            if len(words) != len(parts) or any(w not in ("{}", p) for w, p in zip(words, parts, strict=True)):
                continue
            variable = tuple(p for w, p in zip(words, parts, strict=True) if w == "{}")
            if best is None or len(variable) < best[0]:
                best = (len(variable), template, variable)
        if best is None:
            return path, (), {}
        return best[1], best[2], self._routes[best[1]]


def routes() -> Iterator[Route]:
    """The table: see the handlers for what each does."""
    yield Route("GET", "/api/api-versions", setup.get_versions)
    yield Route("GET", "/api/credentials", setup.get_credentials)
    yield Route("GET", "/api/system-info", setup.get_system)
    api = "/api/v5"
    yield from _people(f"{api}/customers", "customers")
    yield from _people(f"{api}/customers-corporate", "corporate")
    yield Route("POST", f"{api}/customers-corporate/{{}}/contacts/create", people.post_contact, "customer_write")
    yield Route("GET", f"{api}/customers/notes", people.list_notes, "customer_read")
    yield Route("POST", f"{api}/customers/notes/create", people.post_note, "customer_write")
    yield Route("POST", f"{api}/customers/notes/{{}}/delete", people.delete_note, "customer_write")
    yield Route("GET", f"{api}/orders", orders.list_orders, "order_read")
    yield Route("GET", f"{api}/orders/statuses", orders.get_statuses, "order_read")
    yield Route("GET", f"{api}/orders/history", partial(listing.history, kind="orders"), "order_read")
    yield Route("GET", f"{api}/orders/{{}}", orders.get_order, "order_read")
    yield Route("POST", f"{api}/orders/create", orders.post_order, "order_write")
    yield Route("POST", f"{api}/orders/upload", orders.post_upload, "order_write")
    yield Route("POST", f"{api}/orders/combine", orders.post_combine, "order_write")
    external_ids = partial(people.post_external_ids, kind="orders")
    yield Route("POST", f"{api}/orders/fix-external-ids", external_ids, "order_write")
    yield Route("POST", f"{api}/orders/{{}}/edit", orders.post_edit, "order_write")
    yield Route("GET", f"{api}/tasks", work.list_tasks, "task_read")
    yield Route("GET", f"{api}/tasks/history", partial(listing.history, kind="tasks"), "task_read")
    yield Route("GET", f"{api}/tasks/{{}}", work.get_task, "task_read")
    yield Route("GET", f"{api}/tasks/{{}}/comments", work.list_comments, "task_read")
    yield Route("POST", f"{api}/tasks/create", work.post_task, "task_write")
    yield Route("POST", f"{api}/tasks/{{}}/edit", work.post_edit, "task_write")
    yield Route("POST", f"{api}/telephony/call/event", telephony.post_event, "telephony_write")
    yield Route("POST", f"{api}/telephony/calls/upload", telephony.post_calls, "telephony_write")
    yield Route("GET", f"{api}/telephony/manager", telephony.get_manager, "telephony_write")
    yield Route("GET", f"{api}/integration-modules/{{}}", telephony.get_module, "integration_read")
    yield Route("POST", f"{api}/integration-modules/{{}}/edit", telephony.post_module, "integration_write")
    yield Route("POST", f"{api}/notifications/send", telephony.post_notification, "notification_write")
    yield Route("POST", f"{api}/web-analytics/client-ids/upload", telephony.post_client_ids, "analytics_write")
    yield Route("GET", f"{api}/settings", setup.get_settings)
    yield Route("GET", f"{api}/reference/{{}}", setup.get_reference, "reference_read")
    yield Route("GET", f"{api}/custom-fields", setup.list_fields, "reference_read")
    yield Route("GET", f"{api}/custom-fields/dictionaries", setup.list_dictionaries, "reference_read")
    yield Route("GET", f"{api}/users", setup.list_users, "user_read")
    yield Route("GET", f"{api}/users/{{}}", setup.get_user, "user_read")
    yield Route("POST", f"{api}/users/{{}}/status", setup.post_status, "user_read")
    yield Route("GET", f"{api}/user-groups", setup.list_groups, "user_read")


def _people(base: str, kind: str) -> Iterator[Route]:
    def handler(function: Callable[..., Reply]) -> Handler:
        return partial(function, kind=kind)

    yield Route("GET", base, handler(people.list_people), "customer_read")
    yield Route("GET", f"{base}/history", handler(listing.history), "customer_read")
    yield Route("GET", f"{base}/{{}}", handler(people.get_person), "customer_read")
    yield Route("POST", f"{base}/create", handler(people.post_person), "customer_write")
    yield Route("POST", f"{base}/upload", handler(people.post_upload), "customer_write")
    yield Route("POST", f"{base}/combine", handler(people.post_combine), "customer_write")
    yield Route("POST", f"{base}/fix-external-ids", handler(people.post_external_ids), "customer_write")
    yield Route("POST", f"{base}/{{}}/edit", handler(people.post_edit), "customer_write")
