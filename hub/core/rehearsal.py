"""A changed policy lives through the past, decision by decision, and tells in what it differs (X2, DESIGN 6).

Each stored decision is taken again in the order in which it was made: on the snapshot of that moment with the
client's `Overlay` laid over it, with the trial's own rota, at that instant. What the trial decides otherwise is
counted by groups of equal differences. What cannot be known is counted, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hub.core.aftermath import Words
from hub.core.decide import decide
from hub.core.difference import KINDS, Difference, differences
from hub.core.interaction import ClientId, Direction, Interaction, InteractionId
from hub.core.overlay import Overlay
from hub.core.plan import CompleteTask, CreateContact, CreateDeal, CreateTask, Plan, StepKey
from hub.core.policy import Policy
from hub.core.records import Catalogue, EmployeeId, RecordRef
from hub.core.rota import Rota
from hub.core.snapshot import Snapshot

__all__ = ["Crm", "Example", "Group", "Load", "Past", "Rehearsal", "Report", "Unknown"]

#: examples kept of each group
EXAMPLES = 3


class Unknown(StrEnum):
    """Why something about the past cannot be said; each is counted."""

    #: the interaction was never decided: no snapshot of its client was ever taken
    NOT_DECIDED = "not_decided"
    #: what is stored of the decision cannot be read
    UNREADABLE = "unreadable"
    #: how the interaction stood at an earlier decision is no longer known: the trial is taken to have done the same
    EARLIER_STATE = "earlier_state"
    #: the trial looks clients up by a further key that nobody looked up then
    NEVER_LOOKED_UP = "never_looked_up"
    #: people worked on a record that the trial would not have made
    PEOPLE = "people"
    #: whose turn it was depends on how busy everybody was, which is not kept
    CAPACITY = "capacity"


class Past(Protocol):
    """One decision as the store holds it, oldest first."""

    @property
    def interaction(self) -> Interaction | None:
        """As it stood when it was decided; None if that is no longer known."""

    @property
    def interaction_id(self) -> InteractionId: ...

    @property
    def client_id(self) -> ClientId: ...

    @property
    def connection(self) -> str: ...

    @property
    def decided_at(self) -> datetime: ...

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def made(self) -> Mapping[StepKey, RecordRef]:
        """The records that the interaction's steps made."""

    @property
    def is_written(self) -> bool:
        """False in shadow."""

    @property
    def is_last(self) -> bool:
        """True for the interaction's last decision in this CRM: the one that counts."""

    @property
    def is_begun(self) -> bool:
        """True if the interaction was decided before the period: the trial finds it done."""

    @property
    def is_counted(self) -> bool:
        """False for what the report was not asked about; it happens all the same."""

    def says(self, plan: Plan) -> bool:
        """True if what was decided then is ``plan`` to the letter; False proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crm:
    """What of one CRM is not kept with each snapshot."""

    catalogue: Catalogue = Catalogue()
    names: Mapping[EmployeeId, str] = field(default_factory=dict)
    words: Words = field(default_factory=lambda: Words())


@dataclass(slots=True)
class Load:
    """What one employee has in the period."""

    interactions: int = 0
    deals: int = 0
    #: tasks that were made for them
    tasks: int = 0
    #: of these, the ones that nothing in the period closed by itself
    open_tasks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One decision of a group: both plans carry their explanations."""

    interaction: Interaction
    client_id: ClientId
    connection: str
    decided_at: datetime
    seen: Snapshot
    before: Plan
    after: Plan


@dataclass(slots=True, kw_only=True)
class Group:
    """Decisions that differ in the same way."""

    difference: Difference
    count: int = 0
    #: of these, decisions that look at what the trial itself would have done before
    follow_ups: int = 0
    #: the plainest first: those that are no follow-ups
    examples: list[Example] = field(default_factory=list)
    is_plain: list[bool] = field(default_factory=list)

    def add(self, example: Callable[[], Example], *, is_follow_up: bool) -> None:
        """One more."""
        self.count += 1
        self.follow_ups += is_follow_up
        if len(self.examples) < EXAMPLES:
            self.examples.append(example())
            self.is_plain.append(not is_follow_up)
        elif not is_follow_up and False in self.is_plain:
            place = self.is_plain.index(False)
            self.examples[place], self.is_plain[place] = example(), True


@dataclass(slots=True, kw_only=True)
class Side:
    """One of the two worlds: what the employees have there."""

    loads: dict[EmployeeId, Load] = field(default_factory=dict)
    #: tasks that the period made, with whose they are, and tasks that it completed
    open: dict[StepKey, EmployeeId | None] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    #: decisions that make something for nobody
    unowned: int = 0

    def load(self, employee: EmployeeId) -> Load:
        """The employee's load; made when first asked for."""
        found = self.loads.get(employee)
        if found is None:
            found = self.loads[employee] = Load()
        return found

    def close(self, plan: Plan, seen: Snapshot) -> None:
        """Note which tasks ``plan`` completes: by each decision, for later ones no longer see them open."""
        for action in plan.actions:
            if isinstance(action, CompleteTask) and isinstance(action.task, RecordRef):
                self.closed |= {key for key, id in seen.history.open_task_keys.items() if id == action.task.id}

    def count(self, plan: Plan) -> bool:
        """Take ``plan`` in, the last about its interaction; True if it makes something that nobody owns."""
        if plan.responsible is not None:
            self.load(plan.responsible).interactions += 1
        is_unowned = False
        for action in plan.actions:
            if isinstance(action, CreateTask):
                if action.completed_at is None:
                    self.open[action.key] = action.assignee
                    if action.assignee is None:
                        is_unowned = True
                    else:
                        self.load(action.assignee).tasks += 1
            elif isinstance(action, CreateDeal):
                if action.responsible is None:
                    is_unowned = True
                else:
                    self.load(action.responsible).deals += 1
            elif isinstance(action, CreateContact):
                is_unowned |= action.responsible is None
        self.unowned += is_unowned
        return is_unowned

    def settle(self) -> dict[EmployeeId, Load]:
        """The loads, with what is still open."""
        for key, employee in self.open.items():
            if employee is not None and key not in self.closed:
                self.load(employee).open_tasks += 1
        return self.loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What would have been different."""

    #: interactions and CRMs that were decided in the period: each pair once, by its last decision
    decisions: int
    #: of these, the ones that would have left something else in the CRM
    changed: int
    #: the same actions for another reason (a renamed row, another rule)
    other_reason: int
    #: of `changed`, those that look at what the trial itself would have done before
    follow_ups: int
    #: the most frequent first
    groups: tuple[Group, ...]
    then: Mapping[EmployeeId, Load]
    now: Mapping[EmployeeId, Load]
    unowned_then: int
    unowned_now: int
    #: what nobody would own and somebody did
    newly_unowned: tuple[Example, ...]
    unknown: Mapping[Unknown, int]
    #: decisions about interactions that were begun before the period: left as they were
    begun_before: int
    #: by which versions of the policy the past was decided, with how many decisions each
    versions: Mapping[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Talk:
    """Who talked to one client on the trial, where that is not who talked in reality."""

    last: EmployeeId | None
    at: datetime | None
    called: frozenset[EmployeeId]
    not_called: frozenset[EmployeeId]


class Rehearsal:
    """Takes the past, decision by decision, and adds up."""

    def __init__(
        self,
        policy: Policy,
        *,
        turns: Mapping[str, Mapping[str, str]],
        crms: Mapping[str, Crm],
        asked_keys: Collection[str] = ("phone", "email"),
    ) -> None:
        """``turns`` is whose turn it was when the period began; ``asked_keys`` are the identity keys looked up then."""
        self.policy = policy
        self._turns: dict[str, Mapping[str, str]] = dict(turns)
        self._crms = crms
        self._new_keys = [key for key in policy.identity.keys if ":" in key and key not in asked_keys]
        self._has_capacity = any(employee.capacity is not None for employee in policy.employees)
        self._chosen: dict[InteractionId, dict[str, EmployeeId]] = {}
        self._overlays: dict[tuple[ClientId, str], Overlay] = {}
        self._talk: dict[ClientId, _Talk] = {}
        self._groups: dict[Difference, Group] = {}
        self._then, self._now = Side(), Side()
        self._newly_unowned: list[Example] = []
        self.unknown: Counter[Unknown] = Counter()
        self._decisions = self._changed = self._other_reason = self._follow_ups = self._begun = 0

    def take(self, past: Past) -> Plan | None:
        """Decide ``past`` again and count what differs; the trial's plan, None where none can be made."""
        interaction = past.interaction
        if past.is_begun or interaction is None:
            self._leave(past)
            return None
        seen = self._completed(past)
        overlay = self._overlays.get((past.client_id, past.connection))
        is_follow_up = overlay is not None and not overlay.is_empty
        laid = overlay.lay(seen, interaction.id) if overlay is not None and is_follow_up else seen
        talk = self._talk.get(past.client_id)
        if talk is not None:
            laid = _with_talk(laid, talk)
        rota = Rota(
            turns=self._turns,
            loads=_loads_told(past.plan) if self._has_capacity else {},
            chosen=self._chosen.get(interaction.id, {}),
        )
        trial = decide(interaction, laid, rota, self.policy, past.decided_at, client_id=past.client_id)
        if trial.turns:
            self._turns.update(trial.turns)
        if trial.chosen:
            self._chosen[interaction.id] = {**trial.chosen, **rota.chosen}
        is_same = past.says(trial)
        real = trial if is_same and not is_follow_up else past.plan
        found = () if is_same else differences(real, trial)
        if past.is_written and (is_follow_up or found):
            if overlay is None:
                overlay = self._overlays[past.client_id, past.connection] = Overlay(self._crm(past).words)
            overlay.learn(
                interaction.id, real, trial, seen=seen, laid=laid, made=past.made, at=past.decided_at
            )  # fmt: skip
        if talk is not None or real.talked != trial.talked:
            self._hear(past.client_id, interaction, real, trial, laid)
        self._then.close(real, seen)
        self._now.close(trial, laid)
        if past.is_last and past.is_counted:
            self._count(past, interaction, real, trial, found, seen, is_follow_up=is_follow_up)
            self._doubt(interaction, trial, overlay)
        return trial

    def report(self, versions: Mapping[int, int] | None = None) -> Report:
        """What all of it comes to; the rehearsal is over."""
        order = {kind: place for place, kind in enumerate(KINDS)}
        return Report(
            decisions=self._decisions,
            changed=self._changed,
            other_reason=self._other_reason,
            follow_ups=self._follow_ups,
            groups=tuple(
                sorted(
                    self._groups.values(),
                    key=lambda one: (-one.count, order[one.difference.kind], one.difference.of, one.difference.after),
                )
            ),
            then=self._then.settle(),
            now=self._now.settle(),
            unowned_then=self._then.unowned,
            unowned_now=self._now.unowned,
            newly_unowned=tuple(self._newly_unowned),
            unknown=dict(self.unknown),
            begun_before=self._begun,
            versions=versions or {},
        )

    # --- the trial's world --------------------------------------------------------------------------------------

    def _crm(self, past: Past) -> Crm:
        return self._crms.get(past.connection) or Crm()

    def _completed(self, past: Past) -> Snapshot:
        """The snapshot with what is kept once, with the connection."""
        snapshot, crm = past.snapshot, self._crm(past)
        names = {**crm.names, **snapshot.names} if snapshot.names else crm.names
        return replace(snapshot, catalogue=crm.catalogue, names=names)

    def _leave(self, past: Past) -> None:
        """The trial is taken to have done what was done."""
        real = past.plan
        if past.is_begun:
            self._begun += past.is_counted
        else:
            self.unknown[Unknown.EARLIER_STATE] += past.is_counted
        self._turns.update(real.turns)
        if real.chosen:
            self._chosen[past.interaction_id] = {**real.chosen, **self._chosen.get(past.interaction_id, {})}

    def _hear(self, client: ClientId, interaction: Interaction, real: Plan, trial: Plan, laid: Snapshot) -> None:
        """Remember who talked to the client on the trial; forget it when both agree again."""
        known = self._talk.get(client)
        before = known or _Talk(laid.history.last_talked, laid.history.last_talked_at, frozenset(), frozenset())
        last, at = before.last, before.at
        if trial.talked is not None and (at is None or at <= interaction.moment):
            last, at = trial.talked, interaction.moment
        called, not_called = before.called, before.not_called
        if getattr(interaction, "direction", None) is Direction.OUTBOUND and real.talked != trial.talked:
            called |= {trial.talked} if trial.talked is not None else set()
            not_called |= {real.talked} if real.talked is not None else set()
        if trial.talked is not None and trial.talked == real.talked and not called and not not_called:
            self._talk.pop(client, None)
        else:
            self._talk[client] = _Talk(last, at, called, not_called)

    # --- adding up ----------------------------------------------------------------------------------------------

    def _count(
        self,
        past: Past,
        interaction: Interaction,
        real: Plan,
        trial: Plan,
        found: Iterable[Difference],
        seen: Snapshot,
        *,
        is_follow_up: bool,
    ) -> None:
        self._decisions += 1
        was_unowned, is_unowned = self._then.count(real), self._now.count(trial)

        def example() -> Example:
            return Example(
                interaction=interaction,
                client_id=past.client_id,
                connection=past.connection,
                decided_at=past.decided_at,
                seen=seen,
                before=real,
                after=trial,
            )

        if is_unowned and not was_unowned and len(self._newly_unowned) < EXAMPLES:
            self._newly_unowned.append(example())
        is_effect = is_any = False
        for one in found:
            is_any, is_effect = True, is_effect or one.is_effect
            group = self._groups.get(one)
            if group is None:
                group = self._groups[one] = Group(difference=one)
            group.add(example, is_follow_up=is_follow_up)
        self._changed += is_effect
        self._other_reason += is_any and not is_effect
        self._follow_ups += is_effect and is_follow_up

    def _doubt(self, interaction: Interaction, trial: Plan, overlay: Overlay | None) -> None:
        if overlay is not None and overlay.is_unsure:
            self.unknown[Unknown.PEOPLE] += 1
        if self._has_capacity and trial.chosen:
            self.unknown[Unknown.CAPACITY] += 1
        if self._new_keys and any(interaction.client.fields.get(key.partition(":")[2]) for key in self._new_keys):
            self.unknown[Unknown.NEVER_LOOKED_UP] += 1


def _loads_told(real: Plan) -> dict[EmployeeId, int]:
    """How busy those were who were passed over for it; who was not, had room then."""
    return {
        one.employee: int(load)
        for one in real.explanation.candidates
        if one.reason.code == "at_capacity" and (load := one.reason.values.get("detail", "")).isdigit()
    }


def _with_talk(seen: Snapshot, talk: _Talk) -> Snapshot:
    history = seen.history
    called = (history.called_by | talk.called) - talk.not_called
    return replace(
        seen, history=replace(history, last_talked=talk.last, last_talked_at=talk.at, called_by=called)
    )  # fmt: skip
