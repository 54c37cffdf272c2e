"""Full import of one account by a child process, governed by this one (H6, DESIGN 3).

A kill of either process loses nothing: the child tells a page after the directory has it, the parent stores where to
go on, and the next import goes on from there. What people change meanwhile comes by the feed, which has its position
before the import begins. Where several processes keep copies of the directory they get each page as it comes, before
its cursor is stored: a worker that takes the account over half-way goes on with everything that was read (H9).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from hub.clock import Clock
from hub.errors import Banned, HubError, NeedsCredentials, Stale, Throttled, Unavailable, VendorError
from hub.runtime.account import Account
from hub.runtime.import_child import FATES, give_way
from hub.runtime.pace import Place, Urgency, urgency
from hub.runtime.plain_settings import plain_settings
from hub.store import events, projects
from hub.store.directory import Directory
from hub.store.engine import Store

__all__ = ["ImportHeldUp", "ImportStopped", "Importer", "Progress", "mark_imported"]

log = logging.getLogger(__name__)

#: kept with the directory's own content: a directory that was thrown away must be imported again
IMPORTED_MARK = "imported"
#: the same for one that has begun and goes on from its cursor
_BEGUN_MARK = "importing_by_page"
_LINE_LIMIT = 16 * 2**20
#: progress is shown in steps of this, not page by page
_SHOWN_STEP = 0.01
#: the cursor is stored with every so manieth page, a second of amoCRM's limit: whoever is killed reads these again
_STORED_EVERY = 8
#: seconds for which a child that has told all may take to end
_LONGEST_END = 10.0
#: children that may die in a row without having brought a page
_MOST_DEATHS = 5


class ImportStopped(VendorError):
    """The import cannot go on by itself; the message says why. It goes on from where it stopped."""


class ImportHeldUp(HubError):
    """What was read cannot be stored now, such as on a full disk; the import goes on from there when it can be."""


class _ChildDied(Exception):
    """The importing process ended and said nothing."""


def mark_imported(directory: Directory, project: str, connection: str, now: datetime) -> None:
    """Say that the directory holds the whole account."""
    directory.set_mark(project, connection, IMPORTED_MARK, now.isoformat())


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an import is."""

    #: 0 to 1, roughly
    share: float
    records: int
    requests: int
    is_done: bool = False


class Importer:
    """Imports one account; one at a time."""

    def __init__(
        self,
        account: Account,
        store: Store,
        clock: Clock,
        *,
        directory: Path,
        begin_feed: Callable[[], Awaitable[None]],
        plugins: tuple[str, ...] = (),
        progressed: Callable[[Progress], None] = lambda _: None,
        tell: Callable[[Sequence[tuple[int, str]], Mapping[str, str]], Awaitable[None]] | None = None,
    ) -> None:
        """``begin_feed`` gives the feed its position (`Feed.ensure_started`), before anything is read.

        ``tell`` gets kinds and ids, and marks, of each page that the directory has; returns when others can copy it.
        """
        self.account, self._store, self._clock = account, store, clock
        self._directory, self._begin_feed, self._plugins = directory, begin_feed, plugins
        self._progressed, self._tell = progressed, tell
        self._lock = asyncio.Lock()
        self._shown = -1.0
        self._records = 0
        self._requests = 0
        self._pages = 0
        #: where to go on after the last page; how far it is; pages since this was stored
        self._cursor = ""
        self._share = 0.0
        self._unstored = 0
        #: the child's requests that are on their way, by the number of their permit
        self._places: dict[int, Place] = {}

    def is_needed(self) -> bool:
        """True until the account is in the directory; again if the directory was lost."""
        account = self.account
        return not account.directory.mark(account.project, account.name, IMPORTED_MARK)

    async def run(self, *, afresh: bool = False) -> Progress:
        """Import to the end, from where the last import stopped, or ``afresh``.

        A vendor that fails is waited for; raises ImportStopped when only a person can help (credentials, a ban),
        VendorError if the sink gave up for another reason, ImportHeldUp if the directory cannot be written.
        """
        async with self._lock:
            account = self.account
            self._records = self._requests = 0
            self._shown = -1.0
            await self._prepare(afresh)
            await self._ask_patiently(self._begin_feed)
            deaths, pages = 0, self._pages
            while True:
                cursor = await self._store.read(
                    lambda conn: projects.import_cursor(conn, account.project, account.name)
                )
                try:
                    await self._run_child(cursor)
                    break
                except _ChildDied as error:
                    deaths = 1 if self._pages > pages else deaths + 1
                    pages = self._pages
                    log.warning("the import of %s is taken up again", account.name, extra={"action": "import.died"})
                    if deaths >= _MOST_DEATHS:
                        raise ImportStopped("the importing process dies again and again") from error
                    await asyncio.sleep(0.2 * deaths)
                except (NeedsCredentials, Banned) as error:
                    account.failed(error)
                    await self._show("stopped", text=str(error))
                    raise ImportStopped(f"the import stopped: {error}", connection=account.name) from error
                except (Throttled, Unavailable) as error:
                    await self._wait(error)
            return await self._end()

    async def _prepare(self, afresh: bool) -> None:
        """Start anew where the directory knows nothing of an earlier import."""
        account = self.account
        row_is_stale = self.is_needed() and not account.directory.mark(account.project, account.name, _BEGUN_MARK)
        if afresh or row_is_stale:
            await self._store.write(
                lambda conn: projects.set_import(conn, account.project, account.name, cursor="", progress=0.0)
            )
            await self._mark({_BEGUN_MARK: self._clock.now().isoformat()})
        if row_is_stale:
            account.is_imported = False
            await self._store.write(lambda conn: projects.forget_import(conn, account.project, account.name))
        await self._show("began")

    async def _mark(self, marks: Mapping[str, str]) -> None:
        """Remember it with the directory's own content, here and in every copy."""
        account = self.account
        for name, value in marks.items():
            account.directory.set_mark(account.project, account.name, name, value)
        if self._tell is not None:
            # a command has nobody else who would
            await self._tell((), marks)

    async def _ask_patiently(self, ask: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await ask()
            except (NeedsCredentials, Banned) as error:
                self.account.failed(error)
                raise ImportStopped(f"the import cannot begin: {error}", connection=self.account.name) from error
            except (Throttled, Unavailable) as error:
                await self._wait(error)

    async def _wait(self, error: Throttled | Unavailable) -> None:
        """The vendor cannot be asked now: say so and wait until it may be tried again."""
        account = self.account
        pause = account.failed(error)
        if isinstance(error, Throttled):
            account.pacer.pause(error.retry_after)
        log.warning("the import of %s pauses: %s", account.name, error, extra={"action": "import.paused"})
        await asyncio.sleep(pause.total_seconds())

    async def _end(self) -> Progress:
        account, now = self.account, self._clock.now()
        await self._store.write(
            lambda conn: projects.set_import(
                conn, account.project, account.name, cursor="", progress=1.0, finished_at=now
            )
        )
        await self._mark({IMPORTED_MARK: now.isoformat(), _BEGUN_MARK: ""})
        account.is_imported = True
        progress = Progress(share=1.0, records=self._records, requests=self._requests, is_done=True)
        self._progressed(progress)
        await self._show("done")
        log.info(
            "imported %d records of %s/%s with %d requests",
            self._records,
            account.project,
            account.name,
            self._requests,
            extra={"action": "import.done"},
        )
        return progress

    async def _show(self, what: str, **more: str) -> None:
        account, now = self.account, self._clock.now()
        body = {
            "connection": account.name,
            "state": what,
            "progress": round(max(0.0, self._shown), 2),
            "records": self._records,
            **more,
        }

        def put(conn: Connection) -> None:
            if self._unstored:
                self._put_place(conn)
            events.append(conn, project=account.project, kind="import", body=body, now=now)

        await self._store.write(put)

    # --- the child ----------------------------------------------------------------------------------------------

    async def _run_child(self, cursor: str) -> None:
        """One child from beginning to end. Raises the VendorError that it met; _ChildDied if it met none."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hub.runtime.import_child",
            stdin=PIPE,
            stdout=PIPE,
            limit=_LINE_LIMIT,
            start_new_session=True,
        )
        if child.returncode is None:
            # by itself it could only say so after half a second of a processor, when all that it needs is loaded
            give_way(child.pid)
        before = self._requests
        self._unstored = 0
        try:
            _send(child, {"begin": self._begin(cursor)})
            async with AsyncExitStack() as locks:
                is_done = await self._serve(child, before, locks)
            if is_done:
                # killed while it ends by itself, it is missed where asyncio waits for it, which warns of that
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(child.wait(), _LONGEST_END)
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
            await child.wait()
            if self._unstored:
                await self._store.write(self._put_place)
        if not is_done:
            raise _ChildDied

    def _begin(self, cursor: str) -> dict[str, Any]:
        account, context = self.account, self.account.context
        return {
            "project": account.project,
            "connection": account.name,
            "sink": account.sink,
            "settings": plain_settings(context.settings, with_defaults=True),
            "region": context.region,
            "eight_is_seven": context.eight_is_seven,
            "public_url": context.public_url,
            "webhook_url": context.webhook_url,
            "directory": str(self._directory),
            "cursor": cursor,
            "plugins": self._plugins,
            "timeout": account.request_timeout.total_seconds(),
            "tells_records": self._tell is not None,
        }

    async def _serve(self, child: Process, requests_before: int, locks: AsyncExitStack) -> bool:
        """Answer the child until it ends; True if it told that it is done."""
        assert child.stdout is not None
        held: dict[str, AsyncExitStack] = {}
        answering: set[asyncio.Task[None]] = set()
        is_done = False
        try:
            while line := await child.stdout.readline():
                message = json.loads(line)
                if "ask" in message:
                    # a permit may take its time; a question for tokens must not wait behind it
                    task = asyncio.create_task(self._answer(child, message, held, locks))
                    answering.add(task)
                    task.add_done_callback(partial(_answered, child, answering))
                    continue
                if message["told"] == "failed":
                    raise _error(message)
                if message["told"] == "held_up":
                    raise ImportHeldUp(message["text"])
                self._requests = requests_before + message["requests"]
                if message["told"] == "answered":
                    self.account.pacer.answered(self._places.pop(message["permit"]))
                if message["told"] == "page":
                    await self._page(message)
                is_done = message["told"] == "done"
        finally:
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
            for place in self._places.values():
                self.account.pacer.given_up(place)
            self._places.clear()
        return is_done

    async def _answer(
        self, child: Process, message: dict[str, Any], held: dict[str, AsyncExitStack], locks: AsyncExitStack
    ) -> None:
        state, answer = self.account.context.state, {"id": message["id"]}
        match message["ask"]:
            case "permit":
                with urgency(Urgency.IMPORT):
                    place = await self.account.pacer.acquire()
                self.account.pacer.sent(place)
                self._places[message["id"]] = place
            case "load":
                answer["value"], answer["version"] = await state.load()
            case "save":
                try:
                    answer["version"] = await state.save(message["value"], message["version"])
                except Stale as err:
                    answer["stale"] = str(err)
            case "lock":
                lock = await locks.enter_async_context(AsyncExitStack())
                await lock.enter_async_context(state.lock(message["name"]))
                held[message["name"]] = lock
            case "unlock":
                await held.pop(message["name"]).aclose()
        _send(child, answer)

    async def _page(self, message: dict[str, Any]) -> None:
        account = self.account
        account.succeeded()
        self._records += message["records"]
        self._pages += 1
        if self._tell is not None:
            # the child waits at its pipe meanwhile: no more than some pages are ever untold
            await self._tell([(kind, id) for kind, id in message["refs"]], message["marks"])
        self._share = min(0.99, message["progress"] if message["progress"] is not None else max(0.0, self._shown))
        self._cursor = message["cursor"]
        self._unstored += 1
        if self._share - self._shown >= _SHOWN_STEP:
            self._shown = self._share
            self._progressed(Progress(share=self._share, records=self._records, requests=self._requests))
            await self._show("running")
        elif self._unstored >= _STORED_EVERY:
            await self._store.write(self._put_place)

    def _put_place(self, conn: Connection) -> None:
        """Store where the next import goes on."""
        account = self.account
        projects.set_import(conn, account.project, account.name, cursor=self._cursor, progress=self._share)
        self._unstored = 0


def _answered(child: Process, answering: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    """A question that cannot be answered must not leave the child waiting for ever."""
    answering.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("the importing process got no answer", exc_info=task.exception(), extra={"action": "import.broken"})
        with contextlib.suppress(ProcessLookupError):
            child.kill()


def _send(child: Process, message: dict[str, Any]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(ConnectionError, RuntimeError):
        child.stdin.write(json.dumps(message).encode() + b"\n")


def _error(message: dict[str, Any]) -> VendorError:
    type_ = FATES.get(message["error"], VendorError)
    if type_ is Throttled:
        seconds = message.get("retry_after")
        return Throttled(message["text"], retry_after=None if seconds is None else timedelta(seconds=seconds))
    return type_(message["text"])
