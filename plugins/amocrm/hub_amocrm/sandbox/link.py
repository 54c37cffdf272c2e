"""Links between leads, contacts and companies (reference 12)."""

from __future__ import annotations

from .ask import Ask, Form, forms, save_batch
from .bracket import numbers, texts
from .record import Card, Lead
from .reply import Json, Reply, hal, link, nothing, problem
from .world import World

_LINKED = ("leads", "contacts", "companies")


def list_links(world: World, ask: Ask, kind: str) -> Reply:
    """GET /api/v4/{entity}/{id}/links"""
    record = world.card_or_lead(kind, ask.id())
    if record is None:
        return problem(404, "Entity not found")
    return _listed(ask, _links_of(world, kind, record))


def list_many_links(world: World, ask: Ask, kind: str) -> Reply:
    """GET /api/v4/{entity}/links?filter[entity_id][]="""
    node = ask.query.get("filter")
    ids = numbers(node.get("entity_id")) if isinstance(node, dict) else []
    found: list[Json] = []
    for entity_id in ids:
        record = world.card_or_lead(kind, entity_id)
        if record is not None:
            own = {"entity_id": entity_id, "entity_type": kind}
            found += [own | item for item in _links_of(world, kind, record)]
    return _listed(ask, found)


def post_links(world: World, ask: Ask, kind: str, *, single: bool, undo: bool) -> Reply:
    """POST /api/v4/{entity}[/{id}]/{link|unlink}: linking twice is harmless."""
    batch = forms(ask.items())
    for form in batch:
        _read(world, form, kind, ask.id() if single else form.item.get("entity_id"))

    def apply(form: Form) -> Json:
        draft = form.draft
        here, there, to_kind = draft["entity_id"], draft["to_entity_id"], draft["to_entity_type"]
        if undo:
            part(world, kind, here, to_kind, there, ask.user_id)
        else:
            join(world, kind, here, to_kind, there, ask.user_id, is_main=draft["is_main"])
        metadata = _metadata(world, kind, here, to_kind, there)
        return {
            "entity_id": here,
            "entity_type": kind,
            "to_entity_id": there,
            "to_entity_type": to_kind,
            "metadata": metadata,
        }

    saved = save_batch(batch, apply)
    if undo:
        return nothing()
    items = [item for _, item in saved]
    body = {"_total_items": len(items), "_links": link(ask.origin + ask.path), "_embedded": {"links": items}}
    return hal(body)


def join(
    world: World, kind: str, one: int, to_kind: str, other: int, by: int, *, is_main: bool = False, told: bool = True
) -> None:
    """Link two records. A lead has one main contact and one company, a contact one company."""
    (kind, one), (to_kind, other) = _ordered((kind, one), (to_kind, other))
    before = _joined(world, kind, one, to_kind, other)
    if kind == "leads":
        lead = _lead(world, one)
        if to_kind == "contacts":
            if not before:
                lead.contact_ids += (other,)
            if is_main or lead.main_contact_id is None:
                lead.main_contact_id = other
        else:
            if lead.company_id is not None and lead.company_id != other:
                part(world, "leads", one, "companies", lead.company_id, by)
            lead.company_id = other
        card = _card(world, to_kind, other)
        if one not in card.lead_ids:
            card.lead_ids += (one,)
    else:
        contact, company = _card(world, "contacts", one), _card(world, "companies", other)
        if contact.company_id is not None and contact.company_id != other:
            part(world, "contacts", one, "companies", contact.company_id, by)
        contact.company_id = other
        if one not in company.contact_ids:
            company.contact_ids += (one,)
    world.touch(kind, one)
    world.touch(to_kind, other)
    if not before and told:
        world.journal.linked(kind, one, to_kind, other, by)


def part(world: World, kind: str, one: int, to_kind: str, other: int, by: int, *, told: bool = True) -> None:
    """Undo a link; nothing happens when there is none."""
    (kind, one), (to_kind, other) = _ordered((kind, one), (to_kind, other))
    if not _joined(world, kind, one, to_kind, other):
        return
    if kind == "leads":
        lead, card = _lead(world, one), _card(world, to_kind, other)
        card.lead_ids = tuple(i for i in card.lead_ids if i != one)
        if to_kind == "contacts":
            lead.contact_ids = tuple(i for i in lead.contact_ids if i != other)
            if lead.main_contact_id == other:
                lead.main_contact_id = lead.contact_ids[0] if lead.contact_ids else None
        else:
            lead.company_id = None
    else:
        contact, company = _card(world, "contacts", one), _card(world, "companies", other)
        contact.company_id = None
        company.contact_ids = tuple(i for i in company.contact_ids if i != one)
    world.touch(kind, one)
    world.touch(to_kind, other)
    if told:
        world.journal.linked(kind, one, to_kind, other, by, undone=True)


def _read(world: World, form: Form, kind: str, entity_id: object) -> None:
    if world.card_or_lead(kind, entity_id) is None:
        form.no_choice("entity_id")
    to_kind, to_id = form.item.get("to_entity_type"), form.item.get("to_entity_id")
    if to_kind is None or to_id is None:
        form.missing("to_entity_type" if to_kind is None else "to_entity_id")
    elif to_kind not in _LINKED or to_kind == kind:
        form.no_choice("to_entity_type")
    elif world.card_or_lead(to_kind, to_id) is None:
        form.no_choice("to_entity_id")
    metadata = form.item.get("metadata") or {}
    is_main = bool(metadata.get("is_main") or metadata.get("main_contact"))
    form.draft = {"entity_id": entity_id, "to_entity_id": to_id, "to_entity_type": to_kind, "is_main": is_main}


def _ordered(one: tuple[str, int], other: tuple[str, int]) -> tuple[tuple[str, int], tuple[str, int]]:
    """Leads before contacts before companies: a link has no direction."""
    return (one, other) if _LINKED.index(one[0]) <= _LINKED.index(other[0]) else (other, one)


def _joined(world: World, kind: str, one: int, to_kind: str, other: int) -> bool:
    if kind == "leads":
        lead = _lead(world, one)
        return other in lead.contact_ids if to_kind == "contacts" else lead.company_id == other
    return _card(world, "contacts", one).company_id == other


def _links_of(world: World, kind: str, record: Card | Lead) -> list[Json]:
    found: list[tuple[str, int]] = []
    if isinstance(record, Lead):
        found += [("contacts", i) for i in record.contact_ids]
    else:
        found += [("leads", i) for i in record.lead_ids]
        found += [("contacts", i) for i in record.contact_ids]
    if record.company_id:
        found.append(("companies", record.company_id))
    return [
        {
            "to_entity_id": to_id,
            "to_entity_type": to_kind,
            "metadata": _metadata(world, kind, record.id, to_kind, to_id),
        }
        for to_kind, to_id in found
        if world.card_or_lead(to_kind, to_id) is not None
    ]


def _listed(ask: Ask, found: list[Json]) -> Reply:
    node = ask.query.get("filter")
    if isinstance(node, dict):
        ids, kinds = set(numbers(node.get("to_entity_id"))), set(texts(node.get("to_entity_type")))
        found = [
            item
            for item in found
            if (not ids or item["to_entity_id"] in ids) and (not kinds or item["to_entity_type"] in kinds)
        ]
    if not found:
        return nothing()
    body = {"_total_items": len(found), "_links": link(ask.origin + ask.path), "_embedded": {"links": found}}
    return hal(body)


def _metadata(world: World, kind: str, one: int, to_kind: str, other: int) -> Json | None:
    (kind, one), (to_kind, other) = _ordered((kind, one), (to_kind, other))
    if kind == "leads" and to_kind == "contacts":
        return {"main_contact": _lead(world, one).main_contact_id == other}
    return None


def _lead(world: World, lead_id: int) -> Lead:
    lead = world.leads.get(lead_id)
    assert lead is not None, lead_id
    return lead


def _card(world: World, kind: str, card_id: int) -> Card:
    card = world.cards[kind].get(card_id)
    assert card is not None, card_id
    return card
