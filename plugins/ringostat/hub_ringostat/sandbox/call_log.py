"""The vendor's call log as ``GET /calls/list`` tells it (reference C.2)."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from .parameters import Project, Telling, parameter_values
from .telephony import Call, Direction
from .webhook import Moment

LIMIT = 6500
DEFAULT_FIELDS = ("calldate", "caller", "dst", "disposition", "billsec", "utm_source", "utm_medium")

Cell = str | int
Row = dict[str, Cell]


class BadQuery(Exception):
    """A query parameter that the vendor could not read; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """One reading of the log, parameters as they came in the address."""

    since: datetime
    until: datetime
    fields: tuple[str, ...] = DEFAULT_FIELDS
    condition: str = ""
    order: str = ""
    merge: Literal["0", "1", "2"] = "0"


def parse_query(query: Mapping[str, str], *, now: datetime, zone: str) -> LogQuery:
    """Read ``from``, ``to``, ``fields``, ``filters``, ``order`` and ``merge``; BadQuery names what is wrong.

    ``zone`` is the zone of ``from`` and ``to``, which the vendor does not state (?): the sandbox takes the
    project's unless told otherwise.
    """
    until = _bound(query.get("to"), "to", zone, end=True) or now
    since = _bound(query.get("from"), "from", zone, end=False) or until - timedelta(hours=24)
    merge = query.get("merge", "0")
    if merge not in {"0", "1", "2"}:
        raise BadQuery(f"merge must be 0, 1 or 2, not {merge!r}")
    fields = tuple(name.strip() for name in query.get("fields", "").split(",") if name.strip())
    return LogQuery(
        since=since,
        until=until,
        fields=fields or DEFAULT_FIELDS,
        condition=query.get("filters", ""),
        order=query.get("order", ""),
        merge="1" if merge == "1" else "2" if merge == "2" else "0",
    )


def read_log(
    calls: Iterable[Call],
    query: LogQuery,
    *,
    now: datetime,
    project: Project,
    zone: str,
    plain_dates: bool = False,
    repeat_rows: bool = False,
) -> list[Row]:
    """Rows of the calls that began within the period, at most 6500, only the asked fields.

    A call that has not ended by ``now`` appears as IN PROGRESS. ``plain_dates`` writes dates without zone,
    ``repeat_rows`` gives each row twice: both have been seen.
    """
    shown = [call for call in calls if query.since <= call.started_at <= query.until and call.started_at <= now]
    rows = [_row(call, now=now, project=project, zone=zone, plain_dates=plain_dates) for call in shown]
    if query.condition:
        holds = _condition(query.condition)
        rows = [row for row in rows if holds(row)]
    if query.merge != "0":
        rows = _merged(rows, per_day=query.merge == "1")
    if query.order:
        field, _, way = query.order.partition(" ")
        rows.sort(key=lambda row: _sortable(row.get(field, "")), reverse=way.strip().lower() == "desc")
    if repeat_rows:
        rows = [row for row in rows for _ in range(2)]
    return [{name: row[name] for name in query.fields if name in row} for row in rows[:LIMIT]]


def to_csv(rows: list[Row], fields: tuple[str, ...]) -> str:
    """Semicolons between the cells, names in the first line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=fields, delimiter=";", restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(call: Call, *, now: datetime, project: Project, zone: str, plain_dates: bool) -> Row:
    last = len(call.legs) - 1
    telling = Telling(
        event=call,
        moment=Moment.AFTER,
        at=call.ended_at,
        leg=call.legs[last] if call.legs else None,
        leg_number=max(last, 0),
    )
    values = parameter_values(telling, project)
    is_alive = call.ended_at > now
    outgoing = call.direction is Direction.OUT
    local = call.started_at.astimezone(ZoneInfo(zone))
    employee_id = str(values["employee_id"])
    row: Row = {
        "uniqueid": call.id,
        "calldate": local.strftime("%Y-%m-%d %H:%M:%S" if plain_dates else "%Y-%m-%dT%H:%M:%S%z"),
        "call_type": call.direction.value,
        "caller": f'"{values["caller_name"]}" <{values["caller"]}>' if outgoing else str(values["client"]),
        "caller_number": call.company_number if outgoing else call.client_number,
        "dst": call.client_number if outgoing else call.company_number,
        "connected_with": "" if is_alive else str(values["destination"]),
        "disposition": "IN PROGRESS" if is_alive else str(values["status"]),
        "duration": 0 if is_alive else call.duration_seconds,
        "waittime": "0" if is_alive else str(call.waiting_seconds),
        "billsec": 0 if is_alive else call.talk_seconds,
        "duration_ms": "0" if is_alive else str(call.duration_seconds * 1000),
        "recording": "" if is_alive else str(values["recording_wav"]),
        "recording_wav": "" if is_alive else str(values["recording_wav"]),
        "has_recording": "0" if is_alive else str(values["has_recording"]),
        "call_card": str(values["call_card"]),
        "employee_number": -1 if is_alive or not employee_id.isdigit() else int(employee_id),
        "employee_fio": "" if is_alive else str(values["employee_name"]),
        "department": "" if is_alive else str(values["department"]),
        "extension_number": "" if is_alive else str(values["extension"]),
        "employee_mark": -1 if call.rating is None else call.rating,
        "category_number": -1 if call.category is None else call.category,
        "category_mark": 0,
        "call_counter": call.number_of_client,
        "proper_flag": int(call.is_target),
        "repeated_flag": int(call.is_repeat),
        "additional_number": "",
        "remote_ip": call.attribution.ip,
        "refferrer": call.attribution.referrer,
        "outbound_number": call.company_number if outgoing else "",
    }
    for name in [
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_content",
        "utm_term",
        "client_id",
        "landing",
        "pool_name",
        "scheme_name",
    ]:
        row[name] = str(values[name])
    return row


def _condition(text: str) -> Callable[[Row], bool]:
    """``field=value`` or ``field~<base64 of a regular expression>``; several conditions are undocumented (?)."""
    match = re.fullmatch(r"(\w+)([=~])(.*)", text, re.DOTALL)
    if match is None:
        raise BadQuery(f"filters could not be read: {text!r}")
    field, operator, wanted = match.groups()
    if operator == "=":
        return lambda row: str(row.get(field, "")) == wanted
    try:
        pattern = re.compile(base64.b64decode(wanted, validate=True).decode(), re.IGNORECASE)
    except (binascii.Error, UnicodeDecodeError, re.error) as error:
        raise BadQuery(f"filters: {wanted!r} is not a regular expression in base64") from error
    return lambda row: pattern.search(str(row.get(field, ""))) is not None


def _merged(rows: list[Row], *, per_day: bool) -> list[Row]:
    """The first row of every caller, per calendar day or over the whole period (how it joins is (?))."""
    seen: dict[tuple[str, str], Row] = {}
    for row in rows:
        day = str(row["calldate"])[:10] if per_day else ""
        seen.setdefault((str(row["caller"]), day), row)
    return list(seen.values())


def _bound(text: str | None, name: str, zone: str, *, end: bool) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadQuery(f"{name} must be YYYY-MM-DD HH:MM:SS, not {text!r}") from error
    if len(text) == len("2026-07-29") and end:
        moment += timedelta(days=1, seconds=-1)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(zone))


def _sortable(cell: Cell) -> tuple[int, int, str]:
    return (0, cell, "") if isinstance(cell, int) else (1, 0, cell)
