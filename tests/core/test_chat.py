"""Several webhooks of one chat are one chat, whatever their order (A9, J1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.chat import ChatFragment, ChatMoment, ClientChanged, fold_chat
from hub.core.interaction import Attribution, Chat, ChatMessage, Destination, Identity, InteractionId, ProjectId
from hub.core.phone import Phone

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OLENA, PETRO = Destination(staff_id="31", email="olena@x.ua"), Destination(staff_id="32", email="petro@x.ua")
MARIA = Identity(handles=(("jivo", "9012"),), name="Maria")
PHONE = Phone("+380501112233")


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


ACCEPTED = ChatFragment(
    external_id="7", moment=ChatMoment.ACCEPTED, happened_at=at(10), client=MARIA, agents=(OLENA,), decides=True
)
INTRODUCED = ChatFragment(
    external_id="7",
    moment=ChatMoment.CHANGED,
    happened_at=at(60),
    client=replace(MARIA, phones=(PHONE,)),
    agents=(OLENA,),
)
ENDED = ChatFragment(
    external_id="7",
    moment=ChatMoment.ENDED,
    happened_at=at(900),
    client=MARIA,
    agents=(PETRO, OLENA),
    messages=(
        ChatMessage(at=at(0), is_from_client=True, text="Is it in stock?"),
        ChatMessage(at=at(40), is_from_client=False, text="A moment", author=OLENA),
        ChatMessage(at=at(120), is_from_client=False, text="Yes", author=PETRO),
    ),
    attribution=Attribution(utm_source="google"),
    parameters={"rate": "positive"},
    decides=True,
)


def folded(*fragments: ChatFragment) -> Chat:
    return fold_chat(
        fragments,
        id=InteractionId("i1"),
        project=ProjectId("shop"),
        channel="site",
        source="jivo",
        received_at=at(11),
    )


def test_accepted_chat_is_answered_by_who_took_it() -> None:
    chat = folded(ACCEPTED)
    assert chat.is_final
    assert [leg.destination for leg in chat.legs] == [OLENA]
    assert (chat.started_at, chat.ended_at) == (at(10), None)


def test_whole_chat_has_everything_that_any_of_its_webhooks_told() -> None:
    chat = folded(ACCEPTED, INTRODUCED, ENDED)
    assert chat.client.phones == (PHONE,)
    assert chat.started_at == at(0)
    assert chat.ended_at == at(120), "the last word, not the closing of the window"
    assert [leg.destination for leg in chat.legs] == [OLENA, PETRO], "who wrote last stands last"
    assert chat.attribution.utm_source == "google"
    assert chat.parameters == {"rate": "positive"}
    assert len(chat.messages) == 3


BY_NAME = Destination(name="Olena")


@pytest.mark.parametrize(
    ("agents", "legs"),
    [
        # told by name only, in every webhook: one employee
        ([BY_NAME, BY_NAME, BY_NAME], [BY_NAME]),
        ([BY_NAME, replace(OLENA, name="Olena")], [replace(OLENA, name="Olena")]),
        ([replace(OLENA, name="Olena"), BY_NAME], [replace(OLENA, name="Olena")]),
        # the vendor's own id says that they are two
        ([replace(OLENA, name="Olena"), replace(PETRO, name="Olena")], [OLENA, PETRO]),
        ([Destination(extension="31"), Destination(extension="31", name="Olena")], [Destination(extension="31")]),
        ([BY_NAME, Destination(name="Petro")], [BY_NAME, Destination(name="Petro")]),
    ],
)
def test_operator_told_twice_took_part_once(agents: list[Destination], legs: list[Destination]) -> None:
    """U1: as calls know whom they name, so do chats."""
    told = [replace(ACCEPTED, happened_at=at(10 + second), agents=(agent,)) for second, agent in enumerate(agents)]
    found = [leg.destination for leg in folded(*told).legs]
    assert len(found) == len(legs)
    assert all(one.is_same_as(other) for one, other in zip(found, legs, strict=True))


def test_chat_that_waits_for_its_end_is_not_final_before() -> None:
    assert not folded(replace(ACCEPTED, decides=False), INTRODUCED).is_final
    assert folded(replace(ACCEPTED, decides=False), ENDED).is_final


def test_corrected_number_replaces_the_one_before() -> None:
    other = replace(INTRODUCED, happened_at=at(70), client=replace(MARIA, phones=(Phone("+380679998877"),)))
    assert folded(INTRODUCED, other, ACCEPTED).client.phones == ("+380679998877",)


def test_change_outside_a_chat_is_told_of_the_chat_that_it_is_given() -> None:
    """J4: a number that the operator enters afterwards reaches the same contact."""
    change = ClientChanged(happened_at=at(2000), client=replace(MARIA, phones=(PHONE,)))
    chat = folded(ACCEPTED, ENDED, change.as_fragment("7"))
    assert chat.client.phones == (PHONE,)
    assert chat.ended_at == at(120)


@given(st.permutations([ACCEPTED, INTRODUCED, ENDED]), st.lists(st.sampled_from([ACCEPTED, INTRODUCED, ENDED])))
def test_any_order_and_repetition_of_webhooks_is_the_same_chat(
    order: list[ChatFragment], again: list[ChatFragment]
) -> None:
    assert folded(*order, *again) == folded(ACCEPTED, INTRODUCED, ENDED)
