"""What really happened at the telephony: calls, forms and dialogues, before any webhook tells it.

This is the sandbox's own model (H10). It is written from the vendor reference and shares nothing with the
plugin: the webhooks, the call log and the forwarding questions are all told from these values.
Times are aware datetimes; durations are whole seconds, as the vendor counts them; numbers are international
digits without a plus, as the vendor sends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Direction(StrEnum):
    """Who called whom. A call-back call is delivered through the incoming event (reference A.1)."""

    IN = "in"
    OUT = "out"
    CALLBACK = "callback"


class Outcome(StrEnum):
    """How a call ended, before it is put in the vendor's words (reference A.6)."""

    ANSWERED = "answered"
    MISSED = "missed"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    FAILED = "failed"
    NO_FORWARD = "no_forward"
    CLIENT_NO_ANSWER = "client_no_answer"


class CallKind(StrEnum):
    """Between whom: a client, two employees, or somebody on an employee's private line (R8)."""

    CLIENT = "client"
    INTERNAL = "internal"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """An employee of the project as the cabinet knows them (reference section 0)."""

    id: str  # digits: the vendor's staffId and employee_number
    name: str
    email: str = ""
    department: str = ""
    extension: str = ""
    login: str = ""  # SIP login: project name without dots, underscore, name
    mobile: str = ""  # corporate mobile; rung when there is no login, recognised always

    @property
    def destination(self) -> str:
        """First main contact: where a call forwarded to the employee rings."""
        return self.login or self.mobile

    @property
    def contacts(self) -> tuple[str, ...]:
        """Every number and login by which the employee is recognised."""
        return tuple(contact for contact in (self.login, self.mobile, self.extension) if contact)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One destination that rang. ``employee`` is None for a login or number tied to nobody (Z2)."""

    destination: str
    employee: str | None
    at: datetime
    seconds: int
    answered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One employee's part of an answered call, with a recording of its own (C6)."""

    destination: str
    employee: str | None
    answered_at: datetime
    talk_seconds: int
    recording: bool = True
    transfer: str | None = None  # how the call came to this leg: None for the first, "attended" or "blind"

    @property
    def ended_at(self) -> datetime:
        return self.answered_at + timedelta(seconds=self.talk_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Where the client came from (R7). Empty text = the tracking knows nothing."""

    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_content: str = ""
    utm_term: str = ""
    client_id: str = ""  # of Google Analytics: "<digits>.<digits>"
    landing: str = ""  # URL without scheme
    referrer: str = ""
    ip: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the AI found in a call, told some minutes after its end (reference A.1)."""

    text: str
    client_mood: str = "neutral"
    employee_mood: str = "neutral"
    mood: str = "neutral"
    actions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The truth about one call.

    ``client_number`` is "" for a hidden number. For an outgoing call ``initiator`` dialled; ``legs`` then
    holds what they talked. ``rung`` has everybody who was rung, in order, with those who did not answer (A1).
    """

    id: str
    direction: Direction
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    client_number: str = ""
    company_number: str = ""
    kind: CallKind = CallKind.CLIENT
    scheme: str = "Main"
    rung: tuple[Rung, ...] = ()
    legs: tuple[Leg, ...] = ()
    initiator: str | None = None  # employee id
    initiator_destination: str = ""  # SIP login or corporate mobile used for dialling
    voicemail_seconds: int = 0
    attribution: Attribution = field(default_factory=Attribution)
    is_target: bool = False  # the vendor's PROPER
    is_repeat: bool = False  # the vendor's REPEATED
    number_of_client: int = 1  # n-th call of this client
    rating: int | None = None
    category: int | None = None
    summary: Summary | None = None

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None or self.ended_at.tzinfo is None:
            raise ValueError("a call's times must be aware")

    @property
    def is_answered(self) -> bool:
        return self.outcome is Outcome.ANSWERED

    @property
    def talk_seconds(self) -> int:
        """Seconds that anybody talked, over all legs."""
        return sum(leg.talk_seconds for leg in self.legs)

    @property
    def duration_seconds(self) -> int:
        """Whole duration, waiting included."""
        return int((self.ended_at - self.started_at).total_seconds())

    @property
    def waiting_seconds(self) -> int:
        """Until the first answer, or until the end if there was none."""
        answered_at = self.legs[0].answered_at if self.legs else self.ended_at
        return int((answered_at - self.started_at).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteForm:
    """A form submitted on the company's site (J8)."""

    id: str
    at: datetime
    form: str
    page: str
    name: str = ""
    phone: str = ""
    email: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    attribution: Attribution = field(default_factory=Attribution)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A dialogue in the vendor's own messenger, from opening to closing."""

    id: str
    opened_at: datetime
    closed_at: datetime
    name: str = ""
    phone: str = ""
    employee: str | None = None
    messages: tuple[str, ...] = ()
    attribution: Attribution = field(default_factory=Attribution)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyNumber:
    """A number of the company that clients dial."""

    number: str
    label: str = ""
    scheme: str = "Main"
    pool: str = ""


Event = Call | SiteForm | Dialogue


class Staff:
    """The project's employees, found by id or by any of their contacts."""

    def __init__(self, employees: tuple[Employee, ...] = ()) -> None:
        self._by_id = {employee.id: employee for employee in employees}
        self._by_contact = {contact: employee for employee in employees for contact in employee.contacts}

    def __iter__(self) -> Iterator[Employee]:
        return iter(self._by_id.values())

    def find(self, employee_id: str | None) -> Employee | None:
        return None if employee_id is None else self._by_id.get(employee_id)

    def find_by_contact(self, contact: str) -> Employee | None:
        return self._by_contact.get(contact)

    def get(self, employee_id: str) -> Employee:
        """The employee with this id; KeyError when the project has none."""
        return self._by_id[employee_id]
