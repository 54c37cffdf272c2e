"""Records that the directory knows by id only, such as closed deals, are read when a decision first needs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from hub.core.records import RecordRef
from hub.errors import Unavailable, VendorError
from hub.runtime.account import Account
from hub.runtime.pace import Urgency, urgency
from hub.store.directory_fold import answered

__all__ = ["MissingRecords"]

log = logging.getLogger(__name__)


class MissingRecords:
    """Reads what several decisions lack in one request: whoever asks while one is under way shares the next.

    In a burst the decisions do not stand and wait: they are told when it is there, and meanwhile others are made, which
    join.
    """

    #: the most that one request asks for
    BATCH = 250
    #: seconds in which others may join, while the account's requests are scarce
    GATHER = 1.0

    def __init__(
        self, account: Account, *, expected: Callable[[], Awaitable[Sequence[RecordRef]]] | None = None
    ) -> None:
        """``expected`` tells what decisions that are not made yet will lack; in a burst they need not ask for it."""
        self._account, self._expected = account, expected
        self._wanted: dict[RecordRef, None] = {}
        self._next: asyncio.Task[None] | None = None
        #: who is to hear that the next one is through
        self._patient: list[Callable[[], None]] = []
        #: asked for and not answered, by a sink that breaks its promise
        self._unanswered: set[RecordRef] = set()
        #: those that have begun and the next one
        self._asking: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()

    async def read(self, refs: Sequence[RecordRef], *, when_there: Callable[[], None] | None = None) -> bool:
        """Have ``refs`` in the directory, or known to be gone. Raises VendorError.

        False if they are asked for a little later, together with others': ``when_there`` is called once that is through
        or failed. Without it whoever asks waits.
        """
        if not self._account.may_ask:
            raise Unavailable("the connection cannot be asked now", connection=self._account.name, maybe_applied=False)
        if when_there is not None and self._unanswered.issuperset(refs):
            # who would be told to look again would ask again
            return True
        self._wanted.update(dict.fromkeys(refs))
        if self._next is None:
            self._next = asyncio.create_task(self._ask(), name=f"missing records of {self._account.name}")
            self._asking.add(self._next)
            self._next.add_done_callback(self._asked)
        if when_there is not None and self._is_scarce:
            self._patient.append(when_there)
            return False
        # one asker giving up must not take the answer from the others
        await asyncio.shield(self._next)
        return True

    @property
    def _is_scarce(self) -> bool:
        return self._account.is_crowded or self._account.pacer.headroom < 0.75

    def _asked(self, asking: asyncio.Task[None]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            # perhaps nobody waits for it, and whoever looks again hears of the trouble by asking again
            asking.exception()

    async def _ask(self) -> None:
        async with self._lock:
            if self._is_scarce:
                # in a burst one record each would take a third of all requests
                await asyncio.sleep(self.GATHER)
                await self._look_ahead()
            refs, told = list(self._wanted), self._patient
            self._wanted.clear()
            self._next, self._patient = None, []
            account = self._account
            try:
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
                    self._unanswered |= {*refs[start : start + self.BATCH]} - answered(changes)
            finally:
                for tell in told:
                    tell()

    async def _look_ahead(self) -> None:
        if self._expected is None or len(self._wanted) >= self.BATCH:
            return
        try:
            expected = await self._expected()
        except Exception:
            # those who lack it will ask for it
            log.exception("what decisions will lack is not known", extra={"action": "missing.broken"})
            return
        further = (ref for ref in expected if ref not in self._unanswered)
        self._wanted.update(dict.fromkeys(islice(further, self.BATCH - len(self._wanted))))

    async def close(self) -> None:
        """Stop what is under way."""
        asking = list(self._asking)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
