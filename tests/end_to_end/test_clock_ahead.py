"""The hub's clock and the CRM's tell different times: nothing doubles, and somebody is told (X5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.clock import SystemClock
from tests.end_to_end.test_doubt import COMPLEX, once, policy
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.world import CRM, PROJECT, world


class WrongClock(SystemClock):
    """A machine's clock that nobody has set."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


@pytest.mark.parametrize("minutes", [10, -10], ids=["ahead", "behind"])
async def test_a_lost_answer_doubles_nothing_whatever_the_clock_says(
    tmp_path: Path, amocrm: tuple[Sandbox, str], caplog: pytest.LogCaptureFixture, minutes: int
) -> None:
    """X5: the list is asked from the moment that the CRM's clock showed; asked by ours it would begin too late."""
    clock = WrongClock(timedelta(minutes=minutes))
    async with world(tmp_path, *amocrm, policy=policy(), clock=clock) as company:
        for path in (COMPLEX, "/api/v4/tasks", "/api/v4/contacts/notes"):
            company.sandbox.fail_next("POST", path, exact=True, kind="disconnect", applied=True)
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        once(company)
        assert company.sandbox.stats()["faults"] == {"disconnect": 3}
        heard = company.hub.services.accounts[PROJECT, CRM].vendor_clock
        assert abs(heard.ahead - timedelta(minutes=minutes)) < timedelta(minutes=1)
    told = [line.getMessage() for line in caplog.records if getattr(line, "action", "") == "connection.clock"]
    assert told, "somebody has to set the clock"


async def test_a_clock_that_is_ahead_hides_no_contact_that_a_person_made_just_now(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """DESIGN 2: the barrier asks for what changed since its last reading, by the CRM's clock."""
    async with world(tmp_path, *amocrm, policy=policy(), clock=WrongClock(timedelta(minutes=10))) as company:
        await company.quiet()
        company.sandbox.person(
            "create_contact", name="Made by hand", phone=ANSWERED["caller"], responsible_user_id=8800103
        )
        await company.webhook("after", ANSWERED)
        await company.settled(1)
        (contact,) = company.records()["contacts"]
        assert contact["name"] == "Made by hand"
