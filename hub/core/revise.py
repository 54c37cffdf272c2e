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

__all__ = ["Known", "Revision", "StepState", "needs", "revise"]


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
    wanted = {action.key for action in actions}
    for action in actions:
        if isinstance(action, Nothing):
            continue
        old = known.get(action.key)
        if old is None:
            added.append(action)
        elif old.state is StepState.DONE and old.is_record_alive:
            if not old.is_own or same(old.action, action):
                continue
            correction = correct(old, action, revision)
            if correction is None:
                left.append((action.key, Reason(code="left_in_place")))
            elif correction.key not in known:
                added.append(correction)
        elif old.state is StepState.WAITING:
            if old.is_own and not same(old.action, action):
                replaced.append(action)
        elif not old.state.is_outstanding:
            replaced.append(action)
    withdrawn: list[StepKey] = []
    for key, old in known.items():
        if key in wanted or not old.is_own:
            continue
        if old.state is StepState.WAITING:
            withdrawn.append(key)
        elif old.state is StepState.DONE:
            undo = take_back(old)
            if undo is not None and undo.key not in known:
                added.append(undo)
            elif undo is None and not is_correction(key):
                left.append((key, Reason(code="left_in_place")))
    return Revision(added=tuple(added), replaced=tuple(replaced), withdrawn=tuple(withdrawn), left=tuple(left))


def is_correction(key: StepKey) -> bool:
    """True for a step that corrects another one."""
    return "~" in key


def same(old: Action, new: Action) -> bool:
    """True if the CRM would hold the same after either; reasons and exact deadlines do not count.

    A deadline is fixed by the first decision: a repeated one must not move it (A3).
    """
    if isinstance(old, CreateTask) and isinstance(new, CreateTask):
        new = replace(new, due_at=old.due_at, completed_at=old.completed_at if new.completed_at else None)
    if isinstance(old, UpdateTask) and isinstance(new, UpdateTask):
        new = replace(new, due_at=old.due_at)
    return replace(old, reason=new.reason) == new


def correct(old: Known, new: Action, revision: int) -> Action | None:
    """The step that turns what ``old`` did into ``new``, or None if the CRM cannot be corrected."""
    record = old.record
    key = StepKey(f"{new.key}~{revision}")
    if record is None or type(old.action) is not type(new):
        return None
    match new:
        case CreateContact():
            return UpdateContact(
                key=key,
                contact=record,
                name=new.name if isinstance(old.action, CreateContact) and old.action.name != new.name else None,
                add_phones=new.phones,
                add_emails=new.emails,
                responsible=new.responsible,
                fields=new.fields,
                add_tags=new.tags,
                reason=new.reason,
            )
        case CreateDeal():
            return UpdateDeal(
                key=key,
                deal=record,
                responsible=new.responsible,
                price=new.price,
                fields=new.fields,
                add_tags=new.tags,
                reason=new.reason,
            )
        case CreateTask():
            if new.completed_at is not None:
                return _note(key, new.on, new.result or new.text, new.reason)
            return UpdateTask(key=key, task=record, assignee=new.assignee, text=new.text, reason=new.reason)
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


def _note(key: StepKey, on: Ref | None, text: str, reason: Reason) -> AddNote | None:
    return None if on is None or not text else AddNote(key=key, on=on, text=text, reason=reason)


def take_back(old: Known) -> Action | None:
    """The step that undoes ``old`` as far as a CRM allows: an open task is closed; the rest stays in place."""
    if isinstance(old.action, CreateTask) and old.action.completed_at is None and old.record is not None:
        return CompleteTask(
            key=StepKey(f"{old.key}~withdrawn"),
            task=old.record,
            result="",
            reason=Reason(code="task_no_longer_needed"),
        )
    return None


def needs(action: Action) -> tuple[StepKey, ...]:
    """The keys of the steps whose records ``action`` refers to."""
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
    return tuple(ref.key for ref in refs if isinstance(ref, NewRecord))


#: what each creating action makes
MAKES = {
    "create_contact": RecordKind.CONTACT,
    "create_deal": RecordKind.DEAL,
    "create_task": RecordKind.TASK,
    "record_call": RecordKind.NOTE,
    "add_note": RecordKind.NOTE,
}
