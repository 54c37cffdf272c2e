"""The webhook number asks in every form and is answered in the one that the cabinet is set to (R2, R3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hub_ringostat.source import RingostatSource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.ports import AnswersForwarding, ChannelConfig, ForwardingAnswer, ForwardingQuestion, RawRequest

SOURCE = RingostatSource()
AT = datetime(2026, 7, 29, 8, 30, tzinfo=UTC)
CLIENT, LINE = "+380501112233", "+380441234567"
MakeChannel = Callable[..., ChannelConfig]


def asked(
    body: bytes = b"", query: bytes = b"", headers: tuple[tuple[str, str], ...] = (), method: str = "POST"
) -> RawRequest:
    return RawRequest(method=method, query=query, headers=headers, body=body, received_at=AT)


CALL = '"call_id":"ua0_-1785312345.4410072","step_forward":"webhookNumber%3A42","uuid":"0b5a3c1e"'
FORMS = [
    pytest.param(
        asked(
            query=b"call_id=ua0_-1785312345.4410072&uuid=0b5a3c1e&caller=380501112233&dst=380441234567", method="GET"
        ),
        None,
        id="query",
    ),
    pytest.param(
        asked(b"call_id=ua0_-1785312345.4410072&uuid=0b5a3c1e&caller=%2B380501112233&dst=380441234567"), None, id="form"
    ),
    pytest.param(
        asked(f'{{{CALL},"caller":"380501112233","dst":"380441234567"}}'.encode()), None, id="json, percent-encoded"
    ),
    pytest.param(asked(f'{{{CALL},"caller":"%2B380501112233","dst":380441234567}}'.encode()), None, id="json, numbers"),
    pytest.param(
        asked(
            f'{{"jsonrpc":"2.0","id":7,"method":"route","params":{{{CALL},"caller":"0501112233",'
            f'"dst":"380441234567"}}}}'.encode()
        ),
        7,
        id="json-rpc by name",
    ),
    pytest.param(
        asked(
            f'{{"jsonrpc":"2.0","id":"a1","method":"route","params":[{{{CALL},"caller":"00380501112233",'
            f'"dst":"380441234567"}}]}}'.encode()
        ),
        "a1",
        id="json-rpc by position",
    ),
    pytest.param(
        asked(
            headers=(
                ("host", "hub.example.net"),
                ("caller", "380501112233"),
                ("call-id", "ua0_-1785312345.4410072"),
                ("uuid", "0b5a3c1e"),
                ("dst", "380441234567"),
            )
        ),
        None,
        id="headers",
    ),
]


@pytest.mark.parametrize(("request_", "reply_to"), FORMS)
def test_question_is_read_in_each_form(
    request_: RawRequest, reply_to: str | int | None, channel: ChannelConfig
) -> None:
    question = SOURCE.forwarding_question(request_, channel)
    assert (question.caller, question.line, question.uuid) == (CLIENT, LINE, "0b5a3c1e")
    assert (question.call_id, question.reply_to) == ("ua0_-1785312345.4410072", reply_to)


def test_values_are_percent_decoded(channel: ChannelConfig) -> None:
    question = SOURCE.forwarding_question(asked(f"{{{CALL}}}".encode()), channel)
    assert question.parameters["step_forward"] == "webhookNumber:42"


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(b'{"caller":"anonymous"}'),
        asked(b'{"caller":""}'),
        asked(b"{broken"),
        asked(b"[1,2]"),
        asked(b'"380501112233"'),
        asked(b"380501112233"),
        asked(b"\xff\xfe{"),
        asked(query=b"caller=101"),
        asked(b"a&" * 500),
    ],
)
def test_caller_that_is_hidden_or_unreadable_is_nobody(request_: RawRequest, channel: ChannelConfig) -> None:
    assert SOURCE.forwarding_question(request_, channel).caller is None


REPLIES = [
    pytest.param({}, "examplecom_olena", "text/plain", b"examplecom_olena", id="plain"),
    pytest.param({}, "", "text/plain", b"", id="plain, nobody"),
    pytest.param({"reply_form": "json", "reply_key": "to"}, "380671", "application/json", {"to": "380671"}, id="json"),
    pytest.param({"reply_form": "json"}, "", "application/json", {"destination": ""}, id="json, nobody"),
    pytest.param(
        {"reply_form": "json-rpc"},
        "x_y",
        "application/json",
        {"jsonrpc": "2.0", "id": 7, "result": {"destination": "x_y"}},
        id="json-rpc, field",
    ),
    pytest.param(
        {"reply_form": "json-rpc", "rpc_result": "plain"},
        "x_y",
        "application/json",
        {"jsonrpc": "2.0", "id": 7, "result": "x_y"},
        id="json-rpc, plain",
    ),
    pytest.param(
        {"reply_form": "json-rpc", "reply_key": ""},
        "",
        "application/json",
        {"jsonrpc": "2.0", "id": 7, "result": ""},
        id="json-rpc without a name, nobody",
    ),
]


@pytest.mark.parametrize(("settings_", "destination", "content_type", "body"), REPLIES)
def test_answer_in_each_form(
    settings_: dict[str, str], destination: str, content_type: str, body: object, make_channel: MakeChannel
) -> None:
    """Reference B.3: nobody is an empty answer, never words that could be dialled."""
    reply = SOURCE.forwarding_reply(
        ForwardingQuestion(caller=None, reply_to=7),
        ForwardingAnswer(destination=destination),
        make_channel(**settings_),
    )
    assert (reply.status, reply.content_type.partition(";")[0]) == (200, content_type)
    assert (reply.body if isinstance(body, bytes) else json.loads(reply.body)) == body


def test_source_answers_forwarding() -> None:
    assert isinstance(SOURCE, AnswersForwarding)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=st.binary(max_size=60) | st.text(max_size=40).map(str.encode),
    query=st.binary(max_size=40),
    headers=st.lists(st.tuples(st.sampled_from(["caller", "call-id", "x"]), st.text(max_size=20)), max_size=3),
)
def test_any_question_gets_an_answer(
    body: bytes, query: bytes, headers: list[tuple[str, str]], channel: ChannelConfig
) -> None:
    """DESIGN 5: after the secret is known never an error."""
    question = SOURCE.forwarding_question(asked(body, query, tuple(headers)), channel)
    assert SOURCE.forwarding_reply(question, ForwardingAnswer(), channel).body == b""


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param('"Caller":"","caller":"380501112233"', id="two names that differ in case"),
        pytest.param('"caller":" %2B380501112233 "', id="spaces and percents"),
        pytest.param('"caller":"\\u0033\\u00380501112233"', id="escapes"),
        pytest.param('"caller":380501112233', id="a number"),
        pytest.param('"caller":"380501112233","extra":null', id="null"),
        pytest.param('"caller":"380501112233","Params":"x"', id="a parameter called params"),
        pytest.param('"caller":"380501112233"', id="as the vendor sends it"),
        pytest.param('"caller":"380501112233","note":"two words","empty":""', id="several words and nothing"),
        pytest.param('"caller":"%2B380501112233","step_forward":"webhookNumber%3A42"', id="percents"),
        pytest.param('"caller":"anonymous","client_number":"380501112233","caller_number":"380501112233"', id="hidden"),
    ],
)
def test_a_question_of_texts_alone_is_read_as_any_other(fields: str, channel: ChannelConfig) -> None:
    """The short way for a flat object of texts says what the long way says."""
    flat = SOURCE.forwarding_question(asked(f'{{{CALL},"dst":"380441234567",{fields}}}'.encode()), channel)
    nested = SOURCE.forwarding_question(
        asked(f'{{"params":{{{CALL},"dst":"380441234567",{fields}}}}}'.encode()), channel
    )
    assert flat.caller == nested.caller == CLIENT
    assert (flat.line, flat.uuid, flat.call_id) == (nested.line, nested.uuid, nested.call_id)
    assert {**flat.parameters, "params": ""} == {**nested.parameters, "params": ""}
