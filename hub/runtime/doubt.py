"""Steps whose answer was lost are looked for in the CRM before they are sent again (X5, DESIGN 2, "In doubt")."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.plan import AddNote, CreateDeal, CreateTask, NewRecord, StepKey
from hub.core.records import EmployeeId, RecordRef, UserId
from hub.core.remark import joined, remark
from hub.core.revise import StepState
from hub.engine.checkpoints import checkpoint
from hub.errors import Rejected, Stale, Throttled, VendorError
from hub.ports import Changes, Done, Write
from hub.runtime.account import Account
from hub.runtime.effects import effect
from hub.runtime.pace import Urgency, counted, urgency
from hub.runtime.resolve import Names, Unresolved, resolve
from hub.runtime.results import Results
from hub.store import steps, work
from hub.store.directory_fold import OWN_WRITE_MARGIN
from hub.store.engine import Store
from hub.store.steps import Step

__all__ = ["MOST_CHECKS", "Doubt"]

log = logging.getLogger(__name__)

#: a request may be applied after its connection broke: "not found" is believed the second time only
MOST_CHECKS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownNames(Names):
    """Names for looking only: an employee who is no user any more must not keep a step from being looked for."""

    def user(self, employee: EmployeeId | None) -> UserId | None:
        return Names.user(self, employee) or (None if employee is None else UserId(""))


class Doubt:
    """Looks for the doubtful steps of one account."""

    def __init__(
        self,
        account: Account,
        store: Store,
        clock: Clock,
        finish: Callable[[Results], Awaitable[None]],
    ) -> None:
        self._account, self._store, self._clock, self._finish = account, store, clock, finish

    async def check_due(self) -> None:
        """Ask for all steps whose moment has come, in one go."""
        account, now = self._account, self._clock.now()
        if not await self._store.read(
            lambda conn: steps.due_doubts(conn, account.project, account.name, now, limit=1), is_short=True
        ):
            return
        due, made = await self._store.read(lambda conn: self._due(conn, now))
        results = Results()
        writes, by_key = self._writes(due, made, results)
        with urgency(Urgency.RETRY), counted() as cost:
            try:
                found = await account.vendor_clock.allowing(partial(self._look, writes, by_key, results))
            except VendorError as error:
                account.failed(error)
                if isinstance(error, Throttled):
                    account.pacer.pause(error.retry_after)
                return
        account.succeeded()
        checkpoint("doubt.checked")
        unasked = {step.key for step, _ in results.unasked}
        taken = await self._store.read(lambda conn: self._taken(conn, found, by_key))
        for write in writes:
            step = by_key[write.key]
            done = found.get(write.key)
            if done is not None and write.key not in taken:
                changes = self._changes(write, step, done, found)
                results.done.append((step, done.record, changes, remark("found_after_all")))
            elif write.key in unasked:
                continue
            elif step.doubt_checks + 1 < MOST_CHECKS and step.action.kind not in account.capabilities.deduplicated:
                results.unseen.append((step, remark("not_found_yet")))
            else:
                counts = account.written_at is not None and step.sent_at is not None
                counts = counts and account.written_at > step.sent_at  # type: ignore[operator]  # checked above
                results.again.append((step, remark("not_applied"), None, counts))
        await self._finish(results)
        if cost.requests:
            ids = [step.interaction_id for step in due]
            await self._store.write(lambda conn: work.charge(conn, ids, account.name, cost.requests))
        checkpoint("doubt.stored")
        log.info(
            "looked for %d steps in doubt: %d were applied",
            len(due),
            len(results.done),
            extra={"action": "doubt.checked", "found": len(results.done), "asked": len(due)},
        )

    async def _look(
        self, writes: Sequence[Write], by_key: Mapping[StepKey, Step], results: Results, lead: timedelta
    ) -> dict[StepKey, Done]:
        """`_find`, where our clock may have been ahead of the CRM's by ``lead`` when ``writes`` were sent."""
        results.unasked.clear()
        earlier = [write if write.sent_at is None else replace(write, sent_at=write.sent_at - lead) for write in writes]
        return await self._find(earlier, by_key, results)

    async def _find(
        self, writes: Sequence[Write], by_key: Mapping[StepKey, Step], results: Results
    ) -> dict[StepKey, Done]:
        """What the CRM holds of ``writes``. One that the sink cannot look for leaves the others alone (H4)."""
        if not writes:
            return {}
        try:
            return dict(await self._account.session.find_done(writes))
        except VendorError as error:
            if not isinstance(error, Rejected | Stale):
                raise
            problem: Exception = error
        except Exception as error:
            log.exception("sink %s broke in find_done", self._account.sink, extra={"action": "sink.broken"})
            problem = error
        if len(writes) == 1:
            results.unasked.append((by_key[writes[0].key], remark("cannot_look", said=problem)))
            return {}
        half = len(writes) // 2
        found = await self._find(writes[:half], by_key, results)
        return found | await self._find(writes[half:], by_key, results)

    def _changes(self, write: Write, step: Step, done: Done, found: Mapping[StepKey, Done]) -> Changes:
        """What the directory must learn: as old as the request, so that whatever the CRM told since then stays."""
        moment = step.sent_at or step.created_at
        changes = effect(write, done, self._account.names.catalogue, moment)
        action = step.action
        if isinstance(action, CreateDeal) and isinstance(action.contact, NewRecord) and not write.refs.get("contact"):
            contact = found.get(action.contact.key)
            if contact is not None and contact.record is not None:
                held = (contact.record.id,)
                changes = replace(changes, deals=tuple(replace(deal, contact_ids=held) for deal in changes.deals))
        told = self._account.vendor_clock.theirs(moment) - OWN_WRITE_MARGIN
        return replace(
            changes,
            contacts=tuple(replace(one, updated_at=told) for one in changes.contacts),
            deals=tuple(replace(one, updated_at=told) for one in changes.deals),
            tasks=tuple(replace(one, updated_at=told) for one in changes.tasks),
        )

    def _taken(
        self, conn: Connection, found: Mapping[StepKey, Done], by_key: Mapping[StepKey, Step]
    ) -> frozenset[StepKey]:
        """Keys whose find is another step's record: notes and tasks are recognised by their content only."""
        taken: set[StepKey] = set()
        for key, done in found.items():
            step = by_key.get(key)
            if step is None or done.record is None or not isinstance(step.action, AddNote | CreateTask):
                continue
            others = steps.of_client(conn, step.client_id, step.connection, kind=step.action.kind)
            if any(one.record == done.record and one.id != step.id and one.state is StepState.DONE for one in others):
                taken.add(key)
        return frozenset(taken)

    def _due(self, conn: Connection, now: datetime) -> tuple[list[Step], dict[StepKey, RecordRef]]:
        account = self._account
        due = steps.due_doubts(conn, account.project, account.name, now)
        needed = {key for step in due for key in step.needs}
        done = steps.by_keys(conn, account.project, account.name, needed)
        return due, {key: step.record for key, step in done.items() if step.record is not None}

    def _writes(
        self, due: list[Step], made: dict[StepKey, RecordRef], results: Results
    ) -> tuple[list[Write], dict[StepKey, Step]]:
        """The writes to look for; a deal whose contact is in doubt too is looked for by its own Hub ID."""
        names = self._account.names
        known = _KnownNames(catalogue=names.catalogue, users=names.users, bound=names.bound)
        writes: list[Write] = []
        by_key: dict[StepKey, Step] = {}
        for step in due:
            action = step.action
            if (
                isinstance(action, CreateDeal)
                and isinstance(action.contact, NewRecord)
                and action.contact.key not in made
            ):
                action = replace(action, contact=None)
            try:
                write, _ = resolve(step.key, action, hub_id=step.hub_id, names=known, made=made)
            except Unresolved as reason:
                # what cannot be looked for must not be sent again: it may be there
                results.rejected.append((step, joined(remark("perhaps_there"), reason.note)))
                continue
            user = None if write.user == UserId("") else write.user
            writes.append(replace(write, user=user, sent_at=step.sent_at or step.created_at))
            by_key[step.key] = step
        return writes, by_key
