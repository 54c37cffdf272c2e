"""The door of the vendor's server: limits, faults and latency before a request, its envelope after.

What a request does is one synchronous step under the world's lock, so a client that goes away, or
is cut off, never leaves a request half applied: it is applied whole, at once or later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from .ask import Ask
from .delivery import Deliverer
from .faults import Fault, FaultBook
from .limiter import Limiter, Verdict
from .oauth import OAuth
from .reply import Json, Problem, Reply, problem
from .route import RouteTable, routes
from .world import World

_KEPT_REQUESTS = 20_000
_BAN_PAGE = (
    b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>"
    b"\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: the connection is cut, or held open."""

    cut: bool


CUT = Silence(cut=True)
HANG = Silence(cut=False)


class Gateway:
    """The ASGI application behind every path but ``/_sandbox``."""

    def __init__(self, world: World, oauth: OAuth, limiter: Limiter, faults: FaultBook, deliverer: Deliverer) -> None:
        self._world = world
        self._oauth = oauth
        self._limiter = limiter
        self._faults = faults
        self._deliverer = deliverer
        self._table = RouteTable(routes())
        self._tasks: set[asyncio.Task[Any]] = set()
        self._late: dict[asyncio.Task[None], asyncio.Event] = {}
        self._released = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests: deque[Json] = deque(maxlen=_KEPT_REQUESTS)

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
        ask = _ask(scope, body)
        task = asyncio.create_task(self._answer(ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Shielded: the live server does not stop when the client goes away.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, Reply):
            await _send(send, outcome)
        elif outcome.cut:
            await _cut(scope, receive, send)
        else:
            await self._hang(scope, receive, send)

    async def _answer(self, ask: Ask) -> Reply | Silence:
        template, ask.params, methods = self._table.find(ask.path)
        entry = {"at": time.monotonic(), "method": ask.method, "path": ask.path, "query": ask.raw_query}
        self.counts[f"{ask.method} {template.replace('{}', '{id}')}"] += 1
        self.requests.append(entry)
        outcome = await self._judge(ask, template, methods, entry)
        status = str(outcome.status) if isinstance(outcome, Reply) else "cut"
        entry |= {"status": status, "client_id": ask.client_id}
        self.statuses[status] += 1
        return outcome

    async def _judge(self, ask: Ask, template: str, methods: dict[str, Any], entry: Json) -> Reply | Silence:
        switches = self._world.switches
        if switches.down:
            return CUT
        refusal = self._admit(ask)
        if refusal is not None:
            return refusal
        fault = self._faults.strike(ask.method, ask.path, switches)
        if fault is not None:
            entry["fault"] = fault.kind
        if switches.latency_ms is not None:
            await asyncio.sleep(self._faults.draw(switches.latency_ms) / 1000)
        if fault is None:
            return self._apply(ask, template, methods)
        return await self._fail(fault, ask, template, methods)

    def _admit(self, ask: Ask) -> Reply | None:
        """Ban, move, authorization, rate limit, unpaid: what refuses a request at the door."""
        switches = self._world.switches
        if ask.path.startswith("/oauth"):
            if any(banned.encode() in ask.raw_body for banned in self._limiter.banned):
                return _ban()
            if ask.path.rstrip("/").endswith("/access_token") and self._is_moved(ask):
                return problem(404, "Account not found")
            return None
        if not ask.path.startswith("/api/"):
            return None
        grant = self._oauth.authorize(ask.headers.get("authorization", ""))
        if grant is None or self._is_moved(ask):
            return problem(401, "Invalid user name or password")
        ask.client_id, ask.user_id = grant.client_id, grant.user_id
        match self._limiter.admit(grant.client_id):
            case Verdict.BANNED:
                return _ban()
            case Verdict.THROTTLED:
                return _throttled(switches.retry_after)
            case Verdict.ADMITTED:
                pass
        if switches.unpaid:
            return problem(402, "Account is not paid")
        stand_in = ask.headers.get("x-context-user-id", "")
        if stand_in.isdigit() and self._world.is_active(int(stand_in)):
            ask.user_id = int(stand_in)
        return None

    def _is_moved(self, ask: Ask) -> bool:
        moved_to = self._world.switches.moved_to
        return moved_to is not None and ask.headers.get("host") != moved_to

    async def _fail(self, fault: Fault, ask: Ask, template: str, methods: dict[str, Any]) -> Reply | Silence:
        match fault.kind:
            case "throttle":
                return _throttled(self._world.switches.retry_after)
            case "ban":
                self._limiter.ban(ask.client_id)
                return _ban()
            case "down":
                return CUT
            case "late":
                self._apply_later(ask, template, methods, self._faults.draw(fault.late))
                return CUT
            case "slow":
                await asyncio.sleep(fault.delay)
                return self._apply(ask, template, methods)
        if fault.applied:
            self._apply(ask, template, methods)
        if fault.kind == "status":
            return _broken(fault.status)
        return CUT if fault.kind == "disconnect" else HANG

    def _apply_later(self, ask: Ask, template: str, methods: dict[str, Any], delay: float) -> None:
        hurry = asyncio.Event()

        async def later() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), delay)
            self._apply(ask, template, methods)

        task = asyncio.create_task(later())
        self._late[task] = hurry
        task.add_done_callback(lambda done: self._late.pop(done, None))

    def _apply(self, ask: Ask, template: str, methods: dict[str, Any]) -> Reply:
        """Do what the request asks for: one step that nothing can interrupt."""
        with self._world.lock:
            try:
                return self._dispatch(ask, template, methods)
            except Problem as refused:
                return refused.reply
            finally:
                self._deliverer.take(self._world.journal.take_hooks())

    def _dispatch(self, ask: Ask, template: str, methods: dict[str, Any]) -> Reply:
        match ask.method, ask.path.rstrip("/"):
            case "GET", "/oauth":
                return self._oauth.consent(ask)
            case "POST", "/oauth2/access_token":
                return self._oauth.token(ask)
            case "GET", "/oauth2/account/current/subdomain":
                return self._oauth.current_subdomain(ask)
        if not methods:
            return problem(404, f"Cannot {ask.method} {ask.origin}{ask.path}!")
        route = methods.get(ask.method)
        if route is None:
            reply = problem(405, "Method not allowed")
            reply.headers["Allow"] = ", ".join(sorted(methods))
            return reply
        if route.is_admin and not self._world.users[ask.user_id].is_admin:
            return problem(403, "Access denied: the method is for administrators")
        reply = route.handler(self._world, ask)
        assert isinstance(reply, Reply)
        return reply

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
    headers = [(b"x-request-id", uuid.uuid4().hex.encode()), (b"server", b"nginx")]
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if reply.status == 204 else reply.body})


async def _cut(scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without an answer."""
    transport = scope.get("state", {}).get("transport")
    if transport is not None:
        transport.abort()
        await _until_gone(receive)
        return
    # Under another server: promise a byte and never send it, so that the server closes.
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _throttled(retry_after: int | None) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Reply(429, b"Too many requests", "text/plain; charset=utf-8", headers)


def _ban() -> Reply:
    return Reply(403, _BAN_PAGE, "text/html")


def _broken(status: int) -> Reply:
    if status == 429:
        return _throttled(None)
    if status >= 500:
        page = f"<html><head><title>{status}</title></head><body><hr><center>nginx</center></body></html>"
        return Reply(status, page.encode(), "text/html")
    return problem(status, "Ordered by a fault")
