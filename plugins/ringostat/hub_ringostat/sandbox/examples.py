"""Made-up employees and calls for tests and try-outs: one of each kind that matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from .telephony import Attribution, Call, Direction, Employee, Leg, Outcome, Rung, Summary

NOON = datetime(2026, 7, 29, 9, 0, tzinfo=UTC)
OLENA = Employee(
    id="1101",
    name="Olena Koval",
    email="olena@example.com",
    extension="101",
    login="examplecom_olena",
    mobile="380671234501",
)
PETRO = Employee(id="1102", name="Petro Bondar", extension="102", login="examplecom_petro")
TARAS = Employee(id="1106", name="Taras", extension="106", mobile="380671234506")
CLIENT, LINE = "380501112233", "380441234567"


def later(seconds: int) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def rung(employee: Employee, at: int, seconds: int, *, answered: bool = False) -> Rung:
    """The employee rung ``at`` seconds after noon."""
    return Rung(
        destination=employee.destination, employee=employee.id, at=later(at), seconds=seconds, answered=answered
    )


def leg(employee: Employee, at: int, talk: int, transfer: str | None = None) -> Leg:
    """The employee talking from ``at`` seconds after noon."""
    return Leg(
        destination=employee.destination,
        employee=employee.id,
        answered_at=later(at),
        talk_seconds=talk,
        transfer=transfer,
    )


ANSWERED = Call(
    id="ua0_-1785315600.1",
    direction=Direction.IN,
    outcome=Outcome.ANSWERED,
    started_at=NOON,
    ended_at=later(71),
    client_number=CLIENT,
    company_number=LINE,
    rung=(rung(OLENA, 1, 8, answered=True),),
    legs=(leg(OLENA, 9, 62),),
    attribution=Attribution(utm_source="google", client_id="1.2", pool="site pool"),
)
MISSED = replace(
    ANSWERED, id="ua0_-1785315600.2", outcome=Outcome.MISSED, ended_at=later(20), legs=(), rung=(rung(OLENA, 1, 18),)
)
OUTGOING = Call(
    id="ua0_-1785315600.3",
    direction=Direction.OUT,
    outcome=Outcome.ANSWERED,
    started_at=NOON,
    ended_at=later(40),
    client_number=CLIENT,
    company_number=LINE,
    initiator="1106",
    initiator_destination="380671234506",
    legs=(leg(TARAS, 10, 30),),
)
TRANSFERRED = replace(
    ANSWERED,
    id="ua0_-1785315600.4",
    rung=(rung(PETRO, 1, 15), rung(OLENA, 16, 4, answered=True), rung(PETRO, 80, 5, answered=True)),
    legs=(leg(OLENA, 20, 60), leg(PETRO, 85, 100, "attended")),
    ended_at=later(185),
)
JUDGED = replace(ANSWERED, id="ua0_-1785315600.5", rating=5, summary=Summary(text="Asked for tea"))
