"""Working hours: when a company or an employee is there, and when a deadline falls (A4, X11)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import field_validator

from hub.core.holiday import countries, public_holidays
from hub.core.part import Part

__all__ = ["ALWAYS", "DayTimes", "Hours", "Schedule", "parse_times", "zone_of"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIMES = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")
#: what lies among the zones and is none of IANA's: the same again under other rules
_NO_ZONE = re.compile(r"posixrules$|posix/|right/")
#: nobody plans a deadline further than this many closed days ahead
_HORIZON_DAYS = 400
_KNOWN_DAYS = 2000
_A_DAY = timedelta(days=1)
_A_MINUTE = timedelta(minutes=1)
_LAST_DAY = date.max - 2 * _A_DAY

#: stretches of one day in minutes since midnight, in order, none overlapping
DayTimes = tuple[tuple[int, int], ...]


def parse_times(text: str) -> tuple[int, int]:
    """``"09:00-18:00"`` as minutes since midnight; the end may be ``24:00``. Raises ValueError."""
    found = _TIMES.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} are no hours; write them as 09:00-18:00")
    first, last = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if int(found[2]) > 59 or int(found[4]) > 59 or first > 1440 or last > 1440:
        raise ValueError(f"{text!r}: the clock ends at 24:00")
    return first, last


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone called ``name``; raises ValueError."""
    # the one that is meant is looked for: the list of all of them opens each of their six hundred files
    if not _NO_ZONE.match(name):
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(name)
    raise ValueError(f"{name!r} is no time zone; write it as Europe/Kyiv (IANA)")


def _stretches(texts: Sequence[str], what: str) -> DayTimes:
    found = sorted(parse_times(text) for text in texts)
    for first, last in found:
        if first >= last:
            raise ValueError(f"{what}: hours end before they begin; a night shift is written as two stretches")
    for (_, end), (begin, _) in pairwise(found):
        if begin < end:
            raise ValueError(f"{what}: hours overlap")
    return tuple(found)


def _days_of(text: str) -> list[str]:
    names: list[str] = []
    for part in (piece.strip().lower() for piece in text.split(",")):
        first, dash, last = part.partition("-")
        wanted = (first, last if dash else first)
        if not all(day in _DAYS for day in wanted):
            raise ValueError(f"{text!r} are no days; write mon, tue, wed, thu, fri, sat, sun, or a range as mon-fri")
        begin, end = (_DAYS.index(day) for day in wanted)
        names += _DAYS[begin : end + 1] if begin <= end else _DAYS[begin:] + _DAYS[: end + 1]
    return names


class Schedule(Part):
    """Working hours by day of the week, with breaks, public holidays and single exceptions."""

    #: days to stretches: {"mon-fri" = ["09:00-18:00"], "sat" = ["10:00-15:00"]}
    hours: Mapping[str, tuple[str, ...]]
    #: taken out of every working day
    breaks: tuple[str, ...] = ()
    #: country whose public holidays are closed, ISO 3166 ("" = none)
    holidays: str = ""
    #: single days that are closed
    closed: tuple[date, ...] = ()
    #: single days with hours of their own, by date as 2026-12-31
    special: Mapping[str, tuple[str, ...]] = {}
    #: IANA zone, "" = the project's
    time_zone: str = ""

    @field_validator("hours")
    @classmethod
    def _hours_make_sense(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        seen: set[str] = set()
        for days, texts in value.items():
            names = _days_of(days)
            twice = seen.intersection(names)
            if twice:
                raise ValueError(f"{days!r}: {min(twice)} has hours already")
            seen.update(names)
            _stretches(texts, days)
        return value

    @field_validator("breaks")
    @classmethod
    def _breaks_make_sense(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _stretches(value, "breaks")
        return value

    @field_validator("special")
    @classmethod
    def _special_make_sense(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for day, texts in value.items():
            try:
                date.fromisoformat(day)
            except ValueError:
                raise ValueError(f"{day!r} is no date; write it as 2026-12-31") from None
            _stretches(texts, day)
        return value

    @field_validator("holidays")
    @classmethod
    def _country_is_known(cls, value: str) -> str:
        if value and value not in countries():
            raise ValueError(f"{value!r}: no public holidays are known for it; write a country as UA (ISO 3166)")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        if value:
            zone_of(value)
        return value

    def in_zone(self, default_zone: str) -> Hours:
        """The schedule ready to be asked."""
        return _hours(self.model_dump_json(), self.time_zone or default_zone)


@lru_cache(256)
def _hours(schedule: str, zone: str) -> Hours:
    read = Schedule.model_validate_json(schedule)
    pauses = _stretches(read.breaks, "breaks")
    week: list[DayTimes] = [()] * 7
    for days, texts in read.hours.items():
        for name in _days_of(days):
            week[_DAYS.index(name)] = _without(_stretches(texts, days), pauses)
    special = {date.fromisoformat(day): _stretches(texts, day) for day, texts in read.special.items()}
    special.update(dict.fromkeys(read.closed, ()))
    return Hours(zone=zone_of(zone), week=tuple(week), special=special, country=read.holidays)


def _without(stretches: DayTimes, pauses: DayTimes) -> DayTimes:
    left = list(stretches)
    for begin, end in pauses:
        cut: list[tuple[int, int]] = []
        for first, last in left:
            cut += [piece for piece in ((first, min(last, begin)), (max(first, end), last)) if piece[0] < piece[1]]
        left = cut
    return tuple(left)


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A schedule in its time zone. An empty `week` is never open."""

    zone: ZoneInfo
    week: tuple[DayTimes, ...]
    special: Mapping[date, DayTimes]
    country: str = ""

    def times_on(self, day: date) -> DayTimes:
        """The working stretches of one local day."""
        found = self.special.get(day)
        if found is not None:
            return found
        if self.country and day in public_holidays(self.country, day.year):
            return ()
        return self.week[day.weekday()]

    def is_open(self, at: datetime) -> bool:
        """True if ``at`` lies in working time; the first minute counts, the last does not."""
        known = self._minute
        if known:
            begin, end, found = known[0]
            if begin <= at < end:
                return found
        local = at.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        found = any(first <= minute < last for first, last in self.times_on(local.date()))
        if at.tzinfo is UTC:
            begin = at - timedelta(seconds=local.second, microseconds=local.microsecond)
            known[:] = [(begin, begin + _A_MINUTE, found)]
        return found

    @cached_property
    def _minute(self) -> list[tuple[datetime, datetime, bool]]:
        """The minute asked for last, as UTC instants, and if it was open: calls ask for the present over and over."""
        return []

    @cached_property
    def _stretch(self) -> list[tuple[datetime, datetime]]:
        """Working time that a deadline fell into last, as UTC instants: most fall into the present one."""
        return []

    @cached_property
    def is_ever_open(self) -> bool:
        """False for a schedule without hours."""
        return any(self.week) or any(self.special.values())

    def _walk(self, since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The working stretches that end after ``since``, as UTC instants, the present one from ``since`` on."""
        day = since.astimezone(self.zone).date()
        for _ in range(_HORIZON_DAYS):
            for begin, end in self._instants(day):
                if end > since:
                    yield (begin if begin > since else since), end
            if day >= _LAST_DAY:
                return
            day += _A_DAY

    def _instants(self, day: date) -> tuple[tuple[datetime, datetime], ...]:
        known = self._known_days.get(day)
        if known is None:
            times = self.times_on(day)
            if times and self._is_clock_set_on(day):
                known = self._by_the_minute(day, times)
            else:
                known = tuple((self._instant(day, first), self._instant(day, last)) for first, last in times)
            if len(self._known_days) < _KNOWN_DAYS:
                self._known_days[day] = known
        return known

    def _is_clock_set_on(self, day: date) -> bool:
        midnights = (datetime.combine(one, time(), tzinfo=self.zone) for one in (day, day + _A_DAY))
        return len({midnight.utcoffset() for midnight in midnights}) > 1

    def _by_the_minute(self, day: date, times: DayTimes) -> tuple[tuple[datetime, datetime], ...]:
        """The working time of a day on which an hour is missing, or is there twice, as `is_open` sees it."""
        found: list[tuple[datetime, datetime]] = []
        # local days begin and end within a day and a half of the same day in UTC
        at = datetime.combine(day, time(), tzinfo=UTC) - _A_DAY / 2 - timedelta(hours=3)
        for _ in range(54 * 60):
            local, after = at.astimezone(self.zone), at + _A_MINUTE
            minute = local.hour * 60 + local.minute
            if local.date() == day and any(first <= minute < last for first, last in times):
                joins = bool(found) and found[-1][1] == at
                found.append((found.pop()[0] if joins else at, after))
            at = after
        return tuple(found)

    @cached_property
    def _known_days(self) -> dict[date, tuple[tuple[datetime, datetime], ...]]:
        """The same days are asked for again and again: their instants, once worked out."""
        return {}

    def _instant(self, day: date, minute: int) -> datetime:
        midnight = datetime.combine(day, time(), tzinfo=self.zone)
        if minute < 1440:
            return midnight.replace(hour=minute // 60, minute=minute % 60).astimezone(UTC)
        return (midnight + _A_DAY).astimezone(UTC)

    def next_opening(self, since: datetime) -> datetime:
        """``since`` itself if it is open then, else the next opening; ``since`` if there is none within a year."""
        return next((begin for begin, _ in self._walk(since.astimezone(UTC))), since.astimezone(UTC))

    def after(self, since: datetime, working: timedelta) -> datetime:
        """The instant when ``working`` of working time has passed since ``since`` (A4)."""
        left = working
        since = since if since.tzinfo is UTC else since.astimezone(UTC)
        known = self._stretch
        if known and known[0][0] <= since < known[0][1] and since + working <= known[0][1]:
            return since + working
        for begin, end in self._walk(since):
            if end - begin >= left:
                known[:] = [(begin, end)]
                return begin + left
            left -= end - begin
        return since + working


#: open at every hour of every day
ALWAYS = Hours(zone=ZoneInfo("UTC"), week=(((0, 1440),),) * 7, special={})
