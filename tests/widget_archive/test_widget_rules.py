"""One broken archive per rule and more: what is found, and where (U1, U3)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub.widget_archive import ARCHIVE_NAME, RULES, Archive, check_archive, read_archive
from tests.widget_archive import sample

Files = dict[str, bytes]


def found_in(files: Files, name: str = ARCHIVE_NAME) -> set[tuple[str, str, int | None]]:
    """(rule, file, line) of every finding."""
    archive = read_archive(sample.zipped(files), name)
    return {(one.rule, one.fault.file, one.fault.line) for one in check_archive(archive)}


def test_a_good_archive_breaks_no_rule() -> None:
    assert [(one.rule, one.place, one.fault.problem) for one in check_archive(Archive(files=sample.good()))] == []


# --- how to break one ---------------------------------------------------------------------------------------------


def put(path: str, content: bytes | str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files[path] = content.encode() if isinstance(content, str) else content

    return change


def drop(path: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        del files[path]

    return change


def swap(path: str, old: str, new: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        text = files[path].decode()
        assert old in text
        files[path] = text.replace(old, new).encode()

    return change


def told(*path: str, value: Any) -> Callable[[Files], None]:
    """Another value in the manifest; None takes the key out."""
    return in_json("manifest.json", *path, value=value)


def in_json(file: str, *path: str, value: Any) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        whole = json.loads(files[file])
        inner = whole
        for key in path[:-1]:
            inner = inner[key]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        files[file] = sample.as_json(whole)

    return change


def code(line: str, file: str = "lib/panel.js") -> Callable[[Files], None]:
    """One more line of code, as line 10 of the panel."""
    return swap(
        file, "      document.querySelector('#work-area')", f"      {line}\n      document.querySelector('#work-area')"
    )


def styled(text: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files["style.css"] = text.encode()
        swap("script.js", "body: ''", "body: '', style: 'style.css'")(files)

    return change


@dataclass(frozen=True, slots=True)
class Broken:
    rule: str
    file: str
    line: int | None
    change: Callable[[Files], None]


def also(*changes: Callable[[Files], None]) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        for one in changes:
            one(files)

    return change


BROKEN = [
    Broken("archive-root", "widget/manifest.json", None, lambda files: wrap(files)),
    Broken("archive-root", "../evil.js", None, put("../evil.js", "define([], function () { 'use strict'; });\n")),
    Broken("archive-complete", "script.js", None, drop("script.js")),
    Broken("archive-complete", "manifest.json", None, drop("manifest.json")),
    Broken("archive-unused", "lib/old.js", None, put("lib/old.js", "define([], function () { 'use strict'; });\n")),
    Broken("archive-unused", "images/.DS_Store", None, put("images/.DS_Store", b"\x00")),
    Broken("archive-unused", "images/banner.png", None, put("images/banner.png", sample.picture(10, 10))),
    Broken("text-utf8", "i18n/ru.json", 2, lambda files: put("i18n/ru.json", latin(files["i18n/ru.json"]))(files)),
    Broken("text-bom", "script.js", 1, put("script.js", b"\xef\xbb\xbf" + sample.SCRIPT.encode())),
    Broken("text-lf", "lib/panel.js", 1, put("lib/panel.js", sample.PANEL.replace("\n", "\r\n"))),
    Broken("manifest-json", "manifest.json", None, put("manifest.json", '{"widget": {},}\n')),
    Broken("manifest-keys", "manifest.json", 2, told("widget", "installation", value=None)),
    Broken("manifest-keys", "manifest.json", 5, told("widget", "short_description", value="")),
    Broken("manifest-keys", "manifest.json", 6, told("widget", "version", value="1.0")),
    Broken("manifest-keys", "manifest.json", 8, told("widget", "init_once", value="Y")),
    Broken("manifest-keys", "manifest.json", None, told("locations", value=None)),
    Broken("manifest-unknown", "manifest.json", 14, told("widget", "locales", value=["ru"])),
    Broken("manifest-interface", "manifest.json", 7, told("widget", "interface_version", value=1)),
    Broken("manifest-secret", "manifest.json", 14, told("widget", "secret_key", value="s3cret")),
    Broken("manifest-locale", "manifest.json", 11, also(
        told("widget", "locale", value=["ru", "uk"]), lambda files: moved(files, "i18n/en.json", "i18n/uk.json"),
        told("tour", "tour_images", value={"ru": ["/images/tour_1.png"], "uk": ["/images/tour_1.png"]}))),
    Broken("manifest-locations", "manifest.json", 17, told("locations", value=["everywhere", "lead_card", "settings",
                                                                             "advanced_settings", "lcard-1"])),
    Broken("manifest-locations", "manifest.json", 16, told("locations", value=["everywhere-1", "lcard-1", "settings",
                                                                             "advanced_settings"])),
    Broken("manifest-used", "manifest.json", 20, told("locations", value=["everywhere", "lcard-1", "settings",
                                                                        "advanced_settings", "llist-0"])),
    Broken("manifest-used", "manifest.json", 18, swap("script.js", "settings: function", "adjusting: function")),
    Broken("manifest-blocks", "manifest.json", 19, told("advanced", value=None)),
    Broken("manifest-blocks", "manifest.json", 43, told("sms", value={"endpoint": "https://hub.example/sms"})),
    Broken("manifest-settings", "manifest.json", 22, told("settings", "hub", "type", value="checkbox")),
    Broken("manifest-settings", "manifest.json", 22, told("settings", "hub", "required", value=None)),
    Broken("manifest-texts", "manifest.json", 23, told("settings", "hub", "name", value="settings.address")),
    Broken("manifest-tour", "manifest.json", None, told("tour", value=None)),
    Broken("manifest-tour", "manifest.json", 33, told("tour", "tour_images", "en", value=[])),
    Broken("manifest-tour", "manifest.json", 38, told("tour", "tour_images", "en", value=["/images/tour_2.png"])),
    Broken("i18n-files", "i18n/en.json", None, drop("i18n/en.json")),
    Broken("i18n-files", "i18n/en.json", 1, put("i18n/en.json", "[]\n")),
    Broken("i18n-keys", "i18n/en.json", None, in_json("i18n/ru.json", "panel", "more", value="ещё")),
    Broken("i18n-empty", "i18n/en.json", 16, in_json("i18n/en.json", "panel", "title", value=" ")),
    Broken("i18n-empty", "i18n/en.json", 16, in_json("i18n/en.json", "panel", "title", value=7)),
    Broken("i18n-length", "i18n/en.json", 3, in_json("i18n/en.json", "widget", "name", value="a " * 16)),
    Broken("i18n-length", "i18n/ru.json", 3, in_json("i18n/ru.json", "widget", "name", value="Телефонопереключатель")),
    Broken("i18n-length", "i18n/en.json", 5, in_json("i18n/en.json", "widget", "short_description", value="w " * 26)),
    Broken("i18n-length", "i18n/en.json", 4, in_json("i18n/en.json", "widget", "description", value="<script>")),
    Broken("i18n-asked", "script.js", 14, swap("script.js", "panel.title", "panel.heading")),
    Broken("i18n-asked", "script.js", 13, also(in_json("i18n/en.json", "widget", "call_action", value=None),
                                               in_json("i18n/ru.json", "widget", "call_action", value=None))),
    Broken("image-there", "images/logo_min.png", None, drop("images/logo_min.png")),
    Broken("image-there", "images/logo_dp.png", None, told("locations", value=["digital_pipeline"])),
    Broken("image-size", "images/logo_main.png", None, put("images/logo_main.png", sample.picture(400, 270))),
    Broken("image-size", "images/tour_1.png", None, put("images/tour_1.png", sample.picture(1200, 616))),
    Broken("image-size", "images/logo.png", None, put("images/logo.png", b"GIF89a" + bytes([130, 0, 100, 0]))),
    Broken("image-size", "images/logo.png", None, put("images/logo.png", b"no picture")),
    Broken("image-weight", "images/logo.png", None, put("images/logo.png", sample.picture(130, 100) + bytes(307_201))),
    Broken("script-closed", "lib/panel.js", 16, code("if (phone) {")),
    Broken("script-closed", "lib/panel.js", 9, code("const word = 'never closed;")),
    Broken("script-closed", "lib/panel.js", 9, code("/* never closed")),
    Broken("script-module", "script.js", 1, put("script.js", "(function () {" + sample.SCRIPT + "})();\n")),
    Broken("script-module", "script.js", 1, swap("script.js", "./lib/panel.js", "./lib/panel")),
    Broken("script-module", "script.js", 1, swap("script.js", "'jquery'", "'react'")),
    Broken("script-module", "script.js", 1, swap("script.js", "'jquery'", "'https://hub.example/code'")),
    Broken("script-callbacks", "script.js", None, swap("script.js", "bind_actions", "bindActions")),
    Broken("script-readable", "lib/panel.js", 9, code("phone = phone;" * 30)),
    Broken("script-readable", "lib/panel.js", 9, code("const _0x3fa9 = phone;")),
    Broken("script-strict", "lib/panel.js", 1, swap("lib/panel.js", "'use strict';", "")),
    Broken("script-eval", "lib/panel.js", 9, code("eval(phone);")),
    Broken("script-eval", "lib/panel.js", 9, code("new Function(phone)();")),
    Broken("script-eval", "lib/panel.js", 9, code("setTimeout('place.remove()', 5);")),
    Broken("script-console", "lib/panel.js", 9, code("console.log(phone);")),
    Broken("script-console", "lib/panel.js", 9, code("console.trace(phone);")),
    Broken("script-alert", "lib/panel.js", 9, code("alert(phone);")),
    Broken("script-alert", "lib/panel.js", 9, code("if (window.confirm(title)) { debugger; }")),
    Broken("script-loading", "lib/panel.js", 9, code("document.createElement('script');")),
    Broken("script-loading", "lib/panel.js", 9, code("$.getScript(title);")),
    Broken("script-loading", "lib/panel.js", 9, code("place.title = '<script src=x>';")),
    Broken("script-loading", "lib/panel.js", 9, code("place.title = 'https://hub.example/more.js?v=1';")),
    Broken("script-sync", "lib/panel.js", 9, code("$.ajax({ url: title, async: false });")),
    Broken("script-sync", "lib/panel.js", 9, code("new XMLHttpRequest().open('GET', title, false);")),
    Broken("script-loop", "lib/panel.js", 9, code("[1].forEach(function () { self.$authorizedAjax({}); });")),
    Broken("script-loop", "lib/panel.js", 9, code("for (const one of [1]) { $.ajax(one); }")),
    Broken("script-globals", "lib/panel.js", 9, code("window.APP.data = null;")),
    Broken("script-globals", "lib/panel.js", 9, code("window.crmhub = place;")),
    Broken("script-globals", "lib/panel.js", 9, code("Array.prototype.last = place;")),
    Broken("script-members", "lib/panel.js", 9, code("place.title = APP.secrets;")),
    Broken("script-install", "lib/panel.js", 9, code("document.querySelector('.js-widget-install').click();")),
    Broken("script-install", "lib/panel.js", 9, code("place.className = 'switcher_on';")),
    Broken("script-origin", "lib/panel.js", 9, code("window.parent.postMessage({ phone: phone }, '*');")),
    Broken("script-origin", "lib/panel.js", 9, code("window.addEventListener('message', createPanel);")),
    Broken("script-markup", "lib/panel.js", 9, code("place.innerHTML = title;")),
    Broken("style-root", "style.css", 2, styled(".crmhub a { top: 0 }\na, .crmhub-b { top: 0 }\n")),
    Broken("style-root", "style.css", 1, styled("@media print { .modal-body { top: 0 } }\n")),
    Broken("style-root", "style.css", 1, styled(":root { --crmhub-colour: red }\n")),
    Broken("style-names", "style.css", 1, styled("@keyframes fade { from { top: 0 } }\n")),
    Broken("style-names", "style.css", 2, styled(".crmhub {\n  --colour: red;\n}\n")),
    Broken("style-loading", "style.css", 1, styled("@import 'https://fonts.example/a.css';\n")),
    Broken("style-loading", "style.css", 1, styled(".crmhub { background: url(//hub.example/a.png) }\n")),
]  # fmt: skip


def wrap(files: Files) -> None:
    for path in list(files):
        files[f"widget/{path}"] = files.pop(path)


def moved(files: Files, old: str, new: str) -> None:
    files[new] = files.pop(old)


def latin(content: bytes) -> bytes:
    return content.replace(b'"widget"', b'"widget\xe9"')


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: f"{one.rule} {one.file}:{one.line}")
def test_a_broken_rule_is_named_with_its_place(broken: Broken) -> None:
    files = sample.good()
    assert found_in(files) == set()
    broken.change(files)
    assert (broken.rule, broken.file, broken.line) in found_in(files)


def test_the_name_of_the_archive_is_a_rule() -> None:
    assert found_in(sample.good(), "crm-hub.zip") == {("archive-name", "", None)}


@pytest.mark.parametrize("content", [b"", b"no zip at all", sample.zipped(sample.good())[:-40]])
def test_what_is_no_zip_is_said_and_breaks_nothing_else(content: bytes) -> None:
    archive = read_archive(content)
    assert [one.rule for one in check_archive(archive)] == ["archive-zip"]
    assert check_archive(read_archive(sample.zipped(sample.good()))) == []


def test_a_file_that_stands_there_twice_is_named() -> None:
    import io
    import zipfile

    packed = io.BytesIO(sample.zipped(sample.good()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of just that
        with zipfile.ZipFile(packed, "a") as archive:
            archive.writestr("script.js", sample.SCRIPT)
    found = check_archive(read_archive(packed.getvalue()))
    assert [(one.rule, one.fault.file) for one in found] == [("archive-zip", "script.js")]


def test_every_rule_has_a_broken_archive_here() -> None:
    shown = {broken.rule for broken in BROKEN} | {"archive-name", "archive-zip"}
    assert shown == {rule.name for rule in RULES}


def test_words_in_comments_and_strings_are_no_code() -> None:
    files = sample.good()
    code("place.title = 'eval(1); console.log(2) alert(3)'; // window.APP = 1; debugger")(files)
    code("place.title = `${title} eval(4) ${`console.log(${phone})`}`;")(files)
    assert found_in(files) == set()


def test_a_fault_between_the_parts_of_a_template_is_found() -> None:
    files = sample.good()
    code("place.title = `one ${alert(title)} two`;")(files)
    assert {rule for rule, _, _ in found_in(files)} == {"script-alert"}


def test_a_card_location_needs_no_images_when_it_is_not_declared() -> None:
    files = sample.good()
    told("locations", value=["everywhere", "settings", "advanced_settings"])(files)
    for name in ("logo_min", "logo_medium"):
        del files[f"images/{name}.png"]
    assert found_in(files) == set()


def test_a_jpeg_is_measured_by_its_frame() -> None:
    frame = bytes([0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 0, 0, 0xFF, 0xC0, 0, 11, 8, 0, 100, 0, 130, 1, 1, 0x11, 0])
    files = sample.good()
    del files["images/logo.png"]
    files["images/logo.jpg"] = frame
    assert found_in(files) == set()


def test_each_rule_is_explained_to_people() -> None:
    text = (Path(__file__).parents[2] / "docs/widget.md").read_text(encoding="utf-8")
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.says} | {rule.source} |" in text
