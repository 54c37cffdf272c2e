"""One call through the whole spine: webhook, inbox, interaction, decision, steps, CRM (H2, H3)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import func, select

from hub.ports import Changes
from hub.runtime.account import Account
from hub.store import schema
from tests.end_to_end.world import preset, world

pytestmark = pytest.mark.usefixtures("each_engine")

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
#: a missed call is decided at once, as far as nothing is to come after it
QUICK = '\n[timing]\nsettle = "0.1 s"\n'


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


MISSED_LEG = {
    "type": "in",
    "uniqueid": "ua0_-1785312500.77",
    "calldate": "2026-07-29 11:08:20",
    "disposition": "NO ANSWER",
    "billsec": "0",
    "duration": "20",
    "waiting": "20",
    "caller": "380501112244",
    "dst": "380441234567",
    "connected_with": "examplecom_anna",
}


async def test_missed_leg_and_later_answer_make_no_false_call_back(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """DESIGN 2.3: leg 1 no answer, leg 2 answered is one answered call."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        await company.webhook("after", MISSED_LEG)
        answer = {"disposition": "ANSWERED", "billsec": "40", "duration": "60", "connected_with": "examplecom_oleg"}
        await company.webhook("after", MISSED_LEG | answer | {"calldate": "2026-07-29 11:08:40"})
        await company.settled(1)
        records = company.records()
        assert [task for task in records["tasks"] if "ерезвон" in task["text"]] == []
        assert [lead["responsible_user_id"] for lead in records["leads"]] == [8800102]
        assert len(company.calls()) == 1


async def test_what_comes_later_is_a_revision_and_doubles_nothing(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """DESIGN 2: a rating and a late analysis of a finished call change no deal, task or call record."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        before = company.records()
        await company.webhook("ai", ANSWERED | {"summary": "The client wants a test drive."})
        await company.webhook("rating", ANSWERED | {"category_number": "2", "employee_mark": "5"})
        await company.until(lambda: company.unread() == 0)
        await company.settled(1)
        after = company.records()
        assert [len(after[kind]) for kind in ("contacts", "leads", "tasks")] == [
            len(before[kind]) for kind in ("contacts", "leads", "tasks")
        ]
        assert len(company.calls()) == 1


async def test_a_revision_waits_until_the_directory_knows_what_was_made(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H3: on a loaded machine more is told of a call before the directory has heard of its contact."""
    heard = asyncio.Event()

    def held(fold: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def late(account: Account, changes: Changes, at: datetime, **how: Any) -> None:
            if changes.contacts:
                await heard.wait()
            await fold(account, changes, at, **how)

        return late

    monkeypatch.setattr(Account, "fold", held(Account.fold))
    monkeypatch.setattr(Account, "fold_own", held(Account.fold_own))
    amocrm[0].switch(search_lag_seconds=30.0)
    async with world(tmp_path, *amocrm, policy=preset("car-dealer")) as company:
        store = company.hub.services.store
        made = select(schema.step.c.state).where(schema.step.c.kind == "create_contact")
        decided = select(func.count()).select_from(schema.decision)
        await company.webhook("after", ANSWERED)
        await company.until(lambda: bool(company.records()["leads"]))
        await company.webhook("rating", ANSWERED | {"category_number": "2", "employee_mark": "5"})
        await company.until(lambda: not company.unread())
        before = store.read_now(lambda conn: (conn.execute(made).scalar(), conn.execute(decided).scalar()))
        heard.set()
        await company.until(lambda: store.read_now(lambda conn: conn.execute(decided).scalar()) == 2)
        await company.settled(1)
        assert before == ("sent", 1)
        assert [len(company.records()[kind]) for kind in ("contacts", "leads")] == [1, 1]


async def test_missed_call_is_closed_by_the_employees_call_back(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """A5, X10: two call-backs at once; reaching the client closes both."""
    async with world(tmp_path, *amocrm, policy=preset("car-dealer") + QUICK) as company:
        await company.webhook("after", MISSED_LEG)
        await company.settled(1)
        opened = [task for task in company.records()["tasks"] if not task["is_completed"]]
        assert opened
        outgoing = {
            "type": "out",
            "uniqueid": "ua0_-1785312900.78",
            "calldate": "2026-07-29 11:15:00",
            "disposition": "ANSWERED",
            "billsec": "30",
            "duration": "40",
            "caller": "examplecom_oleg",
            "callee": "380501112244",
            "outbound_number": "380441234567",
        }
        await company.webhook("outgoing_after", outgoing)
        await company.settled(2)
        still = [task["text"] for task in company.records()["tasks"] if not task["is_completed"]]
        assert [text for text in still if "ерезвон" in text] == []


async def test_client_whose_deals_are_all_closed_gets_no_new_one_for_a_missed_call(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """Z16: closed deals are not imported; the decision reads them when it needs them."""
    sandbox, _ = amocrm
    contact = sandbox.person("create_contact", name="Vira", phone="8 050 111 22 44", responsible_user_id=8800103)
    lead = sandbox.person("create_lead", contact_id=contact["id"], name="Earlier", responsible_user_id=8800103)
    sandbox.person("close_lead", id=lead["id"])
    async with world(tmp_path, *amocrm, policy=preset("zoho-standard") + QUICK) as company:
        await company.webhook("after", MISSED_LEG)
        await company.settled(1)
        records = company.records()
        assert [found["id"] for found in records["leads"]] == [lead["id"]]
        assert [found["id"] for found in records["contacts"]] == [contact["id"]]
        tasks = [(task["entity_type"], task["responsible_user_id"]) for task in records["tasks"]]
        assert tasks == [("contacts", 8800103)]
