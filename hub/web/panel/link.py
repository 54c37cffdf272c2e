"""Who may open a panel: a key in the link that the CRM's administrator pastes, and short links signed for one card.

The key says which connection the link belongs to; the CRM fills in the record and whoever looks. What the CRM fills
in nobody else can prove, so whoever holds the key is believed as the CRM is: it is kept like a password, and every
page is opened by a link that is signed for this one card and employee and ends within minutes.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from hub.core.records import EmployeeId
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import ConfigurationError
from hub.runtime.services import Services
from hub.widget_seam import FramesPanel, PanelPlace

__all__ = ["LIFE", "Panel", "find_panel", "is_signed", "links_to_paste", "sign"]

#: how long a signed link opens its card
LIFE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A connection that has panels."""

    project: LiveProject
    connection: LiveConnection
    sink: FramesPanel
    origins: tuple[str, ...]
    places: tuple[PanelPlace, ...]

    def key(self, services: Services) -> str:
        """What stands in the pasted link; another one once the connection's secret is."""
        return services.cipher.hash_secret(self._purpose)[:40]

    def fits(self, services: Services, key: str) -> bool:
        """True for the panel's key, made with any of the hub's present keys."""
        wanted = key.encode("utf-8", "replace")
        return any(hmac.compare_digest(one[:40].encode(), wanted) for one in services.cipher.hashes_of(self._purpose))

    @property
    def _purpose(self) -> str:
        row = self.connection.row
        return f"panel key\n{row.project}\n{row.name}\n{row.secret}"


def find_panel(services: Services, project: str, connection: str) -> Panel | None:
    """The panel of a connection; None where there is no such connection or its CRM frames nothing."""
    live = services.projects.find(project)
    found = live.connection(connection) if live else None
    if live is None or found is None:
        return None
    try:
        sink = services.plugins.sink(found.row.sink)
        if not isinstance(sink, FramesPanel):
            return None
        settings = sink.settings_model.model_validate(dict(found.row.settings))
    except (ConfigurationError, ValidationError):
        return None
    return Panel(
        project=live,
        connection=found,
        sink=sink,
        origins=sink.panel_origins(settings),
        places=sink.panel_places(settings),
    )


def links_to_paste(services: Services, panel: Panel) -> Iterator[tuple[str, str]]:
    """What the administrator pastes for each kind of card: its name, and the link with the vendor's own fields."""
    public = services.settings.public_url
    row = panel.connection.row
    for place in panel.places:
        base = f"{public}/panel/{quote(row.project)}/{quote(row.name)}/open"
        user = f"&user={place.user_field}" if place.user_field else ""
        yield place.entity, f"{base}?key={panel.key(services)}&entity={place.entity}&id={place.id_field}{user}"


def sign(services: Services, panel: Panel, entity: str, id: str, reader: EmployeeId | None, language: str) -> str:
    """The path that opens one card for one employee until `LIFE` is over."""
    row = panel.connection.row
    until = str(int((services.clock.now() + LIFE).timestamp()))
    path = f"/panel/{quote(row.project)}/{quote(row.name)}/{quote(entity)}/{quote(id)}"
    told = {"as": reader or "", "until": until, "lang": language}
    signature = services.cipher.hash_secret(_signed(row.project, row.name, entity, id, reader or "", until))[:40]
    return f"{path}?{urlencode({**told, 'signature': signature})}"


def is_signed(
    services: Services, panel: Panel, entity: str, id: str, reader: str, until: str, signature: str, now: datetime
) -> bool:
    """True if the hub signed this very card for this very employee, and the time is not over."""
    row = panel.connection.row
    told = _signed(row.project, row.name, entity, id, reader, until)
    given = signature.encode("utf-8", "replace")
    is_ours = any(hmac.compare_digest(one[:40].encode(), given) for one in services.cipher.hashes_of(told))
    return is_ours and until.isascii() and until.isdigit() and len(until) < 19 and int(until) > now.timestamp()


def _signed(*parts: str) -> str:
    # a line break stands in no part: the router and the plugin let none through
    return "\n".join(("panel", *parts))
