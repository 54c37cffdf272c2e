"""Why was the telephony told this? One forwarding answer as one structure for console, command line and widget (X1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection

from hub.core.phone import Phone
from hub.core.plan import Candidate, Reason
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.runtime.person import Person, names_of_project
from hub.store import codec, forwarding_log
from hub.store.forwarding_log import ForwardingEntry

__all__ = ["StoryAnswer", "answer_json", "find_answers", "story_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained:
    """What the forwarding journal keeps beside the answer; older rows may lack parts of it."""

    reason: Reason | None = None
    candidates: tuple[Candidate, ...] = ()
    connection: str = ""
    policy_version: int = 0
    is_importing: bool = False
    asked_crm: str = ""
    is_repeated: bool = False
    line: str | None = None


_EXPLAINED = TypeAdapter(_Explained)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryAnswer:
    """One forwarding answer (R2, X9): what was asked, what was told, on what, and who was passed over."""

    id: int
    channel: str
    #: the question's own id, and the call's where the telephony tells it
    uuid: str
    call_id: str
    #: None for a hidden number
    caller: Phone | None
    asked_at: datetime
    #: "" = the telephony's own scheme went on
    destination: str
    person: Person | None
    took: timedelta
    #: of the oldest fact; None if nothing was ever read
    age: timedelta | None
    #: why the answer is what it is
    reason: Reason | None = None
    candidates: tuple[Candidate, ...] = ()
    policy_version: int = 0
    #: the CRM whose directory knew the caller
    connection: str = ""
    #: the first import was still running: an unknown caller may be known to the CRM
    is_importing: bool = False
    #: whether the CRM itself was asked: "", answered, failed, too slow
    asked_crm: str = ""
    #: the same question had been answered already
    is_repeated: bool = False
    #: the number that was dialled
    line: str = ""
    names: Mapping[EmployeeId, str] = field(default_factory=dict)


def story_answer(entry: ForwardingEntry, names: Mapping[EmployeeId, str]) -> StoryAnswer:
    """The journal's row, understood."""
    employee = EmployeeId(entry.employee)
    told = _EXPLAINED.validate_json(entry.explanation)
    return StoryAnswer(
        id=entry.id,
        channel=entry.channel,
        uuid=entry.uuid,
        call_id=entry.call_id,
        caller=entry.caller,
        asked_at=entry.asked_at,
        destination=entry.destination,
        person=Person(id=employee, name=names.get(employee, employee)) if employee else None,
        took=entry.took,
        age=entry.age,
        reason=told.reason,
        candidates=told.candidates,
        policy_version=told.policy_version,
        connection=told.connection,
        is_importing=told.is_importing,
        asked_crm=told.asked_crm,
        is_repeated=told.is_repeated,
        line=told.line or "",
        names=names,
    )


def find_answers(conn: Connection, live: LiveProject, text: str, *, limit: int = 10) -> list[StoryAnswer]:
    """The answers to the question, the call, or the caller that ``text`` names, the newest first."""
    phone = live.policy.phone(text) if live.policy else None
    names = names_of_project(live)
    entries = forwarding_log.find(conn, live.name, text, caller=phone, limit=limit)
    return [story_answer(entry, names) for entry in entries]


def answer_json(answer: StoryAnswer) -> dict[str, Any]:
    """The answer for programs (``hub explain --forwarding --json``, and within ``hub explain --json``)."""
    told: dict[str, Any] = codec.load_json(
        codec.dump_json(
            {
                "id": answer.id,
                "channel": answer.channel,
                "uuid": answer.uuid,
                "call_id": answer.call_id,
                "caller": answer.caller,
                "line": answer.line,
                "asked_at": answer.asked_at,
                "destination": answer.destination,
                "employee": answer.person.id if answer.person else None,
                "took_microseconds": answer.took // timedelta(microseconds=1),
                "age_milliseconds": None if answer.age is None else answer.age // timedelta(milliseconds=1),
                "reason": answer.reason,
                "candidates": answer.candidates,
                "connection": answer.connection,
                "policy_version": answer.policy_version,
                "is_importing": answer.is_importing,
                "asked_crm": answer.asked_crm,
                "is_repeated": answer.is_repeated,
            }
        )
    )
    return told
