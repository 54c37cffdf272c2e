"""Rules about ``images/``: which there must be, of which size and weight."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from hub.widget_archive.archive import Archive
from hub.widget_archive.finding import Fault

__all__ = ["SIZES", "SLIDE", "must_be_light", "must_be_there", "must_have_their_size", "read_size", "wanted_images"]

#: file -> (width, height) in pixels, exactly
SIZES: Mapping[str, tuple[int, int]] = {
    "logo_main": (400, 272),
    "logo_medium": (240, 84),
    "logo": (130, 100),
    "logo_small": (108, 108),
    "logo_min": (84, 84),
    "logo_dp": (174, 109),
}
SLIDE = (1188, 616)
MOST_BYTES = 300 * 1024
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif")
_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".gif": "GIF"}
_CARDS = frozenset({"lcard", "ccard", "comcard", "cucard"})


def wanted_images(archive: Archive) -> list[str]:
    """Names (without suffix) that the vendor asks for, given the manifest's locations."""
    names = ["logo_main", "logo", "logo_small"]
    if archive.places & _CARDS:
        names += ["logo_medium", "logo_min"]
    if "digital_pipeline" in archive.places:
        names.append("logo_dp")
    return names


def must_be_there(archive: Archive) -> Iterator[Fault]:
    if archive.problem:
        return
    for name in wanted_images(archive):
        if not any(f"images/{name}{suffix}" in archive.files for suffix in SUFFIXES):
            width, height = SIZES[name]
            yield Fault(
                file=f"images/{name}.png", problem="the image is missing", mend=f"add it: {width} x {height} pixels"
            )


def must_have_their_size(archive: Archive) -> Iterator[Fault]:
    for path in archive.paths(*SUFFIXES):
        name, _, suffix = path.rpartition("/")[2].rpartition(".")
        wanted = SLIDE if name.startswith("tour_") else SIZES.get(name)
        found = read_size(archive.files[path])
        if found is None:
            yield Fault(file=path, problem="it is no PNG, JPEG or GIF", mend="save it as one of them")
            continue
        kind, width, height = found
        if kind != _KINDS[f".{suffix.lower()}"]:
            yield Fault(file=path, problem=f"it is a {kind} with another suffix", mend="name it by what it is")
        if wanted is not None and (width, height) != wanted:
            yield Fault(
                file=path,
                problem=f"it has {width} x {height} pixels",
                mend=f"draw it with {wanted[0]} x {wanted[1]}",
            )


def must_be_light(archive: Archive) -> Iterator[Fault]:
    for path in archive.paths(*SUFFIXES, ".svg"):
        size = len(archive.files[path])
        if size > MOST_BYTES:
            yield Fault(file=path, problem=f"it has {size:,} bytes", mend=f"{MOST_BYTES:,} are allowed")


def read_size(content: bytes) -> tuple[str, int, int] | None:
    """(kind, width, height) of a PNG, JPEG or GIF; None for anything else."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR" and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return "PNG", width, height
    if content[:6] in (b"GIF87a", b"GIF89a") and len(content) >= 10:
        width, height = struct.unpack("<HH", content[6:10])
        return "GIF", width, height
    if content[:2] == b"\xff\xd8":
        return _jpeg(content)
    return None


def _jpeg(content: bytes) -> tuple[str, int, int] | None:
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], struct.unpack(">H", content[place + 2 : place + 4])[0]
        # the frame headers; 0xC4, 0xC8 and 0xCC in between are tables
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return "JPEG", width, height
        place += 2 + length
    return None
