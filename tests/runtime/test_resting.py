"""A CRM that cannot be asked is asked by few of its clients, not by each of thousands (H4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.clock import FakeClock
from hub.core.interaction import ClientId
from hub.engine.resting import Resting
from hub.errors import Banned, NeedsCredentials, Rejected, Throttled, Unavailable, VendorError
from hub.store.work import Lane

LANE = Lane(client_id=ClientId("c1"), connection="amocrm", project="auto")
OTHER = Lane(client_id=ClientId("c1"), connection="zoho", project="auto")


def room(resting: Resting, lane: Lane) -> int:
    return resting.room(lane.project, lane.connection)


@pytest.mark.parametrize("why", [Unavailable(), NeedsCredentials(), Banned()], ids=lambda why: type(why).__name__)
def test_an_account_that_is_away_is_left_alone_then_tried_by_few_until_it_answers(why: VendorError) -> None:
    clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    resting = Resting(clock)
    assert resting.failed(LANE, why)
    assert (room(resting, LANE), room(resting, OTHER)) == (0, Resting.MANY)
    clock.advance(Resting.PAUSE)
    assert room(resting, LANE) == Resting.FEW
    assert resting.failed(LANE, why)
    clock.advance(Resting.PAUSE - timedelta(seconds=1))
    assert room(resting, LANE) == 0
    resting.answered(LANE)
    assert room(resting, LANE) == Resting.MANY


@pytest.mark.parametrize("why", [Rejected(), Throttled()], ids=lambda why: type(why).__name__)
def test_what_one_client_was_refused_holds_up_no_other(why: VendorError) -> None:
    resting = Resting(FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)))
    assert not resting.failed(LANE, why)
    assert room(resting, LANE) == Resting.MANY


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_leaves_no_account_alone_for_longer_or_shorter(hours: int) -> None:
    clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    resting = Resting(clock)
    assert resting.failed(LANE, Unavailable())
    clock.step(timedelta(hours=hours))
    assert room(resting, LANE) == 0
    clock.advance(Resting.PAUSE)
    assert room(resting, LANE) == Resting.FEW
