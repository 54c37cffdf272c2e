"""SQLite's one writer: what waits shares a transaction and one commit, so that an fsync is paid once for many (H3).

Whatever a request waits for goes first. Of the background each group takes only as much as about one more fsync
costs, in the projects' turns: so no webhook and no quiet project waits for all that a flood has brought (H8).
"""

from __future__ import annotations

import logging
import sqlite3
import time

from sqlalchemy import Connection

from hub.store.arrivals import Arrivals
from hub.store.pending import PendingWrite, settle
from hub.store.turns import Shares
from hub.store.wal import LogCopier

__all__ = ["GroupWriter"]

log = logging.getLogger(__name__)


class GroupWriter:
    """Runs and commits what others `put`, on the thread that calls `run`."""

    #: how many functions may share a commit: bounds how long the first of them waits for the last
    LIMIT = 256
    #: seconds of background work that share a commit: as many as the last commit took, within these bounds
    SHORTEST, LONGEST = 0.004, 0.02

    def __init__(self, shares: Shares, copier: LogCopier) -> None:
        self._shares, self._copier = shares, copier
        self._arrivals = Arrivals(shares)
        self._commit_took = self.SHORTEST

    def put(self, job: PendingWrite) -> None:
        """Let ``job`` be run and committed soon."""
        self._arrivals.put(job)

    def close(self) -> None:
        """Let `run` return when everything before is done."""
        self._arrivals.close()

    def run(self, conn: Connection, driver: sqlite3.Connection) -> None:
        """Write until closed."""
        while self._arrivals.wait():
            group: list[PendingWrite] = []
            self._write(conn, driver, group)
            settle(group)
            self._arrivals.sort()
            self._copier.written(driver, len(group), is_awaited=bool(self._arrivals.requested))

    def _is_for_light(self, last: PendingWrite) -> bool:
        """Whether whoever wrote ``last`` would wait for the commit longer than need be, for the sake of a flood."""
        if last.owner is None or not self._shares.is_light(last.owner):
            return False
        return not self._shares.is_light(self._arrivals.background.first_owner())

    def _write(self, conn: Connection, driver: sqlite3.Connection, group: list[PendingWrite]) -> None:
        """One transaction; each one's result or error is left in its job, and all of them in ``group``."""
        kept: list[PendingWrite] = []
        began = time.monotonic()
        until = began + min(self.LONGEST, max(self.SHORTEST, self._commit_took))
        # nobody has heard of these yet, so all that stood here before goes
        requested, background = self._arrivals.requested, self._arrivals.background
        first = len(requested)
        has_background = has_request = False
        job: PendingWrite | None = self._arrivals.popleft()
        is_alone = not self._arrivals
        try:
            driver.execute("BEGIN IMMEDIATE")
            while job is not None:
                group.append(job)
                is_marked = not (is_alone or job.is_one)
                if is_marked:
                    driver.execute("SAVEPOINT one")
                used = 0.0 if job.owner is None else time.thread_time()
                try:
                    job.result = job.run(conn)
                except BaseException as error:  # noqa: BLE001 — it belongs to whoever asked for this write
                    job.error = error
                    if not driver.in_transaction:
                        # a full disk and the like end the whole transaction: what the neighbours wrote is gone too
                        _fail(kept, error)
                        kept.clear()
                        driver.execute("BEGIN IMMEDIATE")
                        is_alone = False
                    elif is_alone:
                        driver.execute("ROLLBACK")
                        return
                    elif is_marked:
                        driver.execute("ROLLBACK TO one")
                        driver.execute("RELEASE one")
                else:
                    kept.append(job)
                    if is_marked:
                        driver.execute("RELEASE one")
                if job.owner is not None:
                    self._shares.charge(job.owner, time.thread_time() - used)
                    has_background = True
                else:
                    has_request = True
                job = None
                if is_alone:
                    break
                self._arrivals.sort()
                has_time = time.monotonic() < until and len(group) < self.LIMIT
                if requested and (has_time or len(group) < min(first, self.LIMIT)):
                    job = requested.popleft()
                elif (
                    background
                    # somebody waits for an answer: one function of the background is enough for this commit
                    and not (has_request and has_background)
                    and (has_time or not has_background)
                    and not self._is_for_light(group[-1])
                ):
                    # however many ask, each commit takes along something of what nobody waits for
                    job = background.popleft()
            ran = time.monotonic()
            driver.execute("COMMIT")
            self._commit_took = time.monotonic() - ran
        except BaseException as error:  # noqa: BLE001 — nothing was committed; everybody hears of it
            log.error("a commit failed: %s", error, extra={"action": "store.commit_failed"})
            _fail(group, error)
            if driver.in_transaction:
                driver.execute("ROLLBACK")


def _fail(group: list[PendingWrite], error: BaseException) -> None:
    for job in group:
        if job.error is None:
            job.error = error
