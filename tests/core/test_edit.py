"""What an edit of a policy surely does not reach, told by the interaction alone (X2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.edit import Edit
from hub.core.facts import establish
from hub.core.heard import Heard, Overheard
from hub.core.interaction import Attribution, Interaction
from hub.core.snapshot import Snapshot
from hub.core.verdict import judge
from hub.testing.builders import LINE, NOW, answered, missed, outgoing, policy
from tests.core.edits import Drawn, edits, read
from tests.core.test_decide_properties import MOMENTS, SHORT, interactions, snapshots

RULES = """
[[rules]]
name = "one"
when = { kind = "call", utm_source = { exists = true } }
tags = ["one"]
[[rules]]
name = "two"
when = { has_open_deal = true }
stage = "Hot"
[[rules]]
name = "three"
when = { direction = "outbound" }
tags = ["three"]
stop = true
"""
BASES = (read("car-dealer", RULES), read("zoho-standard", RULES))


@SHORT
@given(
    st.sampled_from(BASES), edits, edits, st.lists(st.tuples(interactions, snapshots), min_size=1, max_size=4), MOMENTS
)
def test_where_an_edit_reaches_nothing_both_policies_want_the_same(
    data: dict[str, Any],
    drawn: Drawn,
    other: Drawn,
    told: Sequence[tuple[Interaction, Snapshot]],
    now: datetime,
) -> None:
    """X2: whatever the CRM knows of the client, with the same row and the same rules."""
    before, after = drawn.of(data), other.of(data)
    edit = Edit(before, after)
    for interaction, seen in told:
        is_spared = edit.spares(Heard(interaction, after, now))
        assert Edit(before, after).spares(Overheard(interaction, after, now)) is is_spared
        if is_spared:
            facts = establish(interaction, seen, after, now)
            was, is_now = judge(facts, before), judge(facts, after)
            assert (was.outcome, was.because, was.warnings) == (is_now.outcome, is_now.because, is_now.warnings)
            won = [[trial.name for trial in verdict.trials if trial.has_won] for verdict in (was, is_now)]
            assert won[0] == won[1]


@pytest.mark.parametrize(
    ("when", "call", "spared"),
    [
        (f'{{ line = "{LINE}" }}', missed(line=None), True),
        (f'{{ line = "{LINE}" }}', missed(line=LINE), False),
        ("{ is_missed = true, has_open_deal = true }", answered(), True),
        ("{ is_missed = true, has_open_deal = true }", missed(), False),
        ("{ has_open_deal = true }", missed(), False),
        ("{ any = [{ is_missed = true }, { responsible = 'olena' }] }", answered(), False),
        ("{ any = [{ is_missed = true }, { direction = 'outbound' }] }", answered(), True),
        ("{ not = { is_missed = true } }", missed(), True),
        ("{ not = { responsible = 'olena' } }", missed(), False),
        ("{ not = { any = [{ is_missed = true }, { responsible = 'olena' }] } }", missed(), True),
        ("{ is_first_outgoing = true }", outgoing(), False),
        ("{ utm_source = 'ads' }", missed(attribution=Attribution(utm_source="Ads")), False),
        ("{ utm_source = 'ads' }", missed(), True),
        ("{ all = [] }", missed(), False),
    ],
)
def test_one_rule_more_reaches_what_it_may_hold_for(when: str, call: Interaction, spared: bool) -> None:
    """X2: what only the CRM could tell is not guessed."""
    before = policy("car-dealer")
    after = policy("car-dealer", f"[[rules]]\nname = 'more'\nwhen = {when}\ntags = ['more']\n")
    for one, other in ((before, after), (after, before)):
        assert Edit(one, other).spares(Heard(call, after, NOW)) is spared
    assert Edit(after, after).spares(Heard(call, after, NOW))


def test_a_rule_that_moves_reaches_what_it_holds_for() -> None:
    """C1: the higher rule's value holds, so the order counts."""
    first = "[[rules]]\nname = 'a'\nwhen = { is_missed = true }\nstage = 'New'\n"
    second = "[[rules]]\nname = 'b'\nwhen = { is_missed = true }\nstage = 'Hot'\n"
    edit = Edit(policy("car-dealer", first + second), policy("car-dealer", second + first))
    rules = policy("car-dealer")
    assert not edit.spares(Heard(missed(), rules, NOW))
    assert edit.spares(Heard(answered(), rules, NOW))


def test_the_switch_that_ends_rules_at_the_first_reaches_everything() -> None:
    """C1's switch changes what all rules together say."""
    data = read("car-dealer", RULES)
    before, after = (Drawn(
        added=(), dropped_rules=frozenset(), dropped_rows=frozenset(), raised_rows=(), stops_at_first=stops
    ).of(data) for stops in (False, True))  # fmt: skip
    assert not Edit(before, after).spares(Heard(answered(), after, NOW))
