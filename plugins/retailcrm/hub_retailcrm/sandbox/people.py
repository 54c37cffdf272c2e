"""``/customers`` and ``/customers-corporate`` with their notes (2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .form import Ask, texts
from .listing import (
    Test,
    chosen,
    contains,
    inner,
    not_after,
    not_before,
    one_of,
    paged,
    person_matches,
    shown,
)
from .reply import Json, Problem, Reply, answer, not_found, ok, wrong_entity
from .world import Actor, Kind, World

_BATCH = 50
#: form field and list key of each kind
_FIELD: dict[Kind, str] = {"customers": "customer", "corporate": "customerCorporate"}
_LIST: dict[Kind, str] = {"customers": "customers", "corporate": "customersCorporate"}
_PLAIN = (
    "isContact", "firstName", "lastName", "patronymic", "email", "birthday", "sex", "vip", "bad", "attachedTag",
    "source", "browserId", "address", "contragent", "personalDiscount", "discountCardNumber", "nickName", "notes",
)  # fmt: skip


# --- writing, by whomever ---------------------------------------------------------------------------------------


def create(world: World, actor: Actor, kind: Kind, values: Json, site: str) -> Json:
    """A new customer. 400 with the fields that are wrong."""
    external_id = str(values.get("externalId") or "")
    if external_id and world.by_external(kind, external_id, site) is not None:
        raise wrong_entity(externalId="This value is already used.")
    if kind == "corporate" and not values.get("nickName"):
        raise wrong_entity(nickName="This value should not be blank.")
    record: Json = {
        "id": world.next_id(kind),
        "type": "customer" if kind == "customers" else "customer_corporate",
        "externalId": external_id or None,
        "site": site,
        "isContact": False,
        "createdAt": values.get("createdAt") or world.clock.told(),
        "phones": [],
        "tags": [],
        "customFields": {},
        "vip": False,
        "bad": False,
        "ordersCount": 0,
    }
    if kind == "corporate":
        record |= {"customerContacts": [], "companies": [], "addresses": []}
    record |= _checked(world, kind, values)
    record["tags"] = [_tag(str(tag.get("name", ""))) for tag in values.get("tags") or () if isinstance(tag, dict)]
    return world.add(kind, actor, record)


def edit(world: World, actor: Actor, kind: Kind, record: Json, values: Json) -> None:
    """Change a customer: a list of phones replaces the stored one; tags by ``addTags`` and ``removeTags``."""
    fresh = _checked(world, kind, values)
    if "customFields" in fresh:
        fresh["customFields"] = {**record["customFields"], **fresh["customFields"]}
    if values.get("externalId"):
        fresh["externalId"] = str(values["externalId"])
    held = {tag["name"] for tag in record["tags"]}
    more = [_tag(name) for name in texts(values.get("addTags")) if name not in held]
    gone = set(texts(values.get("removeTags")))
    if more or gone:
        fresh["tags"] = [tag for tag in (*record["tags"], *more) if tag["name"] not in gone]
    world.change(kind, actor, record, fresh)


def _tag(name: str) -> Json:
    return {"name": name, "color": "#d9edf7", "attached": False}


def _checked(world: World, kind: Kind, values: Json) -> Json:
    fresh = {name: values[name] for name in _PLAIN if name in values}
    if values.get("managerId") is not None:
        world.check_user(values["managerId"], "managerId")
        fresh["managerId"] = values["managerId"]
    if "phones" in values:
        phones = values["phones"]
        if not isinstance(phones, list) or not all(isinstance(one, dict) and one.get("number") for one in phones):
            raise wrong_entity(phones="This value is not valid.")
        fresh["phones"] = [{"number": str(one["number"])} for one in phones]
    if "customFields" in values:
        entity = "customer" if kind == "customers" else "customer_corporate"
        fresh["customFields"] = world.check_fields(entity, values["customFields"])
    return fresh


def combine(world: World, actor: Actor, kind: Kind, victims: Sequence[int], survivor: int) -> None:
    """Merge: phones, orders and notes of the victims go to the survivor."""
    kept = world.get(kind, survivor)
    for victim in victims:
        record = world.get(kind, victim)
        numbers = {phone["number"] for phone in kept["phones"]}
        more = [phone for phone in record["phones"] if phone["number"] not in numbers]
        if more:
            world.change(kind, actor, kept, {"phones": [*kept["phones"], *more]})
        for order in world.records["orders"].values():
            if (order.get("customer") or {}).get("id") == victim:
                order["customer"] = reference(kept)
        for note in world.notes.values():
            if note["customer"]["id"] == victim:
                note["customer"] = reference(kept)
        world.remove(kind, actor, victim, combined_to=survivor)


def reference(customer: Json) -> Json:
    """A customer as other records tell it."""
    return {key: customer[key] for key in ("id", "externalId", "site", "type") if customer.get(key) is not None}


# --- handlers ---------------------------------------------------------------------------------------------------


def _filters(kind: Kind) -> dict[str, Test]:
    def name(world: World, record: Json, value: Any) -> bool:
        numbers = [phone["number"] for phone in record["phones"]]
        return world.is_indexed(kind, record["id"]) and person_matches(record, str(value), numbers)

    return {
        "ids": one_of("id"),
        "externalIds": one_of("externalId"),
        "name": name,
        "email": contains("email"),
        "sites": one_of("site"),
        "managers": one_of("managerId"),
        "dateFrom": not_before("createdAt", days=True),
        "dateTo": not_after("createdAt", days=True),
        "contactIds": lambda _, record, value: any(
            str(link["customer"]["id"]) in texts(value) for link in record.get("customerContacts", ())
        ),
        "nickName": contains("nickName"),
    }


def list_people(world: World, ask: Ask, kind: Kind) -> Reply:
    """GET /customers: newest first."""
    newest_first = sorted(world.records[kind].values(), key=lambda record: -record["id"])
    return paged(ask, _LIST[kind], chosen(world, ask, newest_first, _filters(kind)))


def addressed(world: World, ask: Ask, kind: Kind) -> Json:
    """The record of the path: ``by`` is externalId unless said otherwise (1)."""
    wanted, by = ask.parts[0], ask.parameter("by", "externalId")
    if by == "id":
        return world.get(kind, int(wanted) if wanted.isdigit() else 0)
    site = world.site_of(world.keys[ask.key], ask.parameter("site"))
    found = world.by_external(kind, wanted, site)
    if found is None:
        raise not_found()
    return found


def get_person(world: World, ask: Ask, kind: Kind) -> Reply:
    """GET /customers/{x}."""
    values: Json = {_FIELD[kind]: shown(addressed(world, ask, kind))}
    return ok(**values)


def post_person(world: World, ask: Ask, kind: Kind) -> Reply:
    """POST /customers/create."""
    values = ask.entity(_FIELD[kind])
    site = world.site_of(world.keys[ask.key], ask.parameter("site"))
    return ok(201, id=create(world, Actor(ask.key), kind, values, site)["id"])


def post_edit(world: World, ask: Ask, kind: Kind) -> Reply:
    """POST /customers/{x}/edit."""
    values, record = ask.entity(_FIELD[kind]), addressed(world, ask, kind)
    edit(world, Actor(ask.key), kind, record, values)
    return ok(id=record["id"])


def post_upload(world: World, ask: Ask, kind: Kind) -> Reply:
    """POST /customers/upload: 460 if some failed; the others are kept."""
    word = "Customers" if kind == "customers" else "CustomersCorporate"
    site = world.site_of(world.keys[ask.key], ask.parameter("site"))

    def make(values: Json) -> Json:
        return create(world, Actor(ask.key), kind, values, site)

    return uploaded(ask.entities(_LIST[kind], _BATCH), make, word)


def uploaded(items: Sequence[Json], make: Any, word: str) -> Reply:
    """The answer of a batch: what was made, what failed, and why as far as the vendor tells."""
    made: list[Json] = []
    failed: list[Json] = []
    errors: list[str] = []
    for item in items:
        name = {"externalId": item["externalId"]} if item.get("externalId") else {}
        try:
            made.append({"id": make(item)["id"], **name})
        except Problem as refused:
            failed.append(name)
            errors += (refused.errors.values() if isinstance(refused.errors, dict) else refused.errors) or [
                refused.text
            ]
    told: Json = {f"uploaded{word}": made, f"failed{word}": failed}
    if not failed:
        return ok(201, **told)
    return answer({"success": False, **told, "errorMsg": f"{word} are loaded with errors", "errors": errors}, 460)


def post_external_ids(world: World, ask: Ask, kind: Kind) -> Reply:
    """POST /customers/fix-external-ids."""
    for item in ask.entities(_LIST.get(kind, "orders"), _BATCH):
        record = world.get(kind, int(item.get("id") or 0))
        world.change(kind, Actor(ask.key), record, {"externalId": str(item.get("externalId", ""))})
    return ok()


def post_combine(world: World, ask: Ask, kind: Kind) -> Reply:
    """POST /customers/combine."""
    victims = [int(item["id"]) for item in ask.entities(_LIST[kind], _BATCH)]
    combine(
        world,
        Actor(ask.key),
        kind,
        victims,
        int(ask.entity(f"result{_FIELD[kind][0].upper()}{_FIELD[kind][1:]}")["id"]),
    )
    return ok()


def post_contact(world: World, ask: Ask) -> Reply:
    """POST /customers-corporate/{x}/contacts/create."""
    corporate, values = addressed(world, ask, "corporate"), ask.entity("contact")
    customer = world.resolve("customers", values.get("customer"), corporate["site"], "customer")
    links = corporate["customerContacts"]
    if any(link["customer"]["id"] == customer["id"] for link in links):
        raise wrong_entity(customer="This value is already used.")
    link = {
        "id": world.next_id("links"),
        "isMain": bool(values.get("isMain")),
        "customer": reference(customer),
        "companies": [],
    }
    world.change("corporate", Actor(ask.key), corporate, {"customerContacts": [*links, link]})
    return ok(201, id=link["id"])


# --- notes ------------------------------------------------------------------------------------------------------


def list_notes(world: World, ask: Ask) -> Reply:
    """GET /customers/notes."""
    tests: dict[str, Test] = {
        "ids": one_of("id"),
        "customerIds": inner("customer", "id"),
        "customerExternalIds": inner("customer", "externalId"),
        "managerIds": one_of("managerId"),
        "text": contains("text"),
        "createdAtFrom": not_before("createdAt", days=True),
        "createdAtTo": not_after("createdAt", days=True),
    }
    newest_first = sorted(world.notes.values(), key=lambda note: -note["id"])
    return paged(ask, "notes", chosen(world, ask, newest_first, tests))


def post_note(world: World, ask: Ask) -> Reply:
    """POST /customers/notes/create."""
    values = ask.entity("note")
    if not values.get("text"):
        raise wrong_entity(text="This value should not be blank.")
    customer = world.resolve("customers", values.get("customer"), ask.parameter("site"), "customer")
    note: Json = {
        "id": world.next_id("notes"),
        "text": str(values["text"]),
        "createdAt": world.clock.told(),
        "managerId": values.get("managerId"),
        "customer": reference(customer),
    }
    if note["managerId"] is not None:
        world.check_user(note["managerId"], "managerId")
    world.notes[note["id"]] = note
    return ok(201, id=note["id"])


def delete_note(world: World, ask: Ask) -> Reply:
    """POST /customers/notes/{id}/delete."""
    note_id = int(ask.parts[0]) if ask.parts[0].isdigit() else 0
    if world.notes.pop(note_id, None) is None:
        raise not_found("Note not found map")
    return ok()
