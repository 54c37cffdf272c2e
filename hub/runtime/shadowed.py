"""Says how shadow compares with what happened: for a sales head in a language, and as JSON for programs (X2, U4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hub.core.difference import row_of
from hub.core.shadow import ASPECTS, Finding, Verdict
from hub.runtime.rehearse import Wanted
from hub.runtime.rehearsed import Speaker, actions_text, because_text, client_text
from hub.runtime.shadow import Comparison, ShadowExample
from hub.runtime.telling import headline

__all__ = ["comparison_json", "comparison_text", "finding_text"]

SHOWN, EXAMPLES = 20, 5


def finding_text(found: Finding, speaker: Speaker) -> str:
    """One way to differ, in words."""
    ours, theirs = speaker.person(found.ours), speaker.person(found.theirs)
    return speaker.t(f"shadow_differs.{found.code}", ours=ours, theirs=theirs)


def comparison_text(found: Comparison, wanted: Wanted, speaker: Speaker) -> str:
    """The whole comparison as plain text, for ``hub shadow``."""
    return "\n".join(_lines(found, wanted, speaker))


def _lines(found: Comparison, wanted: Wanted, speaker: Speaker) -> Iterator[str]:
    t, zone = speaker.t, speaker.zone
    yield t("shadow.title", since=t.minute(wanted.since, zone), until=t.minute(wanted.until, zone))
    if not found.decisions:
        yield t("shadow.nothing")
        return
    share = round(100 * found.agreeing / found.decisions, 1)
    yield t(
        "shadow.agreeing",
        agreeing=t.number(found.agreeing),
        decisions=t.number(found.decisions),
        share=t.number(share),
    )
    yield ""
    width = max(len(t(f"shadow_aspect.{aspect}")) for aspect in ASPECTS)
    yield f"  {'':{width}}   {t('shadow.columns')}"
    for aspect in ASPECTS:
        counts = " / ".join(t.number(found.verdicts[aspect][verdict]) for verdict in Verdict)
        yield f"  {t(f'shadow_aspect.{aspect}'):{width}}   {counts}"
    groups = found.most_frequent
    if groups:
        yield ""
        yield t("shadow.groups")
        yield from (f"{t.number(one.count):>7}  {finding_text(one.finding, speaker)}" for one in groups[:SHOWN])
    if found.unknown:
        yield ""
        yield t("shadow.unknown")
        for code, count in found.unknown.most_common():
            yield f"  {t(f'shadow_unknown.{code}', count=t.number(count))}"
    told: set[str] = set()
    for group in groups:
        if group.examples[0].interaction.id not in told and len(told) < EXAMPLES:
            told.add(group.examples[0].interaction.id)
            yield ""
            yield from _example(group.examples[0], group.finding, speaker)


def _example(example: ShadowExample, finding: Finding, speaker: Speaker) -> Iterator[str]:
    t, plan = speaker.t, example.plan
    talker = speaker.person(plan.talked) if plan.talked else ""
    happened = headline(example.interaction, client_text(example.interaction), t, talker)
    yield f"{t.minute(example.interaction.started_at, speaker.zone)}: {happened}"
    yield f"  {finding_text(finding, speaker)}"
    yield f"  {t('shadow.ours')}: {because_text(plan, speaker)}"
    yield from (f"    · {line}" for line in actions_text(plan, speaker))


def comparison_json(found: Comparison, wanted: Wanted, speaker: Speaker) -> dict[str, Any]:
    """The comparison as plain data; employees are ids, moments ISO 8601 in UTC."""
    return {
        "since": wanted.since.isoformat(),
        "until": wanted.until.isoformat(),
        "channel": wanted.channel,
        "decisions": found.decisions,
        "agreeing": found.agreeing,
        "aspects": {
            aspect: {verdict.value: found.verdicts[aspect][verdict] for verdict in Verdict} for aspect in ASPECTS
        },
        "unknown": dict(found.unknown.most_common()),
        "groups": [
            {
                "kind": one.finding.code,
                "ours": one.finding.ours,
                "theirs": one.finding.theirs,
                "text": finding_text(one.finding, speaker),
                "count": one.count,
                "examples": [
                    {
                        "interaction": example.interaction.id,
                        "external_id": example.interaction.external_id,
                        "connection": example.connection,
                        "row": row_of(example.plan),
                        "because": because_text(example.plan, speaker),
                        "actions": actions_text(example.plan, speaker),
                    }
                    for example in one.examples
                ],
            }
            for one in found.most_frequent
        ],
    }
