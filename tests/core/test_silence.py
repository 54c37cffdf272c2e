"""A dead line is heard within two busy hours; a quarter of ordinary life raises at most one false alarm (X7)."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest

from hub.core.schedule import Hours, Schedule
from hub.core.silence import HOUR, is_judged, judge

KYIV = ZoneInfo("Europe/Kyiv")
SCHEDULE = Schedule(hours={"mon-fri": ("09:00-18:00",), "sat": ("10:00-15:00",)}, holidays="PL")
HOURS = SCHEDULE.in_zone("Europe/Kyiv")
FESTIVE = holidays.country_holidays("PL", years=[2025, 2026])
#: calls in each hour of an ordinary day
SHAPE = {9: 8, 10: 14, 11: 13, 12: 9, 13: 7, 14: 10, 15: 11, 16: 12, 17: 8}
#: nine weeks of history, then the quarter; it has Easter, May, and summer time begins in it
START, QUARTER, END = date(2026, 1, 26), date(2026, 3, 30), date(2026, 6, 28)


def life(seed: int, volume: float = 1.0) -> dict[datetime, int]:
    """Hours and their calls: days differ, Saturdays are slow, holidays are dead, some weeks are lean."""
    chance = random.Random(seed)
    counts: dict[datetime, int] = {}
    day = START
    while day <= END:
        week = 0.75 if day.isocalendar().week % 11 == 3 else 1.0
        mood = chance.lognormvariate(0, 0.2) * week * volume
        for hour in range(24):
            at = datetime(day.year, day.month, day.day, hour, tzinfo=KYIV).astimezone(UTC)
            rate = SHAPE.get(hour, 0.2) * mood
            if day in FESTIVE:
                rate = 0.05
            elif day.weekday() == 5:
                rate *= 0.4
            elif day.weekday() == 6:
                rate = 0.2
            counts[at] = poisson(chance, rate)
        day += timedelta(days=1)
    return counts


def poisson(chance: random.Random, rate: float) -> int:
    total, count = chance.expovariate(1.0), 0
    while total < rate:
        total += chance.expovariate(1.0)
        count += 1
    return count


def at(day: date, hour: int, minute: int = 2) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=KYIV).astimezone(UTC)


def alarms(counts: dict[datetime, int]) -> list[datetime]:
    """When alarms began over the quarter, judged every hour."""
    found: list[datetime] = []
    is_silent = False
    now = at(QUARTER, 0)
    known = {hour: count for hour, count in counts.items() if hour < now}
    while now < at(END, 23):
        ended = now.replace(minute=0) - HOUR
        known[ended] = counts[ended]
        if is_judged(now, HOURS):
            silence = judge(known, now, HOURS)
            if silence is not None and not is_silent:
                found.append(now)
            is_silent = silence is not None
        now += HOUR
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_quarter_with_holidays_has_at_most_one_false_alarm(seed: int) -> None:
    assert len(alarms(life(seed))) <= 1


def test_a_small_company_is_not_alarmed_at_every_quiet_hour() -> None:
    assert len(alarms(life(5, volume=0.15))) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_an_outage_of_two_busy_hours_is_seen(seed: int) -> None:
    counts = life(seed)
    day = date(2026, 5, 12)
    for hour in (10, 11):
        counts[at(day, hour, 0)] = 0
    now = at(day, 12)
    known = {hour: count for hour, count in counts.items() if hour + HOUR <= now}
    silence = judge(known, now, HOURS)
    assert silence is not None
    assert silence.since <= at(day, 11, 0)
    assert silence.until == at(day, 12, 0)
    assert silence.seen < silence.usual / 5


def quiet(counts: dict[datetime, int], *hours: datetime) -> dict[datetime, int]:
    return counts | dict.fromkeys(hours, 0)


TUESDAY = date(2026, 5, 12)
CASES: list[tuple[str, Callable[[], dict[datetime, int]], datetime, Hours, bool]] = [
    ("ordinary", lambda: life(1), at(TUESDAY, 12), HOURS, False),
    ("night", lambda: quiet(life(1)), at(TUESDAY, 4), HOURS, False),
    ("public holiday", lambda: quiet(life(1)), at(date(2026, 5, 1), 13), HOURS, False),
    (
        "less than four weeks of history",
        lambda: {hour: n for hour, n in quiet(life(1), at(TUESDAY, 10, 0), at(TUESDAY, 11, 0)).items()
                 if hour > at(TUESDAY, 0) - timedelta(weeks=3)},
        at(TUESDAY, 12),
        HOURS,
        False,
    ),
    ("nothing known", dict, at(TUESDAY, 12), HOURS, False),
    (
        "an outage last week does not hide this one",
        lambda: quiet(
            life(1),
            *(at(day, hour, 0) for day in (TUESDAY - timedelta(weeks=1), TUESDAY) for hour in (10, 11)),
        ),
        at(TUESDAY, 12),
        HOURS,
        True,
    ),
    (
        "a slow day at a third of the usual",
        lambda: life(1) | {at(TUESDAY, hour, 0): life(1)[at(TUESDAY, hour, 0)] // 3 + 1 for hour in range(9, 13)},
        at(TUESDAY, 13),
        HOURS,
        False,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "counts", "now", "hours", "is_silent"), CASES, ids=[case[0] for case in CASES])
def test_what_is_silence(
    name: str, counts: Callable[[], dict[datetime, int]], now: datetime, hours: Hours, is_silent: bool
) -> None:
    known = {hour: count for hour, count in counts().items() if hour + HOUR <= now}
    assert (judge(known, now, hours) is not None) == is_silent, name
