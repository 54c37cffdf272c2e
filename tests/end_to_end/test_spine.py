"""One call through the whole spine: webhook, inbox, interaction, decision, steps, CRM (H2, H3)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hub_amocrm.sandbox import Sandbox

from tests.end_to_end.world import preset, world

ANSWERED = {
    "type": "in",
    "uniqueid": "ua0_-1785312345.4410072",
    "calldate": "2026-07-29 11:05:45",
    "disposition": "ANSWERED",
    "billsec": "62",
    "duration": "71",
    "waiting": "9",
    "has_recording": "1",
    "recording_wav": "https://app.ringostat.com/recordings/ua0_-1785312345.4410072.wav?token=5c0f",
    "caller": "380501112233",
    "dst": "380441234567",
    "connected_with": "examplecom_oleg",
    "utm_source": "google",
}


async def test_answered_call_of_a_new_client_becomes_contact_deal_and_task(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """Z1, end to end, within the cost that DESIGN 4 allows."""
    async with world(tmp_path, *amocrm) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        records = company.records()
        assert [contact["responsible_user_id"] for contact in records["contacts"]] == [8800102]
        assert [deal["responsible_user_id"] for deal in records["leads"]] == [8800102]
        assert [task["is_completed"] for task in records["tasks"]] == [True]
        assert await company.cost() <= 5


async def test_ten_identical_webhooks_at_once_make_one_deal_and_one_call_record(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X5: however often an event arrives, it has one effect."""
    policy = preset("zoho-standard").replace('on = "none"', 'on = "contact"')
    async with world(tmp_path, *amocrm, policy=policy) as company:
        await asyncio.gather(*(company.webhook("after", ANSWERED) for _ in range(10)))
        await company.settled(1)
        assert len(company.records()["contacts"]) == 1
        assert len(company.records()["leads"]) == 1
        assert [call["params"]["uniq"] for call in company.calls()] == [ANSWERED["uniqueid"]]


async def test_two_quick_calls_of_one_new_client_make_one_contact_while_the_index_lags(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """DESIGN 2: order per client and our own writes, not the vendor's search."""
    amocrm[0].switch(search_lag_seconds=5.0, latency_ms=(50, 150))
    async with world(tmp_path, *amocrm) as company:
        await company.webhook("after", ANSWERED)
        await company.webhook(
            "after", ANSWERED | {"uniqueid": "ua0_-1785312399.1", "connected_with": "examplecom_anna"}
        )
        await company.settled(2)
        assert len(company.records()["contacts"]) == 1
        assert len(company.records()["leads"]) == 1
