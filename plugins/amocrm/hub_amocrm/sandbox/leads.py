"""Leads (reference 9): the vendor's word for a deal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .account import LOST, UNSORTED, WON
from .ask import Ask, Form, forms, is_whole, save_batch
from .bracket import Node, numbers
from .collection import Selection
from .fieldfilter import by_custom_fields
from .filter import Filters, answer
from .link import join, part
from .record import Lead
from .reply import Json, Problem, Reply, collected, hal, link, nothing, problem
from .tags import read_tags, tags_after
from .world import World

CLOSED = (WON, LOST)
_SIMPLE = ("name", "price", "responsible_user_id", "loss_reason_id")


def by_statuses(node: Node) -> Callable[[Any], bool]:
    """``filter[statuses][i][pipeline_id]`` with ``[status_id]``: pairs."""
    pairs = set()
    for entry in node.values() if isinstance(node, dict) else ():
        if isinstance(entry, dict):
            pipeline, status = numbers(entry.get("pipeline_id")), numbers(entry.get("status_id"))
            if pipeline and status:
                pairs.add((pipeline[0], status[0]))
    return lambda lead: (lead.pipeline_id, lead.status_id) in pairs


_FILTERS = Filters(
    members=("name", "created_by", "updated_by", "responsible_user_id", "pipeline_id"),
    ranges=("created_at", "updated_at", "closed_at", "closest_task_at", "price"),
    orders=("created_at", "updated_at", "id"),
    special=(("statuses", by_statuses), ("custom_fields_values", by_custom_fields)),
)


def list_leads(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads"""
    if "only_deleted" in ask.with_:
        gone: list[Json] = [{"id": lead.id, "is_deleted": True} for lead in world.leads if lead.is_deleted]
        body = {"_page": 1, "_links": link(ask.origin + ask.path), "_embedded": {"leads": gone}}
        return hal(body) if gone else nothing()
    selection: Selection[Lead] = _FILTERS.select(ask, enabled=world.switches.is_api_filter_enabled)
    query = ask.query.get("query")
    if isinstance(query, str) and query.strip():
        ids = set(world.index["leads"].find(query))
        # A phone may find a lead through its contacts (#303).
        for contact_id in world.index["contacts"].find(query):
            contact = world.contacts.live(contact_id)
            ids.update(contact.lead_ids if contact else ())
        wanted = ids if selection.ids is None else ids & set(selection.ids)
        selection = Selection(
            order=selection.order,
            descending=selection.descending,
            predicate=selection.predicate,
            bounds=selection.bounds,
            ids=tuple(wanted),
        )
    return answer(ask, "leads", world.leads, selection, lambda lead: show(world, ask, lead))


def get_lead(world: World, ask: Ask) -> Reply:
    """GET /api/v4/leads/{id}: 204 when there is none."""
    lead = world.leads.live(ask.id())
    return hal(show(world, ask, lead)) if lead else nothing()


def post_leads(world: World, ask: Ask) -> Reply:
    """POST /api/v4/leads"""
    batch = forms(ask.items())
    for form in batch:
        read(world, form)
        read_parts(world, form)
    saved = save_batch(
        batch, lambda form: create(world, form.draft, ask.user_id), partial=world.switches.partial_batches
    )
    items = [
        {"id": lead.id, "request_id": form.request_id, "_links": link(f"{ask.origin}/api/v4/leads/{lead.id}")}
        for form, lead in saved
    ]
    return collected("leads", items, origin=ask.origin, path=ask.path)


def patch_leads(world: World, ask: Ask) -> Reply:
    """PATCH /api/v4/leads: each item names its id."""
    batch = forms(ask.items())
    for form in batch:
        lead = world.leads.live(form.item.get("id"))
        if lead is None:
            form.no_choice("id")
        read(world, form, lead)

    def apply(form: Form) -> Lead:
        lead = world.leads.live(form.item["id"])
        if lead is None:
            raise Problem(problem(404, "Entity not found"))
        return update(world, lead, form.draft, ask.user_id)

    saved = save_batch(batch, apply, partial=world.switches.partial_batches)
    items = [_patched(ask, lead) | {"request_id": form.request_id} for form, lead in saved]
    return collected("leads", items, origin=ask.origin, path=ask.path)


def patch_lead(world: World, ask: Ask) -> Reply:
    """PATCH /api/v4/leads/{id}: one object."""
    form = Form(ask.object(), "0")
    lead = world.leads.live(ask.id())
    if lead is None:
        return problem(404, "Entity not found")
    read(world, form, lead)
    save_batch([form], lambda read_form: update(world, lead, read_form.draft, ask.user_id))
    return hal(_patched(ask, lead))


def read(world: World, form: Form, lead: Lead | None = None, *, incoming: bool = False) -> None:
    """Check an item; ``lead`` is the one to change, ``incoming`` allows the stage for incoming leads."""
    form.texts("name")
    form.whole("price", "created_at", "updated_at")
    form.whole("loss_reason_id", "closed_at", nullable=True)
    form.users(world.is_active, "responsible_user_id", "created_by", "updated_by")
    _read_stage(world, form, lead, incoming=incoming)
    reason = form.draft.get("loss_reason_id")
    if reason is not None and reason not in dict(world.account.loss_reasons):
        form.no_choice("loss_reason_id")
    world.fields.read(form, "leads")
    read_tags(form)


def read_parts(world: World, form: Form) -> None:
    """Check ``_embedded.contacts``, ``companies`` and ``source`` of a new lead."""
    embedded = form.item.get("_embedded") or {}
    for kind in ("contacts", "companies"):
        entries = embedded.get(kind) or []
        for index, entry in enumerate(entries):
            if not isinstance(entry, dict) or world.cards[kind].live(entry.get("id")) is None:
                form.no_choice(f"_embedded.{kind}.{index}.id")
        form.draft[kind] = entries
    if len(form.draft.get("companies", ())) > 1:
        form.fail("TooMany", "_embedded.companies", "This collection should contain 1 element or less.")
    source = embedded.get("source")
    if isinstance(source, dict):
        known = (s for s in world.sources.values() if s["external_id"] == source.get("external_id"))
        form.draft["source_id"] = next((s["id"] for s in known), None)


def create(world: World, draft: Json, by: int) -> Lead:
    """Store a new lead from a checked draft, linked to its contacts and company."""
    now = world.now()
    author: int = draft.get("created_by", by)
    lead_id = world.ids.next("leads")
    pipeline_id = draft.get("pipeline_id", world.main_pipeline.id)
    status_id = draft.get("status_id", world.pipelines[pipeline_id].first_status_id)
    lead = Lead(
        id=lead_id,
        name=draft.get("name") or f"Сделка #{lead_id}",
        price=draft.get("price", 0),
        pipeline_id=pipeline_id,
        status_id=status_id,
        responsible_user_id=draft.get("responsible_user_id", by),
        created_by=author,
        updated_by=draft.get("updated_by", author),
        created_at=draft.get("created_at") or now,
        updated_at=now,
        closed_at=(draft.get("closed_at") or now) if status_id in CLOSED else None,
        loss_reason_id=draft.get("loss_reason_id") if status_id == LOST else None,
        source_id=draft.get("source_id"),
        values={field: values for field, values in draft.get("values", {}).items() if values},
    )
    lead.tags, added, removed = tags_after(world, "leads", (), draft)
    world.leads.add(lead)
    world.reindex("leads", lead)
    world.journal.added("leads", lead, author)
    world.journal.tags("leads", lead.id, added, removed, author)
    for entry in draft.get("contacts", ()):
        join(world, "leads", lead.id, "contacts", entry["id"], author, is_main=bool(entry.get("is_main")))
    for entry in draft.get("companies", ()):
        join(world, "leads", lead.id, "companies", entry["id"], author)
    return lead


def update(world: World, lead: Lead, draft: Json, by: int) -> Lead:
    """Change a lead by a checked draft; 142 and 143 close it, any other stage opens it again."""
    author: int = draft.get("updated_by", by)
    changed: Json = {}
    with world.leads.editing(lead):
        for name in _SIMPLE:
            if name in draft and draft[name] != getattr(lead, name):
                changed[name] = getattr(lead, name)
                setattr(lead, name, draft[name])
        stage = (draft.get("pipeline_id", lead.pipeline_id), draft.get("status_id", lead.status_id))
        if stage != (lead.pipeline_id, lead.status_id):
            changed |= {"status_id": lead.status_id, "pipeline_id": lead.pipeline_id}
            lead.pipeline_id, lead.status_id = stage
            lead.closed_at = world.now() if lead.status_id in CLOSED else None
            if lead.status_id != LOST:
                lead.loss_reason_id = None
        values = {
            field: lead.values.get(field, ())
            for field, new in draft.get("values", {}).items()
            if lead.values.get(field, ()) != new
        }
        if values:
            changed["values"] = values
            merged = lead.values | draft["values"]
            lead.values = {field: stored for field, stored in merged.items() if stored}
        lead.tags, added, removed = tags_after(world, "leads", lead.tags, draft)
        lead.updated_at = max(world.now(), lead.updated_at)
        lead.updated_by = author
    world.touch("leads", lead.id)
    world.reindex("leads", lead)
    world.journal.changed("leads", lead, changed, author)
    world.journal.tags("leads", lead.id, added, removed, author)
    return lead


def remove(world: World, lead: Lead, by: int) -> None:
    """Put a lead into the bin: only people can (reference 1.3)."""
    for contact_id in lead.contact_ids:
        part(world, "leads", lead.id, "contacts", contact_id, by, told=False)
    with world.leads.editing(lead):
        lead.is_deleted = True
        lead.updated_at = world.now()
    world.touch("leads", lead.id)
    world.journal.deleted("leads", lead, by)


def is_active(world: World, lead: Lead) -> bool:
    """Not deleted, not closed and not waiting among the incoming ones (reference 9)."""
    status = world.pipelines[lead.pipeline_id].status(lead.status_id)
    return not lead.is_deleted and lead.status_id not in CLOSED and (status is None or status.type != UNSORTED)


def show(world: World, ask: Ask, lead: Lead) -> Json:
    """A lead as answers show it."""
    api, with_ = f"{ask.origin}/api/v4", ask.with_

    def ref(kind: str, entity_id: int) -> Json:
        return {"id": entity_id, "_links": link(f"{api}/{kind}/{entity_id}")}

    companies = [lead.company_id] if lead.company_id else []
    embedded: Json = {
        "tags": world.tag_list("leads", lead.tags),
        "companies": [ref("companies", company) for company in companies],
    }
    if "contacts" in with_:
        embedded["contacts"] = [
            {"id": i, "is_main": i == lead.main_contact_id, "_links": link(f"{api}/contacts/{i}")}
            for i in lead.contact_ids
        ]
    if "loss_reason" in with_:
        reasons = dict(world.account.loss_reasons)
        reason = lead.loss_reason_id
        embedded["loss_reason"] = [] if reason is None else [{"id": reason, "name": reasons.get(reason)}]
    if "catalog_elements" in with_:
        embedded["catalog_elements"] = []
    source = world.sources.get(lead.source_id) if lead.source_id else None
    if "source" in with_ and source:
        embedded["source"] = {"id": source["id"], "name": source["name"]}
    shown: Json = {
        "id": lead.id,
        "name": lead.name,
        "price": lead.price,
        "responsible_user_id": lead.responsible_user_id,
        "group_id": world.group_of(lead.responsible_user_id),
        "status_id": lead.status_id,
        "pipeline_id": lead.pipeline_id,
        "loss_reason_id": lead.loss_reason_id,
        "created_by": lead.created_by,
        "updated_by": lead.updated_by,
        "created_at": lead.created_at,
        "updated_at": lead.updated_at,
        "closed_at": lead.closed_at,
        "closest_task_at": lead.closest_task_at,
        "is_deleted": lead.is_deleted,
        "custom_fields_values": world.fields.show("leads", lead.values),
        "score": None,
        "account_id": world.account.id,
        "labor_cost": None,
    }
    if "source_id" in with_:
        shown["source_id"] = lead.source_id
    if "is_price_modified_by_robot" in with_:
        shown["is_price_modified_by_robot"] = False
    return shown | {"_links": link(f"{api}/leads/{lead.id}"), "_embedded": embedded}


def _patched(ask: Ask, lead: Lead) -> Json:
    self_link = link(f"{ask.origin}/api/v4/leads/{lead.id}")
    return {"id": lead.id, "updated_at": lead.updated_at, "_links": self_link}


def _read_stage(world: World, form: Form, lead: Lead | None, *, incoming: bool) -> None:
    pipeline_id, status_id = form.item.get("pipeline_id"), form.item.get("status_id")
    pipeline = None
    if pipeline_id is not None:
        pipeline = world.pipelines.get(pipeline_id) if is_whole(pipeline_id) else None
        if pipeline is None or pipeline.is_archive:
            form.no_choice("pipeline_id")
            return
        form.draft["pipeline_id"] = pipeline.id
    if status_id is None:
        if pipeline is not None and (lead is None or lead.pipeline_id != pipeline.id):
            form.draft["status_id"] = pipeline.first_status_id
        return
    if pipeline is None and status_id in CLOSED:
        # Won and lost are the same in every pipeline: closing needs the stage alone.
        pipeline = world.pipelines[lead.pipeline_id] if lead else world.main_pipeline
    if pipeline is None:
        if lead is not None and lead.status_id in CLOSED:
            # A closed lead moves only with its pipeline named (reference 9).
            form.no_choice("status_id")
            return
        pipeline = next((p for p in world.pipelines.values() if p.status(status_id)), None)
    status = pipeline.status(status_id) if pipeline else None
    if pipeline is None or status is None or (status.type == UNSORTED and not incoming):
        form.no_choice("status_id")
        return
    form.draft |= {"pipeline_id": pipeline.id, "status_id": status.id}
