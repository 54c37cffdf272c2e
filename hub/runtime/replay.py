"""Replay with intent: what would change if ended interactions were decided anew, and doing it (X13).

Looking writes nothing. Doing it opens only what would change, in the order of arrival, so that what nothing would
happen to costs nothing; the running hub decides each again and skips by key whatever is done already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from hub.clock import Clock
from hub.core.interaction import Call, Interaction
from hub.core.plan import Action, Nothing, Plan, StepKey
from hub.core.records import EmployeeId
from hub.engine.advance import Advance
from hub.engine.seen import Preview
from hub.runtime.pace import Urgency
from hub.runtime.services import Services
from hub.store import decisions, interactions, policies, replays, work
from hub.store.decisions import Decision
from hub.store.engine import Store
from hub.store.replays import Selection
from hub.store.work import Work, WorkState

__all__ = [
    "Group",
    "Replayed",
    "Replays",
    "Report",
    "Rules",
    "Wanted",
    "offline_advance",
    "replay_urgency",
    "report_json",
]

#: the policy of today, or the version by which the interaction was first decided
Rules: TypeAlias = Literal["now", "then"]

#: so many at once are still a handful that somebody waits for; more go behind everything else (DESIGN 4)
HANDFUL = 20
#: how many are looked at, or opened, in one go: the database is free for others in between
PAGE = 200
#: examples of each group
EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which interactions; what is empty does not filter."""

    selection: Selection
    #: how a call ended
    dispositions: tuple[str, ...] = ()
    #: responsible by the decision, who talked, or whose task it made
    employee: str = ""
    #: the row of the matrix that won
    row: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One interaction in one CRM, and what deciding it anew comes to."""

    work: Work
    interaction: Interaction
    before: Decision | None
    #: None if it cannot be decided: for the reason in ``problem``, or as there is no policy or no such CRM any more
    preview: Preview | None
    #: the version that decides; 0 = the newest
    rules: int = 0
    problem: str = ""

    @property
    def is_to_do(self) -> bool:
        """Something would change; what needs attention is tried again in any case."""
        if self.preview is None:
            return False
        return self.preview.changes_something or self.work.state is WorkState.ATTENTION

    @property
    def row_before(self) -> str:
        return winner(self.before.plan) if self.before else ""

    @property
    def row(self) -> str:
        return winner(self.preview.plan) if self.preview else ""

    @property
    def effects(self) -> tuple[tuple[str, Action], ...]:
        """(add | again | withdraw, action): what the CRM, or what waits for it, would see of it."""
        if self.preview is None:
            return ()
        change = self.preview.change
        planned = {action.key: action for action in self.preview.plan.actions}
        return (
            *(("add", action) for action in change.added if not isinstance(action, Nothing)),
            *(("again", action) for action in change.replaced),
            *(("withdraw", planned[key]) for key in change.withdrawn if key in planned),
        )


@dataclass(slots=True)
class Group:
    """Interactions to which the same would happen: from one row of the matrix to another, with the same actions."""

    connection: str
    row_before: str
    row: str
    actions: tuple[str, ...]
    count: int = 0
    examples: list[Replayed] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What a replay comes to, or came to."""

    project: str
    rules: Rules
    is_written: bool = False
    looked_at: int = 0
    unchanged: int = 0
    #: still under way
    unfinished: int = 0
    #: done by the hub and no longer wanted, where nothing can be taken back
    left: int = 0
    #: opened again by this replay; somebody else may have been faster
    opened: int = 0
    to_do: list[Replayed] = field(default_factory=list)
    undecidable: list[Replayed] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)
    groups: dict[tuple[str, str, str, tuple[str, ...]], Group] = field(default_factory=dict)
    _counted: set[StepKey] = field(default_factory=set)

    @property
    def is_bulk(self) -> bool:
        """More than a handful: behind everything else, and only as fast as that allows."""
        return len(self.to_do) > HANDFUL

    def add(self, found: Replayed) -> None:
        """Count ``found``."""
        self.looked_at += 1
        if found.preview is None:
            self.undecidable.append(found)
            return
        self.left += len(found.preview.change.left)
        if not found.is_to_do:
            self.unchanged += 1
            return
        self.to_do.append(found)
        kinds = []
        for _, action in found.effects:
            kinds.append(action.kind)
            # two interactions of one client may both want its contact: it is made once
            if action.key not in self._counted:
                self._counted.add(action.key)
                self.actions[action.kind] += 1
        key = (found.work.connection, found.row_before, found.row, tuple(sorted(kinds)))
        group = self.groups.setdefault(key, Group(*key))
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(found)


def replay_urgency(count: int) -> int:
    """How urgent so many replays are: a handful that somebody waits for, or many that go behind everything else."""
    return int(Urgency.IMPORT if count > HANDFUL else Urgency.RETRY)


def winner(plan: Plan) -> str:
    """The row of the matrix that decided; "" if none did."""
    return next((trial.name for trial in plan.explanation.trials if trial.has_won), "")


def offline_advance(services: Services) -> Advance:
    """Decides by what the hub knows already: nobody is asked, nobody is woken."""

    async def search_nothing(*_: object) -> None: ...

    async def read_nothing(*_: object) -> bool:
        return True

    return Advance(
        services.store,
        services.clock,
        services.projects,
        services.directory,
        search=search_nothing,
        read=read_nothing,
        wake_writer=lambda *_: None,
    )


class Replays:
    """Looks at replays, and opens them."""

    def __init__(self, store: Store, clock: Clock, advance: Advance) -> None:
        self._store, self._clock, self._advance = store, clock, advance

    def look(self, wanted: Wanted, rules: Rules) -> Iterator[Replayed]:
        """Each wanted interaction, and what deciding it anew would come to; reads a page at a time."""
        after = (0, "")
        while True:
            found, last = self._store.read_now(lambda conn, after=after: self._page(conn, wanted, rules, after))  # type: ignore[misc]
            yield from found
            if last is None:
                return
            after = last

    def unfinished(self, wanted: Wanted) -> int:
        """How many of the wanted are still under way."""
        return self._store.read_now(lambda conn: replays.count_unfinished(conn, wanted.selection))

    def open(self, chosen: Sequence[Replayed]) -> int:
        """Let the running hub decide ``chosen`` anew, in the order of arrival; how many were still ended."""
        urgency = replay_urgency(len(chosen))
        count, now = 0, self._clock.now()

        def reopen(conn: Connection, part: Sequence[Replayed]) -> int:
            return sum(
                work.reopen(conn, one.work.interaction_id, one.work.connection, now, rules=one.rules, urgency=urgency)
                for one in part
            )

        for start in range(0, len(chosen), PAGE):
            part = chosen[start : start + PAGE]
            count += self._store.write_now(lambda conn, part=part: reopen(conn, part))  # type: ignore[misc]
        return count

    def _page(
        self, conn: Connection, wanted: Wanted, rules: Rules, after: tuple[int, str]
    ) -> tuple[list[Replayed], tuple[int, str] | None]:
        items = replays.page(conn, wanted.selection, after=after, limit=PAGE)
        found = [one for item in items if (one := self._look(conn, item, wanted, rules)) is not None]
        last = (items[-1].sequence, items[-1].connection) if len(items) == PAGE else None
        return found, last

    def _look(self, conn: Connection, item: Work, wanted: Wanted, rules: Rules) -> Replayed | None:
        stored = interactions.find(conn, item.interaction_id)
        if stored is None:
            return None
        interaction = stored.interaction
        if wanted.dispositions and not (
            isinstance(interaction, Call) and interaction.disposition.value in wanted.dispositions
        ):
            return None
        before = decisions.latest(conn, item.interaction_id, item.connection)
        if wanted.row and (before is None or winner(before.plan) != wanted.row):
            return None
        if wanted.employee and (before is None or EmployeeId(wanted.employee) not in concerned(before.plan)):
            return None
        try:
            version = self._version(conn, item, stored.received_at) if rules == "then" else 0
            preview = self._advance.preview(conn, item, rules=version)
        except Exception as err:  # noqa: BLE001 - one that cannot be decided is shown, the others are looked at
            problem = f"{type(err).__name__}: {err}".splitlines()[0]
            return Replayed(work=item, interaction=interaction, before=before, preview=None, problem=problem)
        return Replayed(work=item, interaction=interaction, before=before, preview=preview, rules=version)

    def _version(self, conn: Connection, item: Work, received_at: datetime) -> int:
        """The policy as it was: by which the interaction was first decided, else that of the day it came."""
        first = decisions.first(conn, item.interaction_id, item.connection)
        if first is not None and first.policy_version:
            return first.policy_version
        found = policies.at(conn, item.project, received_at)
        return found.version if found else 0


def concerned(plan: Plan) -> frozenset[EmployeeId]:
    """Whom the plan concerns: its responsible, who talked, and whom it gives tasks."""
    people = [plan.responsible, plan.talked, *(getattr(action, "assignee", None) for action in plan.actions)]
    return frozenset(person for person in people if person is not None)


def report_json(report: Report) -> Mapping[str, object]:
    """The report for programs (``hub replay --json``)."""
    return {
        "project": report.project,
        "rules": report.rules,
        "written": report.is_written,
        "looked_at": report.looked_at,
        "to_do": len(report.to_do),
        "opened": report.opened,
        "unchanged": report.unchanged,
        "unfinished": report.unfinished,
        "left_in_place": report.left,
        "class": "bulk" if report.is_bulk else "retry",
        "actions": dict(sorted(report.actions.items())),
        "groups": [
            {
                "connection": group.connection,
                "row_before": group.row_before,
                "row": group.row,
                "actions": list(group.actions),
                "count": group.count,
                "examples": [example.work.interaction_id for example in group.examples],
            }
            for group in sorted(report.groups.values(), key=lambda group: -group.count)
        ],
        "undecidable": [
            {"interaction": one.work.interaction_id, "connection": one.work.connection, "problem": one.problem}
            for one in report.undecidable
        ],
        "interactions": [
            {
                "interaction": one.work.interaction_id,
                "connection": one.work.connection,
                "state": one.work.state.value,
                "policy_version": one.preview.policy_version if one.preview else 0,
                "actions": [
                    {"effect": effect, "kind": action.kind, "key": action.key} for effect, action in one.effects
                ],
            }
            for one in report.to_do
        ],
    }
