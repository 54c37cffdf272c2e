"""All settings of one project, read from TOML: identity, matrix, rules, assignment, schedules, texts (DESIGN 6).

A policy never changes once read. What decisions need of it in another form (indexes, compiled conditions) is made
once, on first use, and kept with it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import PrivateAttr, ValidationError

from hub.core.complaint import complain, line_of
from hub.core.consistency import contradictions
from hub.core.employee import Employee, People, index_people, span_of
from hub.core.example import Example
from hub.core.matrix import CompiledRow, Row, compile_row
from hub.core.part import Part
from hub.core.phone import Phone, parse_phone
from hub.core.records import EmployeeId
from hub.core.rules import CompiledRule, Considers, RuleSettings, compile_rule
from hub.core.schedule import ALWAYS, Hours, Schedule, zone_of
from hub.core.section import (
    Assignment,
    CallRecords,
    Channel,
    ChannelSettings,
    Classify,
    Connection,
    Contacts,
    Deals,
    Forwarding,
    Group,
    IdentityRules,
    Messages,
    NoteKind,
    Project,
    Retention,
    SourceRow,
    Timing,
)
from hub.core.table import Table
from hub.core.tasks import TaskKind
from hub.core.text import Language, LocalText
from hub.core.verdict import Memory
from hub.errors import ConfigurationError

__all__ = ["Policy", "load_policy", "policy_schema"]


class Policy(Part):
    """One project's settings; `load_policy` reads it."""

    project: Project = Project()
    employees: tuple[Employee, ...] = ()
    #: ids of employees; "" = the first with that role
    senior: str = ""
    head: str = ""
    channels: Mapping[str, Channel] = {}
    sources: tuple[SourceRow, ...] = ()
    crm: tuple[Connection, ...] = ()
    identity: IdentityRules = IdentityRules()
    classify: Classify = Classify()
    matrix: tuple[Row, ...] = ()
    rules: tuple[RuleSettings, ...] = ()
    #: C1's switch: the first rule that holds is the only one
    stop_at_first_rule: bool = False
    assignment: Assignment = Assignment()
    schedules: Mapping[str, Schedule] = {}
    contacts: Contacts = Contacts()
    deals: Deals = Deals()
    tasks: Mapping[str, TaskKind] = {}
    notes: Mapping[str, NoteKind] = {}
    #: a repeated missed call, on the call-back that is open (A3)
    repeated: LocalText = "{{ when }} {{ status }} {{ phone }}"
    #: what a call-back says when the client was reached
    reached: LocalText = "{{ when }} {{ status }} {{ employee }}"
    call_record: CallRecords = CallRecords()
    forwarding: Forwarding = Forwarding()
    timing: Timing = Timing()
    messages: Messages = Messages()
    retention: Retention = Retention()
    example: tuple[Example, ...] = ()

    _offered: dict[str, Considers] = PrivateAttr(default_factory=dict)

    def offer(self, rules: Iterable[Considers]) -> None:
        """Let ``[[rules]]`` use these plugin rules; before the first decision."""
        self._offered.update({rule.name: rule for rule in rules})

    @property
    def offered(self) -> Mapping[str, Considers]:
        """The plugins' rules that `offer` brought."""
        return self._offered

    @property
    def language(self) -> Language:
        return self.project.language

    @cached_property
    def zone(self) -> ZoneInfo:
        """The project's time zone."""
        return zone_of(self.project.time_zone)

    @cached_property
    def eight_is_seven(self) -> bool:
        """W7's switch, with its default by region."""
        chosen = self.project.eight_is_seven
        return self.project.region in {"RU", "KZ"} if chosen is None else chosen

    @cached_property
    def people(self) -> People:
        """The employees, found by whatever the telephony calls them."""
        return index_people(self.employees, self.project.region, eight_is_seven=self.eight_is_seven)

    @cached_property
    def names(self) -> Mapping[EmployeeId, str]:
        """The employees' names by id."""
        return {EmployeeId(found.id): found.name or found.id for found in self.employees}

    @cached_property
    def roles(self) -> Mapping[str, tuple[EmployeeId, ...]]:
        """Who has a role, the policy's own senior and head first."""
        found: dict[str, tuple[EmployeeId, ...]] = {}
        for employee in self.employees:
            for role in employee.roles:
                found[role] = (*found.get(role, ()), EmployeeId(employee.id))
        for role, chosen in (("senior", self.senior), ("head", self.head)):
            if chosen:
                rest = (other for other in found.get(role, ()) if other != chosen)
                found[role] = (EmployeeId(chosen), *rest)
        return found

    @cached_property
    def company_hours(self) -> Hours:
        """When the company is there."""
        return self.hours_of(self.project.schedule) or Hours(zone=self.zone, week=ALWAYS.week, special={})

    @cached_property
    def _hours(self) -> Mapping[str, Hours]:
        return {name: schedule.in_zone(self.project.time_zone) for name, schedule in self.schedules.items()}

    @cached_property
    def absences(self) -> Mapping[EmployeeId, tuple[tuple[datetime, datetime, str], ...]]:
        """When each employee is away (begin, end, deputy); only those who ever are (X11)."""
        return {
            EmployeeId(employee.id): tuple((*span_of(away, self.zone), away.deputy) for away in employee.absences)
            for employee in self.employees
            if employee.absences
        }

    def is_call_back(self, kind: str) -> bool:
        """True for a kind of task that is done as soon as the client is reached (A5)."""
        found = self.tasks.get(kind)
        return found is not None and found.until_reached

    @cached_property
    def destinations(self) -> Mapping[EmployeeId, str]:
        """Where forwarding may send a call for each employee; phones in international digits without a plus (R2)."""
        return {
            EmployeeId(one.id): found.lstrip("+") if (found := self.phone(text)) else text
            for one in reversed(self.employees)
            for text in one.destinations[:1]
        }

    def roles_on(self, employee: EmployeeId, channel: str) -> frozenset[str]:
        """What ``employee`` is on ``channel``: the channel's own word for it, else their roles (W4, W11)."""
        known = self.people.by_id.get(employee)
        if known is None:
            return frozenset()
        staff = self.channels[channel].staff.get(employee) if channel in self.channels else None
        return frozenset({staff.role}) if staff and staff.role else frozenset(known.roles)

    def receives_new_on(self, employee: EmployeeId, channel: str) -> bool:
        """W4's switch, on ``channel``; it has no effect for quality control (W2)."""
        known = self.people.by_id.get(employee)
        if known is None or self.roles_on(employee, channel) == {"quality"}:
            return False
        staff = self.channels[channel].staff.get(employee) if channel in self.channels else None
        return known.receives_new if staff is None or staff.receives_new is None else staff.receives_new

    def channel_of(self, channel: str, account: str) -> str:
        """The policy's channel for what came to the vendor's ``account`` through the hook ``channel`` (W11)."""
        return self._by_account.get(account, channel) if account else channel

    @cached_property
    def _by_account(self) -> Mapping[str, str]:
        return {channel.account: name for name, channel in self.channels.items() if channel.account}

    def channel_settings(self, channel: str) -> ChannelSettings:
        """What the policy says of ``channel``, with what it leaves to ``[messages]`` and ``[deals]``."""
        found = self._channel_settings.get(channel)
        return self._common_settings if found is None else found

    @cached_property
    def _channel_settings(self) -> Mapping[str, ChannelSettings]:
        return {name: ChannelSettings.of(channel, self.messages, self.deals) for name, channel in self.channels.items()}

    @cached_property
    def _common_settings(self) -> ChannelSettings:
        return ChannelSettings.of(Channel(), self.messages, self.deals)

    @cached_property
    def uses_unsorted(self) -> bool:
        """False if no deal ever waits in the CRM's inbox of undecided enquiries (W2)."""
        parts = (*self.channels.values(), *self.rules, *self.matrix)
        return self.deals.unsorted or any(part.unsorted for part in parts)

    def members(self, group: Group, channel: str = "") -> list[Employee]:
        """The employees of ``group``, in its order; those who receive no new clients never have a turn (W4)."""
        if group.members:
            found = [self.people.by_id[EmployeeId(member)] for member in group.members]
        else:
            found = [one for one in self.employees if not group.department or group.department in one.departments]
        return [employee for employee in found if self.receives_new_on(EmployeeId(employee.id), channel)]

    def hours_of(self, schedule: str) -> Hours | None:
        """The schedule called ``schedule``; None if there is none."""
        return self._hours.get(schedule)

    @cached_property
    def rows(self) -> tuple[CompiledRow, ...]:
        """The matrix, ready to be tried."""
        return tuple(compile_row(row, self, self.language) for row in self.matrix)

    @cached_property
    def compiled_rules(self) -> tuple[CompiledRule, ...]:
        """The rules, ready to be tried."""
        return tuple(compile_rule(rule, self, self.language, self._offered) for rule in self.rules)

    @cached_property
    def row_table(self) -> Table:
        """What the rows of the matrix say to facts."""
        return Table(entries=self.rows)

    @cached_property
    def rule_table(self) -> Table:
        """What the conditions of the rules say to facts."""
        return Table(entries=self.compiled_rules)

    @cached_property
    def verdicts(self) -> Memory:
        """What was judged before."""
        return Memory(self)

    @cached_property
    def channel_defaults(self) -> Mapping[str, Mapping[str, Any]]:
        """What each channel sets where nothing above does."""
        return {name: channel.settled(self.language) for name, channel in self.channels.items()}

    def phone(self, text: str) -> Phone | None:
        """``text`` as a number of the project's region."""
        return parse_phone(text, self.project.region, eight_is_seven=self.eight_is_seven)

    @cached_property
    def shared_numbers(self) -> frozenset[Phone]:
        """Numbers that identify nobody (X12)."""
        return frozenset(found for text in self.identity.shared_numbers if (found := self.phone(text)))

    @cached_property
    def further_keys(self) -> tuple[str, ...]:
        """Names of the identity's further keys (J4)."""
        return tuple(key.removeprefix("field:") for key in self.identity.keys if key.startswith("field:"))

    @cached_property
    def private_clients(self) -> frozenset[Phone]:
        """Clients who never reach the CRM (R8)."""
        return frozenset(found for text in self.classify.private_clients if (found := self.phone(text)))

    @cached_property
    def black_list(self) -> tuple[frozenset[Phone], tuple[str, ...]]:
        """Blocked numbers, and beginnings of blocked numbers."""
        exact = frozenset(
            found for text in self.classify.black_list if not text.endswith("*") and (found := self.phone(text))
        )
        return exact, tuple(text[:-1] for text in self.classify.black_list if text.endswith("*"))

    @cached_property
    def _source_numbers(self) -> tuple[tuple[SourceRow, Phone | None], ...]:
        return tuple((row, self.phone(row.number) if row.number else None) for row in self.sources)

    def fitting_sources(self, line: str, pool: str, department: str, channel: str, form: str) -> Iterator[SourceRow]:
        """The rows of the table of sources that fit, in order; one that names nothing fits all (R11, A16)."""
        for row, number in self._source_numbers:
            if (
                (number is None or number == line)
                and (not row.pool or row.pool.casefold() == pool.casefold())
                and (not row.department or row.department.casefold() == department.casefold())
                and (not row.channel or row.channel == channel)
                and (not row.form or row.form.casefold() == form.casefold())
            ):
                yield row


def load_policy(text: str, file: str = "", *, rules: Iterable[Considers] = ()) -> Policy:
    """The policy that the TOML ``text`` tells; ``rules`` are those of plugins that it may use.

    Raises ConfigurationError naming file, path, line where possible, and what is allowed.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        found = re.search(r"at line (\d+)", str(err))
        raise ConfigurationError(
            f"this is no TOML: {err}", file=file, line=int(found[1]) if found else max(1, len(text.splitlines()))
        ) from None
    except RecursionError:
        raise ConfigurationError("this is nested too deeply to be read", file=file) from None
    try:
        policy = Policy.model_validate(data)
    except ValidationError as err:
        raise complain(err, Policy, text, file) from None
    policy.offer(rules)
    for path, problem in contradictions(policy):
        where = ".".join(str(part) for part in path)
        raise ConfigurationError(problem, path=where, file=file, line=line_of(text, path))
    return policy


def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}
