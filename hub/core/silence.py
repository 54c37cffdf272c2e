"""Is a channel too quiet for this hour of this weekday? (X7)

A channel whose webhooks stopped arriving looks like a company that nobody calls. The hours that ended last are
compared with the same hours of the same weekday of earlier weeks. Days of one company differ more than chance alone
would make them, so the spread of whole days is measured too: a slow day is no alarm, a dead line is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from hub.core.schedule import Hours

__all__ = ["LEAST_WEEKS", "WEEKS", "Silence", "is_judged", "judge"]

#: earlier weeks that are looked at, and how many of them an hour needs to be judged at all
WEEKS = 9
LEAST_WEEKS = 4
#: windows that end with the last hour, in open hours: a quiet channel needs longer to be told from a dead one
_WINDOWS = (1, 2, 3, 4, 6, 8)
#: how unlikely so few must be. Some 700 open hours in a quarter, a few windows each: one false alarm in ten quarters
_CHANCE = 2e-5
#: and at most this share of what is usual: a slow day is slow, not silent
_SHARE = 0.2
#: days differ at least this much (coefficient of variation), and believably at most that much
_LEAST_SPREAD, _MOST_SPREAD = 0.15, 0.6

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A channel was too quiet in the hours from ``since`` to ``until``."""

    since: datetime
    until: datetime
    #: how many interactions came, and how many are usual
    seen: int
    usual: float
    #: how likely so few are if all is well
    chance: float


def judge(counts: Mapping[datetime, int], now: datetime, hours: Hours) -> Silence | None:
    """Whether the channel was too quiet until ``now``; None if not, or if too little is known to say.

    ``counts`` are interactions by the instant at which their hour began, UTC; an hour that is missing had none, but
    hours before the first one are unknown. Hours outside ``hours``, public holidays included, are neither judged
    nor compared with.
    """
    end = now.replace(minute=0, second=0, microsecond=0)
    if not counts or not is_judged(now, hours):
        return None
    first = min(counts)
    spread: float | None = None
    worst: Silence | None = None
    seen, usual = 0, 0.0
    for window, hour in enumerate(_open_hours_before(end, hours), 1):
        expected = _expected(counts, hour, first, hours)
        if expected is None:
            break
        seen, usual = seen + counts.get(hour, 0), usual + expected
        # days that vary more make few more likely: what is likely without that need not be asked
        if window not in _WINDOWS or seen > _SHARE * usual or _chance(seen, usual, _LEAST_SPREAD) >= _CHANCE:
            continue
        spread = _spread(counts, end, first, hours) if spread is None else spread
        chance = _chance(seen, usual, spread)
        if chance < _CHANCE and (worst is None or chance < worst.chance):
            worst = Silence(since=hour, until=end, seen=seen, usual=round(usual, 1), chance=chance)
    return worst


def is_judged(now: datetime, hours: Hours) -> bool:
    """True if the hour that ended last was a working one; at other times a channel may be as quiet as it likes."""
    return _is_open(now.replace(minute=0, second=0, microsecond=0) - HOUR, hours)


def _open_hours_before(end: datetime, hours: Hours) -> Iterator[datetime]:
    """The last working hours before ``end``, the latest first, not reaching back over more than a day and a half."""
    found = 0
    for back in range(1, 37):
        hour = end - back * HOUR
        if _is_open(hour, hours):
            found += 1
            yield hour
        if found >= max(_WINDOWS):
            return


def _is_open(hour: datetime, hours: Hours) -> bool:
    """True if the company was there during the whole hour."""
    return hours.is_open(hour) and hours.is_open(hour + HOUR - timedelta(minutes=1))


def _same_hours(hour: datetime, first: datetime, hours: Hours) -> list[datetime]:
    """The same hour of the weekday in earlier weeks, by the company's own clock."""
    wall = hour.astimezone(hours.zone).replace(tzinfo=None)
    found = []
    for week in range(1, WEEKS + 1):
        # by the wall: summer time moves the instant, not the hour
        earlier = (wall - timedelta(weeks=week)).replace(tzinfo=hours.zone).astimezone(hour.tzinfo)
        if earlier >= first and _is_open(earlier, hours):
            found.append(earlier)
    return found


def _expected(counts: Mapping[datetime, int], hour: datetime, first: datetime, hours: Hours) -> float | None:
    """What is usual in this hour; None if fewer than `LEAST_WEEKS` weeks tell.

    The highest and the lowest week are left out: an outage of last month must not make the next one look usual.
    """
    samples = sorted(counts.get(earlier, 0) for earlier in _same_hours(hour, first, hours))
    if len(samples) < LEAST_WEEKS:
        return None
    kept = samples[1:-1]
    return sum(kept) / len(kept)


def _spread(counts: Mapping[datetime, int], end: datetime, first: datetime, hours: Hours) -> float:
    """How much whole days differ from what is usual for their weekday, beyond chance (coefficient of variation)."""
    totals: dict[tuple[int, int], list[int]] = {}
    for day in range(1, 7 * WEEKS + 1):
        morning = (end.astimezone(hours.zone) - timedelta(days=day)).replace(hour=0)
        opened = [hour for n in range(24) if _is_open(hour := (morning + n * HOUR).astimezone(end.tzinfo), hours)]
        opened = [hour for hour in opened if first <= hour < end]
        if opened:
            total = sum(counts.get(hour, 0) for hour in opened)
            totals.setdefault((morning.weekday(), len(opened)), []).append(total)
    relative: list[float] = []
    chance: list[float] = []
    for found in totals.values():
        middle = median(found)
        if len(found) >= LEAST_WEEKS and middle > 0:
            relative += [total / middle - 1 for total in found]
            chance += [1 / middle] * len(found)
    if not relative:
        return _MOST_SPREAD
    # the median of the deviations is not moved by single odd days; 1.4826 makes it a standard deviation
    deviation = 1.4826 * median(abs(value) for value in relative)
    beyond = deviation**2 - sum(chance) / len(chance)
    return min(_MOST_SPREAD, max(_LEAST_SPREAD, math.sqrt(max(0.0, beyond))))


def _chance(seen: int, usual: float, spread: float) -> float:
    """The chance of at most ``seen`` where ``usual`` is usual and days vary by ``spread`` (negative binomial)."""
    shape = 1 / spread**2
    term: float = (shape / (shape + usual)) ** shape
    total = term
    for count in range(1, seen + 1):
        term *= (shape + count - 1) / count * usual / (shape + usual)
        total += term
    return min(1.0, total)
