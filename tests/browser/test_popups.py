"""Popups of the real widget in the account's page, against a real hub: who sees them, and when (U1, DESIGN 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator

from hub.widget_archive import Archive
from tests.browser.client import CALLER, HOSTILE, call, know
from tests.browser.small import PLAIN, widget
from tests.browser.stage import ANNA, OLEG, Stage, stage, the_archive
from tests.browser.tab import Tab, until
from tests.end_to_end.world import preset

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.end_to_end]

#: nothing is made in the CRM while popups are looked at
POLICY = preset("car-dealer") + '\n[timing]\nsettle = "100 ms"\n'

FOCUSED_ON_OURS = """() => {
  let one = document.activeElement;
  while (one.shadowRoot) { one = one.shadowRoot.activeElement; }
  return one.className.includes('crmhub');
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def scene(tmp_path: Path, chromium: Browser) -> AsyncIterator[Stage]:
    async with stage(tmp_path, chromium, policy=POLICY) as found:
        found.install()
        yield found


def popup(tab: Tab) -> Locator:
    return tab.page.locator(".crmhub-popup")


async def streaming(*tabs: Tab) -> None:
    """Wait until one of the tabs of one browser has its stream open."""

    async def is_open() -> bool:
        return any([await tab.harness("streams.some(one => one.readyState === 1)") for tab in tabs])

    await until(is_open, what="a stream")


async def shows(tab: Tab, state: str) -> None:
    await popup(tab).and_(tab.page.locator(f'[data-state="{state}"]')).wait_for(timeout=60_000)


async def test_a_ringing_call_pops_up_with_the_right_employee_in_any_section(scene: Stage) -> None:
    """U1: name, deal and stage, source, responsible; in whatever section; and with nobody else."""
    know(scene, "oleg")
    oleg, anna = await scene.open(OLEG, "/leads/list/"), await scene.open(ANNA)
    await streaming(oleg)
    await streaming(anna)
    await call(scene, "before")
    await shows(oleg, "ringing")
    text = await popup(oleg).inner_text()
    for said in ("Яна Орлова", "Ассам, 40 кг", "google", "Олег Громов"):
        assert said in text
    await oleg.go("/settings/widgets/")
    await oleg.page.click("#nav_menu a[href='/dashboard/']")
    assert await popup(oleg).count() == 1
    await scene.running.popups.idle()
    assert await popup(anna).count() == 0


async def test_a_popup_moves_with_the_call_and_ends_with_it(scene: Stage) -> None:
    know(scene, "oleg")
    oleg, anna = await scene.open(OLEG), await scene.open(ANNA)
    await streaming(oleg)
    await streaming(anna)
    await call(scene, "before")
    await shows(oleg, "ringing")
    await call(scene, "forwarded", connected_with="examplecom_anna")
    await shows(anna, "ringing")
    await popup(oleg).wait_for(state="detached")
    await call(scene, "taken", connected_with="examplecom_anna")
    await shows(anna, "talking")
    await call(scene, "after", connected_with="examplecom_anna", disposition="ANSWERED", billsec="62", duration="71")
    await shows(anna, "ended")


async def test_two_tabs_have_one_stream_and_close_together(scene: Stage) -> None:
    know(scene, "oleg")
    context = await scene.browser(OLEG)
    first = await scene.open(path="/dashboard/", context=context)
    second = await scene.open(path="/leads/list/", context=context)
    await streaming(first, second)
    await call(scene, "before")
    await shows(first, "ringing")
    await shows(second, "ringing")
    assert await first.harness("openStreams()") + await second.harness("openStreams()") == 1
    await popup(second).locator('[data-act="close"]').click()
    await popup(first).wait_for(state="detached")
    assert await popup(second).count() == 0


async def test_when_the_leading_tab_closes_another_leads(scene: Stage) -> None:
    know(scene, "oleg")
    context = await scene.browser(OLEG)
    first = await scene.open(context=context)
    await streaming(first)
    second = await scene.open(context=context)
    assert await second.harness("openStreams()") == 0
    await first.close()
    await streaming(second)
    await call(scene, "before")
    await shows(second, "ringing")


async def test_a_restart_of_the_hub_needs_no_reload(scene: Stage) -> None:
    know(scene, "oleg")
    tab = await scene.open(OLEG)
    await streaming(tab)
    await scene.stop_hub()
    await until(lambda: tab.harness("openStreams() === 0"))
    await scene.start_hub()
    know(scene, "oleg")
    await streaming(tab)
    await call(scene, "before")
    await shows(tab, "ringing")
    assert await tab.harness("loads") == 1


async def test_what_a_client_wrote_is_text(scene: Stage) -> None:
    """Markup, ten thousand letters, letters from right to left: nothing runs, nothing leaves its frame."""
    know(scene, "oleg", name=HOSTILE, deal="<script>window.owned = 1</script>" + "Ω" * 500)
    tab = await scene.open(OLEG)
    await streaming(tab)
    await call(scene, "before", utm_source='"><img src=x onerror=window.owned=1>', landing="javascript:window.owned=1")
    await shows(tab, "ringing")
    assert "<img src=x" in await popup(tab).inner_text()
    box = await popup(tab).bounding_box()
    assert box is not None
    assert box["width"] <= 420
    assert box["height"] <= 700
    assert await tab.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


async def test_the_keyboard_reaches_a_popup_and_closes_it(scene: Stage) -> None:
    know(scene, "oleg")
    tab = await scene.open(OLEG)
    await streaming(tab)
    await call(scene, "before")
    await shows(tab, "ringing")
    await tab.page.keyboard.press("Alt+Shift+KeyP")
    await until(lambda: tab.page.evaluate(FOCUSED_ON_OURS))
    await tab.page.keyboard.press("Escape")
    await popup(tab).wait_for(state="detached")


async def test_another_telephony_widget_is_left_alone_and_leaves_us_alone(scene: Stage) -> None:
    know(scene, "oleg")
    neighbour = (
        "APP.widgets.notificationsPhone({ ns: self.ns, click: () => { self.opened = true; } });"
        "self.add_action('phone', clicked => { self.called = clicked.value; });"
        "$(document).on('keydown' + self.ns, event => { self.key = event.which; });"
        "$('body').append('<div class=\"other-popup\">');"
    )
    scene.install(
        widget(callbacks=PLAIN.replace("init: () => true", f"init: () => {{ {neighbour} return true; }}")), code="other"
    )
    tab = await scene.open(OLEG)
    await streaming(tab)
    await call(scene, "before")
    await shows(tab, "ringing")
    await tab.page.keyboard.press("Escape")
    await tab.page.click("#left_menu .calls-list-toggler")
    assert await tab.page.evaluate("() => [APP.widgets.list.other.key, APP.widgets.list.other.opened]") == [27, True]
    await tab.remove("other")
    await tab.go("/leads/list/")
    assert await popup(tab).count() == 1
    await streaming(tab)


async def test_it_goes_without_a_trace(scene: Stage) -> None:
    """What `destroy` leaves is what stood there before the widget came."""
    know(scene, "oleg")
    scene.crm.remove_widget("crm_hub")
    bare = await (await scene.open(OLEG)).footprint()
    scene.install()
    tab = await scene.open(OLEG)
    await streaming(tab)
    await call(scene, "before")
    await shows(tab, "ringing")
    await tab.remove()
    await until(lambda: tab.harness("openStreams() === 0"))
    assert await tab.footprint() == bare


async def test_an_older_archive_in_the_cache_goes_on_working(scene: Stage) -> None:
    know(scene, "oleg")
    tab = await scene.open(OLEG)
    newer = dict(the_archive().files)
    newer["manifest.json"] = newer["manifest.json"].replace(b'"version": "1.0.0"', b'"version": "1.9.0"')
    scene.install(Archive(files=newer))
    await tab.reload()
    assert await tab.page.evaluate("() => APP.widgets.list.crm_hub.get_version()") == "1.0.0"
    await streaming(tab)
    await call(scene, "before")
    await shows(tab, "ringing")
    await tab.advance_clock(31 * 60)
    await tab.reload()
    assert await tab.page.evaluate("() => APP.widgets.list.crm_hub.get_version()") == "1.9.0"
    await shows(tab, "ringing")


async def test_settings_that_come_as_text_are_understood(scene: Stage) -> None:
    know(scene, "oleg")
    scene.install(settings=f'{{"hub_address": "{scene.address}"}}')
    tab = await scene.open(OLEG)
    await streaming(tab)
    await call(scene, "before", caller=CALLER)
    await shows(tab, "ringing")
