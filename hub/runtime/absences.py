"""An employee's destinations and absences, changed by themselves: a new version of the policy like any other (U1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import tomlkit
from sqlalchemy import Connection
from tomlkit.items import Table

from hub.core.employee import Absence
from hub.core.example_check import load_checked
from hub.core.records import EmployeeId
from hub.engine.projects import LiveProject
from hub.errors import ConfigurationError
from hub.runtime import setup
from hub.runtime.services import Services
from hub.store import policies

__all__ = ["Away", "StaffChange", "change_staff"]

#: how often a change is made anew because somebody else published meanwhile
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """A time in which an employee is away; dates are whole days."""

    since: datetime | date
    until: datetime | date
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffChange:
    """What is to be other for one employee; None stays as it is."""

    employee: EmployeeId
    destinations: tuple[str, ...] | None = None
    absences: tuple[Away, ...] | None = None


async def change_staff(
    services: Services, live: LiveProject, changes: Sequence[StaffChange], *, author: str, reason: str
) -> None:
    """Publish the policy with ``changes``, its comments kept. Raises ConfigurationError, and changes nothing.

    A policy that lives in a file is changed there: a version beside it would make the next import refuse the file.
    """
    if live.row.managed == "file":
        raise ConfigurationError("the policy is kept in a file: it is changed there", path="managed")
    for attempt in range(_TRIES):
        head = await services.store.read(lambda conn: policies.head(conn, live.name))
        if head is None:
            raise ConfigurationError("no policy is published yet", path=f"project {live.name}")
        text, version = _changed(head.text, changes), head.version
        if text == head.text:
            return
        load_checked(text, rules=services.plugins.rules.values())
        now = services.clock.now()

        def publish(conn: Connection, text: str = text, version: int = version, now: datetime = now) -> None:
            policies.publish(conn, live.name, text=text, author=author, based_on=version, now=now, reason=reason)

        try:
            await services.store.write(publish)
        except ConfigurationError:
            if attempt + 1 == _TRIES:
                raise
            continue
        await setup.refresh(services)
        return


def _changed(text: str, changes: Sequence[StaffChange]) -> str:
    document = tomlkit.parse(text)
    blocks: Mapping[str, Table] = {str(block["id"]): block for block in document.get("employees", ())}
    for change in changes:
        block = blocks.get(change.employee)
        if block is None:
            raise ConfigurationError("the policy has no such employee", path=f"employees.{change.employee}")
        if change.destinations is not None:
            _set_destinations(block, change.destinations)
        if change.absences is not None:
            _set_absences(block, change.absences)
    return tomlkit.dumps(document)


def _set_destinations(block: Table, wanted: tuple[str, ...]) -> None:
    if [str(one) for one in block.get("destinations", ())] != list(wanted):
        block["destinations"] = list(wanted)


def _set_absences(block: Table, wanted: tuple[Away, ...]) -> None:
    """The block's absences; whoever stands in for a time that stays is kept."""
    known = [Absence.model_validate(_plain(one)) for one in block.get("absences", ())]
    if [(one.since, one.until, one.why) for one in known] == [(one.since, one.until, one.why) for one in wanted]:
        return
    deputies = {(one.since, one.until): one.deputy for one in known}
    rows = tomlkit.array()
    for one in wanted:
        row = tomlkit.inline_table()
        row["since"], row["until"] = one.since, one.until
        deputy = deputies.get((one.since, one.until), "")
        if deputy:
            row["deputy"] = deputy
        if one.why:
            row["why"] = one.why
        rows.append(row)
    if "absences" in block:
        del block["absences"]
    if wanted:
        block.add("absences", rows)


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value
