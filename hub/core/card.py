"""The client's contact and deal in a plan: made, completed, taken over (A9, A13, A14, J5)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from hub.core.plan import CreateContact, CreateDeal, NewRecord, Reason, StepKey, UpdateContact, UpdateDeal
from hub.core.records import Catalogue, Company, Contact, EmployeeId, RecordKind, RecordRef

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.making import Making

__all__ = ["make_contact", "make_deal"]


def make_contact(making: Making) -> None:
    """The contact that new work hangs on: the client's own, the company, or a new one."""
    facts, people, company = making.facts, making.people, making.facts.company
    creates = making.policy.contacts.create if making.outcome.contact is None else making.outcome.contact
    if facts.contact is not None:
        making.contact_ref = facts.contact.ref
        _complete_contact(making)
    elif company is not None and not (facts.client.is_company_by_field and creates):
        making.contact_ref = company.ref
    elif creates:
        settings = making.policy.contacts
        # one client, one contact, whichever of its interactions makes it; of a company each person (J10)
        person = "" if company is None else f"/{_mark(facts)}"
        key = StepKey(f"{making.client}{person}/create_contact")
        making.contact_ref = NewRecord(kind=RecordKind.CONTACT, key=key)
        making.actions.append(
            CreateContact(
                key=key,
                name=making.text(settings.name, "contact") or facts.phone,
                phones=facts.phones,
                emails=facts.emails,
                responsible=people.contact_owner if company is None else _of_company(company, making),
                fields=making.filled(making.outcome.contact_fields, settings.fields),
                tags=making.tags(making.outcome.contact_tags, settings.tags),
                company=None if company is None else company.ref,
                reason=making.verdict.reason("new_client")
                if company is None
                else making.verdict.reason("new_person_of_company", "J10"),
            )
        )


def _complete_contact(making: Making) -> None:
    """Add what the contact lacks: from the interaction, and from duplicates of the same name (A9)."""
    facts, contact = making.facts, making.facts.contact
    assert contact is not None
    taken_over = _taken_over(making, contact.responsible)
    from_outside = facts.emails or facts.client.duplicates or (facts.client_name and not contact.name)
    wanted = taken_over or making.outcome.contact_tags or making.outcome.contact_fields
    if not from_outside and not wanted and all(phone in contact.phones for phone in facts.phones):
        return
    others = _same_person(making, contact) if making.policy.identity.carry_over else ()
    phones = [*facts.phones, *(phone for other in others for phone in other.phones)]
    emails = [*facts.emails, *(email for other in others for email in other.emails)]
    known = {email.casefold() for email in contact.emails}
    # a shared number would bind strangers together (X12)
    shared, refused = making.policy.shared_numbers, facts.snapshot.history.refused
    more_phones = tuple(
        dict.fromkeys(
            one
            for one in phones
            if one not in contact.phones and one not in shared and f"{contact.id}/{one}" not in refused
        )
    )
    more_emails = tuple(
        dict.fromkeys(
            email
            for email in emails
            if email.casefold() not in known and f"{contact.id}/{email.casefold()}" not in refused
        )
    )
    name = contact.name or facts.client_name or next((other.name for other in others if other.name), "")
    tags = [*making.tags(making.outcome.contact_tags), *(tag for other in others for tag in other.tags)]
    more_tags = tuple(dict.fromkeys(tag for tag in tags if tag not in contact.tags))
    fields = _told_fields(making) | _carried_fields(contact, others, facts.snapshot.catalogue)
    company = None if contact.company_id else next((other.company_id for other in others if other.company_id), None)
    if not (more_phones or more_emails or name != contact.name or taken_over or more_tags or fields or company):
        return
    making.actions.append(
        UpdateContact(
            key=StepKey(f"{facts.interaction.id}/update_contact/{contact.id}"),
            contact=contact.ref,
            name=name if name != contact.name else None,
            add_phones=more_phones,
            add_emails=more_emails,
            responsible=taken_over,
            fields=fields,
            add_tags=more_tags,
            company=None if company is None else RecordRef(kind=RecordKind.COMPANY, id=company),
            after=_claim_key(making) if facts.claimed_by is not None else None,
            reason=_taking_over(making) if taken_over else making.verdict.reason("contact_completed", "A9"),
        )
    )


def _mark(facts: Facts) -> str:
    """Tells people of one company apart by number and e-mail, without showing them."""
    return sha256("\n".join((*facts.phones, *facts.emails)).casefold().encode()).hexdigest()[:8]


def _of_company(company: Company, making: Making) -> EmployeeId | None:
    """To whom a new person of a known company belongs: the company's responsible (J10)."""
    own = company.responsible
    return making.people.responsible if own is None or own in making.facts.snapshot.inactive else own


def _same_person(making: Making, contact: Contact) -> tuple[Contact, ...]:
    """Duplicates that bear the same name, or where one bears none: a family's number joins nobody.

    Somebody whose number or e-mail a person had taken off the contact is another, whatever the name (X12).
    """
    refused = making.facts.snapshot.history.refused

    def was_parted(other: Contact) -> bool:
        return any(f"{contact.id}/{value.casefold()}" in refused for value in (*other.phones, *other.emails))

    return tuple(
        other
        for other in making.facts.client.duplicates
        if (not other.name or not contact.name or other.name.casefold() == contact.name.casefold())
        and not (refused and was_parted(other))
    )


def _told_fields(making: Making) -> dict[str, str]:
    """The custom fields that the policy wants on the contact and that do not say so yet (H5)."""
    if not making.outcome.contact_fields:
        return {}
    wanted, held = making.filled(making.outcome.contact_fields), making.facts.contact_fields
    return {name: value for name, value in wanted.items() if held.get(name) != value}


def _carried_fields(contact: Contact, others: Sequence[Contact], catalogue: Catalogue) -> dict[str, str]:
    """Custom fields that ``contact`` lacks and one of ``others`` has; the hub's own stand in no catalogue."""
    found: dict[str, str] = {}
    for offered in catalogue.fields if others else ():
        if offered.record is RecordKind.CONTACT and not contact.fields.get(offered.id):
            value = next((other.fields[offered.id] for other in others if other.fields.get(offered.id)), "")
            if value:
                found[offered.name] = value
    return found


def _taken_over(making: Making, present: EmployeeId | None) -> EmployeeId | None:
    """Who becomes the responsible: who answered (A13), who answered first (W2), who got the new deal (W5)."""
    facts = making.facts
    existing = making.outcome.existing or making.policy.assignment.existing_answered
    if facts.claimed_by is not None or existing == "owner":
        taking_over = making.people.taking_over
        return taking_over if taking_over != present else None
    if existing == "keep" or not facts.is_answered or facts.answered_by is None:
        return None
    if facts.direction != "inbound" or facts.answered_by == present:
        return None
    return facts.answered_by if facts.answered_by not in facts.snapshot.inactive else None


def _claim_key(making: Making) -> StepKey:
    deal = making.facts.deal
    return StepKey(f"{making.facts.interaction.id}/claim/{deal.id if deal is not None else ''}")


def _taking_over(making: Making) -> Reason:
    if making.facts.claimed_by is not None:
        return making.verdict.reason("first_to_answer", "W2")
    if making.facts.is_answered:
        return making.verdict.reason("answerer_takes_over", "A13")
    return making.verdict.reason("owner_takes_over", "W5")


def make_deal(making: Making) -> None:
    """The deal that new work hangs on: the open one, or a new one where it is wanted."""
    facts, outcome, settings = making.facts, making.outcome, making.policy.deals
    if facts.deal is not None:
        making.deal_ref = facts.deal.ref
        _open_deal(making)
    wish = outcome.deal or "none"
    if wish == "none" or (wish == "create" and facts.deal is not None):
        return
    key = StepKey(f"{facts.interaction.id}/create_deal")
    contact = making.contact_ref
    is_company = contact is not None and contact.kind is RecordKind.COMPANY
    company = facts.company.ref if facts.company is not None else None
    making.actions.append(
        CreateDeal(
            key=key,
            name=making.text(outcome.deal_name or settings.name, "deal") or facts.phone,
            contact=None if is_company else contact,
            company=company,
            pipeline=outcome.pipeline if outcome.pipeline is not None else settings.pipeline,
            stage=outcome.stage if outcome.stage is not None else settings.stage,
            is_unsorted=settings.unsorted if outcome.unsorted is None else outcome.unsorted,
            responsible=making.people.owner,
            price=making.number(outcome.price if outcome.price is not None else settings.price, "price"),
            fields=making.filled(outcome.fields, settings.fields),
            tags=making.tags(outcome.tags, settings.tags),
            reason=making.verdict.reason("new_deal"),
        )
    )
    making.deal_ref = NewRecord(kind=RecordKind.DEAL, key=key)


def _open_deal(making: Making) -> None:
    """The open deal that gets the interaction (A14): who answered may take it over (A13), or claims it (W2)."""
    deal, outcome, settings = making.facts.deal, making.outcome, making.policy.deals
    assert deal is not None
    if making.facts.claimed_by is not None:
        making.actions.append(
            UpdateDeal(
                key=_claim_key(making),
                deal=deal.ref,
                responsible=making.people.taking_over,
                accepts=True,
                pipeline=outcome.pipeline if outcome.pipeline is not None else settings.pipeline,
                stage=outcome.stage if outcome.stage is not None else settings.stage,
                reason=_taking_over(making),
            )
        )
        return
    taken_over = _taken_over(making, deal.responsible)
    if taken_over is not None:
        making.actions.append(
            UpdateDeal(
                key=StepKey(f"{making.facts.interaction.id}/update_deal/{deal.id}"),
                deal=deal.ref,
                responsible=taken_over,
                reason=_taking_over(making),
            )
        )
