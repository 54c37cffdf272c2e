"""Functions that wait for the one who writes, and how their callers hear of it; for both engines (DESIGN 3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # whoever only fills the directory need not load it: a third of an import's start
    from sqlalchemy import Connection

__all__ = ["PendingWrite", "settle"]

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class PendingWrite:
    """One function that waits for the writer, and who waits for its result (a loop, or a thread)."""

    run: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop | None
    future: asyncio.Future[Any] | Future[Any]
    result: Any = None
    error: BaseException | None = None
    #: for which project it is done in its turn; None where somebody waits who is answered at once (H8)
    owner: str | None = None
    #: one statement at most, which leaves nothing behind where it fails: it needs no savepoint among others
    is_one: bool = False
    #: how often it was run, where a conflict with another process is tried again
    tries: int = 0

    def settle(self) -> None:
        """Tell the waiter; on the waiter's loop if it has one."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def settle(group: Iterable[PendingWrite]) -> None:
    """Wake everybody who waits, each loop once for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[PendingWrite]] = {}
    for job in group:
        if job.loop is None:
            job.settle()
        else:
            by_loop.setdefault(job.loop, []).append(job)
    for loop, jobs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, jobs)
        except RuntimeError:
            # the loop was closed while its writes were on their way: they are durable, nobody waits any more
            log.debug("a loop ended before its writes were told", extra={"action": "store.waiter_gone"})


def _settle_all(jobs: list[PendingWrite]) -> None:
    for job in jobs:
        job.settle()
