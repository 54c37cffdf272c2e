"""What people do in the CRM's own pages, as the sandbox's orders."""

from __future__ import annotations

from typing import Any

from . import writing
from .convert import convert_lead
from .reply import ItemRefusal, Json
from .world import OWNER, Record, User, World

ACTIONS = ("create", "update", "delete", "convert", "merge", "hire", "deactivate")


def act(world: World, action: str, values: dict[str, Any]) -> Json:
    """Do ``action``; the record as it is then. ValueError tells what is wrong."""
    by = str(values.pop("by", OWNER))
    try:
        match action:
            case "create":
                return world.show(writing.insert(world, values.pop("module"), values, by))
            case "update":
                module, record_id = values.pop("module"), str(values.pop("id"))
                return world.show(writing.update(world, module, record_id, values, by))
            case "delete":
                writing.delete(world, values["module"], str(values["id"]), by)
                return {"id": values["id"]}
            case "convert":
                lead = _get(world, "Leads", str(values.pop("id")))
                return convert_lead(world, lead, values, by)
            case "merge":
                return _merge(world, values["module"], str(values["master"]), str(values["id"]), by)
            case "hire":
                hired = User(str(int(max(world.users)) + 1), values["first_name"], values["last_name"], values["email"])
                world.users[hired.id] = hired
                return hired.lookup()
            case "deactivate":
                user = world.users[str(values["id"])]
                user.is_active = False
                return user.lookup()
    except ItemRefusal as refused:
        raise ValueError(f"{refused.code} {refused.api_name} {refused.details}") from refused
    raise ValueError(f"a person can {', '.join(ACTIONS)}, not {action!r}")


def _get(world: World, module: str, record_id: str) -> Record:
    found = world.find(module, record_id)
    if found is None:
        raise ValueError(f"there is no {module} {record_id}")
    return found


def _merge(world: World, module: str, master_id: str, victim_id: str, by: str) -> Json:
    """The master takes what it lacks; what hung on the other hangs on the master; the other is deleted."""
    master, victim = _get(world, module, master_id), _get(world, module, victim_id)
    before = dict(master.values)
    master.values = {**victim.values, **{k: v for k, v in master.values.items() if v not in (None, "")}}
    for records in world.records.values():
        for record in records.values():
            for name, value in list(record.values.items()):
                if value == victim_id and name in ("Who_Id", "What_Id", "Contact_Name", "Account_Name", "Parent_Id"):
                    record.values[name] = master_id
    writing.touch(world, master, by, before, [])
    writing.delete(world, module, victim_id, by)
    return world.show(master)
