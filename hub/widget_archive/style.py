"""Rules about the styles: nothing of ours may change how the CRM's own page looks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.widget_archive.archive import Archive
from hub.widget_archive.finding import Fault

__all__ = ["OWN", "must_load_nothing_else", "must_name_what_is_ours", "must_stay_under_our_root"]

#: how every id, class, variable and animation of ours begins
OWN = "crmhub"
_INSIDE = re.compile(r"@(?:media|supports|container|layer)\b")
_NAMED = re.compile(r"@(?:-webkit-)?keyframes\s+(?P<name>[\w-]+)")
#: the CRM's own mark of its dark theme may stand before our root
_OURS = re.compile(rf"(?:html\[data-color-scheme[^\]]*\] )?(?:[a-z]+)?(?:[.#]{OWN}[\w-]*|:host\b|\[data-{OWN}[^\]]*\])")


def must_stay_under_our_root(archive: Archive) -> Iterator[Fault]:
    for path, line, selector in _selectors(archive):
        if not _OURS.match(selector):
            yield Fault(
                file=path,
                line=line,
                problem=f"the selector {selector!r} may meet the CRM's own elements",
                mend=f"begin it with our root: .{OWN}… or #{OWN}…",
            )


def must_name_what_is_ours(archive: Archive) -> Iterator[Fault]:
    for path, text in _styles(archive):
        for found in _NAMED.finditer(text):
            if not found["name"].startswith(OWN):
                yield _at(path, text, found.start(), f"the animation {found['name']!r} is not ours by its name")
        for found in re.finditer(r"(?<![\w-])--(?!palette-)(?P<name>[\w-]+)\s*:", text):
            if not found["name"].startswith(OWN):
                yield _at(path, text, found.start(), f"the variable '--{found['name']}' is not ours by its name")
        for found in re.finditer(r"switcher_o(?:n|ff)\b", text):
            yield _at(path, text, found.start(), "uses switcher_on or switcher_off")


def must_load_nothing_else(archive: Archive) -> Iterator[Fault]:
    for path, text in _styles(archive):
        for found in re.finditer(r"@import\b|@font-face\b|url\(\s*['\"]?(?:https?:)?//", text):
            yield Fault(
                file=path,
                line=text.count("\n", 0, found.start()) + 1,
                problem=f"loads from elsewhere: {found[0]}",
                mend="carry it in the archive",
            )


def _at(path: str, text: str, place: int, problem: str) -> Fault:
    return Fault(file=path, line=text.count("\n", 0, place) + 1, problem=problem, mend=f"begin the name with {OWN}")


def _styles(archive: Archive) -> Iterator[tuple[str, str]]:
    """Each style sheet with its comments blanked out."""
    for path in archive.paths(".css"):
        yield path, re.sub(r"/\*.*?\*/", lambda one: re.sub(r"[^\n]", " ", one[0]), archive.text(path), flags=re.DOTALL)


def _selectors(archive: Archive) -> Iterator[tuple[str, int, str]]:
    """(file, line, selector) of every rule, those inside @media too; the steps of an animation are none."""
    for path, text in _styles(archive):
        nested: list[bool] = []
        start = 0
        for found in re.finditer(r"[{};]", text):
            head = text[start : found.start()]
            if found[0] == "{":
                bare = head.strip()
                line = text.count("\n", 0, start + len(head) - len(head.lstrip())) + 1
                is_outside = all(nested)
                nested.append(bool(_INSIDE.match(bare)))
                if is_outside and bare and not bare.startswith("@"):
                    for selector in re.split(r",(?![^(]*\))", bare):
                        yield path, line, " ".join(selector.split())
            elif found[0] == "}" and nested:
                nested.pop()
            start = found.end()
