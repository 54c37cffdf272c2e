"""Tries a widget that somebody published in the stand-in: ``python -m tests.browser.try_widget ARCHIVE_OR_FOLDER``.

For looking by hand: says which rules it breaks, walks it through the screens, prints its callbacks, what it asked for
and what it did wrong, and leaves pictures beside the report. Nothing of it enters this repository.
"""

from __future__ import annotations

import asyncio
import collections
import sys
import tempfile
from pathlib import Path

from hub.widget_archive import Archive, check_archive, read_archive
from tests.browser.account_page import REFUSED
from tests.browser.stage import IRINA, stage
from tests.web.console_scene import browser

CODE = "tried"


def _read(place: Path) -> Archive:
    if place.is_file():
        return read_archive(place.read_bytes())
    files = {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}
    return Archive(files={path: content for path, content in files.items() if not path.startswith(".git")})


async def _try(archive: Archive, pictures: Path) -> list[str]:
    said: list[str] = []
    async with browser() as chromium:
        with tempfile.TemporaryDirectory() as data:
            async with stage(Path(data), chromium, with_hub=False) as scene:
                scene.pages.upload(archive, code=CODE, settings={}, is_checked=False)
                contact = scene.crm.person("create_contact", name="Анна Котова", phone="+380501112233")["id"]
                lead = scene.crm.person("create_lead", name="Ассам", contact_id=contact)["id"]
                tab = await scene.open(IRINA)
                said.append(f"dashboard: {await tab.calls(CODE)}")
                for number, path in enumerate(
                    (f"/leads/detail/{lead}", f"/contacts/detail/{contact}", "/leads/list/", "/contacts/list/contacts/",
                     "/settings/widgets/", f"/advanced_settings/{CODE}")
                ):  # fmt: skip
                    before = len(await tab.calls(CODE))
                    await tab.go(path)
                    await asyncio.sleep(0.5)
                    said.append(f"{path}: {(await tab.calls(CODE))[before:]}")
                    if "/settings/widgets/" in path:
                        await tab.open_settings(CODE)
                        said.append(f"settings: {(await tab.calls(CODE))[-1:]}")
                    await tab.page.screenshot(path=pictures / f"{number}.png")
                    if "/settings/widgets/" in path:
                        await tab.page.click(".modal-body__close")
                if await tab.page.evaluate("code => Boolean(APP.widgets.list[code])", CODE):
                    await tab.remove(CODE)
                said.append(f"after it was switched off: {await tab.footprint()}")
                for name in ("writes", "unknown", "scripts", "errors", "notifications"):
                    said.append(f"{name}: {await tab.harness(name)}")
                said.append(f"asked: {await tab.harness('requests.map(one => one.method + ` ` + one.url)')}")
                said.append(f"console: {tab.console}")
                said.append(f"third origins: {tab.strangers}")
                scene.tabs.clear()
    return said


def main(place: Path, pictures: Path) -> None:
    """Everything about one widget, on standard output."""
    archive = _read(place)
    found = check_archive(archive)
    counted = collections.Counter(one.rule for one in found)
    lines = [f"{len(archive.files)} files; broken rules: {dict(counted)}"]
    lines += [f"  amoCRM would refuse it: {one.place}: {one.fault.problem}" for one in found if one.rule in REFUSED]
    pictures.mkdir(parents=True, exist_ok=True)
    lines += asyncio.run(_try(archive, pictures))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp()))
