"""The sandbox's state in a file, so that a demo goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

from .account import Choice, Field, Pipeline, Status, User
from .collection import Collection
from .config import Integration
from .oauth import Grant, OAuth
from .record import Card, Event, Incoming, Lead, Note, Task
from .reply import Json
from .world import Tag, World

R = TypeVar("R", Card, Lead, Task, Note, Event, Incoming)
_TUPLES = ("tags", "lead_ids", "contact_ids")


def save(world: World, oauth: OAuth, file: Path) -> None:
    """Write everything; the file appears whole or not at all."""
    state: Json = {
        "now": world.clock.now(),
        "ids": world.ids.dump(),
        "users": [dataclasses.asdict(user) for user in world.users.values()],
        "pipelines": [dataclasses.asdict(pipeline) for pipeline in world.pipelines.values()],
        "fields": [dataclasses.asdict(field) for field in world.fields.all()],
        "records": {name: [_row(record) for record in found] for name, (found, _) in _collections(world).items()},
        "tags": {k: [dataclasses.asdict(t) for t in book.by_id.values()] for k, book in world.tags.items()},
        "popups": world.popups,
        "sources": list(world.sources.values()),
        "widgets": world.widgets,
        "webhooks": [world.webhooks, world.webhook_owners, world.webhook_origins],
        "seeded": {kind: [ids.start, ids.stop] for kind, ids in world.seeded.items()},
        "touched": {kind: sorted(ids) for kind, ids in world.touched.items()},
        "integrations": [dataclasses.asdict(item) for item in oauth.integrations.values()],
        "issued": [
            {token: dataclasses.asdict(grant) for token, grant in issued.items()}
            for issued in (oauth.codes, oauth.access, oauth.refresh)
        ],
    }
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
    fresh.replace(file)


def load(world: World, oauth: OAuth, file: Path) -> None:
    """Take up a saved state. ValueError when the file is not one."""
    state = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(state, dict) or "records" not in state:
        raise ValueError(f"{file} is not a state file of this sandbox")
    world.clock.advance(max(0.0, state["now"] - world.clock.now()))
    world.ids.load(state["ids"])
    world.users = {row["id"]: User(**row) for row in state["users"]}
    world.pipelines = {row["id"]: _pipeline(row) for row in state["pipelines"]}
    for row in state["fields"]:
        choices = [Choice(**choice) for choice in row.pop("choices")]
        world.fields.add(Field(**row, choices=choices))
    for name, (collection, kind) in _collections(world).items():
        collection.add_many([_record(kind, row) for row in state["records"][name]])
    for kind, rows in state["tags"].items():
        for row in rows:
            tag = Tag(**row)
            world.tags[kind].by_id[tag.id] = world.tags[kind].by_name[tag.name.casefold()] = tag
    world.popups = state["popups"]
    world.sources = {row["id"]: row for row in state["sources"]}
    world.widgets = state["widgets"]
    world.webhooks, world.webhook_owners, world.webhook_origins = state["webhooks"]
    world.seeded = {kind: range(*bounds) for kind, bounds in state["seeded"].items()}
    world.touched = {kind: set(ids) for kind, ids in state["touched"].items()}
    oauth.integrations = {
        row["client_id"]: Integration(**row | {"scopes": tuple(row["scopes"])}) for row in state["integrations"]
    }
    codes, access, refresh = ({token: Grant(**grant) for token, grant in issued.items()} for issued in state["issued"])
    oauth.codes, oauth.access, oauth.refresh = codes, access, refresh
    found: dict[str, Collection[Any]] = {**world.cards, "leads": world.leads}
    for entity, records in found.items():
        for record in records:
            world.index[entity].put_at_once(record.id, world.texts_of(entity, record))


def _collections(world: World) -> dict[str, tuple[Collection[Any], type[Any]]]:
    notes = {f"notes/{kind}": (found, Note) for kind, found in world.notes.items()}
    return {
        "contacts": (world.contacts, Card),
        "companies": (world.companies, Card),
        "leads": (world.leads, Lead),
        "tasks": (world.tasks, Task),
        "events": (world.events, Event),
        "incoming": (world.incoming, Incoming),
        **notes,
    }


def _row(record: Any) -> Json:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _record(kind: type[R], row: Json) -> R:
    for name in _TUPLES:
        if name in row:
            row[name] = tuple(row[name])
    if "values" in row:
        values = row["values"].items()
        row["values"] = {int(field): tuple((value, enum) for value, enum in stored) for field, stored in values}
    return kind(**row)


def _pipeline(row: Json) -> Pipeline:
    statuses = [Status(**status) for status in row.pop("statuses")]
    return Pipeline(**row, statuses=statuses)
