"""Steps whose answer was lost are looked for in the CRM before they are sent again (X5, DESIGN 2, "In doubt")."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.plan import CreateDeal, NewRecord, StepKey
from hub.core.records import RecordRef
from hub.engine.checkpoints import checkpoint
from hub.errors import Throttled, VendorError
from hub.ports import Done, Write
from hub.runtime.account import Account
from hub.runtime.effects import effect
from hub.runtime.pace import Urgency, counted, urgency
from hub.runtime.resolve import Unresolved, resolve
from hub.runtime.results import Results
from hub.store import steps, work
from hub.store.engine import Store
from hub.store.steps import Step

__all__ = ["MOST_CHECKS", "Doubt"]

log = logging.getLogger(__name__)

#: a request may be applied after its connection broke: "not found" is believed the second time only
MOST_CHECKS = 2


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
        due, made = await self._store.read(lambda conn: self._due(conn, now))
        if not due:
            return
        results = Results()
        writes, by_key = self._writes(due, made, results)
        found: dict[StepKey, Done] = {}
        with urgency(Urgency.RETRY), counted() as cost:
            try:
                found = dict(await account.session.find_done(writes)) if writes else {}
            except VendorError as error:
                account.failed(error)
                if isinstance(error, Throttled):
                    account.pacer.pause(error.retry_after)
                return
        account.succeeded()
        checkpoint("doubt.checked")
        for write in writes:
            step = by_key[write.key]
            done = found.get(write.key)
            if done is not None:
                changes = effect(write, done, account.names.catalogue, now)
                results.done.append((step, done.record, changes, "found in the CRM after its answer was lost"))
            elif step.doubt_checks + 1 < MOST_CHECKS:
                results.unseen.append((step, "not found yet"))
            else:
                counts = account.written_at is not None and step.sent_at is not None
                counts = counts and account.written_at > step.sent_at  # type: ignore[operator]  # checked above
                results.again.append((step, "not found in the CRM: it was not applied", None, counts))
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
                write, _ = resolve(step.key, action, hub_id=step.hub_id, names=self._account.names, made=made)
            except Unresolved as reason:
                results.again.append((step, str(reason), None, False))
                continue
            writes.append(replace(write, sent_at=step.sent_at or step.created_at))
            by_key[step.key] = step
        return writes, by_key
