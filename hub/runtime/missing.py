"""Records that the directory knows by id only, such as closed deals, are read when a decision first needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hub.core.records import RecordRef
from hub.errors import Unavailable, VendorError
from hub.runtime.account import Account
from hub.runtime.pace import Urgency, urgency

__all__ = ["MissingRecords"]


class MissingRecords:
    """Reads what several decisions lack in one request: whoever asks while one is under way shares the next."""

    #: the most that one request asks for
    BATCH = 250
    #: seconds in which others may join, while the account's requests are scarce
    GATHER = 0.5

    def __init__(self, account: Account) -> None:
        self._account = account
        self._wanted: dict[RecordRef, None] = {}
        self._next: asyncio.Task[None] | None = None
        #: those that have begun and the next one
        self._asking: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    async def read(self, refs: Sequence[RecordRef]) -> None:
        """Have ``refs`` in the directory, or known to be gone. Raises VendorError."""
        if not self._account.may_ask:
            raise Unavailable("the connection cannot be asked now", connection=self._account.name, maybe_applied=False)
        self._wanted.update(dict.fromkeys(refs))
        if self._next is None:
            self._next = asyncio.create_task(self._ask(), name=f"missing records of {self._account.name}")
            self._asking.add(self._next)
            self._next.add_done_callback(self._asking.discard)
        # one asker giving up must not take the answer from the others
        await asyncio.shield(self._next)

    async def _ask(self) -> None:
        async with self._lock:
            if self._account.pacer.headroom < 0.75:
                # in a burst one record each would take a third of all requests
                await asyncio.sleep(self.GATHER)
            refs = list(self._wanted)
            self._wanted.clear()
            self._next = None
            account = self._account
            for start in range(0, len(refs), self.BATCH):
                began = account.clock.now()
                try:
                    with urgency(Urgency.RECORD):
                        changes = await account.session.read(refs[start : start + self.BATCH])
                except VendorError as error:
                    account.failed(error)
                    raise
                account.succeeded()
                await account.fold(changes, began)

    async def close(self) -> None:
        """Stop what is under way."""
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
