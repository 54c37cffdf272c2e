"""What the hub's conformance kit needs to try this plugin (X4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from hub.ports import ChannelConfig, RawRequest
from hub.testing.outfit import ARRIVED, SourceOutfit, SourceStage, payloads_of, request_of

from .config import RingostatSettings
from .sandbox import Sandbox, WebhookRequest, serve
from .sandbox.examples import ANSWERED, MISSED, OLENA, OUTGOING, PETRO, TARAS, TRANSFERRED
from .source import RingostatSource

__all__ = ["OUTFIT"]

_CALLS = (ANSWERED, MISSED, OUTGOING, TRANSFERRED)


def _to_request(path: Path) -> RawRequest:
    """The moment stands in the address, as the set-up page says."""
    request = request_of(path)
    query = b"moment=" + path.name.partition("__")[0].encode()
    return replace(request, query=b"&".join(part for part in (query, request.query) if part))


def _delivered(request: WebhookRequest) -> RawRequest:
    return RawRequest(
        method=request.method,
        query=urlsplit(request.url).query.encode(),
        headers=tuple((name.lower(), value) for name, value in request.headers.items()),
        body=request.body,
        received_at=request.at,
    )


@asynccontextmanager
async def _open() -> AsyncIterator[SourceStage]:
    sandbox = Sandbox(employees=(OLENA, PETRO, TARAS))
    sandbox.set_up("https://hub.example/hooks/x")
    sandbox.split = True
    sandbox.add(*_CALLS)
    sandbox.clock.set(max(call.ended_at for call in _CALLS) + timedelta(hours=1))
    with serve(sandbox) as (_, url):
        settings = RingostatSettings(
            api_base=url, auth_key=SecretStr(sandbox.auth_key), project_id=str(sandbox.project_id)
        )
        channel = ChannelConfig(
            project="conformance", name="phone", source="ringostat", settings=settings, region="UA",
            time_zone="Europe/Kyiv",
        )  # fmt: skip
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            yield SourceStage(
                channel=channel,
                http=http,
                deliveries=[_delivered(request) for request in sandbox.requests_for(*sandbox.events())],
                since=min(call.started_at for call in _CALLS),
                until=max(call.started_at for call in _CALLS) + timedelta(seconds=1),
                staff_ids=frozenset(one.id for one in (OLENA, PETRO, TARAS)),
                refused=replace(channel, settings=settings.model_copy(update={"auth_key": SecretStr("old")})),
            )


def _question(body: bytes = b"", query: bytes = b"") -> RawRequest:
    return RawRequest(method="POST" if body else "GET", query=query, body=body, received_at=ARRIVED)


_ASKED = b'"call_id":"ua0_-1785312345.4410072","uuid":"0b5a3c1e","caller":"%2B380501112233","dst":"380441234567"'
_QUESTIONS = {
    "query": _question(query=b"call_id=ua0_-1785312345.1&uuid=0b5a3c1e&caller=380501112233&dst=380441234567"),
    "form": _question(b"call_id=ua0_-1785312345.1&uuid=0b5a3c1e&caller=%2B380501112233"),
    "json": _question(b"{" + _ASKED + b"}"),
    "json-rpc": _question(b'{"jsonrpc":"2.0","id":7,"method":"route","params":{' + _ASKED + b"}}"),
}

OUTFIT = SourceOutfit(
    source=RingostatSource(),
    payloads=payloads_of(__file__),
    to_request=_to_request,
    questions=_QUESTIONS,
    open=_open,
)
