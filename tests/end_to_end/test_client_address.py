"""A client's address in the hub, which Wazzup is given before the CRM has a card; and messages that need a person."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from hub_amocrm.sandbox import Sandbox
from hub_wazzup.sandbox import Sandbox as Wazzup

from hub.core.interaction import Direction, Identity
from hub.core.outgoing import OutgoingState
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.runtime.composing import Wanted
from hub.store import users
from hub.store.crypto import hash_password
from tests.end_to_end.messenger_world import MessengerWorld, messenger_world
from tests.end_to_end.world import PROJECT

CLIENT = "380671234567"


@asynccontextmanager
async def browser(company: MessengerWorld) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is logged in."""
    services = company.hub.services
    hashed = hash_password("correct horse battery")
    services.store.write_now(
        lambda conn: users.add_user(
            conn, login="olha", password_hash=hashed, role="head", now=services.clock.now(), language="en"
        )
    )
    base = company.hook.partition("/hooks/")[0]
    async with httpx.AsyncClient(base_url=base, timeout=10, trust_env=False) as client:
        form = {"csrf": token(await client.get("/console/login")), "login": "olha", "password": "correct horse battery"}
        assert (await client.post("/console/login", data=form)).status_code == 303
        yield client


def token(answer: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


async def test_the_address_of_a_client_leads_to_the_hub_and_then_to_the_crms_card(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    """DESIGN 7: the link that Wazzup was given goes on working when the record exists."""
    async with messenger_world(tmp_path, amocrm, wazzup) as company, browser(company) as visitor:
        await company.vendor.people.client_writes(CLIENT, "Is the table in stock?", name="Olena")
        [id] = company.vendor.account.contacts
        await company.settled(1)
        [contact] = company.records("contacts")
        card = await visitor.get(f"/console/{PROJECT}/clients/{id}")
        assert card.status_code == 303
        assert card.headers["location"].endswith(f"/contacts/detail/{contact['id']}")
        frame = await visitor.get(f"/console/{PROJECT}/clients/{id}/chat?as=oleg")
        assert (frame.status_code, frame.headers["location"][:32]) == (303, "https://integrations.wazzup24.com"[:32])
        for path in ("clients/nobody", "clients/nobody/chat?as=oleg", f"clients/{id}/chat?as=stranger"):
            assert (await visitor.get(f"/console/{PROJECT}/{path}")).status_code == 404


async def test_the_address_of_a_client_without_a_card_leads_to_what_the_hub_knows(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    async with messenger_world(tmp_path, amocrm, wazzup, mode="shadow") as company, browser(company) as visitor:
        await company.vendor.people.client_writes(CLIENT, "Is the table in stock?", name="Olena")
        [id] = company.vendor.account.contacts
        await company.until(lambda: company.messages(Direction.INBOUND))
        [message] = company.messages(Direction.INBOUND)
        there = await visitor.get(f"/console/{PROJECT}/clients/{id}")
        assert there.headers["location"] == f"/console/{PROJECT}/interactions/{message.id}"


async def test_a_person_sees_what_was_not_sent_and_sends_it_again(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> None:
    async with messenger_world(tmp_path, amocrm, wazzup) as company, browser(company) as visitor:
        composer = company.hub.services.composer
        assert composer is not None
        refusal = b'{"error":"CHANNEL_BLOCKED","description":"The channel is blocked"}'
        company.vendor.fail_next("POST", "/v3/message", "status", status=400, body=refusal)
        phone = Phone("+380671234567")
        message = await composer.queue(
            company.project, Wanted(to=Identity(phones=(phone,)), text="<b>Yours</b>", author=EmployeeId("oleg"))
        )
        await company.until(lambda: company.outbox()[0].state is OutgoingState.REJECTED)
        page = await visitor.get(f"/console/{PROJECT}/attention")
        assert "The channel is blocked" in page.text
        assert "&lt;b&gt;Yours" in page.text
        # a client of whom nothing was heard yet
        there = await visitor.get(f"/console/{PROJECT}/clients/{message.client_id}")
        assert there.headers["location"] == f"/console/{PROJECT}/journal"
        form = {"csrf": token(page), "id": message.id, "what": "again"}
        assert (await visitor.post(f"/console/{PROJECT}/attention/messages", data=form)).status_code == 303
        await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
        await company.settled(1)
        assert [one["text"] for one in company.vendor.sent()] == ["<b>Yours</b>"]
        assert "CHANNEL_BLOCKED" not in (await visitor.get(f"/console/{PROJECT}/attention")).text
