"""What the plugin has to know of an account between calls: its fields, zone and features."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict

from hub.core.records import RecordKind
from hub.errors import Stale
from hub.ports import ConnectionState

__all__ = ["FieldSpec", "Profile", "load_profile", "save_profile"]


class FieldSpec(BaseModel):
    """How one custom field is written."""

    model_config = ConfigDict(frozen=True)

    record: RecordKind
    type: str
    code: str = ""
    choices: tuple[str, ...] = ()


class Profile(BaseModel):
    """Kept in the connection's state, so that a restarted hub writes without asking for it again."""

    model_config = ConfigDict(frozen=True)

    account_id: str
    subdomain: str
    time_zone: str = "UTC"
    #: off: ``filter[...]`` on cards is silently ignored and the whole list comes back (1.2)
    has_filters: bool = False
    #: the text field that bears our mark, by kind of record
    hub_id_fields: dict[RecordKind, str] = {}
    fields: dict[str, FieldSpec] = {}
    #: pipeline and stage of every open stage, for reading open deals first
    open_stages: tuple[tuple[str, str], ...] = ()

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
    """Store ``profile`` beside the tokens."""
    stored = profile.model_dump(mode="json")
    while True:
        value, version = await state.load()
        if value.get("profile") == stored:
            return
        try:
            await state.save({**value, "profile": stored}, version)
        except Stale:
            continue  # another part was saved meanwhile: take it along
        return
