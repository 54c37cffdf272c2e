"""What a person does in the CRM's pages. Events and webhooks follow as they do for the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import cards, incoming, leads, link, notes, tasks
from .account import LOST, WON
from .ask import Ask, Form, save_batch
from .record import Card, Lead, Task
from .reply import Json, Problem
from .world import World


class Impossible(ValueError):
    """The person cannot do that; says why."""


def act(world: World, action: str, values: dict[str, Any]) -> Json:
    """Do one of ``ACTIONS``; ``by`` is the acting user, the account's owner unless told.

    Raises Impossible for an unknown action, a record that is not there, a value that is refused.
    """
    doing = ACTIONS.get(action)
    if doing is None:
        raise Impossible(f"unknown action {action!r}; there are {', '.join(sorted(ACTIONS))}")
    fresh = dict(values)
    by = fresh.pop("by", world.account.owner_id)
    try:
        return doing(world, by, **fresh)
    except Problem as refused:
        raise Impossible(refused.reply.body.decode()) from refused
    except TypeError as err:
        raise Impossible(f"{action}: {err}") from err


def _create_card(world: World, by: int, kind: str, **item: Any) -> Json:
    phone = item.pop("phone", None)
    if phone is not None:
        entry = {"field_code": "PHONE", "values": [{"value": phone, "enum_code": "WORK"}]}
        item["custom_fields_values"] = [*item.get("custom_fields_values", ()), entry]
    form = Form(item, "0")
    cards.read(world, form, kind)
    card = save_batch([form], lambda read: cards.create(world, kind, read.draft, by))[0][1]
    return {"id": card.id}


def create_contact(world: World, by: int, **item: Any) -> Json:
    """name, phone, and whatever POST /contacts takes."""
    return _create_card(world, by, "contacts", **item)


def create_company(world: World, by: int, **item: Any) -> Json:
    """name, phone, and whatever POST /companies takes."""
    return _create_card(world, by, "companies", **item)


def create_lead(world: World, by: int, contact_id: int | None = None, **item: Any) -> Json:
    """name, contact_id, and whatever POST /leads takes."""
    if contact_id is not None:
        item["_embedded"] = {"contacts": [{"id": contact_id, "is_main": True}]}
    form = Form(item, "0")
    leads.read(world, form)
    leads.read_parts(world, form)
    return {"id": save_batch([form], lambda read: leads.create(world, read.draft, by))[0][1].id}


def create_task(world: World, by: int, **item: Any) -> Json:
    """text, complete_till (default: in an hour), entity_type, entity_id, responsible_user_id."""
    form = Form({"complete_till": world.now() + 3600, "text": "Задача"} | item, "0")
    tasks.read(world, form)
    return {"id": save_batch([form], lambda read: tasks.create(world, read.draft, by))[0][1].id}


def create_note(world: World, by: int, entity: str, id: int, text: str) -> Json:
    """A note of plain text on a card."""
    _record(world, entity, id)
    draft = {"entity_id": id, "note_type": "common", "params": {"text": text}}
    return {"id": notes.create(world, entity, draft, by).id}


def update(world: World, by: int, entity: str, id: int, **item: Any) -> Json:
    """Change any field that PATCH takes."""
    form = Form(item, "0")
    if entity == "tasks":
        task = _task(world, id)
        tasks.read(world, form)
        save_batch([form], lambda read: tasks.update(world, task, read.draft, by))
        return {"id": id}
    record = _record(world, entity, id)
    if isinstance(record, Lead):
        leads.read(world, form, record)
        save_batch([form], lambda read: leads.update(world, record, read.draft, by))
    else:
        cards.read(world, form, entity)
        save_batch([form], lambda read: cards.update(world, record, read.draft, by))
    return {"id": id}


def change_responsible(world: World, by: int, entity: str, id: int, user_id: int) -> Json:
    """Give a card, lead or task to another user."""
    return update(world, by, entity, id, responsible_user_id=user_id)


def move_lead(world: World, by: int, id: int, status_id: int, pipeline_id: int | None = None) -> Json:
    """Drag a lead to a stage."""
    lead = _lead(world, id)
    where = pipeline_id or next((p.id for p in world.pipelines.values() if p.status(status_id)), None)
    return update(world, by, "leads", lead.id, status_id=status_id, pipeline_id=where or lead.pipeline_id)


def close_lead(world: World, by: int, id: int, won: bool = True, loss_reason_id: int | None = None) -> Json:
    """Close a lead as won or lost."""
    lead = _lead(world, id)
    item: Json = {"status_id": WON if won else LOST, "pipeline_id": lead.pipeline_id}
    if not won:
        item["loss_reason_id"] = loss_reason_id
    return update(world, by, "leads", id, **item)


def merge_contacts(world: World, by: int, survivor: int, losers: list[int]) -> Json:
    """Merge contacts: the survivor keeps its id and gets what the losers had; they are deleted."""
    kept = _card(world, "contacts", survivor)
    gone = [_card(world, "contacts", loser) for loser in losers if loser != survivor]
    with world.contacts.editing(kept):
        for card in gone:
            for field, values in card.values.items():
                own = kept.values.get(field, ())
                kept.values = kept.values | {field: own + tuple(v for v in values if v not in own)}
            kept.tags += tuple(tag for tag in card.tags if tag not in kept.tags)
        kept.updated_at, kept.updated_by = world.now(), by
    for card in gone:
        _hand_over(world, card, kept, by)
        with world.contacts.editing(card):
            card.is_deleted, card.updated_at = True, world.now()
        world.touch("contacts", card.id)
    world.touch("contacts", kept.id)
    world.reindex("contacts", kept)
    world.journal.merged("contacts", kept, by)
    for card in gone:
        world.journal.deleted("contacts", card, by)
    return {"id": survivor, "deleted": [card.id for card in gone]}


def delete(world: World, by: int, entity: str, id: int) -> Json:
    """Put a contact, company, lead or task into the bin."""
    if entity == "tasks":
        tasks.remove(world, _task(world, id), by)
        return {"id": id}
    record = _record(world, entity, id)
    if isinstance(record, Lead):
        leads.remove(world, record, by)
        return {"id": id}
    for lead_id in record.lead_ids:
        link.part(world, "leads", lead_id, entity, id, by, told=False)
    for contact_id in record.contact_ids:
        link.part(world, "contacts", contact_id, "companies", id, by, told=False)
    with world.cards[entity].editing(record):
        record.is_deleted, record.updated_at = True, world.now()
    world.touch(entity, id)
    world.journal.deleted(entity, record, by)
    return {"id": id}


def link_records(world: World, by: int, entity: str, id: int, to_entity: str, to_id: int) -> Json:
    """Put a contact or company onto a lead, or a contact into a company."""
    _record(world, entity, id)
    _record(world, to_entity, to_id)
    link.join(world, entity, id, to_entity, to_id, by)
    return {"id": id}


def unlink_records(world: World, by: int, entity: str, id: int, to_entity: str, to_id: int) -> Json:
    """Take a contact or company off."""
    link.part(world, entity, id, to_entity, to_id, by)
    return {"id": id}


def complete_task(world: World, by: int, id: int, result: str = "") -> Json:
    """Tick a task off."""
    tasks.update(world, _task(world, id), {"is_completed": True, "result": result}, by)
    return {"id": id}


def accept_incoming(world: World, by: int, uid: str, status_id: int | None = None, user_id: int | None = None) -> Json:
    """Accept an incoming lead."""
    item = next((i for i in world.incoming if i.uid == uid and i.state == "waiting"), None)
    if item is None:
        raise Impossible(f"no incoming lead {uid} waits")
    place = world.pipelines[item.pipeline_id]
    ask = Ask(method="POST", path="/", raw_query="", raw_body=b"", origin="http://sandbox", user_id=by)
    stage = status_id or place.first_status_id
    return incoming.take(world, ask, item, stage, place.id, user_id or by)


def set_user_active(world: World, by: int, user_id: int, is_active: bool) -> Json:
    """Deactivate a user, or take one back."""
    user = world.users.get(user_id)
    if user is None:
        raise Impossible(f"there is no user {user_id}")
    user.is_active = is_active
    return {"id": user_id}


def deactivate_user(world: World, by: int, user_id: int) -> Json:
    """The employee left: nothing may be given to this user any more."""
    return set_user_active(world, by, user_id, False)


def activate_user(world: World, by: int, user_id: int) -> Json:
    """Take a user back."""
    return set_user_active(world, by, user_id, True)


def rename(world: World, by: int, pipeline_id: int, name: str, status_id: int | None = None) -> Json:
    """Rename a pipeline, or with ``status_id`` one of its stages."""
    pipeline = world.pipelines.get(pipeline_id)
    target = pipeline.status(status_id) if pipeline is not None and status_id is not None else pipeline
    if target is None:
        raise Impossible(f"there is no pipeline {pipeline_id} with a stage {status_id}")
    target.name = name
    return {"id": target.id}


def _hand_over(world: World, card: Card, kept: Card, by: int) -> None:
    for lead_id in card.lead_ids:
        lead = world.leads.get(lead_id)
        was_main = lead is not None and lead.main_contact_id == card.id
        link.part(world, "leads", lead_id, "contacts", card.id, by, told=False)
        link.join(world, "leads", lead_id, "contacts", kept.id, by, is_main=was_main, told=False)
    if card.company_id is not None:
        company_id = card.company_id
        link.part(world, "contacts", card.id, "companies", company_id, by, told=False)
        if kept.company_id is None:
            link.join(world, "contacts", kept.id, "companies", company_id, by, told=False)
    for task in world.tasks.of_group(("contacts", card.id)):
        with world.tasks.editing(task):
            task.entity_id = kept.id
    for note in world.notes["contacts"].of_group(card.id):
        with world.notes["contacts"].editing(note):
            note.entity_id = kept.id


def _record(world: World, entity: str, record_id: int) -> Card | Lead:
    record = world.card_or_lead(entity, record_id)
    if record is None:
        raise Impossible(f"there is no {record_id} in {entity}")
    return record


def _card(world: World, entity: str, record_id: int) -> Card:
    record = _record(world, entity, record_id)
    assert isinstance(record, Card)
    return record


def _lead(world: World, lead_id: int) -> Lead:
    record = _record(world, "leads", lead_id)
    assert isinstance(record, Lead)
    return record


def _task(world: World, task_id: int) -> Task:
    task = world.tasks.live(task_id)
    if task is None:
        raise Impossible(f"there is no task {task_id}")
    return task


#: Name to what is done; arguments are those of the function but ``world`` and ``by``.
ACTIONS: dict[str, Callable[..., Json]] = {
    doing.__name__: doing
    for doing in (
        create_contact,
        create_company,
        create_lead,
        create_task,
        create_note,
        update,
        change_responsible,
        move_lead,
        close_lead,
        merge_contacts,
        delete,
        link_records,
        unlink_records,
        complete_task,
        accept_incoming,
        deactivate_user,
        activate_user,
        rename,
    )
}
