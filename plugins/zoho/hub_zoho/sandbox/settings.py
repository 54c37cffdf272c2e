"""Metadata: fields, modules, layouts, pipelines, users, the organisation (sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Callable

from .ask import Ask
from .fields import PIPELINE, STAGES, Field
from .reply import Json, Refusal, Reply, answer, nothing
from .world import ORG_ID, OWNER, User, World

LAYOUT_ID = "5725767000000091023"
_JSON_TYPES = {
    "ownerlookup": "jsonobject", "lookup": "jsonobject", "boolean": "boolean", "currency": "double",
    "integer": "integer", "bigint": "string", "ALARM": "jsonobject",
}  # fmt: skip
_FORECAST = {"Open": "1", "Closed Won": "2", "Closed Lost": "3"}


def fields(world: World, ask: Ask) -> Reply:
    module = ask.query.get("module", "")
    if not module:
        raise Refusal(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "module"}
        )
    if module not in world.modules:
        raise Refusal(400, "INVALID_MODULE", "the module name given seems to be invalid", {"param_name": "module"})
    known = world.modules[module].fields.values()
    return answer({"fields": [_field(module, spec, at) for at, spec in enumerate(known) if spec.api_name[0] != "$"]})


def _field(module: str, spec: Field, at: int) -> Json:
    is_lookup = spec.type == "lookup" and spec.target != "*"
    return {
        "id": f"57257670000009{len(module):02d}{at:03d}",
        "api_name": spec.api_name,
        "field_label": spec.label,
        "display_label": spec.label,
        "data_type": spec.type,
        "json_type": "jsonarray" if spec.api_name == "Tag" else _JSON_TYPES.get(spec.type, "string"),
        "length": spec.length,
        "system_mandatory": spec.is_mandatory,
        "read_only": spec.is_read_only,
        "field_read_only": spec.is_read_only,
        "custom_field": spec.is_custom,
        "visible": True,
        "unique": {"casesensitive": "false"} if spec.is_unique else {},
        "lookup": {"module": {"api_name": spec.target, "id": "5725767000000002175"}} if is_lookup else {},
        "pick_list_values": [_choice(spec, choice, number) for number, choice in enumerate(spec.choices, 1)],
    }


def _choice(spec: Field, choice: str, number: int) -> Json:
    shown: Json = {
        "display_value": choice,
        "actual_value": choice,
        "sequence_number": number,
        "id": f"57257670000{number:08d}",
    }
    if spec.api_name == "Stage":
        kind = STAGES[choice]
        shown |= {
            "forecast_type": kind,
            "forecast_category": {"name": kind, "id": _FORECAST[kind]},
            "probability": 100 if kind == "Closed Won" else 0 if kind == "Closed Lost" else 10 * number,
        }
    return shown


def modules(world: World, ask: Ask) -> Reply:
    shown = [{"api_name": name, "module_name": name, "api_supported": True} for name in world.modules]
    return answer({"modules": shown})


def layouts(world: World, ask: Ask) -> Reply:
    module = ask.query.get("module", "")
    if module not in world.modules:
        raise Refusal(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "module"}
        )
    return answer({"layouts": [{"id": LAYOUT_ID, "name": "Standard", "status": "active", "visible": True}]})


def pipelines(world: World, ask: Ask) -> Reply:
    if ask.query.get("layout_id") != LAYOUT_ID:
        raise Refusal(
            400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": "layout_id"}
        )
    maps = [
        {
            "display_value": stage,
            "actual_value": stage,
            "id": f"57257670000{number:08d}",
            "sequence_number": number,
            "forecast_type": kind,
            "forecast_category": {"name": kind, "id": _FORECAST[kind]},
        }
        for number, (stage, kind) in enumerate(STAGES.items(), 1)
    ]
    found = {"id": "5725767000000092001", "display_value": PIPELINE, "actual_value": PIPELINE, "default": True}
    return answer({"pipeline": [{**found, "maps": maps}]})


def users(world: World, ask: Ask) -> Reply:
    query = ask.query
    kind = query.get("type", "AllUsers")
    tests: dict[str, Callable[[User], bool]] = {
        "AllUsers": lambda user: True,
        "ActiveUsers": lambda user: user.is_active,
        "DeactiveUsers": lambda user: not user.is_active,
        "AdminUsers": lambda user: user.is_admin,
        "CurrentUser": lambda user: user.id == ask.user_id,
    }
    if kind not in tests:
        raise Refusal(400, "INVALID_DATA", "invalid data", {"param_name": "type"})
    found = [user for user in world.users.values() if tests[kind](user)]
    size, page = int(query.get("per_page", "200")), int(query.get("page", "1"))
    chunk = found[(page - 1) * size : page * size]
    if not chunk:
        return nothing()
    info = {"per_page": size, "count": len(chunk), "page": page, "more_records": len(found) > page * size}
    return answer({"users": [_user(world, user) for user in chunk], "info": info})


def _user(world: World, user: User) -> Json:
    profile = "Administrator" if user.is_admin else "Standard"
    return {
        "id": user.id,
        "full_name": user.full_name,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "phone": user.phone or None,
        "mobile": None,
        "status": "active" if user.is_active else "disabled",
        "confirm": True,
        "profile": {"name": profile, "id": "5725767000000026011"},
        "role": {"name": "CEO", "id": "5725767000000026005"},
        "time_zone": world.config.time_zone,
        "zuid": user.id[-8:],
    }


def org(world: World, ask: Ask) -> Reply:
    shown = {
        "id": ORG_ID,
        "company_name": "Nord Tea",
        "zgid": "776655443",
        "time_zone": world.config.time_zone,
        "country_code": "UA",
        "currency": "Hryvnia",
        "primary_email": world.users[OWNER].email,
    }
    return answer({"org": [shown]})


def related_lists(world: World, ask: Ask) -> Reply:
    names = ("Notes", "Tasks", "Calls", "Deals")
    return answer({"related_lists": [{"api_name": name, "module": {"api_name": name}, "name": name} for name in names]})
