"""GET and PUT /widget/api/settings: what pops up, destinations and absences, how the connections are (U1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from hub.core.employee import Absence, Employee
from hub.core.popup import Preferences
from hub.core.records import EmployeeId
from hub.runtime.absences import Away, StaffChange, change_staff
from hub.store import popup_preferences
from hub.store import projects as stored_projects
from hub.store.projects import Status
from hub.web.widget.live import wanted_popups
from hub.web.widget.refusal import Refusal
from hub.web.widget.session import hub_version
from hub.web.widget.visitor import Visitor

__all__ = ["read", "write"]

#: how much one change may hold
MOST_ROWS, MOST_VALUES, LONGEST = 500, 20, 200


async def read(visitor: Visitor) -> Response:
    """Everything that the settings page shows; others' rows for who may change them."""
    return JSONResponse(await _settings(visitor))


async def write(visitor: Visitor) -> Response:
    """Change one's own preferences, and employees' destinations and absences where the policy lives in the console."""
    if not set(visitor.body) <= {"popups", "employees", "request"}:
        raise Refusal("bad_field", field=sorted(set(visitor.body) - {"popups", "employees", "request"})[0])
    wanted = await _preferences(visitor)
    changes = _changes(visitor)
    if changes:
        if visitor.project.row.managed == "file":
            raise Refusal("in_file")
        if not _may_change_others(visitor):
            for change in changes:
                _refuse_unknown(visitor, visitor.policy.people.by_id[change.employee], change.destinations or ())
        author = visitor.policy.names[visitor.employee] if visitor.employee else f"CRM user {visitor.user}"
        await change_staff(
            visitor.services, visitor.project, changes, author=author, reason=f"widget, {visitor.connection.name}"
        )
    if wanted is not None:
        me, name, now = visitor.me, visitor.project.name, visitor.services.clock.now()
        await visitor.services.store.write(lambda conn: popup_preferences.put(conn, name, me, wanted, now))
    return JSONResponse(await _settings(_renewed(visitor)))


def _renewed(visitor: Visitor) -> Visitor:
    live = visitor.services.projects.get(visitor.project.name)
    return replace(visitor, project=live, connection=live.connection(visitor.connection.name) or visitor.connection)


# --- what is wanted ---------------------------------------------------------------------------------------------


async def _preferences(visitor: Visitor) -> Preferences | None:
    told = visitor.body.get("popups")
    if told is None:
        return None
    known = Preferences.__dataclass_fields__
    if not isinstance(told, dict) or not told.keys() <= known.keys():
        raise Refusal("bad_field", field="popups")
    if not all(isinstance(value, bool) for value in told.values()):
        raise Refusal("bad_field", field="popups")
    return replace(Preferences(**await wanted_popups(visitor)), **told)


def _changes(visitor: Visitor) -> list[StaffChange]:
    told = visitor.body.get("employees")
    if told is None:
        return []
    if not isinstance(told, list) or len(told) > MOST_ROWS:
        raise Refusal("bad_field", field="employees")
    changes = []
    for row in told:
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise Refusal("bad_field", field="employees.id")
        employee = EmployeeId(row["id"])
        if employee not in visitor.policy.people.by_id:
            raise Refusal("not_found", field="employees.id")
        if employee != visitor.employee and not _may_change_others(visitor):
            raise Refusal("may_not")
        changes.append(
            StaffChange(
                employee=employee,
                destinations=_destinations(row["destinations"]) if "destinations" in row else None,
                absences=_absences(row["absences"]) if "absences" in row else None,
            )
        )
    return changes


def _may_change_others(visitor: Visitor) -> bool:
    return visitor.is_admin or "head" in visitor.roles


def _destinations(told: object) -> tuple[str, ...]:
    """Texts, or the rows that `read` gave."""
    rows = _rows(told, "destinations")
    texts = [row.get("id") if isinstance(row, dict) else row for row in rows]
    found = [text.strip() for text in texts if isinstance(text, str) and 0 < len(text.strip()) <= LONGEST]
    if len(found) != len(rows):
        raise Refusal("bad_field", field="destinations")
    return tuple(dict.fromkeys(found))


def _refuse_unknown(visitor: Visitor, me: Employee, places: Sequence[str]) -> None:
    """A place where the company's calls would go is one's own, or somebody enters it who answers for others."""
    if visitor.policy.forwarding.own_destinations == "any":
        return
    known = {_plain(text) for text in (*me.destinations, *me.logins, *me.mobiles, me.extension) if text}
    for place in places:
        if _plain(place) not in known:
            raise Refusal("not_yours", field=place)


def _plain(text: str) -> str:
    """A number however it is spelled, a login as it is."""
    digits = "".join(char for char in text if char.isdecimal())
    return text.casefold() if any(char.isalpha() for char in text) else digits.removeprefix("00")


def _absences(told: object) -> tuple[Away, ...]:
    found = []
    for row in _rows(told, "absences"):
        if not isinstance(row, dict):
            raise Refusal("bad_field", field="absences")
        since, until = _day(row.get("from"), "absences.from"), _day(row.get("to"), "absences.to")
        why = row.get("reason", "")
        if not isinstance(why, str) or len(why) > LONGEST:
            raise Refusal("bad_field", field="absences.reason")
        try:
            Absence(since=since, until=until, why=why)
        except ValueError:
            raise Refusal("bad_field", field="absences.to") from None
        found.append(Away(since=since, until=until, why=why.strip()))
    return tuple(found)


def _rows(told: object, field: str) -> Sequence[Any]:
    if not isinstance(told, list) or len(told) > MOST_VALUES:
        raise Refusal("bad_field", field=field)
    return told


def _day(told: object, field: str) -> datetime | date:
    """A day, or an instant with its zone."""
    if isinstance(told, str):
        try:
            if len(told) == len("2026-01-01"):
                return date.fromisoformat(told)
            found = datetime.fromisoformat(told)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Refusal("bad_field", field=field) from None
    raise Refusal("bad_field", field=field)


# --- what is shown ----------------------------------------------------------------------------------------------


async def _settings(visitor: Visitor) -> Mapping[str, Any]:
    live, policy = visitor.project, visitor.policy
    may_all = _may_change_others(visitor)
    shown = policy.employees if may_all else [one for one in policy.employees if one.id == visitor.employee]
    own = next((one for one in policy.employees if one.id == visitor.employee), None)
    public = visitor.services.settings.public_url
    return {
        "is_admin": visitor.is_admin,
        "me": _row(visitor, own) if own else None,
        "popups": await wanted_popups(visitor),
        "employees": [_row(visitor, one) for one in shown],
        "can_edit": live.row.managed == "console",
        "note": "" if live.row.managed == "console" else visitor.t("widget_refusal.in_file"),
        "connections": await _connections(visitor),
        "console": f"{public}/console/{live.name}/",
        "hub_version": hub_version(),
    }


def _row(visitor: Visitor, employee: Employee) -> dict[str, Any]:
    user = visitor.connection.users.get(EmployeeId(employee.id))
    crm = next((one.name for one in visitor.connection.catalogue.users if one.id == user), user or "")
    may = visitor.project.row.managed == "console"
    return {
        "id": employee.id,
        "name": employee.name or employee.id,
        "crm_user": crm,
        "destinations": [{"id": text, "title": text} for text in employee.destinations],
        "absences": [
            {"from": _told(one.since), "to": _told(one.until), "reason": one.why} for one in employee.absences
        ],
        "can_edit": may and (employee.id == visitor.employee or _may_change_others(visitor)),
    }


def _told(moment: datetime | date) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(moment, datetime) else str(moment)


async def _connections(visitor: Visitor) -> list[dict[str, Any]]:
    """How the channels and CRMs are; the reasons, which may name accounts, only for who can do something about it."""
    live, services = visitor.project, visitor.services
    channels = await services.store.read(lambda conn: stored_projects.list_channels(conn, services.cipher, live.name))
    found: list[dict[str, Any]] = []
    for channel in channels:
        problem = live.problems.get(channel.name) or services.channel_problems.get((live.name, channel.name), "")
        status = Status.MISCONFIGURED if problem else Status.READY
        found.append(_health(visitor, channel.name, channel.source, "channel", status, problem, channel.last_seen_at))
    for connection in live.connections:
        row = connection.row
        account = services.accounts.get((live.name, row.name))
        status = Status(account.health.value) if account and row.status is not Status.OFF else row.status
        reason = (account.health_reason if account else "") or row.status_reason or live.problems.get(row.name, "")
        found.append(_health(visitor, row.name, row.sink, "crm", status, reason, row.feed_at))
    return found


def _health(
    visitor: Visitor, name: str, title: str, kind: str, status: Status, reason: str, seen_at: datetime | None
) -> dict[str, Any]:
    sentence = visitor.t(f"status.{status.value}")
    if reason and _may_change_others(visitor):
        sentence = f"{sentence}: {reason}"
    told: dict[str, Any] = {"name": name, "title": title, "kind": kind, "health": status.value, "sentence": sentence}
    if seen_at is not None:
        told["seen_at"] = _told(seen_at)
    return told
