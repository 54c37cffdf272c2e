"""The hub's own rules, registered through the hooks like anyone's (H1).

A policy asks for one with ``use``::

    [[rules]]
    name = "C7"
    use = "announce_new_records"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from hub.core.text import LocalText, Translated
from hub.hookspecs import hookimpl
from hub.ports import Rule, Suggested

if TYPE_CHECKING:
    from hub.core.facts import Facts
    from hub.core.outcome import Outcome

__all__ = ["AnnounceNewRecords", "RepeatAsNew", "register_rules"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnnounceSettings(_Settings):
    """Whom `AnnounceNewRecords` tells."""

    to: tuple[str, ...] = Field(default=("owner",), title="Whom to tell", description="Words for somebody, in order")
    text: LocalText = Field(
        default=Translated(
            ru="Новый клиент: {{ who }}\n{{ attribution }}\n{{ card }}",
            uk="Новий клієнт: {{ who }}\n{{ attribution }}\n{{ card }}",
            en="New client: {{ who }}\n{{ attribution }}\n{{ card }}",
        ),
        title="What they read",
        description="Text; {{ card }} is the address of the new card",
    )


class AnnounceNewRecords:
    """Who gets a new client or deal is told at once, also when no call is ringing (C7)."""

    name = "announce_new_records"
    settings_model: ClassVar[type[BaseModel]] = AnnounceSettings

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        """Adds the notice where the outcome makes a deal, or a contact for a new client."""
        assert isinstance(settings, AnnounceSettings)
        makes_deal = outcome.deal == "create_another" or (outcome.deal == "create" and not facts.has_open_deal)
        makes_contact = facts.is_new_client and outcome.contact is not False
        if outcome.drop or not (makes_deal or makes_contact):
            return None
        told = tuple(dict.fromkeys((*(outcome.notify or ()), *settings.to)))
        changed = replace(outcome, notify=told, notice=outcome.notice or settings.text)
        return Suggested(outcome=changed, reason="a new record is announced to whom it belongs")


class RepeatSettings(_Settings):
    """How `RepeatAsNew` shares out a returning client."""

    keep_responsible: bool = Field(
        default=False, title="Keep the responsible", description="The new deal belongs to the client's responsible"
    )
    group: str = Field(default="", title="Group", description="The group in turn; empty: the policy's")


class RepeatAsNew:
    """A client whose deals are all closed turns to us again: a new deal as if a new client (W5 b).

    Only on channels whose ``repeat`` is ``new_deal``; a contact that never had a deal counts the same.
    """

    name = "repeat_as_new"
    settings_model: ClassVar[type[BaseModel]] = RepeatSettings

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        """Adds the deal for an existing client without an open one who turned to us."""
        assert isinstance(settings, RepeatSettings)
        if outcome.drop or facts.repeat != "new_deal" or facts.is_new_client or facts.has_open_deal:
            return None
        if facts.direction == "outbound" or facts.is_internal:
            return None
        turn = f"turn:{settings.group}" if settings.group else "turn"
        words = ("responsible", turn, "senior") if settings.keep_responsible else ("answerer", turn, "senior")
        changed = replace(outcome, deal="create", responsible=words)
        return Suggested(outcome=changed, reason="the client's deals are closed: a new one, as for a new client")


@hookimpl
def register_rules(register: Callable[[Rule], None]) -> None:
    """The hub's own rules."""
    register(AnnounceNewRecords())
    register(RepeatAsNew())
