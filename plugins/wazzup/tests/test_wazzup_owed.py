"""The contact and deal that Wazzup waits for in the response itself (reference 5.4, DESIGN 7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_wazzup.source import WazzupSource

from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.messenger import KnownClient, KnownDeal, KnownEmployee, OwedQuestion
from hub.ports import ChannelConfig, RawRequest

MakeChannel = Callable[..., ChannelConfig]
SOURCE = WazzupSource()
PAYLOADS = Path(__file__).parent / "payloads"
MARIA = KnownEmployee(id=EmployeeId("maria"), name="Maria")


def request_of(body: Any) -> RawRequest:
    return RawRequest(method="POST", body=json.dumps(body).encode(), received_at=datetime(2026, 7, 29, tzinfo=UTC))


def file(name: str) -> RawRequest:
    return request_of(json.loads((PAYLOADS / f"{name}.json").read_bytes()))


def ask(name: str, channel: ChannelConfig) -> OwedQuestion:
    question = SOURCE.owed_question(file(name), channel)
    assert question is not None
    return question


def answer(question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> dict[str, Any]:
    reply = SOURCE.owed_reply(question, client, channel)
    assert reply.status == 200
    found: dict[str, Any] = json.loads(reply.body)
    return found


def test_a_new_client_gets_the_hubs_id_and_the_vendors_pick(make_channel: MakeChannel) -> None:
    channel = make_channel()
    question = ask("createContact__auto", channel)
    assert question.client.phones == ("+380671234567",)
    assert question.needs_client_id
    client = KnownClient(client_id="c1", card_url="https://hub.example/console/shop/clients/c1")
    assert answer(question, client, channel) == {
        "id": "c1",
        "responsibleUserId": "ivan",
        "name": "Olena",
        "contactData": [{"chatType": "whatsapp", "chatId": "380671234567"}],
        "uri": "https://hub.example/console/shop/clients/c1",
    }


def test_a_known_client_keeps_the_responsible_of_the_crm(make_channel: MakeChannel) -> None:
    channel = make_channel()
    known = KnownClient(client_id="c1", name="Olena Koval", responsible=MARIA, card_url="https://crm.example/77")
    told = answer(ask("createContact__telegram", channel), known, channel)
    assert (told["responsibleUserId"], told["name"], told["uri"]) == ("maria", "Olena Koval", "https://crm.example/77")
    assert told["contactData"] == [{"chatType": "telegram", "chatId": "5551234", "username": "petro_k"}]


def test_a_deal_is_the_open_one_else_a_promise(make_channel: MakeChannel) -> None:
    """A14: a client with an open deal gets no second one."""
    channel = make_channel()
    question = ask("createDeal__auto", channel)
    assert (question.client_id, question.needs_deal) == ("c-501", True)
    deal = KnownDeal(
        shared_id="amo-88",
        ref=RecordRef(kind=RecordKind.DEAL, id="88"),
        connection="amo",
        name="Table",
        responsible=MARIA,
        url="https://crm.example/leads/88",
    )
    told = answer(question, KnownClient(client_id="c-501", open_deals=(deal,)), channel)
    assert told == {
        "id": "amo-88",
        "responsibleUserId": "maria",
        "name": "Table",
        "contacts": ["c-501"],
        "uri": "https://crm.example/leads/88",
        "closed": False,
    }
    promised = KnownClient(client_id="c-501", name="Olena", promised_deal_id="c-501-1", card_url="https://h.example/c")
    told = answer(question, promised, channel)
    assert (told["id"], told["responsibleUserId"], told["name"], told["uri"]) == (
        "c-501-1",
        "ivan",
        "Olena",
        "https://h.example/c",
    )


def test_a_deal_for_a_contact_that_nobody_named_is_not_invented(make_channel: MakeChannel) -> None:
    channel = make_channel()
    assert SOURCE.owed_reply(ask("createDeal__auto", channel), KnownClient(), channel).body == b""


@pytest.mark.parametrize("path", sorted(PAYLOADS.iterdir()), ids=lambda path: path.stem)
def test_only_creation_is_owed_a_reply(make_channel: MakeChannel, path: Path) -> None:
    question = SOURCE.owed_question(request_of(json.loads(path.read_bytes())), make_channel())
    assert (question is not None) == path.stem.startswith("create")


@pytest.mark.parametrize("body", [[], {"createContact": 3}, {"createDeal": {"contacts": [""]}}, "createContact"])
def test_a_question_that_cannot_be_read_owes_nothing(make_channel: MakeChannel, body: Any) -> None:
    assert SOURCE.owed_question(request_of(body), make_channel()) is None


def test_the_answer_may_wait_for_the_crm_by_a_setting(make_channel: MakeChannel) -> None:
    assert ask("createContact__auto", make_channel()).wait == timedelta(0)
    assert ask("createDeal__auto", make_channel(wait_for_crm_seconds=20)).wait == timedelta(seconds=20)
