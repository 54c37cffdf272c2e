"""What the account is: the key's rights, settings, employees, references, custom fields (1, 4, 8)."""

from __future__ import annotations

from .form import Ask, texts
from .listing import chosen, contains, one_of, paged
from .reply import Json, Reply, not_found, ok, wrong_input
from .world import World


def get_versions(world: World, ask: Ask) -> Reply:
    """GET /api/api-versions."""
    return ok(versions=["3.0", "4.0", "5.0"])


def get_credentials(world: World, ask: Ask) -> Reply:
    """GET /api/credentials."""
    key = world.keys[ask.key]
    sites = list(key.sites) or [site["code"] for site in world.account.sites]
    access = "access_selective" if key.sites else "access_full"
    return ok(scopes=list(key.scopes), credentials=[], siteAccess=access, sitesAvailable=sites)


def get_system(world: World, ask: Ask) -> Reply:
    """GET /api/system-info."""
    name = world.account.name
    return ok(systemVersion="8.1.51", publicUrl=f"https://{name}.retailcrm.example", technicalUrl="")


def get_settings(world: World, ask: Ask) -> Reply:
    """GET /settings."""
    account, at = world.account, "2026-01-01 00:00:00"
    settings = {
        "default_currency": {"value": "UAH", "updated_at": at},
        "system_language": {"value": account.language, "updated_at": at},
        "timezone": {"value": account.time_zone, "updated_at": at},
        "work_times": [],
        "non_working_days": [],
        "mg": {},
    }
    return ok(settings=settings)


def _keyed(items: list[Json]) -> Json | list[Json]:
    """An object by code; an empty set arrives as a list (4)."""
    return {str(item["code"]): item for item in items} or []


def get_reference(world: World, ask: Ask) -> Reply:
    """GET /reference/{name}: objects keyed by code."""
    account = world.account
    groups = [
        {**group, "statuses": [one["code"] for one in account.statuses if one["group"] == group["code"]]}
        for group in account.status_groups
    ]
    tables = {
        "statuses": ("statuses", account.statuses),
        "status-groups": ("statusGroups", groups),
        "order-types": ("orderTypes", account.order_types),
        "order-methods": ("orderMethods", account.order_methods),
        "sites": ("sites", account.sites),
    }
    found = tables.get(ask.parts[0])
    if found is None:
        raise not_found("Method not found")
    name, items = found
    values: Json = {name: _keyed(items)}
    return ok(**values)


def list_fields(world: World, ask: Ask) -> Reply:
    """GET /custom-fields."""
    tests = {"entity": one_of("entity"), "type": one_of("type"), "code": one_of("code"), "name": contains("name")}
    return paged(ask, "customFields", chosen(world, ask, world.account.fields, tests))


def list_dictionaries(world: World, ask: Ask) -> Reply:
    """GET /custom-fields/dictionaries."""
    cities = [{"name": "Київ", "code": "kyiv", "ordering": 1}, {"name": "Львів", "code": "lviv", "ordering": 2}]
    return paged(ask, "customDictionaries", [{"name": "Города", "code": "cities", "elements": cities}])


def list_users(world: World, ask: Ask) -> Reply:
    """GET /users."""

    def flag(field: str) -> object:
        def test(_: World, user: Json, value: object) -> bool:
            if value not in ("0", "1"):
                raise wrong_input(f"filter[{field}]: 1 or 0")
            return bool(user.get(field)) == (value == "1")

        return test

    flags = {name: flag(name) for name in ("online", "active", "isManager", "isAdmin")}
    tests = {
        "email": one_of("email"),
        "status": lambda _, user, value: user["online"] and user["status"] == value,
        "groups": lambda _, user, value: any(group["code"] in texts(value) for group in user["groups"]),
        **flags,
    }
    return paged(ask, "users", chosen(world, ask, world.account.users, tests))  # type: ignore[arg-type]  # closures


def get_user(world: World, ask: Ask) -> Reply:
    """GET /users/{id}."""
    found = next((user for user in world.account.users if str(user["id"]) == ask.parts[0]), None)
    if found is None:
        raise not_found()
    return ok(user=found)


def post_status(world: World, ask: Ask) -> Reply:
    """POST /users/{id}/status: a plain form field."""
    found = next((user for user in world.account.users if str(user["id"]) == ask.parts[0]), None)
    if found is None:
        raise not_found()
    if ask.parameter("status") not in ("free", "busy", "dinner", "break"):
        raise wrong_input("status: free, busy, dinner or break")
    found["status"] = ask.parameter("status")
    return ok()


def list_groups(world: World, ask: Ask) -> Reply:
    """GET /user-groups."""
    return paged(ask, "groups", world.account.groups)
