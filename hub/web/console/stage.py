"""Which step of a project's set-up is done, and which comes next (H12)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from hub.engine.projects import LiveProject
from hub.runtime.services import Services
from hub.runtime.staffing import wanted_names
from hub.store import bindings, projects

__all__ = ["Stage", "stages_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step; ``key`` is its text in the catalogue under ``stage.``."""

    key: str
    href: str
    is_done: bool
    #: the first one that is not done
    is_next: bool = False
    #: what it is about, in a word: the connection, the channel
    name: str = ""


async def stages_of(services: Services, live: LiveProject) -> list[Stage]:
    """The steps of a project, in order."""
    base = f"/setup/{live.name}"
    connection = live.connections[0] if live.connections else None
    found = [Stage(key="project", href=base, is_done=live.policy is not None)]
    crm = f"{base}/crm/{quote(connection.name, safe='')}" if connection else f"{base}/crm"
    has_catalogue = connection is not None and connection.row.catalogue is not None
    found.append(Stage(key="crm", href=crm, is_done=has_catalogue, name=connection.name if connection else ""))
    is_named = False
    if connection is not None and live.policy is not None and has_catalogue:
        name = connection.name
        known = await services.store.read(lambda conn: bindings.list_bindings(conn, live.name, name))
        wanted = wanted_names(live.policy, connection.catalogue, known)
        is_named = all(one.value for one in wanted if one.kind in ("pipeline", "stage"))
    found.append(Stage(key="names", href=f"{crm}/names" if connection else crm, is_done=is_named))
    channels = await services.store.read(lambda conn: projects.list_channels(conn, services.cipher, live.name))
    channel = channels[0] if channels else None
    place = f"{base}/channels/{quote(channel.name, safe='')}" if channel else f"{base}/channels"
    is_able = channel is not None and channel.name not in live.problems
    found.append(Stage(key="channel", href=place, is_done=is_able, name=channel.name if channel else ""))
    has_people = bool(live.policy and live.policy.employees and connection and connection.users)
    found.append(Stage(key="employees", href=f"{crm}/employees" if connection else crm, is_done=has_people))
    is_seen = channel is not None and channel.first_seen_at is not None
    found.append(Stage(key="addresses", href=f"{place}/addresses" if channel else place, is_done=is_seen))
    found.append(Stage(key="waiting", href=f"{place}/waiting" if channel else place, is_done=is_seen))
    found.append(Stage(key="live", href=f"/console/{live.name}/policy", is_done=live.row.mode == "live"))
    upcoming = next((stage.key for stage in found if not stage.is_done), "")
    return [
        Stage(key=one.key, href=one.href, is_done=one.is_done, is_next=one.key == upcoming, name=one.name)
        for one in found
    ]
