"""One process among several on a PostgreSQL: what it has, what it hears, what it tells the others (H9, DESIGN 3)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from hub.core.records import EmployeeId
from hub.engine.directory_copies import DirectoryCopies
from hub.engine.lanes import Lanes
from hub.engine.placement import Placement
from hub.engine.procrastinate_lanes import ProcrastinateLanes, prepare_queue
from hub.runtime.services import Services
from hub.store import cluster
from hub.store.bell import Bell
from hub.store.work import Lane

__all__ = ["Fleet"]

#: the words by which processes wake each other
WORDS = ("changed", "inbox", "outbox", "event", "copy")
#: the word after which stand forwarding answers, for the popups of whoever has the project; and how many share one
ANSWERED, _ANSWERS_TOGETHER = "answered", 7
#: characters of a call's id beyond which its popup waits for its next webhook; a NOTIFY takes 8,000 bytes
_LONGEST_CALL = 80


class Fleet:
    """What a process on PostgreSQL has besides what every hub has."""

    def __init__(
        self,
        services: Services,
        *,
        heard: Callable[[str], None],
        gained: Callable[[str], Awaitable[None]],
        giving: Callable[[str], Awaitable[None]],
        dropped: Callable[[], Awaitable[None]],
    ) -> None:
        self.id = uuid.uuid4().hex[:8]
        self._services = services
        settings, store = services.settings, services.store
        self._stalled = timedelta(seconds=settings.stalled_seconds)
        self.bell = Bell(store.url, words=WORDS, heard=heard)
        self.copies = DirectoryCopies(
            store,
            services.projects,
            services.directory,
            services.clock,
            ring=lambda: self.bell.ring("copy"),
            patience=settings.first_copy_seconds,
        )
        self.placement = Placement(
            store,
            services.clock,
            services.projects,
            role=settings.role,
            host=socket.gethostname(),
            gained=gained,
            giving=giving,
            dropped=dropped,
            beat=self._stalled / 4,
            stalled=self._stalled,
        )
        services.fleet = self
        self._lanes: ProcrastinateLanes | None = None
        #: forwarding answers of this process that the others are to hear of
        self._answers: list[tuple[str, str, EmployeeId]] = []
        #: projects whose inbox this process reads now
        self._reading: set[str] = set()

    def lanes(
        self,
        advance: Callable[[Lane], Awaitable[datetime | None]],
        give_up: Callable[[Lane, Exception], Awaitable[None]],
        room: Callable[[str, str], int],
    ) -> Lanes:
        """The lanes of this process; they run those of its own projects and wake all others."""
        services = self._services
        self._lanes = ProcrastinateLanes(
            services.store,
            services.clock,
            advance,
            url=services.store.url,
            give_up=give_up,
            room=room,
            beat=self._stalled / 4,
            stalled=self._stalled,
        )
        return self._lanes

    # --- life ---------------------------------------------------------------------------------------------------

    async def open(self, *, works: bool) -> None:
        """Make the queue if it is missing, and take up work if this process ``works``."""
        store = self._services.store
        await prepare_queue(store)
        if works:
            await self.placement.begin()
            assert self.placement.tenure is not None
            for pacer in self._services.pacers.values():
                pacer.guard = self.assert_fresh
        self._services.guard = self.assert_fresh if works else None

    @property
    def stalled(self) -> timedelta:
        """After how long a silence a process counts as gone."""
        return self._stalled

    async def say_alive(self) -> None:
        """Tell the others every now and then that a process lives which owns nothing, until cancelled (web)."""
        store, settings = self._services.store, self._services.settings
        host = socket.gethostname()
        while True:
            await store.write(lambda conn: cluster.say_alive(conn, self.id, role=settings.role, host=host))
            await asyncio.sleep((self._stalled / 4).total_seconds())

    def assert_fresh(self) -> None:
        """Raise LeaseLost unless nobody can have taken this worker's accounts over."""
        tenure = self.placement.tenure
        if tenure is not None:
            tenure.assert_fresh()

    async def give_back(self) -> None:
        """Before the process ends: let the others have its projects, nothing of them half-way."""
        await self.placement.end()

    async def close(self) -> None:
        """Release the connection, if `give_back` did not; let the others know that this process is no more."""
        if self.placement.tenure is not None:
            await asyncio.to_thread(self.placement.tenure.close)
            self._services.store.tenure = None
        else:
            # with the database away it is found out by its silence
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await self._services.store.write(lambda conn: cluster.end(conn, self.id))

    # --- whose --------------------------------------------------------------------------------------------------

    def is_own(self, project: str) -> bool:
        """Whether this process has the project's accounts."""
        return self.placement.is_own(project)

    def serve_lanes(self) -> None:
        """Run the lanes of what is this process's own now."""
        assert self._lanes is not None
        self._lanes.serve(self.placement.own)

    async def rest(self, project: str) -> None:
        """Wait until no lane of ``project`` runs here any more."""
        assert self._lanes is not None
        await self._lanes.rest(project)

    def ring_inbox(self) -> None:
        """Let the workers know that something came in."""
        self.bell.ring("inbox")

    def answered(self, project: str, call_id: str, employee: EmployeeId) -> None:
        """The telephony was told here whom to ring: whoever has the call's popup hears it with the next bell."""
        if not call_id or max(len(call_id), len(employee), len(project)) > _LONGEST_CALL:
            return
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._ring_answers)
        self._answers.append((project, call_id, employee))

    def _ring_answers(self) -> None:
        answers, self._answers = self._answers, []
        for start in range(0, len(answers), _ANSWERS_TOGETHER):
            self.bell.ring(f"{ANSWERED} {json.dumps(answers[start : start + _ANSWERS_TOGETHER], ensure_ascii=False)}")

    @asynccontextmanager
    async def reading(self, project: str) -> AsyncIterator[bool]:
        """Hold the right to read the project's inbox; False if another worker has it."""
        tenure = self.placement.tenure
        if tenure is None or project in self._reading or not await tenure.take("inbox", project):
            yield False
            return
        self._reading.add(project)
        try:
            yield True
        finally:
            self._reading.discard(project)
            if not tenure.is_over:
                await tenure.give("inbox", project)
