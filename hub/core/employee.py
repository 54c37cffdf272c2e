"""Who works here, by what the telephony knows them, and who stands in for whom (R8, R9, X11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from hub.core.interaction import Destination, Identity
from hub.core.part import Part
from hub.core.phone import Phone, parse_phone
from hub.core.records import EmployeeId, user_of

__all__ = ["Absence", "Employee", "People", "Role", "index_people", "span_of"]

Role = Literal["manager", "senior", "head", "quality", "administrator"]


class Absence(Part):
    """A time in which an employee is away; a deputy acts for them, the clients stay theirs (X11)."""

    #: a date is its first moment in the project's time zone, a moment without a zone is in that zone too
    since: datetime | date
    #: a date is its last moment
    until: datetime | date
    #: an employee's id; "" = nobody
    deputy: str = ""
    why: str = ""

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Absence:
        begin, end = span_of(self, ZoneInfo("UTC"))
        if end <= begin:
            raise ValueError(f"the absence since {self.since} ends before it begins")
        return self


class Employee(Part):
    """One employee: a user of the CRM and a person whom the telephony rings."""

    #: short and lasting: other parts of the policy name the employee by it
    id: str = Field(min_length=1, max_length=64, pattern=r"^[^@/\s~|:][^/\s~|:]*$")
    name: str = ""
    email: str = ""
    roles: tuple[Role, ...] = ("manager",)
    #: where forwarding may send calls for them (SIP logins or phones), the preferred first: the white list (R2)
    destinations: tuple[str, ...] = ()
    #: further SIP logins by which they are recognised
    logins: tuple[str, ...] = ()
    #: corporate mobiles (R9)
    mobiles: tuple[str, ...] = ()
    #: numbers and logins whose calls never reach the CRM (R8)
    private_lines: tuple[str, ...] = ()
    extension: str = ""
    #: the telephony's own ids of the employee
    staff_ids: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    #: takes new clients in turn (W4)
    receives_new: bool = True
    #: how many turns they take where others take one
    weight: int = Field(default=1, ge=1, le=100)
    #: open deals (or unanswered chats, as the group counts) beyond which no client comes by turn; None = no limit
    capacity: int | None = Field(default=None, ge=0)
    skills: tuple[str, ...] = ()
    #: the channel on which their message goes out when they start the conversation (W9); "" = the first that fits
    writes_from: str = ""
    #: name of a schedule; "" = the project's
    schedule: str = ""
    absences: tuple[Absence, ...] = ()
    #: the CRM's user by connection, where e-mail or name does not tell; "" = has none there, on purpose
    crm_users: Mapping[str, str] = {}

    @field_validator("roles")
    @classmethod
    def _roles_are_named(cls, value: tuple[Role, ...]) -> tuple[Role, ...]:
        if not value:
            raise ValueError("at least one role: manager, senior, head, quality or administrator")
        return value


@dataclass(frozen=True, kw_only=True)
class People:
    """All employees, found by whatever the telephony calls them."""

    by_id: Mapping[EmployeeId, Employee]
    by_login: Mapping[str, EmployeeId]
    by_phone: Mapping[Phone, EmployeeId]
    by_extension: Mapping[str, EmployeeId]
    by_staff_id: Mapping[str, EmployeeId]
    by_email: Mapping[str, EmployeeId]
    private_phones: frozenset[Phone]
    private_logins: frozenset[str]

    def recognise(self, place: Destination) -> EmployeeId | None:
        """The employee at ``place``: by staff id, login, phone, e-mail, extension, in this order (R9)."""
        found = None
        if place.staff_id:
            # a vendor whom the hub told of the employees knows them by the hub's own ids
            told = EmployeeId(place.staff_id)
            found = self.by_staff_id.get(place.staff_id) or (told if told in self.by_id or user_of(told) else None)
        if found is None and place.login:
            found = self.by_login.get(place.login.lower())
        if found is None and place.phone:
            found = self.by_phone.get(place.phone)
        if found is None and place.email:
            found = self.by_email.get(place.email.lower())
        if found is None and place.extension:
            found = self.by_extension.get(place.extension)
        return found

    def recognise_client(self, identity: Identity) -> EmployeeId | None:
        """The employee who stands on the client's side of an internal call (R6), None for a real client."""
        for phone in identity.phones:
            if phone in self.by_phone:
                return self.by_phone[phone]
        for _, handle in identity.handles:
            found = self.by_login.get(handle.lower()) or self.by_extension.get(handle)
            if found is not None:
                return found
        return None

    def is_private(self, place: Destination) -> bool:
        """True for an employee's private SIM or line (R8)."""
        return place.phone in self.private_phones or (bool(place.login) and place.login.lower() in self.private_logins)


def index_people(employees: tuple[Employee, ...], region: str, *, eight_is_seven: bool) -> People:
    """`People` of ``employees``; the first who claims a number or login keeps it."""
    by_login: dict[str, EmployeeId] = {}
    by_phone: dict[Phone, EmployeeId] = {}
    by_extension: dict[str, EmployeeId] = {}
    by_staff_id: dict[str, EmployeeId] = {}
    by_email: dict[str, EmployeeId] = {}
    private_phones: set[Phone] = set()
    private_logins: set[str] = set()
    for employee in employees:
        me = EmployeeId(employee.id)
        for text in (*employee.destinations, *employee.logins, *employee.mobiles):
            phone = parse_phone(text, region, eight_is_seven=eight_is_seven)
            if phone is None:
                by_login.setdefault(text.lower(), me)
            else:
                by_phone.setdefault(phone, me)
        for text in employee.private_lines:
            phone = parse_phone(text, region, eight_is_seven=eight_is_seven)
            if phone is None:
                private_logins.add(text.lower())
            else:
                private_phones.add(phone)
        if employee.extension:
            by_extension.setdefault(employee.extension, me)
        for staff_id in employee.staff_ids:
            by_staff_id.setdefault(staff_id, me)
        if employee.email:
            by_email.setdefault(employee.email.lower(), me)
    return People(
        by_id={EmployeeId(employee.id): employee for employee in employees},
        by_login=by_login,
        by_phone=by_phone,
        by_extension=by_extension,
        by_staff_id=by_staff_id,
        by_email=by_email,
        private_phones=frozenset(private_phones),
        private_logins=frozenset(private_logins),
    )


def span_of(absence: Absence, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """An absence as instants: a date begins with its first moment and ends with its last (partial days: X11)."""
    return _instant(absence.since, zone, is_end=False), _instant(absence.until, zone, is_end=True)


def _instant(value: datetime | date, zone: ZoneInfo, *, is_end: bool) -> datetime:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    day = value + timedelta(days=1) if is_end else value
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
