"""The "webhook number": the exchange asks an address where to send a call, then follows its scheme.

Reference part B. A scheme is a row of blocks: a webhook number asks who is responsible, a queue rings
employees one after another, voicemail takes what nobody answered. An empty, late or unusable answer ends its
block, and the call goes on to the next one.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid as uuids
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from .delivery import tls_context
from .telephony import Call, Leg, Outcome, Rung, Staff
from .wire_request import USER_AGENT, with_query

_DESTINATION = re.compile(r"\d{7,15}|[a-z0-9]+_[A-Za-z0-9_.\-]+")


class RequestForm(StrEnum):
    """Data submission type, and the two ways the reference leaves open."""

    HTTP = "http"
    JSON = "json"
    JSON_RPC = "json-rpc"
    JSON_RPC_POSITION = "json-rpc-position"
    HEADERS = "headers"


class ReplyForm(StrEnum):
    """Data import type."""

    HTTP = "http"
    JSON = "json"
    JSON_RPC = "json-rpc"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNumber:
    """The cabinet's settings of one webhook number (reference B.1)."""

    url: str
    id: int = 42
    method: str = "POST"
    request_form: RequestForm = RequestForm.JSON
    reply_form: ReplyForm = ReplyForm.JSON
    reply_name: str = "destination"
    rpc_method: str = "routeCall"
    timeout_seconds: float = 3.0
    #: sent name -> what is sent: caller, dst, pool_name, scheme_name, utm_*, client_id
    names: Mapping[str, str] = field(default_factory=lambda: {"caller": "caller", "dst": "dst"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is known before the call rings anybody. ``caller`` may be "" or "anonymous"."""

    call_id: str
    caller: str | None = None  # None: the parameter is not sent at all
    dst: str = ""
    uuid: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    def with_uuid(self) -> Question:
        return self if self.uuid else replace(self, uuid=str(uuids.uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. ``destination`` is None when the exchange goes on along its scheme."""

    question: Question
    destination: str | None
    status: int | None
    seconds: float
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


async def ask(question: Question, number: WebhookNumber) -> Answer:
    """Ask once over a connection of its own; never raises for what the other side does."""
    question = question.with_uuid()
    started = time.perf_counter()
    request = build_question(question, number)
    try:
        async with asyncio.timeout(number.timeout_seconds):
            transport = httpx.AsyncHTTPTransport(verify=tls_context())
            async with transport:
                reply = await transport.handle_async_request(request)
                body = await reply.aread()
                await reply.aclose()
    except TimeoutError:
        return Answer(
            question=question,
            destination=None,
            status=None,
            seconds=time.perf_counter() - started,
            error=f"no answer within {number.timeout_seconds} s",
        )
    except httpx.HTTPError as problem:
        return Answer(
            question=question,
            destination=None,
            status=None,
            seconds=time.perf_counter() - started,
            error=f"{type(problem).__name__}: {problem}",
        )
    destination, error = read_reply(reply.status_code, body, number)
    return Answer(
        question=question,
        destination=destination,
        status=reply.status_code,
        seconds=time.perf_counter() - started,
        body=body,
        headers=dict(reply.headers),
        error=error,
    )


def build_question(question: Question, number: WebhookNumber) -> httpx.Request:
    """The request with exactly the vendor's headers: no Accept, no cookies, ``Connection: close``."""
    parameters = _parameters(question, number)
    url, body, content_type = number.url, b"", "application/json"
    method = number.method
    extra: list[tuple[str, str]] = []
    match number.request_form:
        case RequestForm.HTTP if method in {"GET", "DELETE"}:
            url, content_type = with_query(url, parameters), ""
        case RequestForm.HTTP:
            body, content_type = urlencode(parameters).encode(), "application/x-www-form-urlencoded"
        case RequestForm.JSON:
            # With the json type the exchange always posts, whatever method is set.
            method, body = "POST", _json(_percent_encoded(parameters))
        case RequestForm.JSON_RPC:
            body = _json(_envelope(number, _percent_encoded(parameters)))
        case RequestForm.JSON_RPC_POSITION:
            body = _json(_envelope(number, [_percent_encoded(parameters)]))
        case RequestForm.HEADERS:
            extra, content_type = [(name.replace("_", "-"), value) for name, value in parameters.items()], ""
    host = urlsplit(url).netloc.rpartition("@")[2]
    headers = [("Host", host), ("Origin", host), ("User-Agent", USER_AGENT)]
    if content_type:
        headers.append(("Content-Type", content_type))
    if body or method != "GET":
        headers.append(("Content-Length", str(len(body))))
    return httpx.Request(method, url, headers=[*headers, *extra, ("Connection", "close")], content=body)


def read_reply(status: int, body: bytes, number: WebhookNumber) -> tuple[str | None, str]:
    """(destination or None, why not) from a reply in the webhook number's form."""
    if status != 200:
        return None, f"status {status}"
    try:
        destination = _reply_value(body, number)
    except (ValueError, UnicodeDecodeError) as problem:
        return None, f"unreadable reply: {problem}"
    if destination in {"", None}:
        return None, ""
    if not isinstance(destination, str) or _DESTINATION.fullmatch(destination) is None:
        return None, f"not a destination: {destination!r}"
    return destination, ""


def _reply_value(body: bytes, number: WebhookNumber) -> Any:
    if number.reply_form is ReplyForm.HTTP:
        return body.decode()
    reply = json.loads(body)
    if not isinstance(reply, dict):
        raise ValueError("the reply is not an object")
    if number.reply_form is ReplyForm.JSON:
        return reply.get(number.reply_name, "")
    if reply.get("id") != 1:
        raise ValueError(f"the reply is for id {reply.get('id')!r}, not 1")
    result = reply.get("result", "")
    return result.get(number.reply_name, "") if isinstance(result, dict) else result


def _parameters(question: Question, number: WebhookNumber) -> dict[str, str]:
    known: dict[str, str | None] = {**question.others, "caller": question.caller, "dst": question.dst}
    parameters = {
        "call_id": question.call_id,
        "step_forward": f"webhookNumber:{number.id}",
        "uuid": question.uuid,
    }
    for sent, meaning in number.names.items():
        value = known.get(meaning)
        if value is not None:
            parameters[sent] = value
    return parameters


def _percent_encoded(parameters: Mapping[str, str]) -> dict[str, str]:
    """Values are percent-encoded inside JSON (reference B.2)."""
    return {name: quote(value, safe="") for name, value in parameters.items()}


def _envelope(number: WebhookNumber, params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": number.rpc_method, "params": params}


def _json(payload: object) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsibleBlock:
    """Ask the webhook number, ring whom it names."""

    number: WebhookNumber
    ring_seconds: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueBlock:
    """Ring these employees (ids) in this order, each for so long."""

    employees: tuple[str, ...]
    ring_seconds: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class VoicemailBlock:
    """Record what the client says; 0 seconds is a client who hung up at the beep."""

    seconds: int = 12


Block = ResponsibleBlock | QueueBlock | VoicemailBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Where the scheme led: the finished call, and the answers that the webhook numbers gave."""

    call: Call
    answers: tuple[Answer, ...]


async def follow_scheme(
    draft: Call,
    blocks: tuple[Block, ...],
    *,
    staff: Staff,
    picks_up: frozenset[str],
    caller: str | None = None,
    answer_after_seconds: int = 6,
    talk_seconds: int = 60,
) -> Routed:
    """Lead an incoming call along its scheme (R4).

    ``draft`` gives id, numbers, attribution and start; what rang and who answered is decided here.
    ``picks_up`` holds employee ids and destinations that answer when rung. ``caller`` is how the number is
    written in the question ("" or "anonymous" for a hidden one), the client's number by default.
    """
    at, rung, answers = draft.started_at, list[Rung](), list[Answer]()
    outcome, voicemail_seconds = Outcome.MISSED, 0
    for block in blocks:
        if isinstance(block, VoicemailBlock):
            if block.seconds > 0:
                outcome, voicemail_seconds = Outcome.VOICEMAIL, block.seconds
                at += timedelta(seconds=block.seconds)
            break
        destinations: list[str] = []
        if isinstance(block, QueueBlock):
            destinations = [staff.get(employee).destination for employee in block.employees]
        else:
            question = Question(
                call_id=draft.id,
                caller=draft.client_number if caller is None else caller,
                dst=draft.company_number,
                others={"scheme_name": draft.scheme, "pool_name": draft.attribution.pool},
            )
            answer = await ask(question, block.number)
            answers.append(answer)
            destinations = [answer.destination] if answer.destination is not None else []
        for destination in destinations:
            employee = staff.find_by_contact(destination)
            employee_id = employee.id if employee is not None else None
            answered = destination in picks_up or employee_id in picks_up
            seconds = answer_after_seconds if answered else block.ring_seconds
            rung.append(Rung(destination=destination, employee=employee_id, at=at, seconds=seconds, answered=answered))
            at += timedelta(seconds=seconds)
            if answered:
                leg = Leg(destination=destination, employee=employee_id, answered_at=at, talk_seconds=talk_seconds)
                call = replace(draft, outcome=Outcome.ANSWERED, rung=tuple(rung), legs=(leg,), ended_at=leg.ended_at)
                return Routed(call=call, answers=tuple(answers))
    call = replace(draft, outcome=outcome, rung=tuple(rung), legs=(), ended_at=at, voicemail_seconds=voicemail_seconds)
    return Routed(call=call, answers=tuple(answers))
