"""Who the client is among the CRM's records: the contact, company and deal that new work goes to (A9, A14, J4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.core.plan import Reason, RecordChoice
from hub.core.records import Company, Contact, Deal, EmployeeId
from hub.core.slots import by_slots

if TYPE_CHECKING:
    from hub.core.policy import Policy
    from hub.core.snapshot import Snapshot

__all__ = ["Client", "find_client", "fullness", "identifies"]

#: what identifies where the policy says nothing
_USUAL_KEYS = ("phone", "email")
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


@by_slots
@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The client as the CRM knows them; all None for a new client."""

    contact: Contact | None = None
    company: Company | None = None
    #: only a further field, such as a tax number, led to the company: neither number nor e-mail is of it (J10)
    is_company_by_field: bool = False
    #: the open deal that gets the interaction (A14)
    deal: Deal | None = None
    open_deals: int = 0
    closed_deals: int = 0
    #: the most recently changed closed deal
    closed_deal: Deal | None = None
    #: the newest open deal, else the newest earlier one (C5)
    last_deal: Deal | None = None
    #: other contacts of the same client, the preferred first (A9)
    duplicates: tuple[Contact, ...] = ()
    #: contacts that share nothing but the name: somebody may look, the hub joins nobody by it (J7)
    namesakes: tuple[Contact, ...] = ()
    #: which of several contacts was taken, and why the others were not (A9)
    choices: tuple[RecordChoice, ...] = ()

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
    companies = [found for found in snapshot.companies if identifies(found, identity, policy)]
    # whoever gave the company's tax number before is a colleague: this one's number or e-mail is another (J10)
    is_by_field = bool(companies) and not any(_shares_address(found, identity) for found in companies)
    colleagues = is_by_field and bool(identity.phones or identity.emails)
    own = frozenset[str]() if colleagues else snapshot.history.own_contacts
    contacts, namesakes, strangers = _sorted_out(snapshot.contacts, own, identity, policy)
    if not contacts and not companies:
        return Client(namesakes=namesakes, choices=strangers) if strangers else _NOBODY
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
    ranked, choices = _rank(contacts, deal, policy)
    contact = ranked[0] if ranked else None
    company = _choose_company(companies, contact)
    return Client(
        contact=contact,
        company=company,
        is_company_by_field=is_by_field and contact is None,
        deal=deal,
        open_deals=len(still_open),
        closed_deals=len(closed),
        closed_deal=max(closed, key=_changed, default=None),
        last_deal=max(still_open or closed, key=_created, default=None),
        duplicates=tuple(ranked[1:]),
        namesakes=namesakes,
        choices=(*choices, *strangers),
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


def _sorted_out(
    contacts: Sequence[Contact], own: frozenset[str], identity: Identity, policy: Policy
) -> tuple[list[Contact], tuple[Contact, ...], tuple[RecordChoice, ...]]:
    """The client's contacts, those that share the name alone, and why others are not the client's."""
    kept: list[Contact] = []
    namesakes: list[Contact] = []
    strangers: list[RecordChoice] = []
    for found in contacts:
        if found.id in own or identifies(found, identity, policy):
            kept.append(found)
        else:
            is_namesake = "name" in policy.identity.keys and _met(found, identity, policy) == {"name"}
            if is_namesake:
                namesakes.append(found)
            strangers.append(_choice(found, _NAMESAKE if is_namesake else _OTHER_KEYS))
    return kept, tuple(namesakes), tuple(strangers)


def identifies(found: Contact | Company, identity: Identity, policy: Policy) -> bool:
    """False where ``found`` shares with the client only what does not identify: J4's keys, J7's name, X12's numbers."""
    rules = policy.identity
    if rules.join == "any" and not policy.shared_numbers and rules.keys == _USUAL_KEYS:
        return True
    met = _met(found, identity, policy)
    if rules.join == "all":
        told = {key for key in rules.keys if _is_told(key, identity)}
        wanted = told if rules.absent_key == "ignore" else set(rules.keys)
        # a name alone never is enough, even where nothing else was told (J7)
        return wanted <= met and wanted != {"name"}
    return bool(met - {"name"})


def _met(found: Contact | Company, identity: Identity, policy: Policy) -> set[str]:
    """Those of the policy's keys in which ``found`` and the client agree; a shared number is none (X12)."""
    return {key for key in policy.identity.keys if _agrees(key, found, identity, policy.shared_numbers)}


def _agrees(key: str, found: Contact | Company, identity: Identity, shared: frozenset[Phone]) -> bool:
    match key:
        case "phone":
            return any(phone in found.phones for phone in identity.phones if phone not in shared)
        case "email":
            own = {email.casefold() for email in found.emails}
            return any(email.casefold() in own for email in identity.emails)
        case "name":
            return bool(identity.name) and identity.name.strip().casefold() == found.name.strip().casefold()
        case _:
            value = identity.fields.get(key.removeprefix("field:"), "").strip()
            return bool(value) and any(held.strip() == value for held in found.fields.values())


def _is_told(key: str, identity: Identity) -> bool:
    match key:
        case "phone":
            return bool(identity.phones)
        case "email":
            return bool(identity.emails)
        case "name":
            return bool(identity.name)
        case _:
            return bool(identity.fields.get(key.removeprefix("field:"), "").strip())


def _shares_address(found: Contact | Company, identity: Identity) -> bool:
    """True if a number or an e-mail of the client stands on the card, whether it identifies or not."""
    mails = {email.casefold() for email in found.emails}
    return any(phone in found.phones for phone in identity.phones) or any(
        email.casefold() in mails for email in identity.emails
    )


def _changed(deal: Deal) -> tuple[datetime, str]:
    return deal.updated_at or deal.created_at or _EARLIEST, deal.id


def _created(deal: Deal) -> tuple[datetime, str]:
    return deal.created_at or deal.updated_at or _EARLIEST, deal.id


def _choose_deal(deals: Sequence[Deal], took_part: Sequence[EmployeeId]) -> Deal | None:
    """The one whose responsible took part, else the most recently changed (A14)."""
    theirs = [deal for deal in deals if deal.responsible is not None and deal.responsible in took_part]
    return max(theirs or deals, key=_changed, default=None)


def _rank(
    contacts: Sequence[Contact], deal: Deal | None, policy: Policy
) -> tuple[list[Contact], tuple[RecordChoice, ...]]:
    """The contacts in the policy's order, the open deal's own first: the fuller, at a tie the older (A9); and why."""
    if len(contacts) < 2:
        return list(contacts), ()
    of_deal = (
        set() if deal is None else {one.id for one in contacts if one.id in deal.contact_ids or deal.id in one.deal_ids}
    )
    match policy.identity.several:
        case "fuller":
            ranked = sorted(contacts, key=lambda one: (-fullness(one), one.created_at or _LATEST, one.id))
        case "newest":
            ranked = sorted(contacts, key=lambda one: (one.created_at or _EARLIEST, one.id), reverse=True)
        case "oldest":
            ranked = sorted(contacts, key=lambda one: (one.created_at or _LATEST, one.id))
    ranked.sort(key=lambda one: one.id not in of_deal)
    best, *others = ranked
    is_by_deal = bool(of_deal) and any(one.id not in of_deal for one in others)
    chosen = _choice(best, _OF_DEAL if is_by_deal else _TAKEN[policy.identity.several], is_chosen=True)
    return ranked, (chosen, *(_choice(one, _passed_over(one, best, of_deal, policy)) for one in others))


def _passed_over(one: Contact, best: Contact, of_deal: set[str], policy: Policy) -> Reason:
    if of_deal and one.id not in of_deal:
        return _NOT_OF_DEAL
    if policy.identity.several == "fuller" and fullness(one) == fullness(best):
        return _YOUNGER
    return _PASSED_OVER[policy.identity.several]


def _choice(contact: Contact, reason: Reason, *, is_chosen: bool = False) -> RecordChoice:
    told = replace(reason, values={"filled": str(fullness(contact))})
    return RecordChoice(record=contact.ref, name=contact.name, is_chosen=is_chosen, reason=told)


_OF_DEAL = Reason(code="contact_of_deal", requirement="A14")
_NOT_OF_DEAL = Reason(code="contact_not_of_deal", requirement="A14")
#: by `IdentityRules.several`
_TAKEN: Mapping[str, Reason] = {
    "fuller": Reason(code="contact_fuller", requirement="A9"),
    "newest": Reason(code="contact_newest", requirement="A9"),
    "oldest": Reason(code="contact_oldest", requirement="A9"),
}
_PASSED_OVER: Mapping[str, Reason] = {
    "fuller": Reason(code="contact_poorer", requirement="A9"),
    "newest": Reason(code="contact_older", requirement="A9"),
    "oldest": Reason(code="contact_younger", requirement="A9"),
}
_YOUNGER = Reason(code="contact_younger", requirement="A9")
_NAMESAKE = Reason(code="contact_namesake", requirement="J7")
_OTHER_KEYS = Reason(code="contact_other_keys", requirement="J4")


def _choose_company(companies: Sequence[Company], contact: Contact | None) -> Company | None:
    if contact is not None and contact.company_id:
        return next((found for found in companies if found.id == contact.company_id), None) or next(
            iter(companies), None
        )
    return min(companies, key=lambda found: (found.created_at or _LATEST, found.id), default=None)
