"""A CRM on the bench of the conformance kit: its sandbox, a session, and whatever steps a hub would send."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx
from pydantic import BaseModel

from hub.clock import SystemClock
from hub.core.plan import StepKey
from hub.core.records import Catalogue, RecordKind, RecordRef, UserId
from hub.errors import Stale
from hub.ports import Applied, ConnectionContext, Done, SinkCapabilities, SinkSession, Write
from hub.testing.check import expect, fail, told
from hub.testing.outfit import CrmStage, Held, SinkOutfit

__all__ = ["CrmBench", "MemoryState", "MovingClock", "Wire", "crm_bench"]

#: loopback needs no certificates, and loading them takes longer than most checks
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
#: headers that are not true of another body
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding"})


class MemoryState:
    """A connection's state in memory, as strict about versions as the store's (`hub.ports.ConnectionState`)."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self.version = 0
        #: everything that was ever stored
        self.saves: list[dict[str, Any]] = []
        #: called instead of storing, once: a crash at the worst moment
        self.crash: Exception | None = None
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def load(self) -> tuple[dict[str, Any], int]:
        await asyncio.sleep(0)
        return dict(self.value), self.version

    async def save(self, value: Mapping[str, Any], expected_version: int) -> int:
        await asyncio.sleep(0)
        if self.crash is not None:
            crash, self.crash = self.crash, None
            raise crash
        if expected_version != self.version:
            raise Stale("saved meanwhile")
        self.value, self.version = dict(value), self.version + 1
        self.saves.append(self.value)
        return self.version

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._hold(self._locks[name])

    @asynccontextmanager
    async def _hold(self, lock: asyncio.Lock) -> AsyncIterator[None]:
        async with lock:
            yield


class MovingClock:
    """The machine's time plus what a check has added, to go along with the sandbox's."""

    def __init__(self) -> None:
        self._clock, self.offset = SystemClock(), timedelta()

    def now(self) -> datetime:
        return self._clock.now() + self.offset

    def monotonic(self) -> float:
        return self._clock.monotonic() + self.offset.total_seconds()


class Wire(httpx.AsyncBaseTransport):
    """Real sockets, with somebody listening who can answer in the vendor's place."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=_NO_CERTIFICATES)
        #: every request that left or would have left
        self.requests: list[httpx.Request] = []
        #: answers, or raises, instead of the vendor; None lets the request through
        self.answer: Callable[[httpx.Request], httpx.Response | None] | None = None
        #: sees each answer of the vendor
        self.heard: Callable[[httpx.Request, httpx.Response], None] | None = None
        #: changes the body of each answer to a request that reads
        self.rewrite: Callable[[bytes], bytes] | None = None
        #: awaited before each request
        self.before: Callable[[httpx.Request], Awaitable[None]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.before is not None:
            await self.before(request)
        answer = self.answer(request) if self.answer is not None else None
        if answer is not None:
            return answer
        response = await self._inner.handle_async_request(request)
        if self.rewrite is not None and request.method == "GET":
            body = self.rewrite(await response.aread())
            kept = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in _OF_THE_BODY]
            response = httpx.Response(response.status_code, headers=kept, content=body, request=request)
        if self.heard is not None:
            self.heard(request, response)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(slots=True)
class CrmBench:
    """One account, empty at first, with the sink connected to it."""

    outfit: SinkOutfit
    stage: CrmStage
    context: ConnectionContext
    state: MemoryState
    clock: MovingClock
    wire: Wire
    session: SinkSession
    catalogue: Catalogue
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def capabilities(self) -> SinkCapabilities:
        return self.outfit.sink.capabilities(self.context.settings)

    @property
    def users(self) -> tuple[UserId, ...]:
        """Those to whom something can be given."""
        return tuple(user.id for user in self.catalogue.users if user.is_active)

    def number(self) -> int:
        return next(self.numbers)

    def key(self, word: str) -> StepKey:
        return StepKey(f"i{self.number()}/{word}")

    def phone(self) -> str:
        """A valid number that nothing else has."""
        return f"+38067{1_000_000 + self.number():07d}"

    def advance(self, by: timedelta) -> None:
        """Let time go by, here and at the vendor."""
        self.clock.offset += by
        self.stage.advance(by)

    async def paged(self, page_size: int) -> CrmBench:
        """The same account, its lists read in small pages."""
        settings = self.stage.settings(page_size=page_size)
        # the same credentials, so that nothing is connected twice
        context = replace(self.context, settings=merged(self.context.settings, settings))
        return replace(self, context=context, session=self.outfit.sink.open(context))

    def another(self) -> SinkSession:
        """A session of another process: it shares nothing but the stored state."""
        return self.outfit.sink.open(self.context)

    # --- looking

    def held(self, ref: RecordRef) -> Held | None:
        return next((one for one in self.stage.records() if one.ref == ref), None)

    def refs(self, kind: RecordKind | None = None) -> set[RecordRef]:
        return {one.ref for one in self.stage.records() if kind in (None, one.ref.kind)}

    # --- doing

    async def apply(self, writes: Sequence[Write]) -> Mapping[StepKey, Applied]:
        """What became of ``writes``, which the vendor takes; whatever is raised is reported."""
        try:
            return await self.session.apply(writes)
        except Exception as err:  # noqa: BLE001 - a stranger's code may raise anything; that is what is tested
            fail(f"apply raised {told(err)}", err)

    async def done(self, write: Write) -> Done:
        """Apply one step that must succeed."""
        answer = await self.apply([write])
        expect(write.key in answer, f"apply did not answer for {write.action.kind}")
        done = answer[write.key]
        if not isinstance(done, Done):
            fail(f"{write.action.kind} was refused: {done.text}")
        return done

    async def find_done(self, writes: Sequence[Write]) -> Mapping[StepKey, Done]:
        """What the sink finds of ``writes``; whatever is raised is reported."""
        try:
            return await self.session.find_done(writes)
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"find_done raised {told(err)}", err)


def merged(settings: BaseModel, paged: BaseModel) -> BaseModel:
    """``settings``, with what is set in ``paged`` and was not when it was connected."""
    plain = {name: getattr(paged, name) for name in paged.model_fields_set}
    learnt = {name: getattr(settings, name) for name in settings.model_fields_set}
    return settings.model_copy(update={**plain, **{k: v for k, v in learnt.items() if k not in plain}})


@asynccontextmanager
async def crm_bench(outfit: SinkOutfit, stage: CrmStage, *, is_connected: bool = True) -> AsyncIterator[CrmBench]:
    """The account emptied and the sink connected; ``is_connected`` False leaves `SinkSession.connect` to the check."""
    stage.reset()
    wire, state, clock = Wire(), MemoryState(), MovingClock()
    async with httpx.AsyncClient(transport=wire, trust_env=False, timeout=httpx.Timeout(5)) as http:
        context = ConnectionContext(
            project="conformance",
            name="crm",
            settings=stage.settings(),
            http=http,
            state=state,
            clock=clock,
            region=outfit.region,
        )
        try:
            context = replace(context, settings=await stage.connect(context))
            session = outfit.sink.open(context)
            catalogue = await session.connect() if is_connected else Catalogue()
        except Exception as err:  # noqa: BLE001 - as above
            fail(f"connecting raised {told(err)}", err)
        bench = CrmBench(
            outfit=outfit,
            stage=stage,
            context=context,
            state=state,
            clock=clock,
            wire=wire,
            session=session,
            catalogue=catalogue,
        )
        wire.requests.clear()
        try:
            yield bench
        finally:
            await session.close()


def utc_seconds(moment: datetime) -> datetime:
    """``moment`` as most vendors keep it."""
    return moment.astimezone(UTC).replace(microsecond=0)
