"""``hub explain``: the story of one interaction (X1)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from hub.commands.context import console, fail, opened, print_json, the_project
from hub.core.interaction import InteractionId
from hub.language import as_language, translator
from hub.runtime.answer import answer_json, find_answers
from hub.runtime.story import load_story, story_json
from hub.runtime.telling import answer_text, story_text
from hub.store.schema import interaction as interaction_table

__all__ = ["explain", "explain_forwarding", "find_interaction"]


def explain(interaction: str, *, language: str, project: str, as_json: bool) -> None:
    """Print the story of the interaction with this id, or the channel's own id."""
    with opened() as services:
        name = the_project(services, project)
        found = services.store.read_now(lambda conn: find_interaction(conn, name, interaction))
        if found is None:
            raise fail(f"project {name!r} has no interaction {interaction!r}")
        live = services.projects.get(name)
        story = services.store.read_now(lambda conn: load_story(conn, live, found))
        assert story is not None
        if as_json:
            print_json(story_json(story))
        else:
            console.print(story_text(story, translator(language)), markup=False, highlight=False)


def explain_forwarding(text: str, *, language: str, project: str, as_json: bool) -> None:
    """Print why the telephony was told what it was told: by the question's id, the call's, or the caller's number."""
    with opened() as services:
        live = services.projects.get(the_project(services, project))
        found = services.store.read_now(lambda conn: find_answers(conn, live, text))
        if as_json:
            print_json([answer_json(answer) for answer in found])
            return
        t, zone = translator(as_language(language)), live.policy.zone if live.policy else ZoneInfo("UTC")
        said = "\n\n".join(answer_text(answer, t, zone) for answer in found) or t("answer.none")
        console.print(said, markup=False, highlight=False)


def find_interaction(conn: Connection, project: str, text: str) -> InteractionId | None:
    """The interaction whose id, or whose id in its channel, is ``text``; the newest if several channels use it."""
    row = conn.execute(
        select(interaction_table.c.id)
        .where(
            interaction_table.c.project == project,
            (interaction_table.c.id == text) | (interaction_table.c.external_id == text),
        )
        .order_by(interaction_table.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else InteractionId(row[0])
