"""Settings of plugins as plain values, their secrets readable: for the encrypted store and for our own child only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

__all__ = ["plain_settings"]


def plain_settings(settings: BaseModel, *, with_defaults: bool = False) -> dict[str, Any]:
    """``settings`` as JSON values, secrets revealed; what stands at its default is left out unless asked for."""
    plain: dict[str, Any] = to_jsonable_python(_revealed(settings.model_dump(exclude_defaults=not with_defaults)))
    return plain


def _revealed(value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(inner) for inner in value]
    return value
