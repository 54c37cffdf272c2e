"""The sandbox's server over real sockets: deliveries, call log, staff, recordings, faults (H10)."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_ringostat.sandbox import Moment, Sandbox, serve, standard_webhooks
from hub_ringostat.sandbox.call_log import DEFAULT_FIELDS
from hub_ringostat.sandbox.examples import (
    ANSWERED,
    CLIENT,
    LINE,
    MISSED,
    NOON,
    OLENA,
    OUTGOING,
    PETRO,
    TARAS,
    TRANSFERRED,
    later,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub_sandbox import serve_app


@dataclass
class Receiver:
    """A hub's place: keeps what came, answers as told."""

    status: int = 200
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.seen.append((request.method, dict(request.headers), await request.body()))
        return PlainTextResponse("", status_code=self.status)


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/{rest:path}", receiver.take, methods=["GET", "POST", "PUT"])])
    with serve_app(app) as url:
        yield receiver, url


async def test_webhooks_are_sent_once_and_never_again() -> None:
    """A.3: one try; a 500 stands on the error page and is not repeated."""
    with receiving() as (receiver, url):
        sandbox = Sandbox(employees=(OLENA,))
        sandbox.webhooks = standard_webhooks(f"{url}/hooks/secret", moments=(Moment.AFTER,))
        assert [delivery.status for delivery in await sandbox.deliver(ANSWERED)] == [200]
        receiver.status = 500
        failed = await sandbox.deliver(MISSED)
        assert [(delivery.status, delivery.is_ok) for delivery in failed] == [(500, False)]
        assert len(receiver.seen) == len(sandbox.deliveries) == 2
        method, headers, body = receiver.seen[0]
        assert (method, headers["content-type"]) == ("POST", "application/json")
        assert json.loads(body)["uniqueid"] == ANSWERED.id
        assert "accept" not in headers


async def test_receiver_that_is_not_there_is_a_delivery_with_an_error() -> None:
    sandbox = Sandbox()
    with receiving() as (_, url):
        pass
    sandbox.webhooks = standard_webhooks(url, moments=(Moment.AFTER,))
    (delivery,) = await sandbox.deliver(ANSWERED)
    assert delivery.status is None
    assert delivery.error.startswith("ConnectError")
    assert ANSWERED.id in sandbox.calls  # yet it is in the call log (X7)


async def test_play_sends_the_whole_day_many_at_once() -> None:
    with receiving() as (receiver, url):
        sandbox = Sandbox(employees=(OLENA,))
        sandbox.set_up(f"{url}/hooks/secret", mixed=True)
        sandbox.add(*(replace(ANSWERED, id=f"c{number}") for number in range(10)))
        assert [delivery.status async for delivery in sandbox.play(at_once=8)] == [200] * 40
        assert len(receiver.seen) == 40


class Current:
    """Whichever sandbox the running test has: one server for all of them, for pace."""

    sandbox: Sandbox

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.sandbox.app(scope, receive, send)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Current, str]]:
    current = Current()
    with serve_app(current) as url:
        yield current, url


@pytest.fixture
def vendor(served: tuple[Current, str]) -> Iterator[tuple[Sandbox, httpx.Client]]:
    """The sandbox at the end of the day with a client that has its key."""
    current, url = served
    current.sandbox = sandbox = Sandbox(employees=(OLENA, PETRO, TARAS))
    sandbox.url = url
    sandbox.add(ANSWERED, MISSED, OUTGOING, TRANSFERRED)
    sandbox.clock.set(NOON + timedelta(hours=2))
    with httpx.Client(base_url=url, headers={"Auth-key": sandbox.auth_key}, trust_env=False) as client:
        yield sandbox, client


Vendor = tuple[Sandbox, httpx.Client]
ALL_FIELDS = "uniqueid,calldate,call_type,caller,caller_number,dst,disposition,billsec,employee_number,waittime"


def test_call_list_has_the_vendors_fields_and_dates(vendor: Vendor) -> None:
    """C.2."""
    _, client = vendor
    rows = client.get("/calls/list", params={"fields": ALL_FIELDS, "order": "calldate asc"}).json()
    by_id = {row["uniqueid"]: row for row in rows}
    assert len(rows) == 4
    assert by_id[ANSWERED.id] == {
        "uniqueid": ANSWERED.id,
        "calldate": "2026-07-29T12:00:00+0300",
        "call_type": "in",
        "caller": CLIENT,
        "caller_number": CLIENT,
        "dst": LINE,
        "disposition": "ANSWERED",
        "billsec": 62,
        "employee_number": 1101,
        "waittime": "9",
    }
    assert by_id[OUTGOING.id]["caller"] == '"Taras" <380671234506>'
    assert (by_id[MISSED.id]["disposition"], by_id[MISSED.id]["employee_number"]) == ("NO ANSWER", -1)
    assert by_id[TRANSFERRED.id]["employee_number"] == 1102


def test_call_list_gives_a_short_row_by_default(vendor: Vendor) -> None:
    _, client = vendor
    assert set(client.get("/calls/list").json()[0]) == set(DEFAULT_FIELDS)


def regular(pattern: str) -> str:
    return base64.b64encode(pattern.encode()).decode()


# query, ids found
QUERIES = [
    ({"from": "2026-07-29 12:00:00", "to": "2026-07-29 12:00:00"}, 4),
    ({"from": "2026-07-29 12:00:01"}, 0),
    ({"from": "2026-07-29", "to": "2026-07-29"}, 4),
    ({"to": "2026-07-28"}, 0),
    ({"filters": f"uniqueid={MISSED.id}"}, 1),
    ({"filters": f"disposition~{regular('no answer')}"}, 1),
    ({"filters": f"disposition~{regular('answered|proper|repeated')}"}, 3),
    ({"merge": "2"}, 2),
]


@pytest.mark.parametrize(("query", "count"), QUERIES)
def test_call_list_takes_the_documented_parameters(vendor: Vendor, query: dict[str, str], count: int) -> None:
    _, client = vendor
    assert len(client.get("/calls/list", params={"fields": "uniqueid", **query}).json()) == count


def test_call_list_speaks_csv_with_semicolons(vendor: Vendor) -> None:
    _, client = vendor
    text = client.get("/calls/list", params={"export_type": "csv", "fields": "uniqueid,dst"}).text
    assert text.splitlines()[:2] == ["uniqueid;dst", f"{ANSWERED.id};{LINE}"]


def test_living_call_is_in_progress_and_later_finished(vendor: Vendor) -> None:
    sandbox, client = vendor
    query = {"fields": "disposition,billsec,recording", "filters": f"uniqueid={ANSWERED.id}"}
    sandbox.clock.set(later(30))
    assert client.get("/calls/list", params=query).json() == [
        {"disposition": "IN PROGRESS", "billsec": 0, "recording": ""}
    ]
    sandbox.clock.advance(timedelta(minutes=1))
    assert client.get("/calls/list", params=query).json()[0]["disposition"] == "ANSWERED"


def test_plain_dates_and_repeated_rows_are_switches(vendor: Vendor) -> None:
    sandbox, client = vendor
    sandbox.plain_dates = sandbox.repeat_rows = True
    rows = client.get("/calls/list", params={"fields": "uniqueid,calldate"}).json()
    assert [row["calldate"] for row in rows] == ["2026-07-29 12:00:00"] * 8
    assert rows[0] == rows[1]


def test_call_list_stops_at_6500(vendor: Vendor) -> None:
    sandbox, client = vendor
    sandbox.add(*(replace(MISSED, id=f"m{number}") for number in range(6600)))
    assert len(client.get("/calls/list", params={"fields": "uniqueid"}).json()) == 6500


@pytest.mark.parametrize("bad", [{"from": "yesterday"}, {"merge": "3"}, {"filters": "?"}, {"export_type": "xml"}])
def test_unreadable_query_is_refused_by_name(vendor: Vendor, bad: dict[str, str]) -> None:
    _, client = vendor
    answer = client.get("/calls/list", params=bad)
    assert answer.status_code == 400
    assert next(iter(bad)) in answer.json()["message"]
    assert client.get("/calls/list").status_code == 200


def test_wrong_key_is_401_and_no_access_403(vendor: Vendor) -> None:
    sandbox, client = vendor
    for method, path in [("GET", "/calls/list"), ("POST", "/api/json-rpc"), ("GET", "/sipstatus/online")]:
        assert client.request(method, path, headers={"Auth-key": "wrong"}).status_code == 401
    sandbox.is_forbidden = True
    assert client.get("/calls/list").status_code == 403
    sandbox.is_forbidden = False
    assert client.get("/calls/list").status_code == 200


def rpc(client: httpx.Client, path: str, method: str, params: object) -> dict[str, Any]:
    answer = client.post(path, json={"jsonrpc": "2.0", "id": 9, "method": method, "params": params})
    assert answer.status_code == 200
    reply: dict[str, Any] = answer.json()
    assert reply["id"] == 9
    return reply


def test_staff_list_is_keyed_by_staff_id(vendor: Vendor) -> None:
    """C.6; errors are a member of a 200 answer."""
    _, client = vendor
    method = "getProjectStaffListAndDirections"
    staff = rpc(client, "/api/json-rpc", method, {"projectId": 55555})["result"]
    assert staff["1101"]["staffId"] == 1101
    assert staff["1101"]["directions"]["main"] == [{"direction": "examplecom_olena", "type": "sip"}]
    assert staff["1106"]["directions"]["main"] == [{"direction": "380671234506", "type": "phone"}]
    assert "error" in rpc(client, "/api/json-rpc", method, {"projectId": 1})
    assert rpc(client, "/api/json-rpc", "noSuchMethod", {})["error"]["code"] == -32601


def test_callbacks_are_recorded(vendor: Vendor) -> None:
    """C.3, C.4."""
    sandbox, client = vendor
    asked = {"extension": LINE, "destination": CLIENT}
    assert client.post("/callback/outward_call", data=asked).status_code == 200
    assert client.post("/callback/outward_call", data={"extension": LINE}).status_code == 400
    params = {"projectId": "55555", "caller": CLIENT, "callee": "examplecom_olena", "manager_dst": 0}
    assert rpc(client, "/a/v2", "Api\\V2\\Callback.external", params)["result"] is True
    assert "error" in rpc(client, "/a/v2", "Api\\V2\\Callback.external", {**params, "caller": "nobody"})
    assert sandbox.callbacks == [{"kind": "simple", **asked}, {"kind": "extended", **params}]


def test_sip_status_lists_logins(vendor: Vendor) -> None:
    sandbox, client = vendor
    sandbox.speaking.add("examplecom_petro")
    assert client.get("/sipstatus/online").json() == ["examplecom_olena", "examplecom_petro"]
    assert client.get("/sipstatus/speaking").json() == ["examplecom_petro"]


def test_recording_is_a_playable_wav_for_whoever_has_its_link(vendor: Vendor) -> None:
    sandbox, client = vendor
    rows = client.get("/calls/list", params={"fields": "recording_wav", "filters": f"uniqueid={ANSWERED.id}"})
    link = rows.json()[0]["recording_wav"]
    assert link.startswith(sandbox.url)
    sound = httpx.get(link, trust_env=False)
    with wave.open(io.BytesIO(sound.content)) as file:
        assert file.getnframes() > 0
    assert httpx.get(link.partition("?")[0], trust_env=False).status_code == 403


def test_ordered_status_comes_as_often_as_ordered_and_then_it_works(vendor: Vendor) -> None:
    sandbox, client = vendor
    sandbox.fail_next("GET", "/calls/list", status=500, times=2)
    sandbox.fail_next("GET", "/calls/list", status=429, retry_after=3)
    answers = [client.get("/calls/list") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 429, 200]
    assert answers[2].headers["Retry-After"] == "3"


def test_hang_slow_and_disconnect_are_felt_and_then_it_works(vendor: Vendor) -> None:
    sandbox, client = vendor
    sandbox.fail_next("GET", "/calls/list", hang=True)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/calls/list", timeout=httpx.Timeout(60, read=0.2))
    assert client.post("/_sandbox/faults", json={"path": "/calls/list", "disconnect": True}).status_code == 204
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/calls/list")
    sandbox.fail_next("GET", "/calls/list", slow=0.1)
    assert client.get("/calls/list").elapsed >= timedelta(seconds=0.1)
    assert client.get("/calls/list").status_code == 200
    assert client.post("/_sandbox/faults", json={"hang": True, "status": 500}).status_code == 400


async def test_everything_can_be_ordered_from_outside() -> None:
    """As a program of its own: load traffic, set webhooks up, play, read what became of it."""
    with receiving() as (receiver, hub_url), serve(Sandbox()) as (sandbox, url):
        sandbox.add(ANSWERED)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            set_up = await client.post("/_sandbox/webhooks", json={"url": f"{hub_url}/hooks/x", "shape": "form"})
            assert set_up.json() == {"webhooks": len(Moment)}
            assert (await client.post("/_sandbox/play")).json() == {"sent": 4, "failed": 0, "unanswered": 0}
            deliveries = (await client.get("/_sandbox/deliveries")).json()
            assert [delivery["moment"] for delivery in deliveries] == ["before", "forwarding", "pickup", "after"]
            assert len(receiver.seen) == 4
            assert (await client.post("/_sandbox/traffic", json={"format": "other"})).status_code == 400


async def test_questions_before_calls_can_be_ordered_from_outside() -> None:
    """R2: whom to ring is asked over HTTP, and told with the employee whom the answer means."""

    async def take(request: Request) -> Response:
        caller = (await request.json())["caller"]
        return PlainTextResponse(OLENA.destination if caller == CLIENT else "")

    hub_app = Starlette(routes=[Route("/forward", take, methods=["POST"])])
    with serve_app(hub_app) as hub_url, serve(Sandbox(employees=(OLENA,))) as (sandbox, url):
        sandbox.add(ANSWERED, replace(MISSED, client_number=""))
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            asked = {"ids": [ANSWERED.id, MISSED.id]}
            assert (await client.post("/_sandbox/ask", json=asked)).status_code == 400
            number = {"url": f"{hub_url}/forward", "reply_form": "http"}
            assert (await client.post("/_sandbox/webhook_number", json=number)).status_code == 200
            assert (await client.post("/_sandbox/ask", json={"ids": ["nobody's"]})).status_code == 400
            answers = (await client.post("/_sandbox/ask", json=asked)).json()
            assert [(answer["destination"], answer["employee"], answer["error"]) for answer in answers] == [
                (OLENA.destination, OLENA.name, ""),
                (None, "", ""),
            ]
            assert (await client.post("/_sandbox/webhook_number", json={"reply_form": "no"})).status_code == 400


async def test_two_sandboxes_serve_beside_each_other() -> None:
    with serve(Sandbox()) as (_, one), serve(Sandbox()) as (_, other):
        async with httpx.AsyncClient(trust_env=False) as client:
            answers = await asyncio.gather(*(client.get(f"{url}/_sandbox/callbacks") for url in (one, other)))
        assert [answer.json() for answer in answers] == [[], []]


def test_switches_can_be_set_from_outside(vendor: Vendor) -> None:
    sandbox, client = vendor
    order = {"plain_dates": True, "now": "2026-07-29T09:00:30Z"}
    assert client.post("/_sandbox/switches", json=order).status_code == 204
    row = client.get("/calls/list", params={"fields": "calldate,disposition"}).json()[0]
    assert row == {"calldate": "2026-07-29 12:00:00", "disposition": "IN PROGRESS"}
    assert sandbox.plain_dates
    refused = client.post("/_sandbox/switches", json={"url": True})
    assert (refused.status_code, "not a switch" in refused.json()["message"]) == (400, True)


def test_sandbox_runs_as_a_program(tmp_path: Path) -> None:
    """``python -m hub_ringostat.sandbox --port N`` with a traffic file loaded."""
    traffic = tmp_path / "traffic.json"
    company = {"site": "example.com", "timezone": "Europe/Kyiv"}
    empty = {"format": "traffic/1", "company": company, "employees": [], "numbers": [], "calls": []}
    traffic.write_text(json.dumps(empty), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--port", str(port), "--auth-key", "mine", "--traffic", str(traffic)]
    program = subprocess.Popen([sys.executable, "-m", "hub_ringostat.sandbox", *arguments])
    try:
        assert until_it_answers(f"http://127.0.0.1:{port}/calls/list", headers={"Auth-key": "mine"}).json() == []
    finally:
        program.terminate()
        program.wait(timeout=10)


def until_it_answers(url: str, *, headers: dict[str, str]) -> httpx.Response:
    """The first answer within 20 s, whoever starts slowly."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, headers=headers, trust_env=False)
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
