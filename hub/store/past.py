"""Decisions of the past in the order in which they were made, read in slices: for rehearsal and shadow (X2).

A slice costs four statements however many decisions it holds, and no slice keeps a transaction open: a hub that runs
beside is not disturbed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import msgspec
from sqlalchemy import Connection, Integer, bindparam, func, select

from hub.core.chat import ChatFragment
from hub.core.folding import folded
from hub.core.interaction import ClientId, Interaction, InteractionId
from hub.core.load import Gist
from hub.core.merge import CallFragment
from hub.core.plan import Plan, StepKey
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.core.snapshot import Snapshot
from hub.store import codec
from hub.store.prepared import Prepared
from hub.store.schema import UtcTime, decision, fragment, interaction, step

__all__ = ["Period", "Stored", "find_period", "read_slice", "turns_before", "undecided"]

#: how far back is looked for whose turn it was
_TURNS_LOOKED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The decisions of a time, by their ids: first (inclusive) and last (inclusive)."""

    project: str
    since: datetime
    until: datetime
    first: int
    last: int


_FROM = Prepared(
    select(decision.c.id, decision.c.decided_at)
    .where(decision.c.id >= bindparam("at_least"))
    .order_by(decision.c.id)
    .limit(1)
)
_NEWEST = Prepared(select(func.max(decision.c.id)))


def find_period(conn: Connection, project: str, since: datetime, until: datetime) -> Period:
    """The ids of the decisions made from ``since`` up to but not including ``until``; they grow with time."""
    newest = _NEWEST.scalar(conn) or 0
    return Period(
        project=project,
        since=since,
        until=until,
        first=_first_from(conn, since, newest),
        last=_first_from(conn, until, newest) - 1,
    )


def _first_from(conn: Connection, at: datetime, newest: int) -> int:
    """The first id that was decided at ``at`` or later; one more than the newest if none was."""
    low, high = 1, newest + 1
    while low < high:
        middle = (low + high) // 2
        row = _FROM.first(conn, at_least=middle)
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    return low


@dataclass(slots=True, eq=False)
class Stored:
    """One decision as it lies in the store; what it holds is read when asked for (`hub.core.rehearsal.Past`)."""

    id: int
    interaction_id: InteractionId
    client_id: ClientId
    connection: str
    channel: str
    policy_version: int
    decided_at: datetime
    is_written: bool
    is_last: bool
    is_begun: bool
    is_counted: bool
    _body: bytes
    #: the interaction was other when it was decided: its fragments tell how
    _is_older: bool
    _snapshot: bytes
    _plan: bytes
    _slice: _Slice
    _read: Interaction | None = None
    #: the plan as JSON
    _told: bytes | None = None

    @property
    def interaction(self) -> Interaction | None:
        if self._read is None:
            self._read = self._slice.earlier(self) if self._is_older else codec.load_interaction(self._body)
        return self._read

    @property
    def newest(self) -> Interaction:
        """The interaction as it is known now."""
        return codec.load_interaction(self._body)

    @property
    def snapshot(self) -> Snapshot:
        return codec.load_snapshot(self._snapshot)

    @property
    def open_task_keys(self) -> Mapping[str, str]:
        return _read_keys(codec.decompress(self._snapshot)).history.open_task_keys

    @property
    def plan(self) -> Plan:
        return codec.PLAN.load(self._plan_told)

    @property
    def gist(self) -> Gist:
        told = _read_gist(self._plan_told)
        found = Gist(told.responsible, bool(told.turns or told.chosen), [], [], [], [])
        for action in told.actions:
            match action.kind:
                case "create_task":
                    if action.completed_at is None:
                        found.tasks.append((action.key, action.assignee))
                case "create_deal":
                    found.deals.append(action.responsible)
                case "create_contact":
                    found.contacts.append(action.responsible)
                case "complete_task":
                    # a reference to what another step makes has a key, not an id
                    if isinstance(action.task, dict) and "id" in action.task:
                        found.completes.append(action.task["id"])
        return found

    @property
    def _plan_told(self) -> bytes:
        if self._told is None:
            self._told = codec.decompress(self._plan)
        return self._told

    @property
    def made(self) -> Mapping[StepKey, RecordRef]:
        return self._slice.made.get((self.interaction_id, self.connection), {})

    def says(self, plan: Plan) -> bool:
        """Compares what is done and for whom as it was written down: reading a plan takes many times as long."""
        head = codec.dump_json({"actions": plan.actions, "responsible": plan.responsible, "talked": plan.talked})
        return self._plan_told.startswith(head[:-1] + b",")


class _ActionGist(msgspec.Struct):
    kind: str
    key: str = ""
    assignee: EmployeeId | None = None
    responsible: EmployeeId | None = None
    completed_at: str | None = None
    #: `hub.core.plan.CreateTask` has the task's kind here, `hub.core.plan.CompleteTask` a reference
    task: str | dict[str, str] | None = None


class _PlanGist(msgspec.Struct):
    """What `hub.core.load.gist_of` looks at: what no field names is skipped, and most of a plan is explanation."""

    actions: list[_ActionGist]
    responsible: EmployeeId | None = None
    turns: dict[str, dict[str, str]] = {}
    chosen: dict[str, EmployeeId] = {}


class _HistoryKeys(msgspec.Struct, frozen=True):
    open_task_keys: dict[str, str] = {}


class _SnapshotKeys(msgspec.Struct):
    history: _HistoryKeys = _HistoryKeys()


class _PlanTurns(msgspec.Struct):
    turns: dict[str, dict[str, str]] = {}


_read_gist = codec.excerpt(_PlanGist)
_read_keys = codec.excerpt(_SnapshotKeys)
_read_turns = codec.excerpt(_PlanTurns)


_SLICE = Prepared(
    select(
        decision.c.id,
        decision.c.interaction_id,
        decision.c.connection,
        decision.c.revision,
        decision.c.policy_version,
        decision.c.decided_at,
        decision.c.snapshot,
        decision.c.plan,
        decision.c.purpose,
        interaction.c.client_id,
        interaction.c.channel,
        interaction.c.revision,
        interaction.c.body,
    )
    .join(interaction, interaction.c.id == decision.c.interaction_id)
    .where(
        decision.c.id >= bindparam("at_least", type_=Integer),
        decision.c.id <= bindparam("at_most", type_=Integer),
        decision.c.project == bindparam("of_project"),
    )
    .order_by(decision.c.id)
    .limit(bindparam("most", type_=Integer))
)
_BOUNDS = Prepared(
    select(decision.c.interaction_id, decision.c.connection, func.min(decision.c.id), func.max(decision.c.id))
    .where(decision.c.interaction_id.in_(bindparam("ids", expanding=True)), decision.c.id <= bindparam("at_most"))
    .group_by(decision.c.interaction_id, decision.c.connection)
)
_MADE = Prepared(
    select(step.c.interaction_id, step.c.connection, step.c.key, step.c.record_kind, step.c.record_id).where(
        step.c.interaction_id.in_(bindparam("ids", expanding=True)), step.c.record_id.is_not(None)
    )
)
_FRAGMENTS = Prepared(
    select(fragment.c.interaction_id, fragment.c.received_at, fragment.c.body)
    .where(fragment.c.interaction_id.in_(bindparam("ids", expanding=True)))
    .order_by(fragment.c.received_at, fragment.c.digest)
)


class _Slice:
    """What the decisions of one slice share; read together, the rarer parts only if one of them asks."""

    def __init__(self, conn: Connection, ids: Collection[str], older: Collection[str]) -> None:
        self._conn, self._ids, self._older = conn, sorted(ids), sorted(older)

    @cached_property
    def made(self) -> Mapping[tuple[str, str], Mapping[StepKey, RecordRef]]:
        found: dict[tuple[str, str], dict[StepKey, RecordRef]] = defaultdict(dict)
        for id, connection, key, kind, record in _MADE.rows(self._conn, ids=self._ids):
            found[id, connection][StepKey(key)] = RecordRef(kind=RecordKind(kind), id=record)
        return found

    @cached_property
    def _fragments(self) -> Mapping[str, Sequence[tuple[datetime, CallFragment | ChatFragment]]]:
        found: dict[str, list[tuple[datetime, CallFragment | ChatFragment]]] = defaultdict(list)
        for id, received_at, body in _FRAGMENTS.rows(self._conn, ids=self._older):
            found[id].append((received_at, codec.load_fragment(body)))
        return found

    def earlier(self, one: Stored) -> Interaction | None:
        """The interaction of ``one`` as it was known when it was decided; None if nothing tells."""
        told = self._fragments.get(one.interaction_id, ())
        known = [found for received_at, found in told if received_at <= one.decided_at]
        if not known:
            return None
        newest = one.newest
        return folded(known, newest.id, newest.project, newest.channel, newest.source, told[0][0])


def read_slice(conn: Connection, period: Period, after: int, size: int, *, channel: str = "") -> list[Stored]:
    """The next decisions of ``period`` after the id ``after``; [] at the end.

    They must be used before ``conn`` goes. Those of other channels than ``channel`` are there too, not counted.
    """
    rows = _SLICE.rows(
        conn, at_least=max(after + 1, period.first), at_most=period.last, of_project=period.project, most=size
    )
    if not rows:
        return []
    ids = {row[1] for row in rows}
    bounds = {(row[0], row[1]): row[2:] for row in _BOUNDS.rows(conn, ids=sorted(ids), at_most=period.last)}
    shared = _Slice(conn, ids, {row[1] for row in rows if row[3] < row[11]})
    found = []
    for row in rows:
        id, of, connection, revision, version, decided_at, snapshot, plan, purpose, client, told_by, newest, body = row
        first, last = bounds[of, connection]
        found.append(
            Stored(
                id=id,
                interaction_id=of,
                client_id=client,
                connection=connection,
                channel=told_by,
                policy_version=version,
                decided_at=decided_at,
                is_written=purpose != "shadow",
                is_last=id == last,
                is_begun=first < period.first,
                is_counted=not channel or channel == told_by,
                _body=body,
                _is_older=revision < newest,
                _snapshot=snapshot,
                _plan=plan,
                _slice=shared,
            )
        )
    return found


_PLANS_BEFORE = Prepared(
    select(decision.c.id, decision.c.plan)
    .where(decision.c.project == bindparam("of_project"), decision.c.id < bindparam("before", type_=Integer))
    .order_by(decision.c.id.desc())
    .limit(bindparam("most", type_=Integer))
)


def turns_before(conn: Connection, period: Period, groups: Collection[str]) -> dict[str, Mapping[str, str]]:
    """Whose turn it was in each of ``groups`` when the period began, as the last decision that took one left it."""
    found: dict[str, Mapping[str, str]] = {}
    before, looked = period.first, 0
    while looked < _TURNS_LOOKED and not set(groups) <= set(found):
        rows = _PLANS_BEFORE.rows(conn, of_project=period.project, before=before, most=500)
        if not rows:
            break
        for _, plan in rows:
            for group, turns in _read_turns(codec.decompress(plan)).turns.items():
                found.setdefault(group, turns)
        before, looked = rows[-1][0], looked + len(rows)
    return found


_UNDECIDED = Prepared(
    select(func.count())
    .select_from(interaction)
    .where(
        interaction.c.project == bindparam("of_project"),
        interaction.c.started_at >= bindparam("since", type_=UtcTime),
        interaction.c.started_at < bindparam("until", type_=UtcTime),
        ~select(decision.c.id).where(decision.c.interaction_id == interaction.c.id).exists(),
    )
)


def undecided(conn: Connection, period: Period) -> int:
    """How many interactions of the time were never decided: nobody ever took a snapshot of their clients."""
    return int(_UNDECIDED.scalar(conn, of_project=period.project, since=period.since, until=period.until))
