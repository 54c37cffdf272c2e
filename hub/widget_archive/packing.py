"""From the widget's folder to ``widget.zip``: the same bytes each time."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import hub
from hub.errors import ConfigurationError
from hub.widget_archive.archive import ARCHIVE_NAME, Archive, read_archive
from hub.widget_archive.drawing import render_png

__all__ = ["build_archive", "find_tree", "pack_tree", "write_archive"]

#: drawings: each becomes images/NAME.png
ARTWORK = "artwork"
#: what stands in the folder for us and not for amoCRM
LEFT_OUT = frozenset({ARTWORK, "test", "tests", "README.md", "__init__.py", "__pycache__"})
_WHEN = (1980, 1, 1, 0, 0, 0)


def find_tree() -> Traversable:
    """The widget's folder: carried inside an installed distribution, beside ``hub/`` in a checkout.

    Raises ConfigurationError if there is neither.
    """
    carried = files("hub.widget_archive").joinpath("tree")
    if carried.joinpath("manifest.json").is_file():
        return carried
    beside = Path(hub.__file__).parent.parent / "widget"
    if (beside / "manifest.json").is_file():
        return beside
    raise ConfigurationError(f"the widget's files are neither in the installed hub nor in {beside}")


def build_archive(tree: Traversable | None = None) -> Archive:
    """The archive of ``tree``, images rendered. Raises ConfigurationError if a drawing cannot be rendered."""
    return read_archive(pack_tree(tree or find_tree()))


def pack_tree(tree: Traversable) -> bytes:
    """The zip: names in order, one date, no trace of the machine."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, content in sorted(_collected(tree).items()):
            entry = zipfile.ZipInfo(path, _WHEN)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


def write_archive(content: bytes, place: Path) -> Path:
    """Write the zip to ``place``, or as ``widget.zip`` into that folder; whole or not at all. Raises OSError."""
    target = place / ARCHIVE_NAME if place.is_dir() else place
    fresh = target.with_name(f".{target.name}.new")
    fresh.write_bytes(content)
    return fresh.replace(target)


def _collected(tree: Traversable) -> Mapping[str, bytes]:
    found = dict(_files(tree, ""))
    artwork = tree.joinpath(ARTWORK)
    if artwork.is_dir():
        for drawing in artwork.iterdir():
            if drawing.name.endswith(".svg"):
                png = render_png(drawing.read_text(encoding="utf-8"), drawing.name)
                found[f"images/{drawing.name.removesuffix('.svg')}.png"] = png
    return found


def _files(folder: Traversable, place: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if (not place and entry.name in LEFT_OUT) or entry.name.startswith("."):
            continue
        path = f"{place}{entry.name}"
        found += _files(entry, f"{path}/") if entry.is_dir() else [(path, entry.read_bytes())]
    return found
