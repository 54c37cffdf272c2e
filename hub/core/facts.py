"""What a decision may look at (A8): who took part, whether the client is known, what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import phonenumbers

from hub.core.client import Client, find_client
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
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind
from hub.core.right import Whose, may
from hub.core.schedule import Hours
from hub.core.snapshot import Snapshot
from hub.core.tasks import OpenTask, open_tasks
from hub.core.unsorted import waits_to_be_claimed

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Facts", "establish", "legs_of", "without_own"]


Value = TypeVar("Value")


class _Told(Generic[Value]):
    """What the interaction itself tells, or ``absent`` where its kind has no such thing; read when asked for."""

    def __init__(self, name: str, absent: Value) -> None:
        self.name, self.absent = name, absent

    def __get__(self, facts: Facts | None, owner: type) -> Value:
        told: Value = getattr(facts.interaction, self.name, self.absent) if facts is not None else self.absent
        return told


# not frozen, and never changed: freezing makes so many attributes several times as dear to set
@dataclass(slots=True, kw_only=True, eq=False)
class Facts:
    """The answers that the matrix and the rules ask for; `hub.core.field.FIELDS` tells what each means."""

    interaction: Interaction
    #: the client's records as they were before this interaction touched them
    snapshot: Snapshot
    now: datetime

    direction: str
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
    attribution: Attribution
    department: str

    legs: tuple[Leg, ...]
    #: who each leg rang, None where nobody is tied to the place
    leg_employees: tuple[EmployeeId | None, ...]
    answered_by: EmployeeId | None
    caller: EmployeeId | None
    employee: EmployeeId | None
    answered_at: str
    at_unknown_destination: bool
    dialled_owner: EmployeeId | None
    by_responsible: bool

    client: Client
    contact: Contact | None
    company: Company | None
    deal: Deal | None
    is_new_client: bool
    has_open_deal: bool
    had_deals: bool
    responsible: EmployeeId | None
    deal_responsible: EmployeeId | None
    contact_responsible: EmployeeId | None
    open_tasks: tuple[OpenTask, ...]
    has_open_call_back: bool
    has_open_task: bool
    hours: Hours
    creates_contacts: bool
    #: the policy's channel: that of the account which the client wrote to, where the policy has one for it (W11)
    channel: str
    repeat: str
    keep_responsible: bool
    #: a new deal of this channel goes to the CRM's inbox, to whoever answers first (W2)
    is_unsorted: bool
    #: the client's open deal waits there
    is_unclaimed: bool
    #: who answered such a client first, and becomes the responsible
    claimed_by: EmployeeId | None
    policy: Policy

    kind: ClassVar[_Told[str]] = _Told("kind", "")
    source: ClassVar[_Told[str]] = _Told("source", "")
    disposition: ClassVar[_Told[str]] = _Told("disposition", "")
    is_callback: ClassVar[_Told[bool]] = _Told("is_callback", False)
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

    @property
    def whose(self) -> Whose:
        """Whose client it is, for rights (W4)."""
        return Whose(
            channel=self.channel,
            responsible=self.responsible,
            is_unclaimed=self.is_unclaimed,
            is_new=self.is_new_client,
        )

    @property
    def may_write(self) -> bool:
        """True if who acted may write to the client by their role, and if nobody of us did (W4)."""
        return self.employee is None or may(self.employee, "write", self.whose, self.policy, self.now)

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
    def line(self) -> str:
        return self.interaction.line or "" if isinstance(self.interaction, Call) else ""

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
    def is_first_outgoing(self) -> bool:
        return self.caller is not None and self.caller not in self.snapshot.history.called_by

    @property
    def connection(self) -> str:
        return self.snapshot.connection

    @property
    def has_contact(self) -> bool:
        return self.contact is not None

    @property
    def has_company(self) -> bool:
        return self.company is not None

    @property
    def open_deals(self) -> int:
        return self.client.open_deals

    @property
    def last_talked(self) -> EmployeeId | None:
        return self.snapshot.history.last_talked

    @property
    def interactions(self) -> int:
        return self.snapshot.history.interactions

    @property
    def is_complete(self) -> bool:
        return self.snapshot.is_complete

    @property
    def is_working_hours(self) -> bool:
        return self.hours.is_open(self.interaction.started_at)

    @property
    def price(self) -> float | None:
        return self.deal.price if self.deal else None

    @property
    def country(self) -> str:
        """The country of the client's number, "" if unknown."""
        try:
            return phonenumbers.region_code_for_number(phonenumbers.parse(self.phone)) or ""
        except phonenumbers.NumberParseException:
            return ""

    @property
    def deal_fields(self) -> Mapping[str, str]:
        """The open deal's custom fields by name and by id."""
        return self._named(self.deal.fields, RecordKind.DEAL) if self.deal else {}

    @property
    def contact_fields(self) -> Mapping[str, str]:
        """The contact's custom fields by name and by id."""
        return self._named(self.contact.fields, RecordKind.CONTACT) if self.contact else {}

    @property
    def company_fields(self) -> Mapping[str, str]:
        """The company's custom fields by name and by id."""
        return self._named(self.company.fields, RecordKind.COMPANY) if self.company else {}

    def _named(self, fields: Mapping[str, str], record: RecordKind) -> dict[str, str]:
        named = {
            found.name: fields[found.id]
            for found in self.snapshot.catalogue.fields
            if found.record is record and found.id in fields
        }
        return {**fields, **named}

    @property
    def deal_stage(self) -> str:
        """The name of the open deal's stage."""
        return self._stage()[1]

    @property
    def deal_pipeline(self) -> str:
        """The name of the open deal's pipeline."""
        return self._stage()[0]

    def _stage(self) -> tuple[str, str]:
        if self.deal is None:
            return "", ""
        for pipeline in self.snapshot.catalogue.pipelines:
            if pipeline.id == self.deal.pipeline_id:
                stages = (stage.name for stage in pipeline.stages if stage.id == self.deal.stage_id)
                return pipeline.name, next(stages, self.deal.stage_id)
        return self.deal.pipeline_id, self.deal.stage_id

    @property
    def deal_name(self) -> str:
        return self.deal.name if self.deal else ""

    @property
    def deal_tags(self) -> tuple[str, ...]:
        return self.deal.tags if self.deal else ()

    @property
    def contact_name(self) -> str:
        return self.contact.name if self.contact else ""

    @property
    def contact_tags(self) -> tuple[str, ...]:
        return self.contact.tags if self.contact else ()


def establish(interaction: Interaction, snapshot: Snapshot, policy: Policy, now: datetime) -> Facts:
    """The facts about ``interaction`` for a client whom the CRM knows as ``snapshot`` tells."""
    if policy.further_keys:
        interaction = with_further_keys(interaction, policy.identity)
    before, people, identity = without_own(snapshot), policy.people, interaction.client
    call = interaction if isinstance(interaction, Call) else None
    direction, legs = _direction(interaction), legs_of(interaction)
    employees = tuple([people.recognise(leg.destination) for leg in legs])
    # A10, A1: the leg at which the call ended counts, whoever picked up first
    last = max((index for index, leg in enumerate(legs) if leg.is_answered), default=None)
    disposition = call.disposition if call else None
    is_pending = disposition is Disposition.PENDING
    # Z1's option: who picked up is known while they still talk
    picked_up = is_pending and last is not None and policy.deals.at == "pick_up"
    is_answered = (
        picked_up or disposition is Disposition.ANSWERED or (isinstance(interaction, Chat) and last is not None)
    )
    line_owner = people.by_phone.get(call.line) if call and call.line else None
    department = department_of(interaction)
    channel = policy.channel_of(interaction.channel, getattr(interaction, "account", ""))
    source = origin_of(interaction, department, channel, policy)
    caller = None
    if direction == "outbound":
        caller = next((found for found in employees if found), None) or line_owner
    answered_by = employees[last] if last is not None and is_answered else None
    if answered_by is None and is_answered and call:
        answered_by = caller
    employee = answered_by or caller
    took_part = [found for found, leg in zip(employees, legs, strict=True) if found and leg.is_answered]
    client = find_client(identity, before, policy, took_part or ([caller] if caller else []))
    deal = client.deal
    deal_responsible, contact_responsible = deal.responsible if deal else None, client.contact_responsible
    responsible = deal_responsible or contact_responsible
    is_inbound_call = call is not None and direction == "inbound"
    is_client_missed = disposition is Disposition.CLIENT_MISSED
    is_reached = is_answered or (
        direction == "outbound" and call is None and not getattr(interaction, "is_automatic", False)
    )
    tasks = open_tasks(before, policy)
    settings = policy.channel_settings(channel)
    is_unclaimed = policy.uses_unsorted and deal is not None and waits_to_be_claimed(deal, before)
    if is_unclaimed:
        # nobody's yet, whomever the CRM shows meanwhile (W2)
        responsible = deal_responsible = contact_responsible = None
    is_new, claimed_by = client.contact is None and client.company is None, None
    if is_unclaimed and is_reached and employee:
        may_take = may(employee, "take", Whose(channel=channel, is_unclaimed=True), policy, now)
        claimed_by = employee if may_take else None
    return Facts(
        interaction=interaction,
        snapshot=before,
        now=now,
        direction=direction,
        is_answered=is_answered,
        is_missed=(is_inbound_call or isinstance(interaction, Chat))
        and not (is_answered or is_client_missed or is_pending),
        is_client_missed=is_client_missed,
        is_reached=is_reached,
        is_transferred=bool(call and call.is_transferred) or len(took_part) > 1,
        is_internal=call is not None and people.recognise_client(identity) is not None,
        is_private=_is_private(interaction, legs, last, policy),
        is_blocked=bool(policy.classify.black_list) and _is_blocked(identity.phones, policy),
        is_short=is_answered and not picked_up and call is not None and _is_short(call.talk_seconds, policy),
        is_pending=is_pending,
        recording=(legs[last].recording if last is not None else "") or (call.recording if call else ""),
        attribution=source.attribution,
        department=department,
        legs=legs,
        leg_employees=employees,
        answered_by=answered_by,
        caller=caller,
        employee=employee,
        answered_at=_place(legs[last or 0].destination) if legs else "",
        at_unknown_destination=employee is None
        and ((is_inbound_call and is_answered) or (call is not None and direction == "outbound")),
        dialled_owner=source.owner or line_owner,
        by_responsible=employee is not None and employee == responsible,
        client=client,
        contact=client.contact,
        company=client.company,
        deal=deal,
        is_new_client=is_new,
        has_open_deal=deal is not None,
        had_deals=client.closed_deals > 0,
        responsible=responsible,
        deal_responsible=deal_responsible,
        contact_responsible=contact_responsible,
        open_tasks=tasks,
        has_open_call_back=bool(tasks) and any(policy.is_call_back(found.kind) for found in tasks),
        has_open_task=bool(tasks) and not all(policy.is_call_back(found.kind) for found in tasks),
        hours=policy.company_hours,
        creates_contacts=policy.contacts.create,
        channel=channel,
        repeat=settings.repeat,
        keep_responsible=settings.keep_responsible,
        is_unsorted=settings.is_unsorted,
        is_unclaimed=is_unclaimed,
        claimed_by=claimed_by,
        policy=policy,
    )


def without_own(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` as it was before this interaction's own earlier decision: what it made is not there.

    A revision must see what the first decision saw, or it would find "its" deal and turn a new client into an
    existing one.
    """
    own, was, was_open = snapshot.history.own, snapshot.history.was_responsible, snapshot.history.was_open
    if not own and not was_open:
        return snapshot
    still = was_open.union(found.id for found in snapshot.deals if found.is_open)
    made = {(ref.kind, ref.id) for key, ref in own.items() if _creates(key)}
    done = {ref.id for key, ref in own.items() if "/complete/" in key}
    return replace(
        snapshot,
        contacts=tuple(
            replace(found, responsible=was.get(f"contact/{found.id}", found.responsible))
            for found in snapshot.contacts
            if (RecordKind.CONTACT, found.id) not in made
        ),
        companies=tuple(found for found in snapshot.companies if (RecordKind.COMPANY, found.id) not in made),
        deals=tuple(
            replace(found, responsible=was.get(f"deal/{found.id}", found.responsible), is_open=found.id in still)
            for found in snapshot.deals
            if (RecordKind.DEAL, found.id) not in made
        ),
        tasks=tuple(
            replace(found, is_open=True) if found.id in done else found
            for found in snapshot.tasks
            if (RecordKind.TASK, found.id) not in made
        ),
        history=replace(
            snapshot.history,
            open_task_keys={
                key: task_id
                for key, task_id in snapshot.history.open_task_keys.items()
                if (RecordKind.TASK, task_id) not in made
            },
        ),
    )


def _creates(key: str) -> bool:
    return key.endswith(("/create_contact", "/create_deal")) or ("/task/" in key and "~" not in key)


def _direction(interaction: Interaction) -> str:
    """Who began; a callback counts as inbound, whoever dialled whom (A17)."""
    if isinstance(interaction, Call):
        inbound = interaction.direction is Direction.INBOUND or interaction.is_callback
        return "inbound" if inbound else "outbound"
    return str(interaction.direction.value) if isinstance(interaction, Message) else "inbound"


def legs_of(interaction: Interaction) -> tuple[Leg, ...]:
    """Who took part; the author of a message of ours is its only leg."""
    if isinstance(interaction, Call | Chat):
        return interaction.legs
    if isinstance(interaction, Message) and interaction.direction is Direction.OUTBOUND:
        return () if interaction.author.is_empty else (Leg(destination=interaction.author, is_answered=True),)
    return ()


def _place(place: Destination) -> str:
    return place.login or place.phone or place.extension or place.email or place.staff_id or place.name


def _is_private(interaction: Interaction, legs: Sequence[Leg], last: int | None, policy: Policy) -> bool:
    """R8: over an employee's private line, or with a private client."""
    people, phones = policy.people, interaction.client.phones
    if policy.private_clients and any(phone in policy.private_clients for phone in phones):
        return True
    if not people.private_phones and not people.private_logins:
        return False
    line = interaction.line if isinstance(interaction, Call) else None
    if line in people.private_phones or any(phone in people.private_phones for phone in phones):
        return True
    if last is not None:
        return people.is_private(legs[last].destination)
    return bool(legs) and all(people.is_private(leg.destination) for leg in legs)


def _is_blocked(phones: Sequence[str], policy: Policy) -> bool:
    exact, beginnings = policy.black_list
    return any(phone in exact or phone.startswith(beginnings) for phone in phones)


def _is_short(talk_seconds: int, policy: Policy) -> bool:
    return talk_seconds < policy.classify.minimal_talk.total_seconds()
