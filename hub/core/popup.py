"""What pops up for whom while something happens, and how it moves (DESIGN 8, A12, C7, U1, W2, W4, W12).

A popup goes to whom the telephony rings; else to whom our own forwarding answer named; else to the client's
responsible, or who stands in for them; else to those who receive new clients. When somebody answers it moves: they
talk, the others are told who does. No sentence is made here: a reader's language is chosen when it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

from hub.core.assign import is_absent, standing_in
from hub.core.interaction import Call, Chat, ClientId, Direction, Disposition, Form, Interaction, InteractionId, Message
from hub.core.records import EmployeeId
from hub.core.right import Whose, may

if TYPE_CHECKING:
    from hub.core.facts import Facts

__all__ = [
    "Addressee",
    "Popup",
    "PopupKind",
    "PopupState",
    "Preferences",
    "Why",
    "assigned",
    "is_missed_call",
    "popup_key",
    "popup_of",
    "record_key",
    "told",
]

PopupKind: TypeAlias = Literal["call", "chat", "message", "form", "record"]

#: why a popup came to somebody; the texts are ``popup_why.<code>``
Why: TypeAlias = Literal[
    "rung", "forwarded", "responsible", "stands_in", "receives_new", "senior", "calls", "answered", "told", "made"
]

#: how much of a message is shown
LONGEST_TEXT = 300


class PopupState(StrEnum):
    """How far it is, for one employee."""

    RINGING = "ringing"
    #: this employee talks to the client
    TALKING = "talking"
    #: a colleague took it
    ANSWERED = "answered"
    ENDED = "ended"
    MISSED = "missed"
    #: a message, a form, a record: nothing goes on, it is there
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What an employee wants to see, and whether it may be heard (U1)."""

    calls: bool = True
    chats: bool = True
    messages: bool = True
    forms: bool = True
    records: bool = True
    sound: bool = False
    open_card_on_answer: bool = False

    def wants(self, kind: PopupKind) -> bool:
        """Whether popups of this kind are shown."""
        wanted: bool = getattr(self, f"{kind}s")
        return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """One employee to whom a popup is shown."""

    employee: EmployeeId
    state: PopupState
    why: Why
    #: whom they stand in for, by whom they were told
    of: EmployeeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Popup:
    """One popup as it stands; shown to each of ``to`` in their own state."""

    key: str
    kind: PopupKind
    interaction: InteractionId
    direction: Direction
    at: datetime
    to: tuple[Addressee, ...] = ()
    #: who took it; None while nobody did, or nobody knows who
    answered_by: EmployeeId | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    #: how long they talked, once it is over
    seconds: int | None = None
    #: how a call ended (`Disposition`), "" while it goes on
    result: str = ""
    #: the start of what the client wrote, or what the policy has to say
    text: str = ""

    @property
    def employees(self) -> frozenset[EmployeeId]:
        """Everybody to whom it is shown."""
        return frozenset(one.employee for one in self.to)

    def of(self, employee: EmployeeId) -> Addressee | None:
        """How it stands for ``employee``; None if it is not shown to them."""
        return next((one for one in self.to if one.employee == employee), None)

    @property
    def waits(self) -> bool:
        """True while the client waits for somebody: missed, or written and not answered."""
        return self.kind != "record" and any(one.state in (PopupState.MISSED, PopupState.NEW) for one in self.to)

    @property
    def is_over(self) -> bool:
        """True if nothing of it goes on any more."""
        return not any(one.state in (PopupState.RINGING, PopupState.TALKING) for one in self.to)


def popup_key(interaction: Interaction, client: ClientId) -> str:
    """One popup for an interaction; messages of one client on one channel are one conversation, and one popup."""
    return f"{client}.{interaction.channel}" if isinstance(interaction, Message) else str(interaction.id)


def record_key(interaction: InteractionId) -> str:
    """The popup about what the hub made or has to tell because of an interaction (C7)."""
    return f"{interaction}.record"


def popup_of(
    facts: Facts, before: Popup | None, *, client: ClientId, forwarded: EmployeeId | None = None
) -> Popup | None:
    """The popup of an interaction as it is known now; None if there is nothing to show, ``before`` if nothing moved.

    ``forwarded`` is whom our own answer to the telephony's question about this call named.
    """
    if facts.is_internal or facts.is_private or facts.is_blocked or facts.is_recovered:
        # nothing of it is shown, and what was shown before that was known goes away (R6, R8)
        return replace(before, to=()) if before else None
    match facts.interaction:
        case Call() as call:
            found = _call(call, facts, before, client, forwarded)
        case Chat() as chat:
            found = _chat(chat, facts, before, client)
        case Message() as message:
            found = _message(message, facts, before, client)
        case Form() as form:
            found = before or _begun(form, facts, "form", client, text=form.text or form.form_name)
    return found if before is not None or (found is not None and found.to) else None


# --- calls ------------------------------------------------------------------------------------------------------


def _call(
    call: Call, facts: Facts, before: Popup | None, client: ClientId, forwarded: EmployeeId | None
) -> Popup | None:
    base = before or Popup(
        key=popup_key(call, client),
        kind="call",
        interaction=call.id,
        direction=call.direction,
        at=call.started_at,
    )
    if call.direction is Direction.OUTBOUND:
        return _outbound(call, facts, base, is_new=before is None)
    answered = [place for place, leg in enumerate(facts.legs) if leg.is_answered]
    if call.is_final and not answered and not call.is_answered:
        return _missed(call, facts, base)
    if not answered and not call.is_answered:
        return replace(base, to=_ringing(facts, forwarded))
    if call.is_final and before is None:
        # told of afterwards only, or of nobody's interest: the card has it
        return None
    talker = facts.leg_employees[answered[-1]] if answered else facts.answered_by
    again = _rung_after(call, facts, answered)
    everybody = [*base.to, *(_addressee(one, "rung") for one in _known(facts.leg_employees))]
    state = PopupState.ENDED if call.is_final else PopupState.TALKING
    to: dict[EmployeeId, Addressee] = {}
    for one in everybody:
        if one.employee == talker:
            to[talker] = Addressee(employee=talker, state=state, why=one.why, of=one.of)
        elif one.employee in again:
            to.setdefault(one.employee, replace(one, state=PopupState.RINGING))
        else:
            to.setdefault(one.employee, replace(one, state=PopupState.ANSWERED))
    return replace(
        base,
        to=tuple(to.values()),
        answered_by=talker,
        answered_at=base.answered_at if base.answered_by == talker and base.answered_at else facts.now,
        ended_at=call.ended_at or facts.now if call.is_final else None,
        seconds=call.talk_seconds if call.is_final else None,
        result=call.disposition.value if call.is_final else "",
    )


def _ringing(facts: Facts, forwarded: EmployeeId | None) -> tuple[Addressee, ...]:
    """Nobody has answered yet: whom it rings, as far as that is known (DESIGN 8)."""
    rung = _known(facts.leg_employees)
    if rung:
        return tuple(_addressee(one, "rung") for one in rung)
    if forwarded is not None:
        return (_addressee(forwarded, "forwarded"),)
    return _whose(facts, PopupState.RINGING)


def _missed(call: Call, facts: Facts, base: Popup) -> Popup:
    """Whoever saw or heard it ring, and whose client it is (A12); the head is told by the policy's notice."""
    owners = _whose(facts, PopupState.MISSED) if facts.responsible is not None else ()
    everybody = (*base.to, *(_addressee(one, "rung") for one in _known(facts.leg_employees)), *owners)
    to = {one.employee: replace(one, state=PopupState.MISSED) for one in reversed(everybody)}
    ordered = dict.fromkeys(one.employee for one in everybody)
    return replace(
        base,
        to=tuple(to[employee] for employee in ordered),
        answered_by=None,
        answered_at=None,
        ended_at=call.ended_at or facts.now,
        seconds=None,
        result=call.disposition.value,
    )


def _outbound(call: Call, facts: Facts, base: Popup, *, is_new: bool) -> Popup | None:
    """An employee calls out: they see whom."""
    caller = facts.caller
    if caller is None or (is_new and call.is_final):
        return None if is_new else base
    is_talking = any(leg.is_answered for leg in facts.legs)
    state = PopupState.ENDED if call.is_final else PopupState.TALKING if is_talking else PopupState.RINGING
    return replace(
        base,
        to=(Addressee(employee=caller, state=state, why="calls"),),
        answered_by=caller if is_talking else None,
        answered_at=(base.answered_at or facts.now) if is_talking else None,
        ended_at=call.ended_at or facts.now if call.is_final else None,
        seconds=call.talk_seconds if call.is_final else None,
        result=call.disposition.value if call.is_final else "",
    )


def _rung_after(call: Call, facts: Facts, answered: Sequence[int]) -> frozenset[EmployeeId]:
    """Whom a call that somebody has answered is being handed over to."""
    if call.is_final or not call.is_transferred or not answered:
        return frozenset()
    later = facts.leg_employees[answered[-1] + 1 :]
    return frozenset(_known(later))


# --- what is written ---------------------------------------------------------------------------------------------


def _chat(chat: Chat, facts: Facts, before: Popup | None, client: ClientId) -> Popup | None:
    lines = [line.text for line in chat.messages if line.is_from_client]
    if not any(leg.is_answered for leg in facts.legs):
        if before is None:
            if not lines:
                return None
            before = _begun(chat, facts, "chat", client, text=lines[-1])
        if not chat.is_final:
            return replace(before, text=_start(lines[-1] if lines else before.text))
        to = tuple(replace(one, state=PopupState.MISSED) for one in before.to)
        return replace(before, to=to, ended_at=chat.ended_at or facts.now, result=Disposition.MISSED.value)
    if before is None and chat.is_final:
        return None
    talker = facts.answered_by or next(
        (one for one, leg in zip(facts.leg_employees, facts.legs, strict=True) if leg.is_answered), None
    )
    base = before or _begun(chat, facts, "chat", client, text=lines[-1] if lines else "")
    state = PopupState.ENDED if chat.is_final else PopupState.TALKING
    to_all = {one.employee: replace(one, state=PopupState.ANSWERED) for one in base.to}
    if before is None:
        # it was taken before anybody could be told: only whoever talks sees it
        to_all = {}
    if talker is not None:
        known = base.of(talker)
        to_all[talker] = replace(known or _addressee(talker, "answered"), state=state)
    return replace(
        base,
        to=tuple(to_all.values()),
        answered_by=talker,
        answered_at=base.answered_at or facts.now,
        ended_at=chat.ended_at or facts.now if chat.is_final else None,
        text=_start(lines[-1] if lines else base.text),
    )


def _message(message: Message, facts: Facts, before: Popup | None, client: ClientId) -> Popup | None:
    """A message of the client begins, a person's answer ends; what a robot writes answers nobody (W6)."""
    if before is not None and message.started_at < max(before.at, before.answered_at or before.at):
        # told late, or read after a later one: what stands there is the newest of the conversation
        return before
    if message.direction is Direction.INBOUND:
        return _begun(message, facts, "message", client, text=message.text)
    if before is None or message.is_automatic:
        return before
    author = facts.employee
    others = tuple(replace(one, state=PopupState.ANSWERED) for one in before.to if one.employee != author)
    # whoever wrote has dealt with it; who wrote from the phone is not known, and then nobody need hurry any more
    return replace(before, to=others if author else (), answered_by=author, answered_at=message.started_at)


def _begun(found: Chat | Form | Message, facts: Facts, kind: PopupKind, client: ClientId, *, text: str) -> Popup:
    """Something new that waits for somebody: shown to those who may read it (W4)."""
    whose = Whose(
        channel=facts.channel,
        responsible=facts.responsible,
        is_unclaimed=facts.is_unclaimed,
        is_new=facts.is_new_client,
    )
    to = tuple(
        one for one in _whose(facts, PopupState.NEW) if may(one.employee, "read", whose, facts.policy, facts.now)
    )
    if not to and facts.responsible is not None:
        # away, and nobody stands in: it waits for them, for nobody else may read it
        to = (Addressee(employee=facts.responsible, state=PopupState.NEW, why="responsible"),)
    return Popup(
        key=popup_key(found, client),
        kind=kind,
        interaction=found.id,
        direction=Direction.INBOUND,
        at=found.started_at,
        to=to,
        text=_start(text),
    )


def _start(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT].rstrip()}…"


# --- who --------------------------------------------------------------------------------------------------------


def _whose(facts: Facts, state: PopupState) -> tuple[Addressee, ...]:
    """The responsible, or who stands in for them; for a client who is nobody's, those who receive new clients."""
    policy, now, inactive = facts.policy, facts.now, facts.snapshot.inactive
    owner = facts.responsible
    if owner is not None:
        acting = standing_in(owner, policy, now, inactive)
        if acting == owner:
            return (Addressee(employee=owner, state=state, why="responsible"),)
        if acting is not None:
            return (Addressee(employee=acting, state=state, why="stands_in", of=owner),)
        # nobody else receives a colleague's clients: what falls to nobody is the senior's
        return _senior(facts, state)
    receiving = tuple(
        Addressee(employee=one, state=state, why="receives_new")
        for one in (EmployeeId(employee.id) for employee in policy.employees)
        if policy.receives_new_on(one, facts.channel) and one not in inactive and not is_absent(one, policy, now)
    )
    return receiving or _senior(facts, state)


def _senior(facts: Facts, state: PopupState) -> tuple[Addressee, ...]:
    found = next((one for one in facts.policy.roles.get("senior", ()) if one not in facts.snapshot.inactive), None)
    return (Addressee(employee=found, state=state, why="senior"),) if found else ()


def _known(employees: Iterable[EmployeeId | None]) -> tuple[EmployeeId, ...]:
    return tuple(dict.fromkeys(one for one in employees if one is not None))


def _addressee(employee: EmployeeId, why: Why) -> Addressee:
    return Addressee(employee=employee, state=PopupState.RINGING, why=why)


# --- what the hub decided ---------------------------------------------------------------------------------------


def assigned(before: Popup, responsible: EmployeeId | None) -> Popup:
    """A new client's message or form was given to somebody: it is theirs, and goes away from the others (W2, J3)."""
    waits = [one for one in before.to if one.why == "receives_new" and one.state is PopupState.NEW]
    if responsible is None or not waits or before.kind in ("call", "record"):
        return before
    kept = tuple(one for one in before.to if one not in waits and one.employee != responsible)
    return replace(before, to=(*kept, Addressee(employee=responsible, state=PopupState.NEW, why="responsible")))


def told(
    before: Popup | None,
    interaction: Interaction,
    *,
    key: str,
    employees: Iterable[EmployeeId],
    why: Why,
    text: str,
    at: datetime,
) -> Popup:
    """``employees`` are told: of a missed call in its own popup (A12), of anything else in one beside it (C7)."""
    is_missed = is_missed_call(interaction)
    base = before or Popup(
        key=key,
        kind="call" if is_missed else "record",
        interaction=interaction.id,
        direction=Direction.INBOUND,
        at=interaction.started_at if is_missed else at,
    )
    if before is None and isinstance(interaction, Call) and is_missed:
        base = replace(base, ended_at=interaction.ended_at or at, result=interaction.disposition.value)
    state = PopupState.MISSED if is_missed else PopupState.NEW
    fresh = tuple(
        Addressee(employee=one, state=state, why=why) for one in dict.fromkeys(employees) if base.of(one) is None
    )
    return replace(base, to=(*base.to, *fresh), text=_start(text) or base.text)


def is_missed_call(interaction: Interaction) -> bool:
    """True for a client's call that ended without anybody taking it, a voice message too (A12)."""
    return (
        isinstance(interaction, Call)
        and interaction.direction is Direction.INBOUND
        and interaction.is_final
        and not interaction.is_answered
    )
