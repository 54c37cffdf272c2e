"""Says what a rehearsal found: for a sales head in a language, and as JSON for programs (X2, U4).

Every function here is pure. An example tells both decisions with the words of `hub.runtime.telling`, as explain does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from hub.core.difference import FIELD, Difference, row_of, rules_of
from hub.core.explained import why_responsible
from hub.core.interaction import Interaction
from hub.core.load import Load
from hub.core.plan import Action, Plan
from hub.core.records import EmployeeId
from hub.core.rehearsal import Example, Report
from hub.language import Translator
from hub.runtime.rehearse import Wanted
from hub.runtime.story import Person, StoryAction
from hub.runtime.telling import action_text, headline, reason_text, row_title, task_name, trial_text

__all__ = [
    "Speaker",
    "actions_text",
    "because_text",
    "client_text",
    "difference_text",
    "report_json",
    "report_text",
]

#: groups that are told; the rest are counted
SHOWN = 20
#: examples that are told in the text; JSON has more
EXAMPLES = 5
#: differences whose ``before``, ``after`` and ``of`` are people; the others' are names of the policy
_PEOPLE = frozenset(
    {
        "responsible", "contact", "no_contact", "contact_responsible", "deal", "no_deal", "deal_responsible",
        "takeover", "task_responsible", "task", "no_task", "done_responsible", "done", "no_done", "record_content",
        "notice",
    }
)  # fmt: skip
_TASKS = frozenset(
    {"task_responsible", "task", "no_task", "task_content", "done_responsible", "done", "no_done", "done_content"}
)
_CODES = frozenset({"row", "now_nothing", "now_something"})
_LOADS = ("interactions", "deals", "tasks", "open_tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """In which words a report is told."""

    t: Translator
    zone: ZoneInfo
    #: what the employees are called, those of the trial policy too
    names: Mapping[EmployeeId, str]
    #: rows of the matrix by name, in the words of both policies
    titles: Mapping[str, str]

    def person(self, id: str) -> str:
        """An employee, several joined by ", ", or nobody."""
        if not id:
            return self.t("nobody")
        return ", ".join(self.names.get(EmployeeId(one), one) for one in id.split(", "))


def difference_text(found: Difference, speaker: Speaker) -> str:
    """One group of change, in words."""
    t = speaker.t
    values = {"of": found.of, "before": found.before, "after": found.after}
    if found.kind in _PEOPLE:
        values["before"], values["after"] = speaker.person(found.before), speaker.person(found.after)
    if found.kind == "task_instead":
        values["of"] = speaker.person(found.of)
    if found.kind == "takeover":
        values["of"] = t(f"record.{found.of}")
    if found.kind in _CODES:
        values |= {name: t.or_else(f"reason.{values[name]}", values[name]) for name in ("before", "after")}
    if found.kind in _TASKS:
        values["of"] = task_name(found.of, t)
    if found.kind == "task_instead":
        values |= {"before": task_name(found.before, t), "after": task_name(found.after, t)}
    if found.kind in ("task_content", "done_content"):
        values["before"] = ", ".join(t(f"task_part.{part}") for part in found.before.split(", "))
    if found.kind in ("contact_content", "deal_content"):
        parts = found.before.split(", ")
        values["before"] = ", ".join(t.or_else(f"record_part.{part}", part.removeprefix(FIELD)) for part in parts)
    if found.kind == "deal_stage":
        values |= {name: values[name] or "—" for name in ("before", "after")}
    return t(f"differs.{found.kind}", **values)


# --- the whole, for a terminal ----------------------------------------------------------------------------------


def report_text(report: Report, wanted: Wanted, policy: str, speaker: Speaker) -> str:
    """The whole report as plain text, for ``hub rehearse``."""
    return "\n".join(_lines(report, wanted, policy, speaker))


def _lines(report: Report, wanted: Wanted, policy: str, speaker: Speaker) -> Iterator[str]:
    t, zone = speaker.t, speaker.zone
    yield t("rehearse.title", policy=policy, since=t.minute(wanted.since, zone), until=t.minute(wanted.until, zone))
    if not report.decisions:
        yield t("rehearse.nothing")
    elif not report.changed:
        yield t("rehearse.same")
    if report.decisions:
        share = round(100 * report.changed / report.decisions, 1)
        yield t(
            "rehearse.changed",
            changed=t.number(report.changed),
            decisions=t.number(report.decisions),
            share=t.number(share),
        )
    if report.follow_ups:
        yield t("rehearse.follow_ups", count=t.number(report.follow_ups))
    if report.other_reason:
        yield t("rehearse.other_reason", count=t.number(report.other_reason))
    if report.groups:
        yield ""
        yield t("rehearse.groups")
        for group in report.groups[:SHOWN]:
            yield f"{t.number(group.count):>7}  {difference_text(group.difference, speaker)}"
        if len(report.groups) > SHOWN:
            yield f"  … {t('rehearse.more_groups', count=t.number(len(report.groups) - SHOWN))}"
    if report.then or report.now:
        yield ""
        yield t("rehearse.loads")
        yield from _loads(report, speaker)
        yield t("rehearse.unowned", then=t.number(report.unowned_then), now=t.number(report.unowned_now))
    if report.newly_unowned:
        yield ""
        yield t("rehearse.newly_unowned")
        for example in report.newly_unowned:
            yield from (f"  {line}" for line in _example(example, speaker))
    yield from _caveats(report, speaker)
    if examples := _chosen(report):
        yield ""
        yield t("rehearse.examples")
        for example in examples:
            yield from (f"  {line}" for line in _example(example, speaker))


def _chosen(report: Report) -> list[Example]:
    """Examples of the most frequent changes; a call that shows several of them is told once."""
    found: dict[tuple[str, str], Example] = {}
    for group in report.groups:
        if all((one.interaction.id, one.connection) not in found for one in group.examples):
            found.update({(one.interaction.id, one.connection): one for one in group.examples[:1]})
    return list(found.values())[:EXAMPLES]


def _caveats(report: Report, speaker: Speaker) -> Iterator[str]:
    t = speaker.t
    if report.unknown:
        yield ""
        yield t("rehearse.unknown")
        for reason, count in report.unknown.items():
            yield f"  {t(f'unknown.{reason.value}', count=t.number(count))}"
    if report.begun_before:
        yield t("rehearse.begun_before", count=t.number(report.begun_before))
    if report.versions:
        told = ", ".join(f"{version} ({t.number(count)})" for version, count in sorted(report.versions.items()))
        yield t("rehearse.versions", versions=told)


def _loads(report: Report, speaker: Speaker) -> Iterator[str]:
    t = speaker.t
    rows = [["", t("rehearse.interactions"), t("rehearse.deals"), t("rehearse.tasks"), t("rehearse.open_tasks")]]
    for employee in _employees(report):
        then, now = report.then.get(employee, Load()), report.now.get(employee, Load())
        pairs = [(getattr(then, name), getattr(now, name)) for name in _LOADS]
        rows.append([speaker.person(employee), *(f"{t.number(was)} → {t.number(is_)}" for was, is_ in pairs)])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  " + "   ".join(cells)


def _employees(report: Report) -> list[EmployeeId]:
    """Everybody who has something in one of the worlds, who changes most first."""

    def change(employee: EmployeeId) -> tuple[int, EmployeeId]:
        then, now = report.then.get(employee, Load()), report.now.get(employee, Load())
        return -sum(abs(getattr(now, name) - getattr(then, name)) for name in _LOADS), employee

    return sorted({*report.then, *report.now}, key=change)


# --- an example -------------------------------------------------------------------------------------------------


def _example(example: Example, speaker: Speaker) -> Iterator[str]:
    t = speaker.t
    who = client_text(example.interaction)
    talker = speaker.person(example.before.talked) if example.before.talked else ""
    yield f"{t.minute(example.interaction.started_at, speaker.zone)}: {headline(example.interaction, who, t, talker)}"
    yield f"  {t('rehearse.then')}: {because_text(example.before, speaker)}"
    yield from (f"    · {line}" for line in actions_text(example.before, speaker))
    yield f"  {t('rehearse.now')}: {because_text(example.after, speaker)}"
    yield from (f"    · {line}" for line in actions_text(example.after, speaker))
    before, after = row_of(example.before), row_of(example.after)
    passed = next((trial for trial in example.after.explanation.trials if trial.name == before), None)
    if before != after and passed is not None and not passed.has_won:
        yield f"    {t('rehearse.passed', row=before, why=trial_text(passed, t, speaker.names))}"


def client_text(interaction: Interaction) -> str:
    """Name, else number, else e-mail; "" for somebody who cannot be recognised."""
    known = interaction.client
    return next((text for text in (known.name, *known.phones, *known.emails) if text), "")


def because_text(plan: Plan, speaker: Speaker) -> str:
    """The row, the rules, and who is responsible and why."""
    t, row = speaker.t, row_of(plan)
    title = speaker.titles.get(row, "")
    named = f"{row} ({row_title(title, t)})" if title else t.or_else(f"reason.{row}", row)
    parts = [t("rehearse.because", row=named)]
    if rules := rules_of(plan):
        parts.append(t("rehearse.rules", rules=", ".join(rules)))
    if plan.responsible:
        why = why_responsible(plan.explanation.candidates, plan.responsible)
        reason = reason_text(why, t, speaker.names) if why else "—"
        parts.append(t("rehearse.responsible", who=speaker.person(plan.responsible), reason=reason))
    return "; ".join(parts)


def actions_text(plan: Plan, speaker: Speaker) -> list[str]:
    """Each action of ``plan`` as a sentence."""
    t, zone, names = speaker.t, speaker.zone, speaker.names
    told = [StoryAction(action=action, state=None, person=_whose(action, speaker)) for action in plan.actions]
    return [action_text(one, t, zone, names) for one in told]


def _whose(action: Action, speaker: Speaker) -> Person | None:
    employee = getattr(action, "assignee", None) or getattr(action, "responsible", None)
    return Person(id=employee, name=speaker.person(employee)) if employee else None


# --- for programs -----------------------------------------------------------------------------------------------


def report_json(report: Report, wanted: Wanted, policy: str, speaker: Speaker) -> dict[str, Any]:
    """The report as plain data; counts are whole numbers, moments ISO 8601 in UTC, employees ids."""
    return {
        "policy": policy,
        "since": wanted.since.isoformat(),
        "until": wanted.until.isoformat(),
        "channel": wanted.channel,
        "decisions": report.decisions,
        "changed": report.changed,
        "follow_ups": report.follow_ups,
        "other_reason": report.other_reason,
        "groups": [
            {
                "kind": group.difference.kind,
                "of": group.difference.of,
                "before": group.difference.before,
                "after": group.difference.after,
                "text": difference_text(group.difference, speaker),
                "count": group.count,
                "follow_ups": group.follow_ups,
                "examples": [_example_json(example, speaker) for example in group.examples],
            }
            for group in report.groups
        ],
        "loads": [
            {
                "employee": employee,
                "name": speaker.person(employee),
                **{
                    name: {
                        "then": getattr(report.then.get(employee, Load()), name),
                        "now": getattr(report.now.get(employee, Load()), name),
                    }
                    for name in _LOADS
                },
            }
            for employee in _employees(report)
        ],
        "unowned": {
            "then": report.unowned_then,
            "now": report.unowned_now,
            "examples": [_example_json(example, speaker) for example in report.newly_unowned],
        },
        "unknown": {reason.value: count for reason, count in report.unknown.items()},
        "begun_before": report.begun_before,
        "versions": {str(version): count for version, count in sorted(report.versions.items())},
    }


def _example_json(example: Example, speaker: Speaker) -> dict[str, Any]:
    return {
        "interaction": example.interaction.id,
        "external_id": example.interaction.external_id,
        "connection": example.connection,
        "decided_at": example.decided_at.isoformat(),
        "before": _plan_json(example.before, speaker),
        "after": _plan_json(example.after, speaker),
    }


def _plan_json(plan: Plan, speaker: Speaker) -> dict[str, Any]:
    return {
        "row": row_of(plan),
        "rules": list(rules_of(plan)),
        "responsible": plan.responsible,
        "because": because_text(plan, speaker),
        "actions": actions_text(plan, speaker),
    }
