"""Who waits for an answer: kept as interactions arrive, in whatever order, over joins of clients (W6, X12)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import Connection

from hub.core.interaction import Chat, ChatMessage, ClientId, Identity, Interaction, InteractionId, Leg
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.store import client_joins, clients, interactions, waiting
from hub.store.clients import JoinRules
from hub.store.engine import Store
from hub.testing.builders import NOW, answered, leg, missed
from hub.testing.messages import message, reply

ONE, OTHER = ClientId("c1"), ClientId("c2")


def at(minutes: int, told: Interaction, id: str) -> Interaction:
    moment = NOW + timedelta(minutes=minutes)
    return replace(told, id=InteractionId(id), external_id=id, started_at=moment)


def arrive(conn: Connection, told: Interaction, client: ClientId = ONE) -> None:
    interactions.put(conn, told, client_id=client, received_at=NOW, decide_at=NOW)
    waiting.follow(conn, told, client)


def since(store: Store, client: ClientId = ONE) -> str:
    found = store.read_now(lambda conn: waiting.get(conn, client))
    return "" if found is None else found.interaction_id


ASKS, ASKS_AGAIN = at(0, message(), "a"), at(2, message(), "b")
ANSWERS, ROBOT = at(1, reply(), "r"), at(1, reply(""), "r")
CHAT = Chat(
    id=InteractionId("chat"), project=message().project, channel="site", source="chat", external_id="chat",
    started_at=NOW, client=Identity(), messages=(ChatMessage(at=NOW, is_from_client=True, text="Hello"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("told", "waits_since"),
    [
        ([ASKS], "a"),
        ([ASKS, ASKS_AGAIN], "a"),
        ([ASKS, ANSWERS], ""),
        ([ASKS, ANSWERS, ASKS_AGAIN], "b"),
        ([ASKS, ROBOT], "a"),
        ([ANSWERS], ""),
        ([CHAT], "chat"),
    ],
    ids=["asked", "asked twice", "answered", "asked anew", "a robot's message", "we began", "nobody took the chat"],
)
def test_the_first_question_after_the_last_answer_waits_whatever_came_first(
    store: Store, told: list[Interaction], waits_since: str
) -> None:
    for number, order in enumerate(permutations(told)):
        client = ClientId(f"c{number}")
        for one in order:
            store.write_now(lambda conn, one=one, client=client, n=number: arrive(conn, renamed(one, n), client))  # type: ignore[misc]
        found = since(store, client)
        assert found == (f"{waits_since}-{number}" if waits_since else ""), [one.id for one in order]


def test_a_late_answer_tells_from_which_question_on_the_client_waits_now(store: Store) -> None:
    def follow(conn: Connection, told: Interaction) -> Interaction | None:
        interactions.put(conn, told, client_id=ONE, received_at=NOW, decide_at=NOW)
        return waiting.follow(conn, told, ONE)

    for told in (ASKS, ASKS_AGAIN):
        assert store.write_now(lambda conn, told=told: follow(conn, told)) is None  # type: ignore[misc]
    assert store.write_now(lambda conn: follow(conn, ANSWERS)) == ASKS_AGAIN


def renamed(told: Interaction, number: int) -> Interaction:
    name = f"{told.id}-{number}"
    return replace(told, id=InteractionId(name), external_id=name)


@pytest.mark.parametrize(
    ("told", "ends"),
    [(answered(), True), (missed(), False)],
    ids=["an answered call", "a missed call"],
)
def test_a_call_that_reaches_the_client_answers_too(store: Store, told: Interaction, ends: bool) -> None:
    """X10."""
    store.write_now(lambda conn: arrive(conn, at(-60, message(), "a")))
    store.write_now(lambda conn: arrive(conn, told))
    assert (since(store) == "") is ends


def test_a_chat_that_somebody_takes_later_is_answered(store: Store) -> None:
    store.write_now(lambda conn: arrive(conn, CHAT))
    taken = replace(CHAT, legs=(Leg(destination=leg("olena").destination, is_answered=True),))
    store.write_now(lambda conn: arrive(conn, taken))
    assert since(store) == ""


def test_two_clients_who_turn_out_to_be_one_wait_as_long_as_the_longer_and_are_parted_again(store: Store) -> None:
    """X12."""

    def known(conn: Connection, phone: str) -> ClientId:
        return clients.resolve(conn, "project", Identity(phones=(Phone(phone),)), JoinRules(), now=NOW).client_id

    one = store.write_now(lambda conn: known(conn, "+380501112233"))
    two = store.write_now(lambda conn: known(conn, "+380501112244"))
    store.write_now(lambda conn: arrive(conn, at(5, message(), "later"), one))
    store.write_now(lambda conn: arrive(conn, at(0, message(), "earlier"), two))
    store.write_now(lambda conn: client_joins.join(conn, "project", kept=one, joined=two, reason="test", now=NOW))
    assert (since(store, one), since(store, two)) == ("earlier", "")
    (joined,) = store.read_now(lambda conn: client_joins.list_joins(conn, "project"))
    store.write_now(lambda conn: client_joins.undo(conn, joined.id, NOW))
    assert since(store, two) == "earlier"


def test_the_load_of_unanswered_chats_is_counted_by_employee(store: Store) -> None:
    """J3."""
    olena = EmployeeId("olena")
    for name, client in (("a", ONE), ("b", OTHER)):
        store.write_now(lambda conn, name=name, client=client: arrive(conn, at(0, message(), name), client))  # type: ignore[misc]
    store.write_now(lambda conn: waiting.set_employee(conn, ONE, olena))
    assert store.read_now(lambda conn: waiting.count_by_employee(conn, "project")) == {olena: 1}
    assert [one.client_id for one in store.read_now(lambda conn: waiting.list_waiting(conn, "project", olena))] == [ONE]
    assert len(store.read_now(lambda conn: waiting.list_waiting(conn, "project"))) == 2
