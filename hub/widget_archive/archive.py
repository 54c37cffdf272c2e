"""An archive in memory: its files, and what its manifest, translations and scripts say."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hub.widget_archive.javascript import Script

__all__ = ["ARCHIVE_NAME", "Archive", "line_of", "read_archive", "walk_texts"]

#: the vendor refuses any other name
ARCHIVE_NAME = "widget.zip"
MANIFEST, SCRIPT = "manifest.json", "script.js"
TEXT_SUFFIXES = (".json", ".js", ".css", ".twig", ".svg", ".html", ".txt", ".md")
#: what unpacks to more than this is no widget
MOST_BYTES = 32 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


# no slots: what is read from the files is kept in the instance by cached_property
@dataclass(frozen=True, kw_only=True)
class Archive:
    """Files by path, in the archive's order; nothing is unpacked to disk."""

    files: Mapping[str, bytes]
    #: of the file, as it was given
    name: str = ARCHIVE_NAME
    #: why it could not be read, "" if it could
    problem: str = ""
    #: paths that stand in it more than once
    repeated: tuple[str, ...] = ()

    def text(self, path: str) -> str:
        """A file's text without a BOM; what is not UTF-8 becomes replacement characters; "" if there is none."""
        return self.files.get(path, b"").removeprefix(_BOM).decode("utf-8", "replace")

    def paths(self, *suffixes: str) -> list[str]:
        """The paths that end in one of ``suffixes``."""
        return [path for path in self.files if path.lower().endswith(suffixes)]

    def json(self, path: str) -> Any:
        """A JSON file's value; None if it is missing or unreadable."""
        try:
            return json.loads(self.text(path))
        except ValueError:
            return None

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest; {} if it is missing or unreadable, which is a rule of its own."""
        found = self.json(MANIFEST)
        return found if isinstance(found, dict) else {}

    @property
    def widget(self) -> Mapping[str, Any]:
        """The manifest's block ``widget``."""
        found = self.manifest.get("widget")
        return found if isinstance(found, dict) else {}

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """As they are declared."""
        found = self.manifest.get("locations")
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()

    @cached_property
    def places(self) -> frozenset[str]:
        """The locations without ``-0`` and ``-1``."""
        return frozenset(one.removesuffix("-0").removesuffix("-1") for one in self.locations)

    @cached_property
    def locales(self) -> tuple[str, ...]:
        """The declared languages."""
        found = self.widget.get("locale")
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()

    @cached_property
    def texts(self) -> Mapping[str, Mapping[str, str]]:
        """Of each declared language that can be read: ``group.key`` -> text."""
        found = {}
        for locale in self.locales:
            value = self.json(f"i18n/{locale}.json")
            if isinstance(value, dict):
                found[locale] = dict(walk_texts(value))
        return found

    @cached_property
    def scripts(self) -> Mapping[str, Script]:
        """The JavaScript files, taken apart."""
        return {path: Script(self.text(path)) for path in self.paths(".js")}

    def line(self, path: str, *needles: str) -> int | None:
        """The line of the first needle that ``path`` holds."""
        text = self.text(path)
        for needle in needles:
            found = line_of(text, needle)
            if found is not None:
                return found
        return None

    def line_at(self, path: str, dotted: str) -> int | None:
        """The line of a JSON file's key, by its path from the root: each key is looked for after the one before."""
        text, place = self.text(path), 0
        for key in dotted.split("."):
            place = text.find(f'"{key}"', place)
            if place < 0:
                return None
        return text.count("\n", 0, place) + 1


def walk_texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of nested objects by its dotted path; a leaf that is no text is given as its JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk_texts(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def line_of(text: str, needle: str) -> int | None:
    """The line that ``needle`` first stands in, counted from 1."""
    place = text.find(needle)
    return None if place < 0 else text.count("\n", 0, place) + 1


def read_archive(content: bytes, name: str = ARCHIVE_NAME) -> Archive:
    """The archive in ``content``. Never raises for what it holds: a rule names what cannot be read."""
    files: dict[str, bytes] = {}
    repeated: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > MOST_BYTES:
                return Archive(files={}, name=name, problem=f"it unpacks to more than {MOST_BYTES >> 20} MB")
            for entry in packed.infolist():
                if entry.is_dir():
                    continue
                if entry.filename in files:
                    repeated.append(entry.filename)
                files[entry.filename] = packed.read(entry)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError) as err:
        return Archive(files={}, name=name, problem=str(err) or type(err).__name__)
    return Archive(files=files, name=name, repeated=tuple(repeated))
