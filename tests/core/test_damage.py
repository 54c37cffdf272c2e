"""What is made of a record that cannot be read as it came (X5)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from hub.core.damage import damage_of, is_named, may_be, numbers_in, said_by, salvage


class Number(BaseModel):
    text: str


class Tag(BaseModel):
    id: int


class Card(BaseModel):
    id: int
    name: str | None = None
    price: float | None = None
    numbers: list[Number] = []
    tags: list[Tag] | None = None


SOUND = {"id": 7, "name": "Ольга", "price": 5, "numbers": [{"text": "+380671112233"}], "tags": [{"id": 1}]}


@pytest.mark.parametrize(
    ("odd", "left"),
    [
        ({"price": "dear"}, {"price": None}),
        ({"name": 5}, {"name": None}),
        ({"tags": [{"id": 1}, {"id": "x"}, {"id": 3}]}, {"tags": [{"id": 1}, {"id": 3}]}),
        ({"tags": "none"}, {"tags": None}),
        ({"tags": 5, "price": [], "name": {}}, {"tags": None, "price": None, "name": None}),
        ({"numbers": [{"text": 1}, {"text": "2"}]}, {"numbers": [{"text": "2"}]}),
        ({"numbers": 380671112233}, {"numbers": []}),
    ],
)
def test_what_fits_is_read_and_what_does_not_is_told(odd: dict[str, Any], left: dict[str, Any]) -> None:
    card = salvage(Card, SOUND | odd)
    assert card is not None
    assert card.model_dump() == SOUND | left
    damage = damage_of(card)
    assert damage is not None
    assert damage.lost.keys() == odd.keys()
    assert said_by(card) == SOUND | odd


def test_a_sound_record_has_no_damage() -> None:
    card = Card.model_validate(SOUND)
    assert damage_of(card) is None
    assert said_by(card) == SOUND
    assert is_named(card)


@pytest.mark.parametrize("odd", [{"id": None}, {"id": {}}, {"id": "seven"}])
def test_records_without_a_number_can_be_told_apart_and_are_nobodys(odd: dict[str, Any]) -> None:
    one, other = salvage(Card, SOUND | odd), salvage(Card, SOUND | odd | {"name": "Петро"})
    assert one is not None
    assert other is not None
    assert one.id != other.id
    assert not is_named(one)
    assert not is_named(other)


@pytest.mark.parametrize("nothing", [None, 5, "text", [], {}])
def test_what_is_no_record_is_none(nothing: Any) -> None:
    assert salvage(Card, nothing) is None


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([{"text": {"odd": "+380671112233"}}], ["+380671112233"]),
        ([{"odd": {"text": "+380671112233"}}, {"text": "+380509998877"}], ["+380671112233"]),
        ([380671112233], ["380671112233"]),
        ({"text": "+380671112233", "id": 12345}, ["+380671112233"]),
        ([{"text": None, "short": "12345678"}], []),
    ],
)
def test_numbers_in_what_was_lost_are_found(numbers: Any, found: list[str]) -> None:
    assert list(numbers_in(damage_of(salvage(Card, SOUND | {"numbers": numbers})), "numbers")) == found


@pytest.mark.parametrize(
    ("said", "wanted", "may"),
    [
        ({"text": "call"}, {"text": "call"}, True),
        ({"text": "else"}, {"text": "call"}, False),
        ({"text": {}}, {"text": "call"}, True),
        ({}, {"text": "call"}, True),
        ({"text": None}, {"text": "call"}, False),
        ({"user": "12"}, {"user": 12}, True),
        ({"user": "13"}, {"user": 12}, False),
        ({"user": [12], "text": "else"}, {"user": 12, "text": "call"}, False),
    ],
)
def test_only_what_can_be_read_and_differs_says_no(said: dict[str, Any], wanted: dict[str, Any], may: bool) -> None:
    assert may_be(said, wanted) is may
