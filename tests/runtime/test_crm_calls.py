"""Popups of a CRM's own while more calls ring than it takes: some are left out, and the log says so once (DESIGN 8)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.core.interaction import Direction
from hub.core.phone import Phone
from hub.core.records import UserId
from hub.ringing import CallSign
from hub.runtime import crm_calls
from hub.runtime.crm_calls import CrmCalls, Raise
from tests.runtime.connected import CRM, PROJECT, connected, until


def ringing(number: int) -> Raise:
    sign = CallSign(
        phase="ringing",
        phone=Phone(f"+38050{number:07d}"),
        direction=Direction.INBOUND,
        users=(UserId("8800102"),),
        call_id=f"call-{number}",
    )
    return Raise(connection=CRM, sign=sign, marks=())


async def test_a_flood_of_calls_is_told_once_until_all_of_it_is_through(
    tmp_path: Path, amocrm: tuple[Sandbox, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crm_calls, "MOST", 8)
    async with connected(tmp_path, *amocrm) as company:
        services = company.hub.services
        services.accounts[PROJECT, CRM] = company.account
        project, calls = services.projects.get(PROJECT), CrmCalls(services)

        def told() -> int:
            return sum("more calls ring" in record.getMessage() for record in caplog.records)

        def shown() -> int:
            return int(company.sandbox.stats()["requests"].get("POST /api/v2/events", 0))

        flood = [ringing(number) for number in range(10)]
        with caplog.at_level(logging.WARNING, logger="hub"):
            calls.send(project, flood)
            await until(lambda: shown() > 1)
            # one fits in again, the next many do not: it is the same flood
            calls.send(project, [ringing(900)])
            calls.send(project, flood)
            assert told() == 1
            await calls.idle()
            calls.send(project, [ringing(901)])
            await calls.idle()
            calls.send(project, flood)
            assert told() == 2
            await calls.close()
