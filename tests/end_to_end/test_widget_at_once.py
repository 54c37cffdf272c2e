"""Employees who press a button in the very moment in which the hub itself moves on (U1, X5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import Connection

from hub.engine.advance import Advance
from hub.store import interactions
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.test_widget import ANNA, HEADS, desk, request
from tests.end_to_end.world import PROJECT


async def test_a_client_taken_while_their_call_is_being_finished_is_taken(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """U1, X5: the lane has seen that nothing is left to write, and the click comes before it says so."""
    is_ending, may_end, has_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with desk(tmp_path, amocrm, HEADS, patience=0.5) as at:
        services = at.company.hub.services
        write = services.store.write

        async def late(fn: Callable[[Connection], Any]) -> Any:
            if isinstance(fn, partial) and getattr(fn.func, "__func__", None) is Advance._end:
                is_ending.set()
                await may_end.wait()
                result = await write(fn)
                has_ended.set()
                return result
            return await write(fn)

        monkeypatch.setattr(services.store, "write", late)
        await at.company.webhook("after", ANSWERED)
        async with asyncio.timeout(20):
            await is_ending.wait()
        [call] = services.store.read_now(lambda conn: interactions.journal(conn, PROJECT))
        # the CRM is too busy to do it before the lane goes on
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
