"""Absence is proven by a barrier, not by a search (DESIGN 2).

Before anything new is made in the CRM for a client, the most recently changed records are read once and folded into
the directory; one reading serves every interaction that ended before it began. If it shows that the CRM is no
longer what the decision saw, the interaction is decided again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from hub.clock import Clock, Stamp
from hub.core.interaction import InteractionId
from hub.core.plan import Action, CreateContact, CreateDeal, CreateTask
from hub.core.records import RecordKind, RecordRef
from hub.core.revise import BY_HAND, StepState
from hub.runtime.account import Account
from hub.runtime.pace import charge, counted
from hub.store import steps, work
from hub.store.engine import Store
from hub.store.steps import Step
from hub.store.work import Work

__all__ = ["Barrier", "required"]

log = logging.getLogger(__name__)


#: states of a step that the CRM has, or may have, applied
_BEGUN = frozenset({StepState.SENT, StepState.IN_DOUBT, StepState.DONE})


#: how far two clocks of one machine may be apart without one of them having been set
_JITTER = timedelta(seconds=1)

#: interactions that are looked at without a pause
_AT_ONCE = 8

T = TypeVar("T")


def required(action: Action) -> frozenset[RecordKind]:
    """The kinds of record whose absence ``action`` rests on."""
    match action:
        case CreateContact():
            return frozenset({RecordKind.CONTACT, RecordKind.COMPANY})
        case CreateDeal(contact=RecordRef()):
            return frozenset({RecordKind.DEAL})
        case CreateTask(on=RecordRef(), completed_at=None):
            return frozenset({RecordKind.TASK})
        case _:
            return frozenset()


def _is_contact_to_come(step: Step) -> bool:
    return step.state is StepState.WAITING and isinstance(step.action, CreateContact)


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """``items`` in pieces that take a few milliseconds each, so that another project's call goes between (H8)."""
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


class Barrier:
    """The barrier of one account."""

    def __init__(
        self,
        account: Account,
        store: Store,
        clock: Clock,
        *,
        view: Callable[[Sequence[Work]], Awaitable[Mapping[InteractionId, str]]],
        life: timedelta,
        overlap: timedelta,
    ) -> None:
        self._account, self._store, self._clock = account, store, clock
        self._view, self._life, self._overlap = view, life, overlap
        self._lock = asyncio.Lock()
        #: when the last reading of each kind began
        self._began: dict[RecordKind, Stamp] = {}
        #: interactions whose decision was compared with a reading, and when that reading began
        self._passed: dict[InteractionId, Stamp] = {}
        #: interactions whose request came to nothing, and when: only a reading begun after that counts for them
        self._failed: dict[InteractionId, datetime] = {}
        #: readings that were begun before anybody asked for them, and how many requests they took
        self.reading: set[asyncio.Task[None]] = set()
        self._foreseen = 0

    def foresee(self, actions: Iterable[Action]) -> None:
        """An interaction that is over wants ``actions``: begin to read what making its contact rests on.

        Only that: whether anything else of a decision is new in the CRM is known once it is stored.
        """
        known = self._account.capabilities.barrier_kinds
        kinds = {kind for action in actions if isinstance(action, CreateContact) for kind in required(action)} & known
        if kinds and not self._lock.locked() and not self.reading:
            task = asyncio.create_task(self._read_ahead(kinds), name=f"barrier of {self._account.name}")
            self.reading.add(task)
            task.add_done_callback(self.reading.discard)

    async def _read_ahead(self, kinds: Iterable[RecordKind]) -> None:
        with counted() as cost:
            try:
                await self._read(kinds, self._clock.now())
            except Exception as error:  # noqa: BLE001 - whoever sends what rests on it reads then, and hears of it
                log.debug("%s was not read ahead: %s", self._account.name, error)
            finally:
                self._foreseen += cost.requests

    def forget(self, failed: Iterable[Step]) -> None:
        """The request of these steps failed: until they are sent again a person may have done it all by hand."""
        now = self._clock.now()
        for step in failed:
            self._passed.pop(step.interaction_id, None)
            self._failed[step.interaction_id] = now

    async def check(self, sending: Sequence[Step]) -> set[InteractionId]:
        """The interactions among ``sending`` that must be decided again. Raises what the sink's reading raises."""
        # what a person wants rests on no decision that could be outdated: they looked, and the CRM was searched (U1)
        asking = [step for step in sending if step.action.reason.code != BY_HAND]
        wanted = {step.interaction_id for step in asking if self._asks(step.action)}
        self._passed = {key: began for key, began in self._passed.items() if began.age(self._clock) < self._life}
        wanted -= self._passed.keys()
        if not wanted:
            return set()
        works: list[Work] = []
        kinds: frozenset[RecordKind] = frozenset()
        for some in _parts(sorted(wanted)):
            fresh, of_these = await self._store.read(
                partial(self._unverified, interactions=some), is_short=len(some) == 1
            )
            works, kinds = [*works, *fresh], kinds | of_these
        if not works:
            return set()
        ended = [found.decide_at for found in works if found.decide_at is not None]
        failed = [at for found in works if (at := self._failed.get(found.interaction_id)) is not None]
        newest = max([*ended, *failed], default=self._clock.now())
        began = await self._read(kinds, newest)
        charge(self._foreseen)
        self._foreseen = 0
        seen: dict[InteractionId, str] = {}
        for part in _parts(works):
            seen |= await self._view(part)
        changed = {found.interaction_id for found in works if seen.get(found.interaction_id) != found.seen}
        for found in works:
            self._failed.pop(found.interaction_id, None)
            if found.interaction_id not in changed:
                self._passed[found.interaction_id] = began
        return changed

    def _asks(self, action: Action) -> bool:
        return bool(required(action) & self._account.capabilities.barrier_kinds)

    def _unverified(
        self, conn: Connection, interactions: Sequence[InteractionId]
    ) -> tuple[list[Work], frozenset[RecordKind]]:
        """Interactions of which nothing has been applied yet: later steps rest on what the first ones made.

        What was sent, and is known not to have been applied, waited since: the CRM may be another meanwhile. A contact
        rests on nothing that was made: one may be wanted since, for people merged away the one that was there.
        """
        fresh: list[Work] = []
        kinds: set[RecordKind] = set()
        for interaction_id in interactions:
            found = steps.of_interaction(conn, interaction_id, self._account.name)
            item = work.get(conn, interaction_id, self._account.name)
            is_begun = any(step.state in _BEGUN for step in found)
            if item is None or (is_begun and not any(_is_contact_to_come(step) for step in found)):
                continue
            fresh.append(item)
            kinds |= {kind for step in found for kind in required(step.action)}
        return fresh, frozenset(kinds) & self._account.capabilities.barrier_kinds

    async def _read(self, kinds: Iterable[RecordKind], newest: datetime) -> Stamp:
        """Read the kinds whose last reading began before ``newest`` or is too old; when the oldest one began."""
        kinds = set(kinds)
        async with self._lock:
            now = Stamp.of(self._clock)
            missing = {kind for kind in kinds if self._is_old(self._began.get(kind), newest, now)}
            if missing:
                account = self._account
                begin = min(self._complete_until(kind, now) for kind in missing) - self._overlap
                changes = await account.vendor_clock.allowing(
                    lambda lead: account.session.barrier(missing, begin - lead)
                )
                account.succeeded()
                await account.fold(changes, now.at)
                self._began |= dict.fromkeys(missing, now)
                account.is_complete(missing, now)
        return min((self._began[kind] for kind in kinds), default=now, key=lambda moment: moment.tick)

    def _is_old(self, began: Stamp | None, newest: datetime, now: Stamp) -> bool:
        """Whether a reading begun then says nothing of ``newest``, by the wall clock or by the time that has passed.

        By both: if the clock was set in between, one of them is wrong.
        """
        if began is None or not newest <= began.at <= now.at:
            return True
        age = began.age(self._clock)
        return age > self._life or age > now.at - newest + _JITTER

    def _complete_until(self, kind: RecordKind, now: Stamp) -> datetime:
        """Up to when the directory knows all of ``kind``, by the clock as it is set now."""
        account = self._account
        if (known := account.complete_until.get(kind)) is not None:
            return now.at - known.age(self._clock)
        # before the first poll of this process: where the directory ended, however long the hub was down
        ended = account.directory.as_of(account.project, account.name)
        return ended if ended is not None and ended <= now.at else now.at - timedelta(hours=1)
