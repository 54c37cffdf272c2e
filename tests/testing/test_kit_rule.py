"""The kit finds what is wrong with a rule, and says it (X4, H2)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from hub.core.facts import Facts
from hub.core.outcome import Outcome
from hub.ports import Suggested
from hub.testing.outfit import RuleOutfit

Told = Callable[..., str]
COUNT = itertools.count()


class Settings(BaseModel):
    tag: str = Field(default="x", title="Tag", description="Put on the deal")


class Bare(BaseModel):
    tag: str = "x"


class Sound:
    """Tags every deal."""

    name = "sound"
    settings_model: ClassVar[type[BaseModel]] = Settings

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        return Suggested(outcome=replace(outcome, tags=("x",)), reason="every deal is tagged")


class Impure(Sound):
    """Another answer each time."""

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        return Suggested(outcome=replace(outcome, tags=(f"call {next(COUNT)}",)), reason="counted")


class Partial(Sound):
    """Believes that every interaction has a leg."""

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        return Suggested(outcome=outcome, reason=facts.legs[0].destination.login or "nobody")


class Silent(Sound):
    """Changes without saying why."""

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        return Suggested(outcome=outcome, reason=" ")


class Careless(Sound):
    """Answers with something else."""

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Any:
        return outcome


class Meddling(Sound):
    """Changes the facts that it is shown."""

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        facts.department = "Sales"
        return None


class Curious(Sound):
    """Looks into a file."""

    def consider(self, facts: Facts, outcome: Outcome, settings: BaseModel) -> Suggested | None:
        import socket

        with socket.socket() as asked:
            asked.connect_ex(("127.0.0.1", 9))
        return None


class Unexplained(Sound):
    settings_model: ClassVar[type[BaseModel]] = Bare


DEFECTS: list[tuple[type[Sound], str, str]] = [
    # the defect, the expectation that finds it, what it says
    (Impure, "the_same_case_gets_the_same_answer", "the same case was answered with"),
    (Partial, "every_case_gets_an_answer_with_its_reason", "consider raised IndexError"),
    (Silent, "every_case_gets_an_answer_with_its_reason", "a change without a reason"),
    (Careless, "every_case_gets_an_answer_with_its_reason", "consider returned Outcome"),
    (Meddling, "what_it_is_shown_stays_as_it_was", "consider changed what it was shown"),
    (Curious, "every_case_gets_an_answer_with_its_reason", "is not mere computation: socket.connect"),
    (Unexplained, "the_rule_has_what_the_protocol_asks_for", "without title or description: tag"),
]


@pytest.mark.parametrize(("rule", "expectation", "says"), DEFECTS, ids=[row[0].__name__ for row in DEFECTS])
def test_a_defect_is_found_by_the_expectation_that_names_it(
    rule: type[Sound], expectation: str, says: str, told: Told
) -> None:
    assert says in told(RuleOutfit(rule=rule()), expectation)
