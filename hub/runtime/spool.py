"""What keeps accepting while the database is away: requests wait in a file of this process's own (H3, DESIGN 3).

Most vendors send once. So a request that the database does not take in time goes to the spool and is answered 2xx;
what is there is brought to the database in its order, once, as soon as it is back. Until then everything goes to the
spool, so that nothing overtakes.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from hub.clock import Clock
from hub.ports import RawRequest
from hub.store import forwarding_log, inbox, place, spool
from hub.store.engine import Store, problem_of
from hub.store.forwarding_log import ForwardingEntry
from hub.store.inbox import InboxKind
from hub.store.spool import Spooled

__all__ = ["Spool"]

log = logging.getLogger(__name__)

#: how long the database may take before the spool is asked, well within what the vendor waits; amoCRM waits 2 s
PATIENCE: Mapping[str, timedelta] = {"crm": timedelta(seconds=0.8)}
_USUAL_PATIENCE = timedelta(seconds=2)
#: how many requests share a transaction when they are brought back
BATCH = 200
#: how long the database may take for them
BRINGING = timedelta(seconds=15)
#: between two looks at a database that is away
PAUSE = timedelta(seconds=0.5)
#: what says that the one row is to blame and not the database: values that it cannot hold, a row nobody can read
_REFUSALS = (DataError, IntegrityError, ValueError, TypeError, LookupError)
#: how often is looked for what processes left that are no more
ABANDONED_EVERY = timedelta(minutes=1)


class Spool:
    """The spool of one process; ``waiting`` is 0 as long as the database is there."""

    def __init__(self, path: Path, store: Store, clock: Clock, *, most_bytes: int) -> None:
        self.path = path
        self._store, self._clock = store, clock
        self._most_bytes = most_bytes
        self._file = spool.open_file(path, most_bytes=most_bytes)
        self._file.write_now(spool.try_again)
        count, since = self._file.read_now(spool.waiting)
        #: requests and batches of answers that the database does not have yet
        self.waiting = count
        self._since: datetime | None = since
        #: since this process started
        self.kept = 0
        #: what the database would never take, set aside since this process started
        self.refused = 0
        #: the last one could not be kept: the disk, or the room that the spool may take, is full
        self.is_full = False
        #: something was brought into the inbox
        self.wake: Callable[[], None] = lambda: None
        self._added = asyncio.Event()
        if count:
            self._added.set()
            log.warning("%d requests wait in the spool", count, extra={"action": "spool.found"})

    def close(self) -> None:
        """Release the file; may be called twice."""
        self._file.close()

    @property
    def age(self) -> timedelta:
        """How long the first one has waited; zero if none waits."""
        return timedelta() if self._since is None else max(self._clock.now() - self._since, timedelta())

    # --- taking in ----------------------------------------------------------------------------------------------

    async def accept(self, *, project: str, channel: str, kind: InboxKind, request: RawRequest) -> None:
        """Store the request in the database or, if that does not answer, here; raises what the file raises."""
        found = Spooled(name=uuid.uuid4().hex, project=project, channel=channel, kind=kind, request=request)
        if await self._is_stored(partial(_add, found=found), PATIENCE.get(kind, _USUAL_PATIENCE)):
            return
        await self._keep(found)

    async def keep_answers(self, entries: Sequence[ForwardingEntry]) -> None:
        """The same for forwarding answers on their way into the journal."""
        if await self._is_stored(partial(forwarding_log.append_many, entries=entries), _USUAL_PATIENCE):
            return
        request = RawRequest(method="", body=forwarding_log.dump_many(entries), received_at=self._clock.now())
        await self._keep(
            Spooled(name=uuid.uuid4().hex, project="", channel="", kind="forwarding", request=request),
        )

    async def _is_stored(self, write: Callable[[Connection], None], patience: timedelta) -> bool:
        if self.waiting:
            # what came before is still here
            return False
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self._store.write(write)
        except Exception as err:  # noqa: BLE001 - whatever the database raises, the request is kept here
            if not self.waiting:
                log.error(
                    "the database does not answer (%s): requests are kept in %s until it does",
                    problem_of(err),
                    self.path,
                    extra={"action": "spool.begun"},
                )
            return False
        return True

    async def _keep(self, found: Spooled) -> None:
        # counted first: whoever comes meanwhile must not overtake
        self.waiting += 1
        try:
            await self._file.write(lambda conn: spool.put(conn, found))
        except BaseException as err:
            self.waiting -= 1
            if isinstance(err, Exception):
                self.is_full = True
            raise
        self.is_full = False
        self.kept += 1
        if self._since is None:
            self._since = found.request.received_at
        self._added.set()

    # --- bringing back ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Bring what waits into the database until cancelled; sleeps while nothing does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._bring_forever(), name="spool")
            group.create_task(self._adopt_forever(), name="abandoned spools")

    async def _bring_forever(self) -> None:
        is_away = False
        while True:
            await self._added.wait()
            try:
                brought = await self.bring_some()
            except Exception as err:  # noqa: BLE001 - the database is still away, or the disk is full
                if not is_away:
                    log.warning("the spool waits: %s", problem_of(err), extra={"action": "spool.waits"})
                is_away = True
                await asyncio.sleep(PAUSE.total_seconds())
                continue
            is_away = False
            if brought and not self.waiting:
                log.warning("the spool is empty, the database has everything", extra={"action": "spool.ended"})
            if not brought:
                if not self.waiting:
                    self._added.clear()
                # else one is on its way into the file
                await asyncio.sleep(0.01)

    async def bring_some(self) -> int:
        """Bring the first ones into the database; how many. Raises what the database raises, or TimeoutError."""
        found = await self._file.read(lambda conn: spool.oldest(conn, BATCH))
        if not found:
            return 0
        await self._bring(self._file, found)
        _, self._since = await self._file.read(spool.waiting)
        self.wake()
        return len(found)

    async def _bring(self, file: Store, found: Sequence[Spooled]) -> None:
        try:
            async with asyncio.timeout(BRINGING.total_seconds()):
                await self._store.write(lambda conn: _add_all(conn, found))
        except _REFUSALS as err:
            if len(found) == 1:
                await self._set_aside(file, found[0], problem_of(err))
                return
            # which of them it is; their order stays
            middle = len(found) // 2
            await self._bring(file, found[:middle])
            await self._bring(file, found[middle:])
            return
        # whoever dies here brings them again; the database knows their names
        await file.write(lambda conn: spool.remove(conn, found))
        self._count_off(file, len(found))

    def _count_off(self, file: Store, brought: int) -> None:
        """They wait no more, whatever becomes of the others that were to be brought with them."""
        if file is self._file:
            self.waiting -= brought

    async def _set_aside(self, file: Store, found: Spooled, reason: str) -> None:
        """What the database takes at no time must not hold up for ever what came after it."""
        now = self._clock.now()
        await file.write(lambda conn: spool.set_aside(conn, found, reason=reason, now=now))
        self.refused += 1
        self._count_off(file, 1)
        log.error(
            "the database refuses a %s of %s/%s: %s; it is kept in %s, row %d, and tried again at the next start",
            found.kind,
            found.project,
            found.channel,
            reason,
            self.path.name,
            found.id,
            extra={"action": "spool.refused"},
        )

    # --- what others left ---------------------------------------------------------------------------------------

    async def _adopt_forever(self) -> None:
        while True:
            if not self.waiting:
                try:
                    await self.adopt()
                except Exception as err:  # noqa: BLE001 - it is tried again
                    log.warning("a spool cannot be read: %s", problem_of(err), extra={"action": "spool.not_adopted"})
            await asyncio.sleep(ABANDONED_EVERY.total_seconds())

    async def adopt(self) -> int:
        """Bring what processes of this machine left whose place nobody has now; how many requests.

        A place is taken by the next process of its role; if there are fewer processes than before, none comes.
        """
        brought = 0
        for path in sorted(self.path.parent.parent.glob(f"*/{spool.FILE}")):
            if path == self.path:
                continue
            left = place.take_if_free(path.parent)
            if left is None:
                continue
            try:
                brought += await self._empty(path)
            finally:
                left.leave()
        if brought:
            self.wake()
        return brought

    async def _empty(self, path: Path) -> int:
        file = await asyncio.to_thread(partial(spool.open_file, path, most_bytes=self._most_bytes))
        count = 0
        try:
            while found := await file.read(lambda conn: spool.oldest(conn, BATCH)):
                await self._bring(file, found)
                count += len(found)
        finally:
            await asyncio.to_thread(file.close)
        if count:
            log.warning("%d requests of %s were adopted", count, path.parent.name, extra={"action": "spool.adopted"})
        return count


def _add(conn: Connection, *, found: Spooled) -> None:
    if found.kind == "forwarding":
        forwarding_log.append_new(conn, forwarding_log.load_many(found.request.body))
        return
    inbox.add(
        conn,
        project=found.project,
        channel=found.channel,
        kind=found.kind,
        request=found.request,
        spool_id=found.name,
    )


def _add_all(conn: Connection, found: Sequence[Spooled]) -> None:
    for one in found:
        _add(conn, found=one)
