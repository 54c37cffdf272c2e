"""Says what a replay comes to, in a language (X13, U4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hub.core.policy import Policy
from hub.core.records import EmployeeId
from hub.language import Translator
from hub.runtime.replay import Group, Replayed, Report
from hub.runtime.story import Person, StoryAction
from hub.runtime.telling import action_text, headline
from hub.store.work import WorkState

__all__ = ["report_text"]


def report_text(report: Report, t: Translator, policy: Policy, names: Mapping[EmployeeId, str]) -> str:
    """The report as plain text: counts first, then each group with examples."""
    return "\n".join(_lines(report, t, policy, names))


def _lines(report: Report, t: Translator, policy: Policy, names: Mapping[EmployeeId, str]) -> Iterator[str]:
    yield t("replay.rules_then") if report.rules == "then" else t("replay.rules_now")
    yield t.count("replay.looked_at", report.looked_at)
    if report.unchanged:
        yield t.count("replay.unchanged", report.unchanged)
    if report.unfinished:
        yield t.count("replay.unfinished", report.unfinished)
    if report.to_do:
        yield t.count("replay.to_do", len(report.to_do))
    for group in sorted(report.groups.values(), key=lambda found: -found.count):
        yield ""
        yield _group(group, t)
        for example in group.examples:
            yield from _example(example, t, policy, names)
    if report.undecidable:
        yield ""
        yield t.count("replay.undecidable", len(report.undecidable))
        for one in report.undecidable[:10]:
            yield f"  {one.work.interaction_id}: {one.problem or t('replay.no_policy')}"
    if report.left:
        yield ""
        yield t.count("replay.left", report.left)
    yield ""
    yield _end(report, t)


def _group(group: Group, t: Translator) -> str:
    kinds = dict.fromkeys(group.actions)
    did = ", ".join(t(f"kind.{kind}") for kind in kinds) or t("replay.no_actions")
    if group.row == group.row_before or not group.row_before:
        row = t("replay.row", row=group.row) if group.row else t("replay.no_row")
    else:
        row = t("replay.row_changes", before=group.row_before, row=group.row or t("replay.no_row"))
    return t("replay.group", n=t.number(group.count), crm=group.connection, row=row, did=did)


def _example(found: Replayed, t: Translator, policy: Policy, names: Mapping[EmployeeId, str]) -> Iterator[str]:
    told = found.interaction
    at = t.moment(told.started_at, policy.zone)
    client = next(iter((*told.client.phones, *told.client.emails, told.client.name)), "")
    talker = found.preview.plan.talked if found.preview else None
    who = names.get(talker, talker) if talker else ""
    yield f"  {found.work.interaction_id}  {at}  {headline(told, client, t, who)}"
    for effect, action in found.effects:
        employee = getattr(action, "assignee", None) or getattr(action, "responsible", None)
        person = Person(id=employee, name=names.get(employee, employee)) if employee else None
        said = action_text(StoryAction(action=action, state=None, person=person), t, policy.zone, names)
        yield f"    {t(f'effect.{effect}', action=said)}"
    if not found.effects and found.work.state is WorkState.ATTENTION:
        yield f"    {t('replay.cleared')}"


def _end(report: Report, t: Translator) -> str:
    if not report.to_do:
        return t("replay.nothing")
    if not report.is_written:
        return t("replay.dry")
    if report.is_bulk:
        return t.count("replay.opened_in_bulk", report.opened)
    return t.count("replay.opened", report.opened)
