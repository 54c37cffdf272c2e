"""What became of the steps of one request, gathered before it is stored in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from hub.core.plan import Notify, StepKey
from hub.core.records import EmployeeId, RecordRef
from hub.core.remark import joined, remark
from hub.core.revise import StepState
from hub.engine.ending import end
from hub.errors import Rejected
from hub.ports import Applied, Changes, Done, Refused, Write
from hub.runtime.account import Account
from hub.runtime.batches import linked
from hub.runtime.effects import effect, held
from hub.runtime.pace import Urgency
from hub.runtime.timing import WriterTiming
from hub.store import codec, ends, steps, work
from hub.store.steps import Step
from hub.store.work import Lane, WorkState

__all__ = ["Results", "keep", "lane_of", "shown_in_tabs"]

#: the codes by which a sink says that an item's user or record, not the item, is the problem
STALE_CODES = frozenset({"stale_user", "stale_record"})


@dataclass(slots=True, kw_only=True)
class Results:
    """Each step of a request stands in exactly one of the lists."""

    #: (step, the record it made or changed, what the directory must learn, a sentence about what was left out)
    done: list[tuple[Step, RecordRef | None, Changes, str]] = field(default_factory=list)
    #: back to waiting: (step, why, not before, counts as an attempt)
    again: list[tuple[Step, str, datetime | None, bool]] = field(default_factory=list)
    #: sent, and nobody knows whether it was applied: (step, why)
    doubtful: list[tuple[Step, str]] = field(default_factory=list)
    #: looked for once and not found: it is looked for again before it is sent again
    unseen: list[tuple[Step, str]] = field(default_factory=list)
    #: could not be looked for: it stays in doubt, until its attempts are used up
    unasked: list[tuple[Step, str]] = field(default_factory=list)
    rejected: list[tuple[Step, str]] = field(default_factory=list)
    #: the decision no longer fits the CRM: decide again
    stale: list[tuple[Step, str]] = field(default_factory=list)
    #: among `stale` are some whose user, not whose record, is the problem
    is_user_stale: bool = False

    def steps(self) -> Iterator[Step]:
        """All of them."""
        for told in (self.done, self.again, self.doubtful, self.unseen, self.unasked, self.rejected, self.stale):
            for step, *_ in told:
                yield step

    def take_answers(
        self,
        answers: Mapping[StepKey, Applied],
        writes: Mapping[StepKey, Write],
        by_key: Mapping[StepKey, Step],
        notes: Mapping[StepKey, str],
        account: Account,
        now: datetime,
    ) -> None:
        """Of a request that went through: what each of its steps came to."""
        contacts = {write.with_contact.key: key for key, write in writes.items() if write.with_contact is not None}
        for key, write in writes.items():
            step = by_key[key]
            match answers.get(key):
                case Done() as done:
                    changes = effect(write, done, account.names.catalogue, now, held(account, write))
                    contact = write.with_contact and answers.get(write.with_contact.key)
                    if isinstance(contact, Done) and contact.record and changes.deals:
                        changes = linked(changes, contact.record.id)
                    self.done.append((step, done.record, changes, notes.get(key, "")))
                case Refused(is_stale=True) as refused:
                    self.stale.append((step, refused.text))
                    self.is_user_stale |= refused.is_user_stale
                case Refused() as refused:
                    self.rejected.append((step, refused.text))
                case None:
                    text = remark("deal_answered_only" if key in contacts else "not_answered")
                    self.doubtful.append((step, text))

    def take_refusal(
        self,
        error: Rejected,
        items: Sequence[Write],
        by_key: Mapping[StepKey, Step],
        limits: dict[int, int],
    ) -> None:
        """One bad item takes nobody with it: those named leave, the rest is sent again at no cost.

        Nobody named: ``limits`` halves the size of the batch that these steps may take part in.
        """
        named = set(error.problems) & {str(key) for key in by_key}
        for item in items:
            keys = [item.key, *([item.with_contact.key] if item.with_contact else [])]
            unit = [by_key[key] for key in keys]
            problems = [problem for key in keys for problem in error.problems.get(str(key), ())]
            if not any(str(key) in named for key in keys):
                if named:
                    self.again.extend((step, remark("neighbour_refused"), None, False) for step in unit)
                elif len(items) > 1:
                    for step in unit:
                        limits[step.id] = max(1, len(items) // 2)
                    self.again.extend((step, remark("neighbour_refused"), None, False) for step in unit)
                else:
                    self.rejected.extend((step, str(error)) for step in unit)
                continue
            text = "; ".join(str(problem) for problem in problems)
            if any(problem.code in STALE_CODES for problem in problems):
                self.stale.extend((step, text) for step in unit)
                self.is_user_stale |= any(problem.code == "stale_user" for problem in problems)
            else:
                self.rejected.extend((step, text) for step in unit)

    def learnt(self) -> Changes:
        """What the directory must learn of everything that is done, in the order in which it was done."""
        told = [changes for _, _, changes, _ in self.done]
        return Changes(
            contacts=tuple(one for changes in told for one in changes.contacts),
            companies=tuple(one for changes in told for one in changes.companies),
            deals=tuple(one for changes in told for one in changes.deals),
            tasks=tuple(one for changes in told for one in changes.tasks),
            deleted=tuple(ref for changes in told for ref in changes.deleted),
            touched=tuple(dict.fromkeys(ref for changes in told for ref in changes.touched)),
        )


def lane_of(step: Step) -> Lane:
    """The lane that waits for the step."""
    return Lane(client_id=step.client_id, connection=step.connection, project=step.project)


def keep(
    conn: Connection, outcome: Results, now: datetime, *, timing: WriterTiming, request_timeout: timedelta
) -> set[Lane]:
    """Store ``outcome`` and end the interactions that have nothing left to send; the lanes that can go on.

    The directory must know already what was done: the client's next interaction may be decided as soon as this is kept.
    """
    touched = {step.interaction_id: lane_of(step) for step in outcome.steps()}
    if not touched:
        return set()
    connection = next(iter(touched.values())).connection
    work.hold(conn, touched, connection)
    _keep_steps(conn, outcome, now, timing=timing, request_timeout=request_timeout)
    counts = ends.states_of(conn, touched, connection)
    for found in ends.works_of(conn, touched, connection):
        end(conn, found, counts.get(found.interaction_id, {}), now)
    clients = {lane.client_id: lane for lane in touched.values()}
    return {clients[client] for client in ends.clients_with_open(conn, clients, connection)}


def _keep_steps(
    conn: Connection, outcome: Results, now: datetime, *, timing: WriterTiming, request_timeout: timedelta
) -> None:
    move = partial(steps.moved, now=now)
    moves: list[dict[str, Any]] = []
    for step, record, changes, note in outcome.done:
        blob = codec.dump_changes(changes) if changes != Changes() else None
        moves.append(move(step.id, StepState.DONE, record=record, effect=blob, note=note))
    for step, note, moment, counts in outcome.again:
        state = StepState.WAITING
        if counts and step.attempts + 1 >= timing.most_attempts:
            state = StepState.REJECTED
        urgency = max(step.urgency, int(Urgency.RETRY)) if counts else None
        moves.append(
            move(step.id, state, note=note, not_before=moment, add_attempt=counts, urgency=urgency, doubt_checks=0)
        )
    for step, note in outcome.doubtful:
        if _is_popup(step):
            # at most once: a popup that may have been shown is not shown again
            moves.append(move(step.id, StepState.DONE, note=joined(remark("shown_perhaps"), note)))
            continue
        moment = now + timing.doubt_wait + request_timeout
        moves.append(move(step.id, StepState.IN_DOUBT, note=note, not_before=moment))
    for step, note in outcome.unseen:
        moment, checks = now + timing.doubt_wait, step.doubt_checks + 1
        moves.append(move(step.id, StepState.IN_DOUBT, note=note, not_before=moment, doubt_checks=checks))
    for step, note in outcome.unasked:
        ended = step.attempts + 1 >= timing.most_attempts
        state = StepState.REJECTED if ended else StepState.IN_DOUBT
        moves.append(move(step.id, state, note=note, not_before=now + timing.doubt_wait, add_attempt=True))
    for step, note in outcome.rejected:
        if _is_popup(step):
            # a popup that cannot be shown is nobody's work; its task stands
            moves.append(move(step.id, StepState.DONE, note=joined(remark("not_shown"), note)))
        else:
            moves.append(move(step.id, StepState.REJECTED, note=note, add_attempt=True))
    opened: list[tuple[Step, str]] = []
    for step, note in outcome.stale:
        ended = step.attempts + 1 >= timing.most_attempts
        moves.append(move(step.id, StepState.REJECTED if ended else StepState.WAITING, note=note, add_attempt=True))
        if not ended:
            opened.append((step, note))
    steps.set_states(conn, moves)
    for step, note in opened:
        item = work.get(conn, step.interaction_id, step.connection, to_change=True)
        if item is not None:
            work.put(conn, item, WorkState.OPEN, now=now, note=note)


def shown_in_tabs(sent: Sequence[Step], unseen: Mapping[StepKey, Sequence[EmployeeId]], outcome: Results) -> list[Step]:
    """What of the notices ``sent`` the CRM itself has to tell, to those ``unseen``; the others are done."""
    left: list[Step] = []
    for step in sent:
        action = step.action
        employees = tuple(unseen.get(step.key, ()))
        if not isinstance(action, Notify) or employees == action.employees:
            left.append(step)
        elif employees:
            left.append(replace(step, action=replace(action, employees=employees)))
        else:
            outcome.done.append((step, None, Changes(), remark("shown_in_tab")))
    return left


def _is_popup(step: Step) -> bool:
    return step.action.kind == "notify"
