"""Phone numbers: E.164 everywhere inside, whatever people and vendors type (C4)."""

from __future__ import annotations

from typing import NewType

import phonenumbers

__all__ = ["Phone", "mask_phone", "parse_phone"]

#: E.164 with the plus: ``+380981234567``
Phone = NewType("Phone", str)


def parse_phone(text: str, region: str, *, eight_is_seven: bool = False) -> Phone | None:
    """The number that ``text`` means to someone in ``region`` (ISO 3166, such as ``UA``), or None.

    ``098…``, ``38098…`` and ``+380 98 …`` are one number in UA (C4). With ``eight_is_seven``, 11 digits that
    begin with 8 are read as +7 (W7).
    """
    digits = "".join(char for char in text if char.isdigit())
    if not 5 <= len(digits) <= 17:
        return None
    if eight_is_seven and len(digits) == 11 and digits.startswith("8") and not text.strip().startswith("+"):
        return Phone(f"+7{digits[1:]}")
    candidates = [text] if text.strip().startswith("+") else [text, f"+{digits}"]
    for candidate in candidates:
        try:
            parsed = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(parsed) and phonenumbers.is_valid_number(parsed):
            return Phone(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return None


def mask_phone(phone: str) -> str:
    """``phone`` for a log: the country and the last two digits stay readable."""
    return phone if len(phone) < 7 else f"{phone[:4]}***{phone[-2:]}"
