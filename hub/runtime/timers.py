"""Looks at single clients that fall due: overdue call-backs are reminded, moved, escalated (H7, X10, DESIGN 3).

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

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.escalation import escalate
from hub.core.interaction import ClientId, InteractionId
from hub.core.plan import Nothing, Plan, StepKey
from hub.core.remark import remark
from hub.core.revise import StepState
from hub.core.snapshot import History
from hub.core.tasks import parse_task_key
from hub.engine.projects import LiveConnection, LiveProject, Projects
from hub.ports import RawRequest
from hub.store import acquaintance, codec, dues, inbox, interactions, steps, work
from hub.store.directory import Directory
from hub.store.dues import Due
from hub.store.engine import Store
from hub.store.holdings import assemble
from hub.store.inbox import InboxStatus, Received
from hub.store.steps import Step
from hub.store.work import Work, WorkState

__all__ = ["Timers"]

log = logging.getLogger(__name__)

#: a look whose task is still on its way, or whose interaction is being decided anew, comes again after this
_AGAIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The task of a look in one CRM, and the work that opened it."""

    connection: LiveConnection
    step: Step
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
        key, client_id = str(told["key"]), ClientId(str(told["client_id"]))
        project = self._projects.find(row.project)
        task_key = StepKey(key.rpartition("/overdue/")[0])
        parsed = parse_task_key(task_key)
        if project is None or project.policy is None or parsed is None:
            note = remark("no_timer" if parsed is None else "no_policy")
            await self._store.write(lambda conn: inbox.mark(conn, row.id, InboxStatus.IGNORED, now=now, note=note))
            return
        opener = InteractionId(parsed.opener)
        outcome = await self._store.read(lambda conn: self._look(conn, project, opener, task_key, key, client_id, now))
        woken = await self._store.write(lambda conn: self._keep(conn, row, project, outcome, key, client_id, now))
        for name in woken:
            log.info("a task of %s is overdue: %s", project.name, key, extra={"action": "timer.rang"})
            self._wake_writer(project.name, name)

    def _look(
        self,
        conn: Connection,
        project: LiveProject,
        opener: InteractionId,
        task_key: StepKey,
        key: str,
        client_id: ClientId,
        now: datetime,
    ) -> _Outcome:
        outcome = _Outcome(opener=opener)
        stored = interactions.find(conn, opener)
        if stored is None:
            return outcome
        if project.row.is_paused:
            outcome.again = now + _AGAIN
            return outcome
        assert project.policy is not None
        for connection in project.connections:
            step = steps.by_keys(conn, project.name, connection.name, {task_key}).get(task_key)
            item = work.get(conn, opener, connection.name)
            if step is None or item is None:
                continue
            if step.state.is_outstanding or item.state is WorkState.OPEN:
                outcome.again = now + _AGAIN
                continue
            if step.state is not StepState.DONE:
                continue
            opened = _Opened(connection=connection, step=step, work=item)
            identity = stored.interaction.client
            holdings = self._directory.lookup(
                project.name,
                connection.name,
                identity,
                field_ids=connection.key_field_ids,
                records=acquaintance.without_keys(conn, identity, client_id, connection.name),
            )
            snapshot = assemble(
                holdings,
                connection=connection.name,
                taken_at=now,
                catalogue=connection.catalogue,
                employees=connection.employees,
                names=connection.names,
                history=History(open_task_keys=_open_tasks(conn, item, {task.id for task in holdings.tasks})),
                is_complete=connection.row.imported_at is not None,
            )
            snapshot = replace(snapshot, inactive=connection.inactive)
            outcome.plans.append((opened, escalate(key, snapshot, project.policy, now, client_id=client_id)))
        return outcome

    def _keep(
        self,
        conn: Connection,
        row: Received,
        project: LiveProject,
        outcome: _Outcome,
        key: str,
        client_id: ClientId,
        now: datetime,
    ) -> list[str]:
        """Store the steps and the next look; the connections whose writers have something to do."""
        woken: list[str] = []
        for opened, plan in outcome.plans:
            name = opened.connection.name
            item = work.get(conn, outcome.opener, name)
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
            dues.put(conn, Due(project=project.name, client_id=client_id, key=key, at=outcome.again))
        inbox.mark(conn, row.id, InboxStatus.DONE, now=now, interaction_id=outcome.opener, note=_note(outcome))
        return woken


def _open_tasks(conn: Connection, item: Work, open_ids: set[str]) -> dict[str, str]:
    """The client's open tasks that the hub made, by their step's key."""
    return {
        str(step.key): step.record.id
        for step in steps.of_client(conn, item.client_id, item.connection, kind="create_task")
        if step.record is not None and step.state is StepState.DONE and step.record.id in open_ids
    }


def _note(outcome: _Outcome) -> str:
    if outcome.again is not None:
        return remark("looked_at_later")
    done = [action.kind for _, plan in outcome.plans for action in plan.actions if not isinstance(action, Nothing)]
    return ", ".join(done) or remark("task_is_done")
