"""One interaction's page: the story of why it went where it went, readable by a sales head (X1)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.responses import Response

from hub.core.interaction import ClientId, InteractionId
from hub.core.records import RecordRef
from hub.core.revise import StepState
from hub.runtime.no_reply import dismiss
from hub.runtime.services import Services
from hub.runtime.story import CardLink, Story, load_story
from hub.runtime.telling import outcome_kind, summary
from hub.store import interactions, waiting, work
from hub.store.inbox import Received
from hub.store.work import WorkState
from hub.web.console.journal import COLOURS
from hub.web.console.page import page
from hub.web.console.visit import Visit, to

__all__ = ["RawShown", "card_link", "interaction_page", "no_reply_needed", "raw_shown", "replay"]

#: how much of a raw request is shown
RAW_LIMIT = 20_000

#: sign and colour of a step's state
MARKS = {
    StepState.DONE: ("✓", "good"),
    StepState.REJECTED: ("✕", "bad"),
    StepState.IN_DOUBT: ("?", "warn"),
    StepState.WAITING: ("…", "calm"),
    StepState.SENT: ("…", "calm"),
    StepState.WITHDRAWN: ("–", "calm"),
    None: ("–", "calm"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawShown:
    """A request as it came, as text; its headers are shown without their secrets, which were never stored."""

    id: int
    line: str
    headers: tuple[tuple[str, str], ...]
    body: str
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionPage:
    """The page."""

    story: Story
    summary: str
    ended: str
    ended_colour: str
    raws: tuple[tuple[Received, RawShown], ...]
    marks: dict[StepState | None, tuple[str, str]]
    colours: dict[str, str]
    #: what a person can do about it: connections whose work is ended and can be decided anew
    replayable: tuple[str, ...]
    #: the client wrote and nobody has answered (W6)
    is_waiting: bool


def card_link(services: Services, project: str) -> CardLink:
    """Addresses of the records' cards, as far as this process has the account open."""

    def link(connection: str, ref: RecordRef) -> str:
        account = services.accounts.get((project, connection))
        return account.session.record_url(ref) if account else ""

    return link


def raw_shown(received: Received) -> RawShown:
    """``received`` as text: whatever the bytes are, nothing of them is markup."""
    request = received.request
    query = f"?{request.query.decode('utf-8', 'replace')}" if request.query else ""
    return RawShown(
        id=received.id,
        line=f"{request.method} {received.kind}/{received.channel}{query}",
        headers=request.headers,
        body=request.body[:RAW_LIMIT].decode("utf-8", "replace"),
        is_cut=len(request.body) > RAW_LIMIT,
    )


async def interaction_page(visit: Visit) -> Response:
    """GET /console/{project}/interactions/{id}"""
    live, id = visit.project, InteractionId(visit.request.path_params["id"])
    link = card_link(visit.services, live.name)
    story = await visit.services.store.read(lambda conn: load_story(conn, live, id, link))
    frame = await visit.frame("journal")
    if story is None:
        return page("console/problem.html", frame, visit.t("problem.no_interaction"), status=404)
    waits = await visit.services.store.read(lambda conn: waiting.get(conn, ClientId(story.client.id)))
    ended = outcome_kind(story.interaction)
    model = InteractionPage(
        story=story,
        summary=summary(story, visit.t),
        ended=ended,
        ended_colour=COLOURS.get(ended, ""),
        raws=tuple((item, raw_shown(item)) for item in story.received),
        marks=MARKS,
        colours=COLOURS,
        replayable=tuple(
            chapter.connection
            for chapter in story.chapters
            if chapter.state in (WorkState.FINISHED, WorkState.ATTENTION)
        ),
        is_waiting=waits is not None,
    )
    return page("console/interaction.html", frame, model)


async def no_reply_needed(visit: Visit) -> Response:
    """POST /console/{project}/interactions/{id}/no-reply: what the client's messages made is closed (W6)."""
    live, id = visit.project, InteractionId(visit.request.path_params["id"])
    stored = await visit.services.store.read(lambda conn: interactions.find(conn, id))
    if stored is not None and stored.interaction.project == live.name:
        await dismiss(visit.services, stored.client_id)
    return to(f"/console/{live.name}/interactions/{id}")


async def replay(visit: Visit) -> Response:
    """POST /console/{project}/interactions/{id}/replay: decide it anew on the then current snapshot (X13, H4)."""
    live, id = visit.project, InteractionId(visit.request.path_params["id"])
    wanted, now = visit.field("connection"), visit.services.clock.now()

    def reopen(conn: Connection) -> None:
        for item in work.list_work(conn, id):
            if item.project == live.name and wanted in ("", item.connection):
                work.reopen(conn, id, item.connection, now)

    await visit.services.store.write(reopen)
    visit.services.sweep()
    if visit.field("back") == "attention":
        return to(f"/console/{live.name}/attention")
    return to(f"/console/{live.name}/interactions/{id}")
