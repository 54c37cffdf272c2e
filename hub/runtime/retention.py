"""Personal data is kept as long as the policy says, and no longer (H7).

Raw requests lose their contents first; the row stays, since it tells that something came, when, and what became of
it. Interactions go later, with their fragments, decisions and steps. What later decisions need stays: the steps of
tasks that are open for a client who still turns to the company.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, or_, select, update

from hub.clock import Clock
from hub.core.outgoing import OutgoingState
from hub.engine.projects import Projects
from hub.store import events, popups, presence
from hub.store.engine import Store
from hub.store.inbox import InboxStatus
from hub.store.messenger_schema import outgoing, shared, waiting
from hub.store.schema import (
    client,
    client_join,
    client_key,
    decision,
    due,
    forwarding_log,
    fragment,
    inbox,
    interaction,
    neighbour_key,
    session,
    step,
    timed_run,
    work,
)
from hub.store.work import WorkState

__all__ = ["Removed", "Retention"]

log = logging.getLogger(__name__)

#: rows in one transaction: webhooks share the writer
SLICE = 200
#: views look back minutes, people look at the journal; runs are kept for looking into
EVENTS_KEPT, RUNS_KEPT = timedelta(days=30), timedelta(days=30)
#: what popped up yesterday is in the journal; a conversation goes on for days
POPUPS_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What one clean-up of one project removed."""

    raw: int = 0
    interactions: int = 0
    clients: int = 0
    answers: int = 0
    #: messages that went out
    messages: int = 0


class Retention:
    """Removes what is older than the policies allow."""

    def __init__(self, store: Store, clock: Clock, projects: Projects) -> None:
        self._store, self._clock, self._projects = store, clock, projects

    async def clean(self) -> dict[str, Removed]:
        """Clean up every project that has a policy, and what belongs to none; slice by slice."""
        now = self._clock.now()
        found: dict[str, Removed] = {}
        for project in self._projects.all():
            if project.policy is None:
                continue
            kept = project.policy.retention
            found[project.name] = removed = Removed(
                raw=await self._repeat(lambda conn, name=project.name, at=now - kept.raw: _empty_raw(conn, name, at)),  # type: ignore[misc]
                answers=await self._repeat(
                    lambda conn, name=project.name, at=now - kept.raw: _forget_answers(conn, name, at)  # type: ignore[misc]
                ),
                interactions=await self._repeat(
                    lambda conn, name=project.name, at=now - kept.interactions: _forget_interactions(conn, name, at)  # type: ignore[misc]
                ),
                messages=await self._repeat(
                    lambda conn, name=project.name, at=now - kept.interactions: _forget_outgoing(conn, name, at)  # type: ignore[misc]
                ),
                clients=await self._repeat(
                    lambda conn, name=project.name, at=now - kept.interactions: _forget_clients(conn, name, at)  # type: ignore[misc]
                ),
            )
            if removed != Removed():
                log.info("%s: forgot %s", project.name, removed, extra={"action": "retention.cleaned"})
        await self._store.write(lambda conn: events.forget_before(conn, now - EVENTS_KEPT))
        await self._store.write(lambda conn: popups.forget_before(conn, now - POPUPS_KEPT))
        await self._store.write(lambda conn: presence.forget_before(conn, now))
        await self._store.write(
            lambda conn: conn.execute(delete(timed_run).where(timed_run.c.started_at < now - RUNS_KEPT)).rowcount
        )
        return found

    async def end_sessions(self) -> int:
        """Remove console sessions that are over."""
        now = self._clock.now()
        return await self._store.write(
            lambda conn: conn.execute(delete(session).where(session.c.expires_at <= now)).rowcount
        )

    async def _repeat(self, forget: Callable[[Connection], int]) -> int:
        """``forget`` slice by slice until nothing is left; how many in all."""
        total = 0
        while True:
            count = await self._store.write(forget)
            total += count
            if count < SLICE:
                return total


def _empty_raw(conn: Connection, project: str, before: datetime) -> int:
    """Take the contents out of old requests; those nobody has read yet keep them."""
    is_full = or_(inbox.c.body != b"", inbox.c.query != b"", inbox.c.headers != b"[]")
    old = (
        select(inbox.c.id)
        .where(
            inbox.c.project == project,
            inbox.c.received_at < before,
            inbox.c.status != InboxStatus.NEW.value,
            is_full,
        )
        .limit(SLICE)
    )
    return conn.execute(update(inbox).where(inbox.c.id.in_(old)).values(body=b"", query=b"", headers=b"[]")).rowcount


def _forget_answers(conn: Connection, project: str, before: datetime) -> int:
    old = (
        select(forwarding_log.c.id)
        .where(forwarding_log.c.project == project, forwarding_log.c.asked_at < before)
        .limit(SLICE)
    )
    return conn.execute(delete(forwarding_log).where(forwarding_log.c.id.in_(old))).rowcount


def _forget_interactions(conn: Connection, project: str, before: datetime) -> int:
    """Remove old interactions that have nothing left to do in any CRM."""
    is_busy = exists(
        select(work.c.interaction_id).where(
            work.c.interaction_id == interaction.c.id,
            work.c.state.in_([WorkState.OPEN.value, WorkState.WRITING.value]),
        )
    )
    old = (
        select(interaction.c.id)
        .where(
            interaction.c.project == project,
            interaction.c.started_at < before,
            interaction.c.received_at < before,
            ~is_busy,
        )
        .limit(SLICE)
    )
    ids = [row[0] for row in conn.execute(old)]
    if not ids:
        return 0
    # the client still turns to us: an open task that this interaction made is still known by its key (A3)
    is_living = exists(
        select(interaction.c.id).where(interaction.c.client_id == step.c.client_id, interaction.c.started_at >= before)
    )
    is_needed: ColumnElement[bool] = (step.c.kind == "create_task") & is_living
    conn.execute(delete(step).where(step.c.interaction_id.in_(ids), ~is_needed))
    conn.execute(update(inbox).where(inbox.c.interaction_id.in_(ids)).values(body=b"", query=b"", headers=b"[]"))
    for table, column in (
        (fragment, fragment.c.interaction_id),
        (decision, decision.c.interaction_id),
        (waiting, waiting.c.interaction_id),
        (neighbour_key, neighbour_key.c.interaction_id),
        (work, work.c.interaction_id),
        (interaction, interaction.c.id),
    ):
        conn.execute(delete(table).where(column.in_(ids)))
    return len(ids)


def _forget_outgoing(conn: Connection, project: str, before: datetime) -> int:
    """Remove old messages of ours of which it is known what became."""
    is_over = outgoing.c.state.in_([OutgoingState.DONE.value, OutgoingState.REJECTED.value])
    old = (
        select(outgoing.c.sequence)
        .where(outgoing.c.project == project, outgoing.c.created_at < before, is_over)
        .limit(SLICE)
    )
    return conn.execute(delete(outgoing).where(outgoing.c.sequence.in_(old))).rowcount


def _forget_clients(conn: Connection, project: str, before: datetime) -> int:
    """Remove clients of whom nothing is left, with their keys, and steps that were kept for them."""
    has_any = exists(select(interaction.c.id).where(interaction.c.client_id == client.c.id))
    # a vendor knows them under this id as long as their card is in the CRM
    is_shared = exists(
        select(shared.c.id).where(shared.c.project == project, shared.c.kind == "contacts", shared.c.id == client.c.id)
    )
    old = (
        select(client.c.id)
        .where(
            client.c.project == project,
            client.c.created_at < before,
            client.c.merged_into.is_(None),
            ~has_any,
            ~is_shared,
        )
        .limit(SLICE)
    )
    ids = [row[0] for row in conn.execute(old)]
    if not ids:
        return 0
    joined = [row[0] for row in conn.execute(select(client.c.id).where(client.c.merged_into.in_(ids)))]
    everybody = [*ids, *joined]
    tables: list[tuple[Table, ColumnElement[str]]] = [
        (step, step.c.client_id),
        (due, due.c.client_id),
        (waiting, waiting.c.client_id),
        (outgoing, outgoing.c.client_id),
        (client_key, client_key.c.client_id),
        (client, client.c.id),
    ]
    for table, column in tables:
        conn.execute(delete(table).where(column.in_(everybody)))
    conn.execute(delete(client_join).where(or_(client_join.c.kept.in_(ids), client_join.c.joined.in_(everybody))))
    return len(ids)
