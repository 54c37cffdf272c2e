"""A plan in the making, as those who add to it share it: the client's records, and texts with their values (H2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hub.core.interaction import ClientId
from hub.core.outcome import Outcome, Place
from hub.core.plan import Action, NewRecord, Reason, Ref, StepKey
from hub.core.records import EmployeeId
from hub.core.text import LONGEST_TEXT, LocalText, Speaker, plain_text, render

if TYPE_CHECKING:
    from hub.core.assign import Assigned
    from hub.core.facts import Facts
    from hub.core.policy import Policy
    from hub.core.verdict import Verdict

__all__ = ["Making"]


@dataclass(slots=True, kw_only=True)
class Making:
    """A plan in the making: what is wanted and known, and the actions so far."""

    verdict: Verdict
    facts: Facts
    people: Assigned
    client: ClientId
    actions: list[Action] = field(default_factory=list)
    warnings: list[Reason] = field(default_factory=list)
    due: dict[str, datetime] = field(default_factory=dict)
    #: from when deadlines count; None = from the interaction's end
    since: datetime | None = None
    #: keys of the tasks that the plan makes
    made: set[StepKey] = field(default_factory=set)
    #: working time is dear to count, and tasks of one plan fall due together
    deadlines: dict[tuple[str, datetime, timedelta | None], datetime] = field(default_factory=dict)
    contact_ref: Ref | None = None
    deal_ref: Ref | None = None
    #: what was rendered already, by text and by whom it is for
    said: dict[tuple[str, EmployeeId | None], str] = field(default_factory=dict)
    speaker: Speaker = field(init=False)
    outcome: Outcome = field(init=False)
    policy: Policy = field(init=False)

    def __post_init__(self) -> None:
        self.policy = policy = self.people.policy
        self.outcome, seen = self.verdict.outcome, self.facts.snapshot.names
        self.speaker = Speaker(
            facts=self.facts,
            language=policy.language,
            zone=policy.zone,
            names={**policy.names, **seen} if seen else policy.names,
            responsible=self.people.owner or self.people.responsible,
        )

    def text(self, text: LocalText, title: str, assignee: EmployeeId | None = None) -> str:
        """``text`` with its values; a plain one and a warning if it does not render."""
        speaker = self.speaker
        said = text if isinstance(text, str) else text.in_language(speaker.language)
        if "{" not in said:
            return said[:LONGEST_TEXT]
        who = assignee if "assignee" in said else None
        rendered = self.said.get((said, who))
        if rendered is None:
            speaker.assignee = who
            rendered = render(said, speaker)
            if rendered is None:
                self.warnings.append(Reason(code="text_failed", values={"text": title}))
                rendered = plain_text(title, self.facts.phone)
            self.said[said, who] = rendered
        return rendered

    def filled(self, *tables: Mapping[str, LocalText]) -> dict[str, str]:
        """Custom fields that have a value; of several tables the first holds."""
        found: dict[str, str] = {}
        speaker = self.speaker
        for table in tables:
            for name, text in table.items():
                if name in found:
                    continue
                value = render(text, speaker)
                if value is None:
                    self.warnings.append(Reason(code="text_failed", values={"text": name}))
                elif value:
                    found[name] = value
        return found

    def tags(self, *lists: Sequence[LocalText]) -> tuple[str, ...]:
        """The tags of all ``lists``, each once; one that renders to nothing is left out."""
        if not any(lists):
            return ()
        said: dict[str, None] = {}
        for tags in lists:
            for tag in tags:
                said[self.text(tag, "tag")] = None
        said.pop("", None)
        return tuple(said)

    def number(self, value: float | LocalText | None, title: str) -> float | None:
        """``value``, or the number that it renders to; None with a warning if it is none."""
        if value is None or isinstance(value, int | float):
            return value
        said = self.text(value, title)
        try:
            return float(said.replace("\u00a0", "").replace(" ", "").replace(",", ".")) if said else None
        except ValueError:
            self.warnings.append(Reason(code="no_number", values={"text": title}))
            return None

    def place(self, place: Place) -> Ref | None:
        """Where a task or note goes; where the wanted record does not exist, on the other one (A18), but see C5."""
        if place == "contact":
            return self.contact_ref or self.deal_ref
        if place in {"last_deal", "last_deal|contact"}:
            last = self.facts.client.last_deal
            newest = self.deal_ref if isinstance(self.deal_ref, NewRecord) else last.ref if last else None
            return newest or (self.contact_ref if place == "last_deal|contact" else None)
        return self.deal_ref or self.contact_ref
