"""One forwarding answer with what it rests on, and the row of the journal that explains it (X1, X9)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from hub.core.forwarding import Answer
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.ports import ForwardingQuestion
from hub.store import codec
from hub.store.forwarding_log import ForwardingEntry

__all__ = ["Answered", "Told", "entry_of"]


@dataclass(slots=True, kw_only=True)
class Told:
    """One answer with what it rests on, for the journal."""

    answer: Answer
    #: the CRM whose directory knew the caller; "" if none did
    connection: str = ""
    #: how old the oldest fact is, the absence of the caller included, in microseconds; None if nothing was ever read
    age: int | None = None
    #: the directory is still filling: an unknown caller may be known to the CRM
    is_importing: bool = False
    #: the caller is not known here, and perhaps is to other processes: their records are still being copied
    is_copying: bool = False
    asked_crm: str = ""
    is_repeated: bool = False
    #: who last talked to the caller would matter, and is not known in this process
    lacks_history: bool = False


#: project, channel, question, answer, seconds that it took, when it was asked
Answered: TypeAlias = tuple[LiveProject, str, ForwardingQuestion, Told, float, datetime]


def entry_of(answered: Answered) -> ForwardingEntry:
    """The journal's row, with everything that explains the answer."""
    project, channel, question, told, took, asked_at = answered
    found = told.answer
    explanation = _explain(
        found.reason.code,
        tuple([(one.employee, one.role, one.reason.code, one.is_chosen) for one in found.candidates]),
        told.connection,
        project.policy_version,
        told.is_importing,
        told.asked_crm,
        told.is_repeated,
        question.line,
    )
    return ForwardingEntry(
        project=project.row.name,
        channel=channel,
        uuid=question.uuid,
        call_id=question.call_id,
        caller=question.caller,
        asked_at=asked_at,
        destination=found.destination,
        employee=found.employee or "",
        took=timedelta(seconds=took),
        age=None if told.age is None else timedelta(microseconds=told.age),
        explanation=explanation,
    )


@lru_cache(maxsize=4096)
def _explain(
    reason: str,
    candidates: tuple[tuple[EmployeeId, str, str, bool], ...],
    connection: str,
    policy_version: int,
    is_importing: bool,
    asked_crm: str,
    is_repeated: bool,
    line: Phone | None,
) -> bytes:
    """The explanation as JSON; remembered, since a company has so many employees and lines and no more."""
    return codec.dump_json(
        {
            "reason": {"code": reason},
            "candidates": [
                {"employee": employee, "role": role, "reason": {"code": why}, "is_chosen": is_chosen}
                for employee, role, why, is_chosen in candidates
            ],
            "connection": connection,
            "policy_version": policy_version,
            "is_importing": is_importing,
            "asked_crm": asked_crm,
            "is_repeated": is_repeated,
            "line": line,
        }
    )
