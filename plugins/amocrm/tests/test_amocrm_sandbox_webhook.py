"""Webhooks out of the amoCRM sandbox: forms, repeats, switch-off (reference 20, 23)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from aioamocrm import Webhook, parse_webhook
from hub_amocrm.sandbox import Sandbox, Switches
from hub_amocrm.sandbox.bracket import decode, encode, numbers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub_sandbox import listening_socket

MINUTE = 60
Json = dict[str, Any]


class Receiver:
    """A subscriber on a loopback port: keeps what it was told, answers as the test says."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.delay = 0.0
        self.app = Starlette(routes=[Route("/in", self._take, methods=["POST"])])
        self.url = ""

    async def _take(self, request: Request) -> Response:
        self.raw.append(await request.body())
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.delay)
        return Response(status_code=self.status)

    def hooks(self) -> list[Webhook]:
        return [parse_webhook(raw) for raw in self.raw]

    def told(self) -> list[tuple[str, str, int | None]]:
        return [(event.entity, event.action, event.id) for hook in self.hooks() for event in hook.events]


@pytest.fixture(scope="module")
def listening() -> Iterator[Receiver]:
    receiver = Receiver()
    listener = listening_socket()
    server = uvicorn.Server(uvicorn.Config(receiver.app, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}/in"
    wait_for(lambda: server.started)
    yield receiver
    server.should_exit = True
    thread.join()


@pytest.fixture(autouse=True)
def patient(sandbox: Sandbox) -> None:
    """A busy machine is not taken for a subscriber that does not answer."""
    sandbox.switch(webhook_timeout_seconds=30)


@pytest.fixture
def receiver(listening: Receiver) -> Receiver:
    listening.raw.clear()
    listening.headers.clear()
    listening.status = 200
    listening.delay = 0.0
    return listening


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def subscribe(api: httpx.Client, receiver: Receiver, *settings: str) -> Json:
    answer = api.post("/api/v4/webhooks", json={"destination": receiver.url, "settings": list(settings)})
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def test_subscription_is_one_object_known_by_its_destination(api: httpx.Client, receiver: Receiver) -> None:
    assert api.get("/api/v4/webhooks").status_code == 204
    first = subscribe(api, receiver, "add_lead", "update_lead")
    assert {"id", "created_at", "account_id", "created_by", "sort", "disabled"} <= set(first)
    again = subscribe(api, receiver, "add_contact")
    assert (again["id"], again["settings"]) == (first["id"], ["add_contact"])
    listed = api.get("/api/v4/webhooks", params={"filter[destination]": receiver.url}).json()
    assert listed["_total_items"] == 1
    bad = [
        [{"destination": receiver.url, "settings": ["add_lead"]}],
        {"destination": receiver.url, "settings": ["no_such"]},
        {"destination": "nowhere", "settings": ["add_lead"]},
        {"destination": receiver.url},
    ]
    assert {api.post("/api/v4/webhooks", json=body).status_code for body in bad} == {400}
    for status in (204, 404):
        answer = api.request("DELETE", "/api/v4/webhooks", json={"destination": receiver.url})
        assert answer.status_code == status


def test_lead_hooks_have_the_shapes_of_the_reference(sandbox: Sandbox, api: httpx.Client, receiver: Receiver) -> None:
    subscribe(api, receiver, "add_lead", "update_lead", "status_lead", "responsible_lead", "note_lead", "delete_lead")
    fields = [
        {"field_code": "UTM_SOURCE", "values": [{"value": "a&b"}]},
        {"field_id": 772103, "values": [{"value": 5}]},
    ]
    item = {"name": "A & B", "custom_fields_values": fields, "tags_to_add": [{"name": "t"}]}
    lead = api.post("/api/v4/leads", json=[item]).json()["_embedded"]["leads"][0]["id"]
    api.patch(f"/api/v4/leads/{lead}", json={"status_id": 142, "responsible_user_id": 8800102})
    call = {"uniq": "u", "duration": 7, "source": "R", "phone": "+7495"}
    api.post("/api/v4/leads/notes", json=[{"entity_id": lead, "note_type": "call_in", "params": call}])
    sandbox.person("delete", entity="leads", id=lead)
    sandbox.settle()

    assert receiver.headers[0]["content-type"] == "application/x-www-form-urlencoded"
    assert receiver.headers[0]["user-agent"] == "amoCRM-WebHook-client/1.0"
    assert b"leads%5Badd%5D%5B0%5D%5Bid%5D=" in receiver.raw[0]
    hooks = receiver.hooks()
    assert {(hook.subdomain, hook.account_id) for hook in hooks} == {("nordtea", 31500001)}
    events = {event.action: event for hook in hooks for event in hook.events}
    assert [event.action for hook in hooks for event in hook.events] == [
        "add",
        "responsible",
        "status",
        "update",
        "note",
        "delete",
    ]
    added = events["add"]
    assert (added.id, added.payload["name"]) == (lead, "A &amp; B")
    assert "price" not in added.payload
    assert added.field_value("UTM_SOURCE") == "a&amp;b"
    assert added.field_value(772103) == "5"
    assert added.payload["tags"][0]["name"] == "t"
    status = events["status"].payload
    assert (status["status_id"], status["old_status_id"], status["pipeline_id"]) == ("142", "9100011", "9100001")
    assert events["responsible"].payload["old_responsible_user_id"] == "8800101"
    assert events["update"].payload["modified_user_id"] == "8800101"
    note = events["note"].payload["note"]
    assert (note["note_type"], note["element_type"], note["element_id"]) == ("10", "2", str(lead))
    assert '"DURATION": 7' in note["text"]
    assert set(events["delete"].payload) == {"id", "status_id", "pipeline_id"}


def test_companies_come_under_contacts_told_apart_by_type(
    sandbox: Sandbox, api: httpx.Client, receiver: Receiver
) -> None:
    subscribe(api, receiver, "add_contact", "add_company", "update_contact", "delete_contact")
    one = sandbox.person("create_contact", name="p", phone="+74950000001")["id"]
    two = sandbox.person("create_contact", name="q", phone="+74950000002")["id"]
    firm = sandbox.person("create_company", name="firm")["id"]
    sandbox.person("merge_contacts", survivor=one, losers=[two])
    sandbox.settle()
    events = [event for hook in receiver.hooks() for event in hook.events]
    assert [(event.action, event.id, event.payload["type"]) for event in events] == [
        ("add", one, "contact"),
        ("add", two, "contact"),
        ("add", firm, "company"),
        ("update", one, "contact"),
        ("delete", two, "contact"),
    ]
    assert {event.entity for event in events} == {"contacts"}
    assert events[3].field_values("PHONE") == ["+74950000001", "+74950000002"]


def test_task_hooks_mix_unix_and_local_times(sandbox: Sandbox, api: httpx.Client, receiver: Receiver) -> None:
    subscribe(api, receiver, "add_task", "update_task", "responsible_task")
    lead = sandbox.person("create_lead", name="l")["id"]
    task = sandbox.person("create_task", entity_id=lead, entity_type="leads", complete_till=1767225600)["id"]
    sandbox.person("change_responsible", entity="tasks", id=task, user_id=8800102)
    sandbox.person("complete_task", id=task, result="ok")
    sandbox.settle()
    events = [event for hook in receiver.hooks() for event in hook.events]
    assert [event.action for event in events] == ["add", "responsible", "update", "update"]
    added = events[0].payload
    assert (added["complete_till"], added["complete_before"]) == ("2026-01-01 03:00:00", "1767225600")
    assert (added["element_type"], added["element_id"], added["status"]) == ("2", str(lead), "0")
    assert events[1].payload["old_responsible_user_id"] == "8800101"
    assert (events[3].payload["status"], events[3].payload["action_close"]) == ("1", "1")


def test_items_of_one_batch_come_in_one_body(api: httpx.Client, sandbox: Sandbox, receiver: Receiver) -> None:
    subscribe(api, receiver, "add_contact")
    api.post("/api/v4/contacts", json=[{"name": "a"}, {"name": "b"}, {"name": "c"}])
    sandbox.settle()
    assert len(receiver.raw) == 1
    assert len(receiver.hooks()[0].events) == 3


LADDER = [
    # answer  attempts in all
    (200, 1),
    (204, 1),
    (302, 3),
    (404, 3),
    (500, 5),
    (499, 5),
]


@pytest.mark.parametrize(("status", "attempts"), LADDER)
def test_bad_answers_are_repeated_on_the_vendors_ladder(
    sandbox: Sandbox, api: httpx.Client, receiver: Receiver, status: int, attempts: int
) -> None:
    subscribe(api, receiver, "add_lead")
    receiver.status = status
    sandbox.person("create_lead", name="l")
    sandbox.settle()
    assert len(receiver.raw) == 1
    for number, pause in enumerate((5, 15, 15, 60), 2):
        sandbox.advance(pause * MINUTE - 1)
        sandbox.settle()
        assert len(receiver.raw) == min(number - 1, attempts)
        sandbox.advance(2)
        sandbox.settle()
        assert len(receiver.raw) == min(number, attempts)
    sandbox.advance(24 * 60 * MINUTE)
    sandbox.settle()
    assert len(receiver.raw) == attempts
    assert sandbox.stats()["webhook_repeats_waiting"] == 0


def test_subscriber_that_keeps_failing_is_switched_off_until_posted_again(
    sandbox: Sandbox, api: httpx.Client, receiver: Receiver
) -> None:
    subscribe(api, receiver, "add_lead")
    receiver.status = 500
    for _ in range(101):
        sandbox.person("create_lead", name="l")
    sandbox.settle()
    assert api.get("/api/v4/webhooks").json()["_embedded"]["webhooks"][0]["disabled"] is True
    sandbox.person("create_lead", name="l")
    sandbox.advance(3600)
    sandbox.settle()
    assert len(receiver.raw) == 101
    receiver.status = 200
    assert subscribe(api, receiver, "add_lead")["disabled"] is False
    sandbox.person("create_lead", name="l")
    sandbox.settle()
    assert len(receiver.raw) == 102


def test_unreachable_subscriber_counts_as_a_bad_answer(sandbox: Sandbox, api: httpx.Client) -> None:
    body = {"destination": "http://127.0.0.1:9/in", "settings": ["add_lead"]}
    assert api.post("/api/v4/webhooks", json=body).status_code == 200
    sandbox.person("create_lead", name="l")
    sandbox.settle()
    assert [attempt["status"] for attempt in sandbox.deliveries()] == [0]
    assert sandbox.stats()["webhook_repeats_waiting"] == 1


def test_slow_answer_is_no_answer(sandbox: Sandbox, api: httpx.Client, receiver: Receiver) -> None:
    assert Switches().webhook_timeout_seconds == 2
    sandbox.switch(webhook_timeout_seconds=0.05)
    receiver.delay = 2.0
    subscribe(api, receiver, "add_lead")
    sandbox.person("create_lead", name="l")
    sandbox.settle()
    assert [attempt["status"] for attempt in sandbox.deliveries()] == [0]
    receiver.delay = 0.0
    sandbox.switch(webhook_timeout_seconds=30)
    sandbox.advance(5 * MINUTE)
    sandbox.settle()
    assert [attempt["status"] for attempt in sandbox.deliveries()] == [0, 200]


def test_duplicates_and_reordering_are_switches(sandbox: Sandbox, api: httpx.Client, receiver: Receiver) -> None:
    subscribe(api, receiver, "add_lead")
    sandbox.switch(webhook_duplicates=True)
    lead = sandbox.person("create_lead", name="l")["id"]
    sandbox.settle()
    assert receiver.told() == [("leads", "add", lead)] * 2
    receiver.raw.clear()
    sandbox.switch(webhook_duplicates=False, webhook_reorder=True)
    made = [sandbox.person("create_lead", name=str(i))["id"] for i in range(5)]
    sandbox.settle()
    order = [event_id for _, _, event_id in receiver.told() if event_id is not None]
    assert sorted(order) == made
    assert order != made


def test_disconnected_integration_is_told_nothing_more(sandbox: Sandbox, api: httpx.Client, receiver: Receiver) -> None:
    subscribe(api, receiver, "add_lead")
    sandbox.disconnect()
    sandbox.person("create_lead", name="l")
    sandbox.settle()
    assert receiver.raw == []


def test_incoming_leads_are_told_with_uid_and_result(sandbox: Sandbox, api: httpx.Client, receiver: Receiver) -> None:
    subscribe(api, receiver, "add_unsorted", "delete_unsorted")
    metadata = {"phone": "7", "called_at": 1, "duration": 0, "service_code": "hub", "link": ""}
    item = {"source_uid": "u", "source_name": "R", "metadata": metadata}
    body = api.post("/api/v4/leads/unsorted/sip", json=[item]).json()
    uid = body["_embedded"]["unsorted"][0]["uid"]
    sandbox.person("accept_incoming", uid=uid)
    sandbox.settle()
    events = [event for hook in receiver.hooks() for event in hook.events]
    assert [(event.entity, event.action, event.payload["uid"]) for event in events] == [
        ("unsorted", "add", uid),
        ("unsorted", "delete", uid),
    ]
    assert events[1].payload["action"] == "accept"
    assert events[1].payload["accept_result"]["leads"] == [events[0].payload["lead_id"]]


def test_bracket_notation_goes_there_and_back() -> None:
    body = {"leads": {"add": [{"id": 1, "name": "a&b=[c]", "gone": None, "flag": True}]}}
    first = "leads%5Badd%5D%5B0%5D"
    assert encode(body) == f"{first}%5Bid%5D=1&{first}%5Bname%5D=a%26b%3D%5Bc%5D&{first}%5Bflag%5D=1"
    assert decode(encode(body)) == {"leads": {"add": {"0": {"id": "1", "name": "a&b=[c]", "flag": "1"}}}}
    for query in (
        "filter[id][0]=1&filter[id][1]=2",
        "filter[id][]=1&filter[id][]=2",
        "filter%5Bid%5D[]=1&filter[id][]=2",
    ):
        assert numbers(decode(query)["filter"]["id"]) == [1, 2]
