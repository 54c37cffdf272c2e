"""Interactions, clients and policies for tests, stating only what matters; and a CRM made of nothing but records.

A test's table reads like the source document: ``Case("Z3", answered(by=OWNER), client(deal=OWNER), [...])``. The
expected plan is written in the words of `outline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from hub.core.decide import decide
from hub.core.interaction import (
    Attribution,
    Call,
    ClientId,
    Destination,
    Direction,
    Disposition,
    Form,
    Identity,
    Interaction,
    InteractionId,
    Leg,
    ProjectId,
)
from hub.core.phone import Phone
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
    Plan,
    RecordCall,
    Ref,
    StepKey,
    UpdateContact,
    UpdateDeal,
    UpdateTask,
)
from hub.core.policy import Policy, load_policy
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.core.rota import NO_TURNS, Rota
from hub.core.snapshot import History, Snapshot
from hub.rules import AnnounceNewRecords, RepeatAsNew

__all__ = [
    "CLIENT",
    "COLLEAGUE",
    "HEAD",
    "LINE",
    "NEW_CLIENT",
    "NOW",
    "OWNER",
    "PHONE",
    "SENIOR",
    "STRANGER",
    "TEAM",
    "MemoryCrm",
    "answered",
    "call",
    "callback",
    "client",
    "form",
    "internal",
    "leg",
    "missed",
    "open_task",
    "outgoing",
    "outline",
    "plan",
    "policy",
    "voicemail",
]  # fmt: skip

#: a Monday, noon in Kyiv
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
CLIENT = ClientId("client-1")
PHONE = Phone("+380501112233")
LINE = Phone("+380441234567")
OWNER, COLLEAGUE, SENIOR, HEAD = (EmployeeId(name) for name in ("olena", "ivan", "serhii", "andrii"))
#: a destination that no employee has
STRANGER = "examplecom_reception"

#: four employees, appended to a preset
TEAM = """
[[employees]]
id = "olena"
name = "Olena Koval"
email = "olena@example.com"
destinations = ["examplecom_olena"]
mobiles = ["067 111 11 11"]
private_lines = ["050 999 99 99"]
extension = "101"
staff_ids = ["1101"]

[[employees]]
id = "ivan"
name = "Ivan Bondar"
email = "ivan@example.com"
destinations = ["examplecom_ivan"]
mobiles = ["067 222 22 22"]
extension = "102"
staff_ids = ["1102"]

[[employees]]
id = "serhii"
name = "Serhii Melnyk"
email = "serhii@example.com"
roles = ["senior"]
destinations = ["examplecom_serhii"]
extension = "103"

[[employees]]
id = "andrii"
name = "Andrii Shevchuk"
email = "andrii@example.com"
roles = ["head"]
receives_new = false
"""


def policy(preset: str, more: str = "", *, team: str = TEAM, replacing: Sequence[tuple[str, str]] = ()) -> Policy:
    """The preset called ``preset`` with ``team`` and ``more`` TOML appended; ``replacing`` changes its text first."""
    text = files("hub.presets").joinpath(f"{preset}.toml").read_text(encoding="utf-8")
    for old, new in replacing:
        if old not in text:
            raise ValueError(f"{preset} has no text {old!r}")
        text = text.replace(old, new)
    return load_policy(f"{text}\n{team}\n{more}", f"{preset}.toml", rules=(AnnounceNewRecords(), RepeatAsNew()))


# --- interactions -----------------------------------------------------------------------------------------------


def leg(by: str = "", *, is_answered: bool = False, talk_seconds: int = 0, recording: str = "", **place: Any) -> Leg:
    """One leg: ``by`` is an employee of `TEAM` or any SIP login; `Destination`'s attributes may be given instead."""
    login = f"examplecom_{by}" if by in {OWNER, COLLEAGUE, SENIOR, HEAD} else by
    place = place or {"login": login}
    return Leg(
        destination=Destination(**place), is_answered=is_answered, talk_seconds=talk_seconds, recording=recording
    )


def call(**changes: Any) -> Call:
    """An inbound call from the client's number that nobody answered, with ``changes``."""
    told: dict[str, Any] = {
        "id": InteractionId("call-1"),
        "project": ProjectId("project"),
        "channel": "phone",
        "source": "ringostat",
        "external_id": "ua0_-1.1",
        "started_at": NOW - timedelta(minutes=2),
        "ended_at": NOW,
        "direction": Direction.INBOUND,
        "disposition": Disposition.MISSED,
        "client": Identity(phones=(PHONE,)),
        "line": LINE,
    }
    return Call(**{**told, **changes})


def answered(by: str = OWNER, *, rung: Sequence[str] = (), **changes: Any) -> Call:
    """An inbound call that ``by`` answered, after ``rung`` were rung in vain; it has a recording."""
    legs = (
        *(leg(other) for other in rung),
        leg(by, is_answered=True, talk_seconds=60, recording="https://rec.example/1"),
    )
    told: dict[str, Any] = {"disposition": Disposition.ANSWERED, "legs": legs, "talk_seconds": 60}
    return call(**{**told, **changes})


def missed(*, rung: Sequence[str] = (), **changes: Any) -> Call:
    """An inbound call that nobody answered, ``rung`` were rung."""
    return call(**{"legs": tuple(leg(other) for other in rung), **changes})


def voicemail(**changes: Any) -> Call:
    """An inbound call whose client left a message."""
    return call(**{"disposition": Disposition.VOICEMAIL, "recording": "https://rec.example/vm", **changes})


def outgoing(by: str = OWNER, *, reached: bool = True, **changes: Any) -> Call:
    """A call of an employee to the client."""
    if reached:
        return answered(by, **{"direction": Direction.OUTBOUND, **changes})
    return missed(rung=(by,), **{"direction": Direction.OUTBOUND, **changes})


def internal(**changes: Any) -> Call:
    """A colleague calls the owner from a corporate mobile."""
    return answered(OWNER, **{"client": Identity(phones=(Phone("+380672222222"),)), **changes})


def callback(disposition: Disposition = Disposition.CLIENT_MISSED, by: str = OWNER, **changes: Any) -> Call:
    """A call through the callback form: the telephony rings the employee, then the client (A17)."""
    told: dict[str, Any] = {
        "disposition": disposition,
        "is_callback": True,
        "legs": (leg(by, is_answered=disposition is Disposition.ANSWERED),),
        "direction": Direction.OUTBOUND,
    }
    return call(**{**told, **changes})


def form(**changes: Any) -> Form:
    """A site form that the client filled in."""
    told: dict[str, Any] = {
        "id": InteractionId("form-1"),
        "project": ProjectId("project"),
        "channel": "site",
        "source": "form",
        "external_id": "form-1",
        "started_at": NOW,
        "client": Identity(phones=(PHONE,), name="Petro"),
        "form_name": "test drive",
        "attribution": Attribution(utm_source="google"),
    }
    return Form(**{**told, **changes})


# --- what the CRM knows -----------------------------------------------------------------------------------------

#: the CRM holds nothing of the client
NEW_CLIENT = Snapshot(connection="crm", taken_at=NOW, seen_at=NOW)


def open_task(assignee: str, text: str = "something", *, on: str = "deal", **changes: Any) -> Task:
    """An open task on the client's contact or deal."""
    ref = RecordRef(kind=RecordKind(on), id=f"{on}-1")
    told: dict[str, Any] = {
        "id": f"task-{assignee}",
        "text": text,
        "responsible": EmployeeId(assignee),
        "due_at": NOW + timedelta(hours=1),
        "on": ref,
    }
    return Task(**{**told, **changes})


def client(
    contact: str | None = OWNER,
    *,
    deal: str | None = None,
    closed_deal: str | None = None,
    company: str | None = None,
    tasks: Sequence[Task] = (),
    **changes: Any,
) -> Snapshot:
    """A client whom the CRM knows; each argument is the responsible of that record, None = there is none."""
    deals = []
    for id_, responsible, is_open in (("deal-1", deal, True), ("deal-2", closed_deal, False)):
        if responsible is not None:
            deals.append(
                Deal(
                    id=id_,
                    name=f"Deal {id_}",
                    is_open=is_open,
                    responsible=EmployeeId(responsible),
                    contact_ids=("contact-1",) if contact is not None else (),
                    company_id="company-1" if company is not None else None,
                )
            )
    contacts = [] if contact is None else [
        Contact(
            id="contact-1",
            name="Petro",
            phones=(PHONE,),
            responsible=EmployeeId(contact) if contact else None,
            deal_ids=tuple(found.id for found in deals),
            company_id="company-1" if company is not None else None,
        )
    ]  # fmt: skip
    companies = () if company is None else (
        Company(id="company-1", name="Works", phones=(PHONE,), responsible=EmployeeId(company)),
    )  # fmt: skip
    known = replace(NEW_CLIENT, contacts=tuple(contacts), companies=companies, deals=tuple(deals), tasks=tuple(tasks))
    return replace(known, **changes)


# --- plans in words ---------------------------------------------------------------------------------------------


def plan(
    interaction: Interaction, known: Snapshot, rules: Policy, *, now: datetime = NOW, rota: Rota = NO_TURNS
) -> Plan:
    """`decide`, with the test's client and moment."""
    return decide(interaction, known, rota, rules, now, client_id=CLIENT)


def outline(made: Plan) -> list[str]:
    """The facts that matter of each action, in words and in order."""
    return [_line(action) for action in made.actions]


def _line(action: Action) -> str:
    match action:
        case CreateContact():
            return f"contact for {action.responsible or 'nobody'}"
        case UpdateContact():
            return f"contact changes{_for(action.responsible)}"
        case CreateDeal():
            return f"{'unsorted ' if action.is_unsorted else ''}deal for {action.responsible or 'nobody'}"
        case UpdateDeal():
            changes = "is claimed by" if action.accepts else "changes to"
            return f"deal {changes} {action.responsible}" if action.responsible else "deal changes"
        case CreateTask():
            if action.completed_at is not None:
                return f"done {action.task} by {action.assignee} on {_on(action.on)}{_heard(action.text)}"
            hours = (action.due_at - NOW) / timedelta(hours=1)
            return f"task {action.task} for {action.assignee} on {_on(action.on)} in {hours:.4g} h{_heard(action.text)}"
        case UpdateTask():
            return f"task {_on(action.task)} moves to {action.assignee}"
        case CompleteTask():
            return f"{_on(action.task)} is done"
        case RecordCall():
            return f"record of {action.responsible} on {_on(action.on)}{_heard(action.recording)}"
        case AddNote():
            return f"note on {_on(action.on)}{_heard(action.text)}"
        case Notify():
            return f"tell {', '.join(action.employees)}"
        case Nothing():
            return f"nothing: {action.reason.values.get('why', action.reason.code)}"


def _for(employee: EmployeeId | None) -> str:
    return f" to {employee}" if employee else ""


def _on(ref: Ref | None) -> str:
    if ref is None:
        return "nothing"
    return f"new {ref.kind}" if isinstance(ref, NewRecord) else ref.id if ref.kind is RecordKind.TASK else str(ref.kind)


def _heard(text: str) -> str:
    return " with recording" if "https://rec.example" in text else ""


# --- a CRM of records -------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class MemoryCrm:
    """Does what plans say, step keys and all, as a faithful host and CRM together would."""

    rules: Policy
    client: ClientId = CLIENT
    known: Snapshot = NEW_CLIENT
    #: what each done step made
    done: dict[StepKey, RecordRef] = field(default_factory=dict)
    turns: dict[str, Any] = field(default_factory=dict)
    count: int = 0

    def take(self, interaction: Interaction, *, now: datetime | None = None) -> Plan:
        """Decide about ``interaction`` on what the CRM holds now, and do it."""
        self._was.setdefault(
            interaction.id,
            {
                f"{kind}/{found.id}": found.responsible
                for kind, records in (("contact", self.known.contacts), ("deal", self.known.deals))
                for found in records
            },
        )
        made = decide(
            interaction, self.seen_by(interaction.id), Rota(turns=self.turns), self.rules,
            now or interaction.moment, client_id=self.client,
        )  # fmt: skip
        for action in made.actions:
            self.apply(action, interaction)
        self.turns.update(made.turns)
        return made

    def seen_by(self, interaction: InteractionId) -> Snapshot:
        """The snapshot, with what this very interaction did before."""
        own = {
            str(key): ref
            for key, ref in self.done.items()
            if key.startswith(f"{interaction}/")
            or key.endswith(f"/{interaction}")
            or key in self._contacts(interaction)
        }
        still_open = {task.id for task in self.known.tasks if task.is_open}
        keys = {
            str(key): ref.id
            for key, ref in self.done.items()
            if ref.kind is RecordKind.TASK and "/task/" in key and ref.id in still_open
        }
        history = History(open_task_keys=keys, own=own, was_responsible=self._was.get(interaction, {}))
        return replace(self.known, history=history)

    def _contacts(self, interaction: InteractionId) -> set[StepKey]:
        return self._made_by.get(interaction, set())

    _made_by: dict[InteractionId, set[StepKey]] = field(default_factory=dict)
    _was: dict[InteractionId, dict[str, EmployeeId | None]] = field(default_factory=dict)

    def apply(self, action: Action, interaction: Interaction) -> None:
        """Do one step, unless its key is done already."""
        if action.key in self.done:
            return
        match action:
            case CreateContact():
                ref = self._new(RecordKind.CONTACT)
                contact = Contact(id=ref.id, name=action.name, phones=action.phones, responsible=action.responsible)
                self.known = replace(self.known, contacts=(*self.known.contacts, contact))
                self._made_by.setdefault(interaction.id, set()).add(action.key)
            case CreateDeal():
                ref = self._new(RecordKind.DEAL)
                contacts = () if action.contact is None else (self._resolved(action.contact).id,)
                deal = Deal(id=ref.id, name=action.name, responsible=action.responsible, contact_ids=contacts)
                self.known = replace(self.known, deals=(*self.known.deals, deal))
            case CreateTask():
                ref = self._new(RecordKind.TASK)
                task = Task(
                    id=ref.id,
                    text=action.text,
                    responsible=action.assignee,
                    due_at=action.due_at,
                    is_open=action.completed_at is None,
                    on=None if action.on is None else self._resolved(action.on),
                )
                self.known = replace(self.known, tasks=(*self.known.tasks, task))
            case CompleteTask():
                ref = self._resolved(action.task)
                self.known = replace(
                    self.known,
                    tasks=tuple(
                        replace(task, is_open=False) if task.id == ref.id else task for task in self.known.tasks
                    ),
                )
            case UpdateContact():
                ref = self._resolved(action.contact)
                self.known = replace(
                    self.known,
                    contacts=tuple(
                        replace(one, responsible=action.responsible or one.responsible) if one.id == ref.id else one
                        for one in self.known.contacts
                    ),
                )
            case UpdateDeal():
                ref = self._resolved(action.deal)
                self.known = replace(
                    self.known,
                    deals=tuple(
                        replace(one, responsible=action.responsible or one.responsible) if one.id == ref.id else one
                        for one in self.known.deals
                    ),
                )
            case UpdateTask():
                ref = self._resolved(action.task)
                self.known = replace(
                    self.known,
                    tasks=tuple(
                        replace(one, responsible=action.assignee or one.responsible, due_at=action.due_at or one.due_at)
                        if one.id == ref.id
                        else one
                        for one in self.known.tasks
                    ),
                )
            case _:
                ref = self._new(RecordKind.NOTE)
        self.done[action.key] = ref

    def _new(self, kind: RecordKind) -> RecordRef:
        self.count += 1
        return RecordRef(kind=kind, id=f"{kind}-{self.count + 100}")

    def _resolved(self, ref: Ref) -> RecordRef:
        return self.done[ref.key] if isinstance(ref, NewRecord) else ref
