"""From what is wanted to the list of CRM actions, each with its key and its reason (H2, DESIGN 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from hub.core.card import make_contact, make_deal
from hub.core.explained import shown_candidates, shown_facts
from hub.core.interaction import Call, ClientId, Direction, Disposition
from hub.core.outcome import Outcome, Place, TaskWish
from hub.core.plan import (
    Action,
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
from hub.core.text import LONGEST_TEXT, LocalText, Speaker, plain_text, render
from hub.core.waiting import asks, waiting_key

if TYPE_CHECKING:
    from hub.core.assign import Assigned
    from hub.core.facts import Facts
    from hub.core.policy import Policy
    from hub.core.verdict import Verdict

__all__ = ["Making", "make_tasks", "plan_for"]


def plan_for(verdict: Verdict, facts: Facts, people: Assigned, client_id: ClientId) -> Plan:
    """The plan that does what ``verdict`` wants, for ``people``."""
    making = Making(verdict=verdict, facts=facts, people=people, client=client_id)
    making.make()
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
        making._task(wish)
    return Plan(actions=tuple(making.actions), responsible=people.responsible, due=making.due)


@dataclass(slots=True, kw_only=True)
class Making:
    """A plan in the making: what is wanted and known, and the actions so far."""

    verdict: Verdict
    facts: Facts
    people: Assigned
    client: ClientId
    actions: list[Action] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    due: dict[str, datetime] = field(default_factory=dict)
    #: from when deadlines count; None = from the interaction's end
    since: datetime | None = None
    #: keys of the tasks that the plan makes
    made: set[StepKey] = field(default_factory=set)
    #: working time is dear to count, and tasks of one plan fall due together
    deadlines: dict[tuple[str, datetime, timedelta | None], datetime] = field(default_factory=dict)
    contact_ref: Ref | None = None
    deal_ref: Ref | None = None
    #: what was rendered already, by text and by whom it is for
    said: dict[tuple[str, EmployeeId | None], str] = field(default_factory=dict)
    speaker: Speaker = field(init=False)
    outcome: Outcome = field(init=False)
    policy: Policy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = policy = self.people.policy
        self.outcome, seen = self.verdict.outcome, self.facts.snapshot.names
        self.speaker = Speaker(
            facts=self.facts,
            language=policy.language,
            zone=policy.zone,
            names={**policy.names, **seen} if seen else policy.names,
            responsible=self.people.owner or self.people.responsible,
        )

    def make(self) -> None:
        """Fill `actions` in the order in which they are to be done."""
        if self.outcome.drop:
            self._nothing(self.outcome.drop)
            return
        make_contact(self)
        make_deal(self)
        if not self.facts.is_pending:
            if self.facts.is_reached:
                self._reached()
            for wish in (*(self.outcome.tasks or ()), *self.outcome.more_tasks):
                self._task(wish)
            self._call_record()
            self._notes()
            self._await_answer()
        self._notify()
        if not self.actions:
            self._nothing("nothing_to_do")

    def text(self, text: LocalText, title: str, assignee: EmployeeId | None = None) -> str:
        """``text`` with its values; a plain one and a warning if it does not render."""
        speaker = self.speaker
        said = text if isinstance(text, str) else text.in_language(speaker.language)
        if "{" not in said:
            return said[:LONGEST_TEXT]
        who = assignee if "assignee" in said else None
        rendered = self.said.get((said, who))
        if rendered is None:
            speaker.assignee = who
            rendered = render(said, speaker)
            if rendered is None:
                self.warnings.append(Reason(code="text_failed", values={"text": title}))
                rendered = plain_text(title, self.facts.phone)
            self.said[said, who] = rendered
        return rendered

    def filled(self, *tables: Mapping[str, LocalText]) -> dict[str, str]:
        """Custom fields that have a value; of several tables the first holds."""
        found: dict[str, str] = {}
        speaker = self.speaker
        for table in tables:
            for name, text in table.items():
                if name in found:
                    continue
                value = render(text, speaker)
                if value is None:
                    self.warnings.append(Reason(code="text_failed", values={"text": name}))
                elif value:
                    found[name] = value
        return found

    def tags(self, *lists: Sequence[LocalText]) -> tuple[str, ...]:
        """The tags of all ``lists``, each once; one that renders to nothing is left out."""
        if not any(lists):
            return ()
        said: dict[str, None] = {}
        for tags in lists:
            for tag in tags:
                said[self.text(tag, "tag")] = None
        said.pop("", None)
        return tuple(said)

    def number(self, value: float | LocalText | None, title: str) -> float | None:
        """``value``, or the number that it renders to; None with a warning if it is none."""
        if value is None or isinstance(value, int | float):
            return value
        said = self.text(value, title)
        try:
            return float(said.replace("\u00a0", "").replace(" ", "").replace(",", ".")) if said else None
        except ValueError:
            self.warnings.append(Reason(code="no_number", values={"text": title}))
            return None

    def _nothing(self, code: str) -> None:
        because = self.verdict.because
        values = {**because.values} if because.code == code else {**because.values, "why": code}
        known = because.code if because.code == code else "dropped" if self.outcome.drop else code
        reason = Reason(code=known, values=values, requirement=because.requirement)
        self.actions.append(Nothing(key=StepKey(f"{self.facts.interaction.id}/nothing"), reason=reason))

    # --- tasks --------------------------------------------------------------------------------------------------

    def _reached(self) -> None:
        """Reaching the client, in any direction over any channel, ends every call-back (A5, X10)."""
        facts, done = self.facts, set()
        for found in facts.open_tasks:
            if self.policy.is_call_back(found.kind) and (found.key is not None or self._is_due_today(found)):
                done.add(found.task.id)
                self._complete(found.task.id)
        for key, ref in facts.snapshot.history.own.items():
            if "/complete/" in key and ref.id not in done:
                self._complete(ref.id)

    def _is_due_today(self, found: OpenTask) -> bool:
        """A person's own call-back for a later day stays: it is a plan, not a missed call."""
        due, zone = found.task.due_at, self.policy.zone
        return due is None or due.astimezone(zone).date() <= self.facts.now.astimezone(zone).date()

    def _complete(self, task_id: str) -> None:
        self.actions.append(
            CompleteTask(
                key=StepKey(f"{self.facts.interaction.id}/complete/{task_id}"),
                task=RecordRef(kind=RecordKind.TASK, id=task_id),
                result=self.text(self.policy.reached, "reached"),
                reason=self.verdict.reason("client_reached", "A5"),
            )
        )

    def _task(self, wish: TaskWish) -> None:
        kind = self.policy.tasks[wish.task]
        where = wish.on or kind.on
        on = self.place(where)
        if on is None and where == "last_deal":
            key = StepKey(f"{self.facts.interaction.id}/nothing/{wish.task}")
            reason = self.verdict.reason("no_order_for_task", "C5", task=wish.task)
            self.actions.append(Nothing(key=key, reason=reason))
            return
        is_completed = kind.completed
        choose = self.people.choose if is_completed else self.people.acting
        for word in wish.assignees:
            assignee = choose(_words_for(word, is_completed), wish.task)
            if assignee is None:
                self.warnings.append(Reason(code="nobody_for_task", values={"task": wish.task, "wanted": word}))
            self._task_for(assignee, wish, kind, on)

    def _task_for(self, assignee: EmployeeId | None, wish: TaskWish, kind: TaskKind, on: Ref | None) -> None:
        facts = self.facts
        key = task_key(self.client, wish.task, assignee, facts.interaction.id)
        if key in self.made:
            return
        is_completed = kind.completed
        since = self.since or facts.interaction.moment
        if kind.unique and not is_completed:
            open_one = self._open_one(kind.family or wish.task, assignee)
            if open_one is not None:
                self._already_open(open_one, wish, kind, assignee)
                return
        due_at = since if is_completed else self._deadline(wish.task, kind, since, wish.due)
        text = self.text(wish.text if wish.text is not None else kind.text, wish.task, assignee)
        self.made.add(key)
        self.actions.append(
            CreateTask(
                key=key,
                task=wish.task,
                text=text,
                on=on,
                assignee=assignee,
                due_at=due_at,
                type=kind.type,
                completed_at=since if is_completed else None,
                result=self.text(kind.result, wish.task, assignee) if is_completed and kind.result else "",
                reason=self.verdict.reason("task", task=wish.task),
            )
        )
        if not is_completed and kind.overdue:
            self.due[f"{key}/overdue/0"] = self._deadline(wish.task, kind, due_at, kind.overdue[0].after)

    def _deadline(self, name: str, kind: TaskKind, since: datetime, span: timedelta | None) -> datetime:
        known = self.deadlines.get((name, since, span))
        if known is None:
            known = self.deadlines[name, since, span] = deadline(kind, since, self.policy, span)
        return known

    def _open_one(self, family: str, assignee: EmployeeId | None) -> OpenTask | None:
        """The open task of this family that ``assignee`` has for the client already (A3)."""
        for found in self.facts.open_tasks:
            opened_for = found.key.assignee if found.key is not None else None
            # one that was moved to somebody else is still the one that was opened for the assignee (X10)
            if found.family == family and assignee in (found.task.responsible, opened_for):
                return found
        for action in self.actions:
            if isinstance(action, CreateTask) and action.assignee == assignee and action.completed_at is None:
                made = self.policy.tasks[action.task]
                if (made.family or action.task) == family:
                    return OpenTask(task=_as_task(action), kind=action.task, family=family)
        return None

    def _already_open(self, open_one: OpenTask, wish: TaskWish, kind: TaskKind, assignee: EmployeeId | None) -> None:
        """One more missed call is noted where the open call-back hangs; its deadline stays (A3)."""
        reason = self.verdict.reason("task_is_open", "A3", task=wish.task, open=open_one.task.id)
        on: Ref | None = open_one.task.on or self.place(wish.on or kind.on)
        key = StepKey(f"{self.facts.interaction.id}/note/repeated/{_ref_name(on)}")
        if kind.until_reached and on is not None:
            if not any(action.key == key for action in self.actions):
                text = self.text(self.policy.repeated, "repeated", assignee)
                self.actions.append(AddNote(key=key, on=on, text=text, reason=reason))
            return
        nothing = StepKey(f"{self.facts.interaction.id}/nothing/{wish.task}/{assignee or 'nobody'}")
        self.actions.append(Nothing(key=nothing, reason=reason))

    def _await_answer(self) -> None:
        """A message that nobody answers makes a task, when it has waited for so long (W6); see `hub.core.waiting`."""
        messages, facts = self.policy.messages, self.facts
        if messages.task and asks(facts.interaction) and not facts.is_reached:
            since, kind = facts.interaction.moment, self.policy.tasks[messages.task]
            key = waiting_key(self.client, facts.interaction.id)
            self.due[key] = self._deadline(messages.task, kind, since, messages.task_after)

    def place(self, place: Place) -> Ref | None:
        """Where a task or note goes; where the wanted record does not exist, on the other one (A18), but see C5."""
        if place == "contact":
            return self.contact_ref or self.deal_ref
        if place in {"last_deal", "last_deal|contact"}:
            last = self.facts.client.last_deal
            newest = self.deal_ref if isinstance(self.deal_ref, NewRecord) else last.ref if last else None
            return newest or (self.contact_ref if place == "last_deal|contact" else None)
        return self.deal_ref or self.contact_ref

    # --- call record, notes, notices ----------------------------------------------------------------------------

    def _call_record(self) -> None:
        call, wanted = self.facts.interaction, self.outcome.call_record or self.policy.call_record.on
        if not isinstance(call, Call) or wanted == "none":
            return
        on = self.place("deal" if wanted == "deal" else "contact")
        if on is None:
            self.warnings.append(Reason(code="no_card_for_record", requirement="A6"))
            return
        facts = self.facts
        self.actions.append(
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
                responsible=facts.employee or self.people.responsible,
                source=call.source,
                text=self.text(self.policy.call_record.text, "call_record"),
                reason=self.verdict.reason("call_record", "A6"),
            )
        )

    def _notes(self) -> None:
        for wish in self.outcome.notes or ():
            on = self.place(wish.on)
            text = self.text(self.policy.notes[wish.note].text, wish.note)
            if on is not None and text:
                key = StepKey(f"{self.facts.interaction.id}/note/{wish.note}")
                self.actions.append(
                    AddNote(
                        key=key,
                        on=on,
                        text=text,
                        is_long=self.policy.notes[wish.note].is_long,
                        reason=self.verdict.reason("note", note=wish.note),
                    )
                )

    def _notify(self) -> None:
        if not self.outcome.notify or (self.facts.is_pending and not self.facts.is_answered):
            return
        told = self.people.everybody(self.outcome.notify, "notice")
        if not told:
            return
        phones = self.facts.phones
        self.actions.append(
            Notify(
                key=StepKey(f"{self.facts.interaction.id}/notify"),
                employees=told,
                text=self.text(self.outcome.notice or "{{ status }} {{ who }}", "notice"),
                phone=self.facts.interaction.client.phones[0] if phones else None,
                on=self.deal_ref or self.contact_ref,
                reason=self.verdict.reason("notice"),
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
