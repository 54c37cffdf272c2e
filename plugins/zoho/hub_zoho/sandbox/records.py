"""``/crm/v8/{module}``: lists, single records, writes, deleted ones (section 3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from . import writing
from .ask import Ask
from .reply import ItemRefusal, Json, Refusal, Reply, answer, nothing
from .value import parse_moment, reference_id
from .world import Record, World

MOST_FIELDS, MOST_ON_PAGE, MOST_PAGES = 50, 200, 10
#: what an upsert looks by when it is not told
SYSTEM_FIELDS = {"Leads": "Email", "Contacts": "Email", "Accounts": "Account_Name", "Deals": "Deal_Name"}
_SORTED_BY: dict[str, Callable[[Record], Any]] = {
    "id": lambda record: int(record.id),
    "Created_Time": lambda record: (int(record.created), int(record.id)),
    "Modified_Time": lambda record: (int(record.modified), int(record.id)),
}
#: related list -> the module and the fields in it that point to the record
_RELATED = {
    "Deals": ("Deals", ("Contact_Name", "Account_Name")),
    "Notes": ("Notes", ("Parent_Id",)),
    "Tasks": ("Tasks", ("What_Id", "Who_Id")),
    "Calls": ("Calls", ("What_Id", "Who_Id")),
    "Contacts": ("Contacts", ("Account_Name",)),
}


def module_of(world: World, ask: Ask) -> str:
    """The module in the path; raises Refusal."""
    name = ask.params["module"]
    if name not in world.modules:
        raise Refusal(400, "INVALID_MODULE", "the module name given seems to be invalid", {"resource_path_index": 0})
    return name


def wanted_fields(ask: Ask) -> list[str]:
    """The mandatory ``fields``; raises Refusal."""
    names = [name.strip() for name in ask.query.get("fields", "").split(",") if name.strip()]
    if not names:
        raise Refusal(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "fields"}
        )
    if len(names) > MOST_FIELDS:
        raise Refusal(400, "LIMIT_EXCEEDED", "fields limit exceeded", {"param_name": "fields", "limit": MOST_FIELDS})
    return names


def paged(ask: Ask, records: list[Json], extra: Json | None = None) -> Reply:
    """One page of ``records``: pages 1 to 10 by number, further ones by ``page_token``."""
    query = ask.query
    size = _number(query, "per_page", MOST_ON_PAGE, MOST_ON_PAGE)
    bound = {name: value for name, value in query.items() if name not in ("page", "page_token")}
    if token := query.get("page_token"):
        page = _page_in(token, bound)
    else:
        page = _number(query, "page", 1, 10**6)
        if page > MOST_PAGES:
            raise Refusal(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", "beyond 2000 records use page_token", {})
    chunk = records[(page - 1) * size : page * size]
    if not chunk:
        return nothing()
    more = len(records) > page * size
    info: Json = {
        "per_page": size,
        "count": len(chunk),
        "page": page,
        "more_records": more,
        "next_page_token": _token(page + 1, bound) if more else None,
        "previous_page_token": _token(page - 1, bound) if page > 1 else None,
    }
    return answer({"data": chunk, "info": info | (extra or {})})


def _token(page: int, bound: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([page, bound]).encode()).decode()


def _page_in(token: str, bound: dict[str, str]) -> int:
    try:
        page, held = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise Refusal(400, "INVALID_DATA", "invalid data", {"param_name": "page_token"}) from None
    if held != bound:
        raise Refusal(400, "TOKEN_BOUND_DATA_MISMATCH", "the token belongs to other parameters", {})
    return int(page)


def _number(query: dict[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise Refusal(400, "INVALID_DATA", "invalid data", {"param_name": name, "expected_data_type": "integer"})
    return int(text)


# --- reading ------------------------------------------------------------------------------------------------------


def list_records(world: World, ask: Ask) -> Reply:
    module, names = module_of(world, ask), wanted_fields(ask)
    if module == "Notes" and not world.users[ask.user_id].is_admin:
        raise Refusal(403, "NO_PERMISSION", "permission denied", {"permissions": ["Crm_Implied_Manage_Notes"]})
    query = ask.query
    found = list(world.of(module, converted=query.get("converted", "false")))
    if ids := query.get("ids"):
        chosen = set(ids.split(","))
        found = [record for record in found if record.id in chosen]
    since = _since(ask)
    if since is not None:
        found = [record for record in found if int(record.modified) > since]
        if not found:
            return Reply(304)
    sort_by = query.get("sort_by", "id")
    if sort_by not in _SORTED_BY:
        raise Refusal(400, "INVALID_DATA", "invalid data", {"param_name": "sort_by"})
    order = query.get("sort_order", "desc")
    found.sort(key=_SORTED_BY[sort_by], reverse=order == "desc")
    shown = [world.show(record, names) for record in found]
    return paged(ask, shown, {"sort_by": sort_by, "sort_order": order})


def _since(ask: Ask) -> float | None:
    text = ask.headers.get("if-modified-since")
    if not text:
        return None
    found = parse_moment(text)
    if found is None or "." in text:
        raise Refusal(400, "INVALID_DATA", "invalid data", {"header": "If-Modified-Since"})
    return found


def get_record(world: World, ask: Ask) -> Reply:
    module = module_of(world, ask)
    found = world.find(module, ask.params["id"], with_converted=True)
    if found is None:
        return nothing()
    names = ask.query.get("fields")
    return answer({"data": [world.show(found, names.split(",") if names else None)]})


def related(world: World, ask: Ask) -> Reply:
    module, names = module_of(world, ask), wanted_fields(ask)
    known = _RELATED.get(ask.params["related"])
    if known is None:
        raise Refusal(400, "INVALID_DATA", "the relation name given seems to be invalid", {"resource_path_index": 2})
    target, pointers = known
    if world.find(module, ask.params["id"], with_converted=True) is None:
        return nothing()
    found = [r for r in world.of(target) if any(r.values.get(name) == ask.params["id"] for name in pointers)]
    return paged(ask, [world.show(record, names) for record in found])


def deleted(world: World, ask: Ask) -> Reply:
    module, query = module_of(world, ask), ask.query
    wanted = query.get("type", "all")
    if wanted not in ("all", "recycle", "permanent"):
        raise Refusal(400, "INVALID_DATA", "invalid data", {"param_name": "type"})
    since = _since(ask)
    found = [one for one in world.deleted if one.module == module and wanted in ("all", one.type)]
    if since is not None:
        found = [one for one in found if int(one.at) > since]
    shown = [
        {
            "id": one.id,
            "display_name": one.name,
            "type": one.type,
            "deleted_by": {"name": world.users[one.by].full_name, "id": one.by},
            "created_by": {"name": world.users[one.by].full_name, "id": one.by},
            "deleted_time": world.moment(one.at),
        }
        for one in sorted(found, key=lambda one: one.at, reverse=True)
    ]
    return paged(ask, shown)


def count_records(world: World, ask: Ask) -> Reply:
    return answer({"count": str(sum(1 for _ in world.of(module_of(world, ask))))})


# --- writing ------------------------------------------------------------------------------------------------------


def each(world: World, items: list[Json], work: Callable[[int, Json], Json], *, created: bool) -> Reply:
    """Do ``work`` for each item by itself; the status tells how many succeeded."""
    outcomes: list[Json] = []
    for index, item in enumerate(items):
        try:
            outcomes.append(work(index, item))
        except ItemRefusal as refused:
            outcomes.append(refused.told(index))
    good = sum(1 for one in outcomes if one["status"] == "success")
    status = (201 if created else 200) if good == len(outcomes) else 207 if good else world.switches.all_failed_status
    return answer({"data": outcomes}, status)


def insert(world: World, ask: Ask) -> Reply:
    module = module_of(world, ask)

    def work(_: int, item: Json) -> Json:
        return writing.success(world, writing.insert(world, module, item, ask.user_id), "record added")

    return each(world, ask.data(), work, created=True)


def update(world: World, ask: Ask) -> Reply:
    module, path_id = module_of(world, ask), ask.params.get("id")

    def work(_: int, item: Json) -> Json:
        record_id = path_id or reference_id(item.get("id"))
        if record_id is None:
            raise ItemRefusal("MANDATORY_NOT_FOUND", "required field not found", "id")
        return writing.success(world, writing.update(world, module, record_id, item, ask.user_id), "record updated")

    return each(world, ask.data(), work, created=False)


def upsert(world: World, ask: Ask) -> Reply:
    module = module_of(world, ask)
    fields = world.modules[module].fields
    unique = [name for name, spec in fields.items() if spec.is_unique]
    allowed = [name for name in (SYSTEM_FIELDS.get(module), *unique) if name]
    names = ask.json().get("duplicate_check_fields") or allowed
    for name in names:
        if name not in allowed:
            raise Refusal(400, "INVALID_DATA", "invalid data", {"api_name": "duplicate_check_fields"})

    def work(_: int, item: Json) -> Json:
        record, action, by = writing.upsert(world, module, item, names, ask.user_id)
        message = "record added" if action == "insert" else "record updated"
        return {**writing.success(world, record, message), "action": action, "duplicate_field": by}

    return each(world, ask.data(), work, created=False)


def delete(world: World, ask: Ask) -> Reply:
    module = module_of(world, ask)
    ids = [ask.params["id"]] if "id" in ask.params else [i for i in ask.query.get("ids", "").split(",") if i]
    if not ids:
        raise Refusal(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "ids"})
    if len(ids) > 100:
        raise Refusal(400, "LIMIT_EXCEEDED", "ids limit exceeded", {"param_name": "ids", "limit": 100})

    def work(_: int, item: Json) -> Json:
        writing.delete(world, module, item["id"], ask.user_id)
        return {"code": "SUCCESS", "details": {"id": item["id"]}, "message": "record deleted", "status": "success"}

    return each(world, [{"id": one} for one in ids], work, created=False)


# --- tags ---------------------------------------------------------------------------------------------------------


def change_tags(world: World, ask: Ask) -> Reply:
    """``/{module}/{id}/actions/add_tags``, ``/{module}/actions/remove_tags`` and their kin (section 7)."""
    module, body = module_of(world, ask), ask.json()
    names = [str(tag.get("name", "")) for tag in body.get("tags", ()) if isinstance(tag, dict)]
    if not names or not all(names):
        raise Refusal(400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "tags"})
    ids = [ask.params["id"]] if "id" in ask.params else [str(one) for one in body.get("ids", ())]
    if not ids or len(ids) > 500:
        raise Refusal(400, "MANDATORY_NOT_FOUND", "required field not found", {"api_name": "ids"})
    adds = ask.path.endswith("add_tags")

    def work(_: int, item: Json) -> Json:
        record = world.find(module, item["id"])
        if record is None:
            raise ItemRefusal("INVALID_DATA", "the id given seems to be invalid", "id", id=item["id"])
        before, held = dict(record.values), record.values.get("Tag", [])
        if adds:
            after = writing.add_tags(world, [] if body.get("over_write") else held, names)
        else:
            after = [name for name in held if name not in names]
        record.values = {**record.values, "Tag": after}
        writing.touch(world, record, ask.user_id, before, ["Tag"])
        details = {"id": record.id, "tags": after}
        return {"code": "SUCCESS", "details": details, "message": "tags updated successfully", "status": "success"}

    return each(world, [{"id": one} for one in ids], work, created=False)
