"""The panel in a card, its buttons, and the settings, in the account's page against a real hub (U1, X1, R2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator

from hub.store import work
from tests.browser.client import CALLER, HOSTILE, call, know
from tests.browser.small import widget
from tests.browser.stage import IRINA, OLEG, Stage, stage
from tests.browser.tab import Tab, until
from tests.browser.test_popups import POLICY, popup, shows, streaming
from tests.end_to_end.world import USERS

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.end_to_end]

#: Irina leads; whoever is rung is rung at any hour
HEADED = POLICY.replace('roles = ["senior"]', 'roles = ["senior", "head"]').replace(
    "working_hours = true", "working_hours = false"
)
ANSWERED = {
    "connected_with": "examplecom_oleg",
    "disposition": "ANSWERED",
    "billsec": "62",
    "duration": "71",
    "waiting": "9",
    "has_recording": "1",
    "recording_wav": "https://app.ringostat.com/recordings/a.wav",
}


@pytest_asyncio.fixture(loop_scope="session")
async def scene(tmp_path: Path, chromium: Browser) -> AsyncIterator[Stage]:
    async with stage(tmp_path, chromium, policy=HEADED) as found:
        found.install()
        yield found


def panel(tab: Tab) -> Locator:
    return tab.page.locator(".crmhub-panel")


async def talked(scene: Stage) -> None:
    """The client talked with Oleg, and everything about it is written."""
    await call(scene, "after", **ANSWERED)
    await settled(scene)


async def settled(scene: Stage, count: int = 1) -> None:
    """Wait until so many interactions are finished or need attention."""

    async def ended() -> bool:
        states = scene.running.services.store.read_now(work.count_states)
        return sum(n for (_, state), n in states.items() if state in ("finished", "attention")) >= count

    await until(ended)


async def text_of(tab: Tab) -> str:
    """What is read in the panel: it stands in a shadow root."""
    parts = await panel(tab).locator(".crmhub-root").all_inner_texts()
    return "\n".join(parts)


async def says(tab: Tab, *texts: str) -> str:
    """Wait until the panel holds all of ``texts``."""

    async def held() -> str:
        found = await text_of(tab)
        return found if all(text in found for text in texts) else ""

    found: str = await until(held, what=f"{texts} in the panel")
    return found


async def test_the_card_shows_what_the_hub_knows_of_the_client(scene: Stage) -> None:
    """U1: on contact and deal alike: history with its recording, responsible and why; a stranger's card says so."""
    contact, deal = know(scene, "oleg")
    await talked(scene)
    tab = await scene.open(OLEG, f"/contacts/detail/{contact}")
    await tab.open_panel()
    await says(tab, "Яна Орлова", "Олег Громов")
    assert await panel(tab).locator('.crmhub-event[data-kind="call"]').count() == 1
    await panel(tab).locator(".crmhub-player__play").first.wait_for()
    await tab.go(f"/leads/detail/{deal}")
    await tab.open_panel()
    await says(tab, "Яна Орлова", "Олег Громов")
    stranger = scene.crm.person("create_company", name="Никто", phone="+380671112200")["id"]
    await tab.go(f"/companies/detail/{stranger}")
    await tab.open_panel()
    await panel(tab).locator(".crmhub-quiet:visible").wait_for()
    assert await panel(tab).locator(".crmhub-part_head").count() == 0
    await tab.go("/contacts/add/")
    assert await panel(tab).count() == 0


async def test_why_it_went_so_unfolds_in_the_card(scene: Stage) -> None:
    """X1: one sentence, and the whole of it by a click."""
    contact, _ = know(scene, "oleg")
    await talked(scene)
    tab = await scene.open(OLEG, f"/contacts/detail/{contact}")
    await tab.open_panel()
    await says(tab, "Олег Громов")
    reason = panel(tab).locator(".crmhub-because_main")
    before = len(await reason.inner_text())
    await reason.locator("summary").click()

    async def is_told() -> bool:
        return len(await reason.inner_text()) > before + 100

    await until(is_told)


async def test_taking_a_client_changes_the_crm_and_the_next_forwarding_answer(scene: Stage) -> None:
    """U1, R2: the popup's button; contact and open deal are hers."""
    contact, deal = know(scene, "oleg")
    assert await scene.forwarding(CALLER) == "examplecom_oleg"
    irina = await scene.open(IRINA)
    await streaming(irina)
    await call(scene, "before")
    await call(scene, "forwarded", connected_with="examplecom_irina")
    await shows(irina, "ringing")
    await popup(irina).locator('[data-act="take"]').click()

    async def is_taken() -> bool:
        records = scene.crm.records()
        owners = {
            one["responsible_user_id"]
            for one in (*records["contacts"], *records["leads"])
            if one["id"] in (contact, deal)
        }
        return owners == {int(USERS["irina"])}

    await until(is_taken)
    await until(lambda: _forwards_to(scene, "examplecom_irina"), 2)


async def _forwards_to(scene: Stage, destination: str) -> bool:
    return await scene.forwarding(CALLER) == destination


async def test_a_hub_that_is_down_is_one_quiet_line_until_it_is_back(scene: Stage) -> None:
    contact, _ = know(scene, "oleg")
    await talked(scene)
    await scene.stop_hub()
    tab = await scene.open(OLEG, f"/contacts/detail/{contact}")
    await tab.open_panel()
    line = panel(tab).locator(".crmhub-quiet")
    await line.wait_for()
    assert await line.count() == 1
    assert len(await text_of(tab)) < 120
    await scene.start_hub()
    know(scene, "oleg")
    await panel(tab).get_by_text("Олег Громов").first.wait_for(timeout=60_000)
    assert not await line.is_visible()
    assert await tab.harness("loads") == 1


async def test_hostile_names_in_a_card_are_text(scene: Stage) -> None:
    contact, _ = know(scene, "oleg", name=HOSTILE, deal="<svg onload=window.owned=1>")
    await talked(scene)
    tab = await scene.open(OLEG, f"/contacts/detail/{contact}")
    await tab.open_panel()
    await says(tab, "<img src=x", "<svg onload")
    width = await panel(tab).evaluate("one => [one.scrollWidth, one.clientWidth]")
    assert width[0] <= width[1]


async def test_a_refused_token_is_one_line_and_the_next_is_good(scene: Stage) -> None:
    """A page whose clock is wrong, or an integration whose key was changed: said, and mended without a reload."""
    contact, _ = know(scene, "oleg")
    await talked(scene)
    scene.crm.switch(token_age_seconds=7200)
    tab = await scene.open(OLEG, f"/contacts/detail/{contact}")
    await tab.open_panel()
    await panel(tab).locator(".crmhub-quiet").wait_for()
    scene.crm.switch(token_age_seconds=0)
    await tab.advance_clock(26 * 60)
    await tab.go("/dashboard/")
    await tab.go(f"/contacts/detail/{contact}")
    await tab.open_panel()
    await says(tab, "Олег Громов")


async def test_the_settings_ask_for_the_hub_and_are_saved(scene: Stage) -> None:
    scene.install(settings={"hub_address": "http://127.0.0.1:1"})
    tab = await scene.open(IRINA, "/settings/widgets/")
    await tab.open_settings()
    await tab.page.fill(".modal [name=hub_address]", scene.address + "/")
    assert await tab.press(".js-widget-save") == "saved"
    await streaming(tab)
    assert tab.strangers, "it asked the address that was entered"
    tab.strangers.clear()
    await tab.reload()
    await streaming(tab)


async def test_switching_the_widget_off_leaves_nothing_behind(scene: Stage) -> None:
    scene.crm.remove_widget("crm_hub")
    scene.install(widget(), code="other")
    bare = await (await scene.open(IRINA, "/settings/widgets/")).footprint()
    scene.install()
    tab = await scene.open(IRINA, "/settings/widgets/")
    await streaming(tab)
    await tab.open_settings()
    assert await tab.press(".js-widget-uninstall") == "saved"
    await until(lambda: tab.harness("openStreams() === 0"))
    assert await tab.footprint() == bare
    assert (await tab.calls())[-1] == "destroy=true"


async def test_the_settings_page_is_drawn_by_itself(scene: Stage) -> None:
    tab = await scene.open(IRINA, "/advanced_settings/crm_hub")
    area = tab.page.locator("#work-area-crm_hub")
    await area.get_by_text("Олег Громов").first.wait_for()
    assert await area.locator("input[type=checkbox]").count() >= 5
