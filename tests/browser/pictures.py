"""Pictures of the widget in every state and look, in the stand-in of amoCRM's page: for ``scripts/screenshots``."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from hub.core.interaction import Direction, InteractionId
from hub.core.phone import Phone
from hub.core.popup import Addressee, Popup, PopupKind, PopupState
from hub.core.records import Catalogue, Contact, CrmUser, Deal, EmployeeId, Pipeline, UserId
from hub.core.records import Stage as DealStage
from hub.core.shown import LastContact, Shown, ShownLink
from hub.ports import Changes
from hub.store import bindings, popups, projects, work
from hub.store.bindings import Binding
from hub.store.popups import Told
from hub.web.panel.link import find_panel, sign
from tests.browser.client import HOSTILE, call, know
from tests.browser.stage import IRINA, Stage, stage
from tests.browser.tab import Tab, until
from tests.end_to_end.world import CRM, PROJECT, preset

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
            await _written(scene, album)
            await _popups(scene, album)
            await _cards(scene, album, contact, deal)
            await _settings(scene, album)
            await _panels(scene, chromium, folder)
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


#: what clients write and send: kind, channel, text, and what else is shown of it
WRITTEN: tuple[tuple[PopupKind, str, str, Mapping[str, Any]], ...] = (
    ("chat", "Jivo: nordtea.example", "Добрый день! Есть ли ассам в пачках по 5 кг?", {"is_known": True}),
    ("message", "WhatsApp +380 44 123 45 67", "А доставка во Львов когда? " * 12, {"is_known": True}),
    ("form", "Заявка с сайта", "Товар: Дарджилинг FF\nКоличество: 12 кг", {"page": "nordtea.example/contacts"}),
)


async def _written(scene: Stage, album: _Album) -> None:
    """A chat that rings, a message and a form: what channels other than the telephony make pop up."""
    services, irina = scene.running.services, EmployeeId("irina")
    url = f"{scene.account}/contacts/detail/1"
    jana = ShownLink(connection=CRM, kind="contact", id="1", name="Яна Орлова", url=url)
    for kind, channel, text, more in WRITTEN:
        now = services.clock.now()
        state = PopupState.RINGING if kind == "chat" else PopupState.NEW
        popup = Popup(
            key=f"{kind}-picture",
            kind=kind,
            interaction=InteractionId(f"{kind}-picture"),
            direction=Direction.INBOUND,
            at=now,
            to=(Addressee(employee=irina, state=state, why="responsible" if kind != "form" else "receives_new"),),
            text=text[:300],
        )
        last = LastContact(at=now, kind="call", who=irina)
        shown = Shown(
            client_id="c1", name="Яна Орлова", phone="+380501112233", channel=channel, source="google / cpc",
            responsible=irina, last_contact=last, contact=jana if more.get("is_known") else None, **more,
        )  # fmt: skip
        told = Told(popup=popup, shown=shown)
        await services.store.write(lambda conn, told=told, now=now: popups.put(conn, PROJECT, None, told, now))  # type: ignore[misc]
        services.live.wake()
        await album.state(f"popup-{kind}", f'[data-kind="{kind}"]')
        # closed in one tab it is closed in all of this employee's
        first, *_ = album.tabs.values()
        await first.page.locator(f'[data-kind="{kind}"] [data-act="close"]').first.click()
        for tab in album.tabs.values():
            await tab.page.locator(f'[data-kind="{kind}"]').first.wait_for(state="hidden", timeout=15_000)


async def _panels(scene: Stage, chromium: Browser, folder: Path) -> None:
    """The card as a page in another CRM's frame: full, of a client whom only the CRM knows, refused."""
    services, now = scene.running.services, scene.running.services.clock.now()
    pipeline = Pipeline(id="1", name="Продажи", stages=(DealStage(id="11", name="Переговоры"),))
    user = CrmUser(id=UserId("700001"), name="Ирина Белова", email="irina@nordtea.example")

    def connect(conn: Any) -> None:
        cipher = services.cipher
        projects.add_connection(
            conn, cipher, project=PROJECT, name="zoho", sink="zoho", settings={"data_centre": "eu"}, now=now
        )
        projects.set_catalogue(conn, PROJECT, "zoho", Catalogue(users=(user,), pipelines=(pipeline,)), now)
        bindings.put(conn, PROJECT, "zoho", [Binding(kind="employee", name="irina", value=user.id)])

    await services.store.write(connect)
    await services.projects.reload()
    owner = EmployeeId(f"@{user.id}")
    deal = Deal(
        id="71", name="Ассам, 40 кг", responsible=owner, contact_ids=("5001",), pipeline_id="1", stage_id="11",
        price=12500.0,
    )  # fmt: skip
    known = Contact(id="5001", name="Яна Орлова", phones=(Phone("+380501112233"),), responsible=owner, deal_ids=("71",))
    unheard = Contact(id="5002", name="Мирон Левко", phones=(Phone("+380671112299"),), responsible=owner)
    services.directory.fold(PROJECT, "zoho", Changes(contacts=(known, unheard), deals=(deal,)), now)
    panel = find_panel(services, PROJECT, "zoho")
    assert panel is not None
    for look, (language, theme, width, height, is_narrow) in LOOKS.items():
        context = await chromium.new_context(
            viewport={"width": 420 if is_narrow else width // 2, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            locale=language,
        )
        page = await context.new_page()
        for name, id in (("card", "5001"), ("unheard", "5002"), ("none", "404")):
            await page.goto(scene.address + sign(services, panel, "Contacts", id, EmployeeId("irina"), language))
            await page.screenshot(path=folder / f"panel-page-{name}--{look}.png", full_page=True)
        await page.goto(f"{scene.address}/panel/{PROJECT}/zoho/open?key=guess&lang={language}")
        await page.screenshot(path=folder / f"panel-page-refused--{look}.png", full_page=True)
        await context.close()


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
    await album.state("panel-unknown", ".crmhub-quiet:visible, .crmhub-owner")
    unheard, _ = know(scene, "irina", name="Мирон Левко", deal="Пуэр, 5 кг", phone="380671112299")
    await album.go(f"/contacts/detail/{unheard}")
    for tab in album.tabs.values():
        await tab.open_panel()
    await album.state("panel-unheard", ".crmhub-owner")
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
