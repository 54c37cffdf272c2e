"""From what is wanted to the list of CRM actions, each with its key and its reason (H2, DESIGN 2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from hub.core.card import make_contact, make_deal
from hub.core.explained import shown_candidates, shown_facts
from hub.core.interaction import Call, ClientId, Direction, Disposition
from hub.core.making import Making
from hub.core.outcome import TaskWish
from hub.core.plan import (
    AddNote,
    CompleteTask,
    CreateTask,
    Explanation,
    NewRecord,
    Nothing,
    Notify,
    Plan,
    Reason,
    RecordCall,
    Ref,
    StepKey,
)
from hub.core.records import EmployeeId, RecordKind, RecordRef, Task
from hub.core.tasks import OpenTask, TaskKind, deadline, task_key
from hub.core.waiting import asks, waiting_key

if TYPE_CHECKING:
    from hub.core.assign import Assigned
    from hub.core.facts import Facts
    from hub.core.verdict import Verdict

__all__ = ["make_tasks", "plan_for"]


def plan_for(verdict: Verdict, facts: Facts, people: Assigned, client_id: ClientId) -> Plan:
    """The plan that does what ``verdict`` wants, for ``people``."""
    making = Making(verdict=verdict, facts=facts, people=people, client=client_id)
    _fill(making)
    return Plan(
        actions=tuple(making.actions),
        responsible=people.responsible,
        talked=facts.employee if facts.is_reached and not facts.is_internal else None,
        explanation=Explanation(
            facts=shown_facts(facts),
            trials=verdict.trials,
            candidates=shown_candidates(people),
            contacts=facts.client.choices,
            warnings=(*verdict.warnings, *making.warnings),
        ),
        turns=people.turns,
        chosen=people.drawn,
        due=making.due,
    )


def make_tasks(verdict: Verdict, facts: Facts, people: Assigned, client_id: ClientId, *, since: datetime) -> Plan:
    """A plan of nothing but the tasks that ``verdict`` wants, on the client's records, deadlines from ``since``."""
    making = Making(verdict=verdict, facts=facts, people=people, client=client_id, since=since)
    making.deal_ref = facts.deal.ref if facts.deal is not None else None
    known = facts.contact or facts.company
    making.contact_ref = known.ref if known is not None else None
    for wish in verdict.outcome.tasks or ():
        _task(making, wish)
    return Plan(actions=tuple(making.actions), responsible=people.responsible, due=making.due)


def _fill(making: Making) -> None:
    """Fill ``making.actions`` in the order in which they are to be done."""
    if making.outcome.drop:
        _nothing(making, making.outcome.drop)
        return
    make_contact(making)
    make_deal(making)
    if not making.facts.is_pending:
        if making.facts.is_reached:
            _reached(making)
        for wish in (*(making.outcome.tasks or ()), *making.outcome.more_tasks):
            _task(making, wish)
        _call_record(making)
        _notes(making)
        _await_answer(making)
    _notify(making)
    if not making.actions:
        _nothing(making, "nothing_to_do")


def _nothing(making: Making, code: str) -> None:
    because = making.verdict.because
    values = {**because.values} if because.code == code else {**because.values, "why": code}
    known = because.code if because.code == code else "dropped" if making.outcome.drop else code
    reason = Reason(code=known, values=values, requirement=because.requirement)
    making.actions.append(Nothing(key=StepKey(f"{making.facts.interaction.id}/nothing"), reason=reason))


# --- tasks --------------------------------------------------------------------------------------------------


def _reached(making: Making) -> None:
    """Reaching the client, in any direction over any channel, ends every call-back (A5, X10)."""
    facts, done = making.facts, set()
    for found in facts.open_tasks:
        if making.policy.is_call_back(found.kind) and (found.key is not None or _is_due_today(making, found)):
            done.add(found.task.id)
            _complete(making, found.task.id)
    for key, ref in facts.snapshot.history.own.items():
        if "/complete/" in key and ref.id not in done:
            _complete(making, ref.id)


def _is_due_today(making: Making, found: OpenTask) -> bool:
    """A person's own call-back for a later day stays: it is a plan, not a missed call."""
    due, zone = found.task.due_at, making.policy.zone
    return due is None or due.astimezone(zone).date() <= making.facts.now.astimezone(zone).date()


def _complete(making: Making, task_id: str) -> None:
    making.actions.append(
        CompleteTask(
            key=StepKey(f"{making.facts.interaction.id}/complete/{task_id}"),
            task=RecordRef(kind=RecordKind.TASK, id=task_id),
            result=making.text(making.policy.reached, "reached"),
            reason=making.verdict.reason("client_reached", "A5"),
        )
    )


def _task(making: Making, wish: TaskWish) -> None:
    kind = making.policy.tasks[wish.task]
    where = wish.on or kind.on
    on = making.place(where)
    if on is None and where == "last_deal":
        key = StepKey(f"{making.facts.interaction.id}/nothing/{wish.task}")
        reason = making.verdict.reason("no_order_for_task", "C5", task=wish.task)
        making.actions.append(Nothing(key=key, reason=reason))
        return
    is_completed = kind.completed
    choose = making.people.choose if is_completed else making.people.acting
    for word in wish.assignees:
        assignee = choose(_words_for(word, is_completed), wish.task)
        if assignee is None:
            making.warnings.append(Reason(code="nobody_for_task", values={"task": wish.task, "wanted": word}))
        _task_for(making, assignee, wish, kind, on)


def _task_for(making: Making, assignee: EmployeeId | None, wish: TaskWish, kind: TaskKind, on: Ref | None) -> None:
    facts = making.facts
    key = task_key(making.client, wish.task, assignee, facts.interaction.id)
    if key in making.made:
        return
    is_completed = kind.completed
    since = making.since or facts.interaction.moment
    if kind.unique and not is_completed:
        open_one = _open_one(making, kind.family or wish.task, assignee)
        if open_one is not None:
            _already_open(making, open_one, wish, kind, assignee)
            return
    due_at = since if is_completed else _deadline(making, wish.task, kind, since, wish.due)
    text = making.text(wish.text if wish.text is not None else kind.text, wish.task, assignee)
    making.made.add(key)
    making.actions.append(
        CreateTask(
            key=key,
            task=wish.task,
            text=text,
            on=on,
            assignee=assignee,
            due_at=due_at,
            type=kind.type,
            completed_at=since if is_completed else None,
            result=making.text(kind.result, wish.task, assignee) if is_completed and kind.result else "",
            reason=making.verdict.reason("task", task=wish.task),
        )
    )
    if not is_completed and kind.overdue:
        making.due[f"{key}/overdue/0"] = _deadline(making, wish.task, kind, due_at, kind.overdue[0].after)


def _deadline(making: Making, name: str, kind: TaskKind, since: datetime, span: timedelta | None) -> datetime:
    known = making.deadlines.get((name, since, span))
    if known is None:
        known = making.deadlines[name, since, span] = deadline(kind, since, making.policy, span)
    return known


def _open_one(making: Making, family: str, assignee: EmployeeId | None) -> OpenTask | None:
    """The open task of this family that ``assignee`` has for the client already (A3)."""
    for found in making.facts.open_tasks:
        opened_for = found.key.assignee if found.key is not None else None
        # one that was moved to somebody else is still the one that was opened for the assignee (X10)
        if found.family == family and assignee in (found.task.responsible, opened_for):
            return found
    for action in making.actions:
        if isinstance(action, CreateTask) and action.assignee == assignee and action.completed_at is None:
            made = making.policy.tasks[action.task]
            if (made.family or action.task) == family:
                return OpenTask(task=_as_task(action), kind=action.task, family=family)
    return None


def _already_open(
    making: Making, open_one: OpenTask, wish: TaskWish, kind: TaskKind, assignee: EmployeeId | None
) -> None:
    """One more missed call is noted where the open call-back hangs; its deadline stays (A3)."""
    reason = making.verdict.reason("task_is_open", "A3", task=wish.task, open=open_one.task.id)
    on: Ref | None = open_one.task.on or making.place(wish.on or kind.on)
    key = StepKey(f"{making.facts.interaction.id}/note/repeated/{_ref_name(on)}")
    if kind.until_reached and on is not None:
        if not any(action.key == key for action in making.actions):
            text = making.text(making.policy.repeated, "repeated", assignee)
            making.actions.append(AddNote(key=key, on=on, text=text, reason=reason))
        return
    nothing = StepKey(f"{making.facts.interaction.id}/nothing/{wish.task}/{assignee or 'nobody'}")
    making.actions.append(Nothing(key=nothing, reason=reason))


def _await_answer(making: Making) -> None:
    """A message that nobody answers makes a task, when it has waited for so long (W6); see `hub.core.waiting`."""
    messages, facts = making.policy.messages, making.facts
    if messages.task and asks(facts.interaction) and not facts.is_reached:
        since, kind = facts.interaction.moment, making.policy.tasks[messages.task]
        key = waiting_key(making.client, facts.interaction.id)
        making.due[key] = _deadline(making, messages.task, kind, since, messages.task_after)


# --- call record, notes, notices ----------------------------------------------------------------------------


def _call_record(making: Making) -> None:
    call, wanted = making.facts.interaction, making.outcome.call_record or making.policy.call_record.on
    if not isinstance(call, Call) or wanted == "none":
        return
    on = making.place("deal" if wanted == "deal" else "contact")
    if on is None:
        making.warnings.append(Reason(code="no_card_for_record", requirement="A6"))
        return
    facts = making.facts
    making.actions.append(
        RecordCall(
            key=StepKey(f"{call.id}/record_call"),
            on=on,
            uniq=call.external_id,
            direction=Direction(facts.direction),
            disposition=Disposition.ANSWERED if facts.is_answered else call.disposition,
            phone=call.client.phones[0] if call.client.phones else None,
            started_at=call.started_at,
            talk_seconds=call.talk_seconds,
            recording=facts.recording,
            responsible=facts.employee or making.people.responsible,
            source=call.source,
            text=making.text(making.policy.call_record.text, "call_record"),
            reason=making.verdict.reason("call_record", "A6"),
        )
    )


def _notes(making: Making) -> None:
    for wish in making.outcome.notes or ():
        on = making.place(wish.on)
        text = making.text(making.policy.notes[wish.note].text, wish.note)
        if on is not None and text:
            key = StepKey(f"{making.facts.interaction.id}/note/{wish.note}")
            making.actions.append(
                AddNote(
                    key=key,
                    on=on,
                    text=text,
                    is_long=making.policy.notes[wish.note].is_long,
                    reason=making.verdict.reason("note", note=wish.note),
                )
            )


def _notify(making: Making) -> None:
    if not making.outcome.notify or (making.facts.is_pending and not making.facts.is_answered):
        return
    told = making.people.everybody(making.outcome.notify, "notice")
    if not told:
        return
    phones = making.facts.phones
    making.actions.append(
        Notify(
            key=StepKey(f"{making.facts.interaction.id}/notify"),
            employees=told,
            text=making.text(making.outcome.notice or "{{ status }} {{ who }}", "notice"),
            phone=making.facts.interaction.client.phones[0] if phones else None,
            on=making.deal_ref or making.contact_ref,
            reason=making.verdict.reason("notice"),
        )
    )


@lru_cache(1024)
def _words_for(word: str, is_completed: bool) -> tuple[str, ...]:
    """Whom a task is for, in order, and whom if there is none of them."""
    return (*word.split("|"), *(("responsible",) if is_completed else ()), "senior")


def _as_task(action: CreateTask) -> Task:
    return Task(id="", text=action.text, responsible=action.assignee)


def _ref_name(on: Ref | None) -> str:
    return "" if on is None else on.id if not isinstance(on, NewRecord) else "new"
