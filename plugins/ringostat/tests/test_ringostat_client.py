"""The API client against a small server on a real socket: windows, limits, errors and the way back (X7, H12)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import uvicorn
from hub_ringostat.client import RingostatClient, raise_for
from hub_ringostat.config import RingostatSettings
from hub_ringostat.source import RingostatSource
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.core.interaction import Disposition
from hub.core.merge import CallFragment
from hub.errors import NeedsCredentials, Rejected, Throttled, Unavailable, VendorError
from hub.ports import ChannelConfig, Ignored, ListsEmployees, ListsInteractions

SOURCE = RingostatSource()
SINCE = datetime(2026, 7, 29, 8, 0, tzinfo=UTC)
MakeChannel = Callable[..., ChannelConfig]


@dataclass
class Vendor:
    """Answers what the test put in, and remembers what it was asked."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    limit: int = 6500
    answers: list[Response] = field(default_factory=list)
    rpc: Any = None
    asked: list[tuple[str, dict[str, str], dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        self.asked.append((request.url.path, dict(request.query_params), dict(request.headers), body))
        if self.answers:
            return self.answers.pop(0)
        if request.url.path == "/calls/list":
            query = request.query_params
            inside = [row for row in self.rows if query["from"] <= _in_utc(row) < query["to"]]
            return JSONResponse(inside[: self.limit])
        return JSONResponse(self.rpc)


def _in_utc(row: dict[str, Any]) -> str:
    try:
        told = datetime.fromisoformat(row["calldate"])
    except ValueError:
        return f"{SINCE:%Y-%m-%d %H:%M:%S}"
    return f"{(told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC):%Y-%m-%d %H:%M:%S}"


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    app = Starlette(routes=[Route("/{path:path}", vendor.handle, methods=["GET", "POST"])])
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        running = asyncio.create_task(server.serve(sockets=[sock]))
        vendor.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        yield vendor
        server.should_exit = True
        await running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


@pytest.fixture
def connected(vendor: Vendor, make_channel: MakeChannel) -> MakeChannel:
    return lambda **more: make_channel(
        project_id="55555", auth_key="k3y", api_base=vendor.url, list_overlap_hours=1, **more
    )


def row(number: int, at: str = "2026-07-29T11:30:00+0300", **more: Any) -> dict[str, Any]:
    return {
        "uniqueid": f"ua0_-{number}.1",
        "calldate": at,
        "call_type": "in",
        "caller": "380501112233",
        "dst": "380441234567",
        "disposition": "NO ANSWER",
        "billsec": 0,
        "employee_number": -1,
        **more,
    }


async def listed(channel: ChannelConfig, http: httpx.AsyncClient, hours: int = 2) -> list[Any]:
    return [one async for one in SOURCE.list_interactions(channel, http, SINCE, SINCE + timedelta(hours=hours))]


# --- the call log -----------------------------------------------------------------------------------------------


async def test_finished_calls_of_the_period_are_listed_once(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    """X7: cut by the parsed time, repeated rows once, calls that are alive later."""
    vendor.rows = [
        row(1, disposition="PROPER", billsec=12, connected_with="shop_olena", employee_number=1107),
        row(1, disposition="PROPER", billsec=12, connected_with="shop_olena", employee_number=1107),
        row(2, disposition="IN PROGRESS"),
        row(3, disposition="CALLING", billsec=5),
        row(4, at="2026-07-29T10:30:00+0300"),
        row(5, at="2026-07-29T13:00:00+0300"),
    ]
    [call] = await listed(connected(), http)
    assert isinstance(call, CallFragment)
    assert (call.external_id, call.disposition, call.is_recovered) == ("ua0_-1.1", Disposition.ANSWERED, True)
    assert call.destination is not None
    assert (call.destination.staff_id, call.happened_at) == ("1107", None)
    path, query, headers, _ = vendor.asked[0]
    assert (path, query["from"], query["to"]) == ("/calls/list", "2026-07-29 07:00:00", "2026-07-29 11:00:00")
    assert (query["export_type"], query["merge"], headers["auth-key"]) == ("json", "0", "k3y")


async def test_period_whose_answer_is_cut_off_is_halved(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    """The vendor gives 6500 calls at most and has no pages."""
    vendor.limit = 10
    vendor.rows = [row(n, at=f"2026-07-29T11:{n:02}:00+0300") for n in range(60)]
    calls = await listed(connected(list_limit=10), http)
    assert [call.external_id for call in calls] == [f"ua0_-{n}.1" for n in range(60)]


async def test_limit_reached_within_one_minute_ends(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    """A vendor's bug must not become an endless loop."""
    vendor.limit = 2
    vendor.rows = [row(n) for n in range(5)]
    assert len(await listed(connected(list_limit=2), http)) == 2


async def test_long_period_is_asked_window_by_window(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    await listed(connected(), http, hours=70)
    assert [(query["from"], query["to"]) for _, query, _, _ in vendor.asked] == [
        ("2026-07-29 07:00:00", "2026-07-30 07:00:00"),
        ("2026-07-30 07:00:00", "2026-07-31 07:00:00"),
        ("2026-07-31 07:00:00", "2026-08-01 07:00:00"),
    ]


async def test_row_that_cannot_be_read_is_reported_and_stops_nothing(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    vendor.rows = [row(1, at="soon"), row(2)]
    bad, good = await listed(connected(), http)
    assert isinstance(bad, Ignored)
    assert "calldate" in bad.reason
    assert isinstance(good, CallFragment)


async def test_empty_answer_is_an_empty_period(vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient) -> None:
    vendor.answers = [Response(status_code=200)]
    assert await listed(connected(), http) == []


# --- errors -----------------------------------------------------------------------------------------------------

ERRORS = [
    (401, b"", {}, NeedsCredentials),
    (403, b'{"message": "no access"}', {}, NeedsCredentials),
    (429, b"", {"Retry-After": "7"}, Throttled),
    (500, b"<html>", {}, Unavailable),
    (503, b"", {}, Unavailable),
    (408, b"", {}, Unavailable),
    (400, b'{"message": "bad fields"}', {}, Rejected),
    (404, b"nothing here", {}, Rejected),
]


@pytest.mark.parametrize(("status", "body", "headers", "error"), ERRORS)
def test_status_says_what_follows(status: int, body: bytes, headers: dict[str, str], error: type[VendorError]) -> None:
    with pytest.raises(error) as caught:
        raise_for(httpx.Response(status, content=body, headers=headers), connection="phone", operation="GET /x")
    assert (type(caught.value), caught.value.connection, caught.value.operation) == (error, "phone", "GET /x")
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == timedelta(seconds=7)
    if isinstance(caught.value, Rejected):
        assert caught.value.problems[""][0].text in ("bad fields", "nothing here")


@pytest.mark.parametrize(("status", "body", "headers", "error"), ERRORS)
async def test_error_goes_and_the_list_is_read(
    status: int,
    body: bytes,
    headers: dict[str, str],
    error: type[VendorError],
    vendor: Vendor,
    connected: MakeChannel,
    http: httpx.AsyncClient,
) -> None:
    """Every error row ends in recovery."""
    vendor.rows = [row(1)]
    vendor.answers = [Response(body, status_code=status, headers=headers)]
    with pytest.raises(error):
        await listed(connected(), http)
    assert len(await listed(connected(), http)) == 1


@pytest.mark.parametrize("body", [b"<html>", b'{"error": 1}', b"7"])
async def test_answer_in_another_form_is_a_fault_of_the_vendor(
    body: bytes, vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    vendor.answers = [Response(body)]
    with pytest.raises(Unavailable):
        await listed(connected(), http)


async def test_vendor_that_cannot_be_reached_has_applied_nothing(
    make_channel: MakeChannel, http: httpx.AsyncClient
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        channel = make_channel(api_base=f"http://127.0.0.1:{sock.getsockname()[1]}", auth_key="key")
        with pytest.raises(Unavailable) as caught:
            await SOURCE.list_employees(channel, http)
    assert not caught.value.maybe_applied


# --- employees and callbacks ------------------------------------------------------------------------------------

STAFF = {
    "id": 1107,
    "staffId": 1107,
    "fio": "Olena Koval",
    "email": "olena@example.com",
    "phone": "380671234567",
    "extensionNumber": 103,
    "departments": [3, {"id": 4, "name": "Sales"}],
    "directions": {
        "main": [{"direction": "examplecom_olena", "type": "sip"}, {"direction": "380671234567", "type": "phone"}],
        "additional": [{"direction": "380931112233", "type": "phone"}],
    },
}


@pytest.mark.parametrize("result", [{"1107": STAFF}, [STAFF]], ids=["object by id", "array"])
async def test_employees_come_with_their_destinations(
    result: Any, vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    vendor.rpc = {"jsonrpc": "2.0", "id": 1, "result": result}
    [olena] = await SOURCE.list_employees(connected(), http)
    assert (olena.staff_id, olena.name, olena.email, olena.extension) == (
        "1107",
        "Olena Koval",
        "olena@example.com",
        "103",
    )
    assert olena.destinations == ("examplecom_olena", "380671234567")
    assert (olena.numbers, olena.departments) == (("380931112233",), ("3", "Sales"))
    assert b'"method":"getProjectStaffListAndDirections","params":{"projectId":55555' in vendor.asked[0][3]


async def test_employee_without_contacts_is_listed(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    vendor.rpc = {"result": {"1": {"staffId": "1", "fio": "New", "directions": [], "departments": None, "phone": None}}}
    [new] = await SOURCE.list_employees(connected(), http)
    assert (new.staff_id, new.destinations, new.numbers) == ("1", (), ())


async def test_error_inside_a_200_answer_is_a_refusal(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    """Reference C.1: JSON-RPC endpoints answer 200 with an error member."""
    vendor.rpc = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "invalid number"}}
    with pytest.raises(Rejected) as caught:
        await SOURCE.ring(connected(), http, client="+380501112233", employee="examplecom_olena")
    assert (caught.value.problems[""][0].code, caught.value.problems[""][0].text) == ("-32602", "invalid number")


async def test_extended_callback_rings_the_employee_first(
    vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient
) -> None:
    vendor.rpc = {"jsonrpc": "2.0", "id": 1, "result": "ok"}
    marks = {"utm_source": "google"}
    assert await SOURCE.ring(connected(), http, client="+380501112233", employee="x_o", marketing=marks) == "ok"
    path, _, _, body = vendor.asked[0]
    assert path == "/a/v2"
    assert b'"method":"Api\\\\V2\\\\Callback.external"' in body
    assert b'"caller":"380501112233","callee":"x_o"' in body
    assert b'"manager_dst":0,"direction":"out","utmSource":"google"' in body


async def test_simple_callback_is_a_form(vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient) -> None:
    await SOURCE.ring_simply(connected(), http, line="+380441234567", destination="examplecom_olena")
    path, _, headers, body = vendor.asked[0]
    assert (path, headers["content-type"]) == ("/callback/outward_call", "application/x-www-form-urlencoded")
    assert body == b"extension=380441234567&destination=examplecom_olena"


async def test_presence_is_read(vendor: Vendor, connected: MakeChannel, http: httpx.AsyncClient) -> None:
    settings = connected().settings
    assert isinstance(settings, RingostatSettings)
    client = RingostatClient(http, settings)
    vendor.rpc = ["examplecom_olena"]
    assert (await client.online(), await client.speaking()) == (["examplecom_olena"], ["examplecom_olena"])
    assert [path for path, *_ in vendor.asked] == ["/sipstatus/online", "/sipstatus/speaking"]
    vendor.rpc = {"error": "x"}
    with pytest.raises(Unavailable):
        await client.online()


def test_source_lists_interactions_and_employees() -> None:
    assert isinstance(SOURCE, ListsInteractions)
    assert isinstance(SOURCE, ListsEmployees)
