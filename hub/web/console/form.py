"""A form made from a plugin's settings model: titles and descriptions are the model's own (H12)."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python
from starlette.datastructures import FormData

from hub.errors import ConfigurationError
from hub.language import Translator
from hub.web.console.page import Choice

__all__ = ["FormField", "fields_of", "values_of"]

Kind = Literal["text", "password", "flag", "number", "choice", "list", "json", "seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One setting."""

    name: str
    title: str
    hint: str
    kind: Kind
    value: str
    is_set: bool
    choices: tuple[Choice, ...] = ()
    #: has a default that suits most, so it is folded away; so is a choice without one that stands behind such
    is_further: bool = False
    error: str = ""


def fields_of(
    model: type[BaseModel], values: Mapping[str, Any], t: Translator, *, error: ConfigurationError | None = None
) -> list[FormField]:
    """The form's fields with ``values``, named in the reader's language; secrets are never sent back to the browser."""
    found: list[FormField] = []
    for name, info in model.model_fields.items():
        kind, options = _kind(info)
        is_main = kind in ("text", "password") or (kind == "choice" and not any(one.is_further for one in found))
        default = None if info.default is PydanticUndefined else to_jsonable_python(_plain(info.default))
        value = values.get(name, default)
        found.append(
            FormField(
                name=name,
                title=t.theirs(info.title or name),
                hint=t.theirs(info.description or ""),
                kind=kind,
                value="" if kind == "password" else _shown(kind, value),
                is_set=bool(value),
                choices=tuple(Choice(value=one, label=one or "—", is_chosen=one == value) for one in options),
                is_further=not is_main or bool(default),
                error=t.theirs(error.problem) if error is not None and error.path.split(".")[0] == name else "",
            )
        )
    return found


def values_of(model: type[BaseModel], form: FormData, before: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says, for the model to check; an empty password keeps what was stored.

    Raises ConfigurationError for what cannot even be read.
    """
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        kind, _ = _kind(info)
        sent = form.get(name)
        text = sent.strip() if isinstance(sent, str) else ""
        match kind:
            case "flag":
                found[name] = text == "on"
            case "password":
                if text or before.get(name):
                    found[name] = text or before[name]
            case "list":
                if text or name in form:
                    found[name] = [line.strip() for line in text.splitlines() if line.strip()]
            case "json":
                if text:
                    try:
                        found[name] = json.loads(text)
                    except ValueError as err:
                        raise ConfigurationError(f"this is no JSON: {err}", path=name) from None
            case "number" | "seconds":
                if text:
                    found[name] = float(text) if _is_float(text) else text
            case _:
                if name in form:
                    found[name] = text
    return found


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(info: FieldInfo) -> tuple[Kind, Sequence[str]]:
    annotation = _bare(info.annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return "choice", [str(one) for one in get_args(annotation)]
    if origin in (tuple, list, frozenset, set):
        return "list", ()
    if origin is not None or not isinstance(annotation, type):
        return "json", ()
    if issubclass(annotation, SecretStr):
        return "password", ()
    if issubclass(annotation, Enum):
        return "choice", [str(one.value) for one in annotation]
    if issubclass(annotation, bool):
        return "flag", ()
    if issubclass(annotation, int | float):
        return "number", ()
    if issubclass(annotation, timedelta):
        return "seconds", ()
    return ("text", ()) if issubclass(annotation, str) else ("json", ())


def _bare(annotation: Any) -> Any:
    """The type without "or None"."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _shown(kind: Kind, value: Any) -> str:
    if value is None or value == "":
        return ""
    match kind:
        case "list":
            return "\n".join(str(one) for one in value)
        case "json":
            return json.dumps(value, ensure_ascii=False, indent=1) if value else ""
        case "flag":
            return "on" if value else ""
        case "seconds":
            return f"{_seconds(value):g}"
        case _:
            return str(value)


def _seconds(value: Any) -> float:
    """A duration as it may be stored: seconds, or ISO 8601 such as ``PT30S``."""
    if isinstance(value, int | float):
        return float(value)

    class Holder(BaseModel):
        length: timedelta

    return Holder(length=value).length.total_seconds()
