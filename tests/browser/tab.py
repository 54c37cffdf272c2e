"""A browser tab on the account's page: what a person does there, and what must always hold in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Page, Request

__all__ = ["Tab", "until"]

#: how the browser itself tells of a request that failed; no page can keep it from that
_OWN_WORDS = ("Failed to load resource", "Access to XMLHttpRequest", "net::ERR_")
CODE = "crm_hub"


async def until(holds: Callable[[], Awaitable[Any]], seconds: float = 90, what: str = "") -> Any:
    """Wait until ``holds`` gives something true, which is returned; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = await holds()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not reached within {seconds} s: {what or holds}; last: {found!r}")
        await asyncio.sleep(0.03)


@dataclass(slots=True)
class Tab:
    """One tab, watched from the first byte on: `check` says whether the widget behaved."""

    page: Page
    account: str
    #: origins that may be asked
    origins: tuple[str, ...]
    console: list[str] = field(default_factory=list)
    #: the browser's own words about requests that failed
    failed: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @classmethod
    async def open(cls, context: BrowserContext, account: str, origins: tuple[str, ...], path: str) -> Tab:
        """A new tab of the browser that ``context`` is, at a path of the account."""
        tab = cls(page=await context.new_page(), account=account, origins=origins)
        tab.page.on("console", lambda message: tab._heard(message))
        tab.page.on("pageerror", lambda error: tab.console.append(f"uncaught: {error}"))
        tab.page.on("request", lambda request: tab._asked(request))
        await tab.page.goto(f"{account}{path}")
        await tab.ready()
        return tab

    async def ready(self) -> None:
        """Wait until every widget of the page was loaded."""
        await self.page.wait_for_function("window.__harness && window.__harness.isReady", timeout=60_000)

    # --- what a person does ---------------------------------------------------------------------------------------

    async def go(self, path: str) -> None:
        """Move inside the page, without a reload."""
        await self.page.evaluate("path => window.__harness.go(path)", path)

    async def reload(self) -> None:
        await self.page.reload()
        await self.ready()

    async def open_settings(self, code: str = CODE) -> None:
        await self.page.evaluate("code => { window.__harness.openSettings(code); }", code)

    async def press(self, selector: str) -> str:
        """Press Save, Install or Uninstall in the window of settings: saved, refused, or what is missing."""
        await self.page.click(f".modal {selector}")
        answer: str = await self.page.evaluate("() => window.__harness.saving")
        return answer

    async def click_phone(self, value: str) -> int:
        """Click a number anywhere in the CRM; gives how many widgets offer to call it."""
        offers: int = await self.page.evaluate("value => window.__harness.clickPhone(value)", value)
        return offers

    async def remove(self, code: str = CODE) -> None:
        """The administrator switched the widget off."""
        await self.page.evaluate("code => window.__harness.remove(code)", code)

    async def set_theme(self, theme: str) -> None:
        await self.page.evaluate("theme => window.__harness.setTheme(theme)", theme)

    async def advance_clock(self, seconds: float) -> None:
        """The page's clock, by which tokens and the list of widgets are kept."""
        await self.page.evaluate("seconds => window.__harness.advanceClock(seconds)", seconds)

    async def open_panel(self, code: str = CODE) -> None:
        """Open the widget's box in the right column, if it is closed."""
        body = self.page.locator(f".card-widgets__widget-{code} .card-widgets__widget__body")
        if not await body.evaluate("one => one.classList.contains('js-body-hide')"):
            await self.page.click(f".card-widgets__widget-{code} .js-widget-caption-block")

    # --- what is seen ---------------------------------------------------------------------------------------------

    async def calls(self, code: str = CODE) -> list[str]:
        """Callbacks of a widget in their order: ``render=true``."""
        found: list[str] = await self.page.evaluate(
            """code => window.__harness.calls.filter(one => one.widget === code)
                 .map(one => one.callback + '=' + one.returned)""",
            code,
        )
        return found

    async def harness(self, expression: str) -> Any:
        """A value of the record: ``harness("writes")``."""
        return await self.page.evaluate(f"() => window.__harness.{expression}")

    async def footprint(self) -> Any:
        return await self.page.evaluate("() => window.__harness.footprint()")

    async def check(self) -> None:
        """What holds for every widget on every page, always."""
        assert self.console == []
        assert self.strangers == [], "the widget asks a third origin"
        told = await self.page.evaluate(
            """() => ({
                 writes: window.__harness.writes, unknown: window.__harness.unknown, scripts: window.__harness.scripts,
                 errors: window.__harness.errors, blocking: window.__harness.requests.filter(one => one.isSync),
                 owned: Boolean(window.owned) || document.title === 'owned',
                 look: window.__harness.changedLook(),
                 globals: Object.keys(window).filter(one => !window.__harness.globals.includes(one)) })"""
        )
        theme_changed = told.pop("look")
        assert told == {
            "writes": [], "unknown": [], "scripts": [], "errors": [], "blocking": [], "owned": False, "globals": [],
        }  # fmt: skip
        assert theme_changed == [], "the CRM's own controls look different"

    async def close(self) -> None:
        """Check, then close."""
        try:
            await self.check()
        finally:
            await self.page.close()

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and message.text.startswith(_OWN_WORDS):
            self.failed.append(message.text)
        else:
            self.console.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        url = request.url
        if url.startswith(("http:", "https:", "ws:", "wss:")) and not url.startswith(self.origins):
            self.strangers.append(url)
