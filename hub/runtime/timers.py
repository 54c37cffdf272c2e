"""Looks at single clients that fall due: overdue tasks, unanswered messages (H7, W6, X10, DESIGN 3).

A row of `due` becomes a row of the inbox when its time comes, in one transaction, so that no look is lost or doubled;
ingest hands it to `Timers.handle`. What follows are steps of the interaction that opened the task, so they pass in
the client's order and through the account's writer like all others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.escalation import escalate
from hub.core.interaction import ClientId, Identity, Interaction, InteractionId
from hub.core.plan import Nothing, Plan, StepKey
from hub.core.remark import remark
from hub.core.revise import StepState
from hub.core.snapshot import History, Snapshot
from hub.core.tasks import parse_task_key
from hub.core.unanswered import dismiss, remind
from hub.core.waiting import dismissed, waits_since
from hub.engine.projects import LiveConnection, LiveProject, Projects
from hub.engine.snapshots import is_imported
from hub.ports import RawRequest
from hub.store import acquaintance, codec, dues, inbox, interactions, steps, waiting, work
from hub.store.directory import Directory
from hub.store.dues import Due
from hub.store.engine import Store
from hub.store.holdings import assemble
from hub.store.inbox import InboxStatus, Received
from hub.store.steps import Step
from hub.store.unclaimed import unclaimed_deals
from hub.store.work import Lane, Work, WorkState

__all__ = ["Timers"]

log = logging.getLogger(__name__)

#: a look whose task is still on its way, or whose interaction is being decided anew, comes again after this
_AGAIN = timedelta(seconds=30)
#: a client who is nobody's yet is looked at again after a twentieth of the time that they wait, within these
_OWNERLESS = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a timer's key asks for."""

    what: Literal["overdue", "unanswered", "no_reply_needed"]
    key: str
    #: whose steps follow: the interaction that opened the task, or that waits for an answer
    opener: InteractionId
    client_id: ClientId
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The work of a look's interaction in one CRM."""

    connection: LiveConnection
    work: Work


@dataclass(slots=True, kw_only=True)
class _Outcome:
    """What one look comes to, in all CRMs."""

    opener: InteractionId
    plans: list[tuple[_Opened, Plan]] = field(default_factory=list)
    #: look again then; None = this look is over
    again: datetime | None = None


class Timers:
    """The timers of all clients."""

    #: how often is looked for new ones; a timer is minutes ahead when it is set
    EVERY = timedelta(seconds=5)

    def __init__(
        self,
        store: Store,
        clock: Clock,
        projects: Projects,
        directory: Directory,
        *,
        wake_ingest: Callable[[], None],
        wake_writer: Callable[[str, str], None],
    ) -> None:
        self._store, self._clock, self._projects, self._directory = store, clock, projects, directory
        self._wake_ingest, self._wake_writer = wake_ingest, wake_writer

    async def run(self) -> None:
        """Put what falls due into the inbox, until cancelled."""
        while True:
            while await self.ring():
                pass
            now = self._clock.now()
            upcoming = await self._store.read(dues.next_at)
            wait = self.EVERY if upcoming is None else min(self.EVERY, upcoming - now)
            await asyncio.sleep(max(0.05, wait.total_seconds()))

    async def ring(self) -> int:
        """Move what is due into the inbox; how many there were."""
        now = self._clock.now()
        first = await self._store.read(dues.next_at)
        if first is None or first > now:
            return 0
        count = await self._store.write(lambda conn: self._move(conn, now))
        self._wake_ingest()
        return count

    def _move(self, conn: Connection, now: datetime) -> int:
        taken = dues.take(conn, now)
        for due in taken:
            body = codec.dump_json({"client_id": due.client_id, "key": due.key, "at": due.at.isoformat()})
            request = RawRequest(method="DUE", body=body, received_at=now)
            inbox.add(conn, project=due.project, channel="", kind="due", request=request)
        return len(taken)

    async def handle(self, row: Received) -> None:
        """Do what an inbox row of kind ``due`` asks for; marks the row in the same transaction."""
        now = self._clock.now()
        told = codec.load_json(row.request.body)
        look = _read(str(told["key"]), ClientId(str(told["client_id"])), now)
        project = self._projects.find(row.project)
        if project is None or project.policy is None or look is None:
            note = remark("no_timer" if look is None else "no_policy")
            await self._store.write(lambda conn: inbox.mark(conn, row.id, InboxStatus.IGNORED, now=now, note=note))
            return
        outcome = await self._store.read(lambda conn: self._look(conn, project, look))
        woken = await self._store.write(lambda conn: self._keep(conn, row, project, outcome, look))
        for name in woken:
            log.info("%s: %s is %s", project.name, look.key, look.what, extra={"action": "timer.rang"})
            self._wake_writer(project.name, name)

    def _look(self, conn: Connection, project: LiveProject, look: _Look) -> _Outcome:
        outcome = _Outcome(opener=look.opener)
        stored = interactions.find(conn, look.opener)
        waits = waiting.get(conn, look.client_id) if look.what == "unanswered" else None
        if stored is None or (look.what == "unanswered" and (waits is None or waits.interaction_id != look.opener)):
            return outcome
        if project.row.is_paused:
            outcome.again = look.at + _AGAIN
            return outcome
        for connection in project.connections:
            item = work.get(conn, look.opener, connection.name)
            step = _step_of(conn, project.name, connection.name, look)
            if item is None or (look.what == "overdue" and step is None):
                continue
            is_on_its_way = item.state is WorkState.OPEN or (step is not None and step.state.is_outstanding)
            if is_on_its_way or (look.what != "overdue" and _is_busy(conn, project.name, connection.name, look)):
                outcome.again = look.at + _AGAIN
                continue
            if step is not None and step.state is not StepState.DONE:
                continue
            snapshot = self._snapshot(conn, project, connection, stored.interaction.client, look)
            plan = _decide(look, stored.interaction, snapshot, project)
            if plan is None:
                shortest, longest = _OWNERLESS
                waited = (look.at - stored.interaction.moment) / 20
                outcome.again = look.at + min(longest, max(shortest, waited))
                continue
            outcome.plans.append((_Opened(connection=connection, work=item), plan))
        return outcome

    def _snapshot(
        self, conn: Connection, project: LiveProject, connection: LiveConnection, identity: Identity, look: _Look
    ) -> Snapshot:
        made = acquaintance.without_keys(conn, identity, look.client_id, connection.name)
        holdings = self._directory.lookup(
            project.name, connection.name, identity, field_ids=connection.key_field_ids, records=made
        )
        assert project.policy is not None
        is_sorted = not project.policy.uses_unsorted
        history = History(
            open_task_keys=_open_tasks(conn, look.client_id, connection.name, {task.id for task in holdings.tasks}),
            own_contacts=frozenset(ref.id for ref in made),
            unclaimed=frozenset() if is_sorted else unclaimed_deals(conn, look.client_id, connection.name),
        )
        snapshot = assemble(
            holdings,
            connection=connection.name,
            taken_at=look.at,
            catalogue=connection.catalogue,
            employees=connection.employees,
            names=connection.names,
            history=history,
            is_complete=is_imported(self._directory, project.name, connection),
        )
        return replace(snapshot, inactive=connection.inactive)

    def _keep(
        self,
        conn: Connection,
        row: Received,
        project: LiveProject,
        outcome: _Outcome,
        look: _Look,
    ) -> list[str]:
        """Store the steps and the next look; the connections whose writers have something to do.

        The client may have been joined to another since the timer was set: what follows is that one's (X12).
        """
        woken: list[str] = []
        now = look.at
        if look.what == "no_reply_needed" and outcome.again is None:
            waiting.end(conn, look.client_id, look.opener)
        opener = interactions.find(conn, outcome.opener)
        client_id = opener.client_id if opener is not None else look.client_id
        for opened, plan in outcome.plans:
            name = opened.connection.name
            item = work.get(conn, outcome.opener, name, to_change=True)
            if item is None or item.state is WorkState.OPEN:
                outcome.again = now + _AGAIN
                continue
            wanted = [action for action in plan.actions if not isinstance(action, Nothing)]
            known = steps.by_keys(conn, project.name, name, {action.key for action in wanted})
            fresh = [action for action in wanted if action.key not in known]
            if fresh:
                steps.add(
                    conn,
                    fresh,
                    project=project.name,
                    connection=name,
                    interaction_id=outcome.opener,
                    client_id=item.client_id,
                    urgency=1,
                    now=now,
                    first_position=len(steps.of_interaction(conn, outcome.opener, name)),
                )
                if item.state is not WorkState.WRITING:
                    work.put(conn, item, WorkState.WRITING, now=now)
                woken.append(name)
            for upcoming, at in plan.due.items():
                dues.put(conn, Due(project=project.name, client_id=client_id, key=upcoming, at=at))
        if outcome.again is not None:
            dues.put(conn, Due(project=project.name, client_id=client_id, key=look.key, at=outcome.again))
        inbox.mark(conn, row.id, InboxStatus.DONE, now=now, interaction_id=outcome.opener, note=_note(outcome))
        return woken


def _read(key: str, client_id: ClientId, now: datetime) -> _Look | None:
    """What ``key`` asks for; None if nobody knows such a timer."""
    parsed = parse_task_key(key.rpartition("/overdue/")[0])
    if parsed is not None:
        return _Look(what="overdue", key=key, opener=InteractionId(parsed.opener), client_id=client_id, at=now)
    waits, ended = waits_since(key), dismissed(key)
    if waits is not None:
        return _Look(what="unanswered", key=key, opener=waits, client_id=client_id, at=now)
    if ended is not None:
        return _Look(what="no_reply_needed", key=key, opener=ended, client_id=client_id, at=now)
    return None


def _decide(look: _Look, interaction: Interaction, snapshot: Snapshot, project: LiveProject) -> Plan | None:
    """What follows in one CRM; None where it has to wait for the client to become somebody's."""
    assert project.policy is not None
    match look.what:
        case "overdue":
            return escalate(look.key, snapshot, project.policy, look.at, client_id=look.client_id)
        case "unanswered":
            return remind(interaction, snapshot, project.policy, look.at, client_id=look.client_id)
        case "no_reply_needed":
            return dismiss(look.opener, snapshot, project.policy)


def _is_busy(conn: Connection, project: str, connection: str, look: _Look) -> bool:
    """True while something of the client is being written: what a message makes hangs on the deal that the message
    itself makes, and an answer may be closing the very task that would be found open."""
    return work.head(conn, Lane(client_id=look.client_id, connection=connection, project=project)) is not None


def _step_of(conn: Connection, project: str, connection: str, look: _Look) -> Step | None:
    """The step that made the overdue task; None for looks at no task."""
    if look.what != "overdue":
        return None
    key = StepKey(look.key.rpartition("/overdue/")[0])
    return steps.by_keys(conn, project, connection, {key}).get(key)


def _open_tasks(conn: Connection, client_id: ClientId, connection: str, open_ids: set[str]) -> dict[str, str]:
    """The client's open tasks that the hub made, by their step's key."""
    return {
        str(step.key): step.record.id
        for step in steps.of_client(conn, client_id, connection, kind="create_task")
        if step.record is not None and step.state is StepState.DONE and step.record.id in open_ids
    }


def _note(outcome: _Outcome) -> str:
    if outcome.again is not None:
        return remark("looked_at_later")
    done = [action.kind for _, plan in outcome.plans for action in plan.actions if not isinstance(action, Nothing)]
    return ", ".join(done) or remark("task_is_done")
