"""The door: tokens, calls in flight, credits, faults, latency; then one handler, uninterrupted."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter, deque
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from .ask import Ask
from .faults import Fault, FaultBook
from .notifications import Deliverer
from .oauth import OAuth
from .reply import Json, Refusal, Reply, answer, told
from .route import Route, cost_of, find_route, is_heavy, may
from .world import World

_DAY = 86400
#: what stands for no answer at all
CUT, HANG = "cut", "hang"


class Gateway:
    """An ASGI application in front of one organisation."""

    def __init__(self, world: World, oauth: OAuth, faults: FaultBook, deliverer: Deliverer) -> None:
        self._world, self._oauth, self._faults, self._deliverer = world, oauth, faults, deliverer
        self._tasks: set[asyncio.Task[Any]] = set()
        self._late: dict[asyncio.Task[None], asyncio.Event] = {}
        self._released = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests: deque[Json] = deque(maxlen=20_000)
        self.forget()

    def forget(self) -> None:
        """Begin counting anew."""
        self.counts.clear()
        self.statuses.clear()
        self.requests.clear()
        self.in_flight = self.heavy_in_flight = self.most_in_flight = self.violations = 0
        self._spent: deque[tuple[float, int]] = deque()
        self.credits = 0

    @property
    def late_waiting(self) -> int:
        """Requests that were cut off and are not applied yet."""
        return len(self._late)

    def release(self) -> None:
        """Let every hanging connection go (they are cut)."""
        self._released.set()
        self._released = asyncio.Event()

    async def settle(self, *, at_once: bool = False) -> None:
        """Wait until what was cut off is applied; ``at_once`` does not wait out the delays."""
        while self._late:
            waiting = dict(self._late)
            if at_once:
                for hurry in waiting.values():
                    hurry.set()
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """Apply what still waits and end the tasks."""
        self.release()
        await self.settle(at_once=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        task = asyncio.create_task(self._answer(_ask(scope, body)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # shielded: the live server does not stop when the client goes away
        outcome = await asyncio.shield(task)
        if isinstance(outcome, Reply):
            await _send(send, outcome)
        elif outcome == CUT:
            await _cut(scope, receive, send)
        else:
            await self._hang(scope, receive, send)

    async def _answer(self, ask: Ask) -> Reply | str:
        entry = {"at": time.monotonic(), "method": ask.method, "path": ask.path, "query": ask.raw_query}
        self.counts[f"{ask.method} {ask.path}"] += 1
        self.requests.append(entry)
        outcome = await self._judge(ask, entry)
        status = str(outcome.status) if isinstance(outcome, Reply) else "cut"
        entry["status"] = status
        self.statuses[status] += 1
        return outcome

    async def _judge(self, ask: Ask, entry: Json) -> Reply | str:
        switches = self._world.switches
        if switches.down:
            return CUT
        if not ask.path.startswith("/crm/"):
            return await self._strike(ask, None, entry)
        with self._world.lock:
            try:
                route = self._admit(ask)
            except Refusal as refused:
                return refused.reply
        heavy = is_heavy(route, ask)
        is_full = switches.concurrency is not None and self.in_flight >= switches.concurrency
        if heavy and switches.sub_concurrency is not None:
            is_full = is_full or self.heavy_in_flight >= switches.sub_concurrency
        cost = cost_of(route, ask)
        if is_full or not self._spend(cost):
            self.violations += 1
            return _too_many()
        self.in_flight += 1
        self.heavy_in_flight += heavy
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            outcome = await self._strike(ask, route, entry)
        finally:
            self.in_flight -= 1
            self.heavy_in_flight -= heavy
        if isinstance(outcome, Reply) and switches.credits is not None and self._used() * 2 > switches.credits:
            outcome.headers["X-API-CREDITS-REMAINING"] = str(max(0, switches.credits - self._used()))
        return outcome

    def _admit(self, ask: Ask) -> Route:
        access = self._oauth.find(ask.headers.get("authorization", ""))
        if "authorization" not in ask.headers:
            raise Refusal(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        if access is None:
            raise Refusal(401, "INVALID_TOKEN", "invalid oauth token")
        ask.user_id, ask.client_id = access.user_id, self._oauth.credentials.client_id
        route = find_route(ask)
        if not may(route, ask, access.scopes):
            raise Refusal(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
        return route

    def _used(self) -> int:
        now = self._world.clock.now()
        while self._spent and now - self._spent[0][0] >= _DAY:
            self._spent.popleft()
        return sum(cost for _, cost in self._spent)

    def _spend(self, cost: int) -> bool:
        limit = self._world.switches.credits
        if limit is not None and self._used() + cost > limit:
            return False
        self._spent.append((self._world.clock.now(), cost))
        self.credits += cost
        return True

    # --- faults -------------------------------------------------------------------------------------------------

    async def _strike(self, ask: Ask, route: Route | None, entry: Json) -> Reply | str:
        switches = self._world.switches
        fault = self._faults.strike(ask.method, ask.path, switches)
        if switches.latency_ms is not None:
            await asyncio.sleep(self._faults.draw(switches.latency_ms) / 1000)
        if fault is None:
            return self._apply(ask, route)
        entry["fault"] = fault.kind
        return await self._fail(fault, ask, route)

    async def _fail(self, fault: Fault, ask: Ask, route: Route | None) -> Reply | str:
        match fault.kind:
            case "throttle":
                return _too_many()
            case "down":
                return CUT
            case "late":
                self._apply_later(ask, route, self._faults.draw(fault.late))
                return CUT
            case "slow":
                await asyncio.sleep(fault.delay)
                return self._apply(ask, route)
        if fault.applied:
            self._apply(ask, route)
        if fault.kind == "status":
            return _broken(fault.status)
        return CUT if fault.kind == "disconnect" else HANG

    def _apply_later(self, ask: Ask, route: Route | None, delay: float) -> None:
        hurry = asyncio.Event()

        async def later() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), delay)
            self._apply(ask, route)

        task = asyncio.create_task(later())
        self._late[task] = hurry
        task.add_done_callback(lambda done: self._late.pop(done, None))

    def _apply(self, ask: Ask, route: Route | None) -> Reply:
        """Do what the request asks for: one step that nothing can interrupt."""
        with self._world.lock:
            try:
                return self._accounts(ask) if route is None else route.handler(self._world, ask)
            except Refusal as refused:
                return refused.reply
            finally:
                self._deliverer.take()

    def _accounts(self, ask: Ask) -> Reply:
        match ask.method, ask.path.rstrip("/"):
            case (("GET" | "POST"), "/oauth/v2/auth"):
                return self._oauth.consent(ask)
            case "POST", "/oauth/v2/token":
                return self._oauth.token(ask)
            case "POST", "/oauth/v2/token/revoke":
                return self._oauth.revoke(ask)
        return Reply(404, b"<html><body>Not found</body></html>", "text/html;charset=UTF-8")

    async def _hang(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the connection until the client leaves or the sandbox lets go."""
        gone = asyncio.create_task(_until_gone(receive))
        released = asyncio.create_task(self._released.wait())
        done, waiting = await asyncio.wait((gone, released), return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if gone not in done:
            await _cut(scope, receive, send)


def _too_many() -> Reply:
    message = "You have exceeded the number of calls allowed"
    return answer(told("TOO_MANY_REQUESTS", message), 429)


def _broken(status: int) -> Reply:
    if status == 429:
        return _too_many()
    if status == 500:
        return answer(told("INTERNAL_ERROR", "Internal Server Error"), 500)
    if status > 500:
        return Reply(status, f"<html><body>{status}</body></html>".encode(), "text/html")
    return answer(told("INVALID_DATA", "ordered by a fault"), status)


def _ask(scope: Scope, body: bytes) -> Ask:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Ask(
        method=scope["method"],
        path=scope["path"],
        raw_query=scope["query_string"].decode("latin-1"),
        raw_body=body,
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
        headers=headers,
    )


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when the client left before it was sent."""
    parts: list[bytes] = []
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(send: Send, reply: Reply) -> None:
    headers = [(b"x-request-id", uuid.uuid4().hex.encode())]
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.status not in (204, 304):
        headers.append((b"content-length", str(len(reply.body)).encode()))
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if reply.status in (204, 304) else reply.body})


async def _cut(scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without an answer."""
    transport = scope.get("state", {}).get("transport")
    if transport is not None:
        transport.abort()
        await _until_gone(receive)
        return
    # under another server: promise a byte and never send it, so that the server closes
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
