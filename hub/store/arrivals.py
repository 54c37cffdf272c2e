"""What waits for the one thread that writes, on either engine: put from any thread, sorted and taken by that one."""

from __future__ import annotations

import queue
from collections import deque

from hub.store.pending import PendingWrite
from hub.store.turns import OWN, Shares, Turns

__all__ = ["Arrivals"]


class Arrivals:
    """Functions that wait: first what somebody is answered for, then the background's in the projects' turns."""

    def __init__(self, shares: Shares) -> None:
        #: not looked at yet; None = close when everything is done
        self._arrived: queue.SimpleQueue[PendingWrite | None] = queue.SimpleQueue()
        self._is_closing = False
        #: what nobody may overtake: what somebody is answered for, what beats, what is to be run again
        self.requested: deque[PendingWrite] = deque()
        self.background: Turns[PendingWrite] = Turns(lambda job: job.owner or OWN, shares)

    def __bool__(self) -> bool:
        return bool(self.requested or self.background)

    def put(self, job: PendingWrite) -> None:
        """Let ``job`` wait its turn."""
        self._arrived.put(job)

    def close(self) -> None:
        """Nothing more is waited for once everything before is taken."""
        self._arrived.put(None)

    def wait(self) -> bool:
        """`sort`, but wait for something first; False once nothing waits and nothing more will come."""
        if not (self or self._is_closing):
            self._take(self._arrived.get())
        self.sort()
        return bool(self)

    def sort(self) -> None:
        """Look at what has come."""
        while not self._arrived.empty():
            try:
                self._take(self._arrived.get_nowait())
            except queue.Empty:
                return

    def popleft(self) -> PendingWrite:
        """The next one of those that were sorted. Raises KeyError if none waits."""
        return self.requested.popleft() if self.requested else self.background.popleft()

    def _take(self, job: PendingWrite | None) -> None:
        if job is None:
            self._is_closing = True
        elif job.owner is None:
            self.requested.append(job)
        else:
            self.background.append(job)
