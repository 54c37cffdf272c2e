"""The whole account as JSON, for assertions: what the CRM holds, told without the hub."""

from __future__ import annotations

from . import cards, eventlog, incoming, leads, notes, tasks
from .ask import Ask
from .reply import Json
from .world import World


def dump(world: World, *, seeded: bool = False) -> Json:
    """Records in the API's shapes, deleted ones too (``is_deleted``).

    Bulk-seeded records that nobody touched are left out unless ``seeded``: their number is told.
    """
    ask = Ask(method="GET", path="/", raw_query="with=leads,contacts,is_pinned", raw_body=b"", origin="http://sandbox")

    def own(kind: str, ids: dict[int, object]) -> list[int]:
        ranges = world.seeded[kind]
        if seeded or not ranges:
            return list(ids)
        # A seeded half a million is not walked through: what was made since, and what was touched.
        made = (i for i in ids if i not in ranges) if len(ids) > len(ranges) else iter(())
        return sorted({*made, *world.touched[kind]})

    contacts = world.contacts.by_id
    all_leads = world.leads.by_id
    shown_notes = [
        notes.show(world, ask, note) | {"entity_type": note.entity_type, "is_deleted": note.is_deleted}
        for collection in world.notes.values()
        for note in collection
    ]
    return {
        "now": world.now(),
        "contacts": [cards.show(world, ask, contacts[i]) for i in own("contacts", dict(contacts))],
        "companies": [cards.show(world, ask, card) for card in world.companies],
        "leads": [leads.show(world, ask, all_leads[i]) for i in own("leads", dict(all_leads))],
        "tasks": [tasks.show(world, ask, task) | {"is_deleted": task.is_deleted} for task in world.tasks],
        "notes": shown_notes,
        "calls": [note for note in shown_notes if note["note_type"] in ("call_in", "call_out")],
        "unsorted": [incoming.show(world, ask, item) | {"state": item.state} for item in world.incoming],
        "events": [eventlog.show(world, ask, event) for event in world.events],
        "popups": list(world.popups),
        "webhooks": list(world.webhooks.values()),
        "seeded": {kind: len(ids) for kind, ids in world.seeded.items()},
    }
