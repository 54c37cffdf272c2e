"""The web server by itself: who waits at the door is let in, however busy the loop is (DESIGN 11)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable

import uvloop
from starlette.types import Receive, Scope, Send

from hub.web.server import serve_forever
from hub.web.webhooks import ACCEPTED, send_answer

WAITING = 60


class Yes:
    """Says yes to whoever asks, and tells that somebody did."""

    def __init__(self, asked: Callable[[], None]) -> None:
        self._asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self._asked()
            await send_answer(send, ACCEPTED)
            return
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})


def test_several_connections_are_let_in_by_each_turn_of_the_loop() -> None:
    # one a turn, and a loop that is busy for a millisecond at each lets in fewer than come
    turns = uvloop.run(_turns_until_all_have_asked())

    assert len(turns) == WAITING
    assert max(turns) - min(turns) <= WAITING / 2


async def _turns_until_all_have_asked() -> list[int]:
    loop = asyncio.get_running_loop()
    asked: list[int] = []
    turn = 0

    app = Yes(lambda: asked.append(turn))
    ready: asyncio.Future[int] = loop.create_future()
    serving = asyncio.create_task(serve_forever(app, "127.0.0.1", 0, ready=ready.set_result))
    port = await ready
    with contextlib.ExitStack() as callers:
        # the loop does not turn meanwhile: all of them wait at the door
        for _ in range(WAITING):
            caller = callers.enter_context(socket.create_connection(("127.0.0.1", port)))
            caller.sendall(b"GET / HTTP/1.1\r\nhost: hub\r\n\r\n")
        async with asyncio.timeout(10):
            while len(asked) < WAITING:
                turn += 1
                await asyncio.sleep(0)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return asked


def test_what_is_held_for_a_moment_is_not_looked_through_for_garbage() -> None:
    """A look at what goes by itself anyway stops every answer: some thousand objects wait for the journal (X1)."""
    before = gc.get_threshold()
    try:
        assert asyncio.run(_looks_at(5_000)) == 0
        assert asyncio.run(_looks_at(25_000)) >= 1
    finally:
        gc.set_threshold(*before)


async def _looks_at(objects: int) -> int:
    """How often the collector looked while a server made so many objects and kept them."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve_forever(Yes(lambda: None), "127.0.0.1", 0, ready=ready.set_result))
    await ready
    looks: list[str] = []

    def look(phase: str, _: dict[str, int]) -> None:
        looks.append(phase)

    gc.callbacks.append(look)
    held = [[number] for number in range(objects)]
    gc.callbacks.remove(look)
    del held
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    return looks.count("start")
