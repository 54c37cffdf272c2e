"""What undoing a join means in a CRM (X12): which values the hub takes off which contact, and what it has to leave.

Pure. Only what the hub itself put on a contact is taken off it; what a person removed meanwhile is simply not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.core.interaction import InteractionId
from hub.core.phone import Phone
from hub.core.plan import Action, CreateContact, NewRecord, StepKey, UpdateContact
from hub.core.records import Contact, RecordKind, RecordRef
from hub.core.revise import targets

__all__ = ["DoneStep", "Parting", "TakeOff", "part", "take_off_carried"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneStep:
    """A step that is done, of one of the two clients' interactions."""

    key: StepKey
    interaction_id: InteractionId
    action: Action
    record: RecordRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOff:
    """Values that the hub put on a contact and that are another person's."""

    contact: RecordRef
    #: the step that put the first of them there: what undoes it belongs to that interaction
    by: DoneStep
    phones: tuple[Phone, ...] = ()
    emails: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """The numbers and e-mails, which are never put there again."""
        return (*self.phones, *self.emails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """What to do in one CRM."""

    take_off: tuple[TakeOff, ...] = ()
    #: records that the hub made for the one and that hang on the other's contact, as a CRM cannot move them
    left: tuple[RecordRef, ...] = ()
    #: contacts of the one who stays and of the one who leaves, for the links of the task
    kept: tuple[RecordRef, ...] = ()
    joined: tuple[RecordRef, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.take_off or self.left)


@dataclass(slots=True)
class _Added:
    """What the hub put on one contact."""

    by: DoneStep
    phones: dict[Phone, None] = field(default_factory=dict)
    emails: dict[str, None] = field(default_factory=dict)
    tags: dict[str, None] = field(default_factory=dict)


def part(
    steps: Sequence[DoneStep],
    *,
    keys_kept: frozenset[tuple[str, str]],
    keys_joined: frozenset[tuple[str, str]],
    moved: frozenset[InteractionId],
    theirs: frozenset[InteractionId],
    contacts: Mapping[str, Contact],
) -> Parting:
    """How to part the joined client from the kept one.

    ``moved`` are the joined client's interactions from before the join, ``theirs`` those that came after it with
    nothing but their keys. ``contacts`` are the CRM's contacts of either, as they are known now.
    """
    added = _added(steps)
    made_by = _makers(steps)
    sides = {
        id: _side(found, made_by.get(id), added.get(id), keys_kept, keys_joined, moved)
        for id, found in contacts.items()
    }
    take_off = []
    for id, one in added.items():
        contact, side = contacts.get(id), sides.get(id)
        if contact is None or side is None:
            continue
        foreign = keys_joined if side == "kept" else keys_kept
        phones = tuple(phone for phone in one.phones if ("phone", phone) in foreign)
        emails = tuple(email for email in one.emails if ("email", email) in foreign)
        tags = _tags_of(steps, id, theirs) if side == "kept" else ()
        if phones or emails or tags:
            take_off.append(TakeOff(contact=contact.ref, by=one.by, phones=phones, emails=emails, tags=tags))
    kept = tuple(contacts[id].ref for id, side in sides.items() if side == "kept")
    return Parting(
        take_off=tuple(take_off),
        left=tuple(_left(steps, theirs, {ref.id for ref in kept})),
        kept=kept,
        joined=tuple(contacts[id].ref for id, side in sides.items() if side == "joined"),
    )


def take_off_carried(step: DoneStep, own: Iterable[str], contact: Contact | None) -> TakeOff | None:
    """What undoes a carry-over (A9): what ``step`` added besides the interaction's ``own`` numbers and e-mails."""
    action, mine = step.action, {value.casefold() for value in own}
    if not isinstance(action, UpdateContact) or contact is None:
        return None
    phones = tuple(phone for phone in action.add_phones if phone not in mine)
    emails = tuple(email for email in action.add_emails if email.casefold() not in mine)
    if not (phones or emails):
        return None
    # a tag that a rule of the policy wants comes back with the next interaction, a duplicate's does not
    return TakeOff(contact=contact.ref, by=step, phones=phones, emails=emails, tags=action.add_tags)


def _contact_of(step: DoneStep) -> str | None:
    """The contact that the step put values on."""
    match step.action:
        case CreateContact():
            return step.record.id if step.record else None
        case UpdateContact(contact=RecordRef() as ref):
            return ref.id
        case UpdateContact():
            return step.record.id if step.record else None
        case _:
            return None


def _added(steps: Sequence[DoneStep]) -> dict[str, _Added]:
    found: dict[str, _Added] = {}
    for step in steps:
        id = _contact_of(step)
        if id is None:
            continue
        one = found.setdefault(id, _Added(by=step))
        match step.action:
            case CreateContact() as action:
                phones, emails = action.phones, action.emails
            case UpdateContact() as action:
                phones, emails = action.add_phones, action.add_emails
            case _:
                continue
        one.phones |= dict.fromkeys(phones)
        one.emails |= dict.fromkeys(email.strip().lower() for email in emails)
    return found


def _makers(steps: Sequence[DoneStep]) -> dict[str, InteractionId]:
    return {
        step.record.id: step.interaction_id
        for step in steps
        if isinstance(step.action, CreateContact) and step.record is not None
    }


def _side(
    contact: Contact,
    maker: InteractionId | None,
    added: _Added | None,
    keys_kept: frozenset[tuple[str, str]],
    keys_joined: frozenset[tuple[str, str]],
    moved: frozenset[InteractionId],
) -> str | None:
    """Whose contact it is: whose interaction made it, else whose keys it had before the hub added any."""
    if maker is not None:
        return "joined" if maker in moved else "kept"
    own = {("phone", str(phone)) for phone in contact.phones} | {
        ("email", email.strip().lower()) for email in contact.emails
    }
    if added is not None:
        own -= {("phone", str(phone)) for phone in added.phones} | {("email", email) for email in added.emails}
    is_kept, is_joined = bool(own & keys_kept), bool(own & keys_joined)
    if is_kept == is_joined:
        return None
    return "kept" if is_kept else "joined"


def _tags_of(steps: Sequence[DoneStep], contact: str, theirs: frozenset[InteractionId]) -> tuple[str, ...]:
    """Tags that nothing but the leaving one's interactions put on the contact."""
    by_them: dict[str, None] = {}
    by_others: set[str] = set()
    for step in steps:
        if _contact_of(step) != contact:
            continue
        tags = getattr(step.action, "tags", ()) or getattr(step.action, "add_tags", ())
        if step.interaction_id in theirs:
            by_them |= dict.fromkeys(tags)
        else:
            by_others |= set(tags)
    return tuple(tag for tag in by_them if tag not in by_others)


def _left(steps: Sequence[DoneStep], theirs: frozenset[InteractionId], kept: set[str]) -> Iterable[RecordRef]:
    """Deals, tasks and notes of the leaving one's interactions on the contacts of the one who stays."""
    made_on_kept: set[StepKey] = {step.key for step in steps if step.record is not None and step.record.id in kept}
    for step in steps:
        if step.interaction_id not in theirs or step.record is None or _contact_of(step) is not None:
            continue
        if step.action.kind not in ("create_deal", "create_task", "record_call", "add_note"):
            continue
        refs = targets(step.action)
        if any(
            (isinstance(ref, NewRecord) and ref.key in made_on_kept)
            or (isinstance(ref, RecordRef) and ref.kind is RecordKind.CONTACT and ref.id in kept)
            for ref in refs
        ):
            yield step.record
