"""Threads that work in the projects' turns, so that no flood fills those that answer others (H8)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from hub.store.pending import PendingWrite, settle
from hub.store.turns import OWN, Shares, Turns

__all__ = ["TurnsPool"]

T = TypeVar("T")


class TurnsPool:
    """A few ``threads``; of each project ``each`` functions run at once, so that long ones hold up their own only."""

    def __init__(
        self,
        shares: Shares | None,
        call: Callable[[Callable[[Any], Any]], Any],
        *,
        threads: int,
        each: int = 1,
        is_near: bool = True,
    ) -> None:
        """``is_near``: they ask no other machine, so that the loop may wait for them (`Shares.serve`)."""
        self._shares, self._call, self._is_near = shares, call, is_near
        self._waiting: Turns[PendingWrite] = Turns(lambda job: job.owner or OWN, shares)
        self._each = each
        self._running: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._is_closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"hub-turns-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, owner: str, fn: Callable[[Any], T]) -> T:
        """What ``fn`` returns, in ``owner``'s turn. Raises what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._changed:
            if self._is_closing:
                raise RuntimeError("the store is not open")
            self._waiting.append(PendingWrite(fn, loop, future, owner=owner))
            self._changed.notify()
        return await (self._shares.serve(owner, future) if self._shares is not None and self._is_near else future)

    def close(self) -> None:
        """Finish what waits, then end the threads."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (job := self._take()) is not None:
            owner = job.owner or OWN
            if not job.future.done():
                used = time.thread_time()
                try:
                    job.result = self._call(job.run)
                except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked for it
                    job.error = error
                if self._shares is not None:
                    self._shares.charge(owner, time.thread_time() - used)
                settle([job])
            with self._changed:
                self._running[owner] -= 1
                if not self._running[owner]:
                    del self._running[owner]
                if self._is_closing:
                    self._changed.notify_all()
                elif self._waiting:
                    self._changed.notify()

    def _take(self) -> PendingWrite | None:
        """The next job of a project that has not enough running; None when all is done and no more will come."""
        with self._changed:
            while True:
                busy = [owner for owner, count in self._running.items() if count >= self._each]
                try:
                    job = self._waiting.popleft(but_not=busy)
                except KeyError:
                    if self._is_closing and not self._waiting:
                        return None
                    self._changed.wait()
                else:
                    self._running[job.owner or OWN] += 1
                    return job
