"""The live journal: newest first, each line with what came of it, filters in the address (U2, X1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.responses import HTMLResponse, JSONResponse, Response

from hub.core.interaction import InteractionId
from hub.engine.projects import LiveProject
from hub.language import Translator
from hub.runtime.story import Story, load_story
from hub.runtime.telling import headline, outcome_kind, outcomes
from hub.store import events, figures, interactions
from hub.store.interactions import JournalFilter, Stored
from hub.store.work import WorkState
from hub.web.console.page import Choice, page, render_text
from hub.web.console.visit import Visit, to

__all__ = ["STATUSES", "Line", "journal", "journal_events", "journal_rows", "line_of"]

PAGE = 40
#: how many interactions are looked through for a page of a rare kind
SCAN = 4000

#: how it ended, then how it stands in the CRMs
ENDED = ("answered", "missed", "voicemail", "unreached", "pending", "received", "sent")
STANDS = ("waiting", "in_doubt", "attention")
STATUSES = (*ENDED, *STANDS)

#: the colour of each word
COLOURS = {
    "answered": "good",
    "missed": "bad",
    "voicemail": "bad",
    "unreached": "warn",
    "pending": "accent",
    "received": "accent",
    "sent": "accent",
    "open": "accent",
    "writing": "accent",
    "finished": "good",
    "attention": "bad",
    "in_doubt": "warn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the journal."""

    id: str
    href: str
    at: datetime
    client: str
    channel: str
    ended: str
    headline: str
    outcome: str
    #: open, writing, finished, attention; "" where no CRM gets it
    state: str
    responsible: str

    @property
    def ended_colour(self) -> str:
        return COLOURS.get(self.ended, "")

    @property
    def state_colour(self) -> str:
        return COLOURS.get(self.state, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filters of the address."""

    status: str = ""
    channel: str = ""
    since: date | None = None
    until: date | None = None
    search: str = ""
    before: int | None = None

    @classmethod
    def from_query(cls, query: QueryParams) -> Wanted:
        """Read the filters; what makes no sense does not filter."""
        status = query.get("status", "")
        before = query.get("before", "")
        return cls(
            status=status if status in STATUSES else "",
            channel=query.get("channel", ""),
            since=_day(query.get("since", "")),
            until=_day(query.get("until", "")),
            search=query.get("q", "").strip()[:100],
            before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
        )

    def query(self, before: int | None = None) -> str:
        """The same filters as a query string."""
        named = {
            "status": self.status,
            "channel": self.channel,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
            "q": self.search,
            "before": str(before) if before else "",
        }
        return urlencode({key: value for key, value in named.items() if value})

    @property
    def is_filtered(self) -> bool:
        return bool(self.status or self.channel or self.since or self.until or self.search)

    def filter(self, zone: ZoneInfo) -> JournalFilter:
        """What the store can filter by."""
        digits = "".join(char for char in self.search if char.isdecimal())
        looks_like_number = len(digits) >= 3 and not any(char.isalpha() for char in self.search)
        return JournalFilter(
            channels=(self.channel,) if self.channel else (),
            phone=(digits.removeprefix("0") if looks_like_number else self.search.lower()) if self.search else "",
            since=_moment(self.since, zone) if self.since else None,
            until=_moment(self.until + timedelta(days=1), zone) if self.until else None,
            states=_STATES.get(self.status, ()),
        )


_STATES = {
    "waiting": (WorkState.OPEN.value, WorkState.WRITING.value),
    "attention": (WorkState.ATTENTION.value,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The page."""

    wanted: Wanted
    lines: tuple[Line, ...]
    #: the query of the next page, "" if there is none
    older: str
    query: str
    statuses: tuple[Choice, ...]
    channels: tuple[Choice, ...]
    #: from which event the page goes on
    last_event: int


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _moment(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


async def journal(visit: Visit) -> Response:
    """GET /console/{project}/journal"""
    live, wanted = visit.project, Wanted.from_query(visit.request.query_params)
    has_id = await visit.services.store.read(lambda conn: _is_id(conn, live.name, wanted.search))
    if has_id:
        return to(f"/console/{live.name}/interactions/{wanted.search}")
    lines, older = await visit.services.store.read(lambda conn: read_lines(conn, live, wanted, visit.t))
    last = await visit.services.store.read(events.last_id)
    t = visit.t
    model = Journal(
        wanted=wanted,
        lines=tuple(lines),
        older=wanted.query(older) if older else "",
        query=wanted.query(wanted.before),
        statuses=tuple(
            Choice(
                value=name,
                label=t(f"ended.{name}" if name in ENDED else f"stands.{name}"),
                is_chosen=name == wanted.status,
            )
            for name in STATUSES
        ),
        channels=tuple(
            Choice(value=name, label=name, is_chosen=name == wanted.channel) for name in sorted(live.channels)
        ),
        last_event=last,
    )
    return page("console/journal.html", await visit.frame("journal"), model)


async def journal_rows(visit: Visit) -> Response:
    """GET /console/{project}/journal/rows: the lines alone, for the page to renew itself; 304 if nothing changed."""
    live, wanted = visit.project, Wanted.from_query(visit.request.query_params)
    lines, _older = await visit.services.store.read(lambda conn: read_lines(conn, live, wanted, visit.t))
    html = render_text("console/journal_rows.html", await visit.frame("journal"), lines)
    tag = f'"{hashlib.blake2b(html.encode(), digest_size=12).hexdigest()}"'
    if visit.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return HTMLResponse(html, headers={"ETag": tag})


async def journal_events(visit: Visit) -> Response:
    """GET /console/{project}/events?after=: what the live views are told, in order."""
    live = visit.project
    text = visit.request.query_params.get("after", "0")
    after = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    found = await visit.services.store.read(
        lambda conn: events.read_after(conn, after, projects=[live.name], limit=200)
    )
    return JSONResponse({"events": [{"id": item.id, "kind": item.kind} for item in found]})


def _is_id(conn: Connection, project: str, text: str) -> bool:
    found = interactions.find(conn, InteractionId(text))
    return found is not None and str(found.interaction.project) == project


def read_lines(conn: Connection, live: LiveProject, wanted: Wanted, t: Translator) -> tuple[list[Line], int | None]:
    """A page of lines, and the sequence before which the next page begins (None at the end)."""
    zone = live.policy.zone if live.policy else ZoneInfo("UTC")
    if wanted.status == "in_doubt":
        return [line_of(conn, live, found, t) for found in figures.in_doubt(conn, live.name)], None
    chosen: list[Stored] = []
    before, scanned = wanted.before, 0
    limit = PAGE if wanted.status not in ENDED else PAGE * 5
    while len(chosen) <= PAGE and scanned < SCAN:
        found = interactions.journal(conn, live.name, wanted.filter(zone), before=before, limit=limit + 1)
        chosen += [
            item for item in found if wanted.status not in ENDED or outcome_kind(item.interaction) == wanted.status
        ]
        scanned += len(found)
        if len(found) <= limit:
            before = None
            break
        before = found[-1].sequence
    shown = chosen[:PAGE]
    older = shown[-1].sequence if len(chosen) > PAGE else (before if len(shown) == PAGE or scanned >= SCAN else None)
    return [line_of(conn, live, found, t) for found in shown], older


def line_of(conn: Connection, live: LiveProject, found: Stored, t: Translator) -> Line:
    """One line, told from the interaction's story."""
    story = load_story(conn, live, found.id)
    assert story is not None, "it was just read from this project"
    return line_of_story(story, t)


def line_of_story(story: Story, t: Translator) -> Line:
    """The story in one line."""
    answered = [leg.who for leg in story.legs if leg.is_answered]
    who = answered[-1] if answered else (story.legs[0].who if story.legs else "")
    main = story.main
    worst = next((chapter for chapter in story.chapters if chapter.state is WorkState.ATTENTION), main)
    return Line(
        id=story.id,
        href=f"/console/{story.project}/interactions/{story.id}",
        at=story.interaction.started_at,
        client=story.client.shown,
        channel=story.interaction.channel,
        ended=outcome_kind(story.interaction),
        headline=headline(story.interaction, story.client.shown, t, who),
        outcome=outcomes(story, t) or t("outcome.no_crm"),
        state=worst.state.value if worst and worst.state else "",
        responsible=main.responsible.name if main and main.responsible else "",
    )
