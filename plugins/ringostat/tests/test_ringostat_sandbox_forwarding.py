"""The sandbox asks before a call as the vendor does, reads every form of reply, and follows its scheme (R2, R4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hub_ringostat.sandbox import (
    Call,
    Direction,
    Outcome,
    Question,
    QueueBlock,
    ReplyForm,
    RequestForm,
    ResponsibleBlock,
    Sandbox,
    VoicemailBlock,
    WebhookNumber,
)
from hub_ringostat.sandbox.examples import CLIENT, LINE, NOON, OLENA, PETRO, TARAS

from hub_sandbox import serve_app

QUESTION = Question(call_id="ua0_-1785315600.1", caller=CLIENT, dst=LINE, uuid="0b5a3c1e-6c1e-4a55-9a5d-1f0a6f3d2c11")


@dataclass
class Answering:
    """A hub's place: keeps the raw question, answers as told; silent when ``body`` is None."""

    body: bytes | None = b""
    status: int = 200
    questions: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        self.questions.append((scope["method"], scope["query_string"].decode(), headers, message["body"]))
        if self.body is None:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.body})


Place = Callable[..., tuple[Answering, str]]


@pytest.fixture(scope="module")
def answering() -> Iterator[Place]:
    """Makes the one served place answer as told: (the place, its address). One server for all, for pace."""
    hub = Answering()

    def told(body: bytes | None = b"", status: int = 200) -> tuple[Answering, str]:
        hub.body, hub.status, hub.questions = body, status, []
        return hub, f"{url}/forward/secret"

    with serve_app(hub) as url:
        yield told


def sandbox() -> Sandbox:
    return Sandbox(employees=(OLENA, PETRO, TARAS))


ENCODED = {
    "call_id": "ua0_-1785315600.1",
    "step_forward": "webhookNumber%3A42",
    "uuid": QUESTION.uuid,
    "caller": CLIENT,
    "dst": LINE,
}
QUERY = f"call_id=ua0_-1785315600.1&step_forward=webhookNumber%3A42&uuid={QUESTION.uuid}&caller={CLIENT}&dst={LINE}"


def envelope(params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": "routeCall", "params": params}


# request form, method set, method used, query, body
FORMS = [
    (RequestForm.HTTP, "GET", "GET", QUERY, ""),
    (RequestForm.HTTP, "POST", "POST", "", QUERY),
    (RequestForm.JSON, "POST", "POST", "", ENCODED),
    (RequestForm.JSON, "GET", "POST", "", ENCODED),
    (RequestForm.JSON_RPC, "POST", "POST", "", envelope(ENCODED)),
    (RequestForm.JSON_RPC_POSITION, "POST", "POST", "", envelope([ENCODED])),
    (RequestForm.HEADERS, "GET", "GET", "", ""),
]


@pytest.mark.parametrize(("form", "method", "used", "query", "body"), FORMS)
async def test_question_comes_in_every_request_form(
    form: RequestForm, method: str, used: str, query: str, body: object, answering: Place
) -> None:
    """B.1, B.2; json always posts."""
    hub, url = answering()
    await sandbox().ask(QUESTION, WebhookNumber(url=url, method=method, request_form=form))
    seen_method, seen_query, headers, raw = hub.questions[0]
    seen = json.loads(raw) if raw.startswith(b"{") else raw.decode()
    assert (seen_method, seen_query, seen) == (used, query, body)
    if form is RequestForm.HEADERS:
        assert dict(headers)["caller"] == CLIENT
        assert dict(headers)["call-id"] == QUESTION.call_id


async def test_question_has_exactly_the_vendors_headers(answering: Place) -> None:
    """B.2: no Accept, no cookie, no authentication; a connection of its own, closed after."""
    hub, url = answering()
    await sandbox().ask(QUESTION, WebhookNumber(url=url))
    host = url.split("/")[2]
    _, _, headers, body = hub.questions[0]
    assert headers == [
        ("host", host),
        ("origin", host),
        ("user-agent", "ringostat HTTP Client v1.1"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]


# reply form, status, body, destination, part of the error
REPLIES = [
    (ReplyForm.HTTP, 200, b"380671234567", "380671234567", ""),
    (ReplyForm.HTTP, 200, b"examplecom_olena", "examplecom_olena", ""),
    (ReplyForm.HTTP, 200, b"", None, ""),
    (ReplyForm.HTTP, 200, b"Not found, sorry", None, "not a destination"),
    (ReplyForm.HTTP, 200, b"examplecom_olena\n", None, "not a destination"),
    (ReplyForm.HTTP, 404, b"380671234567", None, "status 404"),
    (ReplyForm.JSON, 200, b'{"destination": "examplecom_olena"}', "examplecom_olena", ""),
    (ReplyForm.JSON, 200, b'{"destination": ""}', None, ""),
    (ReplyForm.JSON, 200, b'{"other": "examplecom_olena"}', None, ""),
    (ReplyForm.JSON, 200, b"[]", None, "not an object"),
    (ReplyForm.JSON, 200, b"oops", None, "unreadable"),
    (ReplyForm.JSON_RPC, 200, b'{"jsonrpc":"2.0","id":1,"result":"380671234567"}', "380671234567", ""),
    (ReplyForm.JSON_RPC, 200, b'{"jsonrpc":"2.0","id":1,"result":{"destination":"380671234567"}}', "380671234567", ""),
    (ReplyForm.JSON_RPC, 200, b'{"jsonrpc":"2.0","id":1,"result":""}', None, ""),
    (ReplyForm.JSON_RPC, 200, b'{"jsonrpc":"2.0","id":2,"result":"380671234567"}', None, "for id 2"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "status", "body", "destination", "error"), REPLIES)
async def test_reply_is_read_in_every_form(
    form: ReplyForm, status: int, body: bytes, destination: str | None, error: str, answering: Place
) -> None:
    """B.3."""
    _, url = answering(body, status)
    answer = await sandbox().ask(QUESTION, WebhookNumber(url=url, reply_form=form))
    assert (answer.status, answer.destination) == (status, destination)
    assert error in answer.error
    assert bool(error) == bool(answer.error)


async def test_late_answer_is_no_answer(answering: Place) -> None:
    """R3's reason: the exchange hangs up after its own timeout, and goes on along the scheme."""
    hub, url = answering(None)
    answer = await sandbox().ask(QUESTION, WebhookNumber(url=url, timeout_seconds=0.1))
    assert (answer.destination, answer.status) == (None, None)
    assert answer.error == "no answer within 0.1 s"
    hub.body = b'{"destination": "examplecom_olena"}'
    assert (await sandbox().ask(QUESTION, WebhookNumber(url=url))).destination == "examplecom_olena"


async def test_nobody_listening_is_no_answer() -> None:
    with serve_app(Answering()) as url:
        pass
    answer = await sandbox().ask(QUESTION, WebhookNumber(url=url))
    assert answer.destination is None
    assert answer.error.startswith("ConnectError")


@pytest.mark.parametrize("caller", [None, "", "anonymous", "+380501112233", "0501112233", "00380501112233"])
async def test_caller_is_sent_as_it_is_written(caller: str | None, answering: Place) -> None:
    """B.5: missing, hidden, with plus, with leading 0, with 00."""
    hub, url = answering()
    number = WebhookNumber(url=url, method="GET", request_form=RequestForm.HTTP)
    await sandbox().ask(Question(call_id="c", caller=caller), number)
    query = hub.questions[0][1]
    assert ("caller=" in query) == (caller is not None)
    assert (caller or "").replace("+", "%2B") in query


async def test_same_uuid_is_asked_again_and_a_missing_one_is_made(answering: Place) -> None:
    _, url = answering()
    number, asking = WebhookNumber(url=url), sandbox()
    first, second = [await asking.ask(QUESTION, number) for _ in range(2)]
    fresh = await asking.ask(Question(call_id="c"), number)
    assert first.question.uuid == second.question.uuid == QUESTION.uuid
    assert len(fresh.question.uuid) == 36
    assert asking.answers == [first, second, fresh]


DRAFT = Call(
    id="ua0_-1785315600.9",
    direction=Direction.IN,
    outcome=Outcome.MISSED,
    started_at=NOON,
    ended_at=NOON,
    client_number=CLIENT,
    company_number=LINE,
)
TO_OLENA = b'{"destination": "examplecom_olena"}'

# the hub's answer, who picks up, who was rung, outcome, who talked
SCHEME = [
    (TO_OLENA, {"1101"}, ["1101"], Outcome.ANSWERED, "1101"),
    (TO_OLENA, {"1102"}, ["1101", "1106", "1102"], Outcome.ANSWERED, "1102"),
    (TO_OLENA, set[str](), ["1101", "1106", "1102"], Outcome.VOICEMAIL, None),
    (b'{"destination": ""}', {"1106"}, ["1106"], Outcome.ANSWERED, "1106"),
    (b"broken", {"1102"}, ["1106", "1102"], Outcome.ANSWERED, "1102"),
    (b'{"destination": "380997776655"}', {"1102"}, [None, "1106", "1102"], Outcome.ANSWERED, "1102"),
    (b'{"destination": "380997776655"}', {"380997776655"}, [None], Outcome.ANSWERED, None),
]


@pytest.mark.parametrize(("reply", "picks_up", "rung", "outcome", "talked"), SCHEME)
async def test_scheme_goes_from_the_responsible_to_the_queue_to_voicemail(
    reply: bytes, picks_up: set[str], rung: list[str | None], outcome: Outcome, talked: str | None, answering: Place
) -> None:
    """R4, R5: block 1 the responsible, block 2 the queue (administrator first), block 3 voicemail."""
    exchange = sandbox()
    _, url = answering(reply)
    blocks = (
        ResponsibleBlock(number=WebhookNumber(url=url)),
        QueueBlock(employees=("1106", "1102")),
        VoicemailBlock(),
    )
    routed = await exchange.ring(DRAFT, blocks, picks_up=frozenset(picks_up))
    call = routed.call
    assert [each.employee for each in call.rung] == rung
    assert call.outcome is outcome
    assert [leg.employee for leg in call.legs] == ([talked] if outcome is Outcome.ANSWERED else [])
    assert call.ended_at > call.started_at
    assert exchange.calls[call.id] == call


async def test_without_voicemail_an_unanswered_call_is_missed() -> None:
    routed = await sandbox().ring(DRAFT, (QueueBlock(employees=("1101",)),))
    assert routed.call.outcome is Outcome.MISSED
    assert routed.answers == ()
