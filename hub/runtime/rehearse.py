"""Run a changed policy over the stored interactions of a past period, before it is published (X2, DESIGN 6).

Nothing is written. The past is read in slices, each in a transaction of its own, so that a hub that runs beside is
not disturbed; `hub.core.rehearsal` does the thinking. The command line and the console call `rehearse`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from hub.core.aftermath import Stand, Words
from hub.core.policy import Policy, load_policy
from hub.core.records import RecordKind
from hub.core.rehearsal import Crm, Rehearsal, Report, Unknown
from hub.engine.projects import LiveConnection, LiveProject
from hub.errors import ConfigurationError
from hub.runtime.resolve import Names
from hub.store import past, policies
from hub.store.engine import Store

__all__ = ["Wanted", "rehearse"]

#: decisions read at once: some megabytes
SLICE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which part of the past."""

    since: datetime
    until: datetime
    #: only what came by this channel is counted; "" = all
    channel: str = ""


def rehearse(
    store: Store,
    live: LiveProject,
    trial: Policy,
    wanted: Wanted,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> Report:
    """What would have been different under ``trial``; ``progress`` hears the share that is done, 0 to 1.

    Raises ConfigurationError if the period or the channel names nothing.
    """
    if wanted.since >= wanted.until:
        raise ConfigurationError("the period ends before it begins", path="since")
    if wanted.channel and wanted.channel not in {*live.channels, *live.problems}:
        known = ", ".join(sorted({*live.channels, *live.problems})) or "none"
        raise ConfigurationError(f"there is no channel {wanted.channel!r}; known: {known}", path="channel")

    def begin(conn: Connection) -> tuple[past.Period, Rehearsal, int]:
        period = past.find_period(conn, live.name, wanted.since, wanted.until)
        in_force = _in_force(conn, live.name, wanted, trial)
        rehearsal = Rehearsal(
            trial,
            turns=past.turns_before(conn, period, trial.assignment.groups),
            crms={connection.name: crm_of(connection) for connection in live.connections},
            asked_keys=_asked_keys(in_force.values()),
            earlier={version: policy for version, policy in in_force.items() if policy is not None},
        )
        return period, rehearsal, past.undecided(conn, period)

    period, rehearsal, undecided = store.read_now(begin)
    versions: Counter[int] = Counter()
    after, size = period.first - 1, max(1, period.last + 1 - period.first)
    while True:
        last = store.read_now(partial(_take, rehearsal, period, after, wanted.channel, versions))
        if last is None:
            break
        after = last
        progress((after + 1 - period.first) / size)
    progress(1.0)
    if undecided:
        rehearsal.unknown[Unknown.NOT_DECIDED] += undecided
    return rehearsal.report(versions)


def _take(
    rehearsal: Rehearsal, period: past.Period, after: int, channel: str, versions: Counter[int], conn: Connection
) -> int | None:
    """Take one slice; the id up to which the past is done, None at its end."""
    found = past.read_slice(conn, period, after, SLICE, channel=channel)
    for one in found:
        try:
            rehearsal.take(one)
        except ValueError:
            # bytes that an older or broken release left
            rehearsal.unknown[Unknown.UNREADABLE] += one.is_counted
            continue
        versions[one.policy_version] += one.is_counted and one.is_last and not one.is_begun
    return found[-1].id if found else None


def crm_of(connection: LiveConnection) -> Crm:
    """What the names of a policy stand for in this CRM, as the set-up bound them."""
    names = Names(catalogue=connection.catalogue, users=connection.users, bound=connection.bound)

    def stand(pipeline: str, stage: str, is_unsorted: bool) -> Stand:
        in_pipeline = names.pipeline(pipeline)
        if in_pipeline is None:
            return Stand()
        found = names.stage(in_pipeline, stage)
        if is_unsorted:
            found = next((one for one in in_pipeline.stages if one.is_unsorted), found)
        if found is None:
            return Stand(pipeline_id=in_pipeline.id)
        return Stand(
            pipeline_id=in_pipeline.id, stage_id=found.id, is_open=not found.is_final, is_won=found.is_won
        )  # fmt: skip

    def fields(record: RecordKind, said: Mapping[str, str]) -> Mapping[str, str]:
        return {id: text for name, text in said.items() if (id := names.field_id(record, name)) is not None}

    return Crm(catalogue=connection.catalogue, names=connection.names, words=Words(stand=stand, fields=fields))


def _in_force(conn: Connection, project: str, wanted: Wanted, trial: Policy) -> dict[int, Policy | None]:
    """The versions of the policy that were in force in the period; None for one that cannot be read any more."""
    found: dict[int, Policy | None] = {}
    for version in policies.list_versions(conn, project):  # the newest first
        if version.published_at >= wanted.until:
            continue
        try:
            found[version.version] = load_policy(version.text, rules=trial.offered.values())
        except ConfigurationError:
            found[version.version] = None
        if version.published_at <= wanted.since:
            break
    return found


def _asked_keys(in_force: Iterable[Policy | None]) -> set[str]:
    """By which keys clients were looked up all the time (J4); a version that cannot be read vouches for none."""
    keys = [set(policy.identity.keys) if policy is not None else set[str]() for policy in in_force]
    return set.intersection(*keys) if keys else set()
