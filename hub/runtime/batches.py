"""Which waiting steps go out together (X6): pure, so that it can be read and tested as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from hub.core.plan import AddNote, CreateContact, CreateDeal, NewRecord, RecordCall, StepKey, UpdateDeal
from hub.core.revise import StepState
from hub.ports import Changes
from hub.store.steps import Step

__all__ = ["Batch", "Unit", "blocked", "form_batches", "linked", "not_ready", "reunite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What one item of a request does: one step, or a deal together with its new contact."""

    step: Step
    contact: Step | None = None

    @property
    def kind(self) -> str:
        """What shares a request: the kind of action, and where a vendor has an address for each, what it is done to."""
        action = self.step.action
        if self.contact is not None:
            return "create_deal+contact"
        if isinstance(action, RecordCall | AddNote):
            return f"{action.kind} on {action.on.kind}"
        if isinstance(action, CreateDeal) and action.is_unsorted:
            return "create_deal unsorted"
        if isinstance(action, UpdateDeal) and action.accepts:
            return "update_deal accept"
        return action.kind

    @property
    def steps(self) -> tuple[Step, ...]:
        return (self.step,) if self.contact is None else (self.contact, self.step)

    @property
    def attempts(self) -> int:
        return max(step.attempts for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Units of one kind that go out in one request."""

    units: tuple[Unit, ...]

    @property
    def kind(self) -> str:
        return self.units[0].kind

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for unit in self.units for step in unit.steps)

    @property
    def urgency(self) -> int:
        return min(step.urgency for step in self.steps)

    def limit(self, sizes: Mapping[str, int]) -> int:
        """How many units a request of this kind takes."""
        return sizes.get(self.units[0].step.action.kind, 1)


def blocked(waiting: Sequence[Step], states: Mapping[StepKey, StepState]) -> list[Step]:
    """Steps whose needed record will not come: what they need was refused or taken back."""
    return [
        step
        for step in waiting
        if any(states.get(key) in (StepState.REJECTED, StepState.WITHDRAWN, None) for key in step.needs)
    ]


def not_ready(waiting: Sequence[Step], states: Mapping[StepKey, StepState]) -> Counter[str]:
    """How many of each kind wait for a record that is not made yet; a deal may be made together with its contact."""
    return Counter(
        Unit(step=step).kind
        for step in waiting
        if step.needs
        and not isinstance(step.action, CreateDeal)
        and any(states.get(key) is not StepState.DONE for key in step.needs)
    )


def form_batches(
    waiting: Sequence[Step],
    states: Mapping[StepKey, StepState],
    *,
    sizes: Mapping[str, int],
    has_combined_create: bool,
    limits: Mapping[int, int],
    busy: Collection[int],
    most: int,
) -> list[Batch]:
    """Up to ``most`` requests for what waits, the most urgent and oldest first.

    ``states`` holds the state of every step that a waiting one needs; ``limits`` the size that a step's batch may
    have after it took part in a failed one; ``busy`` the steps that another request already carries.
    """
    by_key = {step.key: step for step in waiting}
    units: list[Unit] = []
    carried: set[int] = set()
    for step in waiting:
        contact = _contact_of(step, by_key, states) if has_combined_create else None
        if contact is not None and contact.id not in busy:
            units.append(Unit(step=step, contact=contact))
            carried.add(contact.id)
    paired = {unit.step.id for unit in units} | carried
    for step in waiting:
        if step.id not in paired and all(states.get(key) is StepState.DONE for key in step.needs):
            units.append(Unit(step=step))
    units = [unit for unit in units if not any(step.id in busy for step in unit.steps)]
    units.sort(key=lambda unit: (unit.step.urgency, min(step.id for step in unit.steps)))
    by_kind: dict[str, list[tuple[int, Unit]]] = {}
    for place, unit in enumerate(units):
        by_kind.setdefault(unit.kind, []).append((place, unit))
    batches: list[Batch] = []
    while len(batches) < most and by_kind:
        # the kind whose first unit comes before all others
        kind = min(by_kind, key=lambda kind: by_kind[kind][0][0])
        own = by_kind.pop(kind)
        chosen, left = _fill(own, sizes.get(own[0][1].step.action.kind, 1), limits)
        if left:
            by_kind[kind] = left
        batches.append(Batch(units=tuple(chosen)))
    return batches


def _fill(
    units: Sequence[tuple[int, Unit]], size: int, limits: Mapping[int, int]
) -> tuple[list[Unit], list[tuple[int, Unit]]]:
    """Those of ``units`` that share the next request, and the others with their places; the first one always goes."""
    chosen: list[Unit] = []
    left: list[tuple[int, Unit]] = []
    lowest = size
    for place, unit in units:
        limit = min(lowest, *(limits.get(step.id, size) for step in unit.steps))
        if chosen and len(chosen) >= limit:
            left.append((place, unit))
        else:
            chosen.append(unit)
            lowest = limit
    return chosen, left


def _contact_of(step: Step, by_key: Mapping[StepKey, Step], states: Mapping[StepKey, StepState]) -> Step | None:
    """The contact that can be made together with this deal: it waits too, and nothing else is missing."""
    action = step.action
    if not isinstance(action, CreateDeal) or not isinstance(action.contact, NewRecord):
        return None
    contact = by_key.get(action.contact.key)
    if contact is None or not isinstance(contact.action, CreateContact):
        return None
    others = [*contact.needs, *(key for key in step.needs if key != contact.key)]
    return contact if all(states.get(key) is StepState.DONE for key in others) else None


def linked(changes: Changes, contact_id: str) -> Changes:
    """The deal of a combined request hangs on the contact that came with it."""
    return replace(changes, deals=tuple(replace(deal, contact_ids=(contact_id,)) for deal in changes.deals))


def reunite(batch: Batch, fresh: Sequence[Step]) -> list[Unit]:
    """The batch's units with the steps as they were marked; a pair that was broken up goes as single steps."""
    by_id = {step.id: step for step in fresh}
    units: list[Unit] = []
    for unit in batch.units:
        step = by_id.get(unit.step.id)
        contact = by_id.get(unit.contact.id) if unit.contact is not None else None
        if step is not None and (contact is not None or unit.contact is None):
            units.append(Unit(step=step, contact=contact))
        elif step is None and contact is not None:
            units.append(Unit(step=contact))
    return units
