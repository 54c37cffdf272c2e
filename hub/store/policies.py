"""The versions of a project's policy: every one is kept, the newest is in force."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from hub.errors import ConfigurationError
from hub.store.schema import policy_version

__all__ = ["PolicyVersion", "at", "diff", "get", "head", "list_versions", "publish", "rollback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One published text of the policy."""

    project: str
    version: int
    text: str
    author: str
    reason: str
    #: the version that the author saw; None for the first
    based_on: int | None
    published_at: datetime


def _version(row: Row[Any]) -> PolicyVersion:
    return PolicyVersion(
        project=row.project,
        version=row.version,
        text=row.text,
        author=row.author,
        reason=row.reason,
        based_on=row.based_on,
        published_at=row.published_at,
    )


def head(conn: Connection, project: str) -> PolicyVersion | None:
    """The policy in force; None before the first."""
    row = conn.execute(
        select(policy_version)
        .where(policy_version.c.project == project)
        .order_by(policy_version.c.version.desc())
        .limit(1)
    ).first()
    return None if row is None else _version(row)


def at(conn: Connection, project: str, moment: datetime) -> PolicyVersion | None:
    """The policy that was in force at ``moment``; the first one for what came before it, None if there is none."""
    versions = list_versions(conn, project)
    return next((found for found in versions if found.published_at <= moment), versions[-1] if versions else None)


def get(conn: Connection, project: str, version: int) -> PolicyVersion:
    """One version. Raises ConfigurationError if there is none."""
    row = conn.execute(
        select(policy_version).where(policy_version.c.project == project, policy_version.c.version == version)
    ).first()
    if row is None:
        raise ConfigurationError(f"there is no version {version} of the policy", path=f"project {project}")
    return _version(row)


def list_versions(conn: Connection, project: str) -> list[PolicyVersion]:
    """All versions, the newest first."""
    rows = conn.execute(
        select(policy_version).where(policy_version.c.project == project).order_by(policy_version.c.version.desc())
    )
    return [_version(row) for row in rows]


def publish(
    conn: Connection,
    project: str,
    *,
    text: str,
    author: str,
    based_on: int | None,
    now: datetime,
    reason: str = "",
) -> PolicyVersion:
    """Put ``text`` in force; it was checked before.

    Raises ConfigurationError if somebody published after ``based_on`` was read, so that nobody's change is lost.
    """
    present = head(conn, project)
    if based_on != (present.version if present else None):
        newest = f"version {present.version} by {present.author}" if present else "none"
        raise ConfigurationError(
            f"the policy changed meanwhile (now {newest}): read it again and repeat the change",
            path=f"project {project}",
        )
    version = (present.version if present else 0) + 1
    # two processes that passed the check at once: the primary key lets one of them through
    statement = insert(policy_version).values(
        project=project,
        version=version,
        text=text,
        author=author,
        reason=reason,
        based_on=based_on,
        published_at=now,
    )
    try:
        conn.execute(statement)
    except IntegrityError as err:
        raise ConfigurationError(
            "the policy changed meanwhile: read it again and repeat the change", path=f"project {project}"
        ) from err
    return get(conn, project, version)


def rollback(
    conn: Connection, project: str, *, to: int, author: str, based_on: int, now: datetime, reason: str = ""
) -> PolicyVersion:
    """Put the text of an earlier version in force again, as a new version."""
    return publish(
        conn,
        project,
        text=get(conn, project, to).text,
        author=author,
        based_on=based_on,
        now=now,
        reason=reason or f"back to version {to}",
    )


def diff(conn: Connection, project: str, before: int, after: int) -> str:
    """What changed between two versions, as a unified diff; "" if nothing did."""
    one, other = get(conn, project, before), get(conn, project, after)
    lines = difflib.unified_diff(
        one.text.splitlines(keepends=True),
        other.text.splitlines(keepends=True),
        f"version {before}",
        f"version {after}",
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
