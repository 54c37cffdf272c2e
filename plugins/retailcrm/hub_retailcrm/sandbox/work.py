"""``/tasks`` (6)."""

from __future__ import annotations

import re
from typing import Any

from . import people
from .form import Ask
from .listing import Test, chosen, contains, inner, not_after, not_before, one_of, paged, person_matches, shown
from .reply import Json, Problem, Reply, not_found, ok
from .world import Actor, World

_DUE = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}")


def create(world: World, actor: Actor, values: Json, site: str) -> Json:
    """A new task: somebody has to do it, and a text has to say what."""
    if values.get("performerId") is None:
        raise Problem(400, "Task is not loaded", {"performerId": "This value should not be blank."})
    if not values.get("text"):
        raise Problem(400, "Task is not loaded", {"text": "This value should not be blank."})
    record: Json = {
        "id": world.next_id("tasks"),
        "creator": actor.user_id or 21,
        "createdAt": world.clock.told(),
        "complete": False,
        **_checked(world, values, site),
    }
    return world.add("tasks", actor, record)


def edit(world: World, actor: Actor, record: Json, values: Json, site: str = "") -> None:
    """A partial change; closing is ``complete``."""
    fresh = _checked(world, values, site)
    if fresh.get("complete") and not record["complete"]:
        fresh["completedAt"] = world.clock.told()
    world.change("tasks", actor, record, fresh)


def _checked(world: World, values: Json, site: str) -> Json:
    fresh: Json = {name: values[name] for name in ("text", "commentary", "phone", "phoneSite") if name in values}
    if values.get("performerId") is not None:
        if not any(user["id"] == values["performerId"] and user["active"] for user in world.account.users):
            raise Problem(400, "Task is not loaded", {"performerId": "This value is not valid."})
        fresh |= {"performer": values["performerId"], "performerType": "user"}
    if values.get("datetime") is not None:
        if not _DUE.fullmatch(str(values["datetime"])):
            raise Problem(400, "Task is not loaded", {"datetime": "This value is not a valid datetime."})
        fresh["datetime"] = values["datetime"]
    if "complete" in values:
        fresh["complete"] = values["complete"] is True
    if values.get("customer"):
        wanted = values["customer"]
        is_corporate = isinstance(wanted, dict) and wanted.get("id") in world.records["corporate"]
        found = world.resolve("corporate" if is_corporate else "customers", wanted, site, "customer")
        fresh["customer"] = people.reference(found)
    if values.get("order"):
        found = world.resolve("orders", values["order"], site, "order")
        fresh["order"] = {key: found[key] for key in ("id", "number", "externalId", "site") if found.get(key)}
    return fresh


# --- handlers ---------------------------------------------------------------------------------------------------


def _of_customer(world: World, task: Json, value: Any) -> bool:
    customer_id = (task.get("customer") or {}).get("id")
    order = world.records["orders"].get((task.get("order") or {}).get("id", 0), {})
    customer = world.records["customers"].get(customer_id or (order.get("customer") or {}).get("id", 0))
    if customer is None:
        return False
    return person_matches(customer, str(value), [phone["number"] for phone in customer["phones"]])


def _in_state(_: World, task: Json, value: Any) -> bool:
    return bool(task["complete"]) is (value == "completed")


_FILTERS: dict[str, Test] = {
    "ids": one_of("id"),
    "orderNumber": inner("order", "number"),
    "customer": _of_customer,
    "status": _in_state,
    "performers": one_of("performer"),
    "creators": one_of("creator"),
    "text": contains("text"),
    "dateFrom": not_before("datetime", days=True),
    "dateTo": not_after("datetime", days=True),
    "createdAtFrom": not_before("createdAt", days=True),
    "createdAtTo": not_after("createdAt", days=True),
    "completedAtFrom": not_before("completedAt", days=True),
    "completedAtTo": not_after("completedAt", days=True),
}


def list_tasks(world: World, ask: Ask) -> Reply:
    """GET /tasks: newest first."""
    newest_first = sorted(world.records["tasks"].values(), key=lambda task: -task["id"])
    return paged(ask, "tasks", chosen(world, ask, newest_first, _FILTERS))


def _task(world: World, ask: Ask) -> Json:
    found = world.records["tasks"].get(int(ask.parts[0]) if ask.parts[0].isdigit() else 0)
    if found is None:
        raise not_found()
    return found


def get_task(world: World, ask: Ask) -> Reply:
    """GET /tasks/{id}."""
    return ok(task=shown(_task(world, ask)))


def post_task(world: World, ask: Ask) -> Reply:
    """POST /tasks/create."""
    return ok(201, id=create(world, Actor(ask.key), ask.entity("task"), ask.parameter("site"))["id"])


def post_edit(world: World, ask: Ask) -> Reply:
    """POST /tasks/{id}/edit."""
    edit(world, Actor(ask.key), _task(world, ask), ask.entity("task"), ask.parameter("site"))
    return ok()


def list_comments(world: World, ask: Ask) -> Reply:
    """GET /tasks/{id}/comments."""
    _task(world, ask)
    return paged(ask, "comments", [])
