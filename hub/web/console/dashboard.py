"""The first page: a few true figures, each leading to the interactions behind it (U2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.responses import Response

from hub.core.interaction import Direction, Disposition
from hub.store import events, figures
from hub.web.console.journal import Line, Wanted, read_lines
from hub.web.console.page import page
from hub.web.console.visit import Visit, to

__all__ = ["dashboard", "home"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with the page behind it."""

    label: str
    value: str
    href: str
    colour: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """The page."""

    figures: tuple[Figure, ...]
    lines: tuple[Line, ...]
    last_event: int
    #: what of the set-up is still to be done, keys of the catalogue
    is_set_up: bool


async def home(visit: Visit) -> Response:
    """GET /console/: the first project that the user may see; the set-up while there is none."""
    seen = [found.name for found in visit.services.projects.all() if visit.user.may_see(found.name)]
    if seen:
        return to(f"/console/{seen[0]}/")
    if visit.is_admin:
        return to("/setup")
    return page("console/problem.html", await visit.frame(""), visit.t("problem.no_project"), status=404)


async def dashboard(visit: Visit) -> Response:
    """GET /console/{project}/"""
    live, t, now = visit.project, visit.t, visit.services.clock.now()
    zone = live.policy.zone if live.policy else ZoneInfo("UTC")
    today = now.astimezone(zone).date()
    journal = f"/console/{live.name}/journal"

    def read(conn: Connection) -> Dashboard:
        # before the day's first call the last day that had any says more than zeros do
        last = figures.last_call_at(conn, live.name, _begin(today + timedelta(days=1), zone))
        shown = last.astimezone(zone).date() if last else today
        of_day = t.day(shown, zone) if shown != today else ""
        day = f"since={shown.isoformat()}&until={shown.isoformat()}"
        calls = figures.count_calls(conn, live.name, _begin(shown, zone), _begin(shown + timedelta(days=1), zone))
        answered = sum(count for (_, end), count in calls.items() if end == Disposition.ANSWERED)
        voicemail = sum(count for (_, end), count in calls.items() if end == Disposition.VOICEMAIL)
        missed = sum(
            count
            for (direction, end), count in calls.items()
            if direction == Direction.INBOUND and end in (Disposition.MISSED, Disposition.BUSY, Disposition.FAILED)
        )
        attention = figures.count_attention(conn, live.name)
        doubtful = figures.count_in_doubt(conn, live.name)
        waiting = figures.oldest_waiting(conn, live.name)
        oldest = t("figure.oldest", time=t.duration(now - waiting.since)) if waiting.since else ""
        lines, _older = read_lines(conn, live, Wanted(), t)
        return Dashboard(
            figures=(
                Figure(
                    label=t("figure.answered"),
                    value=t.number(answered),
                    href=f"{journal}?status=answered&{day}",
                    colour="good",
                    hint=of_day,
                ),
                Figure(
                    label=t("figure.missed"),
                    value=t.number(missed),
                    href=f"{journal}?status=missed&{day}",
                    colour="bad" if missed else "",
                    hint=" · ".join(
                        said for said in (of_day, t.count("figure.voicemail", voicemail) if voicemail else "") if said
                    ),
                ),
                Figure(
                    label=t("figure.waiting"),
                    value=t.number(waiting.count),
                    href=f"{journal}?status=waiting",
                    hint=oldest,
                    colour="warn" if waiting.since and now - waiting.since > timedelta(minutes=5) else "",
                ),
                Figure(
                    label=t("figure.in_doubt"),
                    value=t.number(doubtful),
                    href=f"{journal}?status=in_doubt",
                    colour="warn" if doubtful else "",
                ),
                Figure(
                    label=t("figure.attention"),
                    value=t.number(attention),
                    href=f"/console/{live.name}/attention",
                    colour="bad" if attention else "",
                ),
            ),
            lines=tuple(lines[:8]),
            last_event=events.last_id(conn),
            is_set_up=bool(live.policy and live.connections and live.channels),
        )

    model = await visit.services.store.read(read)
    return page("console/dashboard.html", await visit.frame("dashboard"), model)


def _begin(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
