"""Which record a write made whose answer was lost; what cannot be read settles nothing (X5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from hub.core.damage import salvage
from hub.core.pairing import pair, unsure
from hub.core.plan import StepKey
from hub.core.text import Language
from hub.errors import Rejected
from hub.language import translator


@dataclass(frozen=True)
class Sent:
    """A note that was sent and not answered."""

    key: StepKey
    text: str


class Note(BaseModel):
    id: int
    text: str | None = None


def sent(*texts: str) -> list[Sent]:
    return [Sent(StepKey(f"n{place}"), text) for place, text in enumerate(texts)]


def is_that(write: Sent, note: Note) -> bool:
    return note.text == write.text


def may_be_that(_: Sent, note: Note) -> bool:
    return note.text is None or note.id < 0


PAIRS = [
    # what was sent         what the CRM holds                  which record each of them made
    (["a", "b"], [(7, "b"), (8, "a")], {"n0": 8, "n1": 7}),
    (["a", "a"], [(7, "a")], {"n0": 7}),
    (["a", "a"], [(7, "a"), (8, "a")], {"n0": 7, "n1": 8}),
    (["a"], [(7, "a"), (8, None)], {"n0": 7}),
    (["a"], [(7, "b")], {}),
    (["a"], [], {}),
    ([], [(7, None)], {}),
]


@pytest.mark.parametrize(("texts", "held", "made"), PAIRS)
def test_each_record_answers_for_one_write_at_most(
    texts: list[str], held: list[tuple[int, str | None]], made: dict[str, int]
) -> None:
    notes = [Note(id=number, text=text) for number, text in held]
    assert {key: note.id for key, note in pair(sent(*texts), notes, is_that, may_be_that).items()} == made


DOUBTS: list[tuple[list[str], list[dict[str, Any]], str, str]] = [
    # what was sent, what the CRM holds, which write nobody may call lost, and why
    (["a"], [{"id": 7, "text": {}}], "n0", "record 7 may be it, but its text cannot be read"),
    (["a"], [{"id": [], "text": "a"}], "n0", "a record may be it, but its id cannot be read"),
    (
        ["a", "b"],
        [{"id": 7, "text": "a"}, {"id": 8, "text": 5}],
        "n1",
        "record 8 may be it, but its text cannot be read",
    ),
    (["a"], [{"id": 7}], "n0", "record 7 may be it, but it cannot be read"),
]


@pytest.mark.parametrize(("texts", "held", "key", "why"), DOUBTS)
def test_a_record_that_cannot_be_read_proves_no_absence(
    texts: list[str], held: list[dict[str, Any]], key: str, why: str
) -> None:
    def read(raw: dict[str, Any]) -> Note:
        try:
            return Note.model_validate(raw)
        except ValueError:
            note = salvage(Note, raw)
            assert note is not None
            return note

    with pytest.raises(Rejected) as caught:
        pair(sent(*texts), [read(raw) for raw in held], is_that, may_be_that)
    assert {name: [problem.text for problem in problems] for name, problems in caught.value.problems.items()} == {
        key: [why]
    }


TOLD: list[tuple[Language, str]] = [
    ("ru", "возможно, это запись 7, но в ней нельзя прочитать text"),
    ("uk", "можливо, це запис 7, але в ньому не вдалося прочитати text"),
    ("en", "record 7 may be it, but its text cannot be read"),
]


@pytest.mark.parametrize(("language", "told"), TOLD)
def test_the_doubt_is_told_in_the_readers_language(language: Language, told: str) -> None:
    """U4: the sentence is the host's, so that no plugin has to translate it."""
    assert translator(language).theirs(str(unsure([StepKey("n0")], Note(id=7), "text"))) == told
