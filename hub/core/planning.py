"""From what is wanted to the list of CRM actions, each with its key and its reason (H2, DESIGN 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

from hub.core.interaction import Call, ClientId, Direction, Disposition
from hub.core.outcome import Outcome, Place, TaskWish
from hub.core.plan import (
    Action,
    AddNote,
    Candidate,
    CompleteTask,
    CreateContact,
    CreateDeal,
    CreateTask,
    Explanation,
    Fact,
    NewRecord,
    Nothing,
    Notify,
    Plan,
    Reason,
    RecordCall,
    Ref,
    StepKey,
    UpdateContact,
    UpdateDeal,
)
from hub.core.records import EmployeeId, RecordKind, RecordRef, Task
from hub.core.tasks import OpenTask, TaskKind, deadline, task_key
from hub.core.text import LocalText, Speaker, plain_text, render, say

if TYPE_CHECKING:
    from hub.core.assign import Assigned
    from hub.core.facts import Facts
    from hub.core.policy import Policy
    from hub.core.verdict import Verdict

__all__ = ["plan_for"]


def plan_for(verdict: Verdict, facts: Facts, people: Assigned, client_id: ClientId) -> Plan:
    """The plan that does what ``verdict`` wants, for ``people``."""
    making = _Making(verdict=verdict, facts=facts, people=people, client=client_id)
    making.make()
    return Plan(
        actions=tuple(making.actions),
        responsible=people.responsible,
        talked=facts.employee if facts.is_reached and not facts.is_internal else None,
        explanation=Explanation(
            facts=_shown_facts(facts),
            trials=verdict.trials,
            candidates=_once(people),
            warnings=(*verdict.warnings, *making.warnings),
        ),
        turns=people.turns,
        chosen=people.drawn,
        due=making.due,
    )


@dataclass(slots=True, kw_only=True)
class _Making:
    verdict: Verdict
    facts: Facts
    people: Assigned
    client: ClientId
    actions: list[Action] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    due: dict[str, datetime] = field(default_factory=dict)
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
        self._contact()
        self._deal()
        if not self.facts.is_pending:
            if self.facts.is_reached:
                self._reached()
            for wish in (*(self.outcome.tasks or ()), *self.outcome.more_tasks):
                self._task(wish)
            self._call_record()
            self._notes()
        self._notify()
        if not self.actions:
            self._nothing("nothing_to_do")

    def text(self, text: LocalText, title: str, assignee: EmployeeId | None = None) -> str:
        """``text`` with its values; a plain one and a warning if it does not render."""
        speaker = self.speaker
        said = say(text, speaker.language)
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

    def _nothing(self, code: str) -> None:
        because = self.verdict.because
        values = {**because.values} if because.code == code else {**because.values, "why": code}
        known = because.code if because.code == code else "dropped" if self.outcome.drop else code
        reason = Reason(code=known, values=values, requirement=because.requirement)
        self.actions.append(Nothing(key=StepKey(f"{self.facts.interaction.id}/nothing"), reason=reason))

    # --- contact and deal ---------------------------------------------------------------------------------------

    def _contact(self) -> None:
        facts = self.facts
        if facts.contact is not None:
            self.contact_ref = facts.contact.ref
            self._complete_contact()
        elif facts.company is not None:
            self.contact_ref = facts.company.ref
        elif self.policy.contacts.create if self.outcome.contact is None else self.outcome.contact:
            settings = self.policy.contacts
            # one client, one contact, whichever of its interactions makes it
            key = StepKey(f"{self.client}/create_contact")
            self.contact_ref = NewRecord(kind=RecordKind.CONTACT, key=key)
            self.actions.append(
                CreateContact(
                    key=key,
                    name=self.text(settings.name, "contact") or facts.phone,
                    phones=facts.phones,
                    emails=facts.emails,
                    responsible=self.people.contact_owner,
                    fields=self.filled(self.outcome.contact_fields, settings.fields),
                    tags=_joined(self.outcome.contact_tags, settings.tags),
                    reason=self.verdict.reason("new_client"),
                )
            )

    def _complete_contact(self) -> None:
        """Add what the contact lacks: from the interaction, and from duplicates of the same name (A9)."""
        facts, contact = self.facts, self.facts.contact
        assert contact is not None
        taken_over = self._taken_over(contact.responsible)
        from_outside = facts.emails or facts.client.duplicates or (facts.client_name and not contact.name)
        wanted = taken_over or self.outcome.contact_tags or self.outcome.contact_fields
        if not from_outside and not wanted and all(phone in contact.phones for phone in facts.phones):
            return
        phones, emails = list(facts.phones), list(facts.emails)
        if self.policy.identity.carry_over:
            for other in facts.client.duplicates:
                if not other.name or not contact.name or other.name.casefold() == contact.name.casefold():
                    phones += other.phones
                    emails += other.emails
        known = {email.casefold() for email in contact.emails}
        # a shared number would bind strangers together (X12)
        shared = self.policy.shared_numbers
        more_phones = tuple(dict.fromkeys(one for one in phones if one not in contact.phones and one not in shared))
        more_emails = tuple(dict.fromkeys(email for email in emails if email.casefold() not in known))
        name = facts.client_name if facts.client_name and not contact.name else None
        tags = tuple(tag for tag in self.outcome.contact_tags if tag not in contact.tags)
        fields = self.filled(self.outcome.contact_fields) if self.outcome.contact_fields else {}
        if not (more_phones or more_emails or name or taken_over or tags or fields):
            return
        self.actions.append(
            UpdateContact(
                key=StepKey(f"{facts.interaction.id}/update_contact/{contact.id}"),
                contact=contact.ref,
                name=name,
                add_phones=more_phones,
                add_emails=more_emails,
                responsible=taken_over,
                fields=fields,
                add_tags=tags,
                reason=self.verdict.reason("answerer_takes_over", "A13")
                if taken_over
                else self.verdict.reason("contact_completed", "A9"),
            )
        )

    def _taken_over(self, present: EmployeeId | None) -> EmployeeId | None:
        """A13's other choice: who answered becomes the responsible of an existing client."""
        facts = self.facts
        existing = self.outcome.existing or self.policy.assignment.existing_answered
        if existing == "keep" or not facts.is_answered or facts.answered_by is None:
            return None
        if facts.direction != "inbound" or facts.answered_by == present:
            return None
        return facts.answered_by if facts.answered_by not in facts.snapshot.inactive else None

    def _deal(self) -> None:
        facts, outcome, settings = self.facts, self.outcome, self.policy.deals
        if facts.deal is not None:
            self.deal_ref = facts.deal.ref
            self._open_deal()
        wish = outcome.deal or "none"
        if wish == "none" or (wish == "create" and facts.deal is not None):
            return
        key = StepKey(f"{facts.interaction.id}/create_deal")
        contact = self.contact_ref
        is_company = contact is not None and contact.kind is RecordKind.COMPANY
        company = facts.company.ref if facts.company is not None else None
        self.actions.append(
            CreateDeal(
                key=key,
                name=self.text(outcome.deal_name or settings.name, "deal") or facts.phone,
                contact=None if is_company else contact,
                company=company,
                pipeline=outcome.pipeline if outcome.pipeline is not None else settings.pipeline,
                stage=outcome.stage if outcome.stage is not None else settings.stage,
                is_unsorted=settings.unsorted if outcome.unsorted is None else outcome.unsorted,
                responsible=self.people.owner,
                price=outcome.price if outcome.price is not None else settings.price,
                fields=self.filled(outcome.fields, settings.fields),
                tags=_joined(outcome.tags, settings.tags),
                reason=self.verdict.reason("new_deal"),
            )
        )
        self.deal_ref = NewRecord(kind=RecordKind.DEAL, key=key)

    def _open_deal(self) -> None:
        """The open deal that gets the interaction (A14): who answered may take it over (A13)."""
        deal = self.facts.deal
        assert deal is not None
        taken_over = self._taken_over(deal.responsible)
        if taken_over is not None:
            self.actions.append(
                UpdateDeal(
                    key=StepKey(f"{self.facts.interaction.id}/update_deal/{deal.id}"),
                    deal=deal.ref,
                    responsible=taken_over,
                    reason=self.verdict.reason("answerer_takes_over", "A13"),
                )
            )

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
        on = self.place(wish.on or kind.on)
        for word in wish.assignees:
            words = tuple(word.split("|"))
            if kind.completed:
                assignee = self.people.choose((*words, "responsible", "senior"), wish.task)
            else:
                assignee = self.people.acting((*words, "senior"), wish.task)
            if assignee is None:
                self.warnings.append(Reason(code="nobody_for_task", values={"task": wish.task, "wanted": word}))
            self._task_for(assignee, wish, kind, on)

    def _task_for(self, assignee: EmployeeId | None, wish: TaskWish, kind: TaskKind, on: Ref | None) -> None:
        facts = self.facts
        key = task_key(self.client, wish.task, assignee, facts.interaction.id)
        if key in self.made:
            return
        since = facts.interaction.moment
        if kind.unique and not kind.completed:
            open_one = self._open_one(kind.family or wish.task, assignee)
            if open_one is not None:
                self._already_open(open_one, wish, kind, assignee)
                return
        due_at = since if kind.completed else self._deadline(wish.task, kind, since, wish.due)
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
                completed_at=since if kind.completed else None,
                result=self.text(kind.result, wish.task, assignee) if kind.completed and kind.result else "",
                reason=self.verdict.reason("task", task=wish.task),
            )
        )
        if kind.overdue and not kind.completed:
            self.due[f"{key}/overdue/0"] = self._deadline(wish.task, kind, due_at, kind.overdue[0].after)

    def _deadline(self, name: str, kind: TaskKind, since: datetime, span: timedelta | None) -> datetime:
        known = self.deadlines.get((name, since, span))
        if known is None:
            known = self.deadlines[name, since, span] = deadline(kind, since, self.policy, span)
        return known

    def _open_one(self, family: str, assignee: EmployeeId | None) -> OpenTask | None:
        """The open task of this family that ``assignee`` has for the client already (A3)."""
        for found in self.facts.open_tasks:
            if found.family == family and found.task.responsible == assignee:
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

    def place(self, place: Place) -> Ref | None:
        """Where a task or note goes; where the wanted record does not exist, on the other one (A18)."""
        if place == "contact":
            return self.contact_ref or self.deal_ref
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
                    AddNote(key=key, on=on, text=text, reason=self.verdict.reason("note", note=wish.note))
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
                text=self.text(self.outcome.notice or "{{ status }} {{ client }} {{ phone }}", "notice"),
                phone=self.facts.interaction.client.phones[0] if phones else None,
                on=self.deal_ref or self.contact_ref,
                reason=self.verdict.reason("notice"),
            )
        )


def _as_task(action: CreateTask) -> Task:
    return Task(id="", text=action.text, responsible=action.assignee)


def _ref_name(on: Ref | None) -> str:
    return "" if on is None else on.id if not isinstance(on, NewRecord) else "new"


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second))) if first and second else first or second


def _once(people: Assigned) -> tuple[Candidate, ...]:
    """Each candidate of a role once, in order."""
    found: dict[tuple[str, str, bool], Candidate] = {}
    for candidate in people.candidates:
        found.setdefault((candidate.employee, candidate.role, candidate.is_chosen), candidate)
    return tuple(found.values())


#: what an explanation shows first, and whether the CRM told it
_SHOWN: tuple[tuple[str, bool], ...] = (
    ("kind", False), ("direction", False), ("disposition", False), ("is_callback", False), ("is_internal", False),
    ("answered_by", False), ("caller", False), ("answered_at", False), ("at_unknown_destination", False),
    ("is_transferred", False), ("line", False), ("department", False), ("dialled_owner", False),
    ("is_new_client", True), ("deal_responsible", True), ("contact_responsible", True), ("has_open_deal", True),
    ("had_deals", True), ("has_open_call_back", True), ("has_open_task", True), ("last_talked", False),
)  # fmt: skip


def _shown_facts(facts: Facts) -> tuple[Fact, ...]:
    seen_at = facts.snapshot.seen_at
    return tuple(
        [
            _fact(name, value, seen_at if is_of_crm else None)
            for (name, is_of_crm), value in zip(_SHOWN, _read_shown(facts), strict=True)
            if value or name in _ALWAYS_SHOWN
        ]
    )


_read_shown = attrgetter(*(name for name, _ in _SHOWN))
_ALWAYS_SHOWN = frozenset({"is_new_client", "has_open_deal"})


@lru_cache(4096)
def _fact(name: str, value: object, seen_at: datetime | None) -> Fact:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return Fact(name=name, value=text, seen_at=seen_at)
