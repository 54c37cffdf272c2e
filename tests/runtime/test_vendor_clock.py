"""What the ``Date`` of an answer says of two clocks (X5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.runtime.vendor_clock import VendorClock

NOON = datetime(2026, 7, 29, 12, tzinfo=UTC)
SAID = "Wed, 29 Jul 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("asked", "took", "ahead"),
    [
        # equal as far as anybody can tell: the answer was on its way, and the header has no fractions
        (0, 0.1, 0),
        (0.9, 0.1, 0),
        (-20, 20, 0),
        (600, 0, 599),
        (-600, 0, -600),
        # what is certain: a slow answer may have been dated at its end
        (600, 20, 599),
        (-600, 20, -580),
    ],
)
def test_a_clock_is_ahead_by_what_is_certain(asked: float, took: float, ahead: float) -> None:
    heard = VendorClock("auto/amocrm")
    begun = NOON + timedelta(seconds=asked)
    heard.heard(SAID, begun, begun + timedelta(seconds=took))
    assert heard.ahead == timedelta(seconds=ahead)
    assert heard.lead == max(heard.ahead, timedelta())
    assert heard.is_wrong == (abs(ahead) > 30)


@pytest.mark.parametrize("date", ["yesterday", "", "Wed, 99 Jul 2026 12:00:00 GMT", "-1"])
def test_a_date_that_cannot_be_read_says_nothing(date: str) -> None:
    heard = VendorClock("auto/amocrm")
    heard.heard(date, NOON, NOON)
    assert heard.ahead == heard.lead == timedelta()


def test_a_clock_that_was_set_right_is_still_allowed_for() -> None:
    """What was sent before bears the time of the clock that was ahead."""
    heard = VendorClock("auto/amocrm")
    heard.heard(SAID, NOON + timedelta(hours=1), NOON + timedelta(hours=1))
    heard.heard("Wed, 29 Jul 2026 12:00:05 GMT", NOON + timedelta(seconds=5), NOON + timedelta(seconds=5))
    assert heard.ahead == timedelta()
    assert heard.lead == timedelta(seconds=3599)


def test_a_header_that_says_1970_does_not_make_the_hub_read_everything() -> None:
    heard = VendorClock("auto/amocrm")
    heard.heard("Thu, 01 Jan 1970 00:00:00 GMT", NOON, NOON)
    assert heard.lead == timedelta(days=1)


async def test_a_lead_that_the_answers_themselves_show_is_asked_with_again() -> None:
    """After a start nothing was heard yet, and what the process before left in doubt is asked for first."""
    heard = VendorClock("auto/amocrm")
    asked: list[timedelta] = []

    async def ask(lead: timedelta) -> str:
        asked.append(lead)
        heard.heard(SAID, NOON + timedelta(hours=1), NOON + timedelta(hours=1))
        return "answer"

    assert await heard.allowing(ask) == "answer"
    assert asked == [timedelta(), timedelta(seconds=3599)]
