"""GET /widget/api/card and why: what the hub shows beside a card of the CRM (U1, X1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from hub.core.heard import Heard
from hub.core.interaction import ClientId, InteractionId
from hub.core.records import RecordKind, RecordRef
from hub.errors import AccessError
from hub.language import Translator
from hub.runtime.card_view import Cards, CardView, is_cursor
from hub.runtime.client_records import Reader, records_of_client
from hub.runtime.story import Chapter, Story, load_story
from hub.runtime.telling import (
    action_text,
    answer_line,
    fact_name,
    fact_value,
    reason_text,
    role_name,
    row_title,
    summary,
    trial_text,
)
from hub.web.widget.ability import abilities_of, record_url
from hub.web.widget.refusal import Refusal
from hub.web.widget.visitor import Visitor

__all__ = ["card", "card_json", "cards_of", "why", "why_sections"]

#: the CRM's words for what a card is of
ENTITIES = {"lead": RecordKind.DEAL, "contact": RecordKind.CONTACT, "company": RecordKind.COMPANY}
_WORDS = {kind.value: word for word, kind in ENTITIES.items()}


def cards_of(visitor: Visitor) -> Cards:
    """Puts cards together for ``visitor``. Raises Refusal while there is no policy."""
    return Cards(
        services=visitor.services,
        live=visitor.project,
        connection=visitor.connection,
        policy=visitor.policy,
        reader=Reader(employee=visitor.employee, is_admin=visitor.is_admin),
        t=visitor.t,
        url=record_url(visitor.services, visitor.project, visitor.connection),
        abilities=abilities_of(visitor.services, visitor.project, visitor.employee),
    )


async def card(visitor: Visitor) -> Response:
    """One page of the card's history with everything that stands beside it; no CRM is asked."""
    kind = ENTITIES.get(visitor.query("entity"))
    if kind is None:
        raise Refusal("bad_field", field="entity")
    id = visitor.query("id")
    if not id or len(id) > 64:
        raise Refusal("bad_field", field="id")
    before = visitor.query("before")
    if before and not is_cursor(before):
        raise Refusal("bad_field", field="before")
    cards, ref = cards_of(visitor), RecordRef(kind=kind, id=id)
    try:
        view = await visitor.services.store.read(lambda conn: cards.card(conn, ref, before=before))
    except AccessError:
        raise Refusal("colleagues_client") from None
    return JSONResponse(card_json(view))


def card_json(view: CardView) -> dict[str, Any]:
    """The card as the seam has it: times in UTC, the CRM's words for entities, links that are empty left out."""
    told: dict[str, Any] = asdict(view)
    age, first = told.pop("age"), told.pop("first_at")
    told["attribution"] = dict(view.attribution) | ({"first_at": first} if first else {})
    told["age_seconds"] = None if age is None else round(age.total_seconds())
    for task in told["tasks"]:
        task["entity"] = _WORDS.get(task["entity"], task["entity"])
    for one in told["interactions"]:
        for part in (one, *one["legs"]):
            if not part["recording"]:
                del part["recording"]
    plain: dict[str, Any] = _plain(told)
    return plain


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


async def why(visitor: Visitor) -> Response:
    """GET /interactions/{id}/why: the explanation of X1 in one sentence, and what stands behind it."""
    id, live = InteractionId(visitor.path("id")), visitor.project
    cards = cards_of(visitor)

    def read(conn: Connection) -> Story | None:
        story = load_story(conn, live, id)
        if story is None:
            return None
        records = records_of_client(conn, visitor.services, live, visitor.connection, ClientId(story.client.id))
        now = visitor.services.clock.now()
        heard = Heard(story.interaction, cards.policy, now)
        if records is None or heard.is_private:
            return None
        if not records.allows(cards.reader, "read", cards.policy, now, heard.channel):
            raise Refusal("colleagues_client")
        return story

    story = await visitor.services.store.read(read)
    if story is None:
        raise Refusal("not_found")
    public = visitor.services.settings.public_url
    return JSONResponse(
        {
            "sentence": summary(story, visitor.t),
            "lines": [
                {"title": title, "items": [{"text": text, "tone": tone} for text, tone in items]}
                for title, items in why_sections(story, visitor.t)
            ],
            "link": f"{public}/console/{live.name}/interactions/{id}",
        }
    )


def why_sections(story: Story, t: Translator) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The explanation in parts, each a title and lines with their tone."""
    for answer in story.answers:
        lines = [(answer_line(answer.destination, answer.person.name if answer.person else "", t), "plain")]
        if answer.reason:
            lines.append((reason_text(answer.reason, t, answer.names), "plain"))
        yield t("story.forwarding"), lines
    for chapter in story.chapters:
        yield from _chapter(chapter, story, t)


def _chapter(chapter: Chapter, story: Story, t: Translator) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    names = chapter.names
    candidates = [
        (
            f"{names.get(one.employee, one.employee)} ({role_name(one.role, t)}): {reason_text(one.reason, t, names)}",
            "good" if one.is_chosen else "plain",
        )
        for one in chapter.candidates
    ]
    if candidates:
        yield t("story.candidates"), candidates
    rules = (
        [(t("story.winner", name=row_title(chapter.title, t) or chapter.winner.name), "good")] if chapter.winner else []
    )
    rules += [(t("story.rule", name=rule.name), "good") for rule in chapter.rules]
    rules += [(f"{trial.name}: {trial_text(trial, t, names)}", "plain") for trial in chapter.passed[:12]]
    if rules:
        yield t("story.policy", version=chapter.policy_version, author=chapter.policy_author), rules
    facts = [
        (f"{fact_name(one.name, t)}: {fact_value(one.name, one.value, t, names)}", "plain") for one in chapter.facts
    ]
    if facts:
        yield t("story.facts"), facts
    actions = []
    for one in chapter.actions:
        stands = t(f"step.{one.state.value}") if one.state else t("step.none")
        said = f"{action_text(one, t, story.zone, names)} [{stands}]: {reason_text(one.action.reason, t, names)}"
        actions.append((said, "bad" if one.is_failed else "plain"))
    if actions:
        yield t("story.actions"), actions
