"""What may be written into a field, and into which form it is brought (section 2)."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from .fields import POLYMORPHIC, Field
from .reply import invalid
from .world import World

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def reference_id(value: Any) -> str | None:
    """The id in a lookup: an object with an id, a string or a number; None if it is none of these."""
    if isinstance(value, dict):
        value = value.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value)
    return text if text.isdigit() else None


def parse_moment(text: str) -> float | None:
    """Unix seconds of an ISO moment with offset; None if it is something else."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def checked(world: World, spec: Field, value: Any, module_of_lookup: str = "") -> Any:
    """``value`` in the sandbox's form; raises ItemRefusal."""
    name = spec.api_name
    if value is None:
        if spec.is_mandatory:
            raise invalid(name, "string")
        return None
    match spec.type:
        case "ownerlookup":
            return _owner(world, name, value)
        case "lookup":
            return _lookup(world, spec, value, module_of_lookup)
        case "datetime":
            return _moment(world, name, value)
        case "date":
            return _date(name, value)
        case "boolean":
            if not isinstance(value, bool):
                raise invalid(name, "boolean")
            return value
        case "currency" | "double" | "integer":
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise invalid(name, spec.type)
            return value
        case "ALARM":
            if not isinstance(value, dict) or not isinstance(value.get("ALARM"), str):
                raise invalid(name, "jsonobject")
            return value
        case _:
            return _text(spec, value)


def _owner(world: World, name: str, value: Any) -> str:
    user_id = reference_id(value)
    user = world.users.get(user_id or "")
    if user is None or not user.is_active:
        raise invalid(name, id=user_id or "")
    return user.id


def _lookup(world: World, spec: Field, value: Any, module: str) -> str:
    target_id = reference_id(value)
    if target_id is None:
        raise invalid(spec.api_name, "jsonobject")
    if spec.target == POLYMORPHIC and not module:
        raise invalid(spec.api_name, expected="$se_module")
    found = world.find(module if spec.target == POLYMORPHIC else spec.target, target_id)
    if found is None:
        raise invalid(spec.api_name, id=target_id)
    return target_id


def _moment(world: World, name: str, value: Any) -> float:
    found = parse_moment(value) if isinstance(value, str) else None
    if found is None or (world.switches.refuses_fractions and "." in str(value)):
        raise invalid(name, "datetime")
    return found


def _date(name: str, value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise invalid(name, "date") from None


def _text(spec: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise invalid(spec.api_name, "string")
    if len(value) > spec.length:
        raise invalid(spec.api_name, maximum_length=spec.length)
    if spec.type == "email" and value and not _EMAIL.fullmatch(value):
        raise invalid(spec.api_name, "email")
    if spec.type == "picklist" and spec.choices and value not in spec.choices:
        raise invalid(spec.api_name, supported_values=list(spec.choices))
    return value
