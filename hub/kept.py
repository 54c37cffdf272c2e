"""What a plugin keeps of an account between calls: a model in the connection's state, beside its tokens."""

from __future__ import annotations

from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel

from hub.errors import Stale
from hub.ports import ConnectionState

__all__ = ["keep", "kept", "zone_or_utc"]

M = TypeVar("M", bound=BaseModel)


async def kept(state: ConnectionState, name: str, model: type[M]) -> M | None:
    """What was kept under ``name``; None before anything was."""
    value, _version = await state.load()
    found = value.get(name)
    return model.model_validate(found) if found else None


async def keep(state: ConnectionState, name: str, value: BaseModel) -> None:
    """Keep ``value`` under ``name``; whatever else is kept stays, also what is saved meanwhile."""
    stored = value.model_dump(mode="json", exclude_defaults=True)
    while True:
        present, version = await state.load()
        if present.get(name) == stored:
            return
        try:
            await state.save({**present, name: stored}, version)
        except Stale:
            continue
        return


def zone_or_utc(name: str) -> ZoneInfo:
    """The zone that the vendor names, UTC for one that nobody knows."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
