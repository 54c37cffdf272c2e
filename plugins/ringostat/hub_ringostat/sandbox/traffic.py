"""Reads the host's traffic file (docs/traffic-file.md) into the sandbox's own model, without importing the host.

Unknown keys are passed over, so that the format may grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .telephony import (
    Attribution,
    Call,
    CallKind,
    CompanyNumber,
    Direction,
    Employee,
    Event,
    Leg,
    Outcome,
    Rung,
    SiteForm,
    Summary,
)

FORMAT = "traffic/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What of a traffic file concerns the telephony; the CRM's side of it is not read here."""

    site: str
    zone: str
    employees: tuple[Employee, ...]
    numbers: tuple[CompanyNumber, ...]
    calls: tuple[Call, ...]
    forms: tuple[SiteForm, ...]

    @property
    def events(self) -> list[Event]:
        """Calls and forms, sorted by the moment they begin."""
        events: list[Event] = [*self.calls, *self.forms]
        return sorted(events, key=lambda event: event.started_at if isinstance(event, Call) else begun(event))


def begun(event: Event) -> datetime:
    """When a call, form or dialogue began."""
    if isinstance(event, Call):
        return event.started_at
    return event.at if isinstance(event, SiteForm) else event.opened_at


def read_traffic(record: Mapping[str, Any]) -> Traffic:
    """The telephony's part of a traffic record; ValueError for another format, KeyError for a missing key."""
    if record.get("format") != FORMAT:
        raise ValueError(f"not a traffic file of format {FORMAT!r}: {record.get('format')!r}")
    return Traffic(
        site=record["company"]["site"],
        zone=record["company"]["timezone"],
        employees=tuple(read_employee(employee) for employee in record["employees"]),
        numbers=tuple(
            CompanyNumber(
                number=number["number"],
                label=number.get("label", ""),
                scheme=number.get("scheme", "Main"),
                pool=number.get("pool", ""),
            )
            for number in record["numbers"]
        ),
        calls=tuple(read_call(call) for call in record["calls"]),
        forms=tuple(read_form(form) for form in record.get("forms", ())),
    )


def read_employee(record: Mapping[str, Any]) -> Employee:
    names = ("id", "name", "email", "department", "extension", "login", "mobile")
    return Employee(**{name: str(record.get(name) or "") for name in names})


def read_call(record: Mapping[str, Any]) -> Call:
    """One call of the file."""
    initiator = record.get("initiator") or {}
    return Call(
        id=record["id"],
        kind=CallKind(record["kind"]),
        direction=Direction(record["direction"]),
        outcome=Outcome(record["outcome"]),
        started_at=_moment(record["started_at"]),
        ended_at=_moment(record["ended_at"]),
        client_number=record.get("client_number") or "",
        company_number=record.get("company_number") or "",
        scheme=record.get("scheme") or "",
        rung=tuple(
            Rung(
                destination=rung["destination"],
                employee=rung.get("employee"),
                at=_moment(rung["at"]),
                seconds=rung["seconds"],
                answered=rung["answered"],
            )
            for rung in record.get("rung", ())
        ),
        legs=tuple(
            Leg(
                destination=leg["destination"],
                employee=leg.get("employee"),
                answered_at=_moment(leg["answered_at"]),
                talk_seconds=leg["talk_seconds"],
                recording=leg.get("recording", True),
                transfer=leg.get("transfer"),
            )
            for leg in record.get("legs", ())
        ),
        initiator=initiator.get("employee"),
        initiator_destination=initiator.get("destination") or "",
        voicemail_seconds=record.get("voicemail_seconds") or 0,
        attribution=_attribution(record.get("attribution")),
        is_target=bool(record.get("is_target")),
        is_repeat=bool(record.get("is_repeat")),
        number_of_client=record.get("number_of_client") or 1,
        rating=record.get("rating"),
        category=record.get("category"),
        summary=Summary(**record["summary"]) if record.get("summary") else None,
    )


def read_form(record: Mapping[str, Any]) -> SiteForm:
    """One site form of the file."""
    return SiteForm(
        id=record["id"],
        at=_moment(record["at"]),
        form=record["form"],
        page=record.get("page") or "",
        name=record.get("name") or "",
        phone=record.get("phone") or "",
        email=record.get("email") or "",
        fields={str(name): str(value) for name, value in (record.get("fields") or {}).items()},
        attribution=_attribution(record.get("attribution")),
    )


def _attribution(record: Mapping[str, Any] | None) -> Attribution:
    known = Attribution.__dataclass_fields__
    return Attribution(**{name: str(value) for name, value in (record or {}).items() if name in known})


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a moment without zone: {text!r}")
    return moment
