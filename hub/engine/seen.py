"""What `advance` reads before it decides, and what became of a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from hub.core.plan import Plan
from hub.core.policy import Policy
from hub.core.records import RecordRef
from hub.core.revise import Revision, StepState
from hub.core.rota import Rota
from hub.core.snapshot import History, Snapshot
from hub.engine.projects import LiveProject
from hub.engine.replay import Then
from hub.store import decisions, refused
from hub.store.interactions import Stored
from hub.store.neighbour import is_held
from hub.store.steps import Step
from hub.store.unclaimed import unclaimed_deals
from hub.store.work import Lane, Work

__all__ = ["HELD_FOR", "Kept", "Preview", "Seen", "is_held", "own_past", "then_of", "unclaimed_of", "with_refused"]

#: of these, a revision must see what the first decision saw (`hub.core.facts.without_own`)
_LOOKED_PAST = ("create_contact", "create_deal", "create_task", "complete_task")
#: how long a client waits before it is looked whether another who shares a key of theirs is through
HELD_FOR = timedelta(milliseconds=500)


class Kept(StrEnum):
    """What became of a decision."""

    #: somebody else was faster: decide again
    LOST = "lost"
    #: steps wait for the CRM: their end wakes the lane
    WAITS = "waits"
    #: nothing new is to be sent
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything of one interaction that a decision needs from the store, read in one go."""

    work: Work
    stored: Stored | None
    counts: Mapping[str, int]
    own: Sequence[Step]
    history: History
    rota: Rota
    rota_version: int
    #: contacts that the hub made for a client whom no phone or e-mail leads to
    made: tuple[RecordRef, ...] = ()
    #: the policy that decides, where it is not the newest one, and its version
    policy: Policy | None = None
    policy_version: int = 0
    #: of a replay: what the last decision saw
    then: Then | None = None
    #: a person had something taken off a contact in this CRM (X12)
    has_refused: bool = False
    #: something fresh of the lane waits for this replay to be written
    is_awaited: bool = False
    #: another client who shares a key is being written (DESIGN 2.2)
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What deciding an ended interaction anew would come to."""

    plan: Plan
    change: Revision
    policy_version: int

    @property
    def changes_something(self) -> bool:
        return bool(self.change.added or self.change.replaced or self.change.withdrawn)


def unclaimed_of(conn: Connection, project: LiveProject | None, lane: Lane) -> frozenset[str]:
    """Deals of the lane's client that nobody has claimed (W2); read only where the policy makes such deals."""
    if project is None or project.policy is None or not project.policy.uses_unsorted:
        return frozenset()
    return unclaimed_deals(conn, lane.client_id, lane.connection)


def with_refused(conn: Connection, lane: Lane, snapshot: Snapshot) -> Snapshot:
    """``snapshot`` with what may not be put on its contacts again (X12)."""
    ids = [contact.id for contact in snapshot.contacts]
    found = refused.of_contacts(conn, lane.project, lane.connection, ids)
    return replace(snapshot, history=replace(snapshot.history, refused=found)) if found else snapshot


def own_past(conn: Connection, found: Work, own: Sequence[Step]) -> dict[str, Any]:
    """What the interaction itself has changed, and what its first decision saw, as fields of `History`."""
    done = {
        str(step.key): step.record
        for step in own
        if step.state is StepState.DONE and step.record is not None and step.action.kind in _LOOKED_PAST
    }
    return {"own": done, **_first_seen(conn, found, has_done=bool(done))}


def _first_seen(conn: Connection, found: Work, *, has_done: bool) -> dict[str, Any]:
    """What a revision takes from the interaction's first decision, as fields of `History`; {} before it.

    The responsibles, if it ``has_done`` anything: what it changed since is its own doing. And which deals were open
    then: a late rating of a call in a deal that was won meanwhile must not make another (A14). And who had talked to
    the client before: whoever talks in this very call is remembered from its first decision on, in whatever CRM that
    was (C8). A replay looks at the CRM, and at the client, of today (X13).
    """
    told: dict[str, Any] = {}
    first = decisions.first_anywhere(conn, found.interaction_id)
    if first is None:
        return told
    connection, before = first
    if not found.is_replay:
        told["last_talked"], told["last_talked_at"] = before.history.last_talked, before.history.last_talked_at
        told["called_by"] = before.history.called_by
    if connection == found.connection:
        seen: Snapshot | None = before
    else:
        seen = decisions.first_snapshot(conn, found.interaction_id, found.connection)
    if seen is None:
        return told
    if has_done:
        told["was_responsible"] = {
            **{f"contact/{contact.id}": contact.responsible for contact in seen.contacts},
            **{f"deal/{deal.id}": deal.responsible for deal in seen.deals},
        }
    if not found.is_replay:
        told["was_open"] = frozenset(deal.id for deal in seen.deals if deal.is_open)
    return told


def then_of(conn: Connection, found: Work) -> Then | None:
    """What the last decision about ``found`` saw; None before the first (X13)."""
    last = decisions.latest(conn, found.interaction_id, found.connection)
    return None if last is None else Then(snapshot=last.snapshot, at=last.decided_at)
