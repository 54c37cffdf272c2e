"""Channels and CRMs: do they work, how fresh is what we know, how much may still be asked (U2, X6, X9)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.responses import Response

from hub.plugins import Failure
from hub.ports import Pace
from hub.runtime.account import Account, Health
from hub.runtime.services import Services
from hub.store import projects, steps
from hub.store.projects import Channel, CrmConnection, Status
from hub.web.console.page import page
from hub.web.console.visit import Visit, to
from hub.web.panel.link import find_panel, links_to_paste

__all__ = ["change_mode", "connections", "resume"]

#: facts older than this are worth a look
STALE = timedelta(minutes=15)

STATUS_COLOURS = {
    Status.READY: "good",
    Status.RETRYING: "warn",
    Status.NEEDS_CREDENTIALS: "bad",
    Status.MISCONFIGURED: "bad",
    Status.BANNED: "bad",
    Status.OFF: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmShown:
    """One CRM account."""

    row: CrmConnection
    status: Status
    reason: str
    #: None where this process does not write to it
    headroom: float | None
    queued: int
    pace: Pace | None
    waiting_steps: int
    in_doubt_steps: int
    #: names that no longer exist in the CRM
    problems: tuple[str, ...]
    #: how far our clock is ahead of the CRM's, if a person should set it; negative if it is behind
    clock_ahead: timedelta = timedelta()
    #: kinds of cards and the links to paste there, where the CRM frames pages; for administrators
    panels: tuple[tuple[str, str], ...] = ()

    @property
    def colour(self) -> str:
        return STATUS_COLOURS[self.status]

    @property
    def may_resume(self) -> bool:
        return self.status in (Status.NEEDS_CREDENTIALS, Status.MISCONFIGURED, Status.BANNED, Status.OFF)

    @property
    def freshness(self) -> datetime | None:
        return self.row.feed_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShown:
    """One channel."""

    row: Channel
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """The page."""

    crms: tuple[CrmShown, ...]
    channels: tuple[ChannelShown, ...]
    failures: tuple[Failure, ...]
    stale_after: timedelta = STALE


async def connections(visit: Visit) -> Response:
    """GET /console/{project}/connections"""
    live, services = visit.project, visit.services

    def read(conn: Connection) -> Connections:
        states = steps.count_states(conn, live.name)
        return Connections(
            crms=tuple(
                _shown(row, services.accounts.get((live.name, row.name)), states, live.problems.get(row.name, ""))
                for row in projects.list_connections(conn, services.cipher, live.name)
            ),
            channels=tuple(
                ChannelShown(row=row, problem=live.problems.get(row.name, ""))
                for row in projects.list_channels(conn, services.cipher, live.name)
            ),
            failures=tuple(services.plugins.failures),
        )

    model = await services.store.read(read)
    if visit.is_admin:
        shown = tuple(replace(one, panels=_panels(services, live.name, one.row.name)) for one in model.crms)
        model = replace(model, crms=shown)
    return page("console/connections.html", await visit.frame("connections"), model)


def _shown(row: CrmConnection, account: Account | None, states: object, problem: str) -> CrmShown:
    counts = states if isinstance(states, dict) else {}
    return CrmShown(
        row=row,
        status=Status(account.health.value) if account and row.status is not Status.OFF else row.status,
        reason=(account.health_reason if account else "") or row.status_reason,
        headroom=account.pacer.headroom if account else None,
        queued=account.pacer.waiting if account else 0,
        pace=account.pacer.pace if account else None,
        waiting_steps=_count(counts, row.name, "waiting"),
        in_doubt_steps=_count(counts, row.name, "in_doubt"),
        problems=(problem,) if problem else (),
        clock_ahead=account.vendor_clock.ahead if account and account.vendor_clock.is_wrong else timedelta(),
    )


def _count(states: dict[tuple[str, str, str], int], connection: str, state: str) -> int:
    return sum(count for (name, _, stands), count in states.items() if name == connection and stands == state)


def _panels(services: Services, project: str, connection: str) -> tuple[tuple[str, str], ...]:
    panel = find_panel(services, project, connection)
    return tuple(links_to_paste(services, panel)) if panel and services.settings.public_url else ()


async def resume(visit: Visit) -> Response:
    """POST /console/{project}/connections/resume: a person says that the CRM may be asked again (H4)."""
    live, services, name, now = visit.project, visit.services, visit.field("connection"), visit.services.clock.now()
    wanted = Status.OFF if visit.field("to") == "off" else Status.READY
    await services.store.write(lambda conn: projects.set_status(conn, live.name, name, wanted, now=now))
    account = services.accounts.get((live.name, name))
    if account is not None:
        if wanted is Status.READY:
            account.resume()
        else:
            account.set_health(Health.OFF, "")
    await services.projects.reload()
    services.changed()
    return to(f"/console/{live.name}/connections")


async def change_mode(visit: Visit) -> Response:
    """POST /console/{project}/mode: shadow, live, pause, resume writing (DESIGN 6)."""
    live, services = visit.project, visit.services
    match visit.field("to"):
        case "live":
            change = lambda conn: projects.change_project(conn, live.name, mode="live", is_paused=False)  # noqa: E731
        case "shadow":
            change = lambda conn: projects.change_project(conn, live.name, mode="shadow")  # noqa: E731
        case "pause":
            change = lambda conn: projects.change_project(conn, live.name, is_paused=True)  # noqa: E731
        case "unpause":
            change = lambda conn: projects.change_project(conn, live.name, is_paused=False)  # noqa: E731
        case _:
            return to(f"/console/{live.name}/policy")
    await services.store.write(change)
    await services.projects.reload()
    services.changed()
    services.sweep()
    return to(f"/console/{live.name}/policy")
