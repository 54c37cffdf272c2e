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
from hub.ports import Changes, Pace
from hub.runtime.account import Account
from hub.runtime.missing import MissingRecords
from hub.runtime.pace import Pacer

DEALS = [RecordRef(kind=RecordKind.DEAL, id=str(number)) for number in range(8)]


class Asked:
    """An account that notes what each request asked for."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        clock = FakeClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
        self.pacer = Pacer(Pace(requests=6, per=timedelta(seconds=1), source="a test"), clock)
        self.account = cast(
            Account,
            SimpleNamespace(
                may_ask=True, name="crm", pacer=self.pacer, clock=clock, session=self, succeeded=lambda: None,
                fold=self._fold,
            ),
        )  # fmt: skip

    async def read(self, refs: Sequence[RecordRef]) -> Changes:
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
