"""Insert, update, upsert, delete: each record for itself (section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .reply import ItemRefusal, Json, invalid, told
from .value import checked, reference_id
from .world import Deleted, Notice, Record, World

_DURATION = re.compile(r"\d{1,4}:[0-5]\d")
#: fields that a completed call keeps
_FIXED_IN_CALLS = ("Call_Type", "Call_Start_Time", "Owner")


def insert(world: World, module: str, item: Json, author: str) -> Record:
    """One new record; raises ItemRefusal."""
    values = _values(world, module, item, is_new=True)
    _check_mandatory(world, module, values)
    _check_rules(world, module, values)
    _check_unique(world, module, values, None)
    now = world.clock.now()
    values.setdefault("Owner", author)
    record = Record(world.new_id(), module, values, now, now, author, author)
    _derive(world, record)
    _index(world, record, None)
    world.records[module][record.id] = record
    world.tell(Notice(module, [record.id], "insert"))
    return record


def update(world: World, module: str, record_id: str, item: Json, editor: str) -> Record:
    """Change a record partially; raises ItemRefusal."""
    found = world.find(module, record_id, with_converted=True)
    if found is None:
        raise invalid("id", id=record_id)
    if found.is_converted:
        raise ItemRefusal("CONVERTED_RECORD", "can't update the converted record")
    if module == "Calls":
        for name in _FIXED_IN_CALLS:
            if name in item:
                raise invalid(name)
    changed = _values(world, module, item, is_new=False, held=found.values)
    values = found.values | changed
    _check_rules(world, module, values)
    _check_unique(world, module, changed, record_id)
    before = dict(found.values)
    found.values = values
    touch(world, found, editor, before, list(changed))
    return found


def touch(world: World, record: Record, editor: str, before: dict[str, Any], names: list[str]) -> None:
    """The record has changed: its time, its index, its notice."""
    record.modified, record.editor = world.clock.now(), editor
    _derive(world, record)
    _index(world, record, before)
    world.tell(Notice(record.module, [record.id], "update", names))


def upsert(world: World, module: str, item: Json, names: Iterable[str], author: str) -> tuple[Record, str, str | None]:
    """Insert, or update what one of ``names`` finds: (record, action, the field that found it)."""
    for name in names:
        value = item.get(name)
        if value in (None, ""):
            continue
        for found in list(world.of(module)):
            if _same(found.values.get(name), value):
                return update(world, module, found.id, item, author), "update", name
    return insert(world, module, item, author), "insert", None


def delete(world: World, module: str, record_id: str, by: str) -> None:
    """Into the recycle bin; raises ItemRefusal."""
    found = world.find(module, record_id)
    if found is None:
        raise invalid("id", id=record_id)
    del world.records[module][record_id]
    world.deleted.append(Deleted(record_id, module, world.name_of(found), world.clock.now(), by))
    world.tell(Notice(module, [record_id], "delete"))


def success(world: World, record: Record, message: str) -> Json:
    """The record's place in the answer to a write."""
    details = {
        "id": record.id,
        "Created_Time": world.moment(record.created),
        "Modified_Time": world.moment(record.modified),
        "Created_By": {"name": world.users[record.author].full_name, "id": record.author},
        "Modified_By": {"name": world.users[record.editor].full_name, "id": record.editor},
    }
    return told("SUCCESS", message, details, "success")


# --- rules --------------------------------------------------------------------------------------------------------


def _values(
    world: World, module: str, item: Json, *, is_new: bool, held: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The known keys of ``item`` in the sandbox's form; unknown ones are ignored silently (?)."""
    fields = world.modules[module].fields
    relation = str(item.get("$se_module") or (held or {}).get("$se_module") or "")
    parent = ""
    if module == "Notes" and isinstance(item.get("Parent_Id"), dict):
        told_module = item["Parent_Id"].get("module")
        parent = str(told_module.get("api_name", "")) if isinstance(told_module, dict) else str(told_module or "")
    values: dict[str, Any] = {}
    for name, value in item.items():
        spec = fields.get(name)
        if spec is None or spec.is_read_only:
            continue
        if name == "Tag":
            values[name] = _tags(world, value)
        else:
            values[name] = checked(world, spec, value, parent if name == "Parent_Id" else relation)
    if parent:
        values["$parent_module"] = parent
    if is_new:
        values = {name: value for name, value in values.items() if value is not None}
    return values


def _tags(world: World, value: Any) -> list[str]:
    names = [str(tag.get("name", "")) for tag in value if isinstance(tag, dict)] if isinstance(value, list) else None
    if names is None or any(not name for name in names):
        raise invalid("Tag", "jsonarray")
    return add_tags(world, [], names)


def add_tags(world: World, held: Iterable[str], names: Iterable[str]) -> list[str]:
    """``held`` and ``names``, each once; an unknown tag is made."""
    found = list(held)
    for name in names:
        if len(name) > 25:
            raise invalid("Tag", maximum_length=25)
        world.tags.setdefault(name, world.new_id())
        if name not in found:
            found.append(name)
    return found


def _check_mandatory(world: World, module: str, values: dict[str, Any]) -> None:
    for spec in world.modules[module].fields.values():
        if spec.is_mandatory and not values.get(spec.api_name):
            raise ItemRefusal("MANDATORY_NOT_FOUND", "required field not found", spec.api_name)


def _check_rules(world: World, module: str, values: dict[str, Any]) -> None:
    if module in ("Tasks", "Calls"):
        what, who, relation = values.get("What_Id"), values.get("Who_Id"), values.get("$se_module")
        if what and not relation:
            raise invalid("What_Id")
        if relation == "Leads" and who:
            raise invalid("Who_Id")
    if module == "Calls":
        call_type, duration = values.get("Call_Type"), values.get("Call_Duration")
        if call_type == "Missed":
            if duration not in (None, "", "00:00"):
                raise invalid("Call_Duration")
        elif not isinstance(duration, str) or not _DURATION.fullmatch(duration):
            raise invalid("Call_Duration", regex="mm:ss")


def _check_unique(world: World, module: str, values: dict[str, Any], own_id: str | None) -> None:
    for name, spec in world.modules[module].fields.items():
        value = values.get(name)
        if not spec.is_unique or value in (None, ""):
            continue
        for other in world.of(module, converted="both"):
            if other.id != own_id and _same(other.values.get(name), value):
                owner = world.users[other.values["Owner"]]
                duplicate = {"id": other.id, "Owner": owner.lookup(), "module": {"api_name": module}}
                raise ItemRefusal("DUPLICATE_DATA", "duplicate data", name, duplicate_record=duplicate)


def _same(held: Any, value: Any) -> bool:
    if isinstance(held, str) and isinstance(value, str):
        return held.casefold() == value.casefold()
    return bool(held is not None and str(held) == str(reference_id(value) or value))


def _derive(world: World, record: Record) -> None:
    values = record.values
    if record.module in ("Leads", "Contacts"):
        values["Full_Name"] = f"{values.get('First_Name') or ''} {values.get('Last_Name') or ''}".strip()
    if record.module == "Tasks":
        if values.get("Status") == "Completed":
            values.setdefault("Closed_Time", record.modified)
        else:
            values.setdefault("Status", "Not Started")
            values.pop("Closed_Time", None)
    if record.module == "Calls" and isinstance(values.get("Call_Duration"), str):
        minutes, _, seconds = values["Call_Duration"].partition(":")
        values["Call_Duration_in_seconds"] = int(minutes) * 60 + int(seconds or 0)


def _index(world: World, record: Record, before: dict[str, Any] | None) -> None:
    """The search index sees the change after its lag."""
    now = world.clock.now()
    if record.indexed_at <= now:
        record.indexed = before
    record.indexed_at = now + world.switches.search_lag_seconds
