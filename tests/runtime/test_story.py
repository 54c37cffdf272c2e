"""The story of an interaction: one structure for console, command line and widget, told in three languages (X1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from hub_amocrm.sandbox import Sandbox, serve

from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.core.revise import StepState
from hub.core.text import Language
from hub.language import LANGUAGES, translator
from hub.runtime.story import Chapter, Person, Story, load_story, story_json
from hub.runtime.telling import outcomes, story_text, summary
from hub.store import codec, forwarding_log, interactions
from hub.store.forwarding_log import ForwardingEntry
from hub.store.work import WorkState
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, World, world

pytestmark = pytest.mark.usefixtures("each_engine")

CALL = {
    "uniqueid": "ua0_-1785312345.4410072",
    "type": "in",
    "calldate": "2026-07-29T11:05:45Z",
    "caller": "380501112233",
    "dst": "380441234567",
    "disposition": "ANSWERED",
    "duration": "71",
    "waiting": "9",
    "billsec": "62",
    "connected_with": "examplecom_irina",
}


def _story(found: World) -> Story:
    live = found.hub.services.projects.get(PROJECT)

    def read(conn: object) -> Story | None:
        newest = interactions.journal(conn, PROJECT)[0]  # type: ignore[arg-type]  # a connection
        link = lambda name, ref: f"https://crm.example/{name}/{ref.kind}/{ref.id}"  # noqa: E731
        return load_story(conn, live, newest.id, link)  # type: ignore[arg-type]  # as above

    story = found.hub.services.store.read_now(read)
    assert story is not None
    return story


async def test_a_story_tells_facts_candidates_winner_actions_answers_and_cost(tmp_path: Path) -> None:
    with serve(Sandbox()) as (sandbox, address):
        async with world(tmp_path, sandbox, address) as found:
            now = found.hub.services.clock.now()
            entry = ForwardingEntry(
                project=PROJECT,
                channel=CHANNEL,
                uuid="q1",
                call_id=CALL["uniqueid"],
                caller=Phone("+380501112233"),
                asked_at=now,
                destination="",
                employee="",
                took=timedelta(microseconds=800),
                age=timedelta(seconds=2),
                explanation=codec.dump_json(
                    {"reason": {"code": "new_client", "requirement": "R5"}, "asked_crm": "too slow"}
                ),
            )
            found.hub.services.store.write_now(lambda conn: forwarding_log.append_many(conn, [entry]))
            await found.webhook("after", CALL)
            await found.settled(1)
            story = _story(found)
            chapter = story.main
            assert chapter is not None
            assert chapter.winner is not None
            assert (chapter.winner.name, chapter.policy_version, chapter.connection) == ("Z1", 1, CRM)
            assert chapter.responsible is not None
            assert chapter.responsible.name == "Ирина Белова"
            assert [(action.kind, action.state) for action in chapter.actions] == [
                ("create_contact", "done"),
                ("create_deal", "done"),
                ("create_task", "done"),
            ]
            assert all(action.card_url.startswith("https://crm.example/amocrm/") for action in chapter.actions)
            assert chapter.passed[0].failed is not None
            assert 0 < story.requests <= 4
            assert [leg.who for leg in story.legs] == ["Ирина Белова"]
            assert [answer.age for answer in story.answers] == [timedelta(seconds=2)]
            assert len(story.received) == 1
            _told_in_every_language(story)
            _tells_the_records(story)
            _tells_every_crm(story, chapter)
            assert orjson.loads(orjson.dumps(story_json(story)))["chapters"][0]["winner"]["name"] == "Z1"


def _told_in_every_language(story: Story) -> None:
    expected: dict[Language, str] = {
        "en": "+380 50 111 22 33 called, Ирина Белова answered; they talked for 1 min 2 s.",
        "ru": "Звонок от клиента: +380 50 111 22 33. Ответил сотрудник: Ирина Белова, разговор 1 мин 2 с.",
        "uk": "Дзвінок від клієнта: +380 50 111 22 33. Відповів співробітник: Ирина Белова, розмова 1 хв 2 с.",
    }
    for language in LANGUAGES:
        t = translator(language)
        assert summary(story, t).replace("\N{NO-BREAK SPACE}", " ").startswith(expected[language])
        text = story_text(story, t)
        assert "Z1" in text
        assert "Z11" in text
        assert t("reason.new_client") in text
        # nothing is left in the words of the code
        assert "reason." not in text
        assert "{" not in text


def _tells_the_records(story: Story) -> None:
    """X1: what the CRM made of each action: its card, or, for a command that has no account open, the record's id."""
    t = translator("en")
    text = story_text(story, t)
    done = [found for chapter in story.chapters for found in chapter.actions if found.record]
    assert done
    assert all(f"[done] {found.card_url}" in text for found in done if found.card_url)
    closed = [
        replace(one, actions=tuple(replace(found, card_url="") for found in one.actions)) for one in story.chapters
    ]
    text = story_text(replace(story, chapters=tuple(closed)), t)
    records = [found.record for found in done if found.record]
    assert all(f"[done] {t(f'record.{one.kind}')} {one.id}" in text for one in records)


def _tells_every_crm(story: Story, chapter: Chapter) -> None:
    """C8: who holds the same is told together, who holds something else beside them, trouble before all."""
    t = translator("en")
    alone = outcomes(story, t)
    assert alone.startswith(f"Written to {CRM}: a new contact, a new deal")
    like = replace(chapter, connection="zoho")
    same = outcomes(replace(story, chapters=(chapter, like)), t)
    assert same == alone.replace(f"to {CRM}:", f"to {CRM}, zoho:")
    less = replace(like, actions=chapter.actions[:1])
    assert f"Written to zoho: {t('did.create_contact')}. Responsible:" in outcomes(
        replace(story, chapters=(chapter, less)), t
    )
    refused = replace(like, actions=(replace(chapter.actions[0], state=StepState.REJECTED, note="no such field"),))
    troubled = outcomes(replace(story, chapters=(chapter, replace(refused, state=WorkState.ATTENTION))), t)
    assert troubled.startswith(f"zoho refused: no such field. Written to {CRM}: ")
    another = replace(like, responsible=Person(id=EmployeeId("olena"), name="Олена Коваль"), candidates=())
    whose = outcomes(replace(story, chapters=(chapter, another)), t)
    assert "zoho: Responsible: Олена Коваль." in whose
    assert f"{CRM}: Responsible: Ирина Белова" in whose


async def test_a_refused_action_tells_the_crms_own_words(tmp_path: Path) -> None:
    with serve(Sandbox()) as (sandbox, address):
        async with world(tmp_path, sandbox, address) as found:
            sandbox.fail_next("POST", "/api/v4/leads/complex", status=400)
            await found.webhook("after", CALL)
            await found.settled(1)
            story = _story(found)
            assert story.main is not None
            assert story.main.failed
            note = story.main.failed[0].note
            assert "400" in note
            for language in LANGUAGES:
                t = translator(language)
                assert t.theirs(note) in summary(story, t)
                assert "400 Ordered by a fault" in t.theirs(note)


async def test_shadow_says_what_would_have_been_written(tmp_path: Path) -> None:
    with serve(Sandbox()) as (sandbox, address):
        async with world(tmp_path, sandbox, address, mode="shadow") as found:
            await found.webhook("after", CALL)
            await found.settled(1)
            told = summary(_story(found), translator("en"))
            assert "Shadow mode, nothing was written; it would have been: a new contact, a new deal" in told
            assert found.records()["contacts"] == []


async def test_another_projects_interaction_is_no_story(tmp_path: Path) -> None:
    with serve(Sandbox()) as (sandbox, address):
        async with world(tmp_path, sandbox, address) as found:
            await found.webhook("after", CALL)
            await found.settled(1)
            live = found.hub.services.projects.get(PROJECT)
            other = replace(live, row=replace(live.row, name="other"))
            store = found.hub.services.store
            newest = store.read_now(lambda conn: interactions.journal(conn, PROJECT)[0])
            assert store.read_now(lambda conn: load_story(conn, other, newest.id)) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_reason_is_shown_as_it_is(language: Language) -> None:
    from hub.core.plan import Reason
    from hub.runtime.telling import reason_text

    told = reason_text(Reason(code="vip_rule", values={"tag": "gold"}), translator(language))
    assert told == "vip_rule (tag: gold)"
