"""A Wazzup channel for the plugin's tests, and the sandbox over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_wazzup.config import WazzupSettings
from hub_wazzup.sandbox import Sandbox, serve
from hub_wazzup.source import WazzupSource
from pydantic import SecretStr

from hub.ports import ChannelConfig, Parsed, RawRequest

#: a Wednesday
NOW = datetime(2026, 7, 29, 8, 30, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads"
MakeChannel = Callable[..., ChannelConfig]
ParseFile = Callable[..., list[Parsed]]


def post(body: Any) -> RawRequest:
    """A webhook as Wazzup posts it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawRequest(
        method="POST",
        headers=(("content-type", "application/json; charset-utf-8"),),
        body=content,
        received_at=NOW,
    )


@pytest.fixture
def make_channel() -> MakeChannel:
    """A channel with these settings; ``region`` and ``eight_is_seven`` are the project's."""

    def make(*, region: str = "UA", eight_is_seven: bool = False, **settings: Any) -> ChannelConfig:
        settings.setdefault("api_key", SecretStr("key"))
        return ChannelConfig(
            project="shop",
            name="chats",
            source="wazzup",
            settings=WazzupSettings(**settings),
            region=region,
            time_zone="Europe/Kyiv",
            eight_is_seven=eight_is_seven,
        )

    return make


@pytest.fixture
def parse_file(make_channel: MakeChannel) -> ParseFile:
    """What the plugin makes of a payload file."""

    def parse(name: str, **settings: Any) -> list[Parsed]:
        body = (PAYLOADS / f"{name}.json").read_bytes()
        return list(WazzupSource().parse(post(body), make_channel(**settings)))

    return parse


@pytest.fixture
def wazzup() -> Iterator[tuple[Sandbox, str]]:
    """A fresh sandbox and the address of its API."""
    with serve(Sandbox()) as served:
        yield served


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
def channel(wazzup: tuple[Sandbox, str], make_channel: MakeChannel) -> ChannelConfig:
    """A channel with the sandbox's key."""
    sandbox, address = wazzup
    return make_channel(api_base=address, api_key=SecretStr(sandbox.account.api_key))
