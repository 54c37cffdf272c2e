"""Contacts and companies (reference 7, 8)."""

from __future__ import annotations

from .ask import Ask, Form, forms, save_batch
from .collection import Selection
from .fieldfilter import by_custom_fields
from .filter import Filters, answer
from .record import Card
from .reply import Json, Problem, Reply, collected, hal, link, nothing, problem
from .tags import read_tags, tags_after
from .world import World

_SIMPLE = ("name", "first_name", "last_name", "responsible_user_id")


def list_cards(world: World, ask: Ask, kind: str) -> Reply:
    """GET /api/v4/{contacts|companies}"""
    if "only_deleted" in ask.with_:
        return _bin(world, ask, kind)
    filters = Filters(
        members=("name", "created_by", "updated_by", "responsible_user_id"),
        ranges=("created_at", "updated_at", "closest_task_at"),
        special=(("custom_fields_values", by_custom_fields),),
    )
    selection: Selection[Card] = filters.select(ask, enabled=world.switches.is_api_filter_enabled)
    query = ask.query.get("query")
    if isinstance(query, str) and query.strip():
        found = world.index[kind].find(query)
        wanted = set(selection.ids) if selection.ids is not None else None
        ids = tuple(i for i in found if wanted is None or i in wanted)
        selection = Selection(
            order=selection.order,
            descending=selection.descending,
            predicate=selection.predicate,
            bounds=selection.bounds,
            ids=ids,
        )
    return answer(ask, kind, world.cards[kind], selection, lambda card: show(world, ask, card))


def get_card(world: World, ask: Ask, kind: str) -> Reply:
    """GET /api/v4/{contacts|companies}/{id}: 204 when there is none."""
    card = world.cards[kind].get(ask.id())
    if card is None or card.is_deleted:
        return nothing()
    return hal(show(world, ask, card))


def post_cards(world: World, ask: Ask, kind: str) -> Reply:
    """POST /api/v4/{contacts|companies}: no check for duplicates (reference 7)."""
    batch = forms(ask.items())
    for form in batch:
        read(world, form, kind)
    saved = save_batch(
        batch, lambda form: create(world, kind, form.draft, ask.user_id), partial=world.switches.partial_batches
    )
    items = []
    for form, card in saved:
        item: Json = {"id": card.id, "request_id": form.request_id}
        if kind == "contacts":
            item |= {"is_deleted": False, "is_unsorted": False}
        items.append(item | {"_links": link(f"{ask.origin}/api/v4/{kind}/{card.id}")})
    return collected(kind, items, origin=ask.origin, path=ask.path)


def patch_cards(world: World, ask: Ask, kind: str) -> Reply:
    """PATCH /api/v4/{contacts|companies}: each item names its id."""
    batch = forms(ask.items())
    for form in batch:
        if world.cards[kind].live(form.item.get("id")) is None:
            form.no_choice("id")
        read(world, form, kind)

    def apply(form: Form) -> Card:
        return update(world, _existing(world, kind, form.item["id"]), form.draft, ask.user_id)

    saved = save_batch(batch, apply, partial=world.switches.partial_batches)
    items = [_patched(ask, card) | {"request_id": form.request_id} for form, card in saved]
    return collected(kind, items, origin=ask.origin, path=ask.path)


def patch_card(world: World, ask: Ask, kind: str) -> Reply:
    """PATCH /api/v4/{contacts|companies}/{id}: one object, never an array (#329)."""
    form = Form(ask.object(), "0")
    card = world.cards[kind].live(ask.id())
    if card is None:
        return problem(404, "Entity not found")
    read(world, form, kind)
    save_batch([form], lambda read_form: update(world, card, read_form.draft, ask.user_id))
    return hal(_patched(ask, card))


def read(world: World, form: Form, kind: str) -> None:
    """Check an item of a contact or company."""
    names = ("name", "first_name", "last_name") if kind == "contacts" else ("name",)
    form.texts(*names)
    form.whole("created_at", "updated_at")
    form.users(world.is_active, "responsible_user_id", "created_by", "updated_by")
    world.fields.read(form, kind)
    read_tags(form)


def create(world: World, kind: str, draft: Json, by: int, *, is_unsorted: bool = False) -> Card:
    """Store a new card from a checked draft."""
    now = world.now()
    author: int = draft.get("created_by", by)
    first, last = draft.get("first_name") or "", draft.get("last_name") or ""
    card = Card(
        id=world.ids.next("cards"),
        kind=kind,
        name=draft.get("name") or " ".join(part for part in (first, last) if part),
        first_name=first,
        last_name=last,
        responsible_user_id=draft.get("responsible_user_id", by),
        created_by=author,
        updated_by=draft.get("updated_by", author),
        created_at=draft.get("created_at") or now,
        updated_at=now,
        is_unsorted=is_unsorted,
        values={field: values for field, values in draft.get("values", {}).items() if values},
    )
    card.tags, added, removed = tags_after(world, kind, (), draft)
    world.cards[kind].add(card)
    world.reindex(kind, card)
    world.journal.added(kind, card, author)
    world.journal.tags(kind, card.id, added, removed, author)
    return card


def update(world: World, card: Card, draft: Json, by: int) -> Card:
    """Change a card by a checked draft; unsent fields stay, a sent field replaces all its values."""
    kind = card.kind
    author: int = draft.get("updated_by", by)
    changed: Json = {}
    fresh = dict(draft)
    if "name" not in fresh and ("first_name" in fresh or "last_name" in fresh):
        parts = (fresh.get("first_name", card.first_name), fresh.get("last_name", card.last_name))
        fresh["name"] = " ".join(part for part in parts if part)
    with world.cards[kind].editing(card):
        for name in _SIMPLE:
            if name in fresh and fresh[name] != getattr(card, name):
                changed[name] = getattr(card, name)
                setattr(card, name, fresh[name])
        values = {
            field: card.values.get(field, ())
            for field, new in fresh.get("values", {}).items()
            if card.values.get(field, ()) != new
        }
        if values:
            changed["values"] = values
            card.values = card.values | fresh["values"]
            card.values = {field: stored for field, stored in card.values.items() if stored}
        card.tags, added, removed = tags_after(world, kind, card.tags, fresh)
        card.updated_at = max(world.now(), card.updated_at)
        card.updated_by = author
    world.touch(kind, card.id)
    world.reindex(kind, card)
    world.journal.changed(kind, card, changed, author)
    world.journal.tags(kind, card.id, added, removed, author)
    return card


def show(world: World, ask: Ask, card: Card) -> Json:
    """A card as answers show it."""
    kind, api = card.kind, f"{ask.origin}/api/v4"
    embedded: Json = {"tags": world.tag_list(kind, card.tags)}
    if kind == "contacts":
        companies = [card.company_id] if card.company_id else []
        embedded["companies"] = [_ref(api, "companies", company) for company in companies]
    elif "contacts" in ask.with_:
        embedded["contacts"] = [_ref(api, "contacts", contact) for contact in card.contact_ids]
    if "leads" in ask.with_:
        live = (lead for lead in card.lead_ids if world.leads.live(lead))
        embedded["leads"] = [_ref(api, "leads", lead) for lead in live]
    for name in ("customers", "catalog_elements"):
        if name in ask.with_:
            embedded[name] = []
    shown: Json = {"id": card.id, "name": card.name}
    if kind == "contacts":
        shown |= {"first_name": card.first_name, "last_name": card.last_name}
    shown |= {
        "responsible_user_id": card.responsible_user_id,
        "group_id": world.group_of(card.responsible_user_id),
        "created_by": card.created_by,
        "updated_by": card.updated_by,
        "created_at": card.created_at,
        "updated_at": card.updated_at,
        "closest_task_at": card.closest_task_at,
        "is_deleted": card.is_deleted,
    }
    if kind == "contacts":
        shown["is_unsorted"] = card.is_unsorted
    return shown | {
        "custom_fields_values": world.fields.show(kind, card.values),
        "account_id": world.account.id,
        "_links": link(f"{api}/{kind}/{card.id}"),
        "_embedded": embedded,
    }


def phones(world: World, card: Card) -> list[str]:
    """The card's phone numbers as they are stored."""
    field = world.fields.coded(card.kind, "PHONE")
    return [str(value) for value, _ in card.values.get(field.id, ())] if field else []


def _existing(world: World, kind: str, card_id: int) -> Card:
    card = world.cards[kind].live(card_id)
    if card is None:
        raise Problem(problem(404, "Entity not found"))
    return card


def _patched(ask: Ask, card: Card) -> Json:
    self_link = link(f"{ask.origin}/api/v4/{card.kind}/{card.id}")
    return {"id": card.id, "name": card.name, "updated_at": card.updated_at, "_links": self_link}


def _ref(api: str, kind: str, entity_id: int) -> Json:
    return {"id": entity_id, "_links": link(f"{api}/{kind}/{entity_id}")}


def _bin(world: World, ask: Ask, kind: str) -> Reply:
    """with=only_deleted: short models of what lies in the bin."""
    page, limit = ask.paging()
    gone = [card for card in world.cards[kind] if card.is_deleted]
    items: list[Json] = [{"id": card.id, "is_deleted": True} for card in gone[(page - 1) * limit : page * limit]]
    return (
        hal({"_page": page, "_links": link(ask.origin + ask.path), "_embedded": {kind: items}}) if items else nothing()
    )
