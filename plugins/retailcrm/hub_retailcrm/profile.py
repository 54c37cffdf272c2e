"""What the plugin has to know of an account between calls: its zone, shops, statuses and fields."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict

from hub.errors import Stale
from hub.ports import ConnectionState

__all__ = ["Profile", "load_profile", "save_profile"]


class Profile(BaseModel):
    """Kept in the connection's state, so that a restarted hub writes without asking for it again."""

    model_config = ConfigDict(frozen=True)

    time_zone: str = "UTC"
    #: the shop in which records are made; "" = the key sees only one, RetailCRM knows which
    site: str = ""
    #: statuses by their group's fate
    won: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    open: tuple[str, ...] = ()
    #: types of custom fields, by ``order.code`` and ``customer.code``
    fields: dict[str, str] = {}
    has_corporate: bool = True

    @property
    def zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            return ZoneInfo("UTC")


async def load_profile(state: ConnectionState) -> Profile | None:
    """The stored profile, None before the first connect."""
    value, _version = await state.load()
    found = value.get("profile")
    return Profile.model_validate(found) if found else None


async def save_profile(state: ConnectionState, profile: Profile) -> None:
    """Store ``profile`` beside whatever else is kept."""
    stored = profile.model_dump(mode="json")
    while True:
        value, version = await state.load()
        if value.get("profile") == stored:
            return
        try:
            await state.save({**value, "profile": stored}, version)
        except Stale:
            continue
        return
