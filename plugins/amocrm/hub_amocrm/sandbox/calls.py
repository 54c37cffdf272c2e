"""``POST /api/v4/calls``: the CRM finds the card by phone itself (reference 15)."""

from __future__ import annotations

from typing import Any

from . import cards, leads, notes
from .ask import Ask, Form, forms, is_whole, refusal
from .record import Card, Note
from .reply import Json, Problem, Reply, hal, link
from .world import SINGULAR, World

_DIGITS = 10
_DIRECTIONS = {"inbound": "call_in", "outbound": "call_out"}
_PARAMS = ("uniq", "duration", "source", "link", "phone", "call_responsible", "call_result", "call_status")


def post_calls(world: World, ask: Ask) -> Reply:
    """POST /api/v4/calls: a number that is not found drops its call into ``errors``."""
    batch = forms(ask.items())
    for form in batch:
        _read(world, form)
    bad = [form for form in batch if form.errors]
    if bad:
        raise Problem(refusal(bad))
    saved: list[Json] = []
    errors: list[Json] = []
    for form in batch:
        place = _card_of(world, form.draft["phone"])
        if place is None:
            errors.append({"title": "Entity not found", "request_id": form.request_id})
            continue
        note = _save(world, place, form, ask.user_id)
        href = f"{ask.origin}/api/v4/{note.entity_type}/{note.entity_id}"
        saved.append(
            {
                "id": note.id,
                "entity_id": note.entity_id,
                "entity_type": SINGULAR[note.entity_type],
                "account_id": world.account.id,
                "request_id": form.request_id,
                "_embedded": {"entity": {"id": note.entity_id, "_links": link(href)}},
            }
        )
    body = {"_total_items": len(saved), "errors": errors, "_embedded": {"calls": saved}}
    return hal(body, 200 if saved else 400)


def _read(world: World, form: Form) -> None:
    for name in ("direction", "duration", "source", "phone"):
        if form.item.get(name) is None:
            form.missing(name)
    form.texts("direction", "source", "phone", "uniq", "link", "call_result")
    form.whole("duration", "call_status", "created_at", "updated_at")
    form.users(world.is_active, "responsible_user_id", "created_by", "updated_by")
    if form.draft.get("direction", "inbound") not in _DIRECTIONS:
        form.no_choice("direction")
    status = form.draft.get("call_status")
    if status is not None and not 1 <= status <= 8:
        form.no_choice("call_status")
    responsible = form.item.get("call_responsible")
    if isinstance(responsible, str) or is_whole(responsible):
        form.draft["call_responsible"] = responsible


def _card_of(world: World, phone: str) -> Card | None:
    """The contact, else the company, with the same last ten digits, as the search index knows them."""
    wanted = _last_digits(phone)
    for kind in ("contacts", "companies"):
        for card_id in sorted(world.index[kind].find(phone)):
            card = world.cards[kind].live(card_id)
            if card is not None and wanted in map(_last_digits, cards.phones(world, card)):
                return card
    return None


def _save(world: World, card: Card, form: Form, by: int) -> Note:
    kind, entity_id = card.kind, card.id
    if kind == "contacts":
        linked = (world.leads.live(lead_id) for lead_id in card.lead_ids)
        active = [lead for lead in linked if lead is not None and leads.is_active(world, lead)]
        if len(active) == 1:
            kind, entity_id = "leads", active[0].id
    draft: Json = {
        name: form.draft[name]
        for name in ("responsible_user_id", "created_by", "updated_by", "created_at")
        if name in form.draft
    }
    responsible: Any = form.draft.get("call_responsible")
    author = responsible if is_whole(responsible) and world.is_active(responsible) else 0
    draft = {"created_by": author} | draft
    draft |= {
        "entity_id": entity_id,
        "note_type": _DIRECTIONS[form.draft["direction"]],
        "params": {name: form.draft[name] for name in _PARAMS if name in form.draft},
    }
    return notes.create(world, kind, draft, by)


def _last_digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))[-_DIGITS:]
