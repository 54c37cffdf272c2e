"""Runs of scheduled jobs, named ``{job}@{instant}``: each once, taken over when its process died (H7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select, update

from hub.errors import LeaseLost
from hub.store.dialect import insert_or
from hub.store.schema import timed_run

__all__ = ["Run", "RunState", "claim", "expired", "find", "finish", "floor_instant", "latest", "renew", "run_name"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RunState(StrEnum):
    """How far a run is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job."""

    name: str
    state: RunState
    #: who works on it
    lease: str
    leased_until: datetime
    attempts: int
    started_at: datetime
    ended_at: datetime | None
    note: str

    @property
    def job(self) -> str:
        return self.name.rpartition("@")[0]


def floor_instant(now: datetime, period: timedelta) -> datetime:
    """The beginning of the period in which ``now`` lies, in UTC, so that every process names the run alike."""
    return _EPOCH + (now - _EPOCH) // period * period


def run_name(job: str, instant: datetime) -> str:
    """``{job}@{instant}``."""
    return f"{job}@{instant.astimezone(UTC).isoformat(timespec='seconds')}"


def _run(row: Any) -> Run:
    return Run(
        name=row.name,
        state=RunState(row.state),
        lease=row.lease,
        leased_until=row.leased_until,
        attempts=row.attempts,
        started_at=row.started_at,
        ended_at=row.ended_at,
        note=row.note,
    )


def claim(conn: Connection, name: str, lease: str, *, now: datetime, lease_for: timedelta) -> Run | None:
    """Begin the run, or take it over from a process whose lease has run out; None if it is done or held."""
    statement = insert_or(conn, timed_run).values(
        name=name, state=RunState.RUNNING.value, lease=lease, leased_until=now + lease_for, attempts=1, started_at=now
    )
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"lease": lease, "leased_until": now + lease_for, "attempts": timed_run.c.attempts + 1},
            where=(timed_run.c.state == RunState.RUNNING.value) & (timed_run.c.leased_until < now),
        )
    )
    found = find(conn, name)
    # a lease is unique to one attempt: if it stands there, this very statement put it there
    return found if found is not None and found.lease == lease and found.state is RunState.RUNNING else None


def renew(conn: Connection, name: str, lease: str, *, now: datetime, lease_for: timedelta) -> None:
    """Keep the run for longer. Raises LeaseLost if it was taken over."""
    _change(conn, name, lease, {"leased_until": now + lease_for})


def finish(conn: Connection, name: str, lease: str, *, now: datetime, is_failed: bool = False, note: str = "") -> None:
    """The run has ended. Raises LeaseLost if it was taken over."""
    state = RunState.FAILED if is_failed else RunState.DONE
    _change(conn, name, lease, {"state": state.value, "ended_at": now, "note": note})


def _change(conn: Connection, name: str, lease: str, values: dict[str, Any]) -> None:
    changed = conn.execute(
        update(timed_run)
        .where(timed_run.c.name == name, timed_run.c.lease == lease, timed_run.c.state == RunState.RUNNING.value)
        .values(values)
    )
    if not changed.rowcount:
        raise LeaseLost(f"{name} is no longer ours")


def find(conn: Connection, name: str) -> Run | None:
    """The run called ``name``."""
    row = conn.execute(select(timed_run).where(timed_run.c.name == name)).first()
    return None if row is None else _run(row)


def expired(conn: Connection, now: datetime) -> list[Run]:
    """Runs whose process went away; `claim` them by name."""
    rows = conn.execute(
        select(timed_run)
        .where(timed_run.c.state == RunState.RUNNING.value, timed_run.c.leased_until < now)
        .order_by(timed_run.c.started_at)
    )
    return [_run(row) for row in rows]


def latest(conn: Connection, job: str, limit: int = 20) -> list[Run]:
    """The last runs of ``job``, the newest first."""
    rows = conn.execute(
        select(timed_run)
        .where(timed_run.c.name >= f"{job}@", timed_run.c.name < f"{job}A")
        .order_by(timed_run.c.name.desc())
        .limit(limit)
    )
    return [_run(row) for row in rows]
