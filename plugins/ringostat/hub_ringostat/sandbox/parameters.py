"""The values of every webhook parameter at one moment of a call, form or dialogue (reference A.5).

``tellings`` says which moments an event has and when; ``parameter_values`` says what is known then. The
parameters have names of the sandbox's own (``client``, ``talk`` …); a webhook's ``names`` turns them into the
names on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import singledispatch

from .telephony import Attribution, Call, Dialogue, Direction, Event, Leg, Outcome, Rung, SiteForm, Staff
from .webhook import Moment

Value = str | int | datetime

STATUS = {
    Outcome.ANSWERED: "ANSWERED",
    Outcome.MISSED: "NO ANSWER",
    Outcome.BUSY: "BUSY",
    Outcome.VOICEMAIL: "VOICEMAIL",
    Outcome.FAILED: "FAILED",
    Outcome.NO_FORWARD: "NO-FORWARD",
    Outcome.CLIENT_NO_ANSWER: "CLIENT NO ANSWER",
}

_RATING_DELAY = timedelta(seconds=15)
_AI_DELAY = timedelta(minutes=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One moment of one event that a webhook can tell.

    ``rung`` is the destination of a forwarding moment. ``leg`` with ``leg_number`` (from 0) narrows an
    after-call record to one leg; ``unanswered`` to one destination that rang in vain (a split record, A9).
    """

    event: Event
    moment: Moment
    at: datetime
    rung: Rung | None = None
    leg: Leg | None = None
    leg_number: int = 0
    unanswered: Rung | None = None

    @property
    def id(self) -> str:
        """The vendor's id of the event: call id, form id or dialogue id."""
        return self.event.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What payloads say about the project itself."""

    id: int
    recordings: str  # address that recording links begin with, without a slash at the end
    staff: Staff
    labels: Mapping[str, str]  # company number -> its alias


@singledispatch
def tellings(event: Event, *, split: bool = False) -> list[Telling]:
    """All moments of ``event`` in time order.

    A transferred call has one after-call record per leg, all with the same call id (C6). ``split`` adds a
    record "no answer" for every employee who was rung in vain before somebody answered (A9).
    """
    raise TypeError(f"not an event of the telephony: {event!r}")


@tellings.register
def _(event: Call, *, split: bool = False) -> list[Telling]:
    outgoing = event.direction is Direction.OUT
    before = Moment.OUT_BEFORE if outgoing else Moment.BEFORE
    after = Moment.OUT_AFTER if outgoing else Moment.AFTER
    told = [Telling(event=event, moment=before, at=event.started_at)]
    if not outgoing:
        told += [Telling(event=event, moment=Moment.FORWARDING, at=rung.at, rung=rung) for rung in event.rung]
        if event.legs:
            first = event.legs[0]
            told.append(Telling(event=event, moment=Moment.PICKUP, at=first.answered_at, leg=first))
    if split and event.legs:
        told += [
            Telling(event=event, moment=after, at=rung.at + timedelta(seconds=rung.seconds), unanswered=rung)
            for rung in event.rung
            if not rung.answered
        ]
    if event.legs:
        told += [
            Telling(event=event, moment=after, at=leg.ended_at, leg=leg, leg_number=number)
            for number, leg in enumerate(event.legs)
        ]
    else:
        told.append(Telling(event=event, moment=after, at=event.ended_at))
    last_leg = event.legs[-1] if event.legs else None
    last = len(event.legs) - 1
    if event.rating is not None:
        at = event.ended_at + _RATING_DELAY
        told.append(Telling(event=event, moment=Moment.RATING, at=at, leg=last_leg, leg_number=last))
    if event.summary is not None:
        at = event.ended_at + _AI_DELAY
        told.append(Telling(event=event, moment=Moment.AI, at=at, leg=last_leg, leg_number=last))
    return sorted(told, key=lambda telling: telling.at)


@tellings.register
def _(event: SiteForm, *, split: bool = False) -> list[Telling]:
    return [Telling(event=event, moment=Moment.FORM, at=event.at)]


@tellings.register
def _(event: Dialogue, *, split: bool = False) -> list[Telling]:
    return [
        Telling(event=event, moment=Moment.DIALOGUE_OPENED, at=event.opened_at),
        Telling(event=event, moment=Moment.DIALOGUE_CLOSED, at=event.closed_at),
    ]


def parameter_values(telling: Telling, project: Project) -> dict[str, Value]:
    """Everything that the vendor could send at this moment, under the sandbox's parameter names."""
    match telling.event:
        case Call() as call:
            return _call_values(call, telling, project)
        case SiteForm() as form:
            return {
                **_attribution_values(form.attribution),
                "form_id": form.id,
                "started_at": form.at,
                "form_name": form.form,
                "page": form.page,
                "client_name": form.name,
                "client": form.phone,
                "client_email": form.email,
                "project_id": project.id,
                **{f"field:{name}": text for name, text in form.fields.items()},
            }
        case Dialogue() as dialogue:
            is_open = telling.moment is Moment.DIALOGUE_OPENED
            return {
                **_attribution_values(dialogue.attribution),
                "dialogue_id": dialogue.id,
                "started_at": dialogue.opened_at,
                "client_name": dialogue.name,
                "client": dialogue.phone,
                "message": "\n".join(dialogue.messages[:1] if is_open else dialogue.messages),
                "project_id": project.id,
                **_employee_values(None if is_open else dialogue.employee, project.staff),
            }


def _call_values(call: Call, telling: Telling, project: Project) -> dict[str, Value]:
    started_at, duration, waiting, talk, status = _measures(call, telling)
    recording = recording_name(call, telling.leg_number) if _has_recording(call, telling) else ""
    is_callback = call.direction is Direction.CALLBACK
    values: dict[str, Value] = {
        **_attribution_values(call.attribution),
        "call_id": call.id,
        "direction": "out" if call.direction is Direction.OUT else "in",
        "call_type": call.direction.value,
        "started_at": started_at,
        "status": status,
        "duration": duration,
        "waiting": waiting,
        "talk": talk,
        "has_recording": 1 if recording else 0,
        "recording_wav": recording_url(project.recordings, recording) if recording else "",
        "call_card": f"{project.recordings}/project/callcards/card/{call.id}/?project_id={project.id}",
        "client": call.client_number or "anonymous",
        "client_always": call.client_number,
        "line": call.company_number,
        "line_alias": project.labels.get(call.company_number, ""),
        "scheme_name": call.scheme,
        "insertion": "callback" if is_callback else ("dynamic" if call.attribution.pool else "static"),
        "project_id": project.id,
        "call_counter": call.number_of_client,
        "category": -1 if call.category is None else call.category,
        "rating": "" if call.rating is None else call.rating,
        **_side_values(call, telling, project.staff),
    }
    if telling.moment is Moment.AI and call.summary is not None:
        values |= {
            "summary": call.summary.text,
            "client_mood": call.summary.client_mood,
            "employee_mood": call.summary.employee_mood,
            "mood": call.summary.mood,
            "actions": call.summary.actions,
            "transcript": recording_url(project.recordings, f"{call.id}.vtt"),
        }
    return values


def _measures(call: Call, telling: Telling) -> tuple[datetime, int, int, int, str]:
    """(start, duration, waiting, talk, status) of the whole call or of the one leg that is told."""
    if telling.unanswered is not None:
        rung = telling.unanswered
        return call.started_at, rung.seconds, rung.seconds, 0, STATUS[Outcome.MISSED]
    if telling.leg is not None and len(call.legs) > 1:
        leg = telling.leg
        begun = call.started_at if telling.leg_number == 0 else leg.answered_at
        waiting = int((leg.answered_at - begun).total_seconds())
        return begun, waiting + leg.talk_seconds, waiting, leg.talk_seconds, _status(call)
    return call.started_at, call.duration_seconds, call.waiting_seconds, call.talk_seconds, _status(call)


def _status(call: Call) -> str:
    if call.is_answered and call.is_target:
        return "PROPER"
    if call.is_answered and call.is_repeat:
        return "REPEATED"
    return STATUS[call.outcome]


def _has_recording(call: Call, telling: Telling) -> bool:
    if telling.moment in {Moment.BEFORE, Moment.PICKUP, Moment.FORWARDING, Moment.OUT_BEFORE}:
        return False
    if telling.unanswered is not None:
        return False
    if telling.leg is not None:
        return telling.leg.recording
    return call.voicemail_seconds > 0


def recording_name(call: Call, leg_number: int = 0) -> str:
    """File name of a leg's recording; the first leg's is the call id itself."""
    return f"{call.id}.wav" if leg_number <= 0 else f"{call.id}-{leg_number + 1}.wav"


def recording_url(base: str, name: str) -> str:
    """``/recordings/<uniqueid>.wav?token=<hex>`` (reference section 0); the token here follows from the name."""
    token = "".join(f"{ord(letter) % 16:x}" for letter in name).ljust(32, "0")[:32]
    return f"{base}/recordings/{name}?token={token}"


def _side_values(call: Call, telling: Telling, staff: Staff) -> dict[str, Value]:
    """Who dialled, who is rung or who answered."""
    if call.direction is Direction.OUT:
        initiator = staff.find(call.initiator)
        name = initiator.name if initiator is not None else call.initiator_destination
        leg = telling.leg
        transferred = leg is not None and telling.leg_number > 0
        return {
            "caller": call.initiator_destination,
            "caller_name": name,
            "destination": leg.destination if leg is not None and transferred else "",
            **_employee_values(leg.employee if leg is not None and transferred else call.initiator, staff),
        }
    if telling.moment is Moment.BEFORE:
        destination, employee = "", None
    elif telling.rung is not None:
        destination, employee = telling.rung.destination, telling.rung.employee
    elif telling.unanswered is not None:
        destination, employee = "", telling.unanswered.employee
    elif telling.leg is not None:
        destination, employee = telling.leg.destination, telling.leg.employee
    else:
        destination, employee = "", None
    return {"destination": destination, **_employee_values(employee, staff)}


def _employee_values(employee_id: str | None, staff: Staff) -> dict[str, Value]:
    employee = staff.find(employee_id)
    if employee is None:
        return {
            "employee_id": -1,
            "employee_name": "",
            "employee_email": "",
            "extension": "",
            "department": "",
        }
    return {
        "employee_id": employee.id,
        "employee_name": employee.name,
        "employee_email": employee.email,
        "extension": employee.extension,
        "department": employee.department,
    }


def _attribution_values(attribution: Attribution) -> dict[str, Value]:
    return {
        "utm_source": attribution.utm_source or "(direct)",
        "utm_medium": attribution.utm_medium or "(none)",
        "utm_campaign": attribution.utm_campaign or "(not set)",
        "utm_content": attribution.utm_content,
        "utm_term": attribution.utm_term,
        "client_id": attribution.client_id,
        "landing": attribution.landing,
        "referrer": attribution.referrer,
        "ip": attribution.ip,
        "pool_name": attribution.pool,
    }
