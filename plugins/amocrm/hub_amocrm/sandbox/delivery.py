"""Sends webhooks: two seconds for an answer, repeats on the sandbox's clock, switch-off (reference 20.3)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field

import httpx

from . import hookbody
from .bracket import encode
from .journal import Hook
from .reply import Json
from .world import World

#: Seconds before the 2nd, 3rd, 4th and 5th attempt; the last two only after 499 and 5xx.
PAUSES = (300, 900, 900, 3600)
_STUBBORN_FROM = 2
BAD_ANSWERS = 100
BAD_WINDOW_SECONDS = 2 * 3600
_KEPT_LOG = 20_000
#: Real seconds that reordering waits for a second hook to swap with.
_REORDER_WAIT = 0.2


@dataclass(slots=True)
class _Parcel:
    destination: str
    body: bytes
    attempt: int = 1
    due: float = 0.0


@dataclass(slots=True)
class _Line:
    """One subscription's queue; first attempts leave in order, repeats when they are due."""

    parcels: deque[_Parcel] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    bad: deque[float] = field(default_factory=deque)


class Deliverer:
    """Takes the hooks of each request and brings them to whoever subscribed.

    Hooks are taken from any thread; sending runs in the loop that ``run`` was started in.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._random = random.Random(seed)
        self._lines: dict[str, _Line] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._group: asyncio.TaskGroup | None = None
        self._client: httpx.AsyncClient | None = None
        self._busy = 0
        self.log: deque[Json] = deque(maxlen=_KEPT_LOG)
        world.clock.watch(self._wake)

    async def run(self, stopped: asyncio.Event) -> None:
        """Deliver until ``stopped`` is set."""
        self._loop = asyncio.get_running_loop()
        lines = asyncio.create_task(self._serve_lines())
        await stopped.wait()
        self._loop = None
        lines.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await lines
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def forget(self) -> None:
        """Throw away what waits."""
        for line in self._lines.values():
            line.parcels.clear()
            line.bad.clear()

    def take(self, hooks: list[Hook]) -> None:
        """Queue the hooks of one request: one delivery per subscription, key and action."""
        if not hooks or not self._world.webhooks or not self._world.switches.webhooks_enabled:
            return
        for destination, subscription in self._world.webhooks.items():
            if subscription["disabled"]:
                continue
            told: dict[tuple[str, str], list[Json]] = {}
            for hook in hooks:
                if hook.setting in subscription["settings"]:
                    told.setdefault((hook.top, hook.action), []).append(hook.payload)
            origin = self._world.webhook_origins[destination]
            for (top, action), payloads in told.items():
                body = {top: {action: payloads}, "account": hookbody.account(self._world, origin)}
                parcel = _Parcel(destination, encode(body).encode())
                self._lines.setdefault(destination, _Line()).parcels.append(parcel)
                if self._world.switches.webhook_duplicates:
                    self._lines[destination].parcels.append(_Parcel(destination, parcel.body))
        self._wake()

    @property
    def waiting(self) -> int:
        """Deliveries that are due now and not done."""
        now = self._world.clock.now()
        return self._busy + sum(p.due <= now for line in self._lines.values() for p in list(line.parcels))

    @property
    def repeats_waiting(self) -> int:
        """Deliveries that wait for their next attempt."""
        now = self._world.clock.now()
        return sum(p.due > now for line in self._lines.values() for p in list(line.parcels))

    async def settle(self) -> None:
        """Wait until nothing that is due is left."""
        while self._loop is not None and self.waiting:  # noqa: ASYNC110 - deliveries come from other threads
            await asyncio.sleep(0.005)

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop may close between the check and the call
                loop.call_soon_threadsafe(self._notice)

    def _notice(self) -> None:
        for destination, line in list(self._lines.items()):
            if self._group is not None and destination not in self._served:
                self._served.add(destination)
                self._group.create_task(self._serve(line))
            line.wake.set()

    async def _serve_lines(self) -> None:
        self._served: set[str] = set()
        async with asyncio.TaskGroup() as self._group:
            self._notice()
            await asyncio.Event().wait()

    async def _serve(self, line: _Line) -> None:
        while True:
            line.wake.clear()
            now = self._world.clock.now()
            # A copy: other threads append meanwhile.
            due = next((parcel for parcel in list(line.parcels) if parcel.due <= now), None)
            if due is None:
                pause = min((parcel.due for parcel in list(line.parcels)), default=None)
                timeout = None if pause is None else pause - now
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(line.wake.wait(), timeout)
                continue
            self._busy += 1
            try:
                line.parcels.remove(due)
                for parcel in await self._shuffled(line, due):
                    await self._send(line, parcel)
            finally:
                self._busy -= 1

    async def _shuffled(self, line: _Line, first: _Parcel) -> list[_Parcel]:
        """With reordering on, what waits leaves in another order."""
        if not self._world.switches.webhook_reorder:
            return [first]
        if not line.parcels:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(line.wake.wait(), _REORDER_WAIT)
        now = self._world.clock.now()
        rest = [parcel for parcel in list(line.parcels) if parcel.due <= now]
        for parcel in rest:
            line.parcels.remove(parcel)
        self._random.shuffle(rest)
        return [*rest, first]

    async def _send(self, line: _Line, parcel: _Parcel) -> None:
        subscription = self._world.webhooks.get(parcel.destination)
        if subscription is None or subscription["disabled"]:
            return
        code = await self._post(parcel)
        now = self._world.clock.now()
        is_good = 100 <= code < 300
        self.log.append(
            {"at": now, "destination": parcel.destination, "attempt": parcel.attempt, "status": code}
            | {"body": parcel.body.decode()}
        )
        if is_good:
            return
        line.bad.append(now)
        while line.bad and now - line.bad[0] > BAD_WINDOW_SECONDS:
            line.bad.popleft()
        if len(line.bad) > BAD_ANSWERS:
            subscription["disabled"] = True
            line.parcels.clear()
            line.bad.clear()
            return
        place = parcel.attempt - 1
        if place < len(PAUSES) and (place < _STUBBORN_FROM or code == 499 or code >= 500):
            repeat = _Parcel(parcel.destination, parcel.body, parcel.attempt + 1, now + PAUSES[place])
            line.parcels.append(repeat)

    async def _post(self, parcel: _Parcel) -> int:
        """The status of one attempt; 0: no answer in time, or no connection."""
        if self._client is None:  # made late: loading certificates would delay every start
            self._client = httpx.AsyncClient(trust_env=False)
        limit = self._world.switches.webhook_timeout_seconds
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "amoCRM-WebHook-client/1.0",
        }
        try:
            async with asyncio.timeout(limit):
                answer = await self._client.post(parcel.destination, content=parcel.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return 0
        return answer.status_code
