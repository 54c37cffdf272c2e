"""What to do in the CRM about one interaction, as data: actions in order, each with its reason (H2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NewType, TypeAlias

from hub.core.interaction import Direction, Disposition
from hub.core.phone import Phone
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.core.slots import by_slots

__all__ = [
    "Action",
    "AddNote",
    "Candidate",
    "Check",
    "CompleteTask",
    "CreateContact",
    "CreateDeal",
    "CreateTask",
    "Explanation",
    "Fact",
    "NewRecord",
    "Nothing",
    "Notify",
    "Plan",
    "Reason",
    "RecordCall",
    "RecordChoice",
    "Ref",
    "StepKey",
    "Trial",
    "UpdateContact",
    "UpdateDeal",
    "UpdateTask",
]

#: says what a step means, never its position: ``{interaction}/record_call`` (DESIGN 2)
StepKey = NewType("StepKey", str)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """Points at a record that another action of the same client will create, by that action's step key."""

    kind: RecordKind
    key: StepKey


Ref: TypeAlias = RecordRef | NewRecord


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something was decided: a message id of the catalogue, its values, and the requirement behind it."""

    code: str
    values: Mapping[str, str] = field(default_factory=dict)
    requirement: str = ""


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContact:
    kind: Literal["create_contact"] = "create_contact"
    key: StepKey
    name: str
    phones: tuple[Phone, ...] = ()
    emails: tuple[str, ...] = ()
    responsible: EmployeeId | None = None
    #: custom fields by the name (or code) that the policy uses
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    company: Ref | None = None
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateContact:
    """Adds what is missing; what is None or empty stays as it is in the CRM.

    What is to be removed are values that the hub itself added, when a join is undone (X12); only for a CRM that
    `SinkCapabilities.can_take_back`.
    """

    kind: Literal["update_contact"] = "update_contact"
    key: StepKey
    contact: Ref
    name: str | None = None
    add_phones: tuple[Phone, ...] = ()
    add_emails: tuple[str, ...] = ()
    responsible: EmployeeId | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    company: Ref | None = None
    #: the step that has to be done before: the CRM hides the contact of a deal that nobody has accepted (W2)
    after: StepKey | None = None
    remove_phones: tuple[Phone, ...] = ()
    remove_emails: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDeal:
    kind: Literal["create_deal"] = "create_deal"
    key: StepKey
    name: str
    #: None where the policy creates deals without contacts
    contact: Ref | None = None
    company: Ref | None = None
    #: names as the policy writes them; "" = the CRM's main pipeline, its first stage
    pipeline: str = ""
    stage: str = ""
    #: into the CRM's inbox of undecided enquiries instead of a stage (W2)
    is_unsorted: bool = False
    responsible: EmployeeId | None = None
    price: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDeal:
    kind: Literal["update_deal"] = "update_deal"
    key: StepKey
    deal: Ref
    responsible: EmployeeId | None = None
    #: out of the CRM's inbox of undecided enquiries, into the stage: somebody answered (W2)
    accepts: bool = False
    pipeline: str = ""
    stage: str = ""
    price: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    add_tags: tuple[str, ...] = ()
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTask:
    """A task; with ``completed_at`` it is created as already done (the standard matrix's "completed task", Z)."""

    kind: Literal["create_task"] = "create_task"
    key: StepKey
    #: the policy's word for it: ``call_back``, ``get_in_touch``, ``check_call``, ``check_settings``, ``talked`` ...
    task: str
    text: str
    on: Ref | None
    assignee: EmployeeId | None
    due_at: datetime
    #: the CRM's task type by name or code; "" = the CRM's default
    type: str = ""
    completed_at: datetime | None = None
    result: str = ""
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateTask:
    """Moves a task that exists: to another employee, deadline or text (X10)."""

    kind: Literal["update_task"] = "update_task"
    key: StepKey
    task: Ref
    assignee: EmployeeId | None = None
    due_at: datetime | None = None
    text: str | None = None
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteTask:
    kind: Literal["complete_task"] = "complete_task"
    key: StepKey
    task: Ref
    result: str = ""
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCall:
    """The call record: one for one call (A6), on the record that the plan names."""

    kind: Literal["record_call"] = "record_call"
    key: StepKey
    on: Ref
    #: the telephony's id of the call
    uniq: str
    direction: Direction
    disposition: Disposition
    phone: Phone | None
    started_at: datetime
    talk_seconds: int
    recording: str = ""
    responsible: EmployeeId | None = None
    #: the telephony's name, shown by the CRM
    source: str = ""
    #: legs, who was rung in vain, attribution: what stands beside the record (A1, A6)
    text: str = ""
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class AddNote:
    kind: Literal["add_note"] = "add_note"
    key: StepKey
    on: Ref
    text: str
    #: long texts that the CRM should fold (transcripts, summaries)
    is_long: bool = False
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tells employees at once: a popup in the hub's own tabs, else the CRM's notice (A12, C7). At most once."""

    kind: Literal["notify"] = "notify"
    key: StepKey
    employees: tuple[EmployeeId, ...]
    text: str
    phone: Phone | None = None
    on: Ref | None = None
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Deliberately nothing, with the reason; the journal and rehearsals need no special case."""

    kind: Literal["nothing"] = "nothing"
    key: StepKey
    reason: Reason


Action: TypeAlias = (
    CreateContact
    | UpdateContact
    | CreateDeal
    | UpdateDeal
    | CreateTask
    | UpdateTask
    | CompleteTask
    | RecordCall
    | AddNote
    | Notify
    | Nothing
)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that the decision looked at, as it was seen (X1)."""

    name: str
    value: str
    #: when the CRM was read for it; None for what the channel itself told
    seen_at: datetime | None = None


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition and the value that it met."""

    field: str
    operator: str
    expected: str
    seen: str
    is_met: bool


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A row of the matrix or a rule that was tried: ``failed`` is the first condition that did not hold."""

    name: str
    has_won: bool
    failed: Check | None = None
    #: for rules: what it set
    sets: Mapping[str, str] = field(default_factory=dict)
    requirement: str = ""


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody who could have been the responsible: chosen, or passed over and why (X1)."""

    employee: EmployeeId
    role: str
    is_chosen: bool
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChoice:
    """A contact that could have been the client: the one that gets the new work, or passed over and why (A9, X1)."""

    record: RecordRef
    name: str
    is_chosen: bool
    reason: Reason


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that "why here?" is answered from (X1)."""

    facts: tuple[Fact, ...] = ()
    trials: tuple[Trial, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    #: which of several contacts it was; () where there was nothing to choose
    contacts: tuple[RecordChoice, ...] = ()
    warnings: tuple[Reason, ...] = ()


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decision about one interaction in one CRM."""

    actions: tuple[Action, ...]
    #: whom the interaction counts for
    responsible: EmployeeId | None = None
    #: the employee who talked to the client in this interaction, None if nobody did
    talked: EmployeeId | None = None
    explanation: Explanation = Explanation()
    #: the state of turns after this decision, by group; {} if no turn was taken
    turns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: whom this decision took from which group: deciding again takes no second turn (C8)
    chosen: Mapping[str, EmployeeId] = field(default_factory=dict)
    #: when the hub has to look at this client again (overdue call-back ...), by key
    due: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def has_popup(self) -> bool:
        """Whether the CRM is to show something to an employee now."""
        return any(isinstance(action, Notify) for action in self.actions)
