"""One writer per CRM account: takes what waits, paces, batches, sends, stores what became of it (DESIGN 2.5, 4)."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.interaction import InteractionId
from hub.core.plan import Plan, StepKey
from hub.core.records import RecordRef
from hub.core.remark import joined, remark
from hub.core.revise import StepState
from hub.engine.checkpoints import checkpoint
from hub.errors import Banned, NeedsCredentials, Rejected, Stale, Throttled, Unavailable, VendorError
from hub.ports import Changes, Write
from hub.runtime.account import Account
from hub.runtime.barrier import Barrier
from hub.runtime.batches import Batch, Unit, blocked, form_batches, not_ready, reunite
from hub.runtime.doubt import Doubt
from hub.runtime.gathering import Gathering
from hub.runtime.marking import Marking
from hub.runtime.pace import Cost, Urgency, counted, urgency
from hub.runtime.popups import Popups
from hub.runtime.resolve import Unresolved, resolve
from hub.runtime.results import Results, keep, lane_of, shown_in_tabs
from hub.runtime.timing import WriterTiming
from hub.store import steps, work
from hub.store.engine import Store
from hub.store.steps import Step
from hub.store.work import Lane, WorkState

__all__ = ["AccountWriter", "WriterTiming"]

log = logging.getLogger(__name__)

#: it is looked what waits at least so often
_LONGEST_PAUSE = timedelta(seconds=1)
#: seconds that a full request takes to be put together and marked: meanwhile a place would be idle
_AHEAD = 0.1


class AccountWriter:
    """Sends the waiting steps of one account.

    A dead CRM holds up this writer and its lanes, nothing else. ``wake_lane`` is called for every lane whose steps
    ended; ``refresh_names`` reads the CRM's users again when it refused one, before anything is decided again.
    """

    def __init__(
        self,
        account: Account,
        store: Store,
        clock: Clock,
        timing: WriterTiming,
        *,
        barrier: Barrier,
        wake_lane: Callable[[Lane], None],
        refresh_names: Callable[[], Awaitable[None]],
        may_write: Callable[[], bool],
        popups: Popups | None = None,
    ) -> None:
        self.account, self._store, self._clock, self._timing = account, store, clock, timing
        self._barrier, self._doubt = barrier, Doubt(account, store, clock, self._finish)
        self._wake_lane, self._refresh_names = wake_lane, refresh_names
        self._may_write, self._popups = may_write, popups
        self._wakeup = asyncio.Event()
        self._busy: set[int] = set()
        #: batch size allowed to steps that took part in a refused or timed-out request
        self._limits: dict[int, int] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._doubting: asyncio.Task[None] | None = None
        #: how many of the running requests carry nothing but replays of a bulk; how many steps waited at the last look
        self._patient, self._waited = 0, 0
        self._gathering = Gathering()
        #: at the last round no place was free for what waits; full requests were left for want of one
        self._is_cramped, self._has_full = False, False
        self._marking: Marking[tuple[list[Step], dict[StepKey, RecordRef]]] = Marking(store)
        #: when it was last looked what waits, and when the next of it falls due
        self._looked_at: datetime | None = None
        self._moment: datetime | None = None
        #: steps whose request ended without its outcome being stored
        self._stranded: set[int] = set()

    async def rest(self) -> None:
        """Wait until no request is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def wake(self, *, is_urgent: bool = True) -> None:
        """There is something new to send; what is not urgent may wait for others to share its request."""
        if is_urgent or self._gathering.is_enough():
            self._wakeup.set()

    def foresee(self, plan: Plan) -> None:
        """``plan``, an interaction's first, is being stored: read what its steps rest on meanwhile, if it is alone."""
        if self.account.may_ask and not self.account.backlog and not self._running and self._may_write():
            self._barrier.foresee(plan.actions)

    async def run(self) -> None:
        """Write until cancelled; at start, what a process before us had sent is in doubt."""
        await self._recover("hub_stopped")
        try:
            while True:
                self._wakeup.clear()
                try:
                    has_looked = self.account.may_ask and self._may_write() and await self._round()
                    # what was decided during the look leaves at once, unless a request gathers that it may join
                    if has_looked and self._gathering.is_enough(0):
                        self._wakeup.set()
                    await self._pause()
                except Exception:
                    # whatever is wrong with one step, the account goes on with the others (H4)
                    log.exception("the writer of %s broke", self.account.name, extra={"action": "writer.broken"})
                    await asyncio.sleep(1)
        finally:
            tasks = [*self._running, *([self._doubting] if self._doubting else []), *self._barrier.reading]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _recover(self, why: str, only: frozenset[int] | None = None) -> None:
        """Put steps in doubt that stand as sent and whose request nobody waits for."""
        account, now = self.account, self._clock.now()
        not_before = now + account.request_timeout + self._timing.doubt_wait
        found = await self._store.write(
            lambda conn: steps.recover(
                conn, account.project, account.name, now=now, not_before=not_before, note=remark(why), only=only
            )
        )
        if found:
            log.warning(
                "connection %s/%s: %d steps were on their way when %s; they are looked for first",
                account.project,
                account.name,
                sum(found.values()),
                why,
                extra={"action": "writer.recovered", "steps": found},
            )

    async def _pause(self) -> None:
        """Until woken, until something falls due, or a second has passed."""
        account, longest = self.account, _LONGEST_PAUSE.total_seconds()
        due_in = 0.0 if self._moment is None else (self._moment - self._clock.now()).total_seconds()
        seconds = min(longest, account.retry_in or longest, due_in if due_in > 0 else longest)
        ready_in = account.pacer.ready_in
        # 0 if a place became free since it was found that there is none
        if ready_in or self._is_cramped:
            seconds = min(seconds, ready_in - _AHEAD if self._has_full and ready_in > _AHEAD else ready_in)
        try:
            async with asyncio.timeout(max(0.005, seconds)):
                await self._wakeup.wait()
        except TimeoutError:
            pass

    async def _round(self) -> bool:
        """Start as many requests as may be on their way together; whether it was looked what waits."""
        account, now = self.account, self._clock.now()
        if self._stranded:
            stranded = frozenset(self._stranded)
            await self._recover("outcome_lost", stranded)
            self._stranded -= stranded
        # what cannot leave yet is not put together yet: meanwhile more of its kind comes to share the request
        room = account.pacer.room_for(Urgency.RETRY, has_some=bool(self._running), within=_AHEAD * self._has_full)
        self._is_cramped = room <= 0
        free = min(self._timing.parallel - len(self._running), room)
        if free <= 0 and self._looked_at is not None and now - self._looked_at < _LONGEST_PAUSE:
            return False
        self._looked_at = now
        self._gathering.looks()
        waiting, states, self._moment, has_doubts, undecided = await self._store.read(
            lambda conn: self._look(conn, now), is_short=self._waited < 20
        )
        self._waited = len(waiting)
        self._gathering.saw()
        account.backlog = undecided + sum(1 for step in waiting if step.urgency < Urgency.IMPORT)
        if has_doubts and (self._doubting is None or self._doubting.done()):
            # beside the sending: lists are slow to read, and a popup does not wait for them
            self._doubting = asyncio.create_task(self._check_doubts(), name=f"doubts {account.name}")
        if free <= 0 or not waiting:
            return True
        if hopeless := blocked(waiting, states):
            await self._finish_blocked(hopeless)
            gone = {step.id for step in hopeless}
            waiting = [step for step in waiting if step.id not in gone]
        batches = form_batches(
            waiting,
            states,
            sizes=account.capabilities.batch_sizes,
            has_combined_create=account.capabilities.has_combined_create,
            limits=self._limits,
            busy=self._busy,
            most=len(waiting),
        )
        coming, self._has_full = not_ready(waiting, states), False
        for batch in sorted(batches, key=partial(self._turn, now=now)):
            if not free:
                self._has_full = not self._turn(batch, now)[1]
                break
            # what waits for more leaves its turn to what is full
            if self._gathers(batch, coming.get(batch.kind, 0) + undecided, now):
                continue
            if batch.urgency >= Urgency.IMPORT:
                # many replays leave half of the account's requests to what is fresh (X13)
                if self._patient >= max(1, self._timing.parallel // 2):
                    continue
                self._patient += 1
            free -= 1
            self._busy |= {step.id for step in batch.steps}
            self._gathering.left(batch.kind, now)
            task = asyncio.create_task(self._send_guarded(batch), name=f"write {account.name} {batch.kind}")
            self._running.add(task)
            task.add_done_callback(partial(self._ended, batch=batch))
        return True

    def _turn(self, batch: Batch, now: datetime) -> tuple[int, int]:
        size = batch.limit(self.account.capabilities.batch_sizes)
        return batch.urgency, self._gathering.turn(batch, size=size, now=now)

    def _gathers(self, batch: Batch, coming: int, now: datetime) -> bool:
        """Whether ``batch`` waits for more of its kind; what took part in a failed request goes as it is."""
        if any(step.id in self._limits for step in batch.steps):
            return False
        size, is_scarce = batch.limit(self.account.capabilities.batch_sizes), self.account.is_crowded
        until = self._gathering.until(batch, size=size, coming=coming, is_scarce=is_scarce, now=now)
        if until is not None and (self._moment is None or until < self._moment):
            self._moment = until
        return until is not None

    async def _check_doubts(self) -> None:
        try:
            await self._doubt.check_due()
        except Exception:
            log.exception("the doubts of %s were not checked", self.account.name, extra={"action": "doubt.broken"})

    def _look(
        self, conn: Connection, now: datetime
    ) -> tuple[list[Step], dict[StepKey, StepState], datetime | None, bool, int]:
        """What may go, how that stands which it needs, when something falls due, whether there are doubts to check.

        And how many interactions are to be decided that may want something too.
        """
        account = (self.account.project, self.account.name)
        waiting = steps.waiting(conn, *account, now)
        states = {step.key: step.state for step in waiting}
        states |= steps.states(conn, *account, {key for step in waiting for key in step.needs} - states.keys())
        has_doubts = bool(steps.due_doubts(conn, *account, now, limit=1))
        undecided = work.count_undecided(conn, *account, now)
        return waiting, states, steps.next_moment(conn, *account, now), has_doubts, undecided

    def _ended(self, task: asyncio.Task[None], batch: Batch) -> None:
        ids = {step.id for step in batch.steps}
        self._running.discard(task)
        self._patient -= batch.urgency >= Urgency.IMPORT
        self._busy -= ids
        self._gathering.answered(batch.kind)
        self._wakeup.set()
        if not task.cancelled() and task.exception() is not None:
            self._stranded |= ids
            log.error("a write failed inside the hub", exc_info=task.exception(), extra={"action": "writer.broken"})

    async def _send_guarded(self, batch: Batch) -> None:
        with urgency(Urgency(batch.urgency)), counted() as cost:
            try:
                await self._send(batch, cost)
            finally:
                if cost.requests:
                    await self._store.write(lambda conn: self._charge(conn, batch, cost))

    def _charge(self, conn: Connection, batch: Batch, cost: Cost) -> None:
        work.charge(conn, [step.interaction_id for step in batch.steps], self.account.name, cost.requests)

    async def _send(self, batch: Batch, cost: Cost) -> None:
        account = self.account
        try:
            changed = await self._barrier.check(batch.steps)
        except VendorError as error:
            account.failed(error)
            if isinstance(error, Throttled):
                account.pacer.pause(error.retry_after)
            return
        checkpoint("writer.barrier_read")
        if changed:
            await self._decide_again(changed)
            batch_units = tuple(
                unit for unit in batch.units if not any(step.interaction_id in changed for step in unit.steps)
            )
            if not batch_units:
                return
            batch = Batch(units=batch_units)
        batch_id, now = uuid.uuid4().hex, self._clock.now()
        fresh, made = await self._marking.mark(lambda conn: self._mark(conn, batch, batch_id, now))
        checkpoint("writer.marked_sent")
        outcome = Results()
        if batch.kind == "notify" and self._popups is not None:
            fresh = shown_in_tabs(fresh, await self._popups.unseen(fresh), outcome)
        writes: dict[StepKey, Write] = {}
        notes: dict[StepKey, str] = {}
        items: list[Write] = []
        units = reunite(batch, fresh)
        going = {step.id for unit in units for step in unit.steps}
        outcome.again.extend(
            (step, remark("contact_decided_anew"), None, False) for step in fresh if step.id not in going
        )
        for unit in units:
            try:
                item = self._resolve(unit, made, now, notes)
            except Unresolved as reason:
                outcome.rejected.extend((step, reason.note) for step in unit.steps)
                continue
            items.append(item)
            writes[item.key] = item
            if item.with_contact is not None:
                writes[item.with_contact.key] = item.with_contact
        by_key = {step.key: step for step in fresh}
        if items:
            await self._apply(items, writes, by_key, notes, outcome)
        checkpoint("writer.answered")
        if outcome.stale:
            await self._look_again(outcome, writes)
        await self._finish(outcome, lambda conn: self._charge(conn, batch, cost))
        cost.requests = 0

    async def _look_again(self, outcome: Results, writes: Mapping[StepKey, Write]) -> None:
        """What the CRM refused as outdated is decided again with the users and records that there are now."""
        self._barrier.forget(step for step, _ in outcome.stale)
        refs = {ref for step, _ in outcome.stale if step.key in writes for ref in writes[step.key].refs.values()}
        try:
            if outcome.is_user_stale:
                await self._refresh_names()
            elif refs:
                began = self._clock.now()
                await self.account.fold(await self.account.session.read(sorted(refs, key=str)), began)
        except VendorError as error:
            # decided on what is known, and refused again, until its attempts are used up
            log.warning("%s cannot be read again: %s", self.account.name, error, extra={"action": "writer.stale"})

    def _mark(
        self, conn: Connection, batch: Batch, batch_id: str, now: datetime
    ) -> tuple[list[Step], dict[StepKey, RecordRef]]:
        """Commit that these steps are about to leave; as they are now, for they may have been replaced meanwhile."""
        account = self.account
        # whoever replaces a step meanwhile does so before it is marked, or finds it marked
        work.hold(conn, {step.interaction_id for step in batch.steps}, account.name)
        fresh = steps.mark_sent(conn, [step.id for step in batch.steps], batch_id, now)
        needed = {key for step in fresh for key in step.needs}
        done = steps.by_keys(conn, account.project, account.name, needed)
        return fresh, {key: step.record for key, step in done.items() if step.record is not None}

    def _resolve(
        self, unit: Unit, made: Mapping[StepKey, RecordRef], now: datetime, notes: dict[StepKey, str]
    ) -> Write:
        names = self.account.names
        contact: Write | None = None
        if unit.contact is not None:
            contact, missing = resolve(
                unit.contact.key, unit.contact.action, hub_id=unit.contact.hub_id, names=names, made=made
            )
            notes[unit.contact.key] = joined(*missing)
        write, missing = resolve(
            unit.step.key,
            unit.step.action,
            hub_id=unit.step.hub_id,
            names=names,
            made=made,
            with_contact=contact,
            card=self.account.session.record_url,
        )
        notes[unit.step.key] = joined(*missing)
        return write

    async def _apply(
        self,
        items: Sequence[Write],
        writes: Mapping[StepKey, Write],
        by_key: Mapping[StepKey, Step],
        notes: Mapping[StepKey, str],
        outcome: Results,
    ) -> None:
        """One request, and what each of its steps came to."""
        account, now = self.account, self._clock.now()
        sent = [by_key[key] for key in writes]
        try:
            async with asyncio.timeout(account.request_timeout.total_seconds() + 600):
                answers = await account.session.apply(items)
        except Throttled as error:
            again = now + timedelta(seconds=account.pacer.pause(error.retry_after))
            outcome.again.extend((step, remark("slow_down"), again, False) for step in sent)
            return
        except Rejected as error:
            outcome.take_refusal(error, items, by_key, self._limits)
            account.succeeded()
            return
        except Stale as error:
            outcome.stale.extend((step, remark("outdated", said=error)) for step in sent)
            account.succeeded()
            return
        except (NeedsCredentials, Banned) as error:
            account.failed(error)
            outcome.again.extend((step, remark("no_access", said=error), None, False) for step in sent)
            return
        except (Unavailable, TimeoutError) as error:
            self._sort_unavailable(error, items, sent, outcome)
            return
        except Exception as error:
            # a sink that breaks inside: whether the vendor applied it is unknown
            log.exception("sink %s broke in apply", account.sink, extra={"action": "sink.broken"})
            note = remark("plugin_failed", said=f"{type(error).__name__}: {error}")
            outcome.doubtful.extend((step, note) for step in sent)
            return
        account.succeeded()
        account.written_at = self._clock.now()
        outcome.take_answers(answers, writes, by_key, notes, account, now)

    def _sort_unavailable(
        self, error: Unavailable | TimeoutError, items: Sequence[Write], sent: Sequence[Step], outcome: Results
    ) -> None:
        problem = error if isinstance(error, Unavailable) else Unavailable("no answer came in time")
        pause = self.account.failed(problem)
        self._barrier.forget(sent)
        text = remark("unavailable", said=problem)
        if len(items) > 1 and (problem.maybe_applied or problem.too_large):
            for step in sent:
                self._limits[step.id] = max(1, len(items) // 2)
        if not problem.maybe_applied:
            if problem.too_large and len(items) == 1:
                outcome.rejected.extend((step, text) for step in sent)
                return
            again = self._clock.now() + pause
            outcome.again.extend((step, text, again, False) for step in sent)
            return
        outcome.doubtful.extend((step, text) for step in sent)

    async def _finish(self, outcome: Results, also: Callable[[Connection], None] = lambda _: None) -> None:
        """Tell the directory, store what became of the steps, each in one transaction; then wake the lanes.

        In this order: whoever looks at the client's next interaction once a step is done, for whatever reason, must
        find in the directory what the step made, all of it, or makes it again (H3). Killed in between, the steps are
        in doubt, and found. ``also`` is stored in the same transaction.
        """
        now = self._clock.now()
        timeout, timing = self.account.request_timeout, self._timing
        learnt = outcome.learnt()
        if learnt != Changes():
            await self.account.fold_own(learnt, now)
        checkpoint("writer.folded")

        def store(conn: Connection) -> set[Lane]:
            lanes = keep(conn, outcome, now, timing=timing, request_timeout=timeout)
            also(conn)
            return lanes

        lanes = await self._store.write(store)
        checkpoint("writer.stored")
        if self._popups is not None:
            self._popups.made([(step, record) for step, record, *_ in outcome.done])
        for step in (*(step for step, *_ in outcome.done), *(step for step, _ in outcome.rejected)):
            self._limits.pop(step.id, None)
        for step, text in outcome.rejected:
            if step.action.kind == "notify":
                continue
            log.warning("step %s was refused: %s", step.key, text, extra={"action": "step.rejected", "step": step.key})
        for lane in lanes:
            self._wake_lane(lane)
        if outcome.again or outcome.doubtful:
            self._wakeup.set()

    async def _decide_again(self, changed: set[InteractionId]) -> None:
        """The CRM is no longer what the decision saw: nothing of it leaves, the lane decides anew."""
        now, account = self._clock.now(), self.account

        def reopen(conn: Connection) -> list[Lane]:
            lanes = []
            work.hold(conn, changed, account.name)
            for interaction_id in sorted(changed):
                if (found := work.get(conn, interaction_id, account.name)) is not None:
                    work.put(conn, found, WorkState.OPEN, now=now, note=remark("crm_changed"))
                    lanes.append(Lane(client_id=found.client_id, connection=found.connection, project=found.project))
            return lanes

        for lane in await self._store.write(reopen):
            self._wake_lane(lane)

    async def _finish_blocked(self, hopeless: Sequence[Step]) -> None:
        now = self._clock.now()

        def store(conn: Connection) -> None:
            work.hold(conn, {step.interaction_id for step in hopeless}, self.account.name)
            note = remark("owner_refused")
            steps.set_states(conn, [steps.moved(step.id, StepState.REJECTED, now=now, note=note) for step in hopeless])

        await self._store.write(store)
        for lane in {lane_of(step) for step in hopeless}:
            self._wake_lane(lane)
