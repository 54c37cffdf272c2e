"""Custom field values: what is accepted, and how it is shown (reference 6.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from .account import Choice, Field
from .ask import Form
from .record import Values
from .reply import Json

_LISTS = ("select", "multiselect", "radiobutton", "multitext", "category")
_DATES = ("date", "birthday", "date_time")


class FieldBook:
    """The account's custom fields, by id and by code of their entity."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._by_id: dict[int, Field] = {field.id: field for field in fields}
        self._by_code: dict[tuple[str, str], Field] = {
            (field.entity, field.code): field for field in fields if field.code
        }

    def of(self, entity: str) -> list[Field]:
        """The fields of contacts, companies or leads, by sort, then id."""
        own = (field for field in self._by_id.values() if field.entity == entity)
        return sorted(own, key=lambda field: (field.sort, field.id))

    def get(self, entity: str, field_id: int) -> Field | None:
        """The field, if this entity has it."""
        field = self._by_id.get(field_id)
        return field if field is not None and field.entity == entity else None

    def coded(self, entity: str, code: str) -> Field | None:
        """The field with this code (PHONE, UTM_SOURCE …), if this entity has it."""
        return self._by_code.get((entity, code.upper()))

    def add(self, field: Field) -> Field:
        """Make a field known."""
        self._by_id[field.id] = field
        if field.code:
            self._by_code[field.entity, field.code] = field
        return field

    def remove(self, field: Field) -> None:
        """Forget a field; its values are no longer shown."""
        del self._by_id[field.id]
        if field.code:
            self._by_code.pop((field.entity, field.code), None)

    def all(self) -> list[Field]:
        """Every field of every entity."""
        return list(self._by_id.values())

    def read(self, form: Form, entity: str) -> None:
        """Read ``custom_fields_values`` of an item into ``form.draft["values"]``.

        The draft maps a field's id to its new values, () to clear it.
        """
        sent = form.item.get("custom_fields_values")
        if sent is None:
            return
        if not isinstance(sent, list):
            form.wrong_type("custom_fields_values", "array")
            return
        draft: dict[int, Values] = {}
        for index, entry in enumerate(sent):
            path = f"custom_fields_values.{index}"
            if not isinstance(entry, dict):
                form.wrong_type(path, "object")
                continue
            field = self._named(form, entity, entry, path)
            if field is None:
                continue
            values = entry.get("values")
            if "values" in entry and values is None:
                draft[field.id] = ()
            elif not isinstance(values, list):
                form.missing(f"{path}.values")
            elif not values:
                form.fail("TooFew", f"{path}.values", "This collection should contain 1 element or more.")
            else:
                read = [_value(form, field, value, f"{path}.values.{place}") for place, value in enumerate(values)]
                draft[field.id] = tuple(value for value in read if value is not None)
        form.draft["values"] = draft

    def show(self, entity: str, values: dict[int, Values]) -> list[Json] | None:
        """``custom_fields_values`` of an answer; None when the entity has none."""
        shown = []
        for field_id, stored in values.items():
            field = self.get(entity, field_id)
            if field is None or not stored:
                continue
            shown.append(
                {
                    "field_id": field.id,
                    "field_name": field.name,
                    "field_code": field.code,
                    "field_type": field.type,
                    "values": [_shown(field, value, enum) for value, enum in stored],
                }
            )
        return shown or None

    def _named(self, form: Form, entity: str, entry: Json, path: str) -> Field | None:
        field_id, code = entry.get("field_id"), entry.get("field_code")
        if field_id is not None:
            field = self.get(entity, field_id) if isinstance(field_id, int) else None
            if field is None:
                form.no_choice(f"{path}.field_id")
            return field
        if isinstance(code, str):
            field = self.coded(entity, code)
            if field is None:
                form.no_choice(f"{path}.field_code")
            return field
        form.missing(f"{path}.field_id")
        return None


def _shown(field: Field, value: Any, enum: int | None) -> Json:
    if enum is None:
        return {"value": value}
    choice = next((choice for choice in field.choices if choice.id == enum), None)
    return {"value": value, "enum_id": enum, "enum_code": choice.code if choice else None}


def _value(form: Form, field: Field, entry: Any, path: str) -> tuple[Any, int | None] | None:
    if not isinstance(entry, dict):
        form.wrong_type(path, "object")
        return None
    if field.type in _LISTS:
        return _listed(form, field, entry, path)
    if "value" not in entry:
        form.missing(f"{path}.value")
        return None
    value = _plain(field.type, entry["value"])
    if value is None:
        form.wrong_type(f"{path}.value", field.type)
        return None
    return value, None


def _listed(form: Form, field: Field, entry: Json, path: str) -> tuple[Any, int | None] | None:
    choice: Choice | None
    if entry.get("enum_id") is not None:
        choice = next((c for c in field.choices if c.id == entry["enum_id"]), None)
        where = "enum_id"
    elif entry.get("enum_code") is not None:
        choice = next((c for c in field.choices if c.code == entry["enum_code"]), None)
        where = "enum_code"
    elif field.type == "multitext":
        choice, where = field.choices[0], "value"
    else:
        choice = next((c for c in field.choices if c.value == entry.get("value")), None)
        where = "value"
    if choice is None:
        form.no_choice(f"{path}.{where}")
        return None
    if field.type != "multitext":
        return choice.value, choice.id
    text = entry.get("value")
    if not isinstance(text, str | int) or isinstance(text, bool) or text == "":
        form.missing(f"{path}.value")
        return None
    return str(text), choice.id


def _plain(kind: str, value: Any) -> Any:
    """The stored form of a value, or None when the field cannot hold it."""
    if kind == "checkbox":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool):
        return None
    if kind in _DATES:
        return _moment(value)
    if kind == "numeric":
        return _numeric(value)
    if isinstance(value, int | float):
        return str(value)
    return value if isinstance(value, str | dict) else None


def _moment(value: Any) -> int | None:
    if isinstance(value, int):
        return value
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _numeric(value: Any) -> str | None:
    """Numbers are read back as text (reference 6.1)."""
    try:
        float(value)
    except (TypeError, ValueError):
        return None
    return str(value)
