"""Employees who press a button in the very moment in which the hub itself moves on (U1, X5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import Connection, func, select

from hub.store import interactions, schema
from tests.end_to_end.test_spine import ANSWERED, MISSED_LEG
from tests.end_to_end.test_widget import ANNA, HEADS, Desk, desk, request
from tests.end_to_end.world import PROJECT


async def test_a_client_taken_while_their_call_is_being_finished_is_taken(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """U1, X5: the CRM has answered for the last step, and the click comes before the interaction is said to be over."""
    is_ending, may_end, has_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with desk(tmp_path, amocrm, HEADS, patience=0.5) as at:
        services = at.company.hub.services
        write = services.store.write
        open_steps = select(func.count()).where(schema.step.c.state.in_(["waiting", "sent", "in_doubt"]))

        async def late(fn: Callable[[Connection], Any], **how: Any) -> Any:
            is_answer = fn.__qualname__.startswith("AccountWriter._finish.") if hasattr(fn, "__qualname__") else False
            if is_answer and services.store.read_now(lambda conn: conn.execute(open_steps).scalar_one()) == 1:
                is_ending.set()
                await may_end.wait()
                result = await write(fn, **how)
                has_ended.set()
                return result
            return await write(fn, **how)

        monkeypatch.setattr(services.store, "write", late)
        await at.company.webhook("after", ANSWERED)
        async with asyncio.timeout(20):
            await is_ending.wait()
        [call] = services.store.read_now(lambda conn: interactions.journal(conn, PROJECT))
        # the CRM is too busy to do it before the answer is stored
        at.company.sandbox.fail_next("*", "/", status=429, count=10_000)
        done = await at.page(ANNA).post(f"/clients/{call.client_id}/take", request())
        assert done.json()["state"] == "waiting", done.text
        may_end.set()
        async with asyncio.timeout(20):
            await has_ended.wait()
        at.company.sandbox.clear_faults()
        await at.company.until(lambda: at.only("contacts")["responsible_user_id"] == ANNA, 30)
        await at.company.until(lambda: at.only("leads")["responsible_user_id"] == ANNA)
        await at.company.settled(1)


#: all that concerns doubt, much faster than in production
HASTY = HEADS + '\n[timing]\nsettle = "0.02 s"\ndoubt_wait = "0.3 s"\nrequest_timeout = "1 s"\n'


async def ring_again(at: Desk, steps: int) -> interactions.Stored:
    """The client whose missed call has so many steps that are not done rings once more; the second call."""
    services, counted = at.company.hub.services, select(func.count()).select_from(schema.step)
    await at.company.until(lambda: services.store.read_now(lambda conn: conn.execute(counted).scalar_one()) >= steps)
    ringing = {key: MISSED_LEG[key] for key in ("type", "caller", "dst")} | {"uniqueid": "ua0_-2.2"}
    await at.company.webhook("before", ringing)
    await at.company.until(lambda: at.company.unread() == 0)
    calls = services.store.read_now(lambda conn: interactions.journal(conn, PROJECT))
    return max(calls, key=lambda call: call.sequence)


@pytest.mark.parametrize(
    ("method", "fault"),
    # nothing is read, so nothing leaves; what left is applied, and nobody hears of it
    [("*", {"status": 503}), ("POST", {"kind": "disconnect", "applied": True})],
    ids=["waits", "in doubt"],
)
async def test_what_the_hub_is_about_to_make_is_not_made_by_hand_beside_it(
    tmp_path: Path, amocrm: tuple[Sandbox, str], method: str, fault: dict[str, Any]
) -> None:
    """U1, A14: the missed call's contact and deal are on their way when an employee makes them from the next call."""
    sandbox = amocrm[0]
    async with desk(tmp_path, amocrm, HASTY, patience=0.5) as at:
        sandbox.fail_next(method, "/", count=10_000, **fault)
        await at.company.webhook("after", MISSED_LEG)
        call = await ring_again(at, 1)
        body = request(what=["contact", "deal"], name="Мария", interaction=call.id)
        done = await at.page(ANNA).post(f"/clients/{call.client_id}/create", body)
        # on a slow machine what is in doubt may have been found by now
        assert done.json()["state"] in ("waiting", "done"), done.text
        sandbox.clear_faults()
        await at.company.settled(1)
        assert [len(at.company.records()[kind]) for kind in ("contacts", "leads")] == [1, 1]
        if "status" in fault:
            # it had not left: it is made as the person wanted it
            assert at.only("leads")["responsible_user_id"] == ANNA
            assert (at.only("contacts")["name"], at.only("contacts")["responsible_user_id"]) == ("Мария", ANNA)


@pytest.mark.parametrize("delay", [0.0, 0.8], ids=["waits", "is on its way"])
async def test_a_call_back_that_the_hub_is_about_to_make_is_not_made_by_hand_beside_it(
    tmp_path: Path, amocrm: tuple[Sandbox, str], delay: float
) -> None:
    """U1, A3: one open call-back for one employee and client, however late the CRM is, in the person's own words."""
    async with desk(tmp_path, amocrm, HASTY, patience=0.5) as at:
        at.company.sandbox.fail_next("POST", "/api/v4/tasks", status=503, count=10_000, delay=delay)
        await at.company.webhook("after", MISSED_LEG)
        call = await ring_again(at, 3)
        services = at.company.hub.services
        wanted = select(schema.step.c.key, schema.step.c.state).where(schema.step.c.kind == "create_task")

        def step() -> tuple[str, str]:
            [found] = services.store.read_now(lambda conn: conn.execute(wanted).all())
            return found.key, found.state

        await at.company.until(lambda: step()[1] == ("sent" if delay else "waiting"))
        key, _ = step()
        assignee = {"irina": 8800101, "oleg": 8800102, "anna": ANNA}[key.split("/")[3]]
        done = await at.page(assignee).post(f"/clients/{call.client_id}/task", request(text="Вернуть звонок"))
        assert done.json()["state"] == "waiting", done.text
        at.company.sandbox.clear_faults()
        await at.company.settled(1)
        assert at.only("tasks")["text"] == "Вернуть звонок"
