"""Popups: right after an interaction is stored, without asking a CRM and without waiting behind one (DESIGN 8).

What the webhooks tell is looked at in the order in which it came, beside ingest and never in its way: a popup that
cannot be made is logged and forgotten, the interaction goes its way. One task works for one process; of two processes
that look at one popup at once, the one that comes second looks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from sqlalchemy import Connection

from hub.core.facts import Facts
from hub.core.interaction import Call, Chat, Direction, InteractionId, Message
from hub.core.plan import CreateContact, CreateDeal, Notify, Plan, StepKey, UpdateContact, UpdateDeal
from hub.core.popup import Popup, assigned, is_missed_call, popup_key, popup_of, record_key, told
from hub.core.records import EmployeeId, RecordRef
from hub.core.shown import Shown
from hub.core.waiting import answers
from hub.engine.projects import LiveProject
from hub.runtime.crm_calls import CrmCalls, Raise, raises_of
from hub.runtime.ingest import Arrived
from hub.runtime.popup_face import view_of
from hub.runtime.services import Services
from hub.store import events, forwarding_log, interactions, popups, presence
from hub.store.interactions import Stored
from hub.store.popups import CARD, Kept, Told
from hub.store.steps import Step
from hub.store.work import Lane

__all__ = ["Popups"]

log = logging.getLogger(__name__)

#: what came so long before a start may not have popped up yet
MISSED_AT_START = timedelta(minutes=1)
#: looks that wait; more than that means that something is wrong, and popups are not worth the memory
MOST_WAITING = 10_000
#: seconds in which what no call waits for may gather
GATHER = 0.1
#: looked at in one reading, and stored in one transaction
BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """Something was told of an interaction."""

    project: str
    interaction: InteractionId
    #: whom the decision gave it to; None before, or if it is nobody's
    responsible: EmployeeId | None = None
    #: whom our own answer about the call named just now; None = what the journal of answers tells
    forwarded: EmployeeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notice:
    """The policy has something to say to somebody (A12, C7, X10)."""

    project: str
    interaction: InteractionId
    step: StepKey
    employees: tuple[EmployeeId, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """The hub made a customer or an order (C7)."""

    project: str
    interaction: InteractionId
    responsible: EmployeeId


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """Something of the client changed in a CRM: cards that are open are read again."""

    project: str
    interaction: InteractionId


_Task: TypeAlias = _Look | _Notice | _Record | _Card


@dataclass(slots=True, kw_only=True)
class _Change:
    """One popup that moves."""

    #: all that this round had to say about it, in order
    tasks: tuple[_Task, ...]
    project: LiveProject
    before: Kept | None
    told: Told
    raises: tuple[Raise, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Round:
    """What one look at several tasks comes to."""

    changes: dict[tuple[str, str], _Change] = field(default_factory=dict)
    #: (connection, employee) of the open tabs, by project
    tabs: dict[str, frozenset[tuple[str, EmployeeId]]] = field(default_factory=dict)
    #: (project, key) of what is dealt with for everybody
    dealt_with: set[tuple[str, str]] = field(default_factory=set)
    #: records that open cards may show, by project
    touched: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)


class Popups:
    """Everything that pops up in one process that does the hub's work."""

    def __init__(self, services: Services, *, wake_live: Callable[[], None]) -> None:
        self._services, self._wake_live = services, wake_live
        self._store, self._clock = services.store, services.clock
        #: what waits, each once and in order
        self._waiting: dict[_Task, None] = {}
        self._wakeup, self._is_idle = asyncio.Event(), asyncio.Event()
        #: wakes for what need not be looked at alone
        self._soon: asyncio.TimerHandle | None = None
        self._calls = CrmCalls(services)
        #: calls that ring, by the telephony's id: a forwarding question about one may be answered after it was shown
        self._ringing: dict[tuple[str, str], InteractionId] = {}

    # --- what happens -------------------------------------------------------------------------------------------

    def arrived(self, item: Arrived) -> None:
        """An interaction was stored; its popup follows."""
        if item.stored.is_changed or item.stored.is_new:
            interaction = item.stored.interaction
            self._add(_Look(project=interaction.project, interaction=interaction.id))

    def forwarded(self, project: str, call_id: str, employee: EmployeeId) -> None:
        """The telephony was told whom to ring for this call; microseconds."""
        found = self._ringing.get((project, call_id)) if call_id else None
        if found is not None:
            self._add(_Look(project=project, interaction=found, forwarded=employee))

    def planned(self, lane: Lane, interaction: InteractionId, plan: Plan) -> None:
        """A decision was stored: whom it tells of something, and whose a new client is."""
        for action in plan.actions:
            if isinstance(action, Notify):
                self._add(_notice(lane.project, interaction, action))
        if plan.responsible is not None:
            self._add(_Look(project=lane.project, interaction=interaction, responsible=plan.responsible))

    def made(self, done: Sequence[tuple[Step, RecordRef | None]]) -> None:
        """Steps were done in a CRM, and the directory knows: popups of new records, and cards to be read again."""
        for step, record in done:
            if record is None or step.urgency > 2:
                continue
            project, interaction, action = step.project, step.interaction_id, step.action
            self._add(_Card(project=project, interaction=interaction))
            if isinstance(action, CreateContact | CreateDeal) and action.responsible is not None:
                self._add(_Record(project=project, interaction=interaction, responsible=action.responsible))
            elif isinstance(action, UpdateContact | UpdateDeal) and action.responsible is not None:
                # somebody took the client: it is theirs now
                self._add(_Look(project=project, interaction=interaction, responsible=action.responsible))

    async def unseen(self, noticed: Sequence[Step]) -> Mapping[StepKey, tuple[EmployeeId, ...]]:
        """Whom the CRM itself has to tell, by step: those without an open tab there. The others have their popup.

        Never fails: where tabs cannot be told, the CRM tells everybody.
        """
        everybody = {step.key: step.action.employees for step in noticed if isinstance(step.action, Notify)}
        try:
            project, connection = noticed[0].project, noticed[0].connection
            now = self._clock.now()
            open_tabs = await self._store.read(lambda conn: presence.present(conn, project, now))
            if not open_tabs:
                return everybody
            tasks = [
                _notice(step.project, step.interaction_id, step.action)
                for step in noticed
                if isinstance(step.action, Notify)
            ]
            await self._work(tasks)
            return {
                key: tuple(one for one in employees if (connection, one) not in open_tabs)
                for key, employees in everybody.items()
            }
        except Exception:
            log.exception("open tabs were not told", extra={"action": "popup.broken"})
            return everybody

    # --- work ---------------------------------------------------------------------------------------------------

    def _add(self, task: _Task) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.pop(next(iter(self._waiting)))
        # told again meanwhile: what is read then is the newest, so the place in the queue may stay
        self._waiting[task] = None
        self._is_idle.clear()
        if isinstance(task, _Notice) or (isinstance(task, _Look) and task.responsible is None):
            self._wakeup.set()
        elif self._soon is None:
            # somebody rings in the one, nobody in the other: what a decision and its writes tell is looked at together
            self._soon = asyncio.get_running_loop().call_later(GATHER, self._wake)

    def _wake(self) -> None:
        self._soon = None
        self._wakeup.set()

    async def run(self) -> None:
        """Make popups until cancelled."""
        await self._catch_up()
        if not self._waiting:
            self._is_idle.set()
        try:
            while True:
                await self._wakeup.wait()
                self._wakeup.clear()
                while self._waiting:
                    tasks = list(self._waiting)[:BATCH]
                    for task in tasks:
                        del self._waiting[task]
                    try:
                        await self._work(tasks)
                    except Exception:
                        # at most once: what happens next to the same call is shown again
                        log.exception("%d popups were not made", len(tasks), extra={"action": "popup.broken"})
                self._is_idle.set()
        finally:
            await self._calls.close()

    async def idle(self) -> None:
        """Wait until everything that was told so far has been looked at, and the CRMs have been asked."""
        await self._is_idle.wait()
        await self._calls.idle()

    async def _catch_up(self) -> None:
        """What was stored just before this process started may not have popped up."""
        since = self._clock.now() - MISSED_AT_START
        try:
            for event in await self._store.read(lambda conn: events.recent(conn, "interaction", since)):
                self._add(_Look(project=event.project, interaction=InteractionId(event.body["interaction"])))
        except Exception:
            log.exception("what came before the start does not pop up", extra={"action": "popup.broken"})

    async def _work(self, tasks: Sequence[_Task]) -> None:
        """Look at ``tasks`` and store what moved; those in whose way another process came are looked at again."""
        for _ in range(5):
            now = self._clock.now()
            found = await self._store.read(partial(self._consider, tasks=tasks, now=now))
            if not (found.changes or found.touched or found.dealt_with):
                return
            lost = await self._store.write(partial(self._put, found=found, now=now))
            self._wake_live()
            for change in found.changes.values():
                if change not in lost:
                    self._follow(change)
                    self._calls.send(change.project, change.raises)
            if not lost:
                return
            tasks = [task for change in lost for task in change.tasks]

    def _follow(self, change: _Change) -> None:
        """Remember the calls that ring."""
        popup, call_id = change.told.popup, change.told.call_id
        if not call_id:
            return
        key = (change.project.name, call_id)
        if popup.answered_at is None and popup.ended_at is None:
            self._ringing[key] = popup.interaction
            if len(self._ringing) > MOST_WAITING:
                self._ringing.pop(next(iter(self._ringing)))
        else:
            self._ringing.pop(key, None)

    def _put(self, conn: Connection, found: _Round, now: datetime) -> list[_Change]:
        lost: list[_Change] = []
        projects = {name for name, _ in found.changes} | found.touched.keys()
        tabs = {name: presence.present(conn, name, now) for name in projects}
        for (name, _), change in found.changes.items():
            # here, where the popup is stored: a tab that opens later reads it there
            change.raises = raises_of(self._services, change.project, change.told, tabs[name])
            marks = tuple(mark for one in change.raises for mark in one.marks)
            kept = replace(change.told, raised=(*change.told.raised, *marks))
            if popups.put(conn, name, change.before, kept, now) is None:
                lost.append(change)
        for name, key in sorted(found.dealt_with):
            popups.dismiss(conn, name, key, None, now)
        for name, records in found.touched.items():
            if tabs[name]:
                events.append(conn, project=name, kind=CARD, body={"records": sorted(records)}, now=now)
        return lost

    # --- what moves ---------------------------------------------------------------------------------------------

    def _consider(self, conn: Connection, tasks: Sequence[_Task], now: datetime) -> _Round:
        """The popups that ``tasks`` move, each once, as they come to stand."""
        found = _Round()
        for task in tasks:
            project = self._services.projects.find(task.project)
            if project is None or project.policy is None:
                continue
            if project.name not in found.tabs:
                found.tabs[project.name] = presence.present(conn, project.name, now)
            if isinstance(task, _Record | _Card) and not found.tabs[project.name]:
                # nobody watches; what has to be told nevertheless is a notice of the policy
                continue
            try:
                stored = interactions.find(conn, task.interaction)
                if stored is not None:
                    self._consider_one(conn, task, project, stored, found, now)
            except Exception:
                # one interaction that cannot be shown must not take the others' popups with it
                log.exception("%s does not pop up", task.interaction, extra={"action": "popup.broken"})
        return found

    def _consider_one(
        self, conn: Connection, task: _Task, project: LiveProject, stored: Stored, found: _Round, now: datetime
    ) -> None:
        key = popup_key(stored.interaction, stored.client_id)
        own = _standing(conn, project.name, key, found)
        if own is None and isinstance(task, _Notice) and stored.received_at > now - MISSED_AT_START:
            # the decision may be faster than the look at what came: one popup for both
            look = _Look(project=task.project, interaction=task.interaction)
            self._consider_one(conn, look, project, stored, found, now)
            own = _standing(conn, project.name, key, found)
        is_told = isinstance(task, _Look) and task.responsible is None
        if is_told and answers(stored.interaction):
            # whoever was missed or had written was reached now, over whatever channel
            for kept in popups.of_client(conn, project.name, stored.client_id):
                if kept.popup.key != key and kept.popup.waits and not kept.popup.employees <= kept.dismissed:
                    found.dealt_with.add((project.name, kept.popup.key))
        begins = own is not None or isinstance(task, _Notice | _Record) or (is_told and _may_begin(stored))
        if not begins and not found.tabs[project.name]:
            # nobody watches, and there is nothing to tell the CRM
            return
        facts, shown = self._view(conn, project, stored, now)
        if found.tabs[project.name] and (records := _records(shown)):
            found.touched.setdefault(project.name, set()).update(records)
        popup: Popup | None
        match task:
            case _Look(responsible=None):
                forwarded = task.forwarded or self._forwarded(conn, project, stored)
                before = own.popup if own else None
                popup = popup_of(facts, before, client=stored.client_id, forwarded=forwarded) if begins else None
            case _Look():
                popup = assigned(own.popup, task.responsible) if own else None
            case _Card():
                # a call that goes on shows at once what was made for it
                popup = own.popup if own and not own.popup.is_over else None
            case _:
                key, popup = self._told(conn, task, project, stored, own, found, now)
                own = _standing(conn, project.name, key, found)
        if popup is None:
            return
        call_id = own.call_id if own else _call_id(stored) if popup.kind == "call" else ""
        told_now = Told(popup=popup, shown=shown, call_id=call_id, raised=own.raised if own else ())
        if own == told_now:
            return
        earlier = found.changes.get((project.name, key))
        before_all = earlier.before if earlier else popups.find(conn, project.name, key)
        tasks = (*earlier.tasks, task) if earlier else (task,)
        found.changes[project.name, key] = _Change(tasks=tasks, project=project, before=before_all, told=told_now)

    def _told(
        self,
        conn: Connection,
        task: _Notice | _Record,
        project: LiveProject,
        stored: Stored,
        own: Told | None,
        found: _Round,
        now: datetime,
    ) -> tuple[str, Popup | None]:
        """The popup of a notice or of a new record, and its key."""
        interaction = stored.interaction
        own_key, key = popup_key(interaction, stored.client_id), record_key(interaction.id)
        if isinstance(task, _Record):
            employees: tuple[EmployeeId, ...] = (task.responsible,)
            if own is not None and task.responsible in own.popup.employees:
                # they have the call before their eyes: it now shows the new records (C7)
                return own_key, own.popup
        else:
            employees = task.employees
            if task.step != f"{interaction.id}/notify":
                key = _key_of_step(task.step)
            elif is_missed_call(interaction):
                key = own_key
            elif own is not None:
                # one popup for an interaction: whoever sees it is told nothing beside it
                employees = tuple(one for one in employees if one not in own.popup.employees)
                if not employees:
                    return own_key, own.popup
        before = _standing(conn, project.name, key, found)
        popup = told(
            before.popup if before else None,
            interaction,
            key=key,
            employees=employees,
            why="made" if isinstance(task, _Record) else "told",
            text="" if isinstance(task, _Record) else task.text,
            at=now,
        )
        return key, popup

    def _view(self, conn: Connection, project: LiveProject, stored: Stored, now: datetime) -> tuple[Facts, Shown]:
        assert project.policy is not None
        return view_of(conn, self._services, project, project.policy, stored, now)

    def _forwarded(self, conn: Connection, project: LiveProject, stored: Stored) -> EmployeeId | None:
        """Whom our own answer about this call named."""
        call = stored.interaction
        if not isinstance(call, Call) or call.direction is not Direction.INBOUND or call.is_final:
            return None
        for entry in reversed(forwarding_log.find_by_call(conn, project.name, call.external_id)):
            if entry.employee:
                return EmployeeId(entry.employee)
        return None


def _standing(conn: Connection, project: str, key: str, found: _Round) -> Told | None:
    """The popup as it stands, what this round moved already included."""
    change = found.changes.get((project, key))
    if change is not None:
        return change.told
    kept = popups.find(conn, project, key)
    return kept.told if kept else None


def _call_id(stored: Stored) -> str:
    return stored.interaction.external_id


def _records(shown: Shown) -> set[tuple[str, str, str]]:
    """The records of the client whose cards may be open."""
    found = set()
    if shown.contact is not None:
        found.add((shown.contact.connection, shown.contact.kind, shown.contact.id))
    if shown.deal is not None:
        found.add((shown.deal.connection, "deal", shown.deal.id))
    return found


def _may_begin(stored: Stored) -> bool:
    """False for what never begins a popup: told of when it was over and taken, or written by ourselves. Cheap."""
    match stored.interaction:
        case Call() as call:
            return not call.is_recovered and not (call.is_final and (call.is_answered or _is_outbound(call)))
        case Chat() as chat:
            return not (chat.is_final and chat.is_answered)
        case Message() as message:
            return message.direction is Direction.INBOUND
        case _:
            return True


def _is_outbound(call: Call) -> bool:
    return call.direction is Direction.OUTBOUND


def _notice(project: str, interaction: InteractionId, action: Notify) -> _Notice:
    return _Notice(
        project=project, interaction=interaction, step=action.key, employees=action.employees, text=action.text
    )


def _key_of_step(key: StepKey) -> str:
    """Fit for an address."""
    return key.replace("/", ".")
