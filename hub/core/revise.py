"""A later decision meets what an earlier one already did (DESIGN 2, "Steps"): compared by key, never by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from hub.core.plan import (
    Action,
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    NewRecord,
    Nothing,
    Notify,
    Reason,
    RecordCall,
    Ref,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.records import RecordKind, RecordRef

__all__ = [
    "BY_HAND",
    "ON_THE_WAY",
    "Known",
    "Revision",
    "StepState",
    "has_to_wait",
    "needs",
    "revise",
    "targets",
]

#: the code of the reason of a step that a person wanted from a card or popup: what they decided stays (U1)
BY_HAND = "by_hand"


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    #: the request has left, or is about to: committed before it does
    SENT = "sent"
    DONE = "done"
    #: the CRM refused it, or its attempts are used up
    REJECTED = "rejected"
    #: nobody knows yet whether the CRM applied it (X5)
    IN_DOUBT = "in_doubt"
    #: no longer wanted
    WITHDRAWN = "withdrawn"

    @property
    def is_outstanding(self) -> bool:
        return self in (StepState.WAITING, StepState.SENT, StepState.IN_DOUBT)


#: while a step stands so, nobody knows what a new decision would have to correct
ON_THE_WAY = frozenset({StepState.SENT, StepState.IN_DOUBT})


def has_to_wait(counts: Mapping[str, int], is_revised: bool) -> bool:
    """Whether steps that stand so must end before their work does or, if it ``is_revised``, is decided anew."""
    return any(state in counts for state in ON_THE_WAY) or (StepState.WAITING in counts and not is_revised)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A step as the store holds it."""

    key: StepKey
    state: StepState
    action: Action
    record: RecordRef | None = None
    #: False if the record it made is gone from the CRM
    is_record_alive: bool = True
    #: False for a step that another interaction of the client made
    is_own: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What to change in the store: steps to add, to replace, to withdraw, to do again."""

    #: new steps, in order
    added: tuple[Action, ...] = ()
    #: waiting steps whose content changed, or ended ones that must be done after all
    replaced: tuple[Action, ...] = ()
    #: steps that wait or were refused, and are no longer wanted
    withdrawn: tuple[StepKey, ...] = ()
    #: done and differing, or done and no longer wanted, where nothing can be corrected: with the reason
    left: tuple[tuple[StepKey, Reason], ...] = ()


def revise(actions: Sequence[Action], known: Mapping[StepKey, Known], revision: int) -> Revision:
    """How to get from ``known`` to ``actions``.

    ``revision`` names correcting steps, so that each decision can correct once. Steps that are sent or in doubt are
    left alone: the caller decides again when they have ended.
    """
    added: list[Action] = []
    replaced: list[Action] = []
    left: list[tuple[StepKey, Reason]] = []
    #: what stands and is to stay: wanted by its own key, or because it corrects or undoes what was done
    wanted = {action.key for action in actions}
    for action in actions:
        if isinstance(action, Nothing):
            continue
        old = known.get(action.key)
        if old is None:
            added.append(action)
        elif old.state is StepState.DONE and old.is_record_alive:
            if old.is_own:
                _meet_done(old, _as_wanted(old, action, known), known, revision, wanted, added, replaced, left)
        elif old.state is StepState.WAITING:
            action = _as_wanted(old, action, known)
            if old.is_own and not same(old.action, action):
                replaced.append(action)
        elif not old.state.is_outstanding:
            replaced.append(action)
    for key, old in known.items():
        if key in wanted or not old.is_own or old.state is not StepState.DONE or is_correction(key) or is_by_hand(old):
            continue
        undo = take_back(old)
        if undo is None:
            # a notice has been read, a timer's among them: nothing of it stays in the CRM
            if not isinstance(old.action, Notify):
                left.append((key, Reason(code="left_in_place")))
            continue
        wanted.add(undo.key)
        before = known.get(undo.key)
        if before is None:
            added.append(undo)
        elif before.state in (StepState.REJECTED, StepState.WITHDRAWN):
            replaced.append(undo)
    withdrawn = [
        key
        for key, old in known.items()
        if key not in wanted
        and old.is_own
        and old.state in (StepState.WAITING, StepState.REJECTED)
        and not is_parting(key)
        and not is_by_hand(old)
    ]
    return Revision(added=tuple(added), replaced=tuple(replaced), withdrawn=tuple(withdrawn), left=tuple(left))


def _meet_done(
    old: Known,
    action: Action,
    known: Mapping[StepKey, Known],
    revision: int,
    wanted: set[StepKey],
    added: list[Action],
    replaced: list[Action],
    left: list[tuple[StepKey, Reason]],
) -> None:
    """``action`` was done as ``old``; corrections of it that are done too count as what the CRM holds now."""
    undo = take_back(old)
    undone = known.get(undo.key) if undo is not None else None
    if undone is not None and undone.state is StepState.DONE:
        replaced.append(action)
        return
    made = _corrections(old, known)
    done = [number for number, one in made.items() if one.state is StepState.DONE]
    last = max(made, default=0)
    is_new = not made or last in done
    number = max(revision, last + 1) if is_new else last
    said = [old.action, *(made[one].action for one in sorted(done))]
    correction = correct(old, action, number, said)
    held = made[max(done)].action if done else None
    if same(old.action, action) if held is None else correction is not None and _says_the_same(held, correction):
        return
    if correction is None:
        left.append((action.key, Reason(code="left_in_place")))
        return
    wanted.add(correction.key)
    if is_new:
        added.append(correction)
    elif made[last].state is not StepState.WAITING or not _says_the_same(made[last].action, correction):
        replaced.append(correction)


def _corrections(old: Known, known: Mapping[StepKey, Known]) -> dict[int, Known]:
    """The steps that correct the record which ``old`` made, by their number."""
    found: dict[int, Known] = {}
    for key, one in known.items():
        base, _, number = key.rpartition("~")
        if base == old.key and number.isdigit() and _target(one.action) in (None, old.record):
            found[int(number)] = one
    return found


def _target(action: Action) -> Ref | None:
    match action:
        case UpdateContact():
            return action.contact
        case UpdateDeal():
            return action.deal
        case UpdateTask():
            return action.task
        case _:
            return None


def _says_the_same(one: Action, other: Action) -> bool:
    return same(replace(one, key=other.key), other) if type(one) is type(other) else False


def is_correction(key: StepKey) -> bool:
    """True for a step that corrects another one."""
    return "~" in key


def is_parting(key: StepKey) -> bool:
    """True for a step that undoes a join (X12): a person wanted it, no later decision withdraws it."""
    return "~parted/" in key


def is_by_hand(old: Known) -> bool:
    """True for a step that a person wanted from a card or popup (U1): no later decision takes it back."""
    return old.action.reason.code == BY_HAND


def _as_wanted(old: Known, action: Action, known: Mapping[StepKey, Known]) -> Action:
    """``action``, where a person made or took the record: it stays theirs, whoever a decision would give it to."""
    match old.action, action:
        case (CreateContact() | CreateDeal() as said, CreateContact() | CreateDeal() as made) if _is_taken(old, known):
            return replace(made, responsible=said.responsible)
        case (CreateContact() as said, CreateContact() as new) if is_by_hand(old):
            return replace(new, name=said.name, responsible=said.responsible, reason=said.reason)
        case (CreateDeal() as said, CreateDeal() as new) if is_by_hand(old):
            return replace(
                new,
                responsible=said.responsible,
                pipeline=said.pipeline,
                stage=said.stage,
                is_unsorted=said.is_unsorted,
                reason=said.reason,
            )
        case (CreateTask() as said, CreateTask() as new) if is_by_hand(old):
            return replace(new, assignee=said.assignee, text=said.text, reason=said.reason)
        case _:
            return action


def _is_taken(old: Known, known: Mapping[StepKey, Known]) -> bool:
    """True if a person took over the record that ``old`` made."""
    return old.record is not None and any(
        is_by_hand(one) and _target(one.action) == old.record and getattr(one.action, "responsible", None) is not None
        for one in known.values()
    )


def same(old: Action, new: Action) -> bool:
    """True if the CRM would hold the same after either; reasons and exact deadlines do not count.

    A deadline is fixed by the first decision: a repeated one must not move it (A3).
    """
    if isinstance(old, CreateTask) and isinstance(new, CreateTask):
        new = replace(new, due_at=old.due_at, completed_at=old.completed_at if new.completed_at else None)
    if isinstance(old, UpdateTask) and isinstance(new, UpdateTask):
        new = replace(new, due_at=old.due_at)
    return replace(old, reason=new.reason) == new


def correct(old: Known, new: Action, number: int, said: Sequence[Action]) -> Action | None:
    """The step that turns what ``old`` did into ``new``, or None if the CRM cannot be corrected.

    Corrections of one step are numbered upwards, so that the last one done is what the CRM holds. A name or a
    responsible that the hub has ``said`` all along is not said again: a person may have changed it meanwhile.
    """
    record = old.record
    key = StepKey(f"{new.key}~{number}")
    if record is None or type(old.action) is not type(new):
        return None
    match new:
        case CreateContact():
            return UpdateContact(
                key=key,
                contact=record,
                name=new.name if _is_news("name", new.name, said) else None,
                add_phones=new.phones,
                add_emails=new.emails,
                responsible=new.responsible if _is_news("responsible", new.responsible, said) else None,
                fields=new.fields,
                add_tags=new.tags,
                reason=new.reason,
            )
        case CreateDeal():
            return UpdateDeal(
                key=key,
                deal=record,
                responsible=new.responsible if _is_news("responsible", new.responsible, said) else None,
                price=new.price,
                fields=new.fields,
                add_tags=new.tags,
                reason=new.reason,
            )
        case CreateTask():
            if new.completed_at is not None:
                return _note(key, new.on, new.result or new.text, new.reason)
            # who was escalated to keeps the task: only another decision moves it (X10)
            assignee = new.assignee if _is_news("assignee", new.assignee, said) else None
            return UpdateTask(key=key, task=record, assignee=assignee, text=new.text, reason=new.reason)
        case RecordCall():
            return _note(key, new.on, "\n".join(part for part in (new.text, new.recording) if part), new.reason)
        case AddNote():
            return _note(key, new.on, new.text, new.reason)
        case UpdateContact() | UpdateDeal() | UpdateTask():
            return replace(new, key=key)
        case CompleteTask() | Notify() | Nothing():
            return None
        case _:
            assert_never(new)


def _is_news(name: str, value: object, said: Sequence[Action]) -> bool:
    return any(getattr(action, name, None) not in (None, value) for action in said)


def _note(key: StepKey, on: Ref | None, text: str, reason: Reason) -> AddNote | None:
    return None if on is None or not text else AddNote(key=key, on=on, text=text, reason=reason)


def take_back(old: Known) -> Action | None:
    """The step that undoes ``old`` as far as a CRM allows: an open task is closed; the rest stays in place."""
    if isinstance(old.action, CreateTask) and old.action.completed_at is None and old.record is not None:
        return CompleteTask(
            key=StepKey(f"{old.key}~withdrawn/{old.record.id}"),
            task=old.record,
            result="",
            reason=Reason(code="task_no_longer_needed"),
        )
    return None


def needs(action: Action) -> tuple[StepKey, ...]:
    """The keys of the steps that must be done before ``action``: those whose records it refers to, mostly."""
    after = (action.after,) if isinstance(action, UpdateContact) and action.after is not None else ()
    return (*(ref.key for ref in targets(action) if isinstance(ref, NewRecord)), *after)


def targets(action: Action) -> tuple[Ref, ...]:
    """The records that ``action`` refers to: what it changes, or what its own record hangs on."""
    refs: tuple[Ref | None, ...]
    match action:
        case CreateContact():
            refs = (action.company,)
        case UpdateContact():
            refs = (action.contact, action.company)
        case CreateDeal():
            refs = (action.contact, action.company)
        case UpdateDeal():
            refs = (action.deal,)
        case CreateTask():
            refs = (action.on,)
        case UpdateTask() | CompleteTask():
            refs = (action.task,)
        case RecordCall() | AddNote():
            refs = (action.on,)
        case Notify():
            refs = (action.on,)
        case Nothing():
            refs = ()
        case _:
            assert_never(action)
    return tuple(ref for ref in refs if ref is not None)


#: what each creating action makes
MAKES = {
    "create_contact": RecordKind.CONTACT,
    "create_deal": RecordKind.DEAL,
    "create_task": RecordKind.TASK,
    "record_call": RecordKind.NOTE,
    "add_note": RecordKind.NOTE,
}
