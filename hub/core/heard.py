"""What an interaction tells by itself, before anybody looks at the CRM (A1, A10, R8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import phonenumbers

from hub.core.further import with_further_keys
from hub.core.interaction import (
    Attribution,
    Call,
    Chat,
    Destination,
    Direction,
    Disposition,
    Form,
    Interaction,
    Leg,
    Message,
)
from hub.core.origin import department_of, origin_of
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.core.schedule import Hours

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Heard", "Overheard", "legs_of"]


Value = TypeVar("Value")


class _Told(Generic[Value]):
    """What the interaction itself tells, or ``absent`` where its kind has no such thing; read when asked for."""

    def __init__(self, name: str, absent: Value) -> None:
        self.name, self.absent = name, absent

    def __get__(self, heard: Heard | None, owner: type) -> Value:
        told: Value = getattr(heard.interaction, self.name, self.absent) if heard is not None else self.absent
        return told


# not frozen, and never changed: freezing makes so many attributes several times as dear to set
@dataclass(slots=True, init=False, eq=False)
class Heard:
    """The part of `hub.core.facts.Facts` that no CRM is needed for; asking it for another fact is an AttributeError."""

    interaction: Interaction
    policy: Policy
    now: datetime
    kind: str
    disposition: str
    is_callback: bool
    #: the company's number, "" if there is none
    line: str

    # --- found by `find_place`

    direction: str
    #: the policy's channel: that of the account which the client wrote to, where the policy has one for it (W11)
    channel: str
    department: str
    attribution: Attribution
    #: whose the company's number is by the list of employees, and by the table of sources first (A13)
    line_owner: EmployeeId | None
    dialled_owner: EmployeeId | None
    repeat: str
    keep_responsible: bool
    #: a new deal of this channel goes to the CRM's inbox, to whoever answers first (W2)
    is_unsorted: bool

    # --- found by `find_people`

    legs: tuple[Leg, ...]
    #: who each leg rang, None where nobody is tied to the place
    leg_employees: tuple[EmployeeId | None, ...]
    #: who of them talked
    took_part: Sequence[EmployeeId]
    answered_by: EmployeeId | None
    caller: EmployeeId | None
    employee: EmployeeId | None
    answered_at: str
    at_unknown_destination: bool
    is_answered: bool
    is_missed: bool
    is_client_missed: bool
    is_reached: bool
    is_transferred: bool
    is_internal: bool
    is_private: bool
    is_blocked: bool
    is_short: bool
    is_pending: bool
    recording: str

    # --- told by the interaction

    source: ClassVar[_Told[str]] = _Told("source", "")
    is_automatic: ClassVar[_Told[bool]] = _Told("is_automatic", False)
    is_recovered: ClassVar[_Told[bool]] = _Told("is_recovered", False)
    talk_seconds: ClassVar[_Told[int]] = _Told("talk_seconds", 0)
    waiting_seconds: ClassVar[_Told[int]] = _Told("waiting_seconds", 0)
    rating: ClassVar[_Told[int | None]] = _Told("rating", None)
    summary: ClassVar[_Told[str]] = _Told("summary", "")
    card_url: ClassVar[_Told[str]] = _Told("card_url", "")
    scheme: ClassVar[_Told[str]] = _Told("scheme", "")
    account: ClassVar[_Told[str]] = _Told("account", "")
    form_name: ClassVar[_Told[str]] = _Told("form_name", "")
    page: ClassVar[_Told[str]] = _Told("page", "")
    parameters: ClassVar[_Told[Mapping[str, str]]] = _Told("parameters", {})

    def __init__(self, interaction: Interaction, policy: Policy, now: datetime) -> None:
        self.hear(interaction, policy, now)
        self.find_place()
        self.find_people()

    def hear(self, interaction: Interaction, policy: Policy, now: datetime) -> None:
        """What needs no finding."""
        if policy.further_keys:
            interaction = with_further_keys(interaction, policy.identity)
        self.interaction, self.policy, self.now = interaction, policy, now
        self.kind = interaction.kind
        if isinstance(interaction, Call):
            self.disposition, self.is_callback = interaction.disposition, interaction.is_callback
            self.line = interaction.line or ""
        else:
            self.disposition, self.is_callback, self.line = "", False, ""

    def find_place(self) -> None:
        """Where the client turned to, and what the policy says of that place."""
        interaction, policy = self.interaction, self.policy
        self.direction = _direction(interaction)
        self.department = department = department_of(interaction)
        self.channel = channel = policy.channel_of(interaction.channel, getattr(interaction, "account", ""))
        settings = policy.channel_settings(channel)
        owner, self.attribution = origin_of(interaction, department, channel, policy)
        self.line_owner = line_owner = policy.people.by_phone.get(Phone(self.line)) if self.line else None
        self.dialled_owner = owner or line_owner
        self.repeat, self.keep_responsible = settings.repeat, settings.keep_responsible
        self.is_unsorted = settings.is_unsorted

    def find_people(self) -> None:
        """Who took part, and what that makes of it."""
        interaction, policy = self.interaction, self.policy
        people, identity = policy.people, interaction.client
        call = interaction if isinstance(interaction, Call) else None
        direction, legs = self.direction, legs_of(interaction)
        employees: list[EmployeeId | None] = []
        took_part: list[EmployeeId] = []
        # A10, A1: the leg at which the call ended counts, whoever picked up first
        last: int | None = None
        for index, leg in enumerate(legs):
            found = people.recognise(leg.destination)
            employees.append(found)
            if leg.is_answered:
                last = index
                if found:
                    took_part.append(found)
        disposition = call.disposition if call else None
        is_pending = disposition is Disposition.PENDING
        # Z1's option: who picked up is known while they still talk
        picked_up = is_pending and last is not None and policy.deals.at == "pick_up"
        is_chat = interaction.kind == "chat"
        is_answered = picked_up or disposition is Disposition.ANSWERED or (is_chat and last is not None)
        caller = None
        if direction == "outbound":
            caller = next((found for found in employees if found), None) or self.line_owner
        answered_by = employees[last] if last is not None and is_answered else None
        if answered_by is None and is_answered and call:
            answered_by = caller
        employee = answered_by or caller
        is_inbound_call = call is not None and direction == "inbound"
        is_client_missed = disposition is Disposition.CLIENT_MISSED
        self.is_answered = is_answered
        self.is_missed = (is_inbound_call or is_chat) and not (is_answered or is_client_missed or is_pending)
        self.is_client_missed = is_client_missed
        self.is_reached = is_answered or (
            direction == "outbound" and call is None and not getattr(interaction, "is_automatic", False)
        )
        self.is_transferred = bool(call and call.is_transferred) or len(took_part) > 1
        self.is_internal = call is not None and people.recognise_client(identity) is not None
        self.is_private = _is_private(interaction, legs, last, policy)
        self.is_blocked = bool(policy.classify.black_list) and _is_blocked(identity.phones, policy)
        self.is_short = is_answered and not picked_up and call is not None and _is_short(call.talk_seconds, policy)
        self.is_pending = is_pending
        self.recording = (legs[last].recording if last is not None else "") or (call.recording if call else "")
        self.legs, self.leg_employees, self.took_part = legs, tuple(employees), took_part
        self.answered_by, self.caller, self.employee = answered_by, caller, employee
        self.answered_at = _place(legs[last or 0].destination) if legs else ""
        self.at_unknown_destination = employee is None and (
            (is_inbound_call and is_answered) or (call is not None and direction == "outbound")
        )

    @property
    def hours(self) -> Hours:
        return self.policy.company_hours

    @property
    def creates_contacts(self) -> bool:
        return self.policy.contacts.create

    @property
    def is_voicemail(self) -> bool:
        return self.disposition == "voicemail"

    @property
    def has_recording(self) -> bool:
        return bool(self.recording)

    @property
    def is_anonymous(self) -> bool:
        return self.interaction.client.is_empty

    @property
    def phones(self) -> tuple[Phone, ...]:
        return self.interaction.client.phones

    @property
    def phone(self) -> str:
        phones = self.interaction.client.phones
        return phones[0] if phones else ""

    @property
    def emails(self) -> tuple[str, ...]:
        return self.interaction.client.emails

    @property
    def email(self) -> str:
        emails = self.interaction.client.emails
        return emails[0] if emails else ""

    @property
    def client_name(self) -> str:
        return self.interaction.client.name

    @property
    def text(self) -> str:
        """What the client wrote."""
        match self.interaction:
            case Call():
                return ""
            case Form() | Message():
                return self.interaction.text
            case Chat():
                return "\n".join(line.text for line in self.interaction.messages if line.is_from_client)

    @property
    def rung(self) -> tuple[EmployeeId, ...]:
        """Everybody whom a leg rang, in order."""
        return tuple(dict.fromkeys(found for found in self.leg_employees if found))

    @property
    def is_working_hours(self) -> bool:
        return self.hours.is_open(self.interaction.started_at)

    @property
    def country(self) -> str:
        """The country of the client's number, "" if unknown."""
        try:
            return phonenumbers.region_code_for_number(phonenumbers.parse(self.phone)) or ""
        except phonenumbers.NumberParseException:
            return ""


class Overheard(Heard):
    """As `Heard`, but what takes some finding is found when it is first asked for.

    Good for who asks for one thing of many interactions; whoever asks for much pays for each answer.
    """

    __slots__ = ()

    def __init__(self, interaction: Interaction, policy: Policy, now: datetime) -> None:
        self.hear(interaction, policy, now)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            if name in _OF_PLACE:
                self.find_place()
            elif name in _OF_PEOPLE:
                self.find_people()
            else:
                raise AttributeError(name)
            return getattr(self, name)


_OF_PLACE = frozenset(
    {
        "direction", "channel", "department", "attribution", "line_owner", "dialled_owner", "repeat",
        "keep_responsible", "is_unsorted",
    }
)  # fmt: skip
_OF_PEOPLE = frozenset(Heard.__slots__) - _OF_PLACE
_OF_PEOPLE -= {"interaction", "policy", "now", "kind", "disposition", "is_callback", "line"}


def _direction(interaction: Interaction) -> str:
    """Who began; a callback counts as inbound, whoever dialled whom (A17)."""
    if interaction.kind == "call":
        inbound = interaction.direction is Direction.INBOUND or interaction.is_callback
        return "inbound" if inbound else "outbound"
    return str(interaction.direction.value) if interaction.kind == "message" else "inbound"


def legs_of(interaction: Interaction) -> tuple[Leg, ...]:
    """Who took part; the author of a message of ours is its only leg."""
    if interaction.kind == "call" or interaction.kind == "chat":
        return interaction.legs
    if interaction.kind == "message" and interaction.direction is Direction.OUTBOUND:
        return () if interaction.author.is_empty else (Leg(destination=interaction.author, is_answered=True),)
    return ()


def _place(place: Destination) -> str:
    return place.login or place.phone or place.extension or place.email or place.staff_id or place.name


def _is_private(interaction: Interaction, legs: Sequence[Leg], last: int | None, policy: Policy) -> bool:
    """R8: over an employee's private line, or with a private client."""
    people, phones = policy.people, interaction.client.phones
    if policy.private_clients and not policy.private_clients.isdisjoint(phones):
        return True
    if not people.private_phones and not people.private_logins:
        return False
    line = interaction.line if isinstance(interaction, Call) else None
    if line in people.private_phones or not people.private_phones.isdisjoint(phones):
        return True
    if last is not None:
        return people.is_private(legs[last].destination)
    return bool(legs) and all(people.is_private(leg.destination) for leg in legs)


def _is_blocked(phones: Sequence[str], policy: Policy) -> bool:
    exact, beginnings = policy.black_list
    return any(phone in exact or phone.startswith(beginnings) for phone in phones)


def _is_short(talk_seconds: int, policy: Policy) -> bool:
    return talk_seconds < policy.classify.minimal_talk.total_seconds()
