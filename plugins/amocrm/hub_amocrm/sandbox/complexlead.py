"""``POST /api/v4/leads/complex``: a lead with its contact and company in one request (reference 9.1)."""

from __future__ import annotations

from typing import Any

from . import cards, incoming, leads
from .account import LOST, WON
from .ask import Ask, Form, forms, save_batch
from .link import join
from .record import Card, Lead
from .reply import Json, Reply, hal
from .search import tail
from .tags import tags_after
from .world import World

MAX_LEADS = 50
MAX_VALUES = 40


def post_complex(world: World, ask: Ask) -> Reply:
    """POST /api/v4/leads/complex: answers a bare array."""
    batch = forms(ask.items(MAX_LEADS))
    for form in batch:
        _read(world, form)
    # Duplicate control works against what was saved before, not among items of one batch.
    known = [None if form.errors else _duplicate(world, form) for form in batch]
    duplicates = dict(zip(map(id, batch), known, strict=True))

    def apply(form: Form) -> Json:
        lead = duplicates.get(id(form))
        if lead is not None:
            return _merge(world, form, lead, ask.user_id)
        return _create(world, form, ask.user_id)

    saved = save_batch(batch, apply, partial=world.switches.partial_batches)
    return hal([answer | {"request_id": [str(form.request_id)]} for form, answer in saved])


def _read(world: World, form: Form) -> None:
    embedded = form.item.get("_embedded") or {}
    metadata = embedded.get("metadata")
    leads.read(world, form, incoming=metadata is not None)
    for kind in ("contacts", "companies"):
        sent = embedded.get(kind) or []
        if not isinstance(sent, list) or len(sent) > 1:
            form.fail("TooMany", f"_embedded.{kind}", "This collection should contain 1 element or less.")
        elif sent:
            form.draft[kind] = _read_card(world, form, kind, sent[0])
    source = embedded.get("source")
    if isinstance(source, dict):
        known = (s for s in world.sources.values() if s["external_id"] == source.get("external_id"))
        form.draft["source_id"] = next((s["id"] for s in known), None)
    if isinstance(metadata, dict):
        form.draft["metadata"] = incoming.read_metadata(form, metadata, metadata.get("category"))
    _read_limit(form)


def _read_card(world: World, form: Form, kind: str, entry: Any) -> Json:
    prefix = f"_embedded.{kind}.0."
    if not isinstance(entry, dict):
        form.wrong_type(prefix.rstrip("."), "object")
        return {}
    if entry.get("id") is not None:
        if world.cards[kind].live(entry["id"]) is None:
            form.no_choice(f"{prefix}id")
        return {"id": entry["id"]}
    inner = Form(entry, form.request_id, prefix)
    cards.read(world, inner, kind)
    _read_limit(inner)
    form.errors += inner.errors
    return inner.draft


def _read_limit(form: Form) -> None:
    if len(form.item.get("custom_fields_values") or ()) > MAX_VALUES:
        form.fail("TooMany", "custom_fields_values", f"At most {MAX_VALUES} fields per entity.")


def _create(world: World, form: Form, by: int) -> Json:
    draft = form.draft
    metadata = draft.get("metadata")
    placed: dict[str, Card | None] = {}
    for kind in ("contacts", "companies"):
        entry = draft.pop(kind, None)
        placed[kind] = None
        if entry is not None and "id" in entry:
            placed[kind] = world.cards[kind].get(entry["id"])
        elif entry is not None:
            hidden = metadata is not None and kind == "contacts"
            placed[kind] = cards.create(world, kind, entry, by, is_unsorted=hidden)
        if placed[kind] is not None:
            draft[kind] = [{"id": placed[kind].id, "is_main": True}]  # type: ignore[union-attr]  # tested above
    if metadata is not None:
        pipeline = world.pipelines[draft.get("pipeline_id", world.main_pipeline.id)]
        draft |= {"pipeline_id": pipeline.id, "status_id": pipeline.unsorted_status_id}
    lead = leads.create(world, draft, by)
    contact, company = placed["contacts"], placed["companies"]
    if contact is not None and company is not None:
        join(world, "contacts", contact.id, "companies", company.id, by)
    if metadata is not None:
        incoming.place(world, metadata, lead, contact.id if contact else None)
    return {
        "id": lead.id,
        "contact_id": contact.id if contact else None,
        "company_id": company.id if company else None,
        "merged": False,
    }


def _duplicate(world: World, form: Form) -> Lead | None:
    """The active lead of a contact with the same phone, when duplicate control is on."""
    if not world.switches.duplicate_control:
        return None
    entry = form.draft.get("contacts")
    field = world.fields.coded("contacts", "PHONE")
    if entry is None or field is None:
        return None
    sent = [str(value) for value, _ in entry.get("values", {}).get(field.id, ())]
    wanted = {_last_ten(text) for text in sent if tail(text) is not None}
    pipeline_id = form.draft.get("pipeline_id", world.main_pipeline.id)
    for text in sent:
        for contact_id in world.index["contacts"].find(text):
            contact = world.contacts.live(contact_id)
            if contact is None or wanted.isdisjoint(_last_ten(n) for n in cards.phones(world, contact)):
                continue
            for lead_id in contact.lead_ids:
                lead = world.leads.live(lead_id)
                if lead is not None and lead.pipeline_id == pipeline_id and lead.status_id not in (WON, LOST):
                    return lead
    return None


def _merge(world: World, form: Form, lead: Lead, by: int) -> Json:
    """Join new data into an existing lead: values that it lacks, and tags."""
    draft = form.draft
    fresh = {field: values for field, values in draft.get("values", {}).items() if field not in lead.values}
    leads.update(world, lead, {"values": fresh}, by)
    with world.leads.editing(lead):
        lead.tags, added, removed = tags_after(world, "leads", lead.tags, draft)
    world.journal.tags("leads", lead.id, added, removed, by)
    return {
        "id": lead.id,
        "contact_id": lead.main_contact_id,
        "company_id": lead.company_id,
        "merged": True,
    }


def _last_ten(text: str) -> str:
    return "".join(filter(str.isdigit, text))[-10:]
