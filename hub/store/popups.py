"""Popups as they stand, and the events that tell of every movement (DESIGN 8).

One row for each popup, replaced as it moves; beside it an event row for whoever watches. Whoever comes later (a tab
that is opened while the call rings, a stream that was cut) reads the rows, not the past.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from hub.core.popup import Popup, PopupState
from hub.core.records import EmployeeId
from hub.core.shown import Shown
from hub.store import codec, events
from hub.store.codec import Codec
from hub.store.live_schema import popup
from hub.store.prepared import Prepared

__all__ = [
    "CARD",
    "DISMISSED",
    "SHOWN",
    "Kept",
    "Told",
    "dismiss",
    "find",
    "forget_before",
    "load_told",
    "of_client",
    "put",
    "since",
]

#: kinds of event rows
SHOWN, DISMISSED = "popup", "popup_dismissed"
#: … of those that tell of records which open cards may show
CARD = "card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A popup with what it shows: the body of row and event."""

    popup: Popup
    shown: Shown = Shown()
    #: the telephony's id of the call, "" for anything else
    call_id: str = ""
    #: what the CRMs' own popups were asked for: ``connection/employee``, ``over:connection``
    raised: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A popup's row."""

    told: Told
    version: int = 0
    dismissed: frozenset[EmployeeId] = frozenset()
    event_id: int = 0
    updated_at: datetime | None = None

    @property
    def popup(self) -> Popup:
        return self.told.popup


_TOLD: Final[Codec[Told]] = Codec(Told)


_COLUMNS = (popup.c.body, popup.c.version, popup.c.dismissed, popup.c.event_id, popup.c.updated_at)
_OF_PROJECT = popup.c.project == bindparam("of_project")
# asked for with every call, mostly in vain
_FIND = Prepared(select(*_COLUMNS).where(_OF_PROJECT, popup.c.key == bindparam("by_key")))
_OF_CLIENT = Prepared(
    select(*_COLUMNS)
    .where(_OF_PROJECT, popup.c.client_id == bindparam("of_client"))
    .order_by(popup.c.event_id.desc())
    .limit(20)
)
_FIRST = ("project", "key", "version", "client_id", "body", "event_id", "updated_at")
_BEGIN = Prepared(
    sqlite.insert(popup).inline().on_conflict_do_nothing(),
    columns=_FIRST,
    postgresql=postgresql.insert(popup).inline().on_conflict_do_nothing(),
)
_MOVE = Prepared(
    update(popup)
    .where(
        popup.c.project == bindparam("of_project"),
        popup.c.key == bindparam("of_key"),
        popup.c.version == bindparam("before"),
    )
    .values(version=bindparam("after"), body=bindparam("told"), dismissed=bindparam("done_with"))
)
_SET_EVENT = Prepared(
    update(popup)
    .where(popup.c.project == bindparam("of_project"), popup.c.key == bindparam("of_key"))
    .values(event_id=bindparam("event"), updated_at=bindparam("now"))
)


def find(conn: Connection, project: str, key: str) -> Kept | None:
    """The popup with this key, None if there is none."""
    row = _FIND.first(conn, of_project=project, by_key=key)
    return None if row is None else _kept(row)


def of_client(conn: Connection, project: str, client_id: str) -> list[Kept]:
    """The client's latest popups, those that moved last first."""
    return [_kept(row) for row in _OF_CLIENT.rows(conn, of_project=project, of_client=client_id)]


def put(conn: Connection, project: str, before: Kept | None, told: Told, now: datetime) -> Kept | None:
    """Store ``told`` in the place of ``before`` and tell the watchers; None if somebody else was faster: look again.

    Employees to whom it is shown no more are told to take it away; those who have dealt with it see it again only if
    something new came or they themselves talk now.
    """
    key = told.popup.key
    if before is None:
        is_first = _BEGIN.change(
            conn,
            project=project,
            key=key,
            version=1,
            client_id=told.shown.client_id,
            body=_TOLD.dump(told),
            event_id=0,
            updated_at=now,
        )
        if not is_first:
            return None
        kept = Kept(told=told, version=1, updated_at=now)
    else:
        kept = Kept(
            told=told, version=before.version + 1, dismissed=_still_dismissed(before, told.popup), updated_at=now
        )
        is_changed = _MOVE.change(
            conn,
            of_project=project,
            of_key=key,
            before=before.version,
            after=kept.version,
            told=_TOLD.dump(told),
            done_with=codec.dump_json(kept.dismissed),
        )
        if not is_changed:
            return None
    gone = (before.popup.employees if before else frozenset()) - told.popup.employees
    if gone:
        body: Mapping[str, Any] = {"key": key, "to": sorted(gone)}
        event_id = events.append(conn, project=project, kind=DISMISSED, body=body, now=now)
    to = told.popup.employees - kept.dismissed
    if to or not gone:
        body = {"key": key, "to": sorted(to), "told": told}
        event_id = events.append(conn, project=project, kind=SHOWN, body=body, now=now)
    _SET_EVENT.change(conn, of_project=project, of_key=key, event=event_id, now=now)
    return replace(kept, event_id=event_id)


def _still_dismissed(before: Kept, now: Popup) -> frozenset[EmployeeId]:
    if now.interaction != before.popup.interaction:
        return frozenset()
    return frozenset(
        one
        for one in before.dismissed
        if not ((found := now.of(one)) and found.state is PopupState.TALKING)
        or ((was := before.popup.of(one)) and was.state is PopupState.TALKING)
    )


def dismiss(conn: Connection, project: str, key: str, employees: Collection[EmployeeId] | None, now: datetime) -> bool:
    """``employees`` have dealt with it (None = it is dealt with for everybody): their tabs take it away.

    False if there is no such popup, or it is not shown to any of them any more.
    """
    found = find(conn, project, key)
    if found is None:
        return False
    wanted = found.popup.employees if employees is None else found.popup.employees & frozenset(employees)
    gone = wanted - found.dismissed
    if not gone:
        return False
    own = (popup.c.project == project) & (popup.c.key == key)
    changed = (
        update(popup)
        .where(own, popup.c.version == found.version)
        .values(version=found.version + 1, dismissed=codec.dump_json(found.dismissed | gone), updated_at=now)
    )
    if not conn.execute(changed).rowcount:
        # it moved meanwhile, in another process
        return dismiss(conn, project, key, employees, now)
    event_id = events.append(conn, project=project, kind=DISMISSED, body={"key": key, "to": sorted(gone)}, now=now)
    conn.execute(update(popup).where(own).values(event_id=event_id))
    return True


def since(
    conn: Connection, project: str, after: int, *, now: datetime, recent: datetime, limit: int = 200
) -> list[Kept]:
    """What a stream that knows everything up to the event ``after`` has to catch up with, oldest first.

    Besides what moved since, everything that was touched after ``recent``: a tab that is opened while it rings. Some
    of it the browser may know; it drops events that it has seen.
    """
    looked_back = now - events.OVERLAP
    rows = conn.execute(
        select(*_COLUMNS)
        .where(
            popup.c.project == project,
            or_(popup.c.event_id > after, popup.c.updated_at >= min(looked_back, recent)),
        )
        .order_by(popup.c.event_id.desc())
        .limit(limit)
    )
    return [_kept(row) for row in reversed(list(rows))]


def forget_before(conn: Connection, moment: datetime) -> int:
    """Drop popups that nothing moved since; how many."""
    return conn.execute(delete(popup).where(popup.c.updated_at < moment)).rowcount


def load_told(body: Mapping[str, Any]) -> Told:
    """The popup in the body of a `SHOWN` event."""
    return _TOLD.load(codec.dump_json(body["told"]))


def _kept(row: Any) -> Kept:
    body, version, dismissed, event_id, updated_at = row
    told: Sequence[str] = codec.load_json(dismissed)
    return Kept(
        told=_TOLD.load(body),
        version=version,
        dismissed=frozenset(map(EmployeeId, told)),
        event_id=event_id,
        updated_at=updated_at,
    )
