"""Plugin and sandbox, written apart from one reference, over real sockets: whole calls, call log, forwarding."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hub_ringostat.sandbox import (
    Answer,
    Outcome,
    Question,
    ReplyForm,
    RequestForm,
    Sandbox,
    WebhookNumber,
    WebhookRequest,
    serve,
)
from hub_ringostat.sandbox.examples import CLIENT, LINE, NOON, OLENA, PETRO, TARAS, TRANSFERRED
from hub_ringostat.source import RingostatSource

from hub.core.interaction import Call as CoreCall
from hub.core.interaction import Disposition, InteractionId, ProjectId
from hub.core.merge import CallFragment, fold
from hub.demo.traffic import generate
from hub.errors import NeedsCredentials
from hub.ports import ChannelConfig, ForwardingAnswer, RawRequest
from hub_sandbox import serve_app

SOURCE = RingostatSource()
MakeChannel = Callable[..., ChannelConfig]

DISPOSITIONS = {
    Outcome.ANSWERED: Disposition.ANSWERED,
    Outcome.MISSED: Disposition.MISSED,
    Outcome.BUSY: Disposition.BUSY,
    Outcome.VOICEMAIL: Disposition.VOICEMAIL,
    Outcome.FAILED: Disposition.FAILED,
    Outcome.NO_FORWARD: Disposition.MISSED,
    Outcome.CLIENT_NO_ANSWER: Disposition.CLIENT_MISSED,
}


@pytest.fixture(scope="module")
def traffic() -> dict[str, Any]:
    return generate(calls=120).to_record()


def told(request: WebhookRequest, channel: ChannelConfig) -> list[CallFragment]:
    raw = RawRequest(
        method=request.method,
        query=urlsplit(request.url).query.encode(),
        headers=tuple((name.lower(), value) for name, value in request.headers.items()),
        body=request.body,
        received_at=request.at,
    )
    return [one for one in SOURCE.parse(raw, channel) if isinstance(one, CallFragment)]


def folded(fragments: list[CallFragment], received_at: datetime = NOON) -> CoreCall:
    return fold(
        fragments,
        id=InteractionId("i"),
        project=ProjectId("p"),
        channel="phone",
        source="ringostat",
        received_at=received_at,
    )


def employees_of(call: CoreCall) -> list[tuple[str, int]]:
    """Who talked, by every way in which the telephony names them, and how long."""
    return [
        (str(leg.destination.login or leg.destination.phone or "").lstrip("+"), leg.talk_seconds)
        for leg in call.legs
        if leg.is_answered
    ]


# --- whole calls ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [False, True], ids=["plain", "split records"])
@pytest.mark.parametrize("shape", ["query", "form", "json", "nested", "array", "mixed"])
def test_each_call_of_a_day_folds_to_what_really_happened(
    shape: str, split: bool, traffic: dict[str, Any], channel: ChannelConfig
) -> None:
    """A9, C6, X8: outcome, legs in order, talk of each, whatever the order of arrival."""
    sandbox = Sandbox()
    sandbox.load_traffic(traffic)
    sandbox.set_up("http://hub.example/hooks/x", mixed=shape == "mixed", shape=shape if shape != "mixed" else "nested")
    sandbox.split = split
    fragments: dict[str, list[CallFragment]] = {}
    for request in sandbox.requests_for(*sandbox.events()):
        for one in told(request, channel):
            fragments.setdefault(one.external_id, []).append(one)
    assert set(fragments) == set(sandbox.calls)
    chance = random.Random(7)
    for call_id, known in fragments.items():
        chance.shuffle(known)
        really, call = sandbox.calls[call_id], folded(known)
        assert (call.disposition, call.is_final) == (DISPOSITIONS[really.outcome], True), call_id
        assert call.started_at == really.started_at.replace(microsecond=0), call_id
        assert [talk for _, talk in employees_of(call)] == [leg.talk_seconds for leg in really.legs], call_id
        assert call.is_transferred == (len(really.legs) > 1), call_id
        assert call.is_callback == (really.direction == "callback"), call_id


def test_split_and_transferred_call_names_everybody_in_order(channel: ChannelConfig) -> None:
    """A1, C6: Petro in vain, Olena, then Petro again."""
    sandbox = Sandbox(employees=(OLENA, PETRO, TARAS))
    sandbox.set_up("http://hub.example/hooks/x")
    sandbox.split = True
    known = [one for request in sandbox.requests_for(TRANSFERRED) for one in told(request, channel)]
    call = folded(known[::-1])
    assert employees_of(call) == [("examplecom_olena", 60), ("examplecom_petro", 100)]
    assert len({leg.recording for leg in call.legs if leg.is_answered}) == 2
    assert call.recording == call.legs[-1].recording


# --- the API ----------------------------------------------------------------------------------------------------


@pytest.fixture
def vendor(traffic: dict[str, Any]) -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox()
    sandbox.load_traffic(traffic)
    sandbox.clock.set(max(call.ended_at for call in sandbox.calls.values()) + timedelta(hours=2))
    with serve(sandbox) as (served, url):
        yield served, url


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


def connected(vendor: tuple[Sandbox, str], make_channel: MakeChannel, **more: Any) -> ChannelConfig:
    sandbox, url = vendor
    return make_channel(api_base=url, auth_key=sandbox.auth_key, project_id=str(sandbox.project_id), **more)


@pytest.mark.parametrize(
    ("query_zone", "plain_dates"), [("UTC", False), ("Europe/Kyiv", True), ("America/New_York", False)]
)
async def test_call_log_tells_every_call_whatever_its_zone(
    query_zone: str,
    plain_dates: bool,
    vendor: tuple[Sandbox, str],
    make_channel: MakeChannel,
    http: httpx.AsyncClient,
) -> None:
    """X7: the vendor does not say in which zone it reads the period (?)."""
    sandbox, _ = vendor
    sandbox.query_zone, sandbox.plain_dates, sandbox.repeat_rows = query_zone, plain_dates, True
    begin = min(call.started_at for call in sandbox.calls.values()).replace(microsecond=0)
    end = max(call.started_at for call in sandbox.calls.values()) + timedelta(seconds=1)
    rows = [
        one
        async for one in SOURCE.list_interactions(connected(vendor, make_channel), http, begin, end)
        if isinstance(one, CallFragment)
    ]
    assert {one.external_id for one in rows} == set(sandbox.calls)
    for one in rows:
        really = sandbox.calls[one.external_id]
        call = folded([one])
        assert (call.disposition, call.is_recovered) == (DISPOSITIONS[really.outcome], True), one.external_id
        if really.client_number and really.kind == "client":
            assert one.client.phones == (f"+{really.client_number}",), one.external_id


async def test_recovered_row_adds_nothing_to_a_call_that_webhooks_told(
    vendor: tuple[Sandbox, str], make_channel: MakeChannel, http: httpx.AsyncClient
) -> None:
    sandbox, _ = vendor
    channel = connected(vendor, make_channel)
    sandbox.set_up("http://hub.example/hooks/x")
    begin = min(call.started_at for call in sandbox.calls.values()).replace(microsecond=0)
    until = begin + timedelta(days=2)
    rows = [one async for one in SOURCE.list_interactions(channel, http, begin, until) if isinstance(one, CallFragment)]
    for row in rows:
        known = [
            one for request in sandbox.requests_for(sandbox.calls[row.external_id]) for one in told(request, channel)
        ]
        alone, both = folded(known), folded([row, *known])
        assert employees_of(both) == employees_of(alone), row.external_id
        assert (both.disposition, both.is_recovered) == (alone.disposition, False)


async def test_employees_and_callback(
    traffic: dict[str, Any], vendor: tuple[Sandbox, str], make_channel: MakeChannel, http: httpx.AsyncClient
) -> None:
    sandbox, _ = vendor
    channel = connected(vendor, make_channel)
    employees = await SOURCE.list_employees(channel, http)
    assert {one.staff_id for one in employees} == {one["id"] for one in traffic["employees"]}
    olena = next(one for one in employees if one.staff_id == "1101")
    assert (olena.destinations[0], olena.email, olena.extension) == ("examplecom_olena", "olena@example.com", "101")
    await SOURCE.ring(channel, http, client="+380501112233", employee=olena.destinations[0])
    await SOURCE.ring_simply(channel, http, line=f"+{sandbox.numbers[0].number}", destination="380501112233")
    assert len(sandbox.callbacks) == 2


async def test_wrong_key_needs_credentials_and_the_right_one_mends_it(
    vendor: tuple[Sandbox, str], make_channel: MakeChannel, http: httpx.AsyncClient
) -> None:
    _, url = vendor
    with pytest.raises(NeedsCredentials):
        await SOURCE.list_employees(make_channel(api_base=url, auth_key="old"), http)
    assert await SOURCE.list_employees(connected(vendor, make_channel), http)


# --- forwarding -------------------------------------------------------------------------------------------------


class Hub:
    """A hub's forwarding address that knows one client."""

    channel: ChannelConfig

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        request = RawRequest(
            method=scope["method"],
            query=scope["query_string"],
            headers=tuple((name.decode(), value.decode()) for name, value in scope["headers"]),
            body=message.get("body", b""),
            received_at=NOON,
        )
        question = SOURCE.forwarding_question(request, self.channel)
        destination = "examplecom_olena" if question.caller == f"+{CLIENT}" else ""
        reply = SOURCE.forwarding_reply(question, ForwardingAnswer(destination=destination), self.channel)
        headers = [(b"content-type", reply.content_type.encode())]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})


@pytest.fixture(scope="module")
def hub() -> Iterator[tuple[Hub, str]]:
    hub = Hub()
    with serve_app(hub) as url:
        yield hub, url


async def asked(hub: tuple[Hub, str], caller: str | None, request: RequestForm, reply: ReplyForm) -> Answer:
    number = WebhookNumber(url=f"{hub[1]}/forward/s", request_form=request, reply_form=reply, reply_name="to")
    question = Question(call_id="ua0_-1785315600.1", caller=caller, dst=LINE)
    return await Sandbox(employees=(OLENA,)).ask(question, number)


@pytest.mark.parametrize("reply", list(ReplyForm))
@pytest.mark.parametrize("request_form", list(RequestForm))
async def test_responsible_is_told_in_every_form(
    request_form: RequestForm, reply: ReplyForm, hub: tuple[Hub, str], make_channel: MakeChannel
) -> None:
    """R2: each form of the question with each form of the answer; nobody found goes on along the scheme."""
    forms = {ReplyForm.HTTP: "plain", ReplyForm.JSON: "json", ReplyForm.JSON_RPC: "json-rpc"}
    hub[0].channel = make_channel(reply_form=forms[reply], reply_key="to")
    for caller in (CLIENT, f"+{CLIENT}", CLIENT[2:], f"00{CLIENT}"):
        answer = await asked(hub, caller, request_form, reply)
        assert (answer.destination, answer.error) == ("examplecom_olena", "")
    unknown: tuple[str | None, ...] = ("380509999999", "anonymous", "", None)
    for nobody in unknown:
        answer = await asked(hub, nobody, request_form, reply)
        assert (answer.destination, answer.status) == (None, 200)
