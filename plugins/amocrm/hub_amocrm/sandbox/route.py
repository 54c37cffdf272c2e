"""Every path of the vendor that the sandbox serves, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from . import calls, cards, complexlead, eventlog, incoming, integration, leads, link, notes, setup, tags, tasks
from .ask import Ask
from .reply import Reply
from .world import World

Handler = Callable[[World, Ask], Reply]
_NOTED = ("leads", "contacts", "companies")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path; ``{}`` stands for an id or a name."""

    method: str
    template: str
    handler: Handler
    #: Refused with 403 unless the token's user is an administrator.
    is_admin: bool = False


class RouteTable:
    """Finds a route in a dictionary: no matching of pattern after pattern."""

    def __init__(self, routes: Iterator[Route]) -> None:
        self._methods: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._methods.setdefault(route.template, {})[route.method] = route
        words = {word for template in self._methods for word in template.split("/")}
        self._words = words - {"{}"}

    def find(self, path: str) -> tuple[str, tuple[str, ...], dict[str, Route]]:
        """(template, its variable parts, routes by method); no routes: an unknown path."""
        parts = path.rstrip("/").split("/")
        template = "/".join(part if part in self._words else "{}" for part in parts)
        variable = tuple(part for part in parts if part not in self._words)
        return template, variable, self._methods.get(template, {})


def routes() -> Iterator[Route]:
    """The table: see the handlers for method, path and meaning."""
    api = "/api/v4"
    yield Route("GET", f"{api}/account", setup.get_account)
    yield Route("GET", f"{api}/users", setup.list_users, is_admin=True)
    yield Route("GET", f"{api}/users/{{}}", setup.get_user, is_admin=True)
    yield Route("GET", f"{api}/roles", setup.list_roles, is_admin=True)
    pipelines = f"{api}/leads/pipelines"
    yield Route("GET", pipelines, setup.list_pipelines)
    yield Route("GET", f"{pipelines}/{{}}", setup.get_pipeline)
    yield Route("GET", f"{pipelines}/{{}}/statuses", setup.list_statuses)
    yield Route("GET", f"{pipelines}/{{}}/statuses/{{}}", setup.get_status)
    yield Route("GET", f"{api}/leads/loss_reasons", setup.list_loss_reasons)
    for kind in ("contacts", "companies"):
        yield Route("GET", f"{api}/{kind}", partial(cards.list_cards, kind=kind))
        yield Route("POST", f"{api}/{kind}", partial(cards.post_cards, kind=kind))
        yield Route("PATCH", f"{api}/{kind}", partial(cards.patch_cards, kind=kind))
        yield Route("GET", f"{api}/{kind}/{{}}", partial(cards.get_card, kind=kind))
        yield Route("PATCH", f"{api}/{kind}/{{}}", partial(cards.patch_card, kind=kind))
    yield Route("GET", f"{api}/leads", leads.list_leads)
    yield Route("POST", f"{api}/leads", leads.post_leads)
    yield Route("PATCH", f"{api}/leads", leads.patch_leads)
    yield Route("GET", f"{api}/leads/{{}}", leads.get_lead)
    yield Route("PATCH", f"{api}/leads/{{}}", leads.patch_lead)
    yield Route("POST", f"{api}/leads/complex", complexlead.post_complex)
    yield from _incoming_routes(f"{api}/leads/unsorted")
    for kind in _NOTED:
        yield from _card_routes(f"{api}/{kind}", kind)
    yield Route("GET", f"{api}/tasks", tasks.list_tasks)
    yield Route("POST", f"{api}/tasks", tasks.post_tasks)
    yield Route("PATCH", f"{api}/tasks", tasks.patch_tasks)
    yield Route("GET", f"{api}/tasks/{{}}", tasks.get_task)
    yield Route("PATCH", f"{api}/tasks/{{}}", tasks.patch_task)
    yield Route("POST", f"{api}/calls", calls.post_calls)
    yield Route("GET", f"{api}/events", eventlog.list_events)
    yield Route("GET", f"{api}/events/types", eventlog.list_types)
    yield Route("GET", f"{api}/events/{{}}", eventlog.get_event)
    yield Route("POST", "/api/v2/events", integration.post_popup)
    yield from _integration_routes(api)


def _card_routes(base: str, kind: str) -> Iterator[Route]:
    of_all, of_one = partial(notes.list_notes, kind=kind), partial(notes.list_notes, kind=kind)
    yield Route("GET", f"{base}/notes", partial(of_all, of_entity=False))
    yield Route("GET", f"{base}/{{}}/notes", partial(of_one, of_entity=True))
    yield Route("GET", f"{base}/notes/{{}}", partial(notes.get_note, kind=kind))
    yield Route("GET", f"{base}/{{}}/notes/{{}}", partial(notes.get_note, kind=kind, place=1))
    yield Route("POST", f"{base}/notes", partial(notes.post_notes, kind=kind, of_entity=False))
    yield Route("POST", f"{base}/{{}}/notes", partial(notes.post_notes, kind=kind, of_entity=True))
    for path in (f"{base}/notes", f"{base}/{{}}/notes"):
        yield Route("PATCH", path, partial(notes.patch_notes, kind=kind, single=False))
        yield Route("PATCH", f"{path}/{{}}", partial(notes.patch_notes, kind=kind, single=True))
    yield Route("POST", f"{base}/notes/{{}}/pin", partial(notes.pin_note, kind=kind, pinned=True))
    yield Route("POST", f"{base}/notes/{{}}/unpin", partial(notes.pin_note, kind=kind, pinned=False))
    yield Route("GET", f"{base}/tags", partial(tags.list_tags, kind=kind))
    yield Route("POST", f"{base}/tags", partial(tags.post_tags, kind=kind))
    yield Route("GET", f"{base}/{{}}/links", partial(link.list_links, kind=kind))
    yield Route("GET", f"{base}/links", partial(link.list_many_links, kind=kind))
    for word, undo in (("link", False), ("unlink", True)):
        many = partial(link.post_links, kind=kind, single=False, undo=undo)
        yield Route("POST", f"{base}/{word}", many)
        yield Route("POST", f"{base}/{{}}/{word}", partial(link.post_links, kind=kind, single=True, undo=undo))
    fields = f"{base}/custom_fields"
    yield Route("GET", fields, partial(setup.list_fields, entity=kind))
    yield Route("GET", f"{fields}/{{}}", partial(setup.get_field, entity=kind))
    yield Route("POST", fields, partial(setup.post_fields, entity=kind), is_admin=True)
    yield Route("PATCH", fields, partial(setup.patch_fields, entity=kind), is_admin=True)
    yield Route("PATCH", f"{fields}/{{}}", partial(setup.patch_fields, entity=kind), is_admin=True)
    yield Route("DELETE", f"{fields}/{{}}", partial(setup.delete_field, entity=kind), is_admin=True)


def _incoming_routes(base: str) -> Iterator[Route]:
    yield Route("GET", base, incoming.list_incoming)
    yield Route("GET", f"{base}/summary", incoming.summary)
    yield Route("GET", f"{base}/{{}}", incoming.get_incoming)
    for category in ("sip", "forms"):
        yield Route("POST", f"{base}/{category}", partial(incoming.post_incoming, category=category))
    yield Route("POST", f"{base}/{{}}/accept", incoming.accept)
    yield Route("DELETE", f"{base}/{{}}/decline", incoming.decline)
    yield Route("POST", f"{base}/{{}}/link", incoming.link_incoming)


def _integration_routes(api: str) -> Iterator[Route]:
    yield Route("GET", f"{api}/webhooks", integration.list_webhooks, is_admin=True)
    yield Route("POST", f"{api}/webhooks", integration.post_webhook, is_admin=True)
    yield Route("DELETE", f"{api}/webhooks", integration.delete_webhook, is_admin=True)
    yield Route("GET", f"{api}/sources", integration.list_sources, is_admin=True)
    yield Route("GET", f"{api}/sources/{{}}", integration.get_source, is_admin=True)
    yield Route("POST", f"{api}/sources", integration.post_sources, is_admin=True)
    yield Route("PATCH", f"{api}/sources", integration.patch_sources, is_admin=True)
    yield Route("PATCH", f"{api}/sources/{{}}", integration.patch_source, is_admin=True)
    yield Route("DELETE", f"{api}/sources/{{}}", integration.delete_source, is_admin=True)
    yield Route("DELETE", f"{api}/sources", integration.delete_sources, is_admin=True)
    yield Route("GET", f"{api}/widgets", integration.list_widgets, is_admin=True)
    yield Route("GET", f"{api}/widgets/{{}}", integration.get_widget, is_admin=True)
    yield Route("POST", f"{api}/widgets/{{}}", integration.post_widget, is_admin=True)
    yield Route("DELETE", f"{api}/widgets/{{}}", integration.delete_widget, is_admin=True)
