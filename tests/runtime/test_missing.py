"""What decisions lack of the directory is read for many of them in one request (H5, DESIGN 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.clock import FakeClock
from hub.core.records import RecordKind, RecordRef
from hub.errors import Unavailable, VendorError
from hub.ports import Changes, Pace
from hub.runtime.account import Account
from hub.runtime.missing import MissingRecords
from hub.runtime.pace import Pacer

DEALS = [RecordRef(kind=RecordKind.DEAL, id=str(number)) for number in range(8)]


class Asked:
    """An account that notes what each request asked for."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self.error: VendorError | None = None
        self.failures: list[VendorError] = []
        clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
        self.pacer = Pacer(Pace(requests=6, per=timedelta(seconds=1), source="a test"), clock)
        self.account = cast(
            Account,
            SimpleNamespace(
                may_ask=True, is_crowded=False, name="crm", pacer=self.pacer, clock=clock, session=self,
                succeeded=lambda: None, failed=self.failures.append, fold=self._fold,
            ),
        )  # fmt: skip

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
        if self.error is not None:
            raise self.error
        self.requests.append(len(refs))
        return Changes()

    async def _fold(self, changes: Changes, seen_at: Any) -> None: ...


async def one_and_then_the_others(missing: MissingRecords) -> None:
    """The others ask when the first has long begun."""
    first = asyncio.create_task(missing.read(DEALS[:1]))
    for _ in range(50):
        await asyncio.sleep(0)
    await asyncio.gather(first, *(missing.read([deal]) for deal in DEALS[1:]))


@pytest.mark.parametrize(
    ("under_way", "requests"), [(0, [1, 7]), (3, [8])], ids=["while nothing else is asked", "in a burst"]
)
async def test_those_who_ask_in_a_burst_share_one_request(under_way: int, requests: list[int]) -> None:
    """An idle hub asks at once; one whose requests are scarce waits for others to join."""
    asked = Asked()
    for _ in range(under_way):
        await asked.pacer.acquire()
    await one_and_then_the_others(MissingRecords(asked.account))
    assert asked.requests == requests


async def test_decisions_that_may_wait_are_told_when_the_burst_s_request_is_through() -> None:
    """They hold up no other decision meanwhile, and those join; with room to ask nobody is put off (H5, DESIGN 4)."""
    asked, told = Asked(), asyncio.Event()
    missing = MissingRecords(asked.account)
    assert await missing.read(DEALS[:1], when_there=told.set)
    for _ in range(3):
        await asked.pacer.acquire()
    woken: list[RecordRef] = []
    for deal in DEALS[1:]:
        assert not await missing.read([deal], when_there=lambda deal=deal: woken.append(deal))  # type: ignore[misc]
    async with asyncio.timeout(20):
        await missing.read(DEALS[1:2])
    assert (asked.requests, woken) == ([1, 7], DEALS[1:])
    # the CRM said nothing of them, so nobody is sent away again
    assert await missing.read(DEALS[2:4], when_there=told.set)
    assert not told.is_set()


async def test_decisions_that_wait_are_told_of_a_failure_too() -> None:
    """They look again, and hear that the CRM cannot be asked; nothing waits for ever."""
    asked, told = Asked(), asyncio.Event()
    missing = MissingRecords(asked.account)
    for _ in range(3):
        await asked.pacer.acquire()
    asked.error = Unavailable("gone")
    assert not await missing.read(DEALS[:1], when_there=told.set)
    async with asyncio.timeout(20):
        await told.wait()
    assert asked.failures == [asked.error]


@pytest.mark.parametrize(("under_way", "requests"), [(0, [1]), (3, [8])], ids=["with room to ask", "in a burst"])
async def test_what_the_next_decisions_will_lack_rides_along_in_a_burst(under_way: int, requests: list[int]) -> None:
    """One request for a burst's callers instead of one a second (H5); an idle hub reads nothing on suspicion."""
    asked = Asked()
    for _ in range(under_way):
        await asked.pacer.acquire()

    async def expected() -> list[RecordRef]:
        return DEALS

    async with asyncio.timeout(20):
        await MissingRecords(asked.account, expected=expected).read(DEALS[:1])
    assert asked.requests == requests


async def test_what_cannot_be_expected_is_asked_for_all_the_same() -> None:
    """Looking ahead is a help, not a condition."""
    asked = Asked()
    for _ in range(3):
        await asked.pacer.acquire()

    async def expected() -> list[RecordRef]:
        raise RuntimeError("the database is away")

    async with asyncio.timeout(20):
        await MissingRecords(asked.account, expected=expected).read(DEALS[:1])
    assert asked.requests == [1]
