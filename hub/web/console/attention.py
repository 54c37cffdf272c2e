"""What needs a person: refused by the CRM, unreadable, or without any CRM; each with a way to try again (H4, H11)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.responses import Response

from hub.runtime.replay import replay_urgency
from hub.runtime.story import StoryAction, load_story
from hub.store import figures, inbox, outgoing, work
from hub.store.inbox import InboxStatus, Received
from hub.store.outgoing import Queued
from hub.store.work import WorkState
from hub.web.console.interaction import RawShown, card_link, raw_shown
from hub.web.console.journal import Line, line_of_story
from hub.web.console.page import page
from hub.web.console.visit import Visit, to

__all__ = ["attention", "read_again", "replay_all", "settle_message"]

#: how many of each kind are shown
LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An interaction that a CRM refused."""

    line: Line
    connection: str
    note: str
    #: the actions that were refused, with the CRM's own words
    actions: tuple[StoryAction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """The page."""

    refused: tuple[Refused, ...]
    unreadable: tuple[tuple[Received, RawShown], ...]
    unconnected: tuple[Line, ...]
    #: messages of ours that were refused, may not have left, or did not arrive
    messages: tuple[Queued, ...]
    #: what cannot work at all: the policy, channels, connections
    problems: tuple[tuple[str, str], ...]

    @property
    def is_empty(self) -> bool:
        return not (self.refused or self.unreadable or self.unconnected or self.messages or self.problems)


async def attention(visit: Visit) -> Response:
    """GET /console/{project}/attention"""
    live, t = visit.project, visit.t
    link = card_link(visit.services, live.name)
    at_vendors = [
        (name, text) for (project, name), text in visit.services.channel_problems.items() if project == live.name
    ]

    def read(conn: Connection) -> Attention:
        refused = []
        for item in work.attention(conn, live.name, LIMIT):
            story = load_story(conn, live, item.interaction_id, link)
            if story is None:
                continue
            chapter = next((found for found in story.chapters if found.connection == item.connection), None)
            refused.append(
                Refused(
                    line=line_of_story(story, t),
                    connection=item.connection,
                    note=item.note,
                    actions=chapter.failed if chapter else (),
                )
            )
        failed = inbox.list_received(
            conn, project=live.name, statuses=(InboxStatus.UNREADABLE, InboxStatus.FAILED), limit=LIMIT
        )
        lone = [load_story(conn, live, found.id, link) for found in figures.unconnected(conn, live.name, LIMIT)]
        problems = [(t("nav.policy"), live.problem)] if live.problem else []
        return Attention(
            refused=tuple(refused),
            unreadable=tuple((item, raw_shown(item)) for item in failed),
            unconnected=tuple(line_of_story(story, t) for story in lone if story is not None),
            messages=tuple(outgoing.list_troubled(conn, live.name, LIMIT)),
            problems=(*problems, *live.problems.items(), *at_vendors),
        )

    model = await visit.services.store.read(read)
    return page("console/attention.html", await visit.frame("attention"), model)


async def read_again(visit: Visit) -> Response:
    """POST /console/{project}/attention/read-again: read a request anew, for instance with a newer plugin (H11)."""
    live, now, text = visit.project, visit.services.clock.now(), visit.field("id")
    chosen = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def mark(conn: Connection) -> None:
        failed = inbox.list_received(
            conn, project=live.name, statuses=(InboxStatus.UNREADABLE, InboxStatus.FAILED), limit=10_000
        )
        ids = [item.id for item in failed if chosen is None or item.id == chosen]
        if ids:
            inbox.mark(conn, ids, InboxStatus.NEW, now=now)

    await visit.services.store.write(mark)
    visit.services.intake.wake()
    visit.services.sweep()
    return to(f"/console/{live.name}/attention")


async def replay_all(visit: Visit) -> Response:
    """POST /console/{project}/attention/replay: decide everything on the list anew, in the clients' order (X13)."""
    live, now = visit.project, visit.services.clock.now()

    def reopen(conn: Connection) -> None:
        items = work.attention(conn, live.name, limit=10_000)
        urgency = replay_urgency(len(items))
        for item in items:
            if item.state is WorkState.ATTENTION:
                work.reopen(conn, item.interaction_id, item.connection, now, urgency=urgency)

    await visit.services.store.write(reopen)
    visit.services.sweep()
    return to(f"/console/{live.name}/attention")


async def settle_message(visit: Visit) -> Response:
    """POST /console/{project}/attention/messages: send a message again, or let it rest (W9)."""
    live, id, now = visit.project, visit.field("id"), visit.services.clock.now()
    again = visit.field("what") == "again"
    await visit.services.store.write(lambda conn: outgoing.settle(conn, live.name, id, again=again, now=now))
    if visit.services.composer is not None:
        visit.services.composer.wake()
    return to(f"/console/{live.name}/attention")
