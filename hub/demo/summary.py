"""What came of the day: figures for people in their language (U4), and as one line for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.demo import audit
from hub.language import Translator

__all__ = ["FIGURES", "DemoSummary", "Forwarded", "last_line", "listed", "show_summary"]

#: what the table begins with
FIGURES = ("interactions", "contacts", "deals", "tasks", "calls", "requests", "lost", "doubled", "needs_attention")
#: of these it is said that all CRMs are counted together
_OF_CRMS = {"contacts", "deals", "tasks", "calls", "requests"}
#: as many findings of the auditor are shown
_MOST_FINDINGS = 10


@dataclass(slots=True)
class Forwarded:
    """What the telephony heard when it asked before calls (R2)."""

    questions: int = 0
    #: employee -> how often the answer was to ring them
    to: Counter[str] = field(default_factory=Counter)
    #: nothing came in the telephony's time
    unanswered: int = 0

    @property
    def answered(self) -> int:
        """How often there was somebody to ring."""
        return sum(self.to.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """What came of the day, in all CRMs together; ``lost`` and ``doubled`` are the auditor's, not the hub's."""

    interactions: int
    contacts: int
    deals: int
    tasks: int
    calls: int
    requests: int
    lost: int
    doubled: int
    needs_attention: int
    #: webhooks whose answer came later than the vendor waits; whether anything of them is missing, the auditor tells
    late: int = 0
    #: asked before each client's first call of the day, and how often there was somebody to ring
    forwarding_questions: int = 0
    forwarding_answered: int = 0
    #: employee -> how often they were named
    forwarding_to: dict[str, int] = field(default_factory=dict)


def last_line(summary: DemoSummary) -> str:
    """The summary as the one JSON object that programs read."""
    return json.dumps(asdict(summary), ensure_ascii=False)


def listed(names: Sequence[str], t: Translator) -> str:
    """``a, b and c``."""
    return f"{', '.join(names[:-1])} {t('demo.and')} {names[-1]}" if len(names) > 1 else names[0]


def show_summary(
    console: Console,
    t: Translator,
    summary: DemoSummary,
    findings: Sequence[tuple[str, audit.Finding]],
    *,
    channels: Sequence[str],
    crms: Sequence[str],
) -> None:
    """The table of the day; ``findings`` with the CRM's title, ``channels`` and ``crms`` as vendors write them."""
    title = t("demo.title", channels=listed(channels, t), crms=listed(crms, t))
    table = Table(title=title, show_header=False, title_style="bold", min_width=60)
    table.add_column(style="cyan")
    table.add_column(justify="right")
    for name in FIGURES:
        told = t(f"demo.{name}")
        if name in _OF_CRMS and len(crms) > 1:
            told = t("demo.of_all_crms", what=told)
        table.add_row(told, t.number(getattr(summary, name)))
    if summary.forwarding_questions:
        left = summary.forwarding_questions - summary.forwarding_answered
        table.add_row(t("demo.forwarding_questions"), t.number(summary.forwarding_questions))
        table.add_row(t("demo.forwarding_answered"), t.number(summary.forwarding_answered))
        table.add_row(t("demo.forwarding_left"), t.number(left))
    console.print(table)
    if summary.forwarding_to:
        named = ", ".join(f"{escape(name)} {t.number(count)}" for name, count in summary.forwarding_to.items())
        console.print(t("demo.forwarding_to", named=named), highlight=False)
    if summary.late:
        console.print(f"[yellow]{t('demo.late', n=t.number(summary.late))}[/yellow]", highlight=False)
    for crm, finding in findings[:_MOST_FINDINGS]:
        console.print(f"[red]{finding.kind}[/red] {crm}: {escape(finding.sentence)}")
