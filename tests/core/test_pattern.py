"""`hub.core.pattern`: the same answers as `re`, and always an answer (H4, J2)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.core.pattern import LONGEST, compile_pattern

#: the expression, and a text through which Python's engine finds no end
ENDLESS = [
    (r"(a+)+$", "a" * 1999 + "!"),
    (r"(a|a)*b", "a" * 2000),
    (r"(?:a|aa)+$", "a" * 1999 + "!"),
    (r"(.*)*x", "y" * 2000),
    (r"^(\w+\s?)*$", "слово " * 333 + "!!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 1999 + "!"),
    (r".*foo.*bar.*baz", "foo" * 300 + "bar" * 300),
    (r"a?" * 30 + "a" * 30, "a" * 29),
    (r"(x+x+)+y", "x" * 2000),
    (r"(?:\d+[ -]?)+(?=euro)$", "12 " * 600),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("pattern", "text"), ENDLESS)
def test_an_expression_that_explodes_is_answered(pattern: str, text: str) -> None:
    """H4: Python's own engine would still be at it in a thousand years."""
    assert compile_pattern(pattern)(text) is False


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"(a+)+$", "баaаa!", False),
        (r"(a+)+$", "baaaa", True),
        (r"(?:привет|здравствуй)+[,!]*\s*мир", "ПРИВЕТ, Мир", True),
        (r"\b(?:срочно|urgent)\b.*\b(?:звонок|call)\b", "Очень СРОЧНО нужен звонок.", True),
        (r"\b(?:срочно|urgent)\b.*\b(?:звонок|call)\b.*!+", "несрочно: звонок!", False),
        (r"^(?:\+?\d+[ -]?)+$", "+380 44 123-45-67", True),
        (r"(?-i:AB)+(?:c|cd)*d+$", "xABABcdd", True),
        (r"(?-i:AB)+(?:c|cd)*d+$", "xabABcdd\n", True),
        (r"(?-i:AB)+(?:c|cd)*d+$", "xabcdd", False),
        (r"(?:a{2,3}b?){2,}(?!c)", "aabaaab", True),
        (r"(?:ab|a)*?(?<!x)c+d+", "abac cd", True),
        (r"()*()*x*y*", "", True),
    ],
)
def test_what_is_asked_another_way_is_answered_as_python_does(pattern: str, text: str, fits: bool) -> None:
    assert compile_pattern(pattern)(text) is fits
    assert (re.search(pattern, text, re.IGNORECASE) is not None) is fits


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "no regular expression"),
        ("a{1,99999999999999999999}", "no regular expression"),
        (r"(\w+)\s+\1", "could take for ever"),
        (r"(?:(?:a{1,60}b?){1,60})+", "could take for ever: it is too long"),
        (r"(?=(?:a+)+$)(b+)+", "could take for ever"),
    ],
)
def test_what_cannot_be_answered_is_refused_when_it_is_written(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_pattern(pattern)


def test_only_the_beginning_of_a_text_is_looked_at() -> None:
    text = "a" * LONGEST + "b"
    assert not compile_pattern("b")(text)
    assert not compile_pattern("(a+)+b")(text)


PIECE = st.recursive(
    st.sampled_from(["a", "b", "A", ".", r"\w", r"\b", "^", "$", "[^a]", r"\d", "ж", "(?!b)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["?", "{0,2}", "{2}"])).map(lambda found: f"(?:{found[0]}){found[1]}"),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda found: f"({'|'.join(found)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "*?", "{1,}"])).map(lambda found: f"(?:{found[0]}){found[1]}"),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(pattern=PIECE, text=st.text(alphabet="abAЖж1 \n", max_size=7))
def test_both_engines_always_agree(pattern: str, text: str) -> None:
    assert compile_pattern(f"(?:{pattern})(?:q|qq)*(?:q|qq)*")(text) is (
        re.search(pattern, text, re.IGNORECASE) is not None
    )
