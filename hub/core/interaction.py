"""What happened between a client and the company: calls, chats, messages, forms.

Values are as the channel told them; who an employee is, and whether a call is internal, is decided in
`hub.core.facts` with the policy, so that a changed policy can be rehearsed on stored interactions (X2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, NewType, TypeAlias

from hub.core.phone import Phone
from hub.core.slots import by_slots

__all__ = [
    "Attribution",
    "Call",
    "Chat",
    "ChatMessage",
    "ClientId",
    "Destination",
    "Direction",
    "Disposition",
    "Form",
    "Identity",
    "Interaction",
    "InteractionId",
    "Leg",
    "Message",
    "ProjectId",
]

ProjectId = NewType("ProjectId", str)
ClientId = NewType("ClientId", str)
InteractionId = NewType("InteractionId", str)


class Direction(StrEnum):
    """Who began: the client (inbound) or the company (outbound)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Disposition(StrEnum):
    """How a call ended."""

    ANSWERED = "answered"
    MISSED = "missed"
    BUSY = "busy"
    VOICEMAIL = "voicemail"
    FAILED = "failed"
    #: a callback whose client did not pick up (A17)
    CLIENT_MISSED = "client_missed"
    #: still ringing or talking
    PENDING = "pending"


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """By what a client can be recognised; everything may be empty (a hidden number)."""

    phones: tuple[Phone, ...] = ()
    emails: tuple[str, ...] = ()
    #: (channel kind, handle), such as ("whatsapp", "380501112233")
    handles: tuple[tuple[str, str], ...] = ()
    name: str = ""
    #: further identity fields by the policy's name, such as a tax number (J4)
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True if nothing here can identify anybody; a name alone does not (J7)."""
        return not (self.phones or self.emails or self.handles or self.fields)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Where the client came from (R7); "" where the channel did not tell."""

    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_content: str = ""
    utm_term: str = ""
    ga_client_id: str = ""
    landing_page: str = ""
    referrer: str = ""
    #: the client's network address, and where the channel places it (J2): ISO 3166, names as the channel writes them
    ip: str = ""
    country: str = ""
    region: str = ""
    city: str = ""
    #: the pool of substitution numbers
    pool: str = ""
    #: filled from the policy's table of numbers when no utm tags came (R11), or by the channel
    source: str = ""


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A place that the telephony rang, in all the ways in which it names one; who that is, the policy knows."""

    phone: Phone | None = None
    #: SIP login, as the telephony writes it
    login: str = ""
    #: the telephony's own id of the employee
    staff_id: str = ""
    name: str = ""
    email: str = ""
    extension: str = ""
    department: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.phone or self.login or self.staff_id or self.email or self.extension or self.name)

    def is_same_as(self, other: Destination | None) -> bool:
        """True if both name one employee: a shared identifier, and no contradiction in the telephony's own id."""
        if other is None or (self.staff_id and other.staff_id and self.staff_id != other.staff_id):
            return False
        pairs = (
            (self.staff_id, other.staff_id),
            (self.phone, other.phone),
            (self.login.casefold(), other.login.casefold()),
            (self.email.casefold(), other.email.casefold()),
            (self.extension, other.extension),
        )
        if any(left and left == right for left, right in pairs):
            return True
        # a name alone counts only where nothing better could be compared
        return bool(self.name) and self.name == other.name and not any(left and right for left, right in pairs)

    def joined(self, other: Destination) -> Destination:
        """Everything that either tells; this one's word first."""
        return Destination(
            phone=self.phone or other.phone,
            login=self.login or other.login,
            staff_id=self.staff_id or other.staff_id,
            name=self.name or other.name,
            email=self.email or other.email,
            extension=self.extension or other.extension,
            department=self.department or other.department,
        )


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One employee's part of a call; one that was rung and did not answer has ``is_answered`` False (A1)."""

    destination: Destination
    is_answered: bool
    talk_seconds: int = 0
    recording: str = ""
    started_at: datetime | None = None


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one client, whatever number of webhooks told of it (X8)."""

    kind: Literal["call"] = "call"
    id: InteractionId
    project: ProjectId
    #: the channel's name in the policy, and the plugin that reads it
    channel: str
    source: str
    #: the telephony's own id of the call; also the ``uniq`` of the call record
    external_id: str
    started_at: datetime
    ended_at: datetime | None = None
    direction: Direction
    disposition: Disposition
    client: Identity
    #: in order: first rung first
    legs: tuple[Leg, ...] = ()
    #: the company's number that the client dialled, or from which the employee called
    line: Phone | None = None
    #: the number or login the company side was called on, when both sides are employees
    department: str = ""
    scheme: str = ""
    waiting_seconds: int = 0
    talk_seconds: int = 0
    #: the whole call's recording where the channel has one besides those of the legs
    recording: str = ""
    #: the page of the call in the telephony's cabinet
    card_url: str = ""
    is_callback: bool = False
    #: False while the channel may still add to it (DESIGN 2.3)
    is_final: bool = True
    #: known to be handed over between employees
    is_transferred: bool = False
    attribution: Attribution = Attribution()
    #: what the channel's analysis said of it afterwards ("" if nothing)
    summary: str = ""
    rating: int | None = None
    #: True if the channel's own log told of it and its webhook never came (X7)
    is_recovered: bool = False
    #: every parameter as it came, by the channel's name, for conditions and texts
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        return self.disposition is Disposition.ANSWERED

    @property
    def moment(self) -> datetime:
        """The instant from which deadlines count: the end if known, else the beginning."""
        return self.ended_at or self.started_at


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form that a client filled in on a site (J8)."""

    kind: Literal["form"] = "form"
    id: InteractionId
    project: ProjectId
    channel: str
    source: str
    external_id: str
    started_at: datetime
    client: Identity
    form_name: str = ""
    page: str = ""
    text: str = ""
    attribution: Attribution = Attribution()
    is_final: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        return self.started_at


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One line of a chat."""

    at: datetime
    is_from_client: bool
    text: str
    author: Destination = Destination()


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A dialogue with a client on a site."""

    kind: Literal["chat"] = "chat"
    id: InteractionId
    project: ProjectId
    channel: str
    source: str
    external_id: str
    started_at: datetime
    ended_at: datetime | None = None
    client: Identity
    messages: tuple[ChatMessage, ...] = ()
    #: who took part, in order
    legs: tuple[Leg, ...] = ()
    page: str = ""
    department: str = ""
    #: the vendor's id of our widget or account that the client wrote to ("" where the channel has only one)
    account: str = ""
    attribution: Attribution = Attribution()
    is_final: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        return any(leg.is_answered for leg in self.legs)

    @property
    def moment(self) -> datetime:
        return self.ended_at or self.started_at


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in a messenger, in either direction."""

    kind: Literal["message"] = "message"
    id: InteractionId
    project: ProjectId
    channel: str
    source: str
    external_id: str
    started_at: datetime
    direction: Direction
    client: Identity
    text: str = ""
    #: who wrote it, for outbound ones
    author: Destination = Destination()
    #: written by no person (a bot, a template of the CRM): it answers nobody, so what waits goes on waiting (W6)
    is_automatic: bool = False
    #: the vendor's id of our number or account that it came to or went out on ("" where the channel has only one)
    account: str = ""
    attribution: Attribution = Attribution()
    is_final: bool = True
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        return self.started_at


Interaction: TypeAlias = Call | Form | Chat | Message
