"""What `hub policy check` warns of: rows and rules that never count, rules that contradict each other (C1)."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.core.consistency import findings
from hub.core.facts import establish
from hub.core.matrix import compile_row
from hub.core.policy import load_policy
from hub.core.reach import atoms_of, includes
from hub.testing.builders import NEW_CLIENT, NOW, OWNER, answered, client, form, missed, outgoing, policy


def rows(*conditions: str) -> str:
    """A matrix of rows called a, b, c … with these conditions; "" = without one."""
    return "\n".join(
        f'[[matrix]]\nname = "{name}"\n' + (f"when = {when}\n" if when else "")
        for name, when in zip("abcdef", conditions, strict=False)
    )


def rules(*blocks: str) -> str:
    return "\n".join(f'[[rules]]\nname = "{name}"\n{block}\n' for name, block in zip("abcdef", blocks, strict=False))


CASES = [
    ("nothing wrong", rows('{ kind = "call", is_missed = true }', '{ kind = "call" }', ""), []),
    ("below one without a condition", rows("", '{ kind = "call" }'), ["matrix.1.when: is never reached: the row 'a'"]),
    ("the same twice", rows("{ is_missed = true }", "{ is_missed = true }"), ["matrix.1.when: is never reached"]),
    ("the narrower below the wider", rows('{ kind = "call" }', '{ kind = "call", is_missed = true }'),
     ["matrix.1.when: is never reached"]),
    ("one of a list above", rows('{ kind = ["call", "form"] }', '{ kind = "form" }'), ["matrix.1.when"]),
    ("part of a list above", rows('{ kind = ["call", "form"] }', '{ kind = ["form", "chat"] }'), []),
    ("two values of one field", rows('{ all = [{ kind = "call" }, { kind = "form" }] }'),
     ["matrix.0.when: never holds: nothing meets all that it asks of 'kind'"]),
    ("outside of a list", rows('{ all = [{ kind = "call" }, { kind = ["form", "chat"] }] }'), ["matrix.0.when: never"]),
    ("a flag and its opposite", rows("{ all = [{ is_missed = true }, { is_missed = false }] }"), ["matrix.0.when"]),
    ("an empty range", rows("{ talk_seconds = { at_least = 60, less = 30 } }"), ["matrix.0.when: never holds"]),
    ("a range", rows("{ talk_seconds = { at_least = 30, less = 60 } }"), []),
    ("a beginning that the value has not", rows('{ all = [{ line = "+38044" }, { line = { starts_with = "+1" } }] }'),
     ["matrix.0.when: never holds"]),
    ("two members of a list", rows('{ all = [{ rung = "x" }, { rung = "y" }] }'), []),
    ("any and not are left alone", rows('{ any = [{ kind = "call" }] }', '{ not = { kind = "call" } }'), []),
    ("the same any twice", rows('{ any = [{ kind = "call" }] }', '{ any = [{ kind = "call" }] }'), ["matrix.1.when"]),
    ("rules that contradict", rules('when = { kind = "call" }\nstage = "x"', 'when = { kind = "call" }\nstage = "y"'),
     ["rules.1.stage: has no effect: 'a' above sets it"]),
    ("rules that agree", rules('stage = "x"', 'stage = "x"'), []),
    ("rules that add", rules('tags = ["x"]', 'tags = ["y"]'), []),
    ("the exception above the rule", rules('when = { kind = "call" }\nstage = "x"', 'stage = "y"'), []),
    ("the rule above the exception", rules('stage = "y"', 'when = { kind = "call" }\nstage = "x"'), ["rules.1.stage"]),
    ("below a stop", rules('stop = true\nstage = "x"', 'tags = ["y"]'), ["rules.1.when: is never tried"]),
    ("below a stop of others", rules('when = { kind = "form" }\nstop = true', 'tags = ["y"]'), []),
    ("below the first that holds", "stop_at_first_rule = true\n" + rules('stage = "x"', 'tags = ["y"]'), ["rules.1"]),
    ("a rule for nothing", rules('when = { kind = "call" }'), ["rules.0: sets nothing"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_never_counts_is_told(text: str, said: list[str]) -> None:
    found = [str(complaint) for complaint in findings(load_policy(text))]
    assert len(found) == len(said)
    assert all(complaint.startswith(begin) for complaint, begin in zip(found, said, strict=True))


@pytest.mark.parametrize("preset", [name.name for name in files("hub.presets").iterdir() if name.name.endswith("toml")])
def test_no_preset_has_a_row_in_vain(preset: str) -> None:
    assert findings(policy(preset.removesuffix(".toml"))) == []


RULES = policy("car-dealer")
SEEN = [
    establish(told, known, RULES, NOW)
    for told in (answered(), missed(), outgoing(), form(), answered(talk_seconds=5, department="Service"))
    for known in (NEW_CLIENT, client(), client(deal=OWNER))
]
TESTS = [
    'kind = "call"', 'kind = "form"', 'kind = ["call", "form"]', 'kind = { none_of = ["form"] }', "is_missed = true",
    "is_missed = false", "has_open_deal = true", "talk_seconds = { at_least = 10 }", 'department = "service"',
    'department = ["Service", "Sales"]', 'department = { not_equals = "Sales" }', "open_deals = 1",
]  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(*[st.lists(st.sampled_from(TESTS), min_size=1, max_size=3) for _ in range(2)])
def test_a_row_that_is_called_unreachable_never_fits_alone(higher: list[str], lower: list[str]) -> None:
    """Whatever is told really is so: where the lower one holds, the higher one does."""
    whens = [f"{{ all = [{', '.join(f'{{ {test} }}' for test in tests)}] }}" for tests in (higher, lower)]
    matrix = load_policy(rows(*whens)).matrix
    first, second = (compile_row(row, RULES, "en") for row in matrix)
    if includes(atoms_of(matrix[0].when), atoms_of(matrix[1].when)):
        assert all(first.fails(facts) is None for facts in SEEN if second.fails(facts) is None)
    for index, row in enumerate((first, second)):
        if any(
            str(found).startswith(f"matrix.{index}.when: never holds") for found in findings(load_policy(rows(*whens)))
        ):
            assert all(row.fails(facts) is not None for facts in SEEN)
