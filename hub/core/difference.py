"""In what two decisions about the same interaction differ, in words that can be counted (X2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from hub.core.plan import (
    Action,
    AddNote,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Nothing,
    Notify,
    Plan,
    Reason,
    RecordCall,
    Ref,
    UpdateContact,
    UpdateDeal,
)

__all__ = ["FIELD", "KINDS", "WHY", "Difference", "differences", "row_of", "rules_of"]

#: every kind of difference, in the order in which a report tells them; the comment says what ``of``, ``before`` and
#: ``after`` are (employees by id, "" = nobody)
KINDS: tuple[str, ...] = (
    "row",  # rows of the matrix, or why none was asked
    "rule_wins",  # of: the rule
    "rule_is_out",  # of: the rule
    "now_nothing",  # after: why
    "now_something",  # before: why nothing
    "responsible",  # employees
    "contact",  # after: whose new contact
    "no_contact",  # before: whose
    "contact_responsible",  # employees
    "contact_content",  # before: which parts, as of deal_content
    "deal",  # after: whose new deal
    "no_deal",  # before: whose
    "deal_responsible",  # employees
    "deal_stage",  # pipeline / stage
    "deal_content",  # before: which of name, price, phones, emails, tags, and fields behind `FIELD`, is another
    "takeover",  # of: contact or deal; employees to whom the existing record moves
    "task_instead",  # of: the employee; kinds of tasks
    "task_responsible",  # of: the kind; employees
    "task",  # of: the kind; after: whose
    "no_task",  # of: the kind; before: whose
    "task_content",  # of: the kind; before: which of text, deadline, place is another
    "done_responsible",  # completed tasks, as for open ones
    "done",
    "no_done",
    "done_content",
    "completes",  # how many tasks are done with
    "record",
    "no_record",
    "record_content",
    "notice",  # employees, joined by ", "
    "notice_content",
    "note",
    "no_note",
    "note_content",
)
#: stands before the name of a CRM's field in a list of a record's parts
FIELD = "field:"
#: what tells why, not what is done
WHY = frozenset({"row", "rule_wins", "rule_is_out"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is otherwise; equal ones make a group."""

    kind: str
    of: str = ""
    before: str = ""
    after: str = ""

    @property
    def is_effect(self) -> bool:
        """False if only the reason is another one."""
        return self.kind not in WHY


def differences(before: Plan, after: Plan) -> tuple[Difference, ...]:
    """What of ``after`` is other than ``before``; () if the CRM would be left the same, for the same reasons."""
    return (*_why(before, after), *_whether(before, after), *_what(before, after))


def row_of(plan: Plan) -> str:
    """The row of the matrix behind ``plan``, or the code of what came before any row."""
    reason: Reason = plan.actions[0].reason
    return reason.values.get("row", "") or reason.code


def rules_of(plan: Plan) -> tuple[str, ...]:
    """The rules that held, in order."""
    row = row_of(plan)
    return tuple(trial.name for trial in plan.explanation.trials if trial.has_won and trial.name != row)


def _why(before: Plan, after: Plan) -> Iterator[Difference]:
    rows = row_of(before), row_of(after)
    if rows[0] != rows[1]:
        yield Difference(kind="row", before=rows[0], after=rows[1])
    old, new = rules_of(before), rules_of(after)
    yield from (Difference(kind="rule_wins", of=name) for name in new if name not in old)
    yield from (Difference(kind="rule_is_out", of=name) for name in old if name not in new)


def _whether(before: Plan, after: Plan) -> Iterator[Difference]:
    was, now = _nothing(before), _nothing(after)
    if now and not was:
        yield Difference(kind="now_nothing", after=now)
    if was and not now:
        yield Difference(kind="now_something", before=was)
    if before.responsible != after.responsible:
        yield Difference(kind="responsible", before=before.responsible or "", after=after.responsible or "")


def _nothing(plan: Plan) -> str:
    """Why nothing at all is done, "" if something is."""
    if any(not isinstance(action, Nothing) for action in plan.actions):
        return ""
    reason = plan.actions[0].reason
    return reason.values.get("why", "") or reason.code


def _what(before: Plan, after: Plan) -> Iterator[Difference]:
    yield from _contacts(before, after)
    yield from _deals(before, after)
    for record, kind in (("contact", UpdateContact), ("deal", UpdateDeal)):
        moved = [_moved(plan, kind) for plan in (before, after)]
        if moved[0] != moved[1]:
            yield Difference(kind="takeover", of=record, before=moved[0], after=moved[1])
    yield from _open_tasks(before, after)
    yield from _completed_tasks(before, after)
    done = [sum(isinstance(action, CompleteTask) for action in plan.actions) for plan in (before, after)]
    if done[0] != done[1]:
        yield Difference(kind="completes", before=str(done[0]), after=str(done[1]))
    yield from _records(before, after)
    told = [
        ", ".join(sorted({who for found in _of(Notify, plan) for who in found.employees})) for plan in (before, after)
    ]
    if told[0] != told[1]:
        yield Difference(kind="notice", before=told[0], after=told[1])
    elif _notices(before) != _notices(after):
        yield Difference(kind="notice_content")
    yield from _notes(before, after)


A = TypeVar("A", bound=Action)


def _of(kind: type[A], plan: Plan) -> list[A]:
    return [action for action in plan.actions if isinstance(action, kind)]


def _contacts(before: Plan, after: Plan) -> Iterator[Difference]:
    was, now = _of(CreateContact, before), _of(CreateContact, after)
    for old, new in zip(was, now, strict=False):
        if old.responsible != new.responsible:
            yield Difference(kind="contact_responsible", before=old.responsible or "", after=new.responsible or "")
        if _content(old) != _content(new):
            yield Difference(kind="contact_content", before=_parts(_content(old), _content(new)))
    yield from (Difference(kind="no_contact", before=old.responsible or "") for old in was[len(now) :])
    yield from (Difference(kind="contact", after=new.responsible or "") for new in now[len(was) :])
    changed = [
        [said for action in _of(UpdateContact, plan) if any((said := _content(action)).values())]
        for plan in (before, after)
    ]
    if changed[0] != changed[1] and not was and not now:
        both = zip_longest(*changed, fillvalue={})
        parts = dict.fromkeys(part for pair in both for part in _parts(*pair).split(", "))
        yield Difference(kind="contact_content", before=", ".join(part for part in parts if part))


def _deals(before: Plan, after: Plan) -> Iterator[Difference]:
    was, now = _of(CreateDeal, before), _of(CreateDeal, after)
    for old, new in zip(was, now, strict=False):
        if old.responsible != new.responsible:
            yield Difference(kind="deal_responsible", before=old.responsible or "", after=new.responsible or "")
        if _stage(old) != _stage(new):
            yield Difference(kind="deal_stage", before=_stage(old), after=_stage(new))
        if _content(old) != _content(new):
            yield Difference(kind="deal_content", before=_parts(_content(old), _content(new)))
    yield from (Difference(kind="no_deal", before=old.responsible or "") for old in was[len(now) :])
    yield from (Difference(kind="deal", after=new.responsible or "") for new in now[len(was) :])


def _stage(deal: CreateDeal) -> str:
    return "unsorted" if deal.is_unsorted else " / ".join(part for part in (deal.pipeline, deal.stage) if part)


def _content(action: CreateContact | CreateDeal | UpdateContact) -> dict[str, object]:
    """What the record says, part by part; whose it is and where it stands are differences of their own."""
    match action:
        case CreateContact():
            own: dict[str, object] = {"phones": action.phones, "emails": action.emails, "tags": action.tags}
        case CreateDeal():
            own = {"price": action.price, "tags": action.tags}
        case UpdateContact():
            own = {"phones": action.add_phones, "emails": action.add_emails, "tags": action.add_tags}
    return {"name": action.name, **own, **{f"{FIELD}{name}": value for name, value in action.fields.items()}}


def _parts(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Which parts of a record differ, joined by ", "; a field of the CRM by its own name behind `FIELD`."""
    return ", ".join(name for name in {**old, **new} if old.get(name) != new.get(name))


def _moved(plan: Plan, kind: type[UpdateContact | UpdateDeal]) -> str:
    """To whom an existing record moves (A13)."""
    return ", ".join(sorted({action.responsible for action in _of(kind, plan) if action.responsible is not None}))


def _open_tasks(before: Plan, after: Plan) -> Iterator[Difference]:
    was = [task for task in _of(CreateTask, before) if task.completed_at is None]
    now = [task for task in _of(CreateTask, after) if task.completed_at is None]
    gone, come = _unmatched(was, now)
    for old in list(gone):
        # another kind for the same employee, or the same kind for another one, is one change and not two
        new = next((new for new in come if new.assignee == old.assignee), None)
        if new is not None:
            gone.remove(old)
            come.remove(new)
            yield Difference(kind="task_instead", of=old.assignee or "", before=old.task, after=new.task)
    yield from _reassigned(gone, come, "task_responsible")
    yield from (Difference(kind="no_task", of=old.task, before=old.assignee or "") for old in gone)
    yield from (Difference(kind="task", of=new.task, after=new.assignee or "") for new in come)
    yield from _contents(was, now, "task_content")


def _completed_tasks(before: Plan, after: Plan) -> Iterator[Difference]:
    was = [task for task in _of(CreateTask, before) if task.completed_at is not None]
    now = [task for task in _of(CreateTask, after) if task.completed_at is not None]
    gone, come = _unmatched(was, now)
    yield from _reassigned(gone, come, "done_responsible")
    yield from (Difference(kind="no_done", of=old.task, before=old.assignee or "") for old in gone)
    yield from (Difference(kind="done", of=new.task, after=new.assignee or "") for new in come)
    yield from _contents(was, now, "done_content")


def _unmatched(was: Sequence[CreateTask], now: Sequence[CreateTask]) -> tuple[list[CreateTask], list[CreateTask]]:
    """Tasks of a kind for an employee that only one side has."""
    old, new = ({(task.task, task.assignee): task for task in tasks} for tasks in (was, now))
    return [old[key] for key in old if key not in new], [new[key] for key in new if key not in old]


def _reassigned(gone: list[CreateTask], come: list[CreateTask], kind: str) -> Iterator[Difference]:
    for old in list(gone):
        new = next((new for new in come if new.task == old.task), None)
        if new is not None:
            gone.remove(old)
            come.remove(new)
            yield Difference(kind=kind, of=old.task, before=old.assignee or "", after=new.assignee or "")


def _contents(was: Sequence[CreateTask], now: Sequence[CreateTask], kind: str) -> Iterator[Difference]:
    """Where only the text, the deadline or the record that the task hangs on differs."""
    others = {(task.task, task.assignee): task for task in now}
    for old in was:
        new = others.get((old.task, old.assignee))
        if new is None:
            continue
        parts = [
            name
            for name, is_other in (
                ("text", (old.text, old.type, old.result) != (new.text, new.type, new.result)),
                ("deadline", old.completed_at is None and old.due_at != new.due_at),
                ("place", _place(old.on) != _place(new.on)),
            )
            if is_other
        ]
        if parts:
            yield Difference(kind=kind, of=old.task, before=", ".join(parts))


def _place(ref: Ref | None) -> str:
    """On what kind of record; which one is told by whose deal or contact is new."""
    return "" if ref is None else str(ref.kind)


def _records(before: Plan, after: Plan) -> Iterator[Difference]:
    was, now = _of(RecordCall, before), _of(RecordCall, after)
    if was and not now:
        yield Difference(kind="no_record")
    elif now and not was:
        yield Difference(kind="record")
    elif was and now and _heard(was[0]) != _heard(now[0]):
        yield Difference(kind="record_content", before=was[0].responsible or "", after=now[0].responsible or "")


def _heard(record: RecordCall) -> tuple[object, ...]:
    return _place(record.on), record.responsible, record.text, record.recording, record.talk_seconds


def _notices(plan: Plan) -> list[tuple[str, str]]:
    return [(found.text, _place(found.on)) for found in _of(Notify, plan)]


def _notes(before: Plan, after: Plan) -> Iterator[Difference]:
    was, now = _of(AddNote, before), _of(AddNote, after)
    if len(was) > len(now):
        yield Difference(kind="no_note", before=str(len(was) - len(now)))
    elif len(now) > len(was):
        yield Difference(kind="note", after=str(len(now) - len(was)))
    elif Counter((_place(note.on), note.text) for note in was) != Counter((_place(note.on), note.text) for note in now):
        yield Difference(kind="note_content")
