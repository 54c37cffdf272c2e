"""One forwarding answer with what it rests on, and the row of the journal that explains it (X1, X9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from hub.core.forwarding import Answer, Holder, answer
from hub.core.phone import Phone
from hub.core.policy import Policy
from hub.core.records import EmployeeId
from hub.core.snapshot import History
from hub.engine.projects import LiveProject
from hub.ports import ForwardingQuestion
from hub.store import codec
from hub.store.forwarding_log import ForwardingEntry

__all__ = ["Answered", "Lately", "Told", "entry_of"]

_NO_HISTORY = History()
_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
#: whose the record and whose its deal is
_Owners: TypeAlias = tuple[EmployeeId | None, EmployeeId | None]


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


class Lately:
    """`answer` for the callers of one second of the clock.

    Of a caller with one record and at most one deal, which almost all are, the answer depends on who is responsible
    and on nothing else of them: a company has some tens of employees and thousands of callers. Hours and absences
    begin and end with whole seconds, so that no answer outlives what it rests on.
    """

    def __init__(self) -> None:
        #: by project: the policy, the second, and the answers by the record's and the deal's responsible
        self._known: dict[str, tuple[Policy, datetime, datetime, dict[_Owners, Answer]]] = {}

    def answer(
        self,
        project: str,
        caller: Phone | None,
        holders: Sequence[Holder],
        history: History | None,
        policy: Policy,
        now: datetime,
    ) -> Answer:
        """What `hub.core.forwarding.answer` says; ``history`` None if it does not matter or nobody has talked."""
        if caller is None or history is not None or len(holders) != 1 or caller in policy.people.by_phone:
            return answer(caller, holders, history or _NO_HISTORY, policy, now)
        holder = holders[0]
        deals = holder.open_deals
        if len(deals) > 1 or holder.seen_at is not None or caller in policy.shared_numbers:
            return answer(caller, holders, _NO_HISTORY, policy, now)
        known = self._known.get(project)
        if known is None or known[0] is not policy or not known[1] <= now < known[2]:
            second = now.replace(microsecond=0)
            known = self._known[project] = (policy, second, second + _SECOND, {})
        owners = (holder.responsible, deals[0].responsible if deals else None)
        found = known[3].get(owners)
        if found is None:
            found = known[3][owners] = answer(caller, holders, _NO_HISTORY, policy, now)
        return found


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
        took=timedelta(0, took),
        age=None if told.age is None else told.age * _MICROSECOND,
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
