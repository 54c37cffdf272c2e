"""The child process of a full import: ``python -m hub.runtime.import_child`` (DESIGN 3).

It reads the whole account and writes ``directory.db``, at the lowest priority, so that look-ups stay fast. It owns
nothing else: for the right to begin each request, and for tokens, it asks its parent over stdin and stdout, one JSON
object a line, so that one pacer governs the account and one process stores its tokens (X6). When the parent goes
away, stdin ends and the child stops.

Parent to child, first: ``{"begin": …}`` (see `Begin`). Then the child asks ``{"ask": what, "id": n, …}`` and gets
``{"id": n, …}``; it tells ``{"told": "page" | "done" | "failed" | "held_up", …}``.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import httpx
from pydantic import BaseModel, ConfigDict

from hub.clock import Clock, SystemClock
from hub.errors import Banned, NeedsCredentials, Stale, Throttled, Unavailable, VendorError
from hub.plugins import load_plugins
from hub.ports import Changes, ConnectionContext, ConnectionState, Sink
from hub.runtime.certificates import certificates
from hub.runtime.import_http import ThreadTransport
from hub.runtime.vendor_client import VendorClient
from hub.runtime.vendor_clock import DatedTransport, VendorClock
from hub.store.directory import AS_OF, Directory
from hub.store.directory_file import KINDS
from hub.store.directory_fold import records_of
from hub.store.instant import microseconds

__all__ = ["FATES", "Begin", "give_way", "main", "sink_of"]

Message: TypeAlias = dict[str, Any]

#: errors by the name under which the parent hears of them
FATES: Mapping[str, type[VendorError]] = {
    found.__name__: found for found in (Throttled, Unavailable, NeedsCredentials, Banned, VendorError)
}
#: the longest line that may come: the state of a connection
_LINE_LIMIT = 16 * 2**20


class Begin(BaseModel):
    """What the parent tells first; it goes through the pipe, since settings hold secrets."""

    model_config = ConfigDict(frozen=True)

    project: str
    connection: str
    sink: str
    settings: dict[str, Any]
    region: str
    eight_is_seven: bool
    public_url: str
    webhook_url: str
    directory: Path
    cursor: str
    #: names of the plugins to load, () = all
    plugins: tuple[str, ...]
    #: seconds that one request may take
    timeout: float
    #: tell with each page which records it brought: other processes copy them
    tells_records: bool = False


class Parent:
    """The other end of the pipe: questions with answers, and news without."""

    def __init__(self, reader: asyncio.StreamReader, write: Callable[[bytes], object]) -> None:
        self._reader, self._write = reader, write
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}

    async def begin(self) -> Begin:
        """The parent's first line."""
        return Begin.model_validate(json.loads(await self._reader.readline())["begin"])

    async def listen(self) -> None:
        """Hand out answers until the parent goes away."""
        while line := await self._reader.readline():
            message = json.loads(line)
            waiting = self._waiting.pop(message["id"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def ask(self, what: str, **values: Any) -> Message:
        """The parent's answer."""
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._send({"ask": what, "id": number, **values})
        return await answer

    def tell(self, what: str, **values: Any) -> None:
        """News for the parent."""
        self._send({"told": what, **values})

    def _send(self, message: Message) -> None:
        self._write(json.dumps(message).encode() + b"\n")


class PipeState:
    """`hub.ports.ConnectionState` by way of the parent."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent

    async def load(self) -> tuple[dict[str, Any], int]:
        """The state and its version."""
        answer = await self._parent.ask("load")
        return answer["value"], answer["version"]

    async def save(self, value: Mapping[str, Any], expected_version: int) -> int:
        """Store ``value`` in the parent's database. Raises Stale if somebody else saved first."""
        answer = await self._parent.ask("save", value=dict(value), version=expected_version)
        if "stale" in answer:
            raise Stale(answer["stale"])
        return int(answer["version"])

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """The parent's lock: it is released when this process ends."""
        return self._held(name)

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[None]:
        await self._parent.ask("lock", name=name)
        try:
            yield
        finally:
            await self._parent.ask("unlock", name=name)


class PermittedTransport(httpx.AsyncBaseTransport):
    """Begins a request when the parent's pacer allows it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, parent: Parent, clock: Clock) -> None:
        self._inner, self._parent, self._clock = inner, parent, clock
        #: requests sent so far
        self.requests = 0
        #: when the first request since `take_began` began
        self._began: datetime | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        permit = (await self._parent.ask("permit"))["id"]
        self.requests += 1
        if self._began is None:
            self._began = self._clock.now()
        try:
            return await self._inner.handle_async_request(request)
        finally:
            # until then the request may arrive at any moment, and its place in the window is taken
            self._parent.tell("answered", permit=permit, requests=self.requests)

    def take_began(self) -> datetime:
        """When the reading of the page at hand began: nothing in it is newer than that is known to be."""
        began, self._began = self._began, None
        return began or self._clock.now()

    async def aclose(self) -> None:
        await self._inner.aclose()


def sink_of(begin: Begin) -> Sink:
    """The sink to read with. Its plugin alone is loaded where that has its name: the others take half a second."""
    if not begin.plugins or begin.sink in begin.plugins:
        alone = load_plugins((begin.sink,)).sinks.get(begin.sink)
        if alone is not None:
            return alone
    return load_plugins(begin.plugins).sink(begin.sink)


async def read_account(begin: Begin, parent: Parent, clock: Clock, state: ConnectionState) -> None:
    """Read the whole account into the directory, page by page; each page is told after it is stored."""
    sink = sink_of(begin)
    vendor_clock = VendorClock(f"{begin.project}/{begin.connection}")
    dated = DatedTransport(ThreadTransport(certificates), clock, vendor_clock)
    transport = PermittedTransport(dated, parent, clock)
    timeout = httpx.Timeout(begin.timeout, connect=min(10.0, begin.timeout))
    with Directory(begin.directory) as directory:
        async with VendorClient(transport=transport, timeout=timeout, follow_redirects=False) as http:
            context = ConnectionContext(
                project=begin.project,
                name=begin.connection,
                settings=sink.settings_model.model_validate(begin.settings),
                http=http,
                state=state,
                clock=clock,
                region=begin.region,
                eight_is_seven=begin.eight_is_seven,
                public_url=begin.public_url,
                webhook_url=begin.webhook_url,
                lead=lambda: vendor_clock.lead,
            )
            session = sink.open(context)
            try:
                async for page in session.import_all(begin.cursor):
                    began = transport.take_began()
                    told_at = vendor_clock.theirs(began)
                    directory.fold(begin.project, begin.connection, page, began, told_at=told_at)
                    parent.tell(
                        "page",
                        cursor=page.cursor,
                        progress=page.progress,
                        records=len(records_of(page)),
                        requests=transport.requests,
                        **(_brought(page) if begin.tells_records else {}),
                    )
            finally:
                await session.close()
    parent.tell("done", requests=transport.requests)


def _brought(page: Changes) -> Message:
    """Kinds and ids of what the page brought, and up to when it is complete if it says so."""
    refs = (*(record.ref for record in records_of(page)), *page.deleted)
    marks = {} if page.as_of is None else {AS_OF: str(microseconds(page.as_of))}
    return {"refs": [(KINDS[ref.kind], ref.id) for ref in refs], "marks": marks}


async def run(parent: Parent) -> int:
    """One import; what went wrong is told to the parent, who knows what follows."""
    begin = await parent.begin()
    listening = asyncio.create_task(parent.listen())
    reading = asyncio.create_task(read_account(begin, parent, SystemClock(), PipeState(parent)))
    await asyncio.wait((listening, reading), return_when=asyncio.FIRST_COMPLETED)
    if not reading.done():
        # nobody is there to ask for permits any more
        os._exit(2)
    listening.cancel()
    error = reading.exception()
    if isinstance(error, VendorError):
        seconds = error.retry_after.total_seconds() if isinstance(error, Throttled) and error.retry_after else None
        name = next((name for name, type_ in FATES.items() if type(error) is type_), "VendorError")
        parent.tell("failed", error=name, text=str(error), retry_after=seconds)
        return 1
    if isinstance(error, sqlite3.OperationalError):
        parent.tell("held_up", text=f"the directory cannot be written: {error}")
        return 1
    if error is not None:
        raise error
    return 0


async def _serve() -> int:
    reader = asyncio.StreamReader(limit=_LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    stream = sys.stdout.buffer

    def write(line: bytes) -> None:
        stream.write(line)
        stream.flush()

    return await run(Parent(reader, write))


def give_way(pid: int) -> None:
    """Let the process ``pid``, which leads a session of its own, have what nobody else wants of the processor.

    Where Linux shares the processor between sessions first (autogroup), a process's own niceness tells nothing beyond
    its session, and an import took as much as the whole hub.
    """
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    with suppress(OSError):
        # refused where somebody else set one within a tenth of a second; not there at all on other systems
        Path(f"/proc/{pid}/autogroup").write_text("19")


def main() -> int:
    """The process."""
    # the parent did when it began this one; what was refused then is asked for again
    give_way(os.getpid())
    # pages are read, folded and dropped: looking for cycles among their records cost a quarter of the time
    gc.set_threshold(200_000, 20, 100)
    logging.basicConfig(level=logging.WARNING)
    return asyncio.run(_serve())


if __name__ == "__main__":
    sys.exit(main())
