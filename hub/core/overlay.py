"""What one client's CRM would hold otherwise under a trial policy: laid over each stored snapshot (X2, DESIGN 6).

A rehearsal decides on the snapshots of the past. As long as the trial decides what was decided then, they are what
it would have seen. Where it decides otherwise, the records that the hub made in reality are hidden, those that the
trial would have made are shown in their place, and what both made with other contents is shown with the trial's, all
by step key: whoever has the same key is the same record, whatever people did to it since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from hub.core.aftermath import Made, Words, changed, made
from hub.core.interaction import InteractionId
from hub.core.plan import (
    Action,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Nothing,
    Plan,
    Ref,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.core.snapshot import Snapshot

__all__ = ["Overlay", "bare", "is_imagined"]

R = TypeVar("R", Contact, Deal, Task)

#: ids of records that only the trial would have made begin so
_IMAGINED = "trial:"
#: of each kind of record, what a decision can be led by and an action can set
_LED_BY: Mapping[type, tuple[str, ...]] = {
    Contact: ("name", "responsible", "tags", "fields"),
    Deal: ("name", "responsible", "pipeline_id", "stage_id", "is_open", "is_won", "price", "tags", "fields"),
    Task: ("responsible", "on"),
}


@dataclass(slots=True)
class _Hidden:
    """A record that only reality has."""

    ref: RecordRef
    #: as the hub made it
    record: Made
    #: as a snapshot first showed it: if it changes later, people worked on it
    shown: Made | None = None


@dataclass(slots=True)
class _Imagined:
    """A record that only the trial has."""

    key: StepKey
    interaction: InteractionId
    record: Made


@dataclass(slots=True)
class _Reopened:
    """A task that the hub completed in reality, and the trial would not have."""

    task: Task
    #: the step that made it, None for a task of people
    key: StepKey | None


def is_imagined(ref: Ref | None) -> bool:
    """True for a record that only the trial would have made."""
    return isinstance(ref, RecordRef) and ref.id.startswith(_IMAGINED)


def bare(key: StepKey) -> StepKey:
    """``key`` without the client's id, which changes when clients are joined (X12)."""
    if key.endswith("/create_contact"):
        return StepKey("create_contact")
    _, mark, rest = key.partition("/task/")
    return StepKey(f"task/{rest}") if mark else key


@dataclass(slots=True)
class Overlay:
    """The differences of one client's records in one CRM; empty as long as the trial decided as reality did."""

    words: Words
    hidden: dict[StepKey, _Hidden] = field(default_factory=dict)
    imagined: dict[StepKey, _Imagined] = field(default_factory=dict)
    #: by record: as reality left it, as the trial would have
    patches: dict[RecordRef, tuple[Made, Made]] = field(default_factory=dict)
    reopened: dict[str, _Reopened] = field(default_factory=dict)
    #: ids of tasks that the trial would have completed
    closed: set[str] = field(default_factory=set)
    #: steps that only the trial, or only reality, took for each interaction, on records that both have
    own_more: dict[InteractionId, dict[str, RecordRef]] = field(default_factory=dict)
    own_less: dict[InteractionId, set[str]] = field(default_factory=dict)
    #: the responsibles as each interaction's first decision on the trial saw them
    was: dict[InteractionId, Mapping[str, EmployeeId | None]] = field(default_factory=dict)
    #: which real deals were open when last seen
    were_open: dict[str, bool] = field(default_factory=dict)
    #: people worked on what the trial would not have made, or closed deals of a client who would have others on the
    #: trial: nobody knows what they would have done there
    is_unsure: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.hidden or self.imagined or self.patches or self.reopened or self.closed)

    # --- what the trial sees ------------------------------------------------------------------------------------

    def lay(self, seen: Snapshot, interaction: InteractionId) -> Snapshot:
        """``seen`` as the trial policy's CRM would show it."""
        hidden = {one.ref for one in self.hidden.values()}
        self._watch(seen, hidden)
        contacts = [self._patched(one) for one in seen.contacts if one.ref not in hidden]
        deals = [self._patched(one) for one in seen.deals if one.ref not in hidden]
        shown = [self._patched(one) for one in seen.tasks if one.ref not in hidden and one.id not in self.closed]
        # who looks the client up finds no task that hangs on nothing
        tasks = [task for task in shown if task.on is not None]
        tasks += [one.task for id, one in self.reopened.items() if all(task.id != id for task in shown)]
        for one in self.imagined.values():
            match one.record:
                case Contact():
                    contacts.append(one.record)
                case Deal():
                    deals.append(one.record)
                case Task():
                    tasks.append(one.record)
        return replace(
            seen,
            contacts=tuple(contacts),
            deals=tuple(deals),
            tasks=tuple(tasks),
            history=replace(
                seen.history,
                open_task_keys=self._open_task_keys(seen, interaction, {task.id for task in tasks}),
                own=self._own(seen, interaction),
                was_responsible=self.was.get(interaction, seen.history.was_responsible),
                unclaimed=self._unclaimed(seen),
                own_contacts=self._own_contacts(seen),
            ),
        )

    def _open_task_keys(self, seen: Snapshot, interaction: InteractionId, there: set[str]) -> dict[str, str]:
        found = {key: id for key, id in seen.history.open_task_keys.items() if id in there}
        found |= {str(one.key): id for id, one in self.reopened.items() if one.key is not None}
        for one in self.imagined.values():
            if isinstance(one.record, Task) and one.interaction != interaction:
                found[str(one.key)] = one.record.id
        return found

    def _own(self, seen: Snapshot, interaction: InteractionId) -> dict[str, RecordRef]:
        less = self.own_less.get(interaction, ())
        own = {
            key: ref
            for key, ref in seen.history.own.items()
            if bare(StepKey(key)) not in self.hidden and key not in less
        }
        own |= {str(made.key): made.record.ref for made in self.imagined.values() if made.interaction == interaction}
        return own | self.own_more.get(interaction, {})

    def _unclaimed(self, seen: Snapshot) -> frozenset[str]:
        """Deals that are nobody's yet (W2)."""
        found = set(seen.history.unclaimed)
        for ref, (real, trial) in self.patches.items():
            if ref.kind is RecordKind.DEAL and real.responsible != trial.responsible:
                found = found - {ref.id} if trial.responsible else found | {ref.id}
        deals = [one.record for one in self.imagined.values() if isinstance(one.record, Deal)]
        return frozenset(found | {deal.id for deal in deals if deal.responsible is None})

    def _own_contacts(self, seen: Snapshot) -> frozenset[str]:
        contacts = [one.record.id for one in self.imagined.values() if isinstance(one.record, Contact)]
        return seen.history.own_contacts | frozenset(contacts)

    def _patched(self, shown: R) -> R:
        """Where people have not changed what reality left, what the trial would have left."""
        known = self.patches.get(shown.ref)
        if known is None:
            return shown
        real, trial = known
        changed = {
            name: getattr(trial, name)
            for name in _LED_BY[type(shown)]
            if getattr(real, name) != getattr(trial, name) and getattr(shown, name) == getattr(real, name)
        }
        return replace(shown, **changed) if changed else shown

    def _watch(self, seen: Snapshot, hidden: set[RecordRef]) -> None:
        """Notice that people do what cannot be carried over to the trial."""
        if self.is_unsure:
            return
        if any(isinstance(one.record, Deal) for one in self.imagined.values()):
            self.is_unsure = any(self.were_open.get(deal.id, deal.is_open) != deal.is_open for deal in seen.deals)
        self.were_open |= {deal.id: deal.is_open for deal in seen.deals}
        if not hidden:
            return
        records: tuple[Contact | Deal, ...] = (*seen.contacts, *seen.deals)
        shown = {one.ref: one for one in records}
        for one in self.hidden.values():
            now = shown.get(one.ref)
            if now is None:
                continue
            if one.shown is None:
                one.shown = now
            elif _led_by(now) != _led_by(one.shown):
                self.is_unsure = True
        ours = {*seen.history.open_task_keys.values(), *(ref.id for ref in seen.history.own.values())}
        if any(task.on in hidden and task.id not in ours for task in seen.tasks):
            self.is_unsure = True

    # --- what both did ------------------------------------------------------------------------------------------

    def learn(
        self,
        interaction: InteractionId,
        real: Plan,
        trial: Plan,
        *,
        seen: Snapshot,
        laid: Snapshot,
        made: Mapping[StepKey, RecordRef],
        at: datetime,
    ) -> None:
        """Take in that ``real`` was done where ``trial`` would have been.

        ``made`` are the records that reality's steps made; a step that has none there (refused, withdrawn) would
        have fared the same on the trial. ``seen`` and ``laid`` are what both decided on.
        """
        records: tuple[Contact | Deal, ...] = (*laid.contacts, *laid.deals)
        self.was.setdefault(interaction, {f"{one.ref.kind}/{one.id}": one.responsible for one in records})
        self.were_open |= {deal.id: deal.is_open for deal in seen.deals}
        learning = _Learning(
            overlay=self,
            interaction=interaction,
            wanted_really=_by_key(real.actions),
            wanted=_by_key(trial.actions),
            seen=seen,
            laid=laid,
            own_really={bare(StepKey(key)): ref for key, ref in seen.history.own.items()},
            own={bare(StepKey(key)): ref for key, ref in laid.history.own.items()},
            made={bare(key): ref for key, ref in made.items()},
            at=at,
        )
        learning.run()

    def patch(self, ref: RecordRef, real: Made, trial: Made) -> None:
        """Both have the record ``ref``, each as it left it."""
        if _led_by(real) == _led_by(trial):
            self.patches.pop(ref, None)
        else:
            self.patches[ref] = real, trial


@dataclass(slots=True, kw_only=True)
class _Learning:
    """One decision of both, step by step."""

    overlay: Overlay
    interaction: InteractionId
    wanted_really: Mapping[StepKey, Action]
    wanted: Mapping[StepKey, Action]
    seen: Snapshot
    laid: Snapshot
    #: what earlier decisions about this interaction made
    own_really: Mapping[StepKey, RecordRef]
    own: Mapping[StepKey, RecordRef]
    made: Mapping[StepKey, RecordRef]
    at: datetime
    #: the trial's records by step, for what refers to them
    refs: dict[StepKey, RecordRef] = field(default_factory=dict)

    def run(self) -> None:
        for key, action in self.wanted.items():
            if isinstance(action, CreateContact | CreateDeal | CreateTask):
                self._made_on_trial(key, action)
        for key, action in self.wanted_really.items():
            if key not in self.wanted and isinstance(action, CreateContact | CreateDeal | CreateTask):
                self._made_really(key, action)
        for key in self.own:
            # a revision no longer wants it: an open task is closed, the rest is left in place
            if key not in self.wanted and key in self.overlay.imagined and key.startswith("task/"):
                del self.overlay.imagined[key]
        self._completed()
        self._updated()

    def _made_on_trial(self, key: StepKey, action: CreateContact | CreateDeal | CreateTask) -> None:
        overlay, really = self.overlay, self.wanted_really.get(key)
        if really is not None:
            ref = self.made.get(key)
            if ref is None:
                return
            overlay.hidden.pop(key, None)
            overlay.imagined.pop(key, None)
            self.refs[key] = ref
            overlay.patch(ref, self._record(really, ref.id), self._record(action, ref.id))
        elif (hidden := overlay.hidden.pop(key, None)) is not None:
            self.refs[key] = hidden.ref
            if key not in self.own_really:
                self._owns(action.key, hidden.ref)
            overlay.patch(hidden.ref, hidden.record, self._record(action, hidden.ref.id))
        elif key in self.own_really:
            ref = self.refs[key] = self.own_really[key]
            if ref.kind is RecordKind.TASK:
                self._reopen(ref.id)
        elif not _is_unseen(action):
            record = self._record(action, f"{_IMAGINED}{key}")
            self.refs[key] = record.ref
            overlay.imagined[key] = _Imagined(action.key, self.interaction, record)

    def _made_really(self, key: StepKey, action: CreateContact | CreateDeal | CreateTask) -> None:
        """Reality made it now; the trial made it before, or not at all."""
        overlay, ref = self.overlay, self.made.get(key)
        if ref is None or _is_unseen(action):
            return
        imagined = overlay.imagined.pop(key, None)
        if imagined is not None and not isinstance(imagined.record, Task):
            if imagined.interaction == self.interaction:
                self._owns(action.key, ref)
            else:
                self._owns_not(action.key)
            overlay.patch(ref, self._record(action, ref.id), imagined.record)
        elif imagined is None and key in self.own:
            if ref.kind is RecordKind.TASK:
                overlay.closed.add(ref.id)
        else:
            overlay.hidden[key] = _Hidden(ref, self._record(action, ref.id))

    def _completed(self) -> None:
        overlay = self.overlay
        for key, action in self.wanted_really.items():
            if isinstance(action, CompleteTask) and key not in self.wanted and isinstance(action.task, RecordRef):
                self._reopen(action.task.id)
                self._owns_not(action.key)
        for key, action in self.wanted.items():
            if not isinstance(action, CompleteTask) or not isinstance(action.task, RecordRef):
                continue
            id = action.task.id
            overlay.own_less.get(self.interaction, set()).discard(action.key)
            overlay.reopened.pop(id, None)
            if key in self.wanted_really:
                continue
            self._owns(action.key, action.task)
            imagined = next((key for key, one in overlay.imagined.items() if one.record.id == id), None)
            if imagined is not None:
                del overlay.imagined[imagined]
            else:
                overlay.closed.add(id)

    def _owns(self, key: StepKey, ref: RecordRef) -> None:
        self.overlay.own_more.setdefault(self.interaction, {})[key] = ref

    def _owns_not(self, key: StepKey) -> None:
        self.overlay.own_less.setdefault(self.interaction, set()).add(key)

    def _reopen(self, id: str) -> None:
        """Reality closes a task that the trial leaves open; nothing to do if the trial never had it."""
        task = next((task for task in self.laid.tasks if task.id == id), None)
        if task is not None:
            keys = self.laid.history.open_task_keys
            key = next((StepKey(key) for key, of in keys.items() if of == id), None)
            own = next((StepKey(key) for key, ref in self.laid.history.own.items() if ref.id == id), None)
            self.overlay.reopened[id] = _Reopened(task, key or own)

    def _updated(self) -> None:
        """Responsibles and contents that a plan changes on records that were there before."""
        changes: dict[RecordRef, list[Action | None]] = {}
        for place, wanted in enumerate((self.wanted_really, self.wanted)):
            for action in wanted.values():
                ref = _updates(action)
                if isinstance(ref, RecordRef):
                    changes.setdefault(ref, [None, None])[place] = action
        for ref, (real, trial) in changes.items():
            before, before_laid = _find(self.seen, ref), _find(self.laid, ref)
            if before_laid is not None:
                after = before_laid if trial is None else self._changed(before_laid, trial)
                imagined = next((one for one in self.overlay.imagined.values() if one.record.ref == ref), None)
                if imagined is not None:
                    imagined.record = after
                elif before is not None:
                    self.overlay.patch(ref, before if real is None else self._changed(before, real), after)
            for hidden in self.overlay.hidden.values():
                if hidden.ref == ref:
                    hidden.shown = None

    def _changed(self, record: Made, action: Action) -> Made:
        return changed(record, action, self.overlay.words)

    def _record(self, action: Action, id: str) -> Made:
        return made(action, id, refer=self._ref, at=self.at, words=self.overlay.words)

    def _ref(self, ref: Ref | None) -> RecordRef | None:
        if isinstance(ref, NewRecord):
            key = bare(ref.key)
            return self.refs.get(key) or self.made.get(key)
        return ref


def _is_unseen(action: Action) -> bool:
    """True for a task that no snapshot of the client shows: made as completed, or hanging on nothing."""
    return isinstance(action, CreateTask) and (action.completed_at is not None or action.on is None)


def _by_key(actions: Iterable[Action]) -> dict[StepKey, Action]:
    return {bare(action.key): action for action in actions if not isinstance(action, Nothing)}


def _led_by(record: Made) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in _LED_BY[type(record)])


def _updates(action: Action) -> Ref | None:
    match action:
        case UpdateContact():
            return action.contact
        case UpdateDeal():
            return action.deal
        case UpdateTask():
            return action.task
        case _:
            return None


def _find(snapshot: Snapshot, ref: RecordRef) -> Made | None:
    records: Iterable[Made] = (*snapshot.contacts, *snapshot.deals, *snapshot.tasks)
    return next((one for one in records if one.ref == ref), None)
