"""The door of the vendor's server: key, limits, faults and latency before a request, its envelope after.

What a request does is one synchronous step under the world's lock: a client that leaves, or is cut off, never leaves
it half done. It is applied whole, at once or later.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from enum import Enum
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from .faults import Fault, FaultBook
from .form import Ask, nested, parse_query
from .limiter import Limiter
from .reply import Json, Problem, Reply, not_found, page, throttled
from .route import Route, RouteTable, routes
from .world import World

_KEPT_REQUESTS = 20_000


class Silence(Enum):
    """No answer."""

    CUT = "cut"
    HELD = "held"


class Gateway:
    """The ASGI application behind every path but ``/_sandbox``."""

    def __init__(self, world: World, limiter: Limiter, faults: FaultBook) -> None:
        self._world, self._limiter, self._faults = world, limiter, faults
        self._table = RouteTable(routes())
        self._answering: set[asyncio.Task[Any]] = set()
        self._late: dict[asyncio.Task[None], asyncio.Event] = {}
        self._let_go = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests: deque[Json] = deque(maxlen=_KEPT_REQUESTS)

    @property
    def late_waiting(self) -> int:
        """Requests that were cut off and are not applied yet."""
        return len(self._late)

    def release(self) -> None:
        """Let every held connection go."""
        self._let_go.set()
        self._let_go = asyncio.Event()

    async def settle(self, *, at_once: bool = False) -> None:
        """Wait until what was cut off is applied."""
        while waiting := dict(self._late):
            if at_once:
                for hurry in waiting.values():
                    hurry.set()
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """Apply what waits and end."""
        self.release()
        await self.settle(at_once=True)
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            ask = await _read(scope, receive)
        except ClientDisconnect:
            return  # left before it had asked for anything
        # a server goes on when its client has left, so the answer is made by a task of its own
        task = asyncio.create_task(self._answer(ask))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        match await asyncio.shield(task):
            case Reply() as reply:
                headers = [
                    (b"content-type", reply.content_type.encode()),
                    (b"content-length", str(len(reply.body)).encode()),
                    (b"server", b"nginx"),
                ]
                await send({"type": "http.response.start", "status": reply.status, "headers": headers})
                await send({"type": "http.response.body", "body": reply.body})
            case Silence.HELD:
                gone, freed = asyncio.create_task(_left(receive)), asyncio.create_task(self._let_go.wait())
                await asyncio.wait((gone, freed), return_when=asyncio.FIRST_COMPLETED)
                was_freed = freed.done()
                for waiter in (gone, freed):
                    waiter.cancel()
                await asyncio.gather(gone, freed, return_exceptions=True)
                if was_freed:
                    await _cut(scope, receive)
            case _:
                await _cut(scope, receive)

    async def _answer(self, ask: Ask) -> Reply | Silence:
        template, ask.parts, found = self._table.find(ask.path)
        entry: Json = {"at": time.monotonic(), "method": ask.method, "path": ask.path, "query": ask.raw_query}
        self.counts[f"{ask.method} {template.replace('{}', '{id}')}"] += 1
        self.requests.append(entry)
        outcome = await self._judge(ask, found, entry)
        status = str(outcome.status) if isinstance(outcome, Reply) else outcome.value
        entry["status"] = status
        self.statuses[status] += 1
        return outcome

    async def _judge(self, ask: Ask, found: dict[str, Route], entry: Json) -> Reply | Silence:
        switches = self._world.switches
        if switches.down:
            return Silence.CUT
        try:
            self._admit(ask)
        except Problem as refused:
            return refused.reply
        if switches.account_is_gone:
            return (
                page(405, "405 Not Allowed") if ask.method == "POST" else Problem(400, "Account does not exist.").reply
            )
        if not self._limiter.admits(ask.key, is_telephony=ask.path.startswith("/api/v5/telephony/")):
            return throttled()
        fault = self._faults.strike(ask.method, ask.path)
        if fault is None and ask.method == "POST" and self._faults.happens(switches.late_apply_probability):
            fault = Fault(kind="late", late=switches.late_apply_seconds)
            self._faults.struck["late"] += 1
        if fault is not None:
            entry["fault"] = fault.kind
        if switches.latency_ms is not None:
            await asyncio.sleep(self._faults.draw(switches.latency_ms) / 1000)
        return self._apply(ask, found) if fault is None else await self._fail(fault, ask, found)

    def _admit(self, ask: Ask) -> None:
        """The key: header, or parameter of the query or the body."""
        if not ask.key:
            raise Problem(403, '"apiKey" is missing.')
        if ask.key not in self._world.keys:
            raise Problem(403, 'Wrong "apiKey" value.')

    async def _fail(self, fault: Fault, ask: Ask, found: dict[str, Route]) -> Reply | Silence:
        match fault.kind:
            case "throttle":
                return throttled()
            case "late":
                self._apply_later(ask, found, self._faults.draw(fault.late))
                return Silence.CUT
            case "slow":
                await asyncio.sleep(fault.delay)
                return self._apply(ask, found)
        if fault.applied:
            self._apply(ask, found)
        if fault.kind == "status":
            return page(fault.status, f"{fault.status} Ordered by a fault")
        return Silence.CUT if fault.kind == "disconnect" else Silence.HELD

    def _apply_later(self, ask: Ask, found: dict[str, Route], seconds: float) -> None:
        hurry = asyncio.Event()

        async def later() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await hurry.wait()
            except TimeoutError:
                pass
            self._apply(ask, found)

        task = asyncio.create_task(later())
        self._late[task] = hurry
        task.add_done_callback(lambda done: self._late.pop(done, None))

    def _apply(self, ask: Ask, found: dict[str, Route]) -> Reply:
        """Do what the request asks for: one step that nothing can interrupt."""
        with self._world.lock:
            try:
                if not found:
                    raise not_found("Method not found")
                route = found.get(ask.method)
                if route is None:
                    raise Problem(405, "Method Not Allowed")
                if route.scope and route.scope not in self._world.keys[ask.key].scopes:
                    raise Problem(403, "Access denied.")
                return route.handler(self._world, ask)
            except Problem as refused:
                return refused.reply


async def _read(scope: Scope, receive: Receive) -> Ask:
    request = Request(scope, receive)
    raw_query = scope["query_string"].decode("latin-1")
    ask = Ask(method=scope["method"], path=scope["path"], raw_query=raw_query, query=parse_query(raw_query))
    if request.method == "POST":
        async with request.form() as form:
            pairs = [(name, value) for name, value in form.multi_items() if not isinstance(value, UploadFile)]
        ask.form = nested(pairs)
    ask.key = request.headers.get("x-api-key", "") or ask.parameter("apiKey")
    return ask


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the connection without an answer; the server of `server` hands it over."""
    scope["state"]["connection"].abort()
    await _left(receive)
