"""Rules about the files of an archive: names, encoding, nothing too much (reference: vendor's "structure" page)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from hub.widget_archive.archive import ARCHIVE_NAME, MANIFEST, SCRIPT, TEXT_SUFFIXES, Archive, walk_texts
from hub.widget_archive.finding import Fault

__all__ = [
    "must_be_readable",
    "must_be_utf8",
    "must_end_lines_with_lf",
    "must_have_its_files",
    "must_have_its_name",
    "must_have_no_bom",
    "must_not_be_wrapped",
    "must_use_its_files",
    "named_files",
    "scripts_in_use",
]

_LITTER = re.compile(r"(^|/)(\.|__MACOSX(/|$)|Thumbs\.db$|desktop\.ini$|node_modules/)")
_NAMED = re.compile(r"[\w./-]+\.(?:js|css|twig|json|png|jpe?g|gif|svg|html|mp3|ogg|woff2?)", re.IGNORECASE)
#: the images that the vendor itself asks for by name
_KNOWN_IMAGE = re.compile(r"images/logo(_main|_medium|_small|_min|_dp)?\.(png|jpe?g|gif)")


def must_have_its_name(archive: Archive) -> Iterator[Fault]:
    if archive.name != ARCHIVE_NAME:
        yield Fault(problem=f"the file is called {archive.name}", mend=f"call it {ARCHIVE_NAME}: amoCRM takes no other")


def must_be_readable(archive: Archive) -> Iterator[Fault]:
    if archive.problem:
        yield Fault(
            problem=f"it cannot be read as a zip: {archive.problem}", mend="build it anew with 'hub widget build'"
        )
    for path in archive.repeated:
        yield Fault(file=path, problem="stands in the archive twice", mend="pack every file once")


def must_not_be_wrapped(archive: Archive) -> Iterator[Fault]:
    if archive.problem:
        return
    deeper = [path for path in archive.files if path.endswith(f"/{MANIFEST}")]
    if MANIFEST not in archive.files and deeper:
        yield Fault(file=deeper[0], problem="the files stand in a folder", mend="pack them at the root of the archive")
    for path in archive.files:
        if path.startswith("/") or "\\" in path or ".." in PurePosixPath(path).parts:
            yield Fault(file=path, problem="the path leads out of the archive", mend="use paths inside of it, with /")


def must_have_its_files(archive: Archive) -> Iterator[Fault]:
    if archive.problem:
        return
    for path in (MANIFEST, SCRIPT):
        if path not in archive.files:
            yield Fault(file=path, problem="is missing", mend="put it at the root of the archive")


def must_have_no_bom(archive: Archive) -> Iterator[Fault]:
    for path in archive.paths(*TEXT_SUFFIXES):
        if archive.files[path][:3] == b"\xef\xbb\xbf" or archive.files[path][:2] in (b"\xff\xfe", b"\xfe\xff"):
            yield Fault(file=path, line=1, problem="begins with a byte order mark", mend="save it as UTF-8 without BOM")


def must_be_utf8(archive: Archive) -> Iterator[Fault]:
    for path in archive.paths(*TEXT_SUFFIXES):
        content = archive.files[path]
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as err:
            line = content.count(b"\n", 0, err.start) + 1
            yield Fault(file=path, line=line, problem=f"byte {err.start} is not UTF-8", mend="save the file as UTF-8")


def must_end_lines_with_lf(archive: Archive) -> Iterator[Fault]:
    for path in archive.paths(*TEXT_SUFFIXES):
        place = archive.files[path].find(b"\r")
        if place >= 0:
            line = archive.files[path].count(b"\n", 0, place) + 1
            yield Fault(file=path, line=line, problem="a line ends with CR", mend="save it with Unix line ends (LF)")


def must_use_its_files(archive: Archive) -> Iterator[Fault]:
    """Used is what the vendor asks for by name, what the manifest names, and what a used script or style names."""
    used = named_files(archive)
    for path in archive.files:
        if _LITTER.search(path):
            yield Fault(file=path, problem="is no part of a widget", mend="leave it out of the archive")
        elif path not in used:
            yield Fault(file=path, problem="nothing uses this file", mend="take it out, or use it")


def named_files(archive: Archive) -> frozenset[str]:
    """Every file that something in the archive names, from the manifest on."""
    used = {MANIFEST, SCRIPT, *(f"i18n/{locale}.json" for locale in archive.locales)}
    used |= {path for path in archive.files if _KNOWN_IMAGE.fullmatch(path)}
    used |= {text.lstrip("/") for _, text in walk_texts(list_as_object(archive.manifest)) if "." in text}
    todo = [SCRIPT, *archive.paths(".html")] if SCRIPT in archive.files else []
    seen: set[str] = set()
    while todo:
        path = todo.pop()
        if path in seen or path not in archive.files:
            continue
        seen.add(path)
        used.add(path)
        names = (
            [one.value for one in archive.scripts[path].strings] if path in archive.scripts else [archive.text(path)]
        )
        for name in (found for text in names for found in _NAMED.findall(text)):
            for candidate in _resolved(path, name):
                if candidate in archive.files:
                    used.add(candidate)
                    if candidate.endswith((".js", ".css", ".twig", ".html")):
                        todo.append(candidate)
    return frozenset(used)


def scripts_in_use(archive: Archive) -> list[str]:
    """The scripts that ``script.js`` reaches, itself first."""
    used = named_files(archive)
    return sorted((path for path in archive.scripts if path in used), key=lambda path: (path != SCRIPT, path))


def _resolved(path: str, name: str) -> Iterator[str]:
    """Where ``name`` may lie: from the root of the archive, or beside the file that names it."""
    yield name.removeprefix("./").lstrip("/")
    parts: list[str] = list(PurePosixPath(path).parent.parts)
    for part in PurePosixPath(name).parts:
        if part == "..":
            if parts:
                parts.pop()
        elif part not in (".", "/"):
            parts.append(part)
    yield "/".join(parts)


def list_as_object(value: object) -> object:
    """Lists as objects by index, so that one walk reaches every text."""
    if isinstance(value, list):
        return {str(index): list_as_object(inner) for index, inner in enumerate(value)}
    if isinstance(value, dict):
        return {key: list_as_object(inner) for key, inner in value.items()}
    return value
