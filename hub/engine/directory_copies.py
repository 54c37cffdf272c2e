"""The copies of the directory that several processes keep: who owns an account tells, all others take over (H6, H9).

Forwarding answers from this process's own file, whatever becomes of the database; a worker that takes an account over
begins with a copy that is some milliseconds old instead of an import.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from hub.clock import Clock
from hub.engine.projects import Projects
from hub.errors import HubError
from hub.store import directory_stream
from hub.store.directory import Directory, Row
from hub.store.engine import Store

__all__ = ["DirectoryCopies"]

log = logging.getLogger(__name__)

#: the mark that says up to which change another process's records are in this file
COPIED = "copied"
#: how often is looked without having been told
_LOOK = timedelta(seconds=2)
#: rows in one go: a look-up waits for no more than that
_PAGE = 500
#: microseconds for which a record that was read again, and is what it was, is not told again: to others it is so much
#: older than here at most. Before each new client's first record the latest of all are read (`hub.runtime.barrier`)
_SAME = 30_000_000

Account = tuple[str, str]


@dataclass(slots=True)
class _News:
    """What this process put into its file and has not told yet."""

    refs: dict[tuple[int, str], None] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)


class DirectoryCopies:
    """Tells of the accounts that are this process's own, and copies the others.

    ``ring`` lets the other processes know that there is something to copy.
    """

    def __init__(
        self,
        store: Store,
        projects: Projects,
        directory: Directory,
        clock: Clock,
        *,
        ring: Callable[[], None],
        patience: float = 600,
    ) -> None:
        """``patience``: seconds after which what is here has to do, although the first copy is not complete."""
        self._store, self._projects, self._directory, self._ring = store, projects, directory, ring
        self._clock, self._patience, self._began = clock, patience, clock.monotonic()
        self._own: set[Account] = set()
        self._news: dict[Account, _News] = {}
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._telling, self._copying = asyncio.Event(), asyncio.Event()
        self._turn = asyncio.Lock()
        #: up to which change each account has to be copied before the first copy is complete; None: not asked yet
        self._wanted: dict[Account, int] | None = None
        #: what was told in the last `_SAME` since the account is this process's; told by another, nobody knows of it
        self._lately: dict[Account, dict[tuple[int, str], Row]] = {}
        #: when an account was last known to be here wholly, monotonic seconds
        self._whole_at: dict[Account, float] = {}

    # --- whose --------------------------------------------------------------------------------------------------

    async def own(self, project: str, connection: str) -> None:
        """The account is this process's from now on: its last changes are taken over first."""
        account = (project, connection)
        await self._catch_up(account)
        self._lately.pop(account, None)
        self._own.add(account)

    async def disown(self, project: str, connection: str) -> None:
        """The account is another process's soon; what was not told is told, if that is still possible."""
        account = (project, connection)
        try:
            await self._tell(account)
        except (HubError, OSError) as error:
            log.info("the last changes of %s/%s are not told: %s", project, connection, error)
        self._own.discard(account)
        self._lately.pop(account, None)
        with self._guard:
            self._news.pop(account, None)

    def wake(self) -> None:
        """Another process told something."""
        self._copying.set()

    async def tell(
        self, project: str, connection: str, refs: Sequence[tuple[int, str]], marks: Mapping[str, str]
    ) -> None:
        """Tell at once what an import has put into the file past this process; returns when others can copy it."""
        account = (project, connection)
        async with self._turn:
            # told anew wholly, and not remembered: it is much, and none of it is read again soon
            self._lately.pop(account, None)
            await self._put(account, refs, marks)
            self._lately.pop(account, None)
        self._ring()

    # --- the first copy -----------------------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        """Whether everything is here that others had told when this process began; later changes follow by themselves.

        An account that nobody has told anything of is not waited for: its import never ran.
        """
        return self._wanted is not None and not self._wanted

    @property
    def lacking(self) -> Mapping[Account, int] | None:
        """How many changes of which accounts are still to come before `is_complete`, at most; None if nobody knows."""
        if self._wanted is None:
            return None
        return {account: max(0, upto - self._upto(account)) for account, upto in self._wanted.items()}

    @property
    def may_answer(self) -> bool:
        """Whether "unknown" may be believed here: the copy `is_complete`, or was waited for long enough."""
        return self.is_complete or self.waits_for == 0

    @property
    def waits_for(self) -> float:
        """Seconds for which this process still waits for its first copy, if that does not come."""
        return max(0.0, self._began + self._patience - self._clock.monotonic())

    def age(self, account: Account) -> float | None:
        """Seconds since this process had all that was told of the account; None if it never had. Its own: 0."""
        if account in self._own:
            return 0.0
        known = self._whole_at.get(account)
        return None if known is None else max(0.0, self._clock.monotonic() - known)

    # --- running ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell and copy until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._directory.told = self._told
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tell_forever(), name="directory tells")
                tasks.create_task(self._copy_forever(), name="directory copies")
        finally:
            self._directory.told = None

    def _told(self, project: str, connection: str, refs: Sequence[tuple[int, str]], marks: Mapping[str, str]) -> None:
        """In the directory's thread: something was put in."""
        account = (project, connection)
        if account not in self._own:
            return
        with self._guard:
            news = self._news.setdefault(account, _News())
            news.refs.update(dict.fromkeys(refs))
            news.marks.update(marks)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._telling.set)

    async def _tell_forever(self) -> None:
        while True:
            await self._telling.wait()
            self._telling.clear()
            for account in list(self._news):
                try:
                    await self._tell(account)
                except Exception as error:  # noqa: BLE001 - logged there: it is told again with what follows
                    log.warning("the directory cannot be told: %s", error, extra={"action": "directory.untold"})
                    await asyncio.sleep(1)
                    self._telling.set()
            await asyncio.sleep(0.01)

    async def _tell(self, account: Account) -> None:
        """Returns when everything that was put in before is told, by whomever."""
        async with self._turn:
            await self._tell_news(account)

    async def _tell_news(self, account: Account) -> None:
        with self._guard:
            news = self._news.pop(account, None)
        if news is None:
            return
        try:
            await self._put(account, list(news.refs), news.marks)
        except BaseException:
            with self._guard:
                later = self._news.setdefault(account, _News())
                later.refs = {**news.refs, **later.refs}
                later.marks = {**news.marks, **later.marks}
            raise
        self._ring()

    async def _put(self, account: Account, refs: Sequence[tuple[int, str]], marks: Mapping[str, str]) -> None:
        """Bring records of this file to the others, page by page, and the marks with the last."""
        lately = self._lately.setdefault(account, {})
        for start in range(0, max(len(refs), 1), _PAGE):
            rows = self._directory.rows(*account, refs[start : start + _PAGE])
            rows = [row for row in rows if not _is_told(row, lately.get(row[:2]))]
            with_last = marks if start + _PAGE >= len(refs) else {}
            await self._store.write(
                lambda conn, rows=rows, marks=with_last: directory_stream.put(conn, *account, rows, marks)  # type: ignore[misc]
            )
            _remember(lately, rows)

    async def _copy_forever(self) -> None:
        while True:
            self._copying.clear()
            try:
                await self._copy_all()
            except Exception as error:  # noqa: BLE001 - the file answers as it is until the database is back
                log.warning("the directory is not copied: %s", error, extra={"action": "directory.uncopied"})
            try:
                async with asyncio.timeout(_LOOK.total_seconds()):
                    await self._copying.wait()
            except TimeoutError:
                pass

    async def _copy_all(self) -> None:
        there = sorted((project.name, found.name) for project in self._projects.all() for found in project.connections)
        known = await self._store.read(lambda conn: directory_stream.heads(conn, there))
        if self._wanted is None:
            self._wanted = dict(known)
        for gone in self._wanted.keys() - set(there):
            del self._wanted[gone]
        for account in there:
            upto = known.get(account, 0)
            if account not in self._own and self._upto(account) < upto:
                await self._catch_up(account, upto)
            self._wanted.pop(account, None)
            self._whole_at[account] = self._clock.monotonic()

    def _upto(self, account: Account) -> int:
        return int(self._directory.mark(*account, COPIED) or 0)

    async def _catch_up(self, account: Account, upto: int | None = None) -> None:
        """Take over what there is (as far as ``upto``), page by page: answers go between them."""
        after = self._upto(account)
        # an import under way tells more all the time: the other accounts get their turn
        while upto is None or after < upto:
            found = await self._store.read(
                lambda conn, after=after: directory_stream.changes_after(conn, *account, after, _PAGE)  # type: ignore[misc]
            )
            if found.upto == after:
                return
            after = found.upto
            marks = {**found.marks, COPIED: str(after)}
            await asyncio.to_thread(self._directory.take_over, *account, found.rows, marks)


def _is_told(row: Row, lately: Row | None) -> bool:
    """Whether others have ``row`` from what they were told ``lately``."""
    if lately is None:
        return False
    _, _, version, seen, body = lately
    return (version, body) == (row[2], row[4]) and row[3] - seen < _SAME


def _remember(lately: dict[tuple[int, str], Row], rows: Sequence[Row]) -> None:
    """Others have ``rows``; what was told too long before to spare anything is forgotten."""
    if not rows:
        return
    for row in rows:
        # behind all others, so that the first are the oldest
        lately.pop(row[:2], None)
        lately[row[:2]] = row
    newest = max(row[3] for row in rows)
    while (oldest := next(iter(lately.values())))[3] <= newest - _SAME:
        del lately[oldest[:2]]
