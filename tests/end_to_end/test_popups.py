"""Popups, end to end: a webhook of the telephony, a tab of the right employee, nobody else's (U1, A12, C7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_amocrm.sandbox import Sandbox

from hub.core.phone import Phone
from hub.core.records import Contact, Deal, EmployeeId
from hub.ports import Changes
from tests.end_to_end.tabs import Tab, open_tab
from tests.end_to_end.world import CRM, PROJECT, USERS, World, preset, world
from tests.web.conftest import serving

CALL = {
    "type": "in",
    "uniqueid": "ua0_-1785312345.4410072",
    "calldate": "2026-07-29 11:05:45",
    "caller": "380501112233",
    "dst": "380441234567",
    "utm_source": "google",
}
ANSWER = {"disposition": "ANSWERED", "billsec": "62", "duration": "71", "waiting": "9"}
MISSED = {"disposition": "NO ANSWER", "billsec": "0", "duration": "20", "waiting": "20"}
#: nothing is made in the CRM while popups are looked at
POLICY = preset("car-dealer") + '\n[timing]\nsettle = "100 ms"\n'


def at(employee: str) -> dict[str, str]:
    """The call at somebody's place."""
    return {"connected_with": f"examplecom_{employee}"}


@dataclass(slots=True)
class Desk:
    """The company with its tabs."""

    company: World
    address: str
    stack: AsyncExitStack

    async def tab(self, employee: str, **options: Any) -> Tab:
        """Another open tab."""
        services = self.company.hub.services
        return await self.stack.enter_async_context(open_tab(services, self.address, PROJECT, CRM, employee, **options))

    def know(self, responsible: str) -> None:
        """The CRM holds the caller with an open deal of ``responsible``."""
        services = self.company.hub.services
        pipeline = services.projects.get(PROJECT).connections[0].catalogue.pipelines[0]
        owner = EmployeeId(f"@{USERS[responsible]}")
        deal = Deal(
            id="71",
            name="Assam, 40 kg",
            responsible=owner,
            contact_ids=("7",),
            pipeline_id=pipeline.id,
            stage_id=pipeline.stages[1].id,
        )
        contact = Contact(
            id="7", name="Jana Orlova", phones=(Phone("+380501112233"),), responsible=owner, deal_ids=("71",)
        )
        services.directory.fold(PROJECT, CRM, Changes(contacts=(contact,), deals=(deal,)), services.clock.now())

    async def read(self) -> None:
        """Everything that was told so far has popped up, or will not."""
        await self.company.until(lambda: self.company.unread() == 0)
        await self.company.hub.popups.idle()

    def popups(self) -> list[dict[str, Any]]:
        """What amoCRM itself was asked to show."""
        return list(self.company.records()["popups"])


@asynccontextmanager
async def desk(tmp_path: Path, amocrm: tuple[Sandbox, str], *, policy: str = POLICY) -> AsyncIterator[Desk]:
    async with (
        world(tmp_path, *amocrm, policy=policy) as company,
        serving(company.hub.services) as web,
        AsyncExitStack() as stack,
    ):
        yield Desk(company, f"http://127.0.0.1:{web.port}", stack)


async def test_ringing_call_pops_up_with_the_responsible_and_with_nobody_else(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1: name, deal and stage, source, responsible, and why it came; the responsible where nobody is rung yet."""
    async with desk(tmp_path, amocrm) as scene:
        scene.know("oleg")
        oleg, anna = await scene.tab("oleg"), await scene.tab("anna")
        await scene.company.webhook("before", CALL)
        await oleg.until(lambda: oleg.states == ["ringing"])
        [shown] = oleg.screen.values()
        assert (shown["kind"], shown["direction"], shown["source"]) == ("call", "inbound", "google")
        assert shown["client"] == {
            "id": shown["client"]["id"],
            "name": "Jana Orlova",
            "phone": "+380501112233",
            "is_known": True,
        }
        assert (shown["deal"]["name"], shown["deal"]["id"]) == ("Assam, 40 kg", "71")
        assert shown["deal"]["stage"]
        assert shown["deal"]["url"].endswith("/leads/detail/71")
        assert shown["contact"]["url"].endswith("/contacts/detail/7")
        assert shown["responsible"]["is_me"] is True
        assert shown["why"] == "You are responsible for this client"
        await scene.read()
        assert anna.screen == {}


async def test_popup_follows_the_ring_and_moves_to_whoever_answers(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """DESIGN 8: rung at Anna and Irina instead of the responsible; Irina answers; Anna is told who; it ends."""
    async with desk(tmp_path, amocrm) as scene:
        scene.know("oleg")
        tabs = [await scene.tab(one) for one in ("oleg", "anna", "irina")]
        oleg, anna, irina = tabs
        await scene.company.webhook("before", CALL)
        await oleg.until(lambda: oleg.states == ["ringing"])
        await scene.company.webhook("forwarded", CALL | at("anna"))
        await anna.until(lambda: anna.states == ["ringing"])
        await oleg.until(lambda: oleg.screen == {})
        await scene.company.webhook("forwarded", CALL | at("irina"))
        await irina.until(lambda: irina.states == ["ringing"])
        await scene.company.webhook("taken", CALL | at("irina"))
        await irina.until(lambda: irina.states == ["talking"])
        await anna.until(lambda: anna.states == ["answered"])
        [told] = anna.screen.values()
        assert told["answered_by"]["name"] == "Ирина Белова"
        await scene.company.webhook("after", CALL | ANSWER | at("irina"))
        await irina.until(lambda: irina.states == ["ended"])
        assert [shown["seconds"] for shown in irina.screen.values()] == [62]
        assert oleg.screen == {}


async def test_missed_call_is_shown_to_whoever_was_rung_and_to_the_head(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """A12: the head and the responsible, at once, as one popup each; the CRM raises none where tabs are open."""
    policy = POLICY.replace('roles = ["senior"]', 'roles = ["senior", "head"]')
    async with desk(tmp_path, amocrm, policy=policy) as scene:
        scene.know("oleg")
        oleg, head, anna = await scene.tab("oleg"), await scene.tab("irina"), await scene.tab("anna")
        await scene.company.webhook("before", CALL)
        await scene.company.webhook("forwarded", CALL | at("oleg"))
        await oleg.until(lambda: oleg.states == ["ringing"])
        await scene.company.webhook("after", CALL | MISSED)
        await oleg.until(lambda: oleg.states == ["missed"])
        await head.until(lambda: head.states == ["missed"])
        await scene.company.settled(1)
        await scene.read()
        assert len(oleg.screen) == len(head.screen) == 1
        assert anna.screen == {}
        assert scene.popups() == []


async def test_two_calls_at_once_are_two_popups(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """U1: several at once, each with its own life."""
    async with desk(tmp_path, amocrm) as scene:
        oleg = await scene.tab("oleg")
        other = CALL | {"uniqueid": "ua0_-2.2", "caller": "380509998877"}
        await scene.company.webhook("forwarded", CALL | at("oleg"))
        await scene.company.webhook("forwarded", other | at("oleg"))
        await oleg.until(lambda: oleg.states == ["ringing", "ringing"])
        await scene.company.webhook("taken", other | at("oleg"))
        await oleg.until(lambda: sorted(oleg.states) == ["ringing", "talking"])
        talking = next(one for one in oleg.screen.values() if one["state"] == "talking")
        assert talking["client"]["phone"] == "+380509998877"


async def test_where_no_tab_is_open_amocrm_raises_its_own_notice_once(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1, reference 16: POST /api/v2/events names the addressed employee alone, however often webhooks come."""
    async with desk(tmp_path, amocrm) as scene:
        scene.know("oleg")
        await scene.tab("anna")
        for moment in ("before", "forwarded", "forwarded", "taken"):
            await scene.company.webhook(moment, CALL | (at("oleg") if moment != "before" else {}))
        await scene.read()
        await scene.company.until(lambda: len(scene.popups()) > 0)
        await scene.company.webhook("after", CALL | ANSWER | at("oleg"))
        await scene.company.settled(1)
        await scene.read()
        told = [(popup["phone_number"], popup["users"]) for popup in scene.popups()]
        assert told == [("380501112233", [int(USERS["oleg"])])]
