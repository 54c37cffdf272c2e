"""A card whose client never turned to the company through the hub: the directory's word, and what can be done (U1)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from hub_ringostat import sandbox as ringostat
from hub_ringostat.sandbox.telephony import Employee
from hub_wazzup import sandbox as wazzup
from sqlalchemy import Connection

from hub.core.phone import Phone
from hub.core.records import Contact, Deal, EmployeeId
from hub.ports import Changes
from hub.store import projects
from hub.store.acquaintance import client_of_contact
from tests.end_to_end.test_widget import ANNA, IRINA, OLEG, POLICY, Desk, desk, request
from tests.end_to_end.world import CHANNEL, CRM, PROJECT, USERS

PHONE = "+380671112200"
JANA = Contact(id="7", name="Jana", phones=(Phone(PHONE),), deal_ids=("71",))
MILAN = Contact(id="8", name="Milan", emails=("milan@client.example",))


def know(at: Desk, responsible: str) -> None:
    """The directory holds a contact with an open deal; nobody ever called."""
    services = at.company.hub.services
    pipeline = services.projects.get(PROJECT).connections[0].catalogue.pipelines[0]
    owner = EmployeeId(f"@{USERS[responsible]}")
    contacts = tuple(replace(contact, responsible=owner) for contact in (JANA, MILAN))
    deal = Deal(
        id="71",
        name="Assam, 40 kg",
        responsible=owner,
        contact_ids=("7",),
        pipeline_id=pipeline.id,
        stage_id=pipeline.stages[1].id,
    )
    changes = Changes(contacts=contacts, deals=(deal,))
    services.directory.fold(PROJECT, CRM, changes, services.clock.now())


def share(conn: Connection) -> None:
    """What telling a messenger of the CRM's contacts does here (`hub.runtime.sharing`)."""
    for contact in (JANA, MILAN):
        assert client_of_contact(conn, PROJECT, CRM, contact, now=datetime.now(UTC)) is not None


async def connect(at: Desk, telephony: str, messenger: dict[str, str]) -> None:
    """Ringostat may ring, Wazzup frames its dialogues."""
    services, now = at.company.hub.services, at.company.hub.services.clock.now()
    keys: dict[str, Any] = {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": telephony}

    def put(conn: Any) -> None:
        projects.change_channel(conn, services.cipher, PROJECT, CHANNEL, keys)
        projects.add_channel(
            conn, services.cipher, project=PROJECT, name="chats", source="wazzup", settings=messenger, now=now
        )

    await services.store.write(put)
    await services.projects.reload()


async def test_a_client_of_the_crm_alone_is_shown_called_and_written_to(
    tmp_path: Path, amocrm: tuple[Sandbox, str]
) -> None:
    """Responsible, deal and number come from the directory; a call is ordered once, the dialogue opens for them."""
    staff = Employee(id="2", name="Олег Громов", email="oleg@nordtea.example", login="examplecom_oleg")
    with (
        ringostat.serve(ringostat.Sandbox(employees=(staff,))) as (telephony, ringing),
        wazzup.serve(wazzup.Sandbox()) as (chats, messenger),
    ):
        async with desk(tmp_path, amocrm, POLICY) as at:
            know(at, "oleg")
            chats.account.users["oleg"] = {"id": "oleg", "name": "Олег Громов"}
            await connect(at, ringing, {"api_base": messenger, "api_key": chats.account.api_key})
            oleg = at.page(OLEG)
            cards = {
                entity: (await oleg.get("/card", entity=entity, id=id)).json()
                for entity, id in (("contact", "7"), ("lead", "71"))
            }
            for card in cards.values():
                assert (card["client"]["name"], card["client"]["phones"]) == ("Jana", [PHONE])
                assert (card["responsible"]["id"], card["interactions"]) == ("oleg", [])
                assert card["why"]
                assert card["can"] == ["call", "write"], "what is written to the CRM hangs on an interaction"
            assert [deal["id"] for deal in cards["contact"]["deals"]] == ["71"]
            client = cards["contact"]["client"]["id"]
            body = request()
            for _ in range(2):
                done = await oleg.post(f"/clients/{client}/call", body)
                assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
            assert [one["caller"] for one in telephony.callbacks] == [PHONE.removeprefix("+")]
            foreign = await oleg.post(f"/clients/{client}/call", request(phone="+380999999999"))
            assert foreign.status_code == 422
            framed = await oleg.get(f"/clients/{client}/frame")
            assert framed.status_code == 200, framed.text
            assert framed.json()["url"].startswith("http")
            unwritten = await oleg.post(f"/clients/{client}/take", request())
            assert (unwritten.status_code, unwritten.json()["error"]["code"]) == (404, "not_found")
            # the same when a messenger has been told of all contacts, which gives them ids of the hub's
            for is_shared in (False, True):
                if is_shared:
                    await at.company.hub.services.store.write(share)
                mute = (await oleg.get("/card", entity="contact", id="8")).json()
                assert (mute["client"]["emails"], mute["can"]) == (["milan@client.example"], [])
                jana = (await oleg.get("/card", entity="contact", id="7")).json()
                assert jana["can"] == ["call", "write"]


NOBODYS = ["@contact:424242", "@task:7", "@:", "@contact:", "@contact:7:8", f"c-{uuid.uuid4().hex}"]


@pytest.mark.parametrize("path", ["call", "frame"])
async def test_a_card_id_opens_nobody_elses_client(tmp_path: Path, amocrm: tuple[Sandbox, str], path: str) -> None:
    """W4: the same rights as over the hub's own clients; what is no card is nobody."""
    async with desk(tmp_path, amocrm, POLICY) as at:
        know(at, "oleg")

        async def ask(user: int, client: str) -> tuple[int, str]:
            page = at.page(user)
            address = f"/clients/{client}/{path}"
            answer = await (page.get(address) if path == "frame" else page.post(address, request()))
            return answer.status_code, answer.json()["error"]["code"]

        refused = await at.page(ANNA).get("/card", entity="contact", id="7")
        assert refused.json()["error"]["code"] == "colleagues_client"
        if path == "call":
            assert await ask(ANNA, "@contact:7") == (403, "may_not")
        for client in NOBODYS:
            assert await ask(IRINA, client) == (404, "not_found"), client
