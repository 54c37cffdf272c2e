"""Who the client is among the CRM's records: the contact, company and deal that new work goes to (A9, A14, J4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.core.interaction import Identity
from hub.core.records import Company, Contact, Deal, EmployeeId

if TYPE_CHECKING:
    from hub.core.policy import Policy
    from hub.core.snapshot import Snapshot

__all__ = ["Client", "find_client", "fullness"]

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client as the CRM knows them; all None for a new client."""

    contact: Contact | None = None
    company: Company | None = None
    #: the open deal that gets the interaction (A14)
    deal: Deal | None = None
    open_deals: int = 0
    closed_deals: int = 0
    #: the most recently changed closed deal
    closed_deal: Deal | None = None
    #: other contacts of the same client (A9)
    duplicates: tuple[Contact, ...] = ()

    @property
    def contact_responsible(self) -> EmployeeId | None:
        """The contact's responsible, else the company's."""
        found = self.contact.responsible if self.contact else None
        return found or (self.company.responsible if self.company else None)


_NOBODY = Client()


def find_client(identity: Identity, snapshot: Snapshot, policy: Policy, took_part: Sequence[EmployeeId]) -> Client:
    """Which of the snapshot's records new work goes to; ``took_part`` talked or called."""
    if not snapshot.contacts and not snapshot.companies:
        return _NOBODY
    own = snapshot.history.own_contacts
    contacts = [found for found in snapshot.contacts if found.id in own or _identifies(found, identity, policy)]
    companies = [found for found in snapshot.companies if _identifies(found, identity, policy)]
    if not contacts and not companies:
        return _NOBODY
    contact_ids, company_ids = {found.id for found in contacts}, {found.id for found in companies}
    linked = {deal_id for found in contacts for deal_id in found.deal_ids}
    linked |= {deal_id for found in companies for deal_id in found.deal_ids}
    deals = [
        deal
        for deal in snapshot.deals
        if deal.id in linked
        or not contact_ids.isdisjoint(deal.contact_ids)
        or deal.company_id in company_ids
        or (not deal.contact_ids and deal.company_id is None)
    ]
    still_open = [deal for deal in deals if deal.is_open]
    closed = [deal for deal in deals if not deal.is_open]
    deal = _choose_deal(still_open, took_part)
    contact = _choose_contact(contacts, deal, policy)
    return Client(
        contact=contact,
        company=_choose_company(companies, contact),
        deal=deal,
        open_deals=len(still_open),
        closed_deals=len(closed),
        closed_deal=max(closed, key=_changed, default=None),
        duplicates=tuple(found for found in contacts if contact is not None and found.id != contact.id),
    )


def fullness(contact: Contact) -> int:
    """How many fields of ``contact`` are filled (A9)."""
    filled = (contact.name, contact.responsible, contact.company_id)
    return (
        sum(1 for value in filled if value)
        + len(contact.phones)
        + len(contact.emails)
        + len(contact.tags)
        + sum(1 for value in contact.fields.values() if value)
    )


def _identifies(found: Contact | Company, identity: Identity, policy: Policy) -> bool:
    """False where only a shared number led to ``found`` (X12), or where all keys must match and one does not (J4)."""
    rules = policy.identity
    if rules.join == "any" and not policy.shared_numbers:
        return True
    phones = [phone for phone in identity.phones if phone not in policy.shared_numbers]
    by_phone = any(phone in found.phones for phone in phones)
    by_email = any(email.casefold() in {own.casefold() for own in found.emails} for email in identity.emails)
    if rules.join == "any":
        by_shared = any(phone in policy.shared_numbers and phone in found.phones for phone in identity.phones)
        return by_phone or by_email or not by_shared
    met = {"phone": (bool(identity.phones), by_phone), "email": (bool(identity.emails), by_email)}
    for key in rules.keys:
        is_told, is_met = met.get(key) or _met_field(key, found, identity)
        if not is_told and rules.absent_key == "ignore":
            continue
        if not is_met:
            return False
    return True


def _met_field(key: str, found: Contact | Company, identity: Identity) -> tuple[bool, bool]:
    if key == "name":
        return bool(identity.name), identity.name.casefold() == found.name.casefold()
    value = identity.fields.get(key.removeprefix("field:"), "")
    return bool(value), value in found.fields.values()


def _changed(deal: Deal) -> tuple[datetime, str]:
    return deal.updated_at or deal.created_at or _EARLIEST, deal.id


def _choose_deal(deals: Sequence[Deal], took_part: Sequence[EmployeeId]) -> Deal | None:
    """The one whose responsible took part, else the most recently changed (A14)."""
    theirs = [deal for deal in deals if deal.responsible is not None and deal.responsible in took_part]
    return max(theirs or deals, key=_changed, default=None)


def _choose_contact(contacts: Sequence[Contact], deal: Deal | None, policy: Policy) -> Contact | None:
    """One of the deal's contacts if it has some, among them by policy: the fuller, at a tie the older (A9)."""
    if len(contacts) < 2:
        return contacts[0] if contacts else None
    if deal is not None:
        of_deal = [found for found in contacts if found.id in deal.contact_ids or deal.id in found.deal_ids]
        contacts = of_deal or contacts
    match policy.identity.several:
        case "fuller":
            return min(contacts, key=lambda found: (-fullness(found), found.created_at or _LATEST, found.id))
        case "newest":
            return max(contacts, key=lambda found: (found.created_at or _EARLIEST, found.id))
        case "oldest":
            return min(contacts, key=lambda found: (found.created_at or _LATEST, found.id))


def _choose_company(companies: Sequence[Company], contact: Contact | None) -> Company | None:
    if contact is not None and contact.company_id:
        return next((found for found in companies if found.id == contact.company_id), None) or next(
            iter(companies), None
        )
    return min(companies, key=lambda found: (found.created_at or _LATEST, found.id), default=None)
