"""``/orders`` (3)."""

from __future__ import annotations

from typing import Any

from . import people
from .form import Ask, texts
from .listing import Test, chosen, contains, inner, not_after, not_before, one_of, paged, person_matches, shown
from .reply import Json, Reply, ok, wrong_entity
from .world import Actor, World

_BATCH = 50
_PLAIN = (
    "statusComment", "firstName", "lastName", "patronymic", "phone", "additionalPhone", "email", "customerComment",
    "managerComment", "call", "expired", "source", "clientId", "dialogId", "number", "delivery", "contragent",
)  # fmt: skip


def create(world: World, actor: Actor, values: Json, site: str) -> Json:
    """A new order; without ``customer`` one is matched by phone or made, by the system's own rules (3)."""
    external_id = str(values.get("externalId") or "")
    if external_id and world.by_external("orders", external_id, site) is not None:
        raise wrong_entity(externalId="This value is already used.")
    fresh = _checked(world, values)
    customer = _customer(world, actor, values, site)
    order_id = world.next_id("orders")
    record: Json = {
        "id": order_id,
        "slug": order_id,
        "number": f"{order_id}C",
        "externalId": external_id or None,
        "site": site,
        "status": _first_status(world),
        "orderType": _default(world.account.order_types),
        "orderMethod": _default(world.account.order_methods),
        "createdAt": values.get("createdAt") or world.clock.told(),
        "statusUpdatedAt": world.clock.told(),
        "customer": people.reference(customer),
        "items": [],
        "payments": [],
        "customFields": {},
        "fromApi": bool(actor.key),
        "summ": 0,
        "totalSumm": 0,
        "countryIso": "UA",
    } | fresh
    if isinstance(values.get("contact"), dict):
        record["contact"] = people.reference(world.resolve("customers", values["contact"], site, "contact"))
    customer["ordersCount"] += 1
    return world.add("orders", actor, record)


def edit(world: World, actor: Actor, record: Json, values: Json) -> None:
    """Change an order."""
    fresh = _checked(world, values)
    if "customFields" in fresh:
        fresh["customFields"] = {**record["customFields"], **fresh["customFields"]}
    if "customer" in values:
        fresh["customer"] = people.reference(_customer(world, actor, values, record["site"]))
    if fresh.get("status", record["status"]) != record["status"]:
        record["statusUpdatedAt"] = world.clock.told()
    world.change("orders", actor, record, fresh)


def _customer(world: World, actor: Actor, values: Json, site: str) -> Json:
    wanted = values.get("customer")
    if isinstance(wanted, dict) and wanted:
        is_corporate = wanted.get("type") == "customer_corporate" or (
            wanted.get("id") not in world.records["customers"] and wanted.get("id") in world.records["corporate"]
        )
        return world.resolve("corporate" if is_corporate else "customers", wanted, site, "customer")
    phone = str(values.get("phone") or "")
    for known in world.records["customers"].values():
        if phone and any(one["number"] == phone for one in known["phones"]):
            return known
    made = {name: values[name] for name in ("firstName", "lastName", "email") if values.get(name)}
    return people.create(world, actor, "customers", made | ({"phones": [{"number": phone}]} if phone else {}), site)


def _first_status(world: World) -> str:
    fresh = [one for one in world.account.statuses if one["group"] == "new" and one["active"]]
    return str(min(fresh, key=lambda one: one["ordering"])["code"])


def _default(choices: list[Json]) -> str:
    return str(next((one for one in choices if one["defaultForApi"]), choices[0])["code"])


def _checked(world: World, values: Json) -> Json:
    fresh = {name: values[name] for name in _PLAIN if name in values}
    tables = (
        ("status", world.account.statuses),
        ("orderType", world.account.order_types),
        ("orderMethod", world.account.order_methods),
    )
    for name, table in tables:
        if values.get(name) is not None:
            if not any(one["code"] == values[name] and one["active"] for one in table):
                raise wrong_entity(**{name: "This value is not valid."})
            fresh[name] = values[name]
    if values.get("managerId") is not None:
        world.check_user(values["managerId"], "managerId")
        fresh["managerId"] = values["managerId"]
    if "customFields" in values:
        fresh["customFields"] = world.check_fields("order", values["customFields"])
    if isinstance(values.get("items"), list):
        fresh["items"] = [_item(world, item) for item in values["items"]]
        fresh["summ"] = fresh["totalSumm"] = sum(one["initialPrice"] * one["quantity"] for one in fresh["items"])
    return fresh


def _item(world: World, values: Any) -> Json:
    if not isinstance(values, dict) or not (values.get("productName") or values.get("offer")):
        raise wrong_entity(items="This value is not valid.")
    return {
        "id": world.next_id("items"),
        "productName": values.get("productName"),
        "initialPrice": values.get("initialPrice", 0),
        "quantity": values.get("quantity", 1),
        "properties": [],
    }


# --- handlers ---------------------------------------------------------------------------------------------------


def _searched(world: World, order: Json, value: Any) -> bool:
    customer = world.records["customers"].get((order.get("customer") or {}).get("id", 0), {})
    numbers = [str(order.get("phone") or ""), *(phone["number"] for phone in customer.get("phones", ()))]
    who = {**customer, **{name: order[name] for name in ("firstName", "lastName") if order.get(name)}}
    return world.is_indexed("orders", order["id"]) and person_matches(who, str(value), numbers)


_FILTERS: dict[str, Test] = {
    "ids": one_of("id"),
    "externalIds": one_of("externalId"),
    "numbers": one_of("number"),
    "customerId": inner("customer", "id"),
    "customerExternalId": inner("customer", "externalId"),
    "customer": _searched,
    "email": contains("email"),
    "managers": one_of("managerId"),
    "extendedStatus": one_of("status"),
    "orderTypes": one_of("orderType"),
    "orderMethods": one_of("orderMethod"),
    "sites": one_of("site"),
    "createdAtFrom": not_before("createdAt", days=True),
    "createdAtTo": not_after("createdAt", days=True),
    "statusUpdatedAtFrom": not_before("statusUpdatedAt", days=True),
    "statusUpdatedAtTo": not_after("statusUpdatedAt", days=True),
}


def list_orders(world: World, ask: Ask) -> Reply:
    """GET /orders: newest first."""
    newest_first = sorted(world.records["orders"].values(), key=lambda order: -order["id"])
    return paged(ask, "orders", chosen(world, ask, newest_first, _FILTERS))


def get_order(world: World, ask: Ask) -> Reply:
    """GET /orders/{x}."""
    return ok(order=shown(people.addressed(world, ask, "orders")))


def post_order(world: World, ask: Ask) -> Reply:
    """POST /orders/create: answers the whole order."""
    values = ask.entity("order")
    made = create(world, Actor(ask.key), values, world.site_of(world.keys[ask.key], ask.parameter("site")))
    return ok(201, id=made["id"], order=shown(made))


def post_edit(world: World, ask: Ask) -> Reply:
    """POST /orders/{x}/edit."""
    values, record = ask.entity("order"), people.addressed(world, ask, "orders")
    edit(world, Actor(ask.key), record, values)
    return ok(id=record["id"], order=shown(record))


def post_upload(world: World, ask: Ask) -> Reply:
    """POST /orders/upload."""
    site = world.site_of(world.keys[ask.key], ask.parameter("site"))
    return people.uploaded(
        ask.entities("orders", _BATCH), lambda values: create(world, Actor(ask.key), values, site), "Orders"
    )


def get_statuses(world: World, ask: Ask) -> Reply:
    """GET /orders/statuses."""
    ids, external = texts(ask.query.get("ids")), texts(ask.query.get("externalIds"))
    found = [
        {"id": one["id"], "status": one["status"], "group": world.group_of(one["status"])}
        | ({"externalId": one["externalId"]} if one.get("externalId") else {})
        for one in world.records["orders"].values()
        if str(one["id"]) in ids or str(one.get("externalId")) in external
    ]
    return ok(orders=found)


def post_combine(world: World, ask: Ask) -> Reply:
    """POST /orders/combine."""
    victim, survivor = int(ask.entity("order")["id"]), int(ask.entity("resultOrder")["id"])
    world.get("orders", survivor)
    world.remove("orders", Actor(ask.key), victim, combined_to=survivor)
    return ok()
