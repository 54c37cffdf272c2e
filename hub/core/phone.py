"""Phone numbers: E.164 everywhere inside, whatever people and vendors type (C4).

`phonenumbers` decides what a number is. Because it takes 50 to 120 µs, and the forwarding answer and the import of a
directory ask for nothing else, international digits are first tried against the same metadata directly; a
differential test holds both ways equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NewType

import phonenumbers

__all__ = ["Phone", "mask_phone", "parse_phone"]

#: E.164 with the plus: ``+380981234567``
Phone = NewType("Phone", str)

_SHORTEST, _LONGEST = 5, 17
_INTERNATIONAL = re.compile(r"(\+?)([1-9][0-9]{7,14})", re.ASCII)
_NON_GEOGRAPHIC = "001"
#: trunk prefixes of the past that people still write before the national number: ``8 068 729 00 73``
_OLD_TRUNK = {"UA": "8"}
#: any of them will do; clients have the first two, and they are tried in this order
_TYPES = (
    "mobile",
    "fixed_line",
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)


@lru_cache(maxsize=16384)
def parse_phone(text: str, region: str, *, eight_is_seven: bool = False) -> Phone | None:
    """The number that ``text`` means to someone in ``region`` (ISO 3166, such as ``UA``), or None.

    ``098…``, ``38098…``, ``0038098…``, ``8 098…`` and ``+380 98 …`` are one number in UA (C4). With
    ``eight_is_seven``, 11 digits that begin with 8 are read as +7 (W7). Extensions are dropped. Total on any text.
    """
    bare = text.strip()
    if (found := _INTERNATIONAL.fullmatch(bare)) and not (eight_is_seven and len(bare) == 11 and bare[0] == "8"):
        plus, digits = found.groups()
        if (plus or _is_read_as_international(digits, region)) and _is_valid(digits):
            return Phone(f"+{digits}")
    return _ask_library(bare, region, eight_is_seven=eight_is_seven)


def mask_phone(phone: str) -> str:
    """``phone`` for a log: the country and the last two digits stay readable."""
    return phone if len(phone) < 7 else f"{phone[:4]}***{phone[-2:]}"


def _ask_library(text: str, region: str, *, eight_is_seven: bool) -> Phone | None:
    digits = "".join(str(int(char)) for char in text if char.isdecimal())
    if not _SHORTEST <= len(digits) <= _LONGEST:
        return None
    has_plus = text.startswith(("+", "＋"))
    if eight_is_seven and len(digits) == 11 and digits.startswith("8") and not has_plus:
        return Phone(f"+7{digits[1:]}")
    candidates = [text] if has_plus else [text, f"+{digits}"]
    if digits.startswith("00") and not has_plus:
        # where 00 is not the region's own international prefix, as in RU
        candidates[1:] = [f"+{digits[2:]}"]
    trunk = _OLD_TRUNK.get(region)
    if trunk and digits.startswith(f"{trunk}0") and not has_plus:
        candidates.append(digits.removeprefix(trunk))
    for candidate in candidates:
        try:
            parsed = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(parsed) and phonenumbers.is_valid_number(parsed):
            return Phone(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return None


# --- the fast path ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    """One pattern of numbers; ``lengths`` () means any."""

    pattern: re.Pattern[str]
    lengths: tuple[int, ...]

    def fits(self, national: str) -> bool:
        return (not self.lengths or len(national) in self.lengths) and self.pattern.fullmatch(national) is not None


@dataclass(frozen=True, slots=True)
class _Region:
    """What the library's metadata say of one region's national numbers."""

    code: str
    leading: re.Pattern[str] | None
    general: _Kind | None
    kinds: tuple[_Kind, ...]
    national_prefix: re.Pattern[str] | None
    international_prefix: re.Pattern[str] | None

    def knows(self, national: str) -> bool:
        return (
            self.general is not None and self.general.fits(national) and any(kind.fits(national) for kind in self.kinds)
        )


def _is_valid(digits: str) -> bool:
    """True if ``digits`` after a plus are certainly a valid number that the library leaves as it is."""
    for length in (3, 2, 1):
        regions = _regions_of(digits[:length])
        if regions:
            national = digits[length:]
            prefix = regions[0].national_prefix
            if not national or national[0] == "0" or (prefix and prefix.match(national)):
                return False
            for region in regions:
                if region.leading:
                    if region.leading.match(national):
                        return region.knows(national)
                elif region.knows(national):
                    return True
            return False
    return False


def _is_read_as_international(digits: str, region: str) -> bool:
    """True if someone in ``region`` certainly means the region's own country code by the first of ``digits``."""
    own = _region(region)
    if own is None or own.general is None or not digits.startswith(own.code):
        return False
    if own.international_prefix and own.international_prefix.match(digits):
        return False
    national = digits[len(own.code) :]
    if own.national_prefix and own.national_prefix.match(national):
        return False
    pattern = own.general.pattern
    return pattern.fullmatch(digits) is None and pattern.fullmatch(national) is not None


@lru_cache(maxsize=2048)
def _regions_of(code: str) -> tuple[_Region, ...]:
    """The regions that share a country code, the main one first; () if it is none."""
    names = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    found = [_region(name) for name in names if name != _NON_GEOGRAPHIC]
    return tuple(region for region in found if region is not None)


@lru_cache(maxsize=512)
def _region(name: str) -> _Region | None:
    data: Any = phonenumbers.PhoneMetadata.metadata_for_region(name, None)
    if data is None:
        return None
    kinds = (_kind(getattr(data, kind)) for kind in _TYPES)
    return _Region(
        code=str(data.country_code),
        leading=re.compile(data.leading_digits) if data.leading_digits else None,
        general=_kind(data.general_desc),
        kinds=tuple(kind for kind in kinds if kind is not None),
        national_prefix=re.compile(data.national_prefix_for_parsing) if data.national_prefix_for_parsing else None,
        international_prefix=re.compile(data.international_prefix) if data.international_prefix else None,
    )


def _kind(desc: Any) -> _Kind | None:
    if desc is None or not desc.national_number_pattern:
        return None
    return _Kind(re.compile(desc.national_number_pattern), tuple(desc.possible_length))
