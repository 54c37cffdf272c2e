"""Many contacts and leads at once, always the same ones, for imports and benches."""

from __future__ import annotations

import gc
from collections.abc import Iterator

from .account import WON
from .record import Card, Lead, Values
from .reply import Json
from .world import World

#: The moment of the oldest seeded record; each next one is two seconds younger.
EPOCH = 1_760_000_000
_STEP_SECONDS = 2
_FIRST_PHONE = 79_000_000_000
#: One lead in so many is open.
_OPEN_EVERY = 4


def seed(world: World, contacts: int, leads: int) -> Json:
    """Add contacts with a phone each and leads that belong to them in turn.

    Contact i has the number +7 900 000 00 00 + i. Only one seeding per sandbox.
    """
    if any(world.seeded.values()):
        raise ValueError("the sandbox is seeded already")
    if leads and not contacts:
        raise ValueError("seeded leads need seeded contacts")
    first_contact = world.ids.reserve("cards", contacts)
    first_lead = world.ids.reserve("leads", leads)
    world.seeded = {
        "contacts": range(first_contact, first_contact + contacts),
        "leads": range(first_lead, first_lead + leads),
    }
    gc.disable()
    try:
        world.contacts.add_many(_contacts(world, contacts, leads))
        world.leads.add_many(_leads(world, contacts, leads))
    finally:
        gc.enable()
    # What was seeded stays: the collector need not walk half a million records again and again.
    gc.freeze()
    return {
        "contacts": {"first_id": first_contact, "count": contacts},
        "leads": {"first_id": first_lead, "count": leads},
        "first_phone": f"+{_FIRST_PHONE}",
    }


def _contacts(world: World, contacts: int, leads: int) -> Iterator[Card]:
    field = world.fields.coded("contacts", "PHONE")
    assert field is not None, "the account has no PHONE field"
    enum, field_id = field.choices[0].id, field.id
    users = _sellers(world)
    first, first_lead = world.seeded["contacts"].start, world.seeded["leads"].start
    index = world.index["contacts"]
    for i in range(contacts):
        phone = f"+{_FIRST_PHONE + i}"
        name = f"Клиент {i}"
        moment = EPOCH + i * _STEP_SECONDS
        values: dict[int, Values] = {field_id: ((phone, enum),)}
        user = users[i % len(users)]
        index.put_at_once(first + i, (name, phone))
        yield Card(
            id=first + i,
            kind="contacts",
            name=name,
            responsible_user_id=user,
            created_by=user,
            updated_by=user,
            created_at=moment,
            updated_at=moment,
            values=values,
            lead_ids=tuple(range(first_lead + i, first_lead + leads, contacts)),
        )


def _leads(world: World, contacts: int, leads: int) -> Iterator[Lead]:
    users = _sellers(world)
    pipeline = world.main_pipeline
    stages = [s.id for s in pipeline.statuses if s.type == 0 and s.id not in (142, 143)]
    first, first_contact = world.seeded["leads"].start, world.seeded["contacts"].start
    for i in range(leads):
        moment = EPOCH + i * _STEP_SECONDS
        is_open = i % _OPEN_EVERY == 0
        user = users[i % len(users)]
        contact = first_contact + i % contacts
        yield Lead(
            id=first + i,
            name=f"Сделка {i}",
            price=1000 + i % 9000,
            pipeline_id=pipeline.id,
            status_id=stages[i // _OPEN_EVERY % len(stages)] if is_open else WON,
            responsible_user_id=user,
            created_by=user,
            updated_by=user,
            created_at=moment,
            updated_at=moment,
            closed_at=None if is_open else moment,
            contact_ids=(contact,),
            main_contact_id=contact,
        )


def _sellers(world: World) -> list[int]:
    return [user.id for user in world.users.values() if user.is_active]
