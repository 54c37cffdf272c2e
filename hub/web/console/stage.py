"""Which step of a project's set-up is done, and which comes next (H12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import quote

from hub.engine.projects import LiveConnection, LiveProject
from hub.runtime.services import Services
from hub.runtime.staffing import wanted_names
from hub.store import bindings, projects
from hub.store.projects import Channel

__all__ = ["Place", "Stage", "stages_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One CRM or channel of a step."""

    name: str
    href: str
    is_done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step; ``key`` is its text in the catalogue under ``stage.``."""

    key: str
    #: where to go on: the first place that is not done
    href: str
    is_done: bool
    #: the first one that is not done
    is_next: bool = False
    #: each CRM or channel that it is about
    places: tuple[Place, ...] = ()
    #: where a further one is added, "" if there can be none
    more: str = ""
    #: of the catalogue, under ``stage_hint.``
    hint: str = ""


async def stages_of(services: Services, live: LiveProject) -> list[Stage]:
    """The steps of a project, in order; one that is about CRMs or channels is done when each of them is."""
    base = f"/setup/{live.name}"
    crms = [(one, f"{base}/crm/{quote(one.name, safe='')}") for one in live.connections]
    rows = await services.store.read(lambda conn: projects.list_channels(conn, services.cipher, live.name))
    channels = [(row, f"{base}/channels/{quote(row.name, safe='')}") for row in rows]
    named = [Place(name=one.name, href=f"{at}/names", is_done=await _is_named(services, live, one)) for one, at in crms]
    has_people = bool(live.policy and live.policy.employees)
    is_live = live.row.mode == "live"
    found = [
        Stage(key="project", href=base, is_done=live.policy is not None, hint="project_live" if is_live else ""),
        _about(
            "crm",
            f"{base}/crm",
            [Place(name=one.name, href=at, is_done=one.row.catalogue is not None) for one, at in crms],
            more=f"{base}/crm",
        ),
        _about("names", f"{base}/crm", named),
        _about(
            "channel",
            f"{base}/channels",
            [Place(name=row.name, href=at, is_done=row.name not in live.problems) for row, at in channels],
            more=f"{base}/channels",
        ),
        _about(
            "employees",
            f"{base}/crm",
            [Place(name=one.name, href=f"{at}/employees", is_done=has_people and bool(one.users)) for one, at in crms],
        ),
        _about("addresses", f"{base}/channels", [_seen(row, f"{at}/addresses") for row, at in channels]),
        _about("waiting", f"{base}/channels", [_seen(row, f"{at}/waiting") for row, at in channels]),
        Stage(key="live", href=f"/console/{live.name}/policy", is_done=is_live, hint="live_live" if is_live else ""),
    ]
    upcoming = next((stage.key for stage in found if not stage.is_done), "")
    return [replace(one, is_next=one.key == upcoming, hint=one.hint or one.key) for one in found]


def _about(key: str, otherwise: str, places: Sequence[Place], *, more: str = "") -> Stage:
    """The step ``key`` of ``places``; ``otherwise`` is where one is added while there is none."""
    first = next((place for place in places if not place.is_done), places[0] if places else None)
    return Stage(
        key=key,
        href=first.href if first else otherwise,
        is_done=bool(places) and all(place.is_done for place in places),
        places=tuple(places),
        more=more if places else "",
    )


def _seen(row: Channel, href: str) -> Place:
    return Place(name=row.name, href=href, is_done=row.first_seen_at is not None)


async def _is_named(services: Services, live: LiveProject, connection: LiveConnection) -> bool:
    """Whether each pipeline and stage that the policy names is known in the CRM."""
    if live.policy is None or connection.row.catalogue is None:
        return False
    known = await services.store.read(partial(bindings.list_bindings, project=live.name, connection=connection.name))
    wanted = wanted_names(live.policy, connection.catalogue, known)
    return all(one.value for one in wanted if one.kind in ("pipeline", "stage"))
