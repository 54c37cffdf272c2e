"""What integrations keep in an account: webhooks, sources, widgets, popups (reference 16, 18.2, 20.1, 21)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from .ask import Ask, Form, forms, save_batch
from .bracket import texts
from .reply import Json, Reply, hal, link, nothing, problem, totalled
from .world import World

MAX_WEBHOOKS = 100
MAX_SOURCES = 100
_WORDS = ("lead", "contact", "company", "customer", "task", "unsorted")
SETTINGS = frozenset(
    {f"{action}_{word}" for word in _WORDS for action in ("add", "update", "delete", "responsible", "note")}
    | {"restore_lead", "status_lead", "restore_contact", "restore_company", "add_talk", "update_talk"}
    | {"add_message", "add_outgoing_message", "add_chat_template_review"}
)


def list_webhooks(world: World, ask: Ask) -> Reply:
    """GET /api/v4/webhooks"""
    node = ask.query.get("filter")
    wanted = texts(node.get("destination")) if isinstance(node, dict) else []
    items = [hook for hook in world.webhooks.values() if not wanted or hook["destination"] in wanted]
    return totalled("webhooks", items, origin=ask.origin, path=ask.path) if items else nothing()


def post_webhook(world: World, ask: Ask) -> Reply:
    """POST /api/v4/webhooks: one object; the same destination again updates it and switches it on."""
    body = ask.object()
    destination, settings = body.get("destination"), body.get("settings")
    form = Form(body, "0")
    if not isinstance(destination, str) or urlsplit(destination).scheme not in ("http", "https"):
        form.fail("InvalidValue", "destination", "This value is not a valid URL.")
    if not isinstance(settings, list) or not settings:
        form.missing("settings")
    else:
        for index, name in enumerate(settings):
            if name not in SETTINGS:
                form.no_choice(f"settings.{index}")
    save_batch([form], lambda read: None)
    hook = world.webhooks.get(str(destination))
    if hook is None:
        if len(world.webhooks) >= MAX_WEBHOOKS:
            return problem(422, f"At most {MAX_WEBHOOKS} webhooks per account")
        hook = world.webhooks[str(destination)] = {
            "id": world.ids.next("webhooks"),
            "destination": destination,
            "created_at": world.now(),
            "account_id": world.account.id,
            "created_by": ask.user_id,
            "sort": body.get("sort", len(world.webhooks) + 1),
        }
        world.webhook_owners[str(destination)] = ask.client_id
    hook |= {"updated_at": world.now(), "disabled": False, "settings": settings}
    world.webhook_origins[str(destination)] = ask.origin
    return hal(hook)


def delete_webhook(world: World, ask: Ask) -> Reply:
    """DELETE /api/v4/webhooks: 204, or 404 when the destination is unknown."""
    destination = ask.object().get("destination")
    if destination not in world.webhooks:
        return problem(404, "Webhook not found")
    del world.webhooks[destination]
    return nothing()


def list_sources(world: World, ask: Ask) -> Reply:
    """GET /api/v4/sources"""
    node = ask.query.get("filter")
    wanted = texts(node.get("external_id")) if isinstance(node, dict) else []
    items = [source for source in world.sources.values() if not wanted or source["external_id"] in wanted]
    return totalled("sources", items, origin=ask.origin, path=ask.path) if items else nothing()


def get_source(world: World, ask: Ask) -> Reply:
    """GET /api/v4/sources/{id}"""
    source = world.sources.get(ask.id())
    return hal(source) if source else problem(404, "Source not found")


def post_sources(world: World, ask: Ask) -> Reply:
    """POST /api/v4/sources: a second one with the same external_id is refused."""
    batch = forms(ask.items(MAX_SOURCES))
    known = {source["external_id"] for source in world.sources.values()}
    for form in batch:
        form.texts("name", "external_id", "origin_code")
        for name in ("name", "external_id"):
            if form.item.get(name) is None:
                form.missing(name)
        if form.item.get("external_id") in known:
            form.fail("InvalidValue", "external_id", "A source with this external_id exists already.")

    def apply(form: Form) -> Json:
        source_id = world.ids.next("sources")
        source: Json = {
            "id": source_id,
            "name": form.item["name"],
            "external_id": form.item["external_id"],
            "pipeline_id": form.item.get("pipeline_id", world.main_pipeline.id),
            "default": bool(form.item.get("default")),
            "origin_code": form.item.get("origin_code"),
            "services": form.item.get("services") or [],
            "_links": link(f"{ask.origin}/api/v4/sources/{source_id}"),
        }
        world.sources[source_id] = source
        return source

    items = [source | {"request_id": form.request_id} for form, source in save_batch(batch, apply)]
    return totalled("sources", items, origin=ask.origin, path=ask.path)


def patch_source(world: World, ask: Ask) -> Reply:
    """PATCH /api/v4/sources/{id}"""
    source = world.sources.get(ask.id())
    if source is None:
        return problem(404, "Source not found")
    return hal(_edit_source(source, ask.object()))


def patch_sources(world: World, ask: Ask) -> Reply:
    """PATCH /api/v4/sources: each item names its id."""
    batch = forms(ask.items())
    for form in batch:
        if form.item.get("id") not in world.sources:
            form.no_choice("id")

    def apply(form: Form) -> Json:
        return _edit_source(world.sources[form.item["id"]], form.item)

    items = [source for _, source in save_batch(batch, apply)]
    return totalled("sources", items, origin=ask.origin, path=ask.path)


def delete_source(world: World, ask: Ask) -> Reply:
    """DELETE /api/v4/sources/{id}"""
    return nothing() if world.sources.pop(ask.id(), None) else problem(404, "Source not found")


def delete_sources(world: World, ask: Ask) -> Reply:
    """DELETE /api/v4/sources with ``[{"id": …}]``"""
    for item in ask.items():
        world.sources.pop(item.get("id", -1), None)
    return nothing()


def list_widgets(world: World, ask: Ask) -> Reply:
    """GET /api/v4/widgets"""
    items = list(world.widgets.values())
    return totalled("widgets", items, origin=ask.origin, path=ask.path) if items else nothing()


def get_widget(world: World, ask: Ask) -> Reply:
    """GET /api/v4/widgets/{code}"""
    widget = world.widgets.get(ask.params[0])
    return hal(widget) if widget else problem(404, "Widget not found")


def post_widget(world: World, ask: Ask) -> Reply:
    """POST /api/v4/widgets/{code}: the settings object installs or updates."""
    code = ask.params[0]
    widget: Json = {
        "id": 9000 + len(world.widgets),
        "code": code,
        "version": "1.0.0",
        "rating": "0,0",
        "settings_template": [],
        "is_lead_source": False,
        "is_work_with_dp": False,
        "is_crm_template": False,
        "client_uuid": ask.client_id,
        "is_active_in_account": True,
        "pipeline_id": None,
        "settings": ask.object(),
        "_links": link(f"{ask.origin}/api/v4/widgets/{code}"),
    }
    world.widgets[code] = world.widgets.get(code, {}) | widget
    return hal(world.widgets[code])


def delete_widget(world: World, ask: Ask) -> Reply:
    """DELETE /api/v4/widgets/{code}"""
    return nothing() if world.widgets.pop(ask.params[0], None) else problem(404, "Widget not found")


def post_popup(world: World, ask: Ask) -> Reply:
    """POST /api/v2/events: the call popup. Nothing is stored in the CRM; here it is kept for tests."""
    body: Any = ask.json()
    items = body.get("add") if isinstance(body, dict) else None
    if isinstance(items, dict):
        items = list(items.values())
    if not isinstance(items, list) or not items:
        return problem(400, "Invalid body: add is expected")
    shown: list[Json] = []
    for item in items:
        if not isinstance(item, dict) or item.get("type") != "phone_call" or not item.get("phone_number"):
            return problem(400, "Invalid body: type phone_call with phone_number is expected")
    for item in items:
        phone = str(item["phone_number"])
        found = _found(world, phone)
        users = [int(user) for user in item.get("users") or []]
        world.popups.append({"phone_number": phone, "users": users, "at": world.now(), "found": found})
        shown.append({"uid": f"popup-{len(world.popups)}", "phone_number": phone, **found})
    return hal({"_links": link(ask.origin + ask.path), "_embedded": {"items": shown}})


def _edit_source(source: Json, sent: Json) -> Json:
    source |= {name: sent[name] for name in ("name", "pipeline_id", "default", "services") if name in sent}
    return source


def _found(world: World, phone: str) -> Json:
    """The card a popup shows: last eight digits; contact before company before lead."""
    wanted = "".join(filter(str.isdigit, phone))[-8:]
    for kind, number in (("contacts", 1), ("companies", 3)):
        for card_id in world.index[kind].find(phone):
            card = world.cards[kind].live(card_id)
            field = world.fields.coded(kind, "PHONE")
            if card is None or field is None:
                continue
            stored = ("".join(filter(str.isdigit, str(v)))[-8:] for v, _ in card.values.get(field.id, ()))
            if wanted in stored:
                return {"element_id": card.id, "element_type": number}
    return {"element_id": None, "element_type": None}
