"""Compare what a project in shadow decided with what happened in the CRM beside it (X2).

"Afterwards" is the client's next snapshot, else what the directory holds now. Nothing is written, the CRM is not
asked; the past is read in slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from sqlalchemy import Connection

from hub.core.interaction import Interaction
from hub.core.plan import Plan
from hub.core.shadow import ASPECTS, Finding, Verdict, compare
from hub.core.snapshot import Snapshot
from hub.engine.projects import LiveProject
from hub.runtime.rehearse import SLICE, Wanted
from hub.store import past
from hub.store.directory import Directory
from hub.store.engine import Store
from hub.store.holdings import assemble

__all__ = ["Comparison", "ShadowExample", "ShadowGroup", "compare_shadow"]

#: examples kept of each group
EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowExample:
    """One decision that was not written."""

    interaction: Interaction
    connection: str
    before: Snapshot
    plan: Plan


@dataclass(slots=True, kw_only=True)
class ShadowGroup:
    """Decisions that differ in the same way from what happened."""

    finding: Finding
    count: int = 0
    examples: list[ShadowExample] = field(default_factory=list)


#: the decisions that wait for their client's next snapshot, by client and connection
_Pending: TypeAlias = dict[tuple[str, str], ShadowExample]


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What all decisions in shadow come to."""

    decisions: int = 0
    #: decisions of which nothing that can be known differs
    agreeing: int = 0
    #: by aspect, how many decisions stand how
    verdicts: dict[str, Counter[Verdict]] = field(default_factory=lambda: {aspect: Counter() for aspect in ASPECTS})
    #: why an aspect cannot be known, with how many aspects of decisions
    unknown: Counter[str] = field(default_factory=Counter)
    groups: dict[Finding, ShadowGroup] = field(default_factory=dict)

    @property
    def most_frequent(self) -> list[ShadowGroup]:
        """The groups, the largest first."""
        return sorted(self.groups.values(), key=lambda one: (-one.count, one.finding.code, one.finding.ours))

    def add(self, example: ShadowExample, found: tuple[Finding, ...]) -> None:
        """Take in one decision."""
        self.decisions += 1
        self.agreeing += all(one.verdict is not Verdict.DIFFER for one in found)
        for one in found:
            self.verdicts[one.aspect][one.verdict] += 1
            if one.verdict is Verdict.UNKNOWN:
                self.unknown[one.code] += 1
            elif one.verdict is Verdict.DIFFER:
                group = self.groups.setdefault(one, ShadowGroup(finding=one))
                group.count += 1
                if len(group.examples) < EXAMPLES:
                    group.examples.append(example)


def compare_shadow(
    store: Store,
    directory: Directory,
    live: LiveProject,
    wanted: Wanted,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> Comparison:
    """Every decision that was made in shadow in the period, beside what the CRM shows of its client afterwards."""
    found = Comparison()
    pending: _Pending = {}
    period = store.read_now(lambda conn: past.find_period(conn, live.name, wanted.since, wanted.until))
    after, size = period.first - 1, max(1, period.last + 1 - period.first)
    while True:
        last = store.read_now(partial(_take, found, pending, period, after, wanted.channel))
        if last is None:
            break
        after = last
        progress((after + 1 - period.first) / size)
    now = {key: _present(directory, live, one) for key, one in pending.items()}
    for key, one in pending.items():
        found.add(one, compare(one.interaction, one.plan, one.before, now[key]))
    progress(1.0)
    return found


def _take(
    found: Comparison, pending: _Pending, period: past.Period, after: int, channel: str, conn: Connection
) -> int | None:
    """Take one slice; a client's next snapshot tells what became of the decision before."""
    read = past.read_slice(conn, period, after, SLICE, channel=channel)
    for one in read:
        key, interaction = (one.client_id, one.connection), one.interaction
        snapshot = one.snapshot
        waiting = pending.get(key)
        if waiting is not None and waiting.interaction.id != one.interaction_id:
            del pending[key]
            found.add(waiting, compare(waiting.interaction, waiting.plan, waiting.before, snapshot))
        if one.is_written or not one.is_last or not one.is_counted or interaction is None:
            continue
        pending[key] = ShadowExample(
            interaction=interaction, connection=one.connection, before=snapshot, plan=one.plan
        )  # fmt: skip
    return read[-1].id if read else None


def _present(directory: Directory, live: LiveProject, one: ShadowExample) -> Snapshot | None:
    """What the directory holds of the client now; None if their CRM is connected no more."""
    connection = live.connection(one.connection)
    if connection is None:
        return None
    identity = one.interaction.client
    holdings = directory.lookup(live.name, one.connection, identity, field_ids=connection.key_field_ids)
    return assemble(
        holdings,
        connection=one.connection,
        taken_at=one.before.taken_at,
        catalogue=connection.catalogue,
        employees=connection.employees,
        names=connection.names,
        is_complete=connection.row.imported_at is not None,
    )
