"""What the widget does by itself, with a hub that says what the test wants: order, forms, piles, languages (U1, U4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator

from tests.browser.hub_double import HubDouble, ago, call, card, hub_double
from tests.browser.stage import IRINA, OLEG, Stage, stage
from tests.browser.tab import Tab, until
from tests.ports import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.end_to_end]

TEXTS = json.loads((Path(__file__).parents[2] / "widget" / "i18n" / "ru.json").read_text(encoding="utf-8"))


@dataclass(slots=True)
class Front:
    """The account's page with our widget, and its hub."""

    scene: Stage
    hub: HubDouble

    async def listening(self, path: str = "/dashboard/", **options: Any) -> Tab:
        """A new tab; its browser listens to the hub."""
        tab = await self.scene.open(OLEG, path, **options)
        await until(lambda: _true(self.hub.streams), what="a stream")
        return tab

    async def on_card(self) -> tuple[Tab, str]:
        """A tab on a contact's card with the panel open."""
        made = self.scene.crm.person("create_contact", name="Ivan", phone="+380501234567")
        tab = await self.listening(f"/contacts/detail/{made['id']}")
        await tab.open_panel()
        return tab, str(made["id"])


async def _true(value: object) -> bool:
    return bool(value)


@pytest_asyncio.fixture(loop_scope="session")
async def front(tmp_path: Path, chromium: Browser) -> AsyncIterator[Front]:
    async with hub_double(free_port()) as hub, stage(tmp_path, chromium, with_hub=False) as scene:
        scene.port = hub.port
        scene.install()
        yield Front(scene, hub)


def say(key: str, **values: object) -> str:
    """A text of the widget, as far as its first empty place."""
    group, name = key.split(".")
    text: str = TEXTS[group][name]
    for place, value in values.items():
        text = text.replace(f"{{{place}}}", str(value))
    return text.split("{")[0].strip()


def button(tab: Tab, key: str, **values: object) -> Locator:
    return tab.page.get_by_role("button", name=say(key, **values), exact=True)


def popups(tab: Tab) -> Locator:
    return tab.page.locator(".crmhub-popup")


async def shown(tab: Tab, number: int) -> None:
    await until(lambda: _count_is(popups(tab), number), what=f"{number} popups")


async def _count_is(found: Locator, number: int) -> bool:
    return await found.count() == number


async def test_a_stream_that_breaks_is_resumed_with_a_new_ticket(front: Front) -> None:
    tab = await front.listening()
    front.hub.emit("popup", call(), 7)
    await shown(tab, 1)
    front.hub.cut()
    await until(lambda: _true(len(front.hub.opened) == 2), what="the second stream")
    assert (front.hub.opened[-1]["ticket"], front.hub.opened[-1]["after"]) == ("next", "7")
    await until(lambda: _true(front.hub.streams), what="it is open")
    front.hub.emit("popup", call(state="missed"), 7)
    front.hub.emit("popup", call("c2"), 8)
    await shown(tab, 2)
    states = [await one.get_attribute("data-state") for one in await popups(tab).all()]
    assert states == ["ringing", "ringing"], "an event that was seen came twice"


async def test_a_word_that_comes_late_undoes_no_newer_one(front: Front) -> None:
    tab = await front.listening()
    front.hub.emit("popup", call(state="talking", answered_at=ago(seconds=5)), 9)
    front.hub.emit("popup", call(), 8)
    front.hub.emit("popup", call("c2"), 10)
    front.hub.emit("dismiss", {"key": "c2"}, 12)
    front.hub.emit("popup", call("c2"), 11)
    front.hub.emit("popup", call("c3", state="missed"), 13)
    await shown(tab, 2)
    assert [await one.get_attribute("data-key") for one in await popups(tab).all()] == ["c1", "c3"]


async def test_neither_a_card_nor_a_reload_takes_away_what_rings(front: Front) -> None:
    tab = await front.listening()
    front.hub.emit("popup", call(), 5)
    await shown(tab, 1)
    await button(tab, "action.open").click()
    await until(lambda: tab.page.evaluate("() => location.pathname === '/contacts/detail/1'"))
    await shown(tab, 1)
    assert len(front.hub.opened) == 1, "the stream lives on"
    await tab.reload()
    await shown(tab, 1)
    await until(lambda: _true(len(front.hub.opened) == 2))
    assert front.hub.opened[-1]["after"] == "5"


async def test_the_keyboard_reaches_everything_and_an_update_takes_nothing_away(front: Front) -> None:
    tab = await front.listening()
    front.hub.emit("popup", call(), 5)
    await shown(tab, 1)
    assert await popups(tab).get_attribute("role") == "alertdialog"
    await tab.page.keyboard.press("Alt+Shift+P")
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Tab")
    await tab.page.keyboard.press("Enter")
    form = tab.page.locator(".crmhub-when")
    await until(lambda: _count_is(form, 1), what="the form of a task")
    front.hub.emit("popup", call(state="talking", answered_at=ago(seconds=3)), 6)
    await until(lambda: _count_is(tab.page.locator("[data-state=talking]"), 1))
    assert await form.count() == 1
    await tab.page.keyboard.press("Escape")
    assert (await form.count(), await popups(tab).count()) == (0, 1), "Escape closes the form first"
    focused = "() => document.querySelector('.crmhub-popups').shadowRoot.activeElement.dataset.act"
    assert await tab.page.evaluate(focused) == "task"


async def test_an_action_that_failed_is_the_same_one_when_it_is_tried_again(front: Front) -> None:
    tab = await front.listening()
    front.hub.emit("popup", call(), 5)
    await shown(tab, 1)
    front.hub.is_down = True
    await button(tab, "action.take").click()
    note = tab.page.locator(".crmhub-popup .crmhub-note")
    await until(lambda: _true_text(note, say("error.offline")))
    front.hub.is_down = False
    await button(tab, "action.take").click()
    await until(lambda: _true_text(note, "the client is yours"))
    first, second = front.hub.bodies("/clients/77/take")
    assert first == second
    assert first["interaction"] == "i1"
    front.hub.emit("popup", call(can=["open", "task"], company="Other"), 6)
    await until(lambda: _true_text(popups(tab), "Other"))
    assert "the client is yours" in await note.inner_text(), "what was told stays when the popup is told anew"


async def _true_text(found: Locator, text: str) -> bool:
    return await found.count() > 0 and text in await found.first.inner_text()


async def test_the_card_opens_in_one_tab_when_its_manager_answers(front: Front) -> None:
    context = await front.scene.browser(OLEG)
    tabs = [await front.listening(context=context) for _ in range(2)]
    front.hub.emit("popup", call(), 5)
    front.hub.emit("popup", call(state="talking", answered_at=ago()), 6)
    where = "() => location.pathname"

    async def opened() -> list[str]:
        return [path for tab in tabs if (path := await tab.page.evaluate(where)).startswith("/contacts/")]

    await until(opened, what="the card")
    assert await opened() == ["/contacts/detail/1"]


async def test_more_than_three_are_one_pile_that_can_be_put_away(front: Front) -> None:
    tab = await front.listening()
    for number in range(5):
        front.hub.emit("popup", call(f"c{number}", state="missed", at=ago(minutes=number)), 10 + number)
    await shown(tab, 3)
    await button(tab, "popup.more_few", n=2).click()
    await shown(tab, 5)
    await button(tab, "popup.minimise").click()
    pill = button(tab, "popup.waiting_many", n=5)
    assert await pill.is_visible()
    assert not await popups(tab).first.is_visible()
    await tab.reload()
    await until(pill.is_visible, what="put away it stays")


async def test_no_popup_lies_over_save(front: Front) -> None:
    tab, _ = await front.on_card()
    save = tab.page.locator(".button-input_blue").first
    await save.evaluate("one => { one.style.cssText = 'position:fixed;right:30px;bottom:30px'; }")
    front.hub.emit("popup", call(), 5)
    await shown(tab, 1)

    async def apart() -> bool:
        mine, theirs = await tab.page.locator(".crmhub-pile").bounding_box(), await save.bounding_box()
        assert mine
        assert theirs
        return mine["y"] + mine["height"] <= theirs["y"] or mine["x"] + mine["width"] <= theirs["x"]

    await until(apart, what="the pile moves off Save")
    await save.click()


async def test_what_is_half_typed_in_a_card_outlives_news(front: Front) -> None:
    tab, number = await front.on_card()
    await button(tab, "task.complete").click()
    await tab.page.locator(".crmhub-panel textarea").fill("he will come")
    front.hub.answers["GET /card"] = card(tasks=[], why="Now another.")
    front.hub.emit("card", {"entities": [{"entity": "contact", "id": number}]}, 5)
    await until(lambda: _true_text(tab.page.locator(".crmhub-because_main"), "Now another."))
    await button(tab, "task.complete_now").click()
    await until(lambda: _true(front.hub.bodies("/tasks/deal/t1/complete")))
    assert front.hub.bodies("/tasks/deal/t1/complete")[0]["text"] == "he will come"
    await until(lambda: _count_is(tab.page.locator(".crmhub-task"), 0), what="then the news is drawn")


async def test_the_settings_window_checks_the_address_and_says_what_to_do(front: Front) -> None:
    tab = await front.scene.open(IRINA, "/settings/widgets/")
    await tab.open_settings()
    field, note = tab.page.locator("[name=hub_address]"), tab.page.locator(".crmhub-settings .crmhub-note")
    check = button(tab, "settings.check")
    for typed, told in (
        ("ftp://x", say("settings.bad_address")),
        (front.hub.address, say("settings.connected", project="Nord")),
    ):
        await field.fill(typed)
        await check.click()
        await until(partial(_true_text, note, told), what=told)
    front.hub.answers["POST /session"] = (401, {"error": {"code": "token", "message": "Unknown integration."}})
    await check.click()
    await until(lambda: _true_text(note, say("settings.unknown_hint")))
    await field.fill("ftp://x")
    assert await tab.press(".js-widget-save") == "refused"


async def test_a_page_in_ukrainian_has_ukrainian_words(tmp_path: Path, chromium: Browser) -> None:
    async with (
        hub_double(free_port()) as hub,
        stage(tmp_path, chromium, with_hub=False, boot={"language": "uk"}) as scene,
    ):
        scene.port = hub.port
        scene.install()
        front = Front(scene, hub)
        tab = await front.listening()
        hub.emit("popup", call(), 5)
        await shown(tab, 1)
        await until(lambda: _true_text(popups(tab), "Вхідний дзвінок"), what="Ukrainian words")
