"""The hub's clock and the CRM's tell different times: nothing doubles, and somebody is told (X5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hub_amocrm.sandbox import Sandbox

from hub.clock import SystemClock
from hub.core.records import RecordKind, RecordRef, crm_user
from tests.end_to_end.test_doubt import COMPLEX, once, policy
from tests.end_to_end.test_spine import ANSWERED
from tests.end_to_end.test_widget import ANNA, HEADS, OLEG, client_of, desk, request
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


async def test_a_clock_that_is_ahead_hides_nothing_that_people_do_after_a_button(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1, H6: a button is dated by the CRM's clock; dated by ours, what the CRM tells next would count as older."""
    clock = WrongClock(timedelta(minutes=10))
    async with desk(tmp_path, amocrm, HEADS, clock=clock) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        client = await client_of(at, ANNA)
        assert (await at.page(ANNA).post(f"/clients/{client}/take", request())).json()["state"] == "done"
        for kind in ("contacts", "leads"):
            at.company.sandbox.person("change_responsible", entity=kind, id=at.only(kind)["id"], user_id=OLEG)
        directory = at.company.hub.services.directory
        refs = [
            RecordRef(kind=kind, id=str(at.only(word)["id"]))
            for kind, word in ((RecordKind.CONTACT, "contacts"), (RecordKind.DEAL, "leads"))
        ]

        def responsibles() -> set[object]:
            return {getattr(directory.get(PROJECT, CRM, one), "responsible", None) for one in refs}

        await at.company.until(lambda: responsibles() == {crm_user(str(OLEG))}, seconds=30)
