"""What people do in the CRM's own pages; the history tells it like everything else."""

from __future__ import annotations

import copy
from collections.abc import Callable

from . import orders, people, work
from .reply import Json, Problem
from .world import Actor, World

Deed = Callable[[World, Actor, Json], Json]


def act(world: World, action: str, values: Json) -> Json:
    """Do ``action`` as a person (``user_id``, 21 unless said); ValueError for an unknown one, or what is refused."""
    deed = DEEDS.get(action)
    if deed is None:
        raise ValueError(f"unknown action {action!r}; there are {', '.join(sorted(DEEDS))}")
    actor = Actor(user_id=int(values.pop("user_id", 21)))
    if key := values.pop("key", ""):
        actor = Actor(key=key)
    try:
        return deed(world, actor, values)
    except Problem as refused:
        raise ValueError(f"{refused.text} {refused.errors or ''}".strip()) from None


def _site(world: World, values: Json) -> str:
    return str(values.pop("site", "") or world.account.sites[0]["code"])


def _phones(values: Json) -> Json:
    if "phone" in values:
        values["phones"] = [{"number": values.pop("phone")}]
    return values


def _create_customer(world: World, actor: Actor, values: Json) -> Json:
    site = _site(world, values)
    return people.create(world, actor, "customers", _phones(values), site)


def _edit_customer(world: World, actor: Actor, values: Json) -> Json:
    record = world.get("customers", values.pop("id"))
    people.edit(world, actor, "customers", record, _phones(values))
    return record


def _create_corporate(world: World, actor: Actor, values: Json) -> Json:
    site, contacts = _site(world, values), values.pop("contacts", ())
    companies = values.pop("companies", [])
    made = people.create(world, actor, "corporate", values, site)
    links = [{"id": n, "isMain": n == 1, "customer": people.reference(world.get("customers", c)), "companies": []}
             for n, c in enumerate(contacts, 1)]  # fmt: skip
    world.change("corporate", actor, made, {"customerContacts": links, "companies": companies})
    return made


def _edit_corporate(world: World, actor: Actor, values: Json) -> Json:
    record = world.get("corporate", values.pop("id"))
    people.edit(world, actor, "corporate", record, values)
    return record


def _create_order(world: World, actor: Actor, values: Json) -> Json:
    site = _site(world, values)
    if "customer_id" in values:
        values["customer"] = {"id": values.pop("customer_id")}
    return orders.create(world, actor, values, site)


def _edit_order(world: World, actor: Actor, values: Json) -> Json:
    record = world.get("orders", values.pop("id"))
    orders.edit(world, actor, record, values)
    return record


def _create_task(world: World, actor: Actor, values: Json) -> Json:
    for kind in ("customer", "order"):
        if f"{kind}_id" in values:
            values[kind] = {"id": values.pop(f"{kind}_id")}
    return work.create(world, actor, {"datetime": "2030-01-01 12:00", **values}, "")


def _edit_task(world: World, actor: Actor, values: Json) -> Json:
    record = world.get("tasks", values.pop("id"))
    work.edit(world, actor, record, values)
    return record


def _delete(world: World, actor: Actor, values: Json) -> Json:
    world.remove(values["kind"], actor, values["id"])
    return {}


def _combine(world: World, actor: Actor, values: Json) -> Json:
    people.combine(world, actor, values.get("kind", "customers"), values["victims"], values["id"])
    return world.get(values.get("kind", "customers"), values["id"])


def _create_user(world: World, actor: Actor, values: Json) -> Json:
    user = {**copy.deepcopy(world.account.users[1]), "id": max(one["id"] for one in world.account.users) + 1, **values}
    world.account.users.append(user)
    return user


def _change_user(world: World, actor: Actor, values: Json) -> Json:
    user_id = values.pop("id")
    user = next(found for found in world.account.users if found["id"] == user_id)
    user.update(values)
    return user


DEEDS: dict[str, Deed] = {
    "create_customer": _create_customer,
    "edit_customer": _edit_customer,
    "create_corporate": _create_corporate,
    "create_user": _create_user,
    "edit_corporate": _edit_corporate,
    "create_order": _create_order,
    "edit_order": _edit_order,
    "create_task": _create_task,
    "edit_task": _edit_task,
    "delete": _delete,
    "combine": _combine,
    "change_user": _change_user,
}
