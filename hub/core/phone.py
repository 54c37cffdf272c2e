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

__all__ = ["Phone", "mask_phone", "parse_phone", "phone_text"]

#: E.164 with the plus: ``+380981234567``
Phone = NewType("Phone", str)

_SHORTEST, _LONGEST = 5, 17
#: longer texts hold no number that anybody wrote, and would only be remembered
_LONGEST_TEXT = 250
_INTERNATIONAL = re.compile(r"(\+?)([1-9][0-9]{7,14})", re.ASCII)
_NON_GEOGRAPHIC = "001"
#: countries whose people write their numbers in these groups; `widget/lib/format.js` has the same
_GROUPED = re.compile(r"\+(380|375|994|996|998|7)(\d{2,3})(\d{3})(\d{2})(\d{2})", re.ASCII)
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


def parse_phone(text: str, region: str, *, eight_is_seven: bool = False) -> Phone | None:
    """The number that ``text`` means to someone in ``region`` (ISO 3166, such as ``UA``), or None.

    ``098…``, ``38098…``, ``0038098…``, ``8 098…`` and ``+380 98 …`` are one number in UA (C4). With
    ``eight_is_seven``, 11 digits that begin with 8 are read as +7 (W7). Extensions are dropped. Total on any text.
    """
    # almost all are digits of the region's own country: one pattern says that they are a whole number as they stand
    if _own(region).match(text) and not (eight_is_seven and text[0] == "8"):
        return Phone(text if text[0] == "+" else f"+{text}")
    if len(text) > _LONGEST_TEXT:
        return None
    return _parse(text, region, eight_is_seven)


@lru_cache(maxsize=16384)
def _parse(text: str, region: str, eight_is_seven: bool) -> Phone | None:
    bare = text.strip()
    if (found := _INTERNATIONAL.fullmatch(bare)) and not (eight_is_seven and len(bare) == 11 and bare[0] == "8"):
        plus, digits = found.groups()
        if (plus or _is_read_as_international(digits, region)) and _is_valid(digits):
            return Phone(f"+{digits}")
    return _ask_library(bare, region, eight_is_seven=eight_is_seven)


def mask_phone(phone: str) -> str:
    """``phone`` for a log: the country and the last two digits stay readable."""
    return phone if len(phone) < 7 else f"{phone[:4]}***{phone[-2:]}"


def phone_text(phone: str) -> str:
    """``phone`` for people, in groups as the widget writes it: ``+380 98 123 45 67``; others stay as they are."""
    found = _GROUPED.fullmatch(phone)
    return f"+{' '.join(found.groups())}" if found else phone


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
class _Region:
    """What the library's metadata say of one region's national numbers."""

    leading: re.Pattern[str] | None
    #: a valid national number, whatever its kind
    valid: re.Pattern[str]
    national_prefix: re.Pattern[str] | None
    #: digits that certainly begin with the region's own country code for someone there
    international: re.Pattern[str]


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
                        return region.valid.match(national) is not None
                elif region.valid.match(national):
                    return True
            return False
    return False


def _is_read_as_international(digits: str, region: str) -> bool:
    """True if someone in ``region`` certainly means the region's own country code by the first of ``digits``."""
    own = _region(region)
    return own is not None and own.international.match(digits) is not None


@lru_cache(maxsize=512)
def _own(name: str) -> re.Pattern[str]:
    """What `_is_read_as_international` and `_is_valid` say of digits of the region's own country, in one pattern.

    Regions that share a code (+7, +1) are asked in the library's order: what leads to one before is not this one's.
    Matches nothing where one before cannot be told by its leading digits, or the region is none.
    """
    region, code = _region(name), phonenumbers.country_code_for_region(name)
    sharing = _regions_of(str(code))
    if region is None or region not in sharing:
        return re.compile("(?!)")
    earlier = [one.leading for one in sharing[: sharing.index(region)]]
    elsewhere = "".join(f"(?!{leading.pattern})" for leading in earlier if leading)
    if None in earlier:
        return re.compile("(?!)")
    leading = f"(?={region.leading.pattern})" if region.leading else ""
    prefix = f"(?!{sharing[0].national_prefix.pattern})" if sharing[0].national_prefix else ""
    return re.compile(
        rf"(?=\+?[1-9][0-9]{{7,14}}\Z)(?:\+|(?={region.international.pattern})){code}"
        rf"(?!0){prefix}{elsewhere}{leading}{region.valid.pattern}"
    )


@lru_cache(maxsize=2048)
def _regions_of(code: str) -> tuple[_Region, ...]:
    """The regions that share a country code, the main one first; () if it is none."""
    names = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    found = [_region(name) for name in names if name != _NON_GEOGRAPHIC]
    return tuple(region for region in found if region is not None)


@lru_cache(maxsize=512)
def _region(name: str) -> _Region | None:
    data: Any = phonenumbers.PhoneMetadata.metadata_for_region(name, None)
    if data is None or data.general_desc is None or not data.general_desc.national_number_pattern:
        return None
    kinds = [desc for desc in (getattr(data, kind) for kind in _TYPES) if desc and desc.national_number_pattern]
    general, prefix = _whole(data.general_desc), data.national_prefix_for_parsing
    abroad, code = data.international_prefix, data.country_code
    # one pattern each: the machine of `re` goes through ten kinds faster than Python asks one
    return _Region(
        leading=re.compile(data.leading_digits) if data.leading_digits else None,
        valid=re.compile(f"(?={general})(?:{'|'.join(map(_whole, kinds))})" if kinds else "(?!)"),
        national_prefix=re.compile(prefix) if prefix else None,
        international=re.compile(
            (f"(?!{abroad})" if abroad else "")
            # what is a whole number without the code may be meant so
            + f"(?!(?:{data.general_desc.national_number_pattern})\\Z){code}"
            + (f"(?!{prefix})" if prefix else "")
            + f"(?:{data.general_desc.national_number_pattern})\\Z"
        ),
    )


def _whole(desc: Any) -> str:
    """The pattern of one kind of numbers from the first digit to the last, with the lengths that it may have."""
    pattern = f"(?:{desc.national_number_pattern})\\Z"
    lengths = "|".join(f".{{{length}}}" for length in desc.possible_length)
    return f"(?=(?:{lengths})\\Z){pattern}" if lengths else pattern
