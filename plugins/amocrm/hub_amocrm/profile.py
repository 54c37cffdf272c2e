"""What the plugin has to know of an account between calls: its fields, zone and features."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from hub.core.records import RecordKind
from hub.kept import zone_or_utc

__all__ = ["FieldSpec", "Profile"]


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
        return zone_or_utc(self.time_zone)
