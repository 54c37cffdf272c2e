"""One client as the hub knows them now: their keys, their records in one CRM, whose they are. No CRM is asked (H6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from hub.core.client import Client, find_client
from hub.core.interaction import ClientId, Identity
from hub.core.phone import Phone
from hub.core.policy import Policy
from hub.core.records import Company, Contact, Deal, EmployeeId, RecordKind, RecordRef
from hub.core.right import Right, Whose, may
from hub.core.snapshot import History, Snapshot
from hub.core.unsorted import waits_to_be_claimed
from hub.engine.projects import LiveConnection, LiveProject
from hub.runtime.services import Services
from hub.store import acquaintance, clients
from hub.store.holdings import assemble
from hub.store.unclaimed import unclaimed_deals

__all__ = [
    "ClientRecords",
    "Reader",
    "card_id",
    "records_of_card",
    "records_of_client",
    "records_of_number",
    "records_of_whom",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who looks or acts: rights are asked for them (W4)."""

    #: None for somebody who is not one of the policy's employees
    employee: EmployeeId | None
    #: administers the CRM account or the project: sees everything
    is_admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRecords:
    """The records of one CRM that are one client's, in the project's words."""

    #: everybody whom the hub knows by these keys, the most telling first; () if nobody ever turned to the company
    ids: tuple[ClientId, ...]
    identity: Identity
    snapshot: Snapshot
    found: Client
    contact: Contact | None = None
    company: Company | None = None
    #: the deal whose card it is, else the open deal that new work goes to
    deal: Deal | None = None
    is_unclaimed: bool = False

    @property
    def responsible(self) -> EmployeeId | None:
        """Of the open deal, else of the contact or company; None for a client who is nobody's."""
        if self.is_unclaimed:
            return None
        of_deal = self.deal.responsible if self.deal is not None and self.deal.is_open else None
        of_card = self.contact.responsible if self.contact else None
        return of_deal or of_card or (self.company.responsible if self.company else None)

    @property
    def is_new(self) -> bool:
        """True if the CRM does not know the client."""
        return self.contact is None and self.company is None and self.deal is None

    @property
    def open_deals(self) -> tuple[Deal, ...]:
        """Those of the client's records, the most recently changed first."""
        found = [deal for deal in self.snapshot.deals if deal.is_open]
        return tuple(sorted(found, key=_changed, reverse=True))

    def allows(self, reader: Reader, right: Right, policy: Policy, now: datetime, channel: str = "") -> bool:
        """Whether ``reader`` has ``right`` over this client on ``channel`` (W4, W11)."""
        if reader.is_admin and right == "read":
            return True
        if reader.employee is None:
            return False
        whose = Whose(channel=channel, responsible=self.responsible, is_unclaimed=self.is_unclaimed, is_new=self.is_new)
        return may(reader.employee, right, whose, policy, now)


def card_id(ref: RecordRef) -> str:
    """What a client is called who is known by a card of the CRM alone: no id of the hub looks like it."""
    return f"@{ref.kind.value}:{ref.id}"


def records_of_whom(
    conn: Connection, services: Services, live: LiveProject, connection: LiveConnection, id: str
) -> ClientRecords | None:
    """The client ``id``, of the hub or of a card (`card_id`); None if there is none."""
    kind, is_card, record = id.removeprefix("@").partition(":")
    if not (id.startswith("@") and is_card):
        return records_of_client(conn, services, live, connection, ClientId(id))
    if kind not in (RecordKind.CONTACT.value, RecordKind.COMPANY.value, RecordKind.DEAL.value):
        return None
    return records_of_card(conn, services, live, connection, RecordRef(kind=RecordKind(kind), id=record))


def records_of_client(
    conn: Connection,
    services: Services,
    live: LiveProject,
    connection: LiveConnection,
    id: ClientId,
) -> ClientRecords | None:
    """The client ``id``, or whoever they were joined to; None if the project has no such client."""
    known = clients.find(conn, id)
    if known is None or known.project != live.name:
        return None
    identity = acquaintance.identity_of(conn, known.id)
    made = acquaintance.made_contacts(conn, known.id, connection.name)
    records = _take(conn, services, live, connection, (known.id,), identity, made)
    found = records.found
    return replace(records, contact=found.contact, company=found.company, deal=found.deal)


def records_of_card(
    conn: Connection, services: Services, live: LiveProject, connection: LiveConnection, ref: RecordRef
) -> ClientRecords | None:
    """Whose card ``ref`` is, by its contacts' numbers and e-mails; None for a record that the directory lacks."""
    card = services.directory.get(live.name, connection.name, ref)
    contacts: list[Contact] = []
    company: Company | None = None
    match card:
        case Contact():
            contacts = [card]
        case Deal():
            contacts = _contacts(services, live, connection, card.contact_ids)
            company = _company(services, live, connection, card.company_id) if not contacts else None
        case Company():
            contacts, company = _contacts(services, live, connection, card.contact_ids), card
        case _:
            return None
    keys = Identity(
        phones=tuple(dict.fromkeys(phone for one in (*contacts, company) if one for phone in one.phones)),
        emails=tuple(dict.fromkeys(email for one in (*contacts, company) if one for email in one.emails)),
        name=next((one.name for one in contacts if one.name), ""),
    )
    ids = _clients_of(conn, live.name, connection.name, contacts, keys)
    refs = [ref, *(one.ref for one in contacts)]
    records = _take(conn, services, live, connection, ids, keys, tuple(dict.fromkeys(refs)))
    by_id = {one.id: one for one in records.snapshot.contacts}
    companies = {one.id: one for one in records.snapshot.companies}
    deals = {one.id: one for one in records.snapshot.deals}
    contact = next((by_id[one.id] for one in contacts if one.id in by_id), None)
    own_deals = [one for one in records.open_deals if contact is not None and _hangs_on(one, contact)]
    deal = deals.get(card.id) if isinstance(card, Deal) else next(iter(own_deals), records.found.deal)
    return replace(
        records,
        contact=contact,
        company=companies.get(company.id) if company else None,
        deal=deal,
        is_unclaimed=_is_unclaimed(live, deal, records.snapshot),
    )


def records_of_number(
    conn: Connection, services: Services, live: LiveProject, connection: LiveConnection, phone: Phone
) -> ClientRecords | None:
    """Whose number ``phone`` is; None if neither the hub nor the CRM knows it."""
    identity = Identity(phones=(phone,))
    known = acquaintance.find_client(conn, live.name, identity)
    records = _take(conn, services, live, connection, (known,) if known else (), identity, ())
    found = records.found
    records = replace(records, contact=found.contact, company=found.company, deal=found.deal)
    return None if known is None and records.is_new else records


def _hangs_on(deal: Deal, contact: Contact) -> bool:
    return contact.id in deal.contact_ids or deal.id in contact.deal_ids


def _take(
    conn: Connection,
    services: Services,
    live: LiveProject,
    connection: LiveConnection,
    ids: tuple[ClientId, ...],
    identity: Identity,
    records: Sequence[RecordRef],
) -> ClientRecords:
    holdings = services.directory.lookup(
        live.name, connection.name, identity, field_ids=connection.key_field_ids, records=records
    )
    unclaimed: frozenset[str] = frozenset()
    policy = live.policy
    if policy is not None and policy.uses_unsorted:
        unclaimed = frozenset(deal for id in ids for deal in unclaimed_deals(conn, id, connection.name))
    snapshot = assemble(
        holdings,
        connection=connection.name,
        taken_at=services.clock.now(),
        catalogue=connection.catalogue,
        employees=connection.employees,
        names=connection.names,
        history=History(
            own_contacts=frozenset(ref.id for ref in records if ref.kind is RecordKind.CONTACT), unclaimed=unclaimed
        ),
    )
    snapshot = replace(snapshot, inactive=connection.inactive)
    found = find_client(identity, snapshot, policy, ()) if policy is not None else Client()
    return ClientRecords(
        ids=ids,
        identity=identity,
        snapshot=snapshot,
        found=found,
        is_unclaimed=_is_unclaimed(live, found.deal, snapshot),
    )


def _is_unclaimed(live: LiveProject, deal: Deal | None, snapshot: Snapshot) -> bool:
    if live.policy is None or deal is None or not live.policy.uses_unsorted:
        return False
    return waits_to_be_claimed(deal, snapshot)


def _clients_of(
    conn: Connection, project: str, connection: str, contacts: Sequence[Contact], keys: Identity
) -> tuple[ClientId, ...]:
    """Whom the hub knows by any single key of the card, and for whom it made one of the contacts."""
    found: dict[ClientId, None] = {}
    for contact in contacts:
        maker = acquaintance.maker_of(conn, project, connection, contact.id)
        if maker is not None:
            found[maker] = None
    singles = [Identity(phones=(phone,)) for phone in keys.phones]
    singles += [Identity(emails=(email,)) for email in keys.emails]
    for single in singles:
        known = acquaintance.find_client(conn, project, single)
        if known is not None:
            found[known] = None
    return tuple(found)


def _contacts(services: Services, live: LiveProject, connection: LiveConnection, ids: Sequence[str]) -> list[Contact]:
    refs = [RecordRef(kind=RecordKind.CONTACT, id=id) for id in ids[:20]]
    found = [services.directory.get(live.name, connection.name, ref) for ref in refs]
    return [one for one in found if isinstance(one, Contact)]


def _company(services: Services, live: LiveProject, connection: LiveConnection, id: str | None) -> Company | None:
    if id is None:
        return None
    found = services.directory.get(live.name, connection.name, RecordRef(kind=RecordKind.COMPANY, id=id))
    return found if isinstance(found, Company) else None


def _changed(deal: Deal) -> tuple[float, str]:
    at = deal.updated_at or deal.created_at
    return at.timestamp() if at else 0.0, deal.id
