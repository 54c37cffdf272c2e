"""Notes on cards; calls are notes of the types call_in and call_out (reference 14)."""

from __future__ import annotations

import dataclasses
from typing import Any

from .ask import Ask, Form, forms, save_batch
from .bracket import numbers
from .collection import Selection
from .filter import Filters, answer
from .record import Note
from .reply import Json, Problem, Reply, collected, hal, link, nothing, problem
from .world import World

_NEEDED: dict[str, tuple[str, ...]] = {
    "common": ("text",),
    "call_in": ("uniq", "duration", "source", "phone"),
    "call_out": ("uniq", "duration", "source", "phone"),
    "service_message": ("service", "text"),
    "extended_service_message": ("service", "text"),
    "sms_in": ("text", "phone"),
    "sms_out": ("text", "phone"),
    "attachment": ("version_uuid", "file_uuid", "file_name"),
    "geolocation": ("text", "address", "longitude", "latitude"),
    "message_cashier": ("status", "text"),
    "invoice_paid": ("text", "service", "icon_url"),
    "bill_paid": ("text", "service", "icon_url"),
}
#: Notes that a person may not rewrite; the vendor marks them so, the API refuses nothing (?).
_FIXED = ("call_in", "call_out", "service_message", "extended_service_message")
_FILTERS = Filters(members=("note_type",), ranges=("updated_at",))


def list_notes(world: World, ask: Ask, kind: str, *, of_entity: bool) -> Reply:
    """GET /api/v4/{entity}[/{id}]/notes"""
    selection: Selection[Note] = _FILTERS.select(ask)
    node = ask.query.get("filter")
    owners = numbers(node.get("entity_id")) if isinstance(node, dict) else []
    if of_entity:
        owners = [ask.id()]
    if owners:
        selection = dataclasses.replace(selection, group=tuple(owners), key=None)
    return answer(ask, "notes", world.notes[kind], selection, lambda note: show(world, ask, note))


def get_note(world: World, ask: Ask, kind: str, place: int = 0) -> Reply:
    """GET /api/v4/{entity}/notes/{id} and /api/v4/{entity}/{id}/notes/{id}"""
    note = world.notes[kind].live(ask.id(place))
    if note is None or (place == 1 and note.entity_id != ask.id()):
        return problem(404, "Entity not found")
    return hal(show(world, ask, note))


def post_notes(world: World, ask: Ask, kind: str, *, of_entity: bool) -> Reply:
    """POST /api/v4/{entity}[/{id}]/notes"""
    batch = forms(ask.items())
    for form in batch:
        entity_id = ask.id() if of_entity else form.item.get("entity_id")
        if entity_id is None:
            form.missing("entity_id")
        elif world.card_or_lead(kind, entity_id) is None:
            form.no_choice("entity_id")
        form.draft["entity_id"] = entity_id
        read(world, form)
    saved = save_batch(
        batch, lambda form: create(world, kind, form.draft, ask.user_id), partial=world.switches.partial_batches
    )
    items = [_reference(ask, note) | {"request_id": form.request_id} for form, note in saved]
    return collected("notes", items, origin=ask.origin, path=ask.path)


def patch_notes(world: World, ask: Ask, kind: str, *, single: bool) -> Reply:
    """PATCH /api/v4/{entity}/notes[/{id}]: both answer in batch form (reference 14)."""
    place = len(ask.params) - 1
    batch = [Form(ask.object(), "0")] if single else forms(ask.items())

    def target(form: Form) -> Note | None:
        return world.notes[kind].live(ask.id(place) if single else form.item.get("id"))

    for form in batch:
        note = target(form)
        if note is None:
            if single:
                return problem(404, "Entity not found")
            form.no_choice("id")
        read(world, form, note)

    def apply(form: Form) -> Note:
        note = target(form)
        if note is None:
            raise Problem(problem(404, "Entity not found"))
        return update(world, note, form.draft, ask.user_id)

    saved = save_batch(batch, apply)
    items = [
        _reference(ask, note) | {"updated_at": note.updated_at, "request_id": form.request_id} for form, note in saved
    ]
    return collected("notes", items, origin=ask.origin, path=ask.path)


def pin_note(world: World, ask: Ask, kind: str, *, pinned: bool) -> Reply:
    """POST /api/v4/{entity}/notes/{id}/{pin|unpin}"""
    note = world.notes[kind].live(ask.id())
    if note is None:
        return problem(404, "Entity not found")
    note.is_pinned = pinned
    return nothing()


def read(world: World, form: Form, note: Note | None = None) -> None:
    """Check an item of a note; ``note`` is the one to change."""
    kind = form.item.get("note_type", note.note_type if note else None)
    if kind is None:
        form.missing("note_type")
    elif kind not in _NEEDED or (note is not None and kind != note.note_type):
        form.no_choice("note_type")
    params = form.item.get("params")
    if params is None and note is None:
        form.missing("params")
    elif params is not None and not isinstance(params, dict):
        form.wrong_type("params", "object")
    elif isinstance(params, dict):
        _read_params(form, str(kind), params, note)
    form.draft["note_type"] = kind
    form.whole("created_at", "updated_at")
    form.users(world.is_active, "responsible_user_id", "created_by", "updated_by")


def create(world: World, kind: str, draft: Json, by: int) -> Note:
    """Store a new note from a checked draft."""
    now = world.now()
    author: int = draft.get("created_by", by)
    note = Note(
        id=world.ids.next("notes"),
        entity_id=draft["entity_id"],
        entity_type=kind,
        note_type=draft["note_type"],
        params=draft["params"],
        responsible_user_id=draft.get("responsible_user_id", author),
        created_by=author,
        updated_by=draft.get("updated_by", author),
        created_at=draft.get("created_at") or now,
        updated_at=now,
    )
    world.notes[kind].add(note)
    world.journal.note_added(note)
    return note


def update(world: World, note: Note, draft: Json, by: int) -> Note:
    """Change a note: sent params replace those of the same name."""
    with world.notes[note.entity_type].editing(note):
        note.params = note.params | draft.get("params", {})
        note.updated_at = max(world.now(), note.updated_at)
        note.updated_by = draft.get("updated_by", by)
    return note


def show(world: World, ask: Ask, note: Note) -> Json:
    """A note as answers show it."""
    shown: Json = {
        "id": note.id,
        "entity_id": note.entity_id,
        "created_by": note.created_by,
        "updated_by": note.updated_by,
        "created_at": note.created_at,
        "updated_at": note.updated_at,
        "responsible_user_id": note.responsible_user_id,
        "group_id": world.group_of(note.responsible_user_id),
        "note_type": note.note_type,
        "params": note.params,
        "is_editable": note.note_type not in _FIXED,
        "account_id": world.account.id,
        "_links": link(f"{ask.origin}/api/v4/{note.entity_type}/{note.entity_id}/notes/{note.id}"),
    }
    if "is_pinned" in ask.with_:
        shown["is_pinned"] = note.is_pinned
    return shown


def _read_params(form: Form, kind: str, params: dict[str, Any], note: Note | None) -> None:
    if note is None:
        for name in _NEEDED.get(kind, ()):
            if params.get(name) is None:
                form.missing(f"params.{name}")
    duration = params.get("duration")
    if duration is not None and (isinstance(duration, bool) or not isinstance(duration, int)):
        form.wrong_type("params.duration", "int")
    status = params.get("call_status")
    if status is not None and str(status) not in "12345678":
        form.no_choice("params.call_status")
    form.draft["params"] = params


def _reference(ask: Ask, note: Note) -> Json:
    path = f"{ask.origin}/api/v4/{note.entity_type}/{note.entity_id}/notes/{note.id}"
    return {"id": note.id, "entity_id": note.entity_id, "_links": link(path)}
