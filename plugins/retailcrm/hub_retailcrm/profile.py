"""What the plugin has to know of an account between calls: its zone, shops, statuses and fields."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from hub.kept import zone_or_utc

__all__ = ["Profile"]


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
        return zone_or_utc(self.time_zone)
