"""What a decision may look at (A8): who took part, whether the client is known, what is open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import phonenumbers

from hub.core.client import Client, find_client
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
from hub.core.phone import Phone
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind
from hub.core.schedule import Hours
from hub.core.snapshot import Snapshot
from hub.core.tasks import OpenTask, open_tasks

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Facts", "establish", "without_own"]


# not frozen, and never changed: freezing makes each of these many attributes several times as dear to set
@dataclass(slots=True, kw_only=True, eq=False)
class Facts:
    """The answers that the matrix and the rules ask for; `hub.core.field.FIELDS` tells what each means."""

    interaction: Interaction
    #: the client's records as they were before this interaction touched them
    snapshot: Snapshot
    now: datetime
    connection: str

    kind: str
    channel: str
    source: str
    direction: str
    disposition: str
    is_answered: bool
    is_missed: bool
    is_voicemail: bool
    is_client_missed: bool
    is_callback: bool
    is_reached: bool
    is_transferred: bool
    is_internal: bool
    is_private: bool
    is_blocked: bool
    is_short: bool
    is_pending: bool
    is_recovered: bool
    is_anonymous: bool
    has_recording: bool
    talk_seconds: int
    waiting_seconds: int
    rating: int | None
    recording: str
    summary: str
    card_url: str
    line: str
    department: str
    scheme: str
    phone: str
    phones: tuple[Phone, ...]
    email: str
    emails: tuple[str, ...]
    client_name: str
    attribution: Attribution
    form_name: str
    page: str
    text: str
    parameters: Mapping[str, str]

    legs: tuple[Leg, ...]
    #: who each leg rang, None where nobody is tied to the place
    leg_employees: tuple[EmployeeId | None, ...]
    rung: tuple[EmployeeId, ...]
    answered_by: EmployeeId | None
    caller: EmployeeId | None
    employee: EmployeeId | None
    answered_at: str
    at_unknown_destination: bool
    dialled_owner: EmployeeId | None
    by_responsible: bool
    is_first_outgoing: bool

    client: Client
    contact: Contact | None
    company: Company | None
    deal: Deal | None
    is_new_client: bool
    has_contact: bool
    has_company: bool
    has_open_deal: bool
    had_deals: bool
    open_deals: int
    responsible: EmployeeId | None
    deal_responsible: EmployeeId | None
    contact_responsible: EmployeeId | None
    last_talked: EmployeeId | None
    open_tasks: tuple[OpenTask, ...]
    has_open_call_back: bool
    has_open_task: bool
    interactions: int
    is_complete: bool
    hours: Hours
    creates_contacts: bool
    repeat: str

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
    before = without_own(snapshot)
    told = _told(interaction)
    people = policy.people
    legs, direction = told.legs, told.direction
    employees = tuple(people.recognise(leg.destination) for leg in legs)
    taken = [index for index, leg in enumerate(legs) if leg.is_answered]
    # A10, A1: the leg at which the call ended counts, whoever picked up first
    last = taken[-1] if taken else None
    is_pending = told.disposition is Disposition.PENDING
    # Z1's option: who picked up is known while they still talk
    picked_up = is_pending and bool(taken) and policy.deals.at == "pick_up"
    is_answered = told.is_answered or picked_up
    place = legs[last].destination if last is not None else None
    answered_by = employees[last] if last is not None and is_answered else None
    line_owner = people.by_phone.get(told.line) if told.line else None
    row = _sources(interaction, told, policy)
    caller = None
    if direction == "outbound":
        caller = next((found for found in employees if found), None) or line_owner
    employee = (answered_by or caller) if direction == "outbound" else answered_by
    if direction == "outbound" and is_answered and answered_by is None:
        answered_by = caller if not told.is_chat else None
    took_part = [found for index in taken if (found := employees[index])] or ([caller] if caller else [])
    client = find_client(interaction.client, before, policy, took_part)
    deal_responsible = client.deal.responsible if client.deal else None
    contact_responsible = client.contact_responsible
    responsible = deal_responsible or contact_responsible
    tasks = open_tasks(before, policy)
    recording = (legs[last].recording if last is not None else "") or told.recording
    is_inbound_call = told.kind == "call" and direction == "inbound"
    is_client_missed = told.disposition is Disposition.CLIENT_MISSED
    identity = interaction.client
    at_unknown = employee is None and (
        (is_inbound_call and is_answered) or (told.kind == "call" and direction == "outbound")
    )
    return Facts(
        interaction=interaction,
        snapshot=before,
        now=now,
        connection=snapshot.connection,
        kind=told.kind,
        channel=interaction.channel,
        source=interaction.source,
        direction=direction,
        disposition=str(told.disposition) if told.disposition else "",
        is_answered=is_answered,
        is_missed=is_inbound_call and not is_answered and not is_client_missed and not is_pending,
        is_voicemail=told.disposition is Disposition.VOICEMAIL,
        is_client_missed=is_client_missed,
        is_callback=told.is_callback,
        is_reached=is_answered or (told.kind == "message" and direction == "outbound"),
        is_transferred=told.is_transferred or len(taken) > 1,
        is_internal=told.kind == "call" and people.recognise_client(identity) is not None,
        is_private=_is_private(interaction, told, last, policy),
        is_blocked=_is_blocked(identity.phones, policy),
        is_short=is_answered and not picked_up and told.kind == "call" and _is_short(told.talk_seconds, policy),
        is_pending=is_pending,
        is_recovered=told.is_recovered,
        is_anonymous=identity.is_empty,
        has_recording=bool(recording),
        talk_seconds=told.talk_seconds,
        waiting_seconds=told.waiting_seconds,
        rating=told.rating,
        recording=recording,
        summary=told.summary,
        card_url=told.card_url,
        line=told.line or "",
        department=told.department,
        scheme=told.scheme,
        phone=identity.phones[0] if identity.phones else "",
        phones=identity.phones,
        email=identity.emails[0] if identity.emails else "",
        emails=identity.emails,
        client_name=identity.name,
        attribution=row.attribution,
        form_name=told.form_name,
        page=told.page,
        text=told.text,
        parameters=interaction.parameters,
        legs=legs,
        leg_employees=employees,
        rung=tuple(dict.fromkeys(found for found, leg in zip(employees, legs, strict=True) if found)),
        answered_by=answered_by,
        caller=caller,
        employee=employee,
        answered_at=_place(place) if place else _place(legs[0].destination) if legs else "",
        at_unknown_destination=at_unknown,
        dialled_owner=row.owner or line_owner,
        by_responsible=employee is not None and employee == responsible,
        is_first_outgoing=caller is not None and caller not in snapshot.history.called_by,
        client=client,
        contact=client.contact,
        company=client.company,
        deal=client.deal,
        is_new_client=client.contact is None and client.company is None,
        has_contact=client.contact is not None,
        has_company=client.company is not None,
        has_open_deal=client.deal is not None,
        had_deals=client.closed_deals > 0,
        open_deals=client.open_deals,
        responsible=responsible,
        deal_responsible=deal_responsible,
        contact_responsible=contact_responsible,
        last_talked=snapshot.history.last_talked,
        open_tasks=tasks,
        has_open_call_back=bool(tasks) and any(policy.is_call_back(found.kind) for found in tasks),
        has_open_task=bool(tasks) and not all(policy.is_call_back(found.kind) for found in tasks),
        interactions=snapshot.history.interactions,
        is_complete=snapshot.is_complete,
        hours=policy.company_hours,
        creates_contacts=policy.contacts.create,
        repeat=policy.channels[interaction.channel].repeat if interaction.channel in policy.channels else "notify",
    )


def without_own(snapshot: Snapshot) -> Snapshot:
    """``snapshot`` as it was before this interaction's own earlier decision: what it made is not there.

    A revision must see what the first decision saw, or it would find "its" deal and turn a new client into an
    existing one.
    """
    own, was = snapshot.history.own, snapshot.history.was_responsible
    if not own:
        return snapshot
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
            replace(found, responsible=was.get(f"deal/{found.id}", found.responsible))
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


@dataclass(slots=True, kw_only=True)
class _Told:
    """What every kind of interaction tells, in one shape."""

    kind: str
    direction: str = "inbound"
    disposition: Disposition | None = None
    is_answered: bool = False
    is_chat: bool = False
    is_callback: bool = False
    is_transferred: bool = False
    is_recovered: bool = False
    legs: tuple[Leg, ...] = ()
    line: Phone | None = None
    department: str = ""
    scheme: str = ""
    talk_seconds: int = 0
    waiting_seconds: int = 0
    rating: int | None = None
    recording: str = ""
    summary: str = ""
    card_url: str = ""
    form_name: str = ""
    page: str = ""
    text: str = ""


def _told(interaction: Interaction) -> _Told:
    match interaction:
        case Call():
            # A17: a callback counts as inbound, whoever dialled whom
            inbound = interaction.direction is Direction.INBOUND or interaction.is_callback
            return _Told(
                kind="call",
                direction="inbound" if inbound else "outbound",
                disposition=interaction.disposition,
                is_answered=interaction.is_answered,
                is_callback=interaction.is_callback,
                is_transferred=interaction.is_transferred,
                is_recovered=interaction.is_recovered,
                legs=interaction.legs,
                line=interaction.line,
                department=interaction.department or _department(interaction.legs),
                scheme=interaction.scheme,
                talk_seconds=interaction.talk_seconds,
                waiting_seconds=interaction.waiting_seconds,
                rating=interaction.rating,
                recording=interaction.recording,
                summary=interaction.summary,
                card_url=interaction.card_url,
            )
        case Form():
            return _Told(kind="form", form_name=interaction.form_name, page=interaction.page, text=interaction.text)
        case Chat():
            lines = (line.text for line in interaction.messages if line.is_from_client)
            return _Told(
                kind="chat",
                is_answered=interaction.is_answered,
                is_chat=True,
                legs=interaction.legs,
                department=interaction.department,
                page=interaction.page,
                text="\n".join(lines),
            )
        case Message():
            leg = Leg(destination=interaction.author, is_answered=True)
            outbound = interaction.direction is Direction.OUTBOUND
            return _Told(
                kind="message",
                direction=str(interaction.direction),
                is_chat=True,
                legs=(leg,) if outbound and not interaction.author.is_empty else (),
                text=interaction.text,
            )


def _department(legs: Sequence[Leg]) -> str:
    return next((leg.destination.department for leg in reversed(legs) if leg.destination.department), "")


def _place(place: Destination) -> str:
    return place.login or place.phone or place.extension or place.email or place.staff_id or place.name


def _is_private(interaction: Interaction, told: _Told, last: int | None, policy: Policy) -> bool:
    """R8: over an employee's private line, or with a private client."""
    people = policy.people
    if policy.private_clients and any(phone in policy.private_clients for phone in interaction.client.phones):
        return True
    if not people.private_phones and not people.private_logins:
        return False
    if told.line in people.private_phones or any(phone in people.private_phones for phone in interaction.client.phones):
        return True
    if last is not None:
        return people.is_private(told.legs[last].destination)
    return bool(told.legs) and all(people.is_private(leg.destination) for leg in told.legs)


def _is_blocked(phones: Sequence[str], policy: Policy) -> bool:
    if not policy.classify.black_list:
        return False
    exact, beginnings = policy.black_list
    return any(phone in exact or phone.startswith(beginnings) for phone in phones)


def _is_short(talk_seconds: int, policy: Policy) -> bool:
    return talk_seconds < policy.classify.minimal_talk.total_seconds()


@dataclass(slots=True, kw_only=True)
class _Source:
    owner: EmployeeId | None
    attribution: Attribution


def _sources(interaction: Interaction, told: _Told, policy: Policy) -> _Source:
    """The owner of the dialled number (A13) and the attribution, filled by the table where no tags came (R11)."""
    attribution = interaction.attribution
    if not policy.sources:
        return _Source(owner=None, attribution=attribution)
    owner: EmployeeId | None = None
    filled = bool(attribution.utm_source or attribution.utm_medium or attribution.utm_campaign)
    for row in policy.fitting_sources(
        told.line or "", attribution.pool, told.department, interaction.channel, told.form_name
    ):
        if row.owner and owner is None:
            owner = EmployeeId(row.owner)
        if not filled and (row.source or row.utm_source or row.utm_medium or row.utm_campaign):
            attribution = replace(
                attribution,
                source=attribution.source or row.source,
                utm_source=row.utm_source,
                utm_medium=row.utm_medium,
                utm_campaign=row.utm_campaign,
            )
            filled = True
    return _Source(owner=owner, attribution=attribution)
