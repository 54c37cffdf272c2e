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
from hub.core.decide import decide_on
from hub.core.difference import KINDS, Difference, differences
from hub.core.edit import Edit
from hub.core.facts import Facts, establish
from hub.core.heard import Overheard
from hub.core.interaction import ClientId, Direction, Interaction, InteractionId
from hub.core.load import Gist, Load, Side, gist_of
from hub.core.overlay import Overlay
from hub.core.plan import Plan, StepKey
from hub.core.policy import Policy
from hub.core.records import Catalogue, EmployeeId, RecordRef
from hub.core.rota import Rota
from hub.core.snapshot import Snapshot
from hub.core.verdict import Verdict, judge

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
    def open_task_keys(self) -> Mapping[str, str]:
        """Of `snapshot`, which open tasks the hub's own steps made; cheaper to read."""

    @property
    def plan(self) -> Plan: ...

    @property
    def gist(self) -> Gist:
        """Of `plan`, what counts towards loads; cheaper to read."""

    @property
    def policy_version(self) -> int: ...

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
        earlier: Mapping[int, Policy] | None = None,
    ) -> None:
        """``turns`` is whose turn it was when the period began; ``asked_keys`` are the identity keys looked up then.

        ``earlier`` are the versions of the policy that decided in the period, as far as they can still be read: what
        a change cannot reach needs no plan of its own.
        """
        self.policy = policy
        self._earlier = {
            version: (found, Edit(found, policy))
            for version, found in (earlier or {}).items()
            if _same_but_wishes(found, policy)
        }
        self._alike: dict[tuple[int, int], tuple[bool, Verdict, Verdict]] = {}
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
        """Decide ``past`` again and count what differs; the trial's plan, None where none can or need be made."""
        interaction = past.interaction
        if past.is_begun or interaction is None:
            self._leave(past)
            return None
        overlay, talk = self._overlays.get((past.client_id, past.connection)), self._talk.get(past.client_id)
        is_follow_up = overlay is not None and not overlay.is_empty
        then = None if is_follow_up or talk is not None else self._earlier.get(past.policy_version)
        if then is not None and then[1].spares(Overheard(interaction, self.policy, past.decided_at)):
            gist = past.gist
            if not gist.takes_turn:
                self._agree(past, gist)
                self._doubt(past, interaction, gist.takes_turn, overlay)
                return None
            then = None
        seen = self._completed(past)
        laid = _never_open(overlay.lay(seen, interaction.id), seen) if overlay is not None and is_follow_up else seen
        if talk is not None:
            laid = _with_talk(laid, talk)
        facts = establish(interaction, laid, self.policy, past.decided_at)
        if then is not None and self._wants_the_same(then[0], facts):
            gist = past.gist
            if not gist.takes_turn:
                self._agree(past, gist)
                self._doubt(past, interaction, gist.takes_turn, overlay)
                return None
        rota = Rota(
            turns=self._turns,
            loads=_loads_told(past.plan) if self._has_capacity else {},
            chosen=self._chosen.get(interaction.id, {}),
        )
        trial = decide_on(facts, rota, past.client_id)
        if trial.turns:
            self._turns.update(trial.turns)
        if trial.chosen:
            self._chosen[interaction.id] = {**trial.chosen, **rota.chosen}
        is_same = past.says(trial)
        real = trial if is_same else past.plan
        found = () if is_same else differences(real, trial)
        if past.is_written and (is_follow_up or found):
            if overlay is None:
                overlay = self._overlays[past.client_id, past.connection] = Overlay(self._crm(past).words)
            overlay.learn(
                interaction.id, real, trial, seen=seen, laid=laid, made=past.made, at=past.decided_at
            )  # fmt: skip
        if talk is not None or real.talked != trial.talked:
            self._hear(past.client_id, interaction, real, trial, laid)
        is_now = gist_of(trial)
        was = is_now if is_same else gist_of(real)
        self._then.close(was, seen.history.open_task_keys)
        self._now.close(is_now, laid.history.open_task_keys)
        if past.is_last and past.is_counted:
            self._decisions += 1
            self._then.count(was)
            self._now.count(is_now)
            is_orphaned = is_now.is_unowned and not was.is_unowned
            self._differ(past, interaction, real, trial, found, seen, is_follow_up, is_orphaned)
        self._doubt(past, interaction, is_now.takes_turn, overlay)
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

    def _agree(self, past: Past, gist: Gist) -> None:
        """Both worlds do the same."""
        if gist.completes:
            open_task_keys = past.open_task_keys
            self._then.close(gist, open_task_keys)
            self._now.close(gist, open_task_keys)
        if past.is_last and past.is_counted:
            self._decisions += 1
            self._then.count(gist)
            self._now.count(gist)

    def _differ(
        self,
        past: Past,
        interaction: Interaction,
        real: Plan,
        trial: Plan,
        found: Iterable[Difference],
        seen: Snapshot,
        is_follow_up: bool,
        is_orphaned: bool,
    ) -> None:
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

        if is_orphaned and len(self._newly_unowned) < EXAMPLES:
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

    def _doubt(self, past: Past, interaction: Interaction, takes_turn: bool, overlay: Overlay | None) -> None:
        if not (past.is_last and past.is_counted):
            return
        if overlay is not None and overlay.is_unsure:
            self.unknown[Unknown.PEOPLE] += 1
        if self._has_capacity and takes_turn:
            self.unknown[Unknown.CAPACITY] += 1
        if self._new_keys and any(interaction.client.fields.get(key.partition(":")[2]) for key in self._new_keys):
            self.unknown[Unknown.NEVER_LOOKED_UP] += 1

    # --- what a change cannot reach -----------------------------------------------------------------------------

    def _wants_the_same(self, then: Policy, facts: Facts) -> bool:
        """True if the policy of then and the trial want the same for the same reasons; all else they have in common."""
        was, is_now = judge(facts, then), judge(facts, self.policy)
        # verdicts are remembered by their policies, so that the same two meet again and again
        key = id(was), id(is_now)
        known = self._alike.get(key)
        if known is None or known[1] is not was or known[2] is not is_now:
            known = _is_alike(was, is_now), was, is_now
            if len(self._alike) >= _REMEMBERED:
                self._alike.clear()
            self._alike[key] = known
        return known[0]


#: pairs of verdicts remembered
_REMEMBERED = 4096
#: the parts of a policy that say what is wanted; the others say what is seen, who is who and how it is done
_WISHES = {"matrix", "rules", "stop_at_first_rule", "example"}


def _same_but_wishes(one: Policy, other: Policy) -> bool:
    """True if they see the same and do the same the same way."""
    parts = (name for name in type(one).model_fields if name not in _WISHES)
    # whether anything may lie unclaimed is told by rows and rules too (W2)
    return one.uses_unsorted == other.uses_unsorted and all(
        getattr(one, part) == getattr(other, part) for part in parts
    )


def _is_alike(was: Verdict, is_now: Verdict) -> bool:
    def won(verdict: Verdict) -> list[str]:
        return [trial.name for trial in verdict.trials if trial.has_won]

    return (
        was.outcome == is_now.outcome
        and was.because == is_now.because
        and was.warnings == is_now.warnings
        and won(was) == won(is_now)
    )


def _loads_told(real: Plan) -> dict[EmployeeId, int]:
    """How busy those were who were passed over for it; who was not, had room then."""
    return {
        one.employee: int(load)
        for one in real.explanation.candidates
        if one.reason.code == "at_capacity" and (load := one.reason.values.get("detail", "")).isdigit()
    }


def _never_open(laid: Snapshot, seen: Snapshot) -> Snapshot:
    """``laid`` where a deal that is open in truth and closed on the trial was not open there before either (A14)."""
    shut = {deal.id for deal in laid.deals if not deal.is_open}
    shut &= {deal.id for deal in seen.deals if deal.is_open}
    history = laid.history
    return replace(laid, history=replace(history, was_open=history.was_open - shut)) if shut else laid


def _with_talk(seen: Snapshot, talk: _Talk) -> Snapshot:
    history = seen.history
    called = (history.called_by | talk.called) - talk.not_called
    return replace(
        seen, history=replace(history, last_talked=talk.last, last_talked_at=talk.at, called_by=called)
    )  # fmt: skip
