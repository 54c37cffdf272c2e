"""Ringostat's words to the hub's: PURE, and the only file that knows both (reference A.1, A.5, A.6)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from hub.core.interaction import (
    Attribution,
    Destination,
    Direction,
    Disposition,
    Form,
    Identity,
    InteractionId,
    ProjectId,
)
from hub.core.merge import CallFragment, Moment
from hub.core.phone import Phone
from hub.errors import PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed, SourceEmployee

from .config import LabelLanguage, Meaning, RingostatSettings
from .parameters import Parameters, Party
from .wire import Staff

__all__ = ["EVENT_SPELLINGS", "Event", "parse_record", "to_employee"]


class Event(StrEnum):
    """What a webhook tells of; the value is what its address carries (``?moment=after``)."""

    BEFORE = "before"
    TAKEN = "taken"
    FORWARDED = "forwarded"
    AFTER = "after"
    RATED = "rated"
    OUTGOING_BEFORE = "outgoing_before"
    OUTGOING_AFTER = "outgoing_after"
    SUMMARISED = "summarised"
    FORM = "form"
    DIALOGUE_OPENED = "dialogue_opened"
    DIALOGUE_CLOSED = "dialogue_closed"
    DEAL = "deal"


#: other spellings that an administrator may have put into an address
EVENT_SPELLINGS: dict[str, Event] = {
    **{event.value: event for event in Event},
    "ring": Event.BEFORE,
    "ringing": Event.BEFORE,
    "before_call": Event.BEFORE,
    "incoming_before": Event.BEFORE,
    "pickup": Event.TAKEN,
    "pick_up": Event.TAKEN,
    "answer": Event.TAKEN,
    "answered": Event.TAKEN,
    "incoming_taken": Event.TAKEN,
    "forward": Event.FORWARDED,
    "forwarding": Event.FORWARDED,
    "incoming_forwarded": Event.FORWARDED,
    "after_call": Event.AFTER,
    "incoming_after": Event.AFTER,
    "end": Event.AFTER,
    "ended": Event.AFTER,
    "rating": Event.RATED,
    "rate": Event.RATED,
    "after_rating": Event.RATED,
    "evaluation": Event.RATED,
    "out_before": Event.OUTGOING_BEFORE,
    "before_outgoing": Event.OUTGOING_BEFORE,
    "outgoing": Event.OUTGOING_AFTER,
    "out_after": Event.OUTGOING_AFTER,
    "after_outgoing": Event.OUTGOING_AFTER,
    "ai": Event.SUMMARISED,
    "summary": Event.SUMMARISED,
    "summarized": Event.SUMMARISED,
    "site_form": Event.FORM,
    "lead": Event.FORM,
    "dialogue": Event.DIALOGUE_CLOSED,
    "dialog_opened": Event.DIALOGUE_OPENED,
    "dialog_closed": Event.DIALOGUE_CLOSED,
    "chat_opened": Event.DIALOGUE_OPENED,
    "chat_closed": Event.DIALOGUE_CLOSED,
    "deal_status": Event.DEAL,
}

_MOMENTS = {
    Event.BEFORE: Moment.RINGING,
    Event.TAKEN: Moment.TAKEN,
    Event.FORWARDED: Moment.FORWARDED,
    Event.AFTER: Moment.ENDED,
    Event.RATED: Moment.RATED,
    Event.OUTGOING_BEFORE: Moment.RINGING,
    Event.OUTGOING_AFTER: Moment.ENDED,
    Event.SUMMARISED: Moment.SUMMARISED,
}

_IGNORED = {
    Event.DIALOGUE_OPENED: "messenger dialogues are not read yet: their parameters are not documented by the vendor",
    Event.DIALOGUE_CLOSED: "messenger dialogues are not read yet: their parameters are not documented by the vendor",
    Event.DEAL: "deals of Ringostat itself are not needed: deals live in the CRM",
}

#: normalised status -> how the call ended (reference A.6)
_STATUSES = {
    "ANSWERED": Disposition.ANSWERED,
    "PROPER": Disposition.ANSWERED,
    "REPEATED": Disposition.ANSWERED,
    "NO ANSWER": Disposition.MISSED,
    "BUSY": Disposition.BUSY,
    "FAILED": Disposition.FAILED,
    "NO FORWARD": Disposition.MISSED,
    "VOICEMAIL": Disposition.VOICEMAIL,
    "WRONG EXTENSION": Disposition.MISSED,
    "NO EXTENSION": Disposition.MISSED,
    "CLIENT NO ANSWER": Disposition.CLIENT_MISSED,
    "FAILED FORBIDDEN DESTINATION": Disposition.FAILED,
    "DECLINE": Disposition.MISSED,
    "IN PROGRESS": Disposition.PENDING,
    "CALLING": Disposition.PENDING,
}

_SEPARATORS = re.compile(r"[_+\-\s]+")
_FORM_AGAIN_SECONDS = 600


def parse_record(
    parameters: Parameters,
    channel: ChannelConfig,
    settings: RingostatSettings,
    *,
    received_at: datetime | None,
    event: Event | None = None,
) -> Parsed:
    """What one record tells. ``received_at`` None marks a row of the call log (X7). Raises PayloadError.

    The event is ``event``, else what the static parameter says, else what the parameters themselves show.
    """
    told = event or _told_event(parameters, settings) or _shown_event(parameters)
    if told in _IGNORED:
        return Ignored(reason=_IGNORED[told])
    if told is Event.FORM:
        return _to_form(parameters, channel, received_at)
    return _to_fragment(parameters, told, settings, received_at)


def _told_event(parameters: Parameters, settings: RingostatSettings) -> Event | None:
    value = parameters.named(settings.moment_parameter)
    return EVENT_SPELLINGS.get(_SEPARATORS.sub("_", value.strip().casefold())) if value else None


def _shown_event(parameters: Parameters) -> Event:
    """The event of a webhook whose address does not say it."""
    if not parameters.has(Meaning.CALL_ID) and (
        parameters.has(Meaning.FORM_NAME) or parameters.has(Meaning.FORM_PHONE) or parameters.has(Meaning.FORM_EMAIL)
    ):
        return Event.FORM
    if parameters.has(Meaning.SUMMARY) or parameters.named("ai_call_type"):
        return Event.SUMMARISED
    has_length = any(parameters.has(meaning) for meaning in (Meaning.DURATION, Meaning.TALK, Meaning.WAITING))
    if parameters.has(Meaning.STATUS):
        alive = _status_of(parameters) is Disposition.PENDING
        if has_length or not alive:
            return Event.AFTER
    elif parameters.has(Meaning.TALK):
        return Event.AFTER
    elif parameters.number(Meaning.RATING) is not None:
        return Event.RATED
    return Event.TAKEN if parameters.has(Meaning.DESTINATION) else Event.BEFORE


# --- calls ------------------------------------------------------------------------------------------------------


def _to_fragment(
    parameters: Parameters, event: Event, settings: RingostatSettings, received_at: datetime | None
) -> CallFragment:
    call_id = parameters.text(Meaning.CALL_ID)
    if not call_id:
        names = ", ".join(settings.names[Meaning.CALL_ID])
        raise PayloadError(f"the call has no id: none of {names} came", field=settings.names[Meaning.CALL_ID][0])
    if len(call_id) > 128:
        raise PayloadError("the call's id is longer than 128 characters", field=Meaning.CALL_ID.value)
    moment = _MOMENTS[event]
    is_callback = _is_callback(parameters)
    direction = _direction_of(parameters, event)
    status = _status_of(parameters)
    waiting, duration, talk = (
        parameters.seconds(meaning) for meaning in (Meaning.WAITING, Meaning.DURATION, Meaning.TALK)
    )
    disposition = None
    if moment is Moment.ENDED:
        disposition = _disposition_of(status, talk, settings)
    outbound = direction is Direction.OUTBOUND
    line = _line_of(parameters, outbound=outbound)
    client = _client_of(parameters, line, outbound=outbound)
    destination = _destination_of(parameters, moment, client, line, outbound=outbound)
    recording = parameters.text(Meaning.RECORDING)
    return CallFragment(
        external_id=call_id,
        moment=moment,
        started_at=parameters.moment(Meaning.STARTED_AT, call_id=call_id),
        happened_at=received_at,
        direction=direction,
        disposition=disposition,
        client=_identity_of(client),
        line=line,
        destination=destination,
        department=parameters.text(Meaning.DEPARTMENT),
        scheme=parameters.text(Meaning.SCHEME),
        waiting_seconds=waiting,
        duration_seconds=duration,
        talk_seconds=talk if moment is Moment.ENDED else None,
        recording="" if parameters.text(Meaning.HAS_RECORDING) == "0" else recording,
        card_url=parameters.text(Meaning.CARD_URL),
        is_callback=(is_callback and not outbound) or status is Disposition.CLIENT_MISSED,
        attribution=_attribution_of(parameters),
        summary=_summary_of(parameters, settings) if moment is Moment.SUMMARISED else "",
        rating=parameters.number(Meaning.RATING),
        is_recovered=received_at is None,
        parameters=dict(parameters.raw),
    )


def _direction_of(parameters: Parameters, event: Event) -> Direction:
    """Rule 1 of reference A.5: ``type`` if it says in or out, else the first other field that says something."""
    own = parameters.text(Meaning.TYPE).casefold()
    if own in ("in", "out"):
        return Direction.OUTBOUND if own == "out" else Direction.INBOUND
    for value in (own, *(value.casefold() for _, value in parameters.each(Meaning.DIRECTION))):
        if "callback" in value:
            return Direction.INBOUND
        # "outgoing" holds an "in" too, so "out" is looked for first
        if "out" in value:
            return Direction.OUTBOUND
        if "in" in value:
            return Direction.INBOUND
    if event in (Event.OUTGOING_BEFORE, Event.OUTGOING_AFTER):
        return Direction.OUTBOUND
    if event in (Event.BEFORE, Event.TAKEN, Event.FORWARDED):
        return Direction.INBOUND
    only_outgoing = parameters.named("callee") and not (parameters.named("e164") or parameters.named("userfield"))
    return Direction.OUTBOUND if only_outgoing else Direction.INBOUND


def _is_callback(parameters: Parameters) -> bool:
    if parameters.text(Meaning.INSERTION).casefold() == "callback":
        return True
    told = [parameters.text(Meaning.TYPE), *(value for _, value in parameters.each(Meaning.DIRECTION))]
    return any("callback" in value.casefold() for value in told)


def _status_of(parameters: Parameters) -> Disposition | None:
    """None for a status that is missing or unknown: then the talk time decides."""
    value = _SEPARATORS.sub(" ", parameters.text(Meaning.STATUS)).strip().upper()
    return _STATUSES.get(value)


def _disposition_of(status: Disposition | None, talk: int | None, settings: RingostatSettings) -> Disposition | None:
    """Talk time overrules the text (reference A.6); a voicemail is no conversation unless the setting says so."""
    if status is Disposition.PENDING or talk is None:
        return status
    if status is Disposition.VOICEMAIL and not settings.voicemail_talk_is_answered:
        return status
    if talk > 0:
        return Disposition.ANSWERED
    return Disposition.MISSED if status in (None, Disposition.ANSWERED) else status


def _line_of(parameters: Parameters, *, outbound: bool) -> Phone | None:
    meaning = Meaning.LINE_OUTBOUND if outbound else Meaning.LINE_INBOUND
    callers = set() if outbound else {party.phone for party in parameters.parties(Meaning.CLIENT_INBOUND)[:1]}
    # the dialled number is sometimes the client's own; the next name may hold the real one
    phones = [party.phone for party in parameters.parties(meaning) if party.phone]
    return next((phone for phone in phones if phone not in callers), None)


def _client_of(parameters: Parameters, line: Phone | None, *, outbound: bool) -> Party:
    """Rule 2 of reference A.5; the company's own line is never the client."""
    meaning = Meaning.CLIENT_OUTBOUND if outbound else Meaning.CLIENT_INBOUND
    is_transit = "transitin" in parameters.named("call_type").casefold()
    own_lines = {line, *(party.phone for party in parameters.parties(Meaning.LINE_OUTBOUND))} - {None}
    told = parameters.each(meaning)
    if is_transit:
        # of a transit call it is the manager's side
        told = [(name, value) for name, value in told if name != "caller_number"]
    found = [party for _, value in told if not (party := parameters.party(value)).is_empty]
    return next((party for party in found if party.phone not in own_lines), Party())


def _identity_of(client: Party) -> Identity:
    if client.phone:
        return Identity(phones=(client.phone,), name=client.name)
    if client.login:
        return Identity(handles=(("sip", client.login),), name=client.name)
    if client.extension:
        return Identity(handles=(("extension", client.extension),), name=client.name)
    return Identity()


def _destination_of(
    parameters: Parameters, moment: Moment, client: Party, line: Phone | None, *, outbound: bool
) -> Destination | None:
    """The employee's side: who was rung or answered, and of an outgoing call who made it."""
    if outbound:
        meaning = Meaning.CALLER_OUTBOUND
    else:
        meaning = Meaning.RUNG if moment is Moment.FORWARDED else Meaning.DESTINATION
    side = next((party for party in parameters.parties(meaning) if not _is_other_side(party, client, line)), Party())
    staff_id = parameters.text(Meaning.STAFF_ID)
    found = Destination(
        phone=side.phone,
        login=side.login,
        staff_id="" if staff_id in ("-1", "0") else staff_id,
        name=parameters.text(Meaning.EMPLOYEE_NAME) or (side.name if outbound else ""),
        email=parameters.text(Meaning.EMPLOYEE_EMAIL),
        extension=parameters.text(Meaning.EXTENSION) or side.extension,
        department=parameters.text(Meaning.DEPARTMENT),
    )
    return None if found.is_empty else found


def _is_other_side(party: Party, client: Party, line: Phone | None) -> bool:
    """True if ``party`` is the client or the company's line: both were seen where the employee should be."""
    if party.phone:
        return party.phone == client.phone or party.phone == line
    return bool(party.login) and party.login == client.login


def _attribution_of(parameters: Parameters) -> Attribution:
    return Attribution(
        utm_source=parameters.mark(Meaning.UTM_SOURCE),
        utm_medium=parameters.mark(Meaning.UTM_MEDIUM),
        utm_campaign=parameters.mark(Meaning.UTM_CAMPAIGN),
        utm_content=parameters.mark(Meaning.UTM_CONTENT),
        utm_term=parameters.mark(Meaning.UTM_TERM),
        ga_client_id=parameters.mark(Meaning.GA_CLIENT_ID),
        landing_page=parameters.mark(Meaning.LANDING),
        referrer=parameters.mark(Meaning.REFERRER),
        ip=parameters.mark(Meaning.IP),
        pool=parameters.mark(Meaning.POOL),
    )


_SUMMARY_LABELS: dict[LabelLanguage, dict[Meaning, str]] = {
    LabelLanguage.UK: {
        Meaning.CLIENT_MOOD: "Настрій клієнта",
        Meaning.EMPLOYEE_MOOD: "Настрій співробітника",
        Meaning.GENERAL_MOOD: "Загальний настрій",
        Meaning.RECOMMENDED_ACTIONS: "Рекомендовані дії",
        Meaning.TRANSCRIPT: "Розшифровка",
    },
    LabelLanguage.RU: {
        Meaning.CLIENT_MOOD: "Настроение клиента",
        Meaning.EMPLOYEE_MOOD: "Настроение сотрудника",
        Meaning.GENERAL_MOOD: "Общее настроение",
        Meaning.RECOMMENDED_ACTIONS: "Рекомендованные действия",
        Meaning.TRANSCRIPT: "Расшифровка",
    },
    LabelLanguage.EN: {
        Meaning.CLIENT_MOOD: "Client's mood",
        Meaning.EMPLOYEE_MOOD: "Employee's mood",
        Meaning.GENERAL_MOOD: "General mood",
        Meaning.RECOMMENDED_ACTIONS: "Recommended actions",
        Meaning.TRANSCRIPT: "Transcript",
    },
}


def _summary_of(parameters: Parameters, settings: RingostatSettings) -> str:
    labels = _SUMMARY_LABELS[settings.label_language]
    parts = [f"{label}: {value}" for meaning, label in labels.items() if (value := parameters.text(meaning))]
    return "\n".join(part for part in (parameters.text(Meaning.SUMMARY), *parts) if part)


# --- forms ------------------------------------------------------------------------------------------------------


def _to_form(parameters: Parameters, channel: ChannelConfig, received_at: datetime | None) -> Form:
    phones = [party.phone for party in parameters.parties(Meaning.FORM_PHONE) if party.phone]
    email = parameters.text(Meaning.FORM_EMAIL)
    name = parameters.text(Meaning.CLIENT_NAME)
    started_at = parameters.moment(Meaning.STARTED_AT) or received_at
    if started_at is None:
        raise PayloadError("the form does not say when it was sent", field=Meaning.STARTED_AT.value)
    return Form(
        id=InteractionId(""),
        project=ProjectId(channel.project),
        channel=channel.name,
        source=channel.source,
        external_id=parameters.text(Meaning.FORM_ID) or _form_id(parameters, received_at),
        started_at=started_at,
        client=Identity(phones=tuple(phones[:1]), emails=(email,) if "@" in email else (), name=name),
        form_name=parameters.text(Meaning.FORM_NAME),
        page=parameters.text(Meaning.FORM_PAGE),
        text=parameters.text(Meaning.FORM_TEXT),
        attribution=_attribution_of(parameters),
        parameters=dict(parameters.raw),
    )


def _form_id(parameters: Parameters, received_at: datetime | None) -> str:
    """An id for a form that brings none: the same content within ten minutes is the same form."""
    told = "\n".join(f"{key}={value}" for key, value in sorted(parameters.raw.items()))
    when = "" if parameters.has(Meaning.STARTED_AT) or received_at is None else received_at.timestamp()
    again = "" if when == "" else str(int(when) // _FORM_AGAIN_SECONDS)
    return "form-" + hashlib.sha256(f"{again}\n{told}".encode()).hexdigest()[:24]


# --- employees --------------------------------------------------------------------------------------------------


def to_employee(staff: Staff) -> SourceEmployee:
    """An employee of the staff list; of no main contacts the phone is where calls go."""
    main = [one.direction for one in staff.directions.main if one.direction]
    further = [one.direction for one in staff.directions.additional if one.direction]
    return SourceEmployee(
        staff_id=staff.staff_id or staff.id,
        name=staff.fio,
        email=staff.email,
        extension=staff.extension_number,
        destinations=tuple(main or ([staff.phone] if staff.phone else [])),
        numbers=tuple(dict.fromkeys(one for one in (*further, staff.phone) if one and one not in main)),
        departments=tuple(_department(one) for one in staff.departments),
    )


def _department(told: object) -> str:
    if isinstance(told, Mapping):
        return str(told.get("name") or told.get("id") or "")
    return str(told)
