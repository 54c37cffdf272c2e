"""The sandbox against the reference, asked directly: limits, error bodies, entities, webhooks (H10)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hub_wazzup.sandbox import Account, ChannelState, Sandbox, serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

MARCH = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
CLIENT = "380671234567"


class Listener:
    """A CRM that hears the webhooks."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200

    async def hook(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.heard.append(body)
        self.headers.append(dict(request.headers))
        if "createContact" in body:
            asked = body["createContact"]
            id = f"c-{asked['contactData'][0]['chatId']}"
            return JSONResponse({"id": id, "uri": "https://crm.example/501", **asked})
        if "createDeal" in body:
            id = f"d-{body['createDeal']['contacts'][0]}"
            return JSONResponse({"id": id, "name": "Enquiry", "uri": "", "closed": False, **body["createDeal"]})
        return Response(status_code=self.status)

    @property
    def kinds(self) -> list[str]:
        return [key for body in self.heard for key in body]


@contextmanager
def listening() -> Iterator[tuple[Listener, str]]:
    import socket
    import threading
    import time

    import uvicorn

    listener = Listener()
    app = Starlette(routes=[Route("/hook", listener.hook, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    opened = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield listener, f"http://127.0.0.1:{opened.getsockname()[1]}/hook"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        opened.close()


@pytest.fixture
async def api(wazzup: tuple[Sandbox, str]) -> AsyncIterator[httpx.AsyncClient]:
    sandbox, address = wazzup
    headers = {"Authorization": f"Bearer {sandbox.account.api_key}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def sandbox(wazzup: tuple[Sandbox, str]) -> Sandbox:
    wazzup[0].clock.set(MARCH)
    return wazzup[0]


def contact(id: str, responsible: str = "ivan") -> dict[str, Any]:
    return {
        "id": id,
        "responsibleUserId": responsible,
        "name": "Olena",
        "contactData": [{"chatType": "whatsapp", "chatId": CLIENT}],
    }


async def test_a_wrong_key_is_401_and_a_sidecar_key_opens_little(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    answer = await api.get("/channels", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.content) == (401, b"")
    sandbox.account.is_sidecar = True
    refused = await api.get("/contacts")
    assert (refused.status_code, refused.json()) == (403, {"error": "FORBIDDEN"})
    assert (await api.get("/channels")).status_code == 200


async def test_the_501st_request_in_five_seconds_is_429_until_the_next_window(
    sandbox: Sandbox, api: httpx.AsyncClient
) -> None:
    await api.get("/channels")
    sandbox.api._asked = 499
    assert (await api.get("/channels")).status_code == 200
    refused = await api.get("/channels")
    assert (refused.status_code, "retry-after" in refused.headers) == (429, False)
    sandbox.clock.advance(timedelta(seconds=5))
    assert (await api.get("/channels")).status_code == 200


BATCHES: list[tuple[list[dict[str, Any]], int, str]] = [
    ([contact(str(n)) for n in range(101)], 400, "TOO_MANY_ENTITIES"),
    ([contact("1"), contact("2") | {"contactData": []}], 400, "INVALID_CONTACTS_DATA"),
    ([contact("1") | {"name": "x" * 201}], 400, "INVALID_CONTACTS_DATA"),
    ([contact("1"), contact("1")], 500, ""),
]


@pytest.mark.parametrize(("items", "status", "code"), BATCHES, ids=["101", "no chats", "long name", "twice"])
async def test_a_batch_is_taken_whole_or_not_at_all(
    sandbox: Sandbox, api: httpx.AsyncClient, items: list[dict[str, Any]], status: int, code: str
) -> None:
    answer = await api.post("/contacts", json=items)
    assert answer.status_code == status
    assert (answer.json()["error"] if answer.content else "") == code
    assert sandbox.account.contacts == {}
    good = await api.post("/contacts", json=[contact("1")])
    assert (good.status_code, good.content) == (200, b"")


async def test_the_item_at_fault_is_named_by_its_place(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    answer = await api.post("/contacts", json=[contact("1"), {"id": "2"}])
    assert answer.json()["data"] == [{"index": 1, "fields": ["responsibleUserId", "name", "contactData"]}]
    sandbox.api.is_camel = True
    assert (await api.post("/contacts", json=[{}])).json()["error"] == "invalidContactsData"


async def test_a_users_bad_phone_is_dropped_silently_and_a_double_one_refused(
    sandbox: Sandbox, api: httpx.AsyncClient
) -> None:
    users = [{"id": "u-1", "name": "Ivan", "phone": "+380 67"}, {"id": "u-2", "name": "Anna", "phone": "380501112233"}]
    assert (await api.post("/users", json=users)).status_code == 200
    assert sandbox.account.users["u-1"] == {"id": "u-1", "name": "Ivan"}
    assert (await api.get("/users")).json() == [{"id": "u-2", "name": "Anna"}, {"id": "u-1", "name": "Ivan"}]
    double = [{"id": "u-3", "name": "Petro", "phone": "380501112233"}]
    assert (await api.post("/users", json=double)).json()["error"] == "DUPLICATE_PHONE_NUMBER"
    assert (await api.patch("/users/bulk_delete", json=["u-1", "nobody"])).json() == ["nobody"]
    assert (await api.get("/users/u-1")).status_code == 404


async def test_contacts_come_in_pages_of_a_hundred(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    for start in (0, 100):
        await api.post("/contacts", json=[contact(f"{n:03d}") for n in range(start, start + 75)])
    first, second = (await api.get("/contacts")).json(), (await api.get("/contacts?offset=100")).json()
    assert (first["count"], len(first["data"]), len(second["data"])) == (150, 100, 50)


async def test_empty_stages_are_an_error_and_missing_ones_are_not(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    bare = {"id": "1", "name": "Sales"}
    assert (await api.post("/pipelines", json=[bare | {"stages": []}])).status_code == 400
    assert (await api.post("/pipelines", json=[bare])).status_code == 200
    assert (await api.get("/pipelines")).json() == [bare]


# --- messages ---------------------------------------------------------------------------------------------------


def message(sandbox: Sandbox, **changes: Any) -> dict[str, Any]:
    return {"channelId": sandbox.channel.id, "chatType": "whatsapp", "chatId": CLIENT, "text": "Hello"} | changes


async def test_a_repeated_crm_message_id_is_known_for_sixty_seconds(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    body = message(sandbox, crmMessageId="hub-1")
    first = await api.post("/message", json=body)
    assert (first.status_code, set(first.json())) == (201, {"messageId", "chatId"})
    sandbox.clock.advance(timedelta(seconds=59))
    again = await api.post("/message", json=body)
    assert (again.status_code, again.json()["data"]) == (400, {"crmMessageId": "hub-1"})
    assert again.json()["requestId"]
    sandbox.clock.advance(timedelta(seconds=2))
    assert (await api.post("/message", json=body)).status_code == 201
    assert len(sandbox.sent()) == 2


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"chatType": "telegram"}, "WRONG_TRANSPORT"),
    ({"contentUri": "https://example.com/a.jpg"}, "MESSAGE_ONLY_TEXT_OR_CONTENT"),
    ({"text": None}, "MESSAGE_NOTHING_TO_SEND"),
    ({"text": " "}, "MESSAGES_TEXT_CAN_NOT_BE_BLANK"),
    ({"text": "x" * 10_001}, "MESSAGE_TEXT_TOO_LONG"),
    ({"channelId": "nothing"}, "CHANNEL_NOT_FOUND"),
    ({"chatId": None}, "INVALID_MESSAGE_DATA"),
    ({"text": None, "contentUri": "http://127.0.0.1:9/none.jpg"}, "MESSAGE_DOWNLOAD_CONTENT_ERROR"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSALS, ids=[row[1] for row in REFUSALS])
async def test_what_cannot_be_sent_is_refused_by_its_code(
    sandbox: Sandbox, api: httpx.AsyncClient, changes: dict[str, Any], code: str
) -> None:
    answer = await api.post("/message", json=message(sandbox, **changes))
    assert (answer.status_code, answer.json()["error"]) == (400, code)
    assert (await api.post("/message", json=message(sandbox))).status_code == 201


async def test_a_channel_that_is_not_active_takes_nothing(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    for state, code in (("blocked", "CHANNEL_BLOCKED"), ("qr", "MESSAGE_CHANNEL_UNAVAILABLE")):
        sandbox.channel.state = state
        assert (await api.post("/message", json=message(sandbox))).json()["error"] == code


# --- webhooks ---------------------------------------------------------------------------------------------------


EVERYTHING = {
    "messagesAndStatuses": True,
    "contactsAndDealsCreation": True,
    "channelsUpdates": True,
    "templateStatus": True,
}


async def test_an_address_is_tried_before_it_is_taken(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    with listening() as (listener, uri):
        listener.status = 404
        body = {"webhooksUri": uri, "subscriptions": EVERYTHING}
        refused = await api.patch("/webhooks", json=body)
        assert (refused.status_code, refused.json()["error"], refused.json()["data"]) == (
            400,
            "TEST_POST_NOT_PASSED",
            {"status": 404},
        )
        listener.status = 200
        taken = await api.patch("/webhooks", json=body)
        assert (taken.status_code, taken.content) == (200, b"{ ok }")
        assert listener.heard == [{"test": True}, {"test": True}]
        told = (await api.get("/webhooks")).json()
        assert told["webhooksUri"] == uri
        assert told["subscriptions"] == {
            "messagesAndStatuses": True,
            "contactsAndDealsCreation": True,
            "channelsUpdates": True,
            "wabaTemplatesStatus": True,
        }
        assert (await api.patch("/webhooks", json={"webhooksUri": "nonsense"})).json()["error"] == "URI_NOT_VALID"


async def test_new_clients_in_turn_make_contact_and_deal_once(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    with listening() as (listener, uri):
        await api.patch("/webhooks", json={"webhooksUri": uri, "subscriptions": EVERYTHING})
        await api.post("/users", json=[{"id": id, "name": id} for id in ("ivan", "anna")])
        sandbox.seat("ivan", "anna")
        await sandbox.people.client_writes(CLIENT, "Hello", name="Olena")
        await sandbox.people.client_writes("380501112233", "Hello")
        assert listener.kinds == ["test", *["messages", "createContact", "createDeal"] * 2]
        asked = [body["createContact"] for body in listener.heard if "createContact" in body]
        assert [one["responsibleUserId"] for one in asked] == ["ivan", "anna"]
        # never again, not even once the deal is closed
        sandbox.account.deals[f"d-c-{CLIENT}"]["closed"] = True
        await sandbox.people.client_writes(CLIENT, "Me again")
        assert listener.kinds[-1] == "messages"
        assert listener.headers[-1]["content-type"] == "application/json; charset-utf-8"
        assert "authorization" not in listener.headers[-1]
        sandbox.account.crm_key = "secret"
        await sandbox.people.channel_is(sandbox.channel, "unauthorized")
        assert listener.headers[-1]["authorization"] == "Bearer secret"


async def test_the_first_who_answers_is_asked_for(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    with listening() as (listener, uri):
        await api.patch("/webhooks", json={"webhooksUri": uri, "subscriptions": EVERYTHING})
        await api.post("/users", json=[{"id": "anna", "name": "Anna"}])
        sandbox.channel.new_clients = "first"
        await sandbox.people.client_writes(CLIENT, "Hello")
        assert "createContact" not in listener.kinds
        await sandbox.people.employee_writes("anna", CLIENT, "Good day")
        assert listener.kinds[-2:] == ["createContact", "createDeal"]
        assert listener.heard[-1]["createDeal"]["responsibleUserId"] == "anna"


async def test_the_counter_is_the_responsibles_and_falls_by_a_reply(sandbox: Sandbox, api: httpx.AsyncClient) -> None:
    await api.post("/users", json=[{"id": "ivan", "name": "Ivan"}])
    await api.post("/contacts", json=[contact("c-1")])
    await sandbox.people.client_writes(CLIENT, "Hello")
    await sandbox.people.client_writes(CLIENT, "Hello?")
    assert (await api.get("/unanswered/ivan")).json() == {
        "counterV2": 2,
        "type": "red",
        "lastMsgDateTime": "2026-03-02T08:15:00.000Z",
    }
    await api.post("/message", json=message(sandbox, clearUnanswered=False))
    assert (await api.get("/unanswered/ivan")).json()["counterV2"] == 2
    await api.post("/message", json=message(sandbox))
    assert (await api.get("/unanswered/ivan")).json() == {"counterV2": 0, "type": None, "lastMsgDateTime": (None)}


async def test_the_sandbox_as_a_program_is_played_over_http() -> None:
    account = Account(channels=[ChannelState()])
    with serve(Sandbox(account)) as (sandbox, address):
        async with httpx.AsyncClient(base_url=address.removesuffix("/v3"), timeout=10, trust_env=False) as control:
            written = await control.post("/_sandbox/client_writes", json={"chatId": CLIENT, "text": "Hello"})
            assert written.json()["text"] == "Hello"
            await control.post("/_sandbox/employee_writes", json={"userId": "ivan", "chatId": CLIENT, "text": "Yes"})
            await control.post("/_sandbox/fault", json={"method": "GET", "path": "/v3/channels", "status": 503})
            key = {"Authorization": f"Bearer {sandbox.account.api_key}"}
            assert (await control.get("/v3/channels", headers=key)).status_code == 503
            assert (await control.get("/v3/channels", headers=key)).status_code == 200
            state = (await control.get("/_sandbox/state")).json()
            assert [one["isEcho"] for one in state["messages"]] == [False, True]
