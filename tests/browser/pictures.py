"""Pictures of the widget in every state and look, in the stand-in of amoCRM's page: for ``scripts/screenshots``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from hub.store import work
from tests.browser.client import HOSTILE, call, know
from tests.browser.stage import IRINA, Stage, stage
from tests.browser.tab import Tab, until
from tests.end_to_end.world import preset

__all__ = ["take_pictures"]

#: name -> (language, theme, width, height, is the column narrow)
LOOKS: Mapping[str, tuple[str, str, int, int, bool]] = {
    "light-ru": ("ru", "light", 1280, 860, False),
    "dark-uk": ("uk", "dark", 1280, 860, False),
    "narrow-en": ("en", "light", 1024, 720, True),
    "dark-en": ("en", "dark", 1440, 900, False),
}
POLICY = preset("car-dealer").replace('roles = ["senior"]', 'roles = ["senior", "head"]')
OTHER = "380671112233"
LONG = {"billsec": "754", "duration": "771", "waiting": "17", "disposition": "ANSWERED", "has_recording": "1",
        "recording_wav": "https://app.ringostat.com/recordings/a.wav", "utm_source": "google", "utm_medium": "cpc",
        "utm_campaign": "Чай оптом", "connected_with": "examplecom_irina"}  # fmt: skip


class _Album:
    """One open tab per look, all of the same employee; every state is taken in each."""

    def __init__(self, scene: Stage, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.tabs: dict[str, Tab] = {}

    async def open(self, path: str) -> None:
        for look, (language, theme, width, height, is_narrow) in LOOKS.items():
            self.scene.pages.boot |= {"language": language, "theme": theme}
            tab = await self.scene.open(IRINA, path, viewport={"width": width, "height": height}, locale=language)
            if is_narrow:
                await tab.page.evaluate("() => document.body.classList.add('narrow')")
            self.tabs[look] = tab
            await until(lambda tab=tab: tab.harness("streams.some(one => one.readyState === 1)"))  # type: ignore[misc]

    async def go(self, path: str) -> None:
        for tab in self.tabs.values():
            await tab.go(path)

    async def state(self, name: str, selector: str) -> None:
        """Wait until every tab shows ``selector``, then take its picture."""
        for look, tab in self.tabs.items():
            try:
                await tab.page.locator(selector).first.wait_for(timeout=15_000)
                await asyncio.sleep(0.25)  # its entrance is animated
            except Exception as err:  # noqa: BLE001 - a picture of what stands there instead says more than no picture
                sys.stderr.write(f"{name} {look}: {selector} is not seen ({type(err).__name__})\n")
            await tab.page.screenshot(path=self.folder / f"widget-{name}--{look}.png")

    async def settled(self, count: int) -> None:
        store = self.scene.running.services.store

        async def ended() -> bool:
            states = store.read_now(work.count_states)
            return sum(n for (_, state), n in states.items() if state in ("finished", "attention")) >= count

        await until(ended)


def _call(number: int, **values: Any) -> dict[str, Any]:
    return {"uniqueid": f"ua0_-1785312345.{number}", "connected_with": "examplecom_irina", **values}


async def take_pictures(folder: Path, chromium: Browser) -> None:
    """Every state of popup, panel and settings, in every look, into ``folder``."""
    with tempfile.TemporaryDirectory() as data:
        async with stage(Path(data), chromium, policy=POLICY) as scene:
            scene.install()
            contact, deal = know(scene, "irina")
            album = _Album(scene, folder)
            await album.open("/leads/list/")
            await _popups(scene, album)
            await _cards(scene, album, contact, deal)
            await _settings(scene, album)
            for tab in scene.tabs:
                tab.strangers.clear()  # the player asks where the recording lies


async def _popups(scene: Stage, album: _Album) -> None:
    await call(scene, "before", **_call(1, landing="https://nordtea.example/assam"))
    await call(scene, "forwarded", **_call(1))
    await album.state("popup-ringing", '[data-state="ringing"]')
    await call(scene, "taken", **_call(1))
    await album.state("popup-talking", '[data-state="talking"]')
    await call(scene, "after", **_call(1, **LONG))
    await album.state("popup-ended", '[data-state="ended"]')
    await album.settled(1)
    await call(scene, "before", **_call(2, caller=OTHER))
    await call(scene, "forwarded", **_call(2, caller=OTHER))
    await album.state("popup-unknown", '[data-state="ringing"]')
    await call(scene, "taken", **_call(2, caller=OTHER, connected_with="examplecom_anna"))
    await album.state("popup-answered-by", '[data-state="answered"]')
    missed = {"disposition": "NO ANSWER", "billsec": "0", "duration": "20", "waiting": "20"}
    await call(scene, "forwarded", **_call(3))
    await call(scene, "after", **_call(3, **missed))
    await album.state("popup-missed", '[data-state="missed"]')
    for number in range(4, 9):
        await call(scene, "forwarded", **_call(number, caller=f"38093555{number:04}"))
    await album.state("popup-several", ".crmhub-more")
    for tab in album.tabs.values():
        await tab.page.locator('.crmhub-popup [data-act="minimise"]').first.click()
    await album.state("popup-minimised", ".crmhub-pill")


async def _cards(scene: Stage, album: _Album, contact: int, deal: int) -> None:
    for name, path in (("contact", f"/contacts/detail/{contact}"), ("deal", f"/leads/detail/{deal}")):
        await album.go(path)
        for tab in album.tabs.values():
            await tab.open_panel()
        await album.state(f"panel-{name}", ".crmhub-event")
    for tab in album.tabs.values():
        await tab.page.locator(".crmhub-because_main summary").click()
    await album.state("panel-why", ".crmhub-because_main[open]")
    hostile, _ = know(scene, "irina", name=HOSTILE, phone="380661234567")
    await call(scene, "after", **_call(20, caller="380661234567", **LONG))
    await album.settled(3)
    await album.go(f"/contacts/detail/{hostile}")
    for tab in album.tabs.values():
        await tab.open_panel()
    await album.state("panel-hostile", ".crmhub-event")
    stranger = scene.crm.person("create_company", name="ООО Ромашка", phone="+380671112200")["id"]
    await album.go(f"/companies/detail/{stranger}")
    for tab in album.tabs.values():
        await tab.open_panel()
    await album.state("panel-unknown", ".crmhub-quiet:visible")
    await scene.stop_hub()
    await album.go(f"/contacts/detail/{contact}")
    for tab in album.tabs.values():
        await tab.open_panel()
    await album.state("panel-hub-down", ".crmhub-quiet:visible")
    await scene.start_hub()


async def _settings(scene: Stage, album: _Album) -> None:
    await album.go("/settings/widgets/")
    for tab in album.tabs.values():
        await tab.open_settings()
    await album.state("settings", ".modal .crmhub")
    for tab in album.tabs.values():
        await tab.page.click(".modal-body__close")
    await album.go("/advanced_settings/crm_hub")
    await album.state("settings-page", "#work-area-crm_hub input[type=checkbox]")
