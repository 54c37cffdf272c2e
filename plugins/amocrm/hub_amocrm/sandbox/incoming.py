"""Incoming leads, the vendor's "unsorted" (reference 10)."""

from __future__ import annotations

import hashlib
from typing import Any

from . import cards, leads, notes
from .ask import Ask, Form, forms, is_whole, save_batch
from .bracket import numbers, texts
from .collection import Selection
from .filter import Filters, answer, bounds_of
from .record import Incoming, Lead
from .reply import Json, Reply, hal, link, problem
from .world import World

CATEGORIES = ("sip", "mail", "forms", "chats")
_NEEDED = {
    "sip": ("phone", "called_at", "duration", "service_code", "link"),
    "forms": ("form_id", "form_name", "form_page", "form_sent_at"),
}
_FILTERS = Filters(
    members=("uid", "category", "pipeline_id"),
    ranges=("created_at", "updated_at"),
    orders=("created_at", "updated_at", "id"),
)


def list_incoming(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/unsorted"""
    selection: Selection[Incoming] = _FILTERS.select(ask)
    return answer(ask, "unsorted", world.incoming, selection, lambda item: show(world, ask, item))


def get_incoming(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/unsorted/{uid}"""
    item = _find(world, ask.params[0])
    return hal(show(world, ask, item)) if item else problem(404, "Entity not found")


def post_incoming(world: World, ask: Ask, category: str) -> Reply:
    """POST /api/v4/leads/unsorted/{sip|forms}"""
    batch = forms(ask.items())
    for form in batch:
        _read(world, form, category)
    saved = save_batch(
        batch, lambda form: _create(world, form, category, ask.user_id), partial=world.switches.partial_batches
    )
    items = [
        {
            "uid": item.uid,
            "account_id": world.account.id,
            "request_id": form.request_id,
            "_links": link(f"{ask.origin}/api/v4/leads/unsorted/{item.uid}"),
            "_embedded": _embedded(ask, item),
        }
        for form, item in saved
    ]
    body = {"_total_items": len(items), "_links": link(ask.origin + ask.path), "_embedded": {"unsorted": items}}
    return hal(body)


def accept(world: World, ask: Ask) -> Reply:
    """POST /api/v4/leads/unsorted/{uid}/accept: ``{user_id?, status_id?}``"""
    item = _find(world, ask.params[0])
    if item is None:
        return problem(404, "Entity not found")
    form = Form(ask.object() if ask.raw_body.strip() else {}, "0")
    form.users(world.is_active, "user_id")
    pipeline = world.pipelines[item.pipeline_id]
    status_id = form.item.get("status_id", pipeline.first_status_id)
    where = next((p for p in world.pipelines.values() if p.status(status_id)), None)
    if status_id not in (142, 143) and where is not None:
        pipeline = where
    if where is None or status_id == pipeline.unsorted_status_id:
        form.no_choice("status_id")

    def apply(read: Form) -> Json:
        return take(world, ask, item, status_id, pipeline.id, read.draft.get("user_id", ask.user_id))

    return hal(save_batch([form], apply)[0][1])


def take(world: World, ask: Ask, item: Incoming, status_id: int, pipeline_id: int, user_id: int) -> Json:
    """Accept an incoming lead: it moves to a stage and gets a responsible."""
    contact = world.contacts.get(item.contact_id) if item.contact_id else None
    if contact is not None:
        with world.contacts.editing(contact):
            contact.is_unsorted = False
        cards.update(world, contact, {"responsible_user_id": user_id}, user_id)
    lead = _lead(world, item)
    draft = {"status_id": status_id, "pipeline_id": pipeline_id, "responsible_user_id": user_id}
    leads.update(world, lead, draft, user_id)
    _settle(world, item, "accepted", user_id)
    return _sorted(ask, item) | {"pipeline_id": pipeline_id}


def decline(world: World, ask: Ask) -> Reply:
    """DELETE /api/v4/leads/unsorted/{uid}/decline: the lead and a contact of its own are deleted."""
    item = _find(world, ask.params[0])
    if item is None:
        return problem(404, "Entity not found")
    body = ask.object() if ask.raw_body.strip() else {}
    user_id = body.get("user_id") or ask.user_id
    answer_body = _sorted(ask, item)
    leads.remove(world, _lead(world, item), user_id)
    contact = world.contacts.get(item.contact_id) if item.contact_id else None
    if contact is not None and contact.is_unsorted:
        with world.contacts.editing(contact):
            contact.is_deleted = True
    _settle(world, item, "declined", user_id)
    return hal(answer_body)


def link_incoming(world: World, ask: Ask) -> Reply:
    """POST /api/v4/leads/unsorted/{uid}/link: only for chats and mail, of which there are none here."""
    item = _find(world, ask.params[0])
    if item is None:
        return problem(404, "Entity not found")
    return problem(400, "Linking is possible for the categories chats and mail only")


def summary(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/unsorted/summary"""
    node = ask.query.get("filter")
    wanted: dict[str, Any] = node if isinstance(node, dict) else {}
    uids, pipelines = set(texts(wanted.get("uid"))), set(numbers(wanted.get("pipeline_id")))
    first, last = bounds_of(wanted["created_at"]) if "created_at" in wanted else (None, None)
    items = [
        item
        for item in world.incoming
        if (not uids or item.uid in uids)
        and (not pipelines or item.pipeline_id in pipelines)
        and (first is None or item.created_at >= first)
        and (last is None or item.created_at <= last)
    ]
    times = [item.sorted_at - item.created_at for item in items if item.sorted_at is not None]
    body = {
        "total": len(items),
        "accepted": sum(item.state == "accepted" for item in items),
        "declined": sum(item.state == "declined" for item in items),
        "average_sort_time": sum(times) // len(times) if times else 0,
        "categories": {name: {"total": sum(i.category == name for i in items)} for name in CATEGORIES},
        "_links": link(ask.origin + ask.path),
    }
    return hal(body)


def read_metadata(form: Form, metadata: Json, category: Any) -> Json:
    """Check the metadata of ``leads/complex``: an incoming lead with its category."""
    if category not in _NEEDED:
        form.no_choice("_embedded.metadata.category")
        return {}
    return {
        "category": category,
        "source_uid": metadata.get("source_uid") or metadata.get("service_code") or "",
        "source_name": metadata.get("source_name") or metadata.get("service_code") or "",
        "metadata": {name: value for name, value in metadata.items() if name != "category"},
    }


def place(world: World, draft: Json, lead: Lead, contact_id: int | None, company_id: int | None = None) -> Incoming:
    """Put a stored lead among the incoming ones."""
    number, now = world.ids.next("incoming"), world.now()
    digest = hashlib.sha256(f"{world.account.id}/{number}".encode()).hexdigest()
    item = Incoming(
        id=number,
        uid=f"u{digest[:62]}",
        category=draft["category"],
        source_uid=draft["source_uid"],
        source_name=draft["source_name"],
        pipeline_id=lead.pipeline_id,
        created_at=draft.get("created_at") or now,
        updated_at=now,
        metadata=draft["metadata"],
        lead_id=lead.id,
        contact_id=contact_id,
        company_id=company_id,
    )
    world.incoming.add(item)
    world.journal.incoming_added(item)
    return item


def show(world: World, ask: Ask, item: Incoming) -> Json:
    """An incoming lead as answers show it."""
    return {
        "uid": item.uid,
        "source_uid": item.source_uid,
        "source_name": item.source_name,
        "category": item.category,
        "pipeline_id": item.pipeline_id,
        "created_at": item.created_at,
        "metadata": item.metadata,
        "account_id": world.account.id,
        "_links": link(f"{ask.origin}/api/v4/leads/unsorted/{item.uid}"),
        "_embedded": _embedded(ask, item),
    }


def _read(world: World, form: Form, category: str) -> None:
    for name in ("source_uid", "source_name", "metadata"):
        if form.item.get(name) is None:
            form.fail("FieldMissing", f"data.{name}", "This field is missing.")
    form.texts("source_uid", "source_name")
    form.whole("created_at")
    metadata = form.item.get("metadata")
    if isinstance(metadata, dict):
        for name in _NEEDED[category]:
            if metadata.get(name) is None:
                form.fail("FieldMissing", f"data.metadata.{name}", "This field is missing.")
        form.draft["metadata"] = metadata
    form.draft["category"] = category
    pipeline_id = form.item.get("pipeline_id", world.main_pipeline.id)
    pipeline = world.pipelines.get(pipeline_id) if is_whole(pipeline_id) else None
    if pipeline is None or not pipeline.is_unsorted_on:
        form.no_choice("pipeline_id")
    form.draft["pipeline_id"] = pipeline_id
    embedded = form.item.get("_embedded") or {}
    for kind in ("leads", "contacts", "companies"):
        sent = embedded.get(kind) or []
        if sent and isinstance(sent[0], dict):
            inner = Form(sent[0], form.request_id, f"_embedded.{kind}.0.")
            if kind == "leads":
                leads.read(world, inner, incoming=True)
            else:
                cards.read(world, inner, kind)
            form.errors += inner.errors
            form.draft[kind] = inner.draft


def _create(world: World, form: Form, category: str, by: int) -> Incoming:
    draft = form.draft
    pipeline = world.pipelines[draft["pipeline_id"]]
    placed: dict[str, int | None] = {"contacts": None, "companies": None}
    for kind in placed:
        if kind in draft:
            hidden = kind == "contacts"
            placed[kind] = cards.create(world, kind, draft[kind], by, is_unsorted=hidden).id
    linked = {kind: [{"id": card_id, "is_main": True}] for kind, card_id in placed.items() if card_id}
    where = {"pipeline_id": pipeline.id, "status_id": pipeline.unsorted_status_id}
    lead = leads.create(world, draft.get("leads", {}) | where | linked, by)
    metadata = draft["metadata"]
    if category == "sip" and metadata.get("is_call_event_needed"):
        params = {
            "uniq": metadata.get("uniq", ""),
            "duration": metadata.get("duration", 0),
            "source": metadata.get("service_code", ""),
            "link": metadata.get("link", ""),
            "phone": str(metadata.get("phone")),
            "call_responsible": metadata.get("call_responsible"),
        }
        call = {"entity_id": lead.id, "note_type": "call_in", "params": params}
        notes.create(world, "leads", call, by)
    draft["metadata"] = {k: v for k, v in metadata.items() if k != "is_call_event_needed"}
    return place(world, draft, lead, placed["contacts"], placed["companies"])


def _find(world: World, uid: str) -> Incoming | None:
    return next((item for item in world.incoming if item.uid == uid and item.state == "waiting"), None)


def _lead(world: World, item: Incoming) -> Lead:
    lead = world.leads.get(item.lead_id)
    assert lead is not None, item
    return lead


def _settle(world: World, item: Incoming, state: str, by: int) -> None:
    with world.incoming.editing(item):
        item.state, item.sorted_at = state, world.now()
    world.journal.incoming_sorted(item, by)


def _sorted(ask: Ask, item: Incoming) -> Json:
    return {
        "uid": item.uid,
        "pipeline_id": item.pipeline_id,
        "category": item.category,
        "created_at": item.created_at,
        "_embedded": _embedded(ask, item),
    }


def _embedded(ask: Ask, item: Incoming) -> Json:
    def refs(kind: str, entity_id: int | None) -> list[Json]:
        url = f"{ask.origin}/api/v4/{kind}/{entity_id}"
        return [{"id": entity_id, "_links": link(url)}] if entity_id else []

    return {
        "leads": refs("leads", item.lead_id),
        "contacts": refs("contacts", item.contact_id),
        "companies": refs("companies", item.company_id),
    }
