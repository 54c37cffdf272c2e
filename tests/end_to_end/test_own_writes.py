"""What the hub itself made is known before anything else of the client is decided, however slow the directory (H3)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.revise import StepState
from hub.runtime.account import Account
from hub.store import codec, schema
from tests.end_to_end.test_doubt import policy
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import World, world

pytestmark = pytest.mark.usefixtures("each_engine")

MISSED = ANSWERED | {"disposition": "NO ANSWER", "billsec": "0", "has_recording": "0", "recording_wav": ""}


def deals_done(company: World) -> int:
    """Deals that the store knows as made."""
    created = schema.step.select().where(schema.step.c.kind == "create_deal", schema.step.c.state == StepState.DONE)
    return len(company.hub.services.store.read_now(lambda conn: conn.execute(created).all()))


async def test_a_lane_that_is_woken_before_the_directory_has_heard_makes_no_second_deal(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H3, X5: the second call waits for the first; a third one wakes the lane while what was made is being folded.

    The barrier does not help: what it read for the first call is newer than the end of the second.
    """
    at_once = Account.fold_own

    async def slowly(self: Account, *told: Any) -> None:
        await asyncio.sleep(0.5)  # the fault: the directory's thread is late
        await at_once(self, *told)

    async with world(tmp_path, *amocrm, policy=policy()) as company:
        monkeypatch.setattr(Account, "fold_own", slowly)
        await company.quiet()
        # the barrier's first reading fails, so that the one that counts begins after both calls have ended
        company.sandbox.fail_next("GET", "/api/v4/contacts", kind="throttle")
        await company.webhook("after", MISSED)
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-2.2"})
        await company.until(lambda: bool(company.records()["leads"]))
        waited = 0
        while not deals_done(company) and waited < 100:
            await asyncio.sleep(0.02)
            waited += 1
        await company.webhook("after", ANSWERED | {"uniqueid": "ua0_-3.3"})
        await company.settled(3)
        assert [len(company.records()[kind]) for kind in ("contacts", "leads")] == [1, 1]
        assert len(company.calls()) == 3


CALLED = {
    "type": "out",
    "calldate": "2026-07-29 11:15:00",
    "disposition": "ANSWERED",
    "billsec": "30",
    "duration": "40",
    "caller": "examplecom_oleg",
    "callee": "380501112233",
    "outbound_number": "380441234567",
}


async def test_whoever_calls_a_client_has_not_talked_to_them_before_that_call(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """A15, C8, J2: neither for what is told of the call later nor for the next CRM; for the client's next call, yes.

    Or only the first CRM makes the deal of an employee's first call to a client.
    """
    async with world(tmp_path, *amocrm, policy=policy()) as company:
        await company.webhook("outgoing_after", CALLED | {"uniqueid": "ua0_-1.1"})
        await company.settled(1)
        await company.webhook("rating", CALLED | {"uniqueid": "ua0_-1.1", "category_number": "2", "employee_mark": "5"})
        store = company.hub.services.store
        every = schema.decision.select().order_by(schema.decision.c.id)
        await company.until(lambda: len(store.read_now(lambda conn: conn.execute(every).all())) == 2)
        await company.webhook("outgoing_after", CALLED | {"uniqueid": "ua0_-2.2"})
        await company.settled(2)
        rows = store.read_now(lambda conn: conn.execute(every).all())
        seen = [codec.load_snapshot(row.snapshot).history for row in rows]
        assert [one.last_talked for one in seen] == [None, None, "oleg"]
        assert [one.called_by for one in seen] == [frozenset(), frozenset(), frozenset({"oleg"})]
