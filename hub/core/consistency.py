"""What no single part of a policy can see: names that lead nowhere, deputies in a circle (X11), rules in vain (C1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hub.core.assign import WORDS
from hub.core.complaint import first_problem
from hub.core.employee import span_of
from hub.core.outcome import OutcomeSettings
from hub.core.reach import atoms_of, impossible, includes, overruled

if TYPE_CHECKING:
    from hub.core.policy import Policy

__all__ = ["Complaint", "contradictions", "findings"]

Found = Iterator[tuple[tuple[str | int, ...], str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Something of a policy that can be used and is hardly meant."""

    #: as ``rules.3.when``
    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def findings(policy: Policy) -> list[Complaint]:
    """Rows and rules that can never count, and rules that contradict each other, in the policy's order; warnings."""
    return [
        Complaint(path=".".join(str(part) for part in path), problem=problem)
        for path, problem in (*_rows_in_vain(policy), *_rules_in_vain(policy))
    ]


def _rows_in_vain(policy: Policy) -> Found:
    known = [(row.name, atoms_of(row.when)) for row in policy.matrix]
    for index, (_, atoms) in enumerate(known):
        field = impossible(atoms)
        if field:
            yield ("matrix", index, "when"), f"never holds: nothing meets all that it asks of {field!r}"
            continue
        taker = next((name for name, higher in known[:index] if includes(higher, atoms)), None)
        if taker is not None:
            yield ("matrix", index, "when"), f"is never reached: the row {taker!r} above fits wherever this one does"


def _rules_in_vain(policy: Policy) -> Found:
    known = [(rule, atoms_of(rule.when)) for rule in policy.rules]
    for index, (rule, atoms) in enumerate(known):
        field = impossible(atoms)
        if field:
            yield ("rules", index, "when"), f"never holds: nothing meets all that it asks of {field!r}"
            continue
        for above, higher in known[:index]:
            if above.use or not includes(higher, atoms):
                continue
            if above.stop or policy.stop_at_first_rule:
                yield ("rules", index, "when"), f"is never tried: {above.name!r} above holds wherever this one does"
                break
            for name in overruled(above, rule):
                yield ("rules", index, name), f"has no effect: {above.name!r} above sets it wherever this rule holds"
        if not (rule.use or rule.stop or rule.settled(policy.language)):
            yield ("rules", index), "sets nothing"


def contradictions(policy: Policy) -> Found:
    """Every (path, problem) of ``policy``; nothing if it is sound."""
    yield from _employees(policy)
    yield from _references(policy)
    yield from _channels(policy)
    yield from _outcomes(policy)
    yield from _conditions(policy)
    yield from _deputy_loops(policy)


def _employees(policy: Policy) -> Found:
    seen: set[str] = set()
    for index, employee in enumerate(policy.employees):
        if employee.id in seen:
            yield ("employees", index, "id"), f"{employee.id!r} stands twice"
        seen.add(employee.id)
    for place in ("senior", "head"):
        chosen = getattr(policy, place)
        if chosen and chosen not in seen:
            yield (place,), _unknown(chosen, "employee", seen)
    for index, employee in enumerate(policy.employees):
        if employee.schedule and employee.schedule not in policy.schedules:
            yield ("employees", index, "schedule"), _unknown(employee.schedule, "schedule", policy.schedules)
        for number, absence in enumerate(employee.absences):
            if absence.deputy and absence.deputy not in seen:
                path = ("employees", index, "absences", number, "deputy")
                yield path, _unknown(absence.deputy, "employee", seen)


def _references(policy: Policy) -> Found:
    employees = {employee.id for employee in policy.employees}
    if policy.project.schedule and policy.project.schedule not in policy.schedules:
        yield ("project", "schedule"), _unknown(policy.project.schedule, "schedule", policy.schedules)
    groups = policy.assignment.groups
    if policy.assignment.group and policy.assignment.group not in groups:
        yield ("assignment", "group"), _unknown(policy.assignment.group, "group", groups)
    for name, group in groups.items():
        path = ("assignment", "groups", name)
        for member in group.members:
            if member not in employees:
                yield (*path, "members"), _unknown(member, "employee", employees)
        if not group.members and group.department:
            if not any(group.department in employee.departments for employee in policy.employees):
                yield (*path, "department"), f"the group has no members: nobody is in {group.department!r}"
        elif not group.members and "members" in group.model_fields_set:
            yield (*path, "members"), "the group has no members"
        for word in group.fallback:
            if not _is_word(word, policy) or word.startswith("turn"):
                yield (*path, "fallback"), _not_a_word(word, policy)
    for index, source in enumerate(policy.sources):
        if source.owner and source.owner not in employees:
            yield ("sources", index, "owner"), _unknown(source.owner, "employee", employees)
        if source.number and policy.phone(source.number) is None:
            yield ("sources", index, "number"), f"{source.number!r} is no telephone number in {policy.project.region}"
    for place, texts in (
        (("identity", "shared_numbers"), policy.identity.shared_numbers),
        (("classify", "private_clients"), policy.classify.private_clients),
        (("classify", "black_list"), tuple(text for text in policy.classify.black_list if not text.endswith("*"))),
    ):
        for text in texts:
            if policy.phone(text) is None:
                yield place, f"{text!r} is no telephone number in {policy.project.region}"
    for key in policy.identity.keys:
        if key not in {"phone", "email", "name"} and not key.startswith("field:"):
            yield ("identity", "keys"), f"{key!r} is no key; allowed: phone, email, name, field:<name of the field>"
    for name in policy.identity.parameters:
        if f"field:{name}" not in policy.identity.keys:
            yield ("identity", "parameters", name), f"{name!r} is no further key; write 'field:{name}' into keys"


def _channels(policy: Policy) -> Found:
    """What is set per channel and employee (W9, W11)."""
    employees = {employee.id for employee in policy.employees}
    accounts: dict[str, str] = {}
    for name, channel in policy.channels.items():
        for employee in channel.staff:
            if employee not in employees:
                yield ("channels", name, "staff", employee), _unknown(employee, "employee", employees)
        if channel.account and channel.account in accounts:
            yield ("channels", name, "account"), f"is that of the channel {accounts[channel.account]!r} too"
        accounts.setdefault(channel.account, name)
    for index, one in enumerate(policy.employees):
        if one.writes_from and one.writes_from not in policy.channels:
            yield ("employees", index, "writes_from"), _unknown(one.writes_from, "channel", policy.channels)


def _outcomes(policy: Policy) -> Found:
    parts: list[tuple[tuple[str | int, ...], OutcomeSettings]] = [
        *((("matrix", index), row) for index, row in enumerate(policy.matrix)),
        *((("rules", index), rule) for index, rule in enumerate(policy.rules)),
        *((("channels", name), channel) for name, channel in policy.channels.items()),
    ]
    for path, part in parts:
        for word in part.words():
            if not _is_word(word, policy):
                yield path, _not_a_word(word, policy)
        if part.group and part.group not in policy.assignment.groups:
            yield (*path, "group"), _unknown(part.group, "group", policy.assignment.groups)
        for place, wishes in (("tasks", part.tasks or ()), ("more_tasks", part.more_tasks)):
            for index, wish in enumerate(wishes):
                if wish.task not in policy.tasks:
                    yield (*path, place, index, "task"), _unknown(wish.task, "kind of task", policy.tasks)
        for index, note in enumerate(part.notes or ()):
            if note.note not in policy.notes:
                yield (*path, "notes", index, "note"), _unknown(note.note, "note", policy.notes)
    if policy.messages.task and policy.messages.task not in policy.tasks:
        yield ("messages", "task"), _unknown(policy.messages.task, "kind of task", policy.tasks)
    for name, kind in policy.tasks.items():
        if "/" in name or "~" in name:
            yield ("tasks", name), "the name of a kind of task has no / and no ~"
        for index, step in enumerate(kind.overdue):
            for word in (*step.notify, *step.move_to):
                if word != "assignee" and not _is_word(word, policy):
                    yield ("tasks", name, "overdue", index), _not_a_word(word, policy)


def _conditions(policy: Policy) -> Found:
    """Conditions name schedules, rules name plugins' rules: both are known only when all is read."""
    from hub.core.matrix import compile_row
    from hub.core.rules import compile_rule

    names: set[str] = set()
    for index, row in enumerate(policy.matrix):
        if row.name in names:
            yield ("matrix", index, "name"), f"there are two rows called {row.name!r}"
        names.add(row.name)
        try:
            compile_row(row, policy, policy.language)
        except ValueError as err:
            yield ("matrix", index, "when"), str(err)
    for index, rule in enumerate(policy.rules):
        try:
            compile_rule(rule, policy, policy.language, policy.offered)
        except ValidationError as err:
            path, said = first_problem(err, policy.offered[rule.use].settings_model)
            yield ("rules", index, "settings", *path), said
        except ValueError as err:
            yield ("rules", index, "use" if rule.use else "when"), str(err)


def _deputy_loops(policy: Policy) -> Found:
    """A circle of deputies who are all away at one moment: nobody would act (X11)."""
    spans = {
        employee.id: [
            (span_of(absence, policy.zone), absence.deputy, index) for index, absence in enumerate(employee.absences)
        ]
        for employee in policy.employees
    }
    for place, employee in enumerate(policy.employees):
        for (begin, end), deputy, number in spans[employee.id]:
            if _returns(employee.id, deputy, begin, end, spans, {employee.id}):
                path = ("employees", place, "absences", number, "deputy")
                yield path, f"the deputies of {employee.id!r} lead back to {employee.id!r} while all of them are away"


def _returns(
    home: str,
    deputy: str,
    begin: datetime,
    end: datetime,
    spans: dict[str, list[tuple[tuple[datetime, datetime], str, int]]],
    seen: set[str],
) -> bool:
    if not deputy:
        return False
    if deputy == home:
        return True
    if deputy in seen:
        return False
    for (first, last), following, _ in spans.get(deputy, []):
        both = max(first, begin), min(last, end)
        if both[0] < both[1] and _returns(home, following, *both, spans, seen | {deputy}):
            return True
    return False


def _is_word(word: str, policy: Policy) -> bool:
    alternatives = word.split("|")
    if len(alternatives) > 1:
        return all(_is_word(one, policy) for one in alternatives)
    prefix, colon, rest = word.partition(":")
    if colon:
        return prefix == "turn" and rest in policy.assignment.groups
    return word in WORDS or any(employee.id == word for employee in policy.employees)


def _not_a_word(word: str, policy: Policy) -> str:
    people = [employee.id for employee in policy.employees]
    groups = [f"turn:{name}" for name in policy.assignment.groups]
    return f"{word!r} names nobody; allowed: {', '.join([*sorted(WORDS), *groups, *people])}"


def _unknown(name: str, what: str, known: object) -> str:
    names = ", ".join(sorted(map(str, known))) if isinstance(known, set | dict) else ""
    return f"there is no {what} {name!r}; there are: {names or 'none'}"
