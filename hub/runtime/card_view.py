"""What the hub shows beside a card of the CRM: history, whose client it is and why, tasks, deals, duplicates (U1, X1).

Everything comes from the hub's own store and its directory, so that it is there in milliseconds and while the CRM is
down; the age of the facts comes with it (X9). Sentences are in the reader's language; nothing here is markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from hub.core.heard import Heard
from hub.core.interaction import Call, Chat, Form, Interaction, InteractionId, Message
from hub.core.plan import Nothing, Plan
from hub.core.policy import Policy
from hub.core.records import Contact, Deal, EmployeeId, RecordKind, RecordRef, Task
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import AccessError
from hub.language import Translator
from hub.runtime.client_records import ClientRecords, Reader, card_id, records_of_card
from hub.runtime.person import names_of_project
from hub.runtime.personal import Deed, deeds_of
from hub.runtime.services import Services
from hub.runtime.telling import headline, outcome_kind, reason_text
from hub.store import clients, decisions, interactions
from hub.store.interactions import Stored

__all__ = [
    "CardClient",
    "CardDeal",
    "CardDuplicate",
    "CardInteraction",
    "CardLeg",
    "CardPerson",
    "CardTask",
    "CardView",
    "Cards",
    "RecordUrl",
    "is_cursor",
]

#: the address of a record's card for people, "" where it is not known
RecordUrl = Callable[[RecordRef], str]

#: interactions on one page of a card
PAGE = 20
#: of how many of the client's first interactions the attribution is looked for
FIRST = 20
#: how much of a written text a card shows
LONGEST_TEXT = 4000

_TONES: Mapping[str, str] = {"answered": "good", "missed": "bad", "voicemail": "bad", "unreached": "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPerson:
    """An employee."""

    id: EmployeeId
    name: str
    is_me: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardClient:
    """The person outside."""

    #: of the hub; of somebody who never turned to the company through it, the card's own (`card_id`)
    id: str
    name: str
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLeg:
    """One employee's part of a call (A1, C6)."""

    who: str
    place: str
    is_answered: bool
    seconds: int
    recording: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInteraction:
    """One contact of the client with the company."""

    id: str
    kind: str
    direction: str
    at: datetime
    title: str
    #: how it ended, a word of `hub.runtime.telling.outcome_kind`
    result: str
    tone: str
    who: CardPerson | None = None
    seconds: int | None = None
    text: str = ""
    recording: str = ""
    legs: tuple[CardLeg, ...] = ()
    #: why it went where it went, in one sentence
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTask:
    """An open task of the client."""

    id: str
    #: on what it hangs: ``contact``, ``deal`` or ``company``; "" where the CRM does not say
    entity: str
    text: str
    due: datetime | None
    is_overdue: bool
    who: CardPerson | None
    can: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDeal:
    """Another deal of the client."""

    id: str
    name: str
    url: str
    stage: str
    pipeline: str
    responsible: CardPerson | None
    is_open: bool
    price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDuplicate:
    """Another record that may be the same person (A9)."""

    id: str
    kind: str
    name: str
    url: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """The whole card; ``client`` None: neither the hub nor its directory knows whose card it is."""

    client: CardClient | None = None
    responsible: CardPerson | None = None
    why: str = ""
    why_interaction: str | None = None
    attribution: Mapping[str, str] = field(default_factory=dict)
    first_at: datetime | None = None
    interactions: tuple[CardInteraction, ...] = ()
    #: page on with it; None on the last page
    before: str | None = None
    tasks: tuple[CardTask, ...] = ()
    deals: tuple[CardDeal, ...] = ()
    duplicates: tuple[CardDuplicate, ...] = ()
    can: tuple[str, ...] = ()
    age: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Puts cards of one CRM together for one reader."""

    services: Services
    live: LiveProject
    connection: LiveConnection
    policy: Policy
    reader: Reader
    t: Translator
    url: RecordUrl
    #: what the project has besides the CRM: ``call`` back, ``write`` to the client
    abilities: frozenset[str] = frozenset()

    def card(self, conn: Connection, ref: RecordRef, *, before: str = "") -> CardView:
        """The card of ``ref``, a page of its history at a time. Raises AccessError for a colleague's client."""
        records = records_of_card(conn, self.services, self.live, self.connection, ref)
        if records is None:
            return CardView()
        return self.of_records(conn, records, ref, before=before)

    def of_records(
        self, conn: Connection, records: ClientRecords, ref: RecordRef | None, *, before: str = ""
    ) -> CardView:
        """The card of a client whose records are known; ``ref`` is the card that is open, if one is."""
        now = self.services.clock.now()
        allowed = [channel for channel in ("", *self.policy.channels) if self._may(records, "read", now, channel)]
        if not allowed:
            raise AccessError("a colleague's client", endpoint="card")
        names = names_of_project(self.live) | dict(records.snapshot.names) | dict(self.policy.names)
        page, rest = self._page(conn, records, before)
        plans = decisions.latest_plans(conn, [one.id for one in page], self.connection.name)
        # pages follow the order of arrival; within one what was found out later stands where it happened
        shown = tuple(
            self._interaction(one, heard, names, plans.get(one.id))
            for one in sorted(page, key=lambda one: (one.interaction.started_at, one.sequence), reverse=True)
            if (heard := self._heard(one, records, now)) is not None
        )
        deeds = deeds_of(conn, records.ids, self.live.name, self.connection.name)
        why, why_interaction = self._why(records, page, plans, deeds, names)
        first = self._first(conn, records, now)
        seen_at = records.snapshot.seen_at
        return CardView(
            client=self._client(conn, records, ref),
            responsible=self._person(records.responsible, names),
            why=why,
            why_interaction=why_interaction,
            attribution=_attribution(first) if first else {},
            first_at=first.interaction.started_at if first else None,
            interactions=shown,
            before=str(page[-1].sequence) if rest and page else None,
            tasks=tuple(self._task(task, records, now, names) for task in _by_deadline(records.snapshot.tasks)),
            deals=tuple(
                self._deal(deal, names)
                for deal in sorted(records.snapshot.deals, key=_open_first)
                if ref is None or deal.ref != ref
            ),
            duplicates=self._duplicates(records, ref),
            can=self._can(records, now, is_heard=bool(page or before)),
            age=None if seen_at is None else max(now - seen_at, timedelta(0)),
        )

    # --- who and why --------------------------------------------------------------------------------------------

    def _may(self, records: ClientRecords, right: str, now: datetime, channel: str = "") -> bool:
        assert right in ("read", "write", "take")
        return records.allows(self.reader, right, self.policy, now, channel)  # type: ignore[arg-type]  # just asked

    def _person(self, employee: EmployeeId | None, names: Mapping[EmployeeId, str]) -> CardPerson | None:
        if not employee:
            return None
        return CardPerson(id=employee, name=names.get(employee, employee), is_me=employee == self.reader.employee)

    def _client(self, conn: Connection, records: ClientRecords, ref: RecordRef | None) -> CardClient | None:
        if not records.ids and ref is None:
            return None
        card = records.contact or records.company
        name = card.name if card else ""
        if not name:
            name = next((one.name for id in records.ids if (one := clients.find(conn, id)) and one.name), "")
        id = records.ids[0] if records.ids else card_id(ref) if ref else ""
        return CardClient(id=id, name=name, phones=records.identity.phones, emails=records.identity.emails)

    def _can(self, records: ClientRecords, now: datetime, *, is_heard: bool) -> tuple[str, ...]:
        """What this reader may do with this client.

        What is written to the CRM hangs on an interaction; who never turned to the company has none, though a
        messenger that was told of them may have given them an id, and is called or written to by the CRM's own numbers.
        """
        if self.reader.employee is None:
            return ()
        found: list[str] = []
        if self._may(records, "write", now):
            if "call" in self.abilities and records.identity.phones:
                found.append("call")
            if "write" in self.abilities and (is_heard or records.identity.phones):
                found.append("write")
        if is_heard and self._may(records, "take", now):
            if records.responsible != self.reader.employee:
                found.append("take")
            found.append("task")
        return tuple(found)

    def _why(
        self,
        records: ClientRecords,
        page: Sequence[Stored],
        plans: Mapping[InteractionId, Plan],
        deeds: Sequence[Deed],
        names: Mapping[EmployeeId, str],
    ) -> tuple[str, str | None]:
        """Why the responsible is who they are, and the interaction that made them so."""
        t, who = self.t, records.responsible
        if records.is_unclaimed:
            return t("card.unclaimed"), None
        if who is None:
            return t("card.nobody"), None
        name = names.get(who, who)
        took = next((deed for deed in deeds if deed.what == "take" and deed.employee == who), None)
        if took is not None:
            at = t.minute(took.at, self.policy.zone)
            return t("card.taken", who=name, at=at), took.interaction_id
        for one in page:
            plan = plans.get(one.id)
            if plan is None or plan.responsible != who:
                continue
            chosen = next((found for found in plan.explanation.candidates if found.is_chosen), None)
            if chosen is not None:
                reason = reason_text(chosen.reason, t, names)
                return t("card.because", who=name, reason=reason), one.id
        return t("card.in_crm", who=name), None

    # --- history ------------------------------------------------------------------------------------------------

    def _page(self, conn: Connection, records: ClientRecords, before: str) -> tuple[list[Stored], bool]:
        """A page of everybody's interactions, the newest first; whether there are more."""
        until = int(before) if is_cursor(before) else None
        found = [
            one for id in records.ids for one in interactions.list_of_client(conn, id, before=until, limit=PAGE + 1)
        ]
        found.sort(key=lambda one: one.sequence, reverse=True)
        return found[:PAGE], len(found) > PAGE

    def _heard(self, stored: Stored, records: ClientRecords, now: datetime) -> Heard | None:
        """What the interaction tells; None for one that this reader may not see, or that is nobody's business (R8)."""
        heard = Heard(stored.interaction, self.policy, now)
        if heard.is_private or not self._may(records, "read", now, heard.channel):
            return None
        return heard

    def _interaction(
        self, stored: Stored, heard: Heard, names: Mapping[EmployeeId, str], plan: Plan | None
    ) -> CardInteraction:
        found, t = stored.interaction, self.t
        employee = heard.answered_by or heard.employee or heard.caller
        ended = outcome_kind(found)
        talker = names.get(employee, employee) if employee else ""
        shown = found.client.name or next(iter((*found.client.phones, *found.client.emails)), "")
        return CardInteraction(
            id=found.id,
            kind=found.kind,
            direction=heard.direction or "inbound",
            at=found.started_at,
            title=headline(found, shown, t, talker),
            result=ended,
            tone=_TONES.get(ended, "plain"),
            who=self._person(employee, names),
            seconds=found.talk_seconds if isinstance(found, Call) and found.is_final else None,
            text=_text(found),
            recording=_link(found.recording) if isinstance(found, Call) else "",
            legs=tuple(
                CardLeg(
                    who=names.get(who, who) if who else _place(leg.destination),
                    place=_place(leg.destination),
                    is_answered=leg.is_answered,
                    seconds=leg.talk_seconds,
                    recording=_link(leg.recording),
                )
                for leg, who in zip(heard.legs, heard.leg_employees, strict=True)
            )
            if isinstance(found, Call)
            else (),
            why=self._why_here(stored, plan, names),
        )

    def _why_here(self, stored: Stored, plan: Plan | None, names: Mapping[EmployeeId, str]) -> str:
        t = self.t
        if plan is None:
            return t("outcome.not_over") if stored.decide_at is None else ""
        if plan.responsible:
            who = names.get(plan.responsible, plan.responsible)
            chosen = next((one for one in plan.explanation.candidates if one.is_chosen), None)
            if chosen is not None:
                return t("outcome.responsible_because", who=who, reason=reason_text(chosen.reason, t, names))
            return t("outcome.responsible", who=who)
        nothing = next((one for one in plan.actions if isinstance(one, Nothing)), None)
        return t("outcome.nothing", reason=reason_text(nothing.reason, t, names)) if nothing else ""

    def _first(self, conn: Connection, records: ClientRecords, now: datetime) -> Stored | None:
        """The client's first interaction that tells where they came from (R7)."""
        found = [one for id in records.ids for one in interactions.first_of_client(conn, id, limit=FIRST)]
        found.sort(key=lambda one: one.sequence)
        for one in found:
            if self._heard(one, records, now) is not None and _attribution(one):
                return one
        return None

    # --- the CRM's records --------------------------------------------------------------------------------------

    def _task(self, task: Task, records: ClientRecords, now: datetime, names: Mapping[EmployeeId, str]) -> CardTask:
        may = self.reader.employee is not None and (
            task.responsible == self.reader.employee or self._may(records, "write", now)
        )
        return CardTask(
            id=task.id,
            entity=task.on.kind.value if task.on else "",
            text=task.text,
            due=task.due_at,
            is_overdue=task.due_at is not None and task.due_at < now,
            who=self._person(task.responsible, names),
            # a task is changed by a step of one of the client's interactions
            can=("complete", "reschedule") if may and records.ids else (),
        )

    def _deal(self, deal: Deal, names: Mapping[EmployeeId, str]) -> CardDeal:
        pipeline = next((one for one in self.connection.catalogue.pipelines if one.id == deal.pipeline_id), None)
        stage = next((one for one in pipeline.stages if one.id == deal.stage_id), None) if pipeline else None
        return CardDeal(
            id=deal.id,
            name=deal.name,
            url=self.url(deal.ref),
            stage=stage.shown if stage else "",
            pipeline=pipeline.name if pipeline else "",
            responsible=self._person(deal.responsible, names),
            is_open=deal.is_open,
            price=deal.price,
        )

    def _duplicates(self, records: ClientRecords, ref: RecordRef | None) -> tuple[CardDuplicate, ...]:
        own = records.contact
        others = [one for one in records.snapshot.contacts if own is not None and one.id != own.id]
        # the contacts of the very deal or company that is open are no duplicates of each other
        if ref is not None and ref.kind is not RecordKind.CONTACT:
            beside = _beside(records)
            others = [one for one in others if one.id not in beside]
        found = []
        for one in others:
            assert own is not None
            shared = _shared(own, one)
            if not shared:
                continue
            found.append(
                CardDuplicate(
                    id=one.id,
                    kind=RecordKind.CONTACT.value,
                    name=one.name or one.id,
                    url=self.url(one.ref),
                    why=self.t("card.duplicate", values=", ".join(shared)),
                )
            )
        return tuple(found)


def is_cursor(text: str) -> bool:
    """True for what `CardView.before` may have been."""
    return text.isascii() and text.isdigit() and len(text) < 19


def _beside(records: ClientRecords) -> set[str]:
    ids = set(records.deal.contact_ids) if records.deal else set()
    return ids | (set(records.company.contact_ids) if records.company else set())


def _shared(one: Contact, other: Contact) -> list[str]:
    mails = {mail.casefold() for mail in other.emails}
    phones: list[str] = [phone for phone in one.phones if phone in other.phones]
    return [*phones, *(mail for mail in one.emails if mail.casefold() in mails)]


def _attribution(stored: Stored) -> dict[str, str]:
    told = stored.interaction.attribution
    found = {
        "source": told.utm_source or told.source,
        "medium": told.utm_medium,
        "campaign": told.utm_campaign,
        "keyword": told.utm_term,
        "page": told.landing_page,
    }
    return {name: value for name, value in found.items() if value}


def _text(found: Interaction) -> str:
    match found:
        case Call():
            text = found.summary
        case Form():
            text = found.text
        case Message():
            text = found.text
        case Chat():
            text = "\n".join(f"{'→' if line.is_from_client else '←'} {line.text}" for line in found.messages)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT].rstrip()}…"


def _link(address: str) -> str:
    """A recording's address if a browser may follow it."""
    return address if address.startswith(("https://", "http://")) else ""


def _place(at: object) -> str:
    words = ("name", "login", "phone", "extension", "email", "staff_id")
    found = next((value for word in words if (value := getattr(at, word, ""))), "")
    return str(found)


def _by_deadline(tasks: Sequence[Task]) -> list[Task]:
    still = [task for task in tasks if task.is_open]
    return sorted(
        still, key=lambda task: (task.due_at is None, task.due_at.timestamp() if task.due_at else 0.0, task.id)
    )


def _open_first(deal: Deal) -> tuple[bool, float, str]:
    at = deal.updated_at or deal.created_at
    return not deal.is_open, -(at.timestamp() if at else 0.0), deal.id
