"""Popups, end to end: a webhook of the telephony, a tab of the right employee, nobody else's (U1, A12, C7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox
from sqlalchemy import Connection

from hub.compose import Hub
from hub.core.interaction import ClientId
from hub.core.phone import Phone
from hub.core.plan import Plan
from hub.core.records import Contact, Deal, EmployeeId
from hub.ports import Changes
from hub.runtime.popups import _Look
from hub.store import popups, projects
from hub.store.popups import Kept, Told
from hub.store.work import Lane
from tests.end_to_end import pigeon
from tests.end_to_end.shop import retail_stand, shop
from tests.end_to_end.tabs import Tab, open_tab
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, USERS, World, preset, world
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

FORWARDED = "The client is forwarded to you as the responsible"


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
async def desk(
    tmp_path: Path, amocrm: tuple[Sandbox, str], *, policy: str = POLICY, mode: str = "live"
) -> AsyncIterator[Desk]:
    async with (
        world(tmp_path, *amocrm, policy=policy, mode=mode) as company,
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


async def test_missed_call_leaves_every_screen_once_the_client_was_reached(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1: dealt with anywhere, it is gone everywhere: a colleague called back."""
    async with desk(tmp_path, amocrm) as scene:
        scene.know("oleg")
        oleg, anna = await scene.tab("oleg"), await scene.tab("anna")
        await scene.company.webhook("forwarded", CALL | at("anna"))
        await scene.company.webhook("after", CALL | MISSED)
        await oleg.until(lambda: oleg.states == ["missed"])
        await anna.until(lambda: anna.states == ["missed"])
        back = {"type": "out", "uniqueid": "ua0_-3.3", "caller": "examplecom_anna", "callee": CALL["caller"]}
        await scene.company.webhook("outgoing_after", back | ANSWER | {"calldate": "2026-07-29 11:15:00"})
        await oleg.until(lambda: oleg.screen == {})
        await anna.until(lambda: anna.screen == {})


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


async def test_missed_call_is_told_by_amocrm_to_the_head_whose_tab_is_closed(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """A12: the hub's popup for whom a tab is open, the CRM's own notice for the others, once."""
    policy = POLICY.replace('roles = ["senior"]', 'roles = ["senior", "head"]')
    async with desk(tmp_path, amocrm, policy=policy) as scene:
        scene.know("oleg")
        oleg = await scene.tab("oleg")
        await scene.company.webhook("after", CALL | MISSED)
        await oleg.until(lambda: oleg.states == ["missed"])
        await scene.company.settled(1)
        await scene.company.webhook("after", CALL | MISSED)
        await scene.read()
        assert [popup["users"] for popup in scene.popups()] == [[int(USERS["irina"])]]


async def test_new_record_pops_up_with_its_responsible_when_no_call_is_ringing(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """C7: at once, with number, source and the card's address, and nowhere else."""
    async with desk(tmp_path, amocrm) as scene:
        oleg, anna = await scene.tab("oleg"), await scene.tab("anna")
        await scene.company.webhook("after", CALL | ANSWER | at("oleg"))
        await oleg.until(lambda: any(shown["deal"] for shown in oleg.screen.values()))
        await scene.company.settled(1)
        await scene.read()
        [shown] = oleg.screen.values()
        records = scene.company.records()
        assert (shown["kind"], shown["state"], shown["source"]) == ("record", "new", "google")
        assert shown["client"]["phone"] == "+380501112233"
        assert shown["contact"]["url"].endswith(f"/contacts/detail/{records['contacts'][0]['id']}")
        assert shown["deal"]["url"].endswith(f"/leads/detail/{records['leads'][0]['id']}")
        assert anna.screen == {}
        cards = {
            (one["entity"], one["id"]) for kind, _, body in anna.events if kind == "card" for one in body["entities"]
        }
        assert ("lead", str(records["leads"][0]["id"])) in cards


async def test_a_missed_call_can_be_called_back_from_its_popup(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """U1: whoever is told of it and may write to the client rings them with one press."""
    keys = {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": "http://127.0.0.1:9"}
    async with desk(tmp_path, amocrm) as scene:
        services = scene.company.hub.services
        await services.store.write(lambda conn: projects.change_channel(conn, services.cipher, PROJECT, CHANNEL, keys))
        await services.projects.reload()
        scene.know("oleg")
        oleg = await scene.tab("oleg")
        await scene.company.webhook("forwarded", CALL | at("oleg"))
        await scene.company.webhook("after", CALL | MISSED)
        await oleg.until(lambda: oleg.states == ["missed"])
        [shown] = oleg.screen.values()
        assert "call" in shown["can"]
        # a client whom nobody knew: the senior is told
        irina = await scene.tab("irina")
        await scene.company.webhook("after", CALL | MISSED | {"uniqueid": "ua0_-2.2", "caller": "380671112244"})
        await irina.until(lambda: "missed" in irina.states)
        assert all("call" in shown["can"] for shown in irina.screen.values() if shown["state"] == "missed")


async def test_whoever_has_the_call_on_the_screen_sees_the_new_record_there(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """C7: one popup for an interaction: the call's own then shows contact and deal."""
    async with desk(tmp_path, amocrm) as scene:
        oleg = await scene.tab("oleg")
        await scene.company.webhook("forwarded", CALL | at("oleg"))
        await oleg.until(lambda: oleg.states == ["ringing"])
        await scene.company.webhook("after", CALL | ANSWER | at("oleg"))
        await oleg.until(lambda: any(shown["deal"] for shown in oleg.screen.values()))
        await scene.read()
        assert [(shown["kind"], shown["state"]) for shown in oleg.screen.values()] == [("call", "ended")]


async def test_in_shadow_tabs_pop_up_and_the_crm_is_asked_for_nothing(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """X2: a project in shadow writes nothing, a popup neither."""
    async with desk(tmp_path, amocrm, mode="shadow") as scene:
        oleg = await scene.tab("oleg")
        await scene.company.webhook("forwarded", CALL | at("oleg"))
        await scene.company.webhook("forwarded", CALL | at("anna"))
        await oleg.until(lambda: oleg.states == ["ringing"])
        await scene.company.webhook("after", CALL | MISSED)
        await oleg.until(lambda: oleg.states == ["missed"])
        await scene.company.settled(1)
        await scene.read()
        assert scene.popups() == []


async def test_popup_that_cannot_be_made_delays_no_call(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """H4: the fault is told in the log; contact, deal and the next popup are made all the same."""
    async with desk(tmp_path, amocrm) as scene:
        oleg = await scene.tab("oleg")
        with monkeypatch.context() as broken:
            broken.setattr("hub.runtime.popups.view_of", _fail)
            await scene.company.webhook("forwarded", CALL | at("oleg"))
            await scene.read()
            await scene.company.until(
                lambda: "popup.broken" in {getattr(record, "action", "") for record in caplog.records}
            )
            assert oleg.screen == {}
        await scene.company.webhook("after", CALL | ANSWER | at("oleg"))
        await scene.company.settled(1)
        assert len(scene.company.records()["leads"]) == 1
        await scene.company.webhook("forwarded", CALL | {"uniqueid": "ua0_-4.4"} | at("oleg"))
        await oleg.until(lambda: "ringing" in oleg.states)


def _fail(*_: object) -> None:
    raise RuntimeError("the directory is a heap of rubble")


@asynccontextmanager
async def messenger_desk(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """A desk with a messenger, whose new clients are unsorted at first (W3)."""
    pigeon.install(monkeypatch)
    policy = preset("wazzup-messengers").replace("unsorted = false              # W3", "unsorted = true  # W3")
    async with desk(tmp_path, amocrm, policy=policy) as scene:
        await pigeon.open_channel(scene.company)
        yield scene


async def test_new_clients_message_is_everybodys_until_the_first_answers(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """W2, W12: all who receive new clients are told; at the first answer W4 applies, and the text is theirs alone."""
    async with messenger_desk(tmp_path, amocrm, monkeypatch) as scene:
        oleg, anna = await scene.tab("oleg"), await scene.tab("anna")
        await pigeon.send(scene.company, "1", phone="+79161234567", text="Is it in stock?")
        await pigeon.send(scene.company, "2", phone="+79161234567", text="<b>Hello?</b>")
        for tab in (oleg, anna):
            await tab.until(lambda tab=tab: [one["text"] for one in tab.screen.values()] == ["<b>Hello?</b>"])  # type: ignore[misc]  # a default in a lambda
            [shown] = tab.screen.values()
            assert (shown["kind"], shown["state"], shown["client"]["phone"]) == ("message", "new", "+79161234567")
        await pigeon.send(scene.company, "3", phone="+79161234567", by="examplecom_oleg", text="Yes")
        await anna.until(lambda: anna.states == ["answered"])
        [shown] = anna.screen.values()
        assert (shown["answered_by"]["name"], shown["text"]) == ("Олег Громов", "")
        assert set(shown["can"]) <= {"open"}
        await oleg.until(lambda: [one["kind"] for one in oleg.screen.values()] != ["message"])


async def test_a_message_stays_shown_though_its_popup_moves_in_two_places_at_once(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """W12, H9: who comes second looks again at all that it was told of the popup, not only at what came last."""
    async with messenger_desk(tmp_path, amocrm, monkeypatch) as scene:
        oleg, anna = await scene.tab("oleg"), await scene.tab("anna")
        await pigeon.send(scene.company, "1", phone="+79161234567", text="Is it in stock?")
        await anna.until(lambda: anna.states == ["new"])
        await scene.company.settled(1)
        await scene.read()
        [shown] = anna.screen.values()
        makers, add, put = scene.company.hub.popups, scene.company.hub.popups._add, popups.put
        beaten: list[str] = []

        def told(task: Any) -> None:
            add(task)
            if isinstance(task, _Look) and task.interaction != shown["interaction"] and task.responsible is None:
                # in the same round, its decision
                lane = Lane(client_id=ClientId(shown["client"]["id"]), connection=CRM, project=PROJECT)
                makers.planned(lane, task.interaction, Plan(actions=(), responsible=EmployeeId("oleg")))

        def beaten_once(conn: Connection, project: str, before: Kept | None, now_told: Told, now: datetime) -> Any:
            if before is not None and now_told.popup.text == "Hello?" and not beaten:
                beaten.append(now_told.popup.text)
                # or the notice's own round, which is beside this one, has been faster already
                put(conn, project, before, before.told, now)
            return put(conn, project, before, now_told, now)

        monkeypatch.setattr(popups, "put", beaten_once)
        monkeypatch.setattr(makers, "_add", told)
        await pigeon.send(scene.company, "2", phone="+79161234567", text="Hello?")
        await oleg.until(lambda: [one["text"] for one in oleg.screen.values()] == ["Hello?"])
        await anna.until(lambda: "message" not in [one["kind"] for one in anna.screen.values()])
        assert beaten == ["Hello?"]


async def test_a_notice_that_is_faster_than_the_look_makes_no_second_popup(
    tmp_path: Path, amocrm: tuple[Sandbox, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C7, H9: the decision may be made where the look at what came is not, and be told first."""
    async with messenger_desk(tmp_path, amocrm, monkeypatch) as scene:
        anna = await scene.tab("anna")
        makers = scene.company.hub.popups
        late, add = list[_Look](), makers._add

        def told(task: Any) -> None:
            if isinstance(task, _Look) and task.responsible is None:
                late.append(task)
            else:
                add(task)

        monkeypatch.setattr(makers, "_add", told)
        await pigeon.send(scene.company, "1", phone="+79161234567", text="Is it in stock?")
        await anna.until(lambda: bool(late) and bool(anna.screen))
        await scene.company.settled(1)
        add(late[0])
        await scene.read()
        await makers.idle()
        assert [one["kind"] for one in anna.screen.values()] == ["message"]


async def test_forwarding_answer_moves_the_popup_to_whom_it_names(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """DESIGN 8: our own answer for this call id, before the telephony tells whom it rings."""
    policy = POLICY.replace('schedule = "showroom"\n', "", 1).replace(
        'id = "oleg"', 'id = "oleg"\nabsences = [{ since = 2020-01-01, until = 2090-01-01, deputy = "anna" }]'
    )
    async with desk(tmp_path, amocrm, policy=policy) as scene:
        services = scene.company.hub.services
        row = await services.store.read(lambda conn: projects.find_channel(conn, services.cipher, PROJECT, CHANNEL))
        assert row is not None
        irina, anna = await scene.tab("irina"), await scene.tab("anna")
        await scene.company.webhook("before", CALL)
        await irina.until(lambda: irina.states == ["ringing"])
        scene.know("oleg")
        async with httpx.AsyncClient(base_url=scene.address) as telephony:
            question = {"call_id": CALL["uniqueid"], "uuid": "u1", "caller": CALL["caller"], "dst": CALL["dst"]}
            answer = await telephony.post(f"/forward/{PROJECT}/{CHANNEL}/{row.secret}", json=question)
            assert answer.text == "examplecom_anna"
        await irina.until(lambda: irina.screen == {})
        await anna.until(lambda: [shown["why"] for shown in anna.screen.values()] == [FORWARDED])


async def test_call_stored_just_before_the_hub_died_pops_up_after_the_restart(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """A popup follows its interaction; what lies between the two commits is made good at the next start."""
    async with desk(tmp_path, amocrm) as scene:
        scene.know("oleg")
        scene.company.hub.ingest._arrived = lambda _: None
        await scene.company.webhook("before", CALL)
        await scene.read()
        settings = scene.company.hub.services.settings
    async with Hub(settings) as hub, serving(hub.services) as web:
        await hub.popups.idle()
        async with open_tab(hub.services, f"http://127.0.0.1:{web.port}", PROJECT, CRM, "oleg") as oleg:
            await oleg.until(lambda: oleg.states == ["ringing"])


async def test_retailcrm_shows_its_own_popup_on_ring_and_hides_it_at_the_end(tmp_path: Path) -> None:
    """C7, reference 7: in and hangup, tied by the call's id, for whom it rings; the widget's tabs do not live there."""
    with retail_stand() as crm:
        async with shop(tmp_path, crm, public_url="https://hub.example.net") as company:
            for moment, told in (
                ("before", {}),
                ("forwarded", at("anna")),
                ("forwarded", at("oleg")),
                ("taken", at("oleg")),
                ("after", ANSWER | at("oleg")),
            ):
                await company.webhook(moment, CALL | told)
                await company.until(lambda: company.unread() == 0)
                await company.hub.popups.idle()
            found = company.records()
            own = [one for one in found["events"] if one.get("callExternalId") == CALL["uniqueid"]]
            ringing = {user for one in own if one["type"] == "in" for user in one["userIds"]}
            assert {22, 23} <= ringing
            assert sum(one["userIds"].count(22) for one in own if one["type"] == "in") == 1, "at most once"
            [over] = [one for one in own if one["type"] == "hangup"]
            assert (over["hangupStatus"], over["externalPhone"]) == ("answered", "380441234567")
            assert {22, 23} <= set(over["userIds"])
            assert {(one["user"], one["phone"]) for one in found["popups"]} >= {
                (22, "+380501112233"),
                (23, "+380501112233"),
            }
