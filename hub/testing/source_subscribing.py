"""What the hub expects of a source that orders its webhooks through the vendor's API (`SubscribesWebhooks`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from hub.errors import NeedsCredentials, Unavailable
from hub.messenger import SubscribesWebhooks, Subscription
from hub.ports import ChannelConfig
from hub.testing.check import Checks, expect, fail, told
from hub.testing.outfit import SourceStage
from hub.testing.outside import Nowhere
from hub.testing.source_bench import SourceBench
from hub.testing.source_vendor import in_sandbox

__all__ = ["CHECKS"]

CHECKS: Checks[SourceBench] = Checks()

_PATH = "/hooks/conformance/chats/0123456789abcdef"
_YES = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def _subscribes(source: object) -> bool:
    return isinstance(source, SubscribesWebhooks)


@asynccontextmanager
async def _hub() -> AsyncIterator[str]:
    """The address of somebody who says yes to whatever comes, as the hub does: vendors try an address first."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_YES)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _tried(bench: SourceBench, work: Callable[[SourceStage, str], Awaitable[None]]) -> None:
    """Let ``work`` have the sandbox and the address to subscribe."""

    async def staged(stage: SourceStage) -> None:
        async with _hub() as address:
            await work(stage, f"{address}{_PATH}")

    await in_sandbox(bench, "subscribe", staged)


async def _subscribe(bench: SourceBench, stage: SourceStage, address: str) -> Subscription:
    assert isinstance(bench.source, SubscribesWebhooks)
    found = await bench.source.subscribe(stage.channel, stage.http, address)
    expect(isinstance(found, Subscription), f"subscribe returned {found!r}, no Subscription")
    if found.state != "ours":
        expect(bool(found.problem.strip()), f"the state {found.state!r} has no problem to tell people of")
    return found


def _held(stage: SourceStage) -> str:
    if stage.subscription is None:
        fail("it orders webhooks, and the outfit's stage cannot say where they go (SourceStage.subscription)")
    return stage.subscription()


@CHECKS.add(_subscribes)
async def the_webhooks_come_to_us_and_are_ordered_once(bench: SourceBench) -> None:
    """H12: the hub asks again and again, so that what is ours already is no news."""

    async def work(stage: SourceStage, address: str) -> None:
        expect(not _held(stage), f"the outfit's stage must begin with no subscription, not with {_held(stage)}")
        first = await _subscribe(bench, stage, address)
        expect(first.state == "ours", f"nobody's address stood there, and it says {first.state!r}: {first.problem}")
        expect(first.is_new, "what was just ordered is told as if it had been so before (is_new)")
        expect(_held(stage) == address, f"it says that webhooks come to us, and they go to {_held(stage) or 'nobody'}")
        again = await _subscribe(bench, stage, address)
        expect(again.state == "ours" and not again.is_new, f"asked again: {again}, though nothing changed")
        expect(_held(stage) == address, f"asked again: the webhooks go to {_held(stage) or 'nobody'}")

    await _tried(bench, work)


@CHECKS.add(_subscribes)
async def the_webhooks_of_another_system_are_left_to_it(bench: SourceBench) -> None:
    """With the outfit's settings, in which nobody allowed to take them over: it would fall silent without a word."""

    async def work(stage: SourceStage, address: str) -> None:
        if stage.subscribe_other is None:
            fail("the outfit's stage cannot put another system's address there (SourceStage.subscribe_other)")
        stage.subscribe_other("https://other.example/hooks")
        other = _held(stage)
        expect(bool(other), "SourceStage.subscribe_other was asked to, and no subscription stands there")
        found = await _subscribe(bench, stage, address)
        expect(_held(stage) == other, "another system's webhooks were taken from it")
        expect(found.state == "elsewhere", f"another system has the webhooks, and it says {found.state!r}")

    await _tried(bench, work)


@CHECKS.add(_subscribes)
async def a_vendor_that_refuses_or_is_away_is_asked_for_webhooks_again(bench: SourceBench) -> None:
    """H4: a refused key needs a person, a vendor that is away is asked again."""

    async def work(stage: SourceStage, address: str) -> None:
        assert isinstance(bench.source, SubscribesWebhooks)
        async with httpx.AsyncClient(transport=Nowhere()) as nowhere:
            ways: list[tuple[str, ChannelConfig | None, httpx.AsyncClient, type[Exception]]] = [
                ("with a refused key", stage.refused, stage.http, NeedsCredentials),
                ("of a vendor that is away", stage.channel, nowhere, Unavailable),
            ]
            for when, channel, http, wanted in ways:
                if channel is None:
                    continue
                try:
                    await bench.source.subscribe(channel, http, address)
                except wanted:
                    continue
                except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
                    fail(f"subscribe {when} raised {told(err)} instead of {wanted.__name__}", err)
                fail(f"subscribe {when} went unnoticed")
        found = await _subscribe(bench, stage, address)
        expect(found.state == "ours", f"with the right key, after both, it says {found.state!r}: {found.problem}")

    await _tried(bench, work)
