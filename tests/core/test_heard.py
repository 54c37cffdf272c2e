"""What an interaction tells by itself is the same whoever asks for it first (X2)."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.facts import establish
from hub.core.heard import Heard, Overheard
from hub.core.interaction import Interaction
from hub.core.policy import Policy
from hub.testing.builders import NEW_CLIENT, NOW, missed, policy
from tests.core.test_decide_properties import MOMENTS, POLICIES, SHORT, interactions


@SHORT
@given(st.sampled_from(POLICIES), interactions, MOMENTS)
def test_whatever_is_asked_first_a_decision_finds_the_same(
    rules: Policy, interaction: Interaction, now: datetime
) -> None:
    """X2: a rehearsal asks for one thing of what was heard, a decision finds everything."""
    facts = establish(interaction, NEW_CLIENT, rules, now)
    for name in Heard.__slots__:
        assert getattr(Overheard(interaction, rules, now), name) == getattr(facts, name), name


@pytest.mark.parametrize("name", ["has_open_deal", "responsible", "connection", "deal_stage"])
def test_what_only_the_crm_could_tell_is_not_heard(name: str) -> None:
    for heard in (Heard, Overheard):
        with pytest.raises(AttributeError):
            getattr(heard(missed(), policy("car-dealer"), NOW), name)
