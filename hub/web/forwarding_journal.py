"""Forwarding answers on their way into the journal: written in batches, never in the way of an answer (X1, X9)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Generic, TypeVar

from hub.clock import Clock
from hub.runtime.spool import Spool
from hub.store import forwarding_log
from hub.store.engine import Store, problem_of
from hub.store.forwarding_log import ForwardingEntry
from hub.web.metrics import Counts

__all__ = ["Journal", "Recent"]

T = TypeVar("T")

log = logging.getLogger(__name__)

#: how long an answer waits for others to share a commit with
EVERY = timedelta(milliseconds=200)
#: answers that are stored at once: a millisecond of the database's one writer
BATCH = 100
#: answers that are told at once: half a millisecond of the loop, then it answers whoever asks
AT_ONCE = 25
#: entries that are kept while the database cannot be written; then the oldest go
MOST_WAITING = 20_000


class Journal(Generic[T]):
    """Takes an answer in a microsecond; tells and stores it soon after, in batches.

    ``tell`` makes the row of an answer, once for each; it runs on the event loop, `AT_ONCE` at a time.
    """

    def __init__(
        self,
        store: Store,
        counts: Counts,
        tell: Callable[[T], ForwardingEntry],
        spool: Spool | None = None,
    ) -> None:
        self._store, self._counts, self._tell, self._spool = store, counts, tell, spool
        self._waiting: deque[T] = deque()
        #: told, and not stored yet
        self._told: list[ForwardingEntry] = []
        self._added, self._ending = asyncio.Event(), asyncio.Event()
        self._is_failing = False

    @property
    def waiting(self) -> int:
        """How many answers are not stored yet."""
        return len(self._waiting) + len(self._told)

    def add(self, answered: T) -> None:
        """Store ``answered``, later."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._counts.journal_lost += 1
        if not self._waiting:
            self._added.set()
        self._waiting.append(answered)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Store entries while inside, and what is left at the end."""
        task = asyncio.create_task(self._run(), name="forwarding journal")
        try:
            yield
        finally:
            # cancelling would not take back what is being written, and it would be written again
            self._ending.set()
            self._added.set()
            await task

    async def _run(self) -> None:
        while True:
            await self._added.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY.total_seconds()):
                    await self._ending.wait()
            while self.waiting and await self.flush():
                pass
            if self._ending.is_set():
                return
            if not self.waiting:
                self._added.clear()

    async def flush(self) -> bool:
        """Store one batch; False if that failed, and then it is still waiting."""
        waiting = self._waiting
        while waiting and len(self._told) < BATCH:
            self._told.append(self._tell(waiting.popleft()))
            if len(self._told) % AT_ONCE == 0:
                await asyncio.sleep(0)
        told = self._told
        try:
            if self._spool is not None:
                await self._spool.keep_answers(told)
            else:
                await self._store.write(lambda conn: forwarding_log.append_many(conn, told))
        except Exception as err:  # noqa: BLE001 - whatever the database raises, answers go on
            if not self._is_failing:
                self._is_failing = True
                log.error(
                    "forwarding answers cannot be kept: %s", problem_of(err), extra={"action": "forwarding.not_kept"}
                )
            return False
        finally:
            self._counts.journal_waiting = self.waiting
        self._told = []
        self._counts.journal_waiting = self.waiting
        if self._is_failing:
            self._is_failing = False
            log.warning("forwarding answers are kept again", extra={"action": "forwarding.kept"})
        return True


class Recent:
    """The destinations of the last questions by their uuid: asked twice, a question gets the same answer."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self._answers: OrderedDict[tuple[str, str, str], str | asyncio.Future[str]] = OrderedDict()

    def find(self, project: str, channel: str, uuid: str) -> str | asyncio.Future[str] | None:
        """What this question was told, or will be; None if it is new."""
        return self._answers.get((project, channel, uuid))

    def begin(self, project: str, channel: str, uuid: str) -> asyncio.Future[str]:
        """The answer takes a while: who asks the same meanwhile waits for the same; set its result."""
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[project, channel, uuid] = found
        return found

    def keep(self, project: str, channel: str, uuid: str, destination: str) -> None:
        """Remember what it was told."""
        self._answers[project, channel, uuid] = destination
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)

    async def load(self, store: Store, projects: Iterable[str], clock: Clock, back: timedelta) -> None:
        """Remember what was told before this process started."""
        since = clock.now() - back
        for project in projects:
            entries = await store.read(partial(forwarding_log.list_entries, project=project, since=since, limit=1000))
            for entry in reversed(entries):
                if entry.uuid:
                    self.keep(entry.project, entry.channel, entry.uuid, entry.destination)
