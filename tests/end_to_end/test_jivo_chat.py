"""A chat on the site, from the operator's click to the CRM and back (J1, J9)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox
from hub_jivo.sandbox import Agent, Cabinet, Visitor
from sqlalchemy import Connection

from hub.compose import Hub
from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.language import translator
from hub.runtime.story import Story, load_story
from hub.runtime.telling import summary
from hub.store import interactions, projects
from hub.web.app import build_app
from hub.web.server import serve_forever
from tests.end_to_end.world import CRM, EMPLOYEES, PROJECT, World, preset, world

OLEG = Agent(id=3141, name="Олег Громов", email="oleg@nordtea.example")
ANNA = Agent(id=3142, name="Анна Котова", email="anna@nordtea.example")
MARIA = Visitor(number=9012, name="Мария", phone="050 111-22-33")

POLICY = (
    """
[project]
region = "UA"
time_zone = "Europe/Kyiv"
language = "ru"

[tasks.answer]
text = "Ответить: {{ text }}"
due = "15m"

[[matrix]]
name = "chat"
when = { kind = "chat" }
deal = "create"

[[matrix]]
name = "offline message"
when = { kind = "message", direction = "inbound" }
deal = "create"
tasks = [{ task = "answer", assignees = ["responsible"] }]
"""
    + EMPLOYEES
)


@dataclass
class Shop:
    """A company with a chat on its site."""

    company: World
    cabinet: Cabinet

    @property
    def deals(self) -> list[dict[str, Any]]:
        return list(self.company.records()["leads"])

    @property
    def contacts(self) -> list[dict[str, Any]]:
        return list(self.company.records()["contacts"])

    def told(self) -> str:
        """What the journal says of the newest interaction (X1)."""
        services = self.company.hub.services
        live = services.projects.get(PROJECT)

        def read(conn: Connection) -> Story | None:
            return load_story(conn, live, interactions.journal(conn, PROJECT)[0].id)

        story = services.store.read_now(read)
        assert story is not None
        return summary(story, translator("ru"))

    @property
    def notes(self) -> list[str]:
        return [str(note["params"].get("text", "")) for note in self.company.records()["notes"]]


@asynccontextmanager
async def shop(
    tmp_path: Path, amocrm: tuple[Sandbox, str], *, policy: str = POLICY, **settings: str
) -> AsyncIterator[Shop]:
    """The hub over HTTP, with a Jivo channel whose cabinet knows the address."""
    async with world(tmp_path, *amocrm, policy=policy) as company:
        hook = await _open_channel(company.hub, settings)
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(
            serve_forever(build_app(company.hub.services), "127.0.0.1", 0, ready=found.set_result)
        )
        try:
            port = await found
            yield Shop(company, Cabinet(agents=(OLEG, ANNA), hook=f"http://127.0.0.1:{port}{hook}"))
        finally:
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await server


async def _open_channel(hub: Hub, settings: dict[str, str]) -> str:
    services = hub.services
    channel = await services.store.write(
        lambda conn: projects.add_channel(
            conn,
            services.cipher,
            project=PROJECT,
            name="site",
            source="jivo",
            settings=settings,
            now=services.clock.now(),
        )
    )
    await services.projects.reload()
    return f"/hooks/{PROJECT}/site/{channel.secret}"


async def test_chat_makes_contact_and_deal_when_the_operator_takes_it_and_nothing_more_at_its_end(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    async with shop(tmp_path, amocrm) as scene:
        story = scene.cabinet.open(MARIA, "Есть в наличии?", utm={"source": "google", "medium": "cpc"})
        panel = await scene.cabinet.accept(story, OLEG)
        assert panel["custom_data"][0]["content"] == "Новый клиент"
        await scene.company.settled(1)
        assert [deal["responsible_user_id"] for deal in scene.deals] == [8800102]
        scene.cabinet.write(story, OLEG, "Да, две")
        await scene.cabinet.finish(story, rate="positive")
        await scene.company.until(lambda: scene.company.unread() == 0)
        await scene.company.settled(1)
        assert (len(scene.contacts), len(scene.deals)) == (1, 1)
        assert scene.told().startswith("Мария пишет в чате, отвечает Олег Громов.")
        assert scene.cabinet.problems == []


async def test_returning_visitor_is_known_to_the_operator_and_gets_no_second_deal(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J1: name, responsible, open deals and the card; J9: the chat goes into the open deal."""
    async with shop(tmp_path, amocrm) as scene:
        first = scene.cabinet.open(MARIA, "Есть в наличии?")
        await scene.cabinet.accept(first, OLEG)
        await scene.company.settled(1)
        await scene.cabinet.finish(first)
        again = scene.cabinet.open(Visitor(number=9012), "Это снова я")
        panel = await scene.cabinet.accept(again, ANNA)
        shown = {row["title"]: row["content"] for row in panel["custom_data"]}
        assert shown["Клиент"] == "Мария"
        assert shown["Ответственный"] == "Олег Громов"
        assert "Сделка" in shown
        assert f"/contacts/detail/{scene.contacts[0]['id']}" in panel["crm_link"]
        assert panel["contact_info"]["phone"] == "+380501112233", "the visitor did not tell it this time"
        await scene.cabinet.bind(again)
        await scene.company.settled(2)
        assert (len(scene.contacts), len(scene.deals)) == (1, 1)
        assert scene.cabinet.problems == []


async def test_number_that_is_left_later_reaches_the_contact_that_was_made(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J4: no second contact; first within the chat, then outside of any."""
    async with shop(tmp_path, amocrm) as scene:
        story = scene.cabinet.open(Visitor(number=77, name="Ирина"), "Сколько стоит?")
        await scene.cabinet.accept(story, OLEG)
        await scene.company.settled(1)
        await scene.cabinet.introduce(story, phone="+380 67 999 88 77")
        await scene.company.until(lambda: "380679998877" in str(scene.contacts))
        await scene.cabinet.change_client(Visitor(number=77, name="Ирина", email="iryna@example.org"), OLEG)
        await scene.company.until(lambda: "iryna@example.org" in str(scene.contacts))
        assert (len(scene.contacts), len(scene.deals)) == (1, 1)


async def test_events_twice_and_in_the_wrong_order_make_one_deal(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """A9, X5: the log arrives before anybody heard that the chat was taken."""
    async with shop(tmp_path, amocrm) as scene:
        scene.cabinet.holds, scene.cabinet.doubles = True, 1.0
        story = scene.cabinet.open(MARIA, "Есть в наличии?")
        await scene.cabinet.accept(story, OLEG)
        scene.cabinet.write(story, OLEG, "Да")
        await scene.cabinet.finish(story)
        await scene.cabinet.release()
        await scene.company.settled(1)
        await scene.company.until(lambda: scene.company.unread() == 0)
        await scene.company.settled(1)
        assert (len(scene.contacts), len(scene.deals)) == (1, 1)


async def test_chat_waits_for_its_end_where_the_channel_says_so(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with shop(tmp_path, amocrm, decide_at="finished") as scene:
        story = scene.cabinet.open(MARIA, "Есть в наличии?")
        await scene.cabinet.accept(story, OLEG)
        await scene.company.until(lambda: scene.company.unread() == 0)
        assert scene.deals == []
        scene.cabinet.write(story, OLEG, "Да")
        await scene.cabinet.finish(story)
        await scene.company.settled(1)
        assert len(scene.deals) == 1


async def test_offline_message_makes_a_task(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with shop(tmp_path, amocrm) as scene:
        await scene.cabinet.leave_message(MARIA, "Перезвоните мне")
        await scene.company.settled(1)
        assert [task["text"] for task in scene.company.records()["tasks"]] == ["Ответить: Перезвоните мне"]


async def test_new_kind_of_event_is_kept_and_answered(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """Issue 4: not an error page."""
    async with shop(tmp_path, amocrm) as scene:
        reply = await scene.cabinet.send({"event_name": "chat_transferred", "chat_id": 1})
        assert reply == {"result": "ok"}
        await scene.company.until(lambda: scene.company.unread() == 0)
        assert scene.cabinet.problems == []


async def test_preset_of_the_shop_keeps_the_whole_chat_as_a_note_of_the_deal_that_its_beginning_made(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J1, J9, X3: jivo-shop as it ships; the operator's click makes contact and deal, the end brings the transcript."""
    async with shop(tmp_path, amocrm, policy=preset("jivo-shop")) as scene:
        story = scene.cabinet.open(MARIA, "Есть в наличии?", utm={"source": "google", "medium": "cpc"})
        await scene.cabinet.accept(story, OLEG)
        await scene.company.settled(1)
        assert [deal["responsible_user_id"] for deal in scene.deals] == [8800102]
        scene.cabinet.write(story, OLEG, "Да, две")
        await scene.cabinet.finish(story)
        await scene.company.until(lambda: any("Да, две" in note for note in scene.notes))
        [note] = [text for text in scene.notes if "Да, две" in text]
        assert [line[6:] for line in note.splitlines()] == ["Мария: Есть в наличии?", "Олег Громов: Да, две"]
        assert (len(scene.contacts), len(scene.deals)) == (1, 1)


async def test_number_of_another_client_does_not_lose_what_else_is_told(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J4: whose card was changed is told by the visitor's number, not by a telephone number that somebody else has."""
    async with shop(tmp_path, amocrm) as scene:
        await scene.cabinet.leave_message(Visitor(number=5, name="Пётр", phone="+380671112233"), "Перезвоните")
        await scene.company.settled(1)
        story = scene.cabinet.open(Visitor(number=77, name="Ирина"), "Сколько стоит?")
        await scene.cabinet.accept(story, OLEG)
        await scene.company.settled(2)
        told = Visitor(number=77, name="Ирина", phone="+380671112233", email="iryna@example.org")
        await scene.cabinet.change_client(told, OLEG)
        await scene.company.until(lambda: "iryna@example.org" in str(scene.contacts))


async def test_end_of_a_chat_in_a_deal_that_was_won_meanwhile_makes_no_other(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """J9, A14: what comes late is decided on the deal that was open when the chat began."""
    async with shop(tmp_path, amocrm) as scene:
        first = scene.cabinet.open(MARIA, "Есть в наличии?")
        await scene.cabinet.accept(first, OLEG)
        await scene.company.settled(1)
        await scene.cabinet.finish(first)
        second = scene.cabinet.open(MARIA, "Ещё вопрос")
        await scene.cabinet.accept(second, OLEG)
        await scene.company.settled(2)
        scene.company.sandbox.person("close_lead", id=scene.deals[0]["id"], won=True)
        services = scene.company.hub.services
        account = services.accounts[PROJECT, CRM]
        changes = await account.session.search(Identity(phones=(Phone("+380501112233"),)))
        await services.directory.fold_async(PROJECT, CRM, changes, services.clock.now())
        scene.cabinet.write(second, OLEG, "Да")
        await scene.cabinet.finish(second)
        await scene.company.until(lambda: scene.company.unread() == 0)
        await scene.company.until(lambda: "Да" in str(services.store.read_now(_newest)))
        await scene.company.settled(2)
        assert len(scene.deals) == 1


def _newest(conn: Connection) -> object:
    return interactions.journal(conn, PROJECT)[0].interaction
