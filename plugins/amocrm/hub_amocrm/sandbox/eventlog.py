"""The account's event log (reference 17). Newest first."""

from __future__ import annotations

import dataclasses
from typing import Any

from .ask import Ask
from .bracket import Node, numbers, texts
from .collection import Bounds, Selection
from .filter import Filters, answer, bounds_of
from .record import Event
from .reply import Json, Reply, hal, link, problem, totalled
from .world import World

MAX_PAGE = 100
_MANY = 10
_PLURAL = {"lead": "leads", "contact": "contacts", "company": "companies", "task": "tasks"}
_TYPES = [
    "lead_added",
    "lead_deleted",
    "lead_restored",
    "lead_status_changed",
    "lead_linked",
    "lead_unlinked",
    "contact_added",
    "contact_deleted",
    "contact_restored",
    "contact_linked",
    "contact_unlinked",
    "company_added",
    "company_deleted",
    "company_restored",
    "company_linked",
    "company_unlinked",
    "task_added",
    "task_deleted",
    "task_completed",
    "task_type_changed",
    "task_text_changed",
    "task_deadline_changed",
    "task_result_added",
    "incoming_call",
    "outgoing_call",
    "incoming_chat_message",
    "outgoing_chat_message",
    "entity_direct_message",
    "incoming_sms",
    "outgoing_sms",
    "entity_tag_added",
    "entity_tag_deleted",
    "entity_linked",
    "entity_unlinked",
    "sale_field_changed",
    "name_field_changed",
    "entity_responsible_changed",
    "custom_field_value_changed",
    "entity_merged",
    "service_note_added",
    "common_note_added",
]


def list_events(world: World, ask: Ask) -> Reply:
    """GET /api/v4/events: arrays and the SDK's comma lists are read alike."""
    node = ask.query.get("filter")
    wanted: dict[str, Any] = node if isinstance(node, dict) else {}
    kinds, entities, authors = (_list(wanted.get(name)) for name in ("type", "entity", "created_by"))
    ids = [int(text) for text in _list(wanted.get("entity_id")) if text.isdigit()]
    if len(ids) > _MANY or len(authors) > _MANY:
        return problem(400, f"At most {_MANY} values in one filter")
    if ids and len(entities) != 1:
        return problem(400, "filter entity_id needs exactly one entity")
    selection: Selection[Event] = Filters(orders=("id", "created_at")).select(ask, descending=True)
    selection = Selection(order=selection.order, descending=selection.descending)
    key = (tuple(kinds), tuple(entities), tuple(authors))
    if any(key):
        allowed, words, by = set(kinds), set(entities), set(authors)

        def predicate(event: Event) -> bool:
            return (
                (not allowed or event.type in allowed or _family(event.type) in allowed)
                and (not words or event.entity_type in words)
                and (not by or str(event.created_by) in by)
            )

        selection = dataclasses.replace(selection, key=key, predicate=predicate)
    if ids:
        groups = tuple((entities[0], entity_id) for entity_id in ids)
        selection = dataclasses.replace(selection, group=groups, key=None)
    if "created_at" in wanted:
        selection = dataclasses.replace(selection, bounds=(("created_at", _times(wanted["created_at"])),))
    uids = set(_list(wanted.get("id")))
    if uids:
        found = tuple(event.id for event in world.events if event.uid in uids)
        selection = dataclasses.replace(selection, ids=found, key=None)
    return answer(ask, "events", world.events, selection, lambda event: show(world, ask, event), cap=MAX_PAGE)


def get_event(world: World, ask: Ask) -> Reply:
    """GET /api/v4/events/{id}"""
    event = next((event for event in world.events if event.uid == ask.params[0]), None)
    return hal(show(world, ask, event)) if event else problem(404, "Entity not found")


def list_types(world: World, ask: Ask) -> Reply:
    """GET /api/v4/events/types"""
    types: list[Json] = [{"key": key, "type": 0, "lang": key.replace("_", " ")} for key in _TYPES]
    return totalled("events_types", types, origin=ask.origin, path=ask.path)


def show(world: World, ask: Ask, event: Event) -> Json:
    """An event as answers show it."""
    href = f"{ask.origin}/api/v4/{_PLURAL.get(event.entity_type, event.entity_type)}/{event.entity_id}"
    entity: Json = {"id": event.entity_id, "_links": link(href)}
    name = _name(world, event)
    if f"{event.entity_type}_name" in ask.with_ and name is not None:
        entity["name"] = name
    return {
        "id": event.uid,
        "type": event.type,
        "entity_id": event.entity_id,
        "entity_type": event.entity_type,
        "created_by": event.created_by,
        "created_at": event.created_at,
        "value_after": event.value_after,
        "value_before": event.value_before,
        "account_id": world.account.id,
        "_links": link(f"{ask.origin}/api/v4/events/{event.uid}"),
        "_embedded": {"entity": entity},
    }


def _name(world: World, event: Event) -> str | None:
    if event.entity_type == "lead":
        lead = world.leads.get(event.entity_id)
        return lead.name if lead else None
    cards = world.cards.get(_PLURAL.get(event.entity_type, ""))
    card = cards.get(event.entity_id) if cards is not None else None
    return card.name if card else None


def _list(node: Node | None) -> list[str]:
    return [part for text in texts(node) for part in text.split(",") if part]


def _times(node: Node) -> Bounds:
    """``from``/``to``, or the SDK's ``from,to`` in one text."""
    if isinstance(node, str) and "," in node:
        values = [int(part) if part.isdigit() else None for part in node.split(",")]
        return values[0], values[1]
    if isinstance(node, dict) and not {"from", "to"} & set(node):
        values = [*numbers(node), None, None]
        return values[0], values[1]
    return bounds_of(node)


def _family(kind: str) -> str:
    """custom_field_770001_value_changed also answers to custom_field_value_changed."""
    is_field = kind.startswith("custom_field_") and kind.endswith("_value_changed")
    return "custom_field_value_changed" if is_field else kind
