"""One record's parameters, asked for by meaning instead of by name (R1: the mapping is policy)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from hub.core.phone import Phone, parse_phone
from hub.errors import PayloadError
from hub.ports import ChannelConfig

from .config import Meaning, RingostatSettings, ZoneOfTimes

__all__ = ["Parameters", "Party", "parse_party"]

_HIDDEN = frozenset(
    {"anonymous", "hidden", "private", "restricted", "unavailable", "unknown", "withheld", "none", "null"}
)
_CALLER_ID = re.compile(r'^\s*"?(?P<name>[^"<]*)"?\s*<(?P<core>[^<>]*)>\s*$')
_NUMBER = re.compile(r"^\+?[\d\s().\-/]+$")
_LOGIN = re.compile(r"^[\w.\-]+$")
_CLOCK = re.compile(r"^(?:(\d+):)?(\d{1,2}):(\d{2})$")
_CALL_SECONDS = re.compile(r"(?:^|-)(\d{9,10})\.\d+$")
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$", re.IGNORECASE)
_EXTENSION_DIGITS = range(2, 6)

_FORMATS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y.%m.%d %H:%M:%S",
)

_FIRST_YEAR, _LAST_YEAR = 1990, 2100

#: how far the clock of a call's id may be from its beginning after a wrong zone is taken out
_SAME_MOMENT = timedelta(seconds=20)
_ZONE_STEP = timedelta(minutes=30)
_WIDEST_ZONE = timedelta(hours=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a call as a caller-id tells it: a number, a SIP login or a short extension, perhaps a name."""

    phone: Phone | None = None
    login: str = ""
    extension: str = ""
    name: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.phone or self.login or self.extension)


_NOBODY = Party()


def parse_party(text: str, channel: ChannelConfig) -> Party:
    """Who ``text`` is: digits with or without a plus, ``"Name" <number>``, ``"login" <login>``, HTML-escaped too.

    A hidden number (empty, ``anonymous``) is an empty Party.
    """
    if not text:
        return _NOBODY
    name, core = "", text
    if "&" in core:
        # escaped twice where a receiver passed it on
        core = html.unescape(html.unescape(core))
    if "<" in core and (found := _CALLER_ID.match(core)):
        name, core = found["name"].strip(), found["core"]
    core = core.strip().strip('"')
    if core[:4].lower() == "sip:":
        core = core[4:]
    core = core.partition("@")[0].strip()
    if not core or core.casefold() in _HIDDEN:
        return _NOBODY
    name = "" if name == core or _NUMBER.match(name) else name
    if _NUMBER.match(core):
        phone = parse_phone(core, channel.region, eight_is_seven=channel.eight_is_seven)
        if phone:
            return Party(phone=phone, name=name)
        digits = "".join(char for char in core if char.isdecimal())
        return Party(extension=digits, name=name) if len(digits) in _EXTENSION_DIGITS else _NOBODY
    return Party(login=core, name=name) if _LOGIN.match(core) else _NOBODY


class Parameters:
    """The parameters of one record, looked up by meaning; names match in any case."""

    __slots__ = ("_channel", "_names", "_settings", "_values", "raw")

    def __init__(self, raw: Mapping[str, str], channel: ChannelConfig, settings: RingostatSettings) -> None:
        self.raw = raw
        self._channel = channel
        self._settings = settings
        self._names = settings.names
        values: dict[str, str] = {}
        for key, value in raw.items():
            key = key.casefold()
            if not values.get(key):
                values[key] = value
        self._values = values

    def named(self, name: str) -> str:
        """The value of the parameter ``name``, "" if it did not come."""
        return self._values.get(name.casefold(), "")

    def each(self, meaning: Meaning) -> list[tuple[str, str]]:
        """All names and values that came for ``meaning`` and are not empty, the preferred first."""
        values = self._values
        return [(name, found) for name in self._names[meaning] if (found := values.get(name))]

    def has(self, meaning: Meaning) -> bool:
        """True if ``meaning`` came and is not empty."""
        return any(self._values.get(name) for name in self._names[meaning])

    def text(self, meaning: Meaning) -> str:
        """The first value that is not empty, "" if none came."""
        for name in self._names[meaning]:
            if found := self._values.get(name):
                return found
        return ""

    def mark(self, meaning: Meaning) -> str:
        """A marketing parameter: the vendor's words for "unknown" are "" (R7)."""
        found = self.text(meaning)
        return "" if found.casefold() in self._settings.empty_values else found

    def seconds(self, meaning: Meaning) -> int | None:
        """A length of time, 62 or 00:01:02; negative values are taken as 0. Raises PayloadError."""
        for name, value in self.each(meaning):
            if clock := _CLOCK.match(value):
                hours, minutes, seconds = (int(part or 0) for part in clock.groups())
                return hours * 3600 + minutes * 60 + seconds
            try:
                return max(0, min(int(float(value)), 10**7))
            except (ValueError, OverflowError) as err:
                raise PayloadError(f"{name} is not a number of seconds: {value[:40]!r}", field=name) from err
        return None

    def number(self, meaning: Meaning) -> int | None:
        """An integer that only adds to the record: what is not one, or is -1, counts as not told."""
        for _, value in self.each(meaning):
            try:
                found = int(value)
            except ValueError:
                continue
            if 0 <= found < 2**31:
                return found
        return None

    def party(self, value: str) -> Party:
        """``value`` read as one side of a call."""
        return parse_party(value, self._channel)

    def parties(self, meaning: Meaning) -> list[Party]:
        """Every side told for ``meaning`` that can be read, the preferred first."""
        found = (parse_party(value, self._channel) for _, value in self.each(meaning))
        return [party for party in found if not party.is_empty]

    def moment(self, meaning: Meaning, *, call_id: str = "") -> datetime | None:
        """An instant in UTC, None if none came. Raises PayloadError if it is in no known format.

        ``call_id`` holds the call's beginning in seconds since 1970 (reference 0), by which a time without a zone
        is set right when the zone of the channel is not the one that the vendor used (?).
        """
        for name, value in self.each(meaning):
            try:
                return self._instant(value, call_id)
            except (ValueError, OverflowError, OSError) as err:
                raise PayloadError(
                    f"{name} is not a time that is understood: {value[:40]!r}; set the date format of the channel",
                    field=name,
                ) from err
        return None

    def _instant(self, text: str, call_id: str) -> datetime:
        told = _parse_time(text, self._settings.date_format)
        if not _FIRST_YEAR <= told.year <= _LAST_YEAR:
            raise ValueError("no call was made then")
        if told.tzinfo is not None:
            return told.astimezone(UTC)
        rule = self._settings.zone_of_times
        zone: tzinfo = UTC if rule is ZoneOfTimes.UTC else ZoneInfo(self._channel.time_zone)
        instant = told.replace(tzinfo=zone).astimezone(UTC)
        return _corrected(instant, call_id) if rule is ZoneOfTimes.CALL_ID else instant


def _parse_time(text: str, custom: str) -> datetime:
    if custom:
        try:
            return datetime.strptime(text, custom)  # noqa: DTZ007 - the zone is added by the caller
        except ValueError:
            pass
    if text.isdecimal() and text.isascii() and 9 <= len(text) <= 13:
        seconds = int(text)
        return datetime.fromtimestamp(seconds / 1000 if len(text) > 11 else seconds, UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        for form in _FORMATS:
            bare = text
            offset = _OFFSET.search(text) if ":" in text else None
            if offset:
                bare = text[: offset.start()].strip()
            try:
                found = datetime.strptime(bare, form)  # noqa: DTZ007 - the zone is added by the caller
            except ValueError:
                continue
            return found.replace(tzinfo=_zone_of(offset.group())) if offset else found
        raise
    return found


def _zone_of(offset: str) -> timezone:
    if offset.upper() == "Z":
        return UTC
    sign = -1 if offset[0] == "-" else 1
    digits = offset[1:].replace(":", "")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def _corrected(instant: datetime, call_id: str) -> datetime:
    """``instant`` moved by whole half hours if the clock in the call's id shows that the zone was another one.

    A leg that began later than the call differs from the id too, but not by whole half hours to 20 seconds.
    """
    found = _CALL_SECONDS.search(call_id)
    if not found:
        return instant
    began = datetime.fromtimestamp(int(found[1]), UTC)
    apart = instant - began
    steps = round(apart / _ZONE_STEP)
    shift = steps * _ZONE_STEP
    if abs(steps) < 2 or abs(shift) > _WIDEST_ZONE or abs(apart - shift) > _SAME_MOMENT:
        return instant
    return instant - shift
