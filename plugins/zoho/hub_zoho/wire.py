"""Zoho CRM's own shapes, v8: loose in what is ignored, strict in what is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hub.core.damage import texts_in

__all__ = [
    "Choice",
    "FieldDefinition",
    "Layout",
    "Notification",
    "Organisation",
    "Outcome",
    "Pipeline",
    "Row",
    "Stage",
    "TokenPair",
    "User",
    "Wire",
]


class Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", populate_by_name=True)


class TokenPair(Wire):
    access_token: str
    refresh_token: str = ""
    api_domain: str = ""
    expires_in: int = 3600


class Named(Wire):
    id: str = ""
    name: str | None = None


class User(Wire):
    id: str
    full_name: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile: str | None = None
    status: str | None = None
    profile: Named | None = None


class Organisation(Wire):
    id: str
    company_name: str | None = None
    time_zone: str | None = None


class Choice(Wire):
    display_value: str = ""
    actual_value: str | None = None
    forecast_type: str | None = None
    forecast_category: Named | None = None


class FieldDefinition(Wire):
    api_name: str
    field_label: str = ""
    data_type: str = "text"
    length: int | None = None
    system_mandatory: bool | None = None
    read_only: bool | None = None
    custom_field: bool | None = None
    unique: Mapping[str, Any] | None = None
    pick_list_values: list[Choice] | None = None


class Layout(Wire):
    id: str
    name: str | None = None


class Stage(Wire):
    display_value: str = ""
    actual_value: str | None = None
    forecast_type: str | None = None
    forecast_category: Named | None = None
    sequence_number: int | None = None


class Pipeline(Wire):
    id: str = ""
    display_value: str = ""
    actual_value: str | None = None
    default: bool | None = None
    maps: list[Stage] | None = None


class Notification(Wire):
    """What a channel tells (8); values are not taken from it."""

    module: str
    ids: list[str | int]
    operation: str
    token: str = ""
    channel_id: str | int = Field(default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one record of a write."""

    code: str
    is_done: bool
    message: str = ""
    record_id: str = ""
    api_name: str = ""
    #: what the refusal says of the value: its greatest length, its type
    hint: str = ""
    #: the record that a unique field found instead
    duplicate_id: str = ""
    duplicate_module: str = ""
    #: ids of what a conversion made, by module
    made: Mapping[str, str]

    @classmethod
    def of(cls, item: Any) -> Outcome:
        """Read one object of ``data``; what is not one counts as unknown."""
        if not isinstance(item, dict):
            return cls(code="", is_done=False, made={})
        details = item.get("details")
        details = details if isinstance(details, dict) else {}
        duplicate = details.get("duplicate_record")
        duplicate = duplicate if isinstance(duplicate, dict) else {}
        module = duplicate.get("module")
        hints = ("expected_data_type", "maximum_length", "supported_values", "regex")
        return cls(
            code=str(item.get("code", "")),
            is_done=item.get("status") == "success",
            message=str(item.get("message", "")),
            record_id=str(details.get("id") or ""),
            api_name=str(details.get("api_name") or ""),
            hint="".join(f", {name} {str(details[name])[:100]}" for name in hints if name in details),
            duplicate_id=str(duplicate.get("id") or details.get("duplicate_id") or ""),
            duplicate_module=str(module.get("api_name") if isinstance(module, dict) else module or ""),
            made={
                name: str(value["id"]) for name, value in details.items() if isinstance(value, dict) and value.get("id")
            },
        )


class Row:
    """One record of any module as it came: an open object, read by API name (3)."""

    __slots__ = ("_values", "id", "module")

    def __init__(self, module: str, values: Mapping[str, Any]) -> None:
        self.module = module
        found = values.get("id")
        #: "" if it cannot be read
        self.id = str(found) if isinstance(found, str | int) and found else ""
        self._values = values

    def text(self, name: str) -> str:
        """A text, a number or a choice as text; several joined by ", "; "" if empty."""
        value = self._values.get(name)
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case list():
                return ", ".join(_plain(item) for item in value)
            case _:
                return _plain(value)

    def lookup(self, name: str) -> str:
        """The id in a lookup, "" if it is empty."""
        value = self._values.get(name)
        if isinstance(value, dict):
            return str(value.get("id") or "")
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""

    def lookup_name(self, name: str) -> str:
        value = self._values.get(name)
        return str(value.get("name") or "") if isinstance(value, dict) else ""

    def moment(self, name: str) -> datetime | None:
        """A date-time as an instant; None if it is empty or unreadable."""
        value = self._values.get(name)
        if not isinstance(value, str) or len(value) < 19:
            return None
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
        return found.astimezone(UTC) if found.tzinfo else None

    def number(self, name: str) -> float | None:
        value = self._values.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def is_set(self, name: str) -> bool:
        return self._values.get(name) is True

    @property
    def tags(self) -> tuple[str, ...]:
        value = self._values.get("Tag")
        found = (item.get("name") for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
        return tuple(str(name) for name in found if name)

    @property
    def alarm(self) -> str:
        """The rule of a reminder (3), "" if there is none."""
        value = self._values.get("Remind_At")
        return str(value.get("ALARM") or "") if isinstance(value, dict) else ""

    @property
    def changed_at(self) -> int:
        """When it was changed, in whole unix seconds: the vendor tells no fraction."""
        found = self.moment("Modified_Time")
        return int(found.timestamp()) if found else 0

    def holds(self, text: str) -> bool:
        """Whether ``text`` stands anywhere in the record, readable or not."""
        return bool(text) and text.encode() in self.fingerprint()

    def is_readable(self, name: str) -> bool:
        """Whether the field is a text, or empty."""
        return isinstance(self._values.get(name), str | None)

    def texts(self, name: str) -> list[str]:
        """What the field says, in whatever form: of one that cannot be read every text in it."""
        return [self.text(name)] if self.is_readable(name) else list(texts_in(self._values[name]))

    def fingerprint(self) -> bytes:
        """The whole record, to tell a second change within one second from a repetition."""
        return json.dumps(self._values, sort_keys=True, default=str).encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.module == other.module and self._values == other._values

    def __hash__(self) -> int:
        return hash((self.module, self.id))

    def __repr__(self) -> str:
        return f"Row({self.module!r}, {self.id!r})"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name") or value.get("id") or "")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
