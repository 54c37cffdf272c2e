"""The widget's card and buttons over loopback, with amoCRM's sandbox behind the hub (U1, X1, X5, X9)."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from hub_amocrm.sandbox import Sandbox
from hub_ringostat import sandbox as ringostat
from hub_ringostat.sandbox.telephony import Employee

from hub.clock import Clock
from hub.runtime import acting
from hub.store import interactions, projects
from hub.web.app import build_app
from hub.web.links import forward_url
from hub.web.server import serve_forever
from tests.end_to_end.test_spine import ANSWERED, MISSED_LEG
from tests.end_to_end.world import CHANNEL, PROJECT, World, preset, world
from tests.web.widget_page import HUB, Page

IRINA, OLEG, ANNA, PETRO = 8800101, 8800102, 8800103, 8800104
POLICY = preset("zoho-standard").replace("[forwarding]\n", "[forwarding]\nworking_hours = false\n")


@dataclass(slots=True)
class Desk:
    """Employees before the CRM's pages, and the telephony that asks the hub."""

    company: World
    http: httpx.AsyncClient
    forward: str

    def page(self, user: int) -> Page:
        """The CRM's page as ``user`` sees it."""
        token = self.company.sandbox.disposable_token(HUB, user)
        return Page(self.http, token, origin="http://127.0.0.1:5555")

    async def whom(self, caller: str) -> str:
        """Where the telephony is told to send ``caller``."""
        answer = await self.http.get(self.forward, params={"caller": caller, "uuid": uuid.uuid4().hex})
        return answer.text

    def only(self, kind: str) -> Mapping[str, Any]:
        """The one record of a kind that the CRM holds."""
        [found] = self.company.records()[kind]
        return dict(found)


@asynccontextmanager
async def desk(
    tmp_path: Path,
    amocrm: tuple[Sandbox, str],
    policy: str = POLICY,
    *,
    patience: float = 60,
    clock: Clock | None = None,
) -> AsyncIterator[Desk]:
    """``patience``: seconds that an answer waits for the CRM; a slow machine must not make "waiting" of a "done"."""
    integration = amocrm[0].integration
    keys = {"client_id": integration.client_id, "client_secret": integration.client_secret}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acting, "PATIENCE", timedelta(seconds=patience))
        async with world(tmp_path, *amocrm, policy=policy, account=keys, public_url=HUB, clock=clock) as company:
            services = company.hub.services
            found: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            server = asyncio.create_task(serve_forever(build_app(services), "127.0.0.1", 0, ready=found.set_result))
            try:
                address = f"http://127.0.0.1:{await found}"
                row = await services.store.read(
                    lambda conn: projects.find_channel(conn, services.cipher, PROJECT, CHANNEL)
                )
                assert row is not None
                async with httpx.AsyncClient(base_url=address, timeout=90) as http:
                    yield Desk(company=company, http=http, forward=forward_url(address, PROJECT, CHANNEL, row.secret))
            finally:
                server.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await server


def request(**body: Any) -> dict[str, Any]:
    return {"request": str(uuid.uuid4()), **body}


async def test_the_card_tells_what_happened_whose_it_is_and_why(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """U1, X1, X9: from the hub's own data, in the employee's language, also while the CRM is down."""
    async with desk(tmp_path, amocrm) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        contact, deal = at.only("contacts"), at.only("leads")
        oleg = at.page(OLEG)
        answer = await oleg.get("/card", entity="contact", id=str(contact["id"]))
        assert answer.status_code == 200, answer.text
        card = answer.json()
        assert card["client"]["phones"] == ["+380501112233"]
        assert card["responsible"] == {"id": "oleg", "name": "Олег Громов", "is_me": True}
        assert "Олег Громов" in card["why"]
        assert card["attribution"]["source"] == "google"
        [call] = card["interactions"]
        assert (call["kind"], call["result"], call["tone"], call["seconds"]) == ("call", "answered", "good", 62)
        assert call["recording"].endswith("token=5c0f") or call["legs"][0]["recording"].endswith("token=5c0f")
        assert call["who"]["id"] == "oleg"
        assert [one["id"] for one in card["deals"]] == [str(deal["id"])]
        assert 0 <= card["age_seconds"] < 60
        on_deal = (await oleg.get("/card", entity="lead", id=str(deal["id"]))).json()
        assert [one["id"] for one in on_deal["interactions"]] == [call["id"]]
        assert on_deal["deals"] == []
        why = (await oleg.get(f"/interactions/{call['id']}/why", lang="uk")).json()
        assert "Олег Громов" in why["sentence"]
        assert any(item["tone"] == "good" for part in why["lines"] for item in part["items"])


async def test_a_card_that_the_hub_knows_nothing_of_is_empty_and_quiet(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    async with desk(tmp_path, amocrm) as at:
        card = (await at.page(OLEG).get("/card", entity="contact", id="424242")).json()
        assert (card["client"], card["interactions"], card["can"]) == (None, [], [])
        for query in (
            {"entity": "task", "id": "1"},
            {"entity": "contact"},
            {"entity": "lead", "id": "1", "before": "x"},
            {"entity": "lead", "id": "1", "before": "²"},
            {"entity": "lead", "id": "1", "before": "9" * 40},
        ):
            refused = await at.page(OLEG).get("/card", **query)
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, "bad_field")


async def test_a_colleagues_client_is_shown_to_heads_only(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """W4: a manager sees only their own; quality control sees and writes nothing."""
    policy = POLICY.replace('id = "anna"\n', 'id = "anna"\nroles = ["quality"]\n')
    policy += '\n[[employees]]\nid = "petro"\nname = "Петро"\ncrm_users = {amocrm = "8800104"}\n'
    async with desk(tmp_path, amocrm, policy) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        id = str(at.only("contacts")["id"])
        seen = {}
        for name, user in (("oleg", OLEG), ("anna", ANNA), ("irina", IRINA), ("petro", PETRO)):
            answer = await at.page(user).get("/card", entity="contact", id=id)
            seen[name] = (answer.status_code, answer.json().get("can"))
        # Irina administers the CRM account, so she sees what she could see there
        assert seen == {"oleg": (200, ["task"]), "anna": (200, []), "irina": (200, []), "petro": (403, None)}
        client = (await at.page(OLEG).get("/card", entity="contact", id=id)).json()["client"]["id"]
        refused = await at.page(PETRO).post(f"/clients/{client}/take", request())
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "may_not")
        assert at.only("contacts")["responsible_user_id"] == OLEG


HEADS = POLICY.replace('id = "anna"\n', 'id = "anna"\nroles = ["manager", "head"]\n')


async def client_of(at: Desk, user: int) -> str:
    card = (await at.page(user).get("/card", entity="contact", id=str(at.only("contacts")["id"]))).json()
    return str(card["client"]["id"])


async def test_taking_a_client_changes_the_responsible_and_the_next_forwarding_answer(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1, X5: the contact and the open deal in the CRM, once; the telephony hears it at once; explain tells who."""
    async with desk(tmp_path, amocrm, HEADS) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        assert await at.whom("380501112233") == "examplecom_oleg"
        anna, wanted = at.page(ANNA), request()
        client = await client_of(at, ANNA)
        done = await anna.post(f"/clients/{client}/take", wanted)
        assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
        assert set(done.json()["links"]) == {"contact", "deal"}
        assert at.only("contacts")["responsible_user_id"] == ANNA
        assert at.only("leads")["responsible_user_id"] == ANNA
        assert await at.whom("380501112233") == "examplecom_anna"
        again = await anna.post(f"/clients/{client}/take", wanted)
        assert again.json()["state"] == "done"
        card = (await anna.get("/card", entity="contact", id=str(at.only("contacts")["id"]))).json()
        assert card["responsible"]["is_me"]
        assert "took the client" in card["why"]
        assert "take" not in card["can"]
        why = (await anna.get(f"/interactions/{card['why_interaction']}/why")).json()
        assert any("Анна Котова did it by hand" in item["text"] for part in why["lines"] for item in part["items"])


async def test_a_late_record_of_the_call_does_not_undo_what_a_person_took(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1, DESIGN 2: a revision corrects what the hub decided, not what an employee did."""
    async with desk(tmp_path, amocrm, HEADS) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        client = await client_of(at, ANNA)
        assert (await at.page(ANNA).post(f"/clients/{client}/take", request())).json()["state"] == "done"
        later = {"connected_with": "examplecom_irina", "calldate": "2026-07-29 11:06:50", "billsec": "30"}
        await at.company.webhook("after", ANSWERED | later)
        await at.company.until(lambda: at.company.unread() == 0)
        await at.company.settled(1)
        assert at.only("leads")["responsible_user_id"] == ANNA
        assert at.only("contacts")["responsible_user_id"] == ANNA


async def test_a_call_back_task_is_made_once_closed_and_moved(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """U1, A3: no second one while one is open; a closed one may be followed by another."""
    async with desk(tmp_path, amocrm, HEADS) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        oleg, client = at.page(OLEG), await client_of(at, OLEG)

        def opened() -> list[Mapping[str, Any]]:
            return [task for task in at.company.records()["tasks"] if not task["is_completed"]]

        due = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
        first = await oleg.post(f"/clients/{client}/task", request(text="О скидке", due=due.isoformat()))
        assert first.json()["state"] == "done", first.text
        [task] = opened()
        assert (task["text"], task["responsible_user_id"], task["complete_till"]) == ("О скидке", OLEG, due.timestamp())
        second = await oleg.post(f"/clients/{client}/task", request())
        assert second.json()["state"] == "done"
        assert len(opened()) == 1
        card = (await oleg.get("/card", entity="contact", id=str(at.only("contacts")["id"]))).json()
        [shown] = card["tasks"]
        assert (shown["text"], shown["can"], shown["is_overdue"]) == ("О скидке", ["complete", "reschedule"], False)
        place = f"/tasks/{shown['entity']}/{shown['id']}"
        moved = due + timedelta(days=1)
        assert (await oleg.post(f"{place}/reschedule", request(due=moved.isoformat()))).json()["state"] == "done"
        assert opened()[0]["complete_till"] == moved.timestamp()
        assert (await oleg.post(f"{place}/complete", request(text="Договорились"))).json()["state"] == "done"
        assert opened() == []
        third = await oleg.post(f"/clients/{client}/task", request())
        assert third.json()["state"] == "done"
        assert len(opened()) == 1


async def test_a_dead_crm_lets_the_request_wait_and_the_telephony_already_follows(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1, H4: the answer says so; when the CRM is back it is done, once."""
    sandbox = amocrm[0]
    hasty = HEADS + '\n[timing]\ndoubt_wait = "0 seconds"\nrequest_timeout = "1 second"\n'
    async with desk(tmp_path, amocrm, hasty, patience=0.5) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        client = await client_of(at, ANNA)
        sandbox.fail_next("*", "/", status=503, count=10_000)
        first = request()
        done = await at.page(ANNA).post(f"/clients/{client}/take", first)
        assert (done.status_code, done.json()["state"]) == (200, "waiting")
        assert await at.whom("380501112233") == "examplecom_anna"
        # the directory says already that it is so, the CRM does not: whoever clicks again is told the truth
        for again in (first, request()):
            repeated = await at.page(ANNA).post(f"/clients/{client}/take", again)
            assert (repeated.status_code, repeated.json()) == (200, done.json())
        sandbox.clear_faults()
        await at.company.until(lambda: at.only("contacts")["responsible_user_id"] == ANNA, 60)
        await at.company.until(lambda: at.only("leads")["responsible_user_id"] == ANNA, 60)


async def test_what_is_missing_is_created_while_the_call_still_rings(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """U1: by the policy's names, on whoever pressed; the decision after the call makes no second one (A14)."""
    ringing = {key: MISSED_LEG[key] for key in ("type", "uniqueid", "caller", "dst")}
    async with desk(tmp_path, amocrm, HEADS) as at:
        await at.company.webhook("before", ringing)
        await at.company.until(lambda: at.company.unread() == 0)
        services = at.company.hub.services
        [call] = services.store.read_now(lambda conn: interactions.journal(conn, PROJECT))
        body = request(what=["contact", "deal"], name="Мария", interaction=call.id)
        done = await at.page(ANNA).post(f"/clients/{call.client_id}/create", body)
        assert done.json()["state"] == "done", done.text
        assert (at.only("contacts")["name"], at.only("contacts")["responsible_user_id"]) == ("Мария", ANNA)
        answer = {"disposition": "ANSWERED", "billsec": "40", "duration": "60", "connected_with": "examplecom_oleg"}
        await at.company.webhook("after", MISSED_LEG | answer)
        await at.company.until(lambda: at.company.unread() == 0)
        await at.company.settled(1)
        assert at.only("leads")["responsible_user_id"] == ANNA
        assert at.only("contacts")["name"] == "Мария"


async def test_bad_requests_name_the_field_and_change_nothing(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with desk(tmp_path, amocrm, HEADS) as at:
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        anna, client = at.page(ANNA), await client_of(at, ANNA)
        before = {**at.company.records(), "now": 0}
        rows: list[tuple[str, dict[str, Any], int, str]] = [
            (f"/clients/{client}/take", {}, 422, "request"),
            (f"/clients/{client}/take", {"request": "1"}, 422, "request"),
            (f"/clients/{client}/create", request(), 422, "what"),
            (f"/clients/{client}/create", request(what=["company"]), 422, "what"),
            (f"/clients/{client}/task", request(due="tomorrow"), 422, "due"),
            (f"/clients/{client}/task", request(due="2031-01-01T10:00:00"), 422, "due"),
            (f"/clients/{client}/task", request(due="2001-01-01T10:00:00Z"), 422, "due"),
            (f"/clients/{client}/task", request(text=5), 422, "text"),
            ("/clients/nobody/take", request(), 404, ""),
            ("/tasks/lead/424242/complete", request(), 404, ""),
            (f"/clients/{client}/frame", {}, 405, ""),
        ]
        for path, body, status, field in rows:
            answer = await anna.post(path, body)
            assert (path, answer.status_code, answer.json()["error"].get("field", "")) == (path, status, field)
        assert {**at.company.records(), "now": 0} == before


async def test_a_project_in_shadow_says_so_and_writes_nothing(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    async with desk(tmp_path, amocrm, HEADS) as at:
        services = at.company.hub.services
        await at.company.webhook("after", ANSWERED)
        await at.company.settled(1)
        anna, client = at.page(ANNA), await client_of(at, ANNA)

        async def stand(mode: Literal["shadow", "live"]) -> None:
            await services.store.write(lambda conn: projects.change_project(conn, PROJECT, mode=mode))
            await services.projects.reload()

        await stand("shadow")
        refused = await anna.post(f"/clients/{client}/take", request())
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "held_back")
        assert at.only("contacts")["responsible_user_id"] == OLEG
        await stand("live")
        assert (await anna.post(f"/clients/{client}/take", request())).json()["state"] == "done"


async def test_calling_back_rings_the_employee_and_the_client_once(tmp_path: Path, amocrm: tuple[Sandbox, str]) -> None:
    """U1: over Ringostat's callback, to the employee's own destination, only the client's own numbers."""
    staff = Employee(id="2", name="Олег Громов", email="oleg@nordtea.example", login="examplecom_oleg")
    with ringostat.serve(ringostat.Sandbox(employees=(staff,))) as (telephony, address):
        async with desk(tmp_path, amocrm, HEADS) as at:
            services = at.company.hub.services
            await at.company.webhook("after", ANSWERED)
            await at.company.settled(1)
            oleg, client = at.page(OLEG), await client_of(at, OLEG)
            missing = await oleg.post(f"/clients/{client}/call", request())
            assert (missing.status_code, missing.json()["error"]["code"]) == (409, "no_telephony")
            keys = {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": address}
            await services.store.write(
                lambda conn: projects.change_channel(conn, services.cipher, PROJECT, CHANNEL, keys)
            )
            await services.projects.reload()
            assert (await oleg.post("/session")).json()["may"]["call_back"]
            card = (await oleg.get("/card", entity="contact", id=str(at.only("contacts")["id"]))).json()
            assert "call" in card["can"]
            foreign = await oleg.post(f"/clients/{client}/call", request(phone="+380999999999"))
            assert (foreign.status_code, foreign.json()["error"]["field"]) == (422, "phone")
            body = request()
            for _ in range(2):
                done = await oleg.post(f"/clients/{client}/call", body)
                assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
            [ordered] = telephony.callbacks
            assert (ordered["caller"], ordered["callee"]) == ("380501112233", "examplecom_oleg")
            numbers = (("+380999999999", 404, "unknown_number"), ("moon", 422, "bad_field"))
            for typed, status, code in numbers:
                refused = await oleg.post("/call", request(phone=typed))
                assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
            clicked = await oleg.post("/call", request(phone="050 111 22 33"))
            assert clicked.json()["state"] == "done", clicked.text
            assert [one["caller"] for one in telephony.callbacks] == ["380501112233", "380501112233"]
