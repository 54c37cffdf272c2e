"""A whole day of traffic passes from the file through the sandbox to the plugin, and means the same at its end.

The sandbox and the plugin were written apart from each other, from the reference alone; here they meet.
"""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hub_ringostat.sandbox
import pytest
from hub_ringostat.config import RingostatSettings
from hub_ringostat.sandbox import Outcome, Sandbox, WebhookRequest, read_traffic
from hub_ringostat.source import RingostatSource

from hub.core.interaction import Direction
from hub.core.merge import CallFragment
from hub.demo.traffic import generate
from hub.ports import ChannelConfig, Parsed, RawRequest

CHANNEL = ChannelConfig(
    project="shop",
    name="ringostat",
    source="ringostat",
    settings=RingostatSettings(),
    region="UA",
    time_zone="Europe/Kyiv",
)


@pytest.fixture(scope="module")
def traffic() -> dict[str, Any]:
    return generate(calls=60).to_record()


def parsed(request: WebhookRequest) -> Parsed:
    headers = tuple((name.lower(), value) for name, value in request.headers.items())
    raw = RawRequest(
        method=request.method,
        query=urlsplit(request.url).query.encode(),
        headers=headers,
        body=request.body,
        received_at=datetime(2026, 7, 29, 18, 0, tzinfo=UTC),
    )
    (only,) = RingostatSource().parse(raw, CHANNEL)
    return only


SETUPS: list[dict[str, Any]] = [{"mixed": True}] + [
    {"shape": shape, "plain": plain}
    for shape in ("query", "form", "json", "nested", "array")
    for plain in (False, True)
]


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: "-".join(str(value) for value in setup.values()))
def test_plugin_reads_in_every_webhook_what_really_happened(traffic: dict[str, Any], setup: dict[str, Any]) -> None:
    """R1: client, direction, beginning and id of each call survive every shape and set of names."""
    sandbox = Sandbox()
    sandbox.load_traffic(traffic)
    sandbox.set_up("http://hub.example/hooks/x", **setup)
    sandbox.split = True
    calls = {call["id"]: call for call in traffic["calls"]}
    seen: set[str] = set()
    for request in sandbox.requests_for(*sandbox.events()):
        fragment = parsed(request)
        if not isinstance(fragment, CallFragment):
            assert request.event_id.startswith("form-")
            continue
        call = calls[fragment.external_id]
        seen.add(call["id"])
        if call["kind"] == "client":
            number = call["client_number"]
            assert [str(phone) for phone in fragment.client.phones] == ([f"+{number}"] if number else [])
        expected = Direction.OUTBOUND if call["direction"] == "out" else Direction.INBOUND
        assert fragment.direction in {expected, None}
    assert seen == set(calls)


def test_sandbox_reads_every_call_of_the_file(traffic: dict[str, Any]) -> None:
    """The format is documented once and read twice, without sharing a line."""
    read = read_traffic(traffic)
    assert [call.id for call in read.calls] == [call["id"] for call in traffic["calls"]]
    for call, record in zip(read.calls, traffic["calls"], strict=True):
        assert call.outcome is Outcome(record["outcome"])
        assert len(call.legs) == len(record["legs"])
        assert call.ended_at - call.started_at == datetime.fromisoformat(record["ended_at"]) - call.started_at
    assert len(read.employees) == len(traffic["employees"])
    assert len(read.events) == len(traffic["calls"]) + len(traffic["forms"])


def test_sandbox_shares_nothing_with_hub_or_plugin() -> None:
    """STYLE: a sandbox built from the client would be wrong together with it."""
    for file in Path(hub_ringostat.sandbox.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{file.name} imports from outside the sandbox"
                names = [node.module or ""] if node.level == 0 else []
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.split(".")[0] in {"hub", "hub_ringostat"}], file.name
