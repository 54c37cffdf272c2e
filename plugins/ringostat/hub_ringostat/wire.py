"""The Ringostat API's answers under the vendor's own names (reference part C).

Loose in what is ignored, strict in what is read. Webhooks have no models: their names are a setting of the
channel, see `payload` and `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["Direction", "Directions", "RpcAnswer", "RpcError", "Staff"]


def _as_text(value: Any) -> Any:
    """Ids come as numbers or as strings, absent ones as null."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else value


def _as_list(value: Any) -> Any:
    """Lists come as arrays or as objects with numbered keys, absent ones as null."""
    if value is None:
        return []
    return list(value.values()) if isinstance(value, Mapping) else value


def _as_object(value: Any) -> Any:
    """PHP writes an empty object as an empty array."""
    return {} if value is None or value == [] else value


Text = Annotated[str, BeforeValidator(_as_text)]


class _Wire(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True, populate_by_name=True)


class Direction(_Wire):
    """One number or SIP login of an employee; ``type`` says which."""

    direction: Text = ""
    type: Text = ""


class Directions(_Wire):
    """``main`` is rung when a call goes to the employee, ``additional`` only recognises them (?)."""

    main: Annotated[list[Direction], BeforeValidator(_as_list)] = []
    additional: Annotated[list[Direction], BeforeValidator(_as_list)] = []


class Staff(_Wire):
    """An employee of ``getProjectStaffListAndDirections``."""

    id: Text = ""
    staff_id: Annotated[Text, Field(alias="staffId")] = ""
    fio: Text = ""
    email: Text = ""
    phone: Text = ""
    extension_number: Annotated[Text, Field(alias="extensionNumber")] = ""
    #: ids, or objects with ``departmentsFullFormat`` (?)
    departments: Annotated[list[Any], BeforeValidator(_as_list)] = []
    directions: Annotated[Directions, BeforeValidator(_as_object)] = Directions()


class RpcError(_Wire):
    """``error`` of a JSON-RPC answer, which comes with HTTP 200."""

    code: Text = ""
    message: Text = ""
    data: Any = None


class RpcAnswer(_Wire):
    """The envelope of a JSON-RPC answer."""

    result: Any = None
    error: RpcError | None = None
