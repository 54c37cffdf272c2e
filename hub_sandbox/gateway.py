"""The door of a vendor's server: faults and latency before a request, an answer, or none, after.

What a request does is one synchronous step, so a client that goes away, or is cut off, never leaves a request half
applied: it is applied whole, at once or later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from .faults import Fault, FaultBook
from .switches import CrmSwitches

__all__ = ["Answer", "Entry", "Gateway", "Silence"]

#: one request as `Gateway.requests` keeps it
Entry: TypeAlias = dict[str, Any]

_KEPT_REQUESTS = 20_000


class Answer(Protocol):
    """What goes back over the wire."""

    @property
    def status(self) -> int: ...

    @property
    def body(self) -> bytes: ...

    @property
    def content_type(self) -> str | None: ...

    @property
    def headers(self) -> dict[str, str]: ...


class Asking(Protocol):
    """A request as a sandbox reads it."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def raw_query(self) -> str: ...


class Silence(Enum):
    """No answer: the connection is cut, or held open."""

    CUT = "cut"
    HELD = "held"


A = TypeVar("A", bound=Asking)
R = TypeVar("R", bound=Answer)


class Gateway(ABC, Generic[A, R]):
    """The ASGI application behind every path but ``/_sandbox``; a vendor fills in what it answers."""

    def __init__(self, faults: FaultBook) -> None:
        self.faults = faults
        self._answering: set[asyncio.Task[Any]] = set()
        self._late: dict[asyncio.Task[None], asyncio.Event] = {}
        self._let_go = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.requests: deque[Entry] = deque(maxlen=_KEPT_REQUESTS)

    # --- what the vendor is ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def switches(self) -> CrmSwitches:
        """The sandbox's switches as they stand now."""

    @abstractmethod
    async def read(self, request: Request) -> A:
        """The request as the sandbox's handlers take it."""

    @abstractmethod
    def name_of(self, ask: A) -> str:
        """Under which method and path the request is counted."""

    @abstractmethod
    async def judge(self, ask: A, entry: Entry) -> R | Silence:
        """Authorization, limits, then `struck`. What it puts into ``entry`` is kept with the request."""

    @abstractmethod
    def is_write(self, ask: A) -> bool:
        """Whether `CrmSwitches.late_apply_probability` is meant for the request."""

    @abstractmethod
    def throttled(self) -> R:
        """The answer to a client that asks too often."""

    @abstractmethod
    def broken(self, status: int) -> R:
        """The answer of a server that fails with ``status``."""

    def banned(self, ask: A) -> R:
        """The answer of a ban; of vendors that ban."""
        raise NotImplementedError

    def always(self) -> dict[str, str]:
        """Headers that this vendor puts on every answer."""
        return {}

    # --- from outside ---------------------------------------------------------------------------------------------

    @property
    def late_waiting(self) -> int:
        """Requests that were cut off and are not applied yet."""
        return len(self._late)

    def forget(self) -> None:
        """Begin counting anew."""
        self.counts.clear()
        self.statuses.clear()
        self.requests.clear()

    def release(self) -> None:
        """Let every held connection go (they are cut)."""
        self._let_go.set()
        self._let_go = asyncio.Event()

    async def settle(self, *, at_once: bool = False) -> None:
        """Wait until what was cut off is applied; ``at_once`` does not wait out the delays."""
        while waiting := dict(self._late):
            if at_once:
                for hurry in waiting.values():
                    hurry.set()
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """Apply what still waits and end the tasks."""
        self.release()
        await self.settle(at_once=True)
        for task in list(self._answering):
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    # --- one request ----------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            ask = await self.read(Request(scope, receive))
        except ClientDisconnect:
            return  # left before it had asked for anything
        task = asyncio.create_task(self._answer(ask))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)
        # shielded: the live server does not stop when the client goes away
        outcome = await asyncio.shield(task)
        if outcome is Silence.CUT:
            await _cut(scope, receive, send)
        elif outcome is Silence.HELD:
            await self._hold(scope, receive, send)
        else:
            await _send(send, outcome, self.always())

    async def _answer(self, ask: A) -> R | Silence:
        entry: Entry = {"at": time.monotonic(), "method": ask.method, "path": ask.path, "query": ask.raw_query}
        self.counts[self.name_of(ask)] += 1
        self.requests.append(entry)
        outcome = Silence.CUT if self.switches.down else await self.judge(ask, entry)
        status = Silence.CUT.value if isinstance(outcome, Silence) else str(outcome.status)
        entry["status"] = status
        self.statuses[status] += 1
        return outcome

    async def struck(self, ask: A, entry: Entry, apply: Callable[[], R]) -> R | Silence:
        """Latency and the fault that waits for this request; ``apply`` does, in one step, what it asks for."""
        switches = self.switches
        fault = self.faults.strike(ask.method, ask.path)
        if fault is None and self.is_write(ask):
            fault = self.faults.strike_by_chance(switches.late_apply_probability, switches.late_apply_seconds)
        if fault is not None:
            entry["fault"] = fault.kind
        if switches.latency_ms is not None:
            await asyncio.sleep(self.faults.draw(switches.latency_ms) / 1000)
        return apply() if fault is None else await self._fail(fault, ask, apply)

    async def _fail(self, fault: Fault, ask: A, apply: Callable[[], R]) -> R | Silence:
        match fault.kind:
            case "throttle":
                return self.throttled()
            case "ban":
                return self.banned(ask)
            case "down":
                return Silence.CUT
            case "late":
                self._apply_later(self.faults.draw(fault.late), apply)
                return Silence.CUT
            case "slow":
                await asyncio.sleep(fault.delay)
                return apply()
        if fault.applied:
            apply()
        if fault.kind == "status":
            await asyncio.sleep(fault.delay)
            return self.broken(fault.status)
        return Silence.CUT if fault.kind == "disconnect" else Silence.HELD

    def _apply_later(self, seconds: float, apply: Callable[[], R]) -> None:
        hurry = asyncio.Event()

        async def later() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hurry.wait(), seconds)
            apply()

        task = asyncio.create_task(later())
        self._late[task] = hurry
        task.add_done_callback(lambda done: self._late.pop(done, None))

    async def _hold(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the connection until the client leaves or the sandbox lets go."""
        gone, freed = asyncio.create_task(_until_gone(receive)), asyncio.create_task(self._let_go.wait())
        done, waiting = await asyncio.wait((gone, freed), return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if gone not in done:
            await _cut(scope, receive, send)


async def _send(send: Send, reply: Answer, always: dict[str, str]) -> None:
    is_empty = reply.status in (204, 304)
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in (always | reply.headers).items()]
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type.encode()))
    if not is_empty:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_empty else reply.body})


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
