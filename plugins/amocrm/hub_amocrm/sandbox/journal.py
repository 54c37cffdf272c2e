"""What follows a change: a line in the event log, and webhooks to whoever subscribed.

Handlers and the actions "by a person" call the same methods, so both look alike from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import hookbody
from .record import Card, Event, Incoming, Lead, Note, Task
from .reply import Json

if TYPE_CHECKING:
    from .world import World

_SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company"}
_NOTE_EVENTS = {
    "call_in": "incoming_call",
    "call_out": "outgoing_call",
    "sms_in": "incoming_sms",
    "sms_out": "outgoing_sms",
    "service_message": "service_note_added",
    "extended_service_message": "service_note_added",
}


@dataclass(frozen=True, slots=True)
class Hook:
    """One change that subscribers of ``setting`` are told: ``top[action][i] = payload``."""

    setting: str
    top: str
    action: str
    payload: Json


class Journal:
    """Writes events and collects hooks until the request is done."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hooks: list[Hook] = []

    def take_hooks(self) -> list[Hook]:
        """The hooks collected since the last call."""
        hooks, self._hooks = self._hooks, []
        return hooks

    def event(
        self,
        kind: str,
        entity: str,
        entity_id: int,
        by: int,
        after: list[Json] | None = None,
        before: list[Json] | None = None,
    ) -> Event:
        """Write one line of the event log; ``entity`` is the singular word."""
        number = self._world.ids.next("events")
        event = Event(
            id=number,
            uid=f"01{number:024x}",
            type=kind,
            entity_id=entity_id,
            entity_type=entity,
            created_by=by,
            created_at=self._world.now(),
            value_after=after or [],
            value_before=before or [],
        )
        return self._world.events.add(event)

    def added(self, kind: str, record: Card | Lead, by: int) -> None:
        """A card or lead was made."""
        note = self._world.ids.next("notes")
        word = _SINGULAR[kind]
        self.event(f"{word}_added", word, record.id, by, [{"note": {"id": note}}])
        self._card_hook("add", kind, record)

    def changed(self, kind: str, record: Card | Lead, before: Json, by: int) -> None:
        """A card or lead was changed; ``before`` has the old values of what changed."""
        word = _SINGULAR[kind]
        for name, old in before.items():
            self._change_event(word, record, name, old, by)
        if "responsible_user_id" in before:
            more = {"old_responsible_user_id": before["responsible_user_id"]}
            self._card_hook("responsible", kind, record, more)
        if "status_id" in before or "pipeline_id" in before:
            assert isinstance(record, Lead)
            status = before.get("status_id", record.status_id)
            pipeline = before.get("pipeline_id", record.pipeline_id)
            self._status_event(record, (status, pipeline), by)
            self._card_hook("status", kind, record, {"old_status_id": status, "old_pipeline_id": pipeline})
        self._card_hook("update", kind, record)

    def deleted(self, kind: str, record: Card | Lead, by: int) -> None:
        """A card or lead went to the bin."""
        word = _SINGULAR[kind]
        self.event(f"{word}_deleted", word, record.id, by)
        payload: Json = {"id": record.id}
        if isinstance(record, Lead):
            payload |= {"status_id": record.status_id, "pipeline_id": record.pipeline_id}
        else:
            payload["type"] = word
        self._hook("delete", word, payload)

    def merged(self, kind: str, survivor: Card | Lead, by: int) -> None:
        """Others were merged into this one; they are deleted separately (reference 22.16)."""
        word = _SINGULAR[kind]
        self.event("entity_merged", word, survivor.id, by)
        self._card_hook("update", kind, survivor)

    def linked(self, kind: str, one: int, to_kind: str, other: int, by: int, *, undone: bool = False) -> None:
        """Two entities were linked (or unlinked): one event on each side."""
        verb = "unlinked" if undone else "linked"
        sides = ((kind, one, to_kind, other), (to_kind, other, kind, one))
        for here, here_id, there, there_id in sides:
            if here not in _SINGULAR:
                continue
            value: list[Json] = [{"link": {"entity": {"type": _SINGULAR.get(there, there), "id": there_id}}}]
            after, before = ([], value) if undone else (value, [])
            self.event(f"entity_{verb}", _SINGULAR[here], here_id, by, after, before)

    def tags(self, kind: str, record_id: int, added: list[str], removed: list[str], by: int) -> None:
        """Tags came and went: one event per tag."""
        word = _SINGULAR[kind]
        for name in added:
            self.event("entity_tag_added", word, record_id, by, [{"tag": {"name": name}}])
        for name in removed:
            self.event("entity_tag_deleted", word, record_id, by, [], [{"tag": {"name": name}}])

    def note_added(self, note: Note) -> None:
        """A note was written on a card."""
        kind = _NOTE_EVENTS.get(note.note_type, f"{note.note_type}_note_added")
        word = _SINGULAR[note.entity_type]
        self.event(kind, word, note.entity_id, note.created_by, [{"note": {"id": note.id}}])
        payload: Json = {"note": hookbody.note(self._world, note)}
        if note.entity_type == "companies":
            payload["type"] = "company"
        self._hook("note", word, payload)

    def task_added(self, task: Task) -> None:
        """A task was made."""
        self.event("task_added", "task", task.id, task.created_by)
        self._hook("add", "task", hookbody.task(self._world, task))

    def task_changed(self, task: Task, before: Json, by: int) -> None:
        """A task was changed; ``before`` has the old values of what changed."""
        if "is_completed" in before and task.is_completed:
            self.event("task_completed", "task", task.id, by)
        if "result" in before and task.result:
            note = {"note": {"id": self._world.ids.next("notes")}}
            self.event("task_result_added", "task", task.id, by, [note])
        if "text" in before:
            old, new = {"task": {"text": before["text"]}}, {"task": {"text": task.text}}
            self.event("task_text_changed", "task", task.id, by, [new], [old])
        if "task_type_id" in before:
            after = {"task_type": {"id": task.task_type_id}}
            self.event(
                "task_type_changed",
                "task",
                task.id,
                by,
                [after],
                [{"task_type": {"id": before["task_type_id"]}}],
            )
        if "complete_till" in before:
            after = {"task_deadline": {"timestamp": task.complete_till}}
            old_deadline = {"task_deadline": {"timestamp": before["complete_till"]}}
            self.event("task_deadline_changed", "task", task.id, by, [after], [old_deadline])
        more: Json = {"old_text": before["text"]} if "text" in before else {}
        if "responsible_user_id" in before:
            old_user = before["responsible_user_id"]
            self._responsible("task", task.id, old_user, task.responsible_user_id, by)
            told = hookbody.task(self._world, task) | {"old_responsible_user_id": old_user}
            self._hook("responsible", "task", told)
        self._hook("update", "task", hookbody.task(self._world, task) | more)

    def task_deleted(self, task: Task, by: int) -> None:
        """A task went away."""
        self.event("task_deleted", "task", task.id, by)
        self._hook("delete", "task", {"id": task.id})

    def incoming_added(self, item: Incoming) -> None:
        """An incoming lead arrived."""
        self._hook("add", "unsorted", hookbody.incoming(self._world, item))

    def incoming_sorted(self, item: Incoming, by: int) -> None:
        """An incoming lead was accepted or declined (both are the vendor's "delete")."""
        action = "accept" if item.state == "accepted" else "decline"
        payload = {
            "uid": item.uid,
            "action": action,
            "category": item.category,
            "created_at": item.created_at,
            "modified_user_id": by,
            f"{action}_result": {"leads": [item.lead_id]},
        }
        self._hook("delete", "unsorted", payload)

    def _change_event(self, word: str, record: Card | Lead, name: str, old: Any, by: int) -> None:
        if name == "responsible_user_id":
            self._responsible(word, record.id, old, record.responsible_user_id, by)
        elif name == "name":
            after: list[Json] = [{"name_field_value": {"name": record.name}}]
            self.event("name_field_changed", word, record.id, by, after, [{"name_field_value": {"name": old}}])
        elif name == "price" and isinstance(record, Lead):
            after = [{"sale_field_value": {"sale": record.price}}]
            self.event("sale_field_changed", word, record.id, by, after, [{"sale_field_value": {"sale": old}}])
        elif name == "values":
            for field_id, stored in old.items():
                self._field_event(word, record, field_id, stored, by)

    def _status_event(self, lead: Lead, old: tuple[int, int], by: int) -> None:
        def value(status: int, pipeline: int) -> list[Json]:
            return [{"lead_status": {"id": status, "pipeline_id": pipeline}}]

        after = value(lead.status_id, lead.pipeline_id)
        self.event("lead_status_changed", "lead", lead.id, by, after, value(*old))

    def _responsible(self, word: str, entity_id: int, old: int, new: int, by: int) -> None:
        after = [{"responsible_user": {"id": new}}]
        before = [{"responsible_user": {"id": old}}]
        self.event("entity_responsible_changed", word, entity_id, by, after, before)

    def _field_event(self, word: str, record: Card | Lead, field_id: int, old: Any, by: int) -> None:
        def values(stored: Any) -> list[Json]:
            return [
                {"custom_field_value": {"field_id": field_id, "enum_id": enum, "text": value}} for value, enum in stored
            ]

        after = values(record.values.get(field_id, ()))
        self.event(f"custom_field_{field_id}_value_changed", word, record.id, by, after, values(old))

    def _card_hook(self, action: str, kind: str, record: Card | Lead, more: Json | None = None) -> None:
        body = hookbody.lead(self._world, record) if isinstance(record, Lead) else None
        if body is None:
            assert isinstance(record, Card)
            body = hookbody.card(self._world, record)
        self._hook(action, _SINGULAR[kind], body | (more or {}))

    def _hook(self, action: str, word: str, payload: Json) -> None:
        top = {"lead": "leads", "contact": "contacts", "company": "contacts"}.get(word, word)
        self._hooks.append(Hook(f"{action}_{word}", top, action, payload))
