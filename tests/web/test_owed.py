"""Replies that a webhook's own response owes: from the directory, after the request is on disk (DESIGN 2.1, R3)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import pytest
from pydantic import BaseModel

from hub.clock import FakeClock
from hub.core.interaction import Identity
from hub.core.phone import parse_phone
from hub.messenger import KnownClient, OwedQuestion
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest, Reply, SetupHint
from hub.runtime.services import Services
from hub.store import inbox, projects, shared
from tests.web.conftest import CRM, KNOWN, PROJECT, STRANGER, Web, know, serving, set_up

SECRET = "ba5e" * 8
HOOK = f"/hooks/{PROJECT}/chat/{SECRET}"


class AskerSettings(BaseModel):
    """None."""


class Asker:
    """A chat vendor whose webhook is answered with what is known of the client."""

    name = "asker"
    settings_model: type[BaseModel] = AskerSettings
    events: tuple[str, ...] = ("ask",)

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None: ...

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        return [Ignored(reason="asked")]

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        return []

    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        if not request.body:
            return None
        asked = json.loads(request.body)
        phone = parse_phone(asked["phone"], channel.region) if "phone" in asked else None
        return OwedQuestion(
            kind="ask",
            client=Identity(phones=(phone,) if phone else (), handles=tuple(map(tuple, asked.get("handles", ())))),
            client_id=asked.get("client", ""),
            needs_client_id=asked.get("wants_id", False),
            needs_deal=asked.get("wants_deal", False),
            wait=timedelta(seconds=asked.get("wait", 0)),
            parameters=asked,
            otherwise=Reply(body=asked["otherwise"].encode(), content_type="application/json")
            if "otherwise" in asked
            else Reply(),
        )

    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        if "break" in question.parameters:
            raise ZeroDivisionError
        told = {
            "id": client.client_id,
            "name": client.name,
            "contact": client.contact.id if client.contact else "",
            "responsible": client.responsible.name if client.responsible else "",
            "deals": [deal.shared_id for deal in client.open_deals],
            "promised": client.promised_deal_id,
            "card": client.card_url,
        }
        return Reply(body=json.dumps(told).encode(), content_type="application/json")


@pytest.fixture
async def asked(make_services: Callable[..., Services], clock: FakeClock) -> AsyncIterator[Web]:
    services = make_services(public_url="https://hub.example.net")
    services.plugins.sources["asker"] = Asker()
    try:
        services.store.write_now(lambda conn: projects.add_project(conn, PROJECT, now=clock.now()))
        services.store.write_now(
            lambda conn: projects.add_channel(
                conn,
                services.cipher,
                project=PROJECT,
                name="chat",
                source="asker",
                settings={},
                now=clock.now(),
                secret=SECRET,
            )
        )
        set_up(services, project=False)
        async with serving(services) as found:
            yield found
    finally:
        services.close()


async def test_a_known_client_is_told_from_the_directory(asked: Web) -> None:
    answer = await asked.client.post(HOOK, json={"phone": "050 111 22 33"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() | {"card": ""} == {
        "id": "",
        "name": "Client",
        "contact": "c1",
        "responsible": "Olena",
        "deals": [f"{CRM}-dc1"],
        "promised": "",
        "card": "",
    }
    assert len(asked.services.store.read_now(lambda conn: inbox.unread(conn, limit=9))) == 1


async def test_an_unknown_client_leaves_the_facts_empty(asked: Web) -> None:
    answer = await asked.client.post(HOOK, json={"phone": STRANGER})
    assert answer.json()["contact"] == answer.json()["responsible"] == answer.json()["id"] == ""


async def test_a_reply_waits_for_no_thread_that_others_keep_busy(asked: Web) -> None:
    """J1: an operator waits for it, so it does not queue behind reports and pages; the vendor gives up after 3 s."""
    released = threading.Event()
    slow = [asyncio.create_task(asked.services.store.read(lambda _: released.wait(60))) for _ in range(64)]
    try:
        await asyncio.sleep(0)
        answer = await asked.client.post(HOOK, json={"phone": KNOWN})
        assert answer.json()["deals"] == [f"{CRM}-dc1"]
    finally:
        released.set()
        await asyncio.gather(*slow)


async def test_a_reply_that_cannot_be_had_is_the_vendors_own_received(asked: Web) -> None:
    """A vendor that reads JSON gets JSON, also where the look-up or the plugin fails."""
    answer = await asked.client.post(HOOK, json={"phone": KNOWN, "break": 1, "otherwise": '{"result":"ok"}'})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"result": "ok"}


async def test_a_new_client_is_given_one_id_for_good(asked: Web) -> None:
    """DESIGN 7: the id that the vendor hears is the one under which the client is told later."""
    question = {"handles": [["telegram", "77"]], "wants_id": True}
    first = (await asked.client.post(HOOK, json=question)).json()
    assert first["id"]
    assert first["card"] == f"https://hub.example.net/console/{PROJECT}/clients/{first['id']}"
    assert (await asked.client.post(HOOK, json=question)).json()["id"] == first["id"]
    # a number that comes later leads to the same client, and so does the id that the vendor gives back
    both = (await asked.client.post(HOOK, json={**question, "phone": KNOWN})).json()
    assert (both["id"], both["contact"]) == (first["id"], "c1")
    assert (await asked.client.post(HOOK, json={"client": first["id"]})).json()["contact"] == "c1"


async def test_a_promised_deal_keeps_its_id_until_a_record_takes_its_place(asked: Web) -> None:
    question = {"phone": STRANGER, "wants_id": True, "wants_deal": True}
    first = (await asked.client.post(HOOK, json=question)).json()
    assert first["promised"] == f"{first['id']}-1"
    assert (await asked.client.post(HOOK, json=question)).json()["promised"] == first["promised"]
    know(asked.services, STRANGER, contact_of="1", deal_of="1", id="new")
    asked.services.store.write_now(
        lambda conn: shared.put(
            conn,
            PROJECT,
            "chat",
            "deals",
            [shared.Shared(id=first["promised"], record=shared.record_key(CRM, "dnew"))],
            asked.services.clock.now(),
        )
    )
    again = (await asked.client.post(HOOK, json=question)).json()
    assert (again["deals"], again["promised"]) == ([first["promised"]], "")


async def test_a_reply_may_wait_until_the_crm_has_the_contact(asked: Web) -> None:
    """``wait_for_crm``, for a vendor that refuses ids of ours."""
    question = {"phone": STRANGER, "wants_id": True, "wait": 5}

    asking = asyncio.create_task(asked.client.post(HOOK, json=question))
    async with asyncio.timeout(30):
        while not asked.services.store.read_now(lambda conn: inbox.unread(conn, limit=9)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    know(asked.services, STRANGER, contact_of="2", id="late")
    assert (await asking).json()["contact"] == "late"


@pytest.mark.parametrize(
    ("body", "counted"),
    [(b"", 0), (b'{"phone": "1", "break": 1}', 1), (b"not json", 1), (b"[]", 1)],
)
async def test_whatever_goes_wrong_the_vendor_hears_the_plain_yes(asked: Web, body: bytes, counted: int) -> None:
    answer = await asked.client.post(HOOK, content=body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert len(asked.services.store.read_now(lambda conn: inbox.unread(conn, limit=9))) == 1
    assert asked.app.counts.owed[PROJECT, "chat", "failed"] == counted
    # and the next question is answered again
    assert (await asked.client.post(HOOK, json={"phone": KNOWN})).json()["contact"] == "c1"
    assert "hub_owed_replies_total" in (await asked.client.get("/metrics")).text
