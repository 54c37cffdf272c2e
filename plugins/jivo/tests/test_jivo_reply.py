"""What the operator sees beside the chat (J1, reference 5); the sandbox's own rules are the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hub_jivo.sandbox.panel import problems_of
from hub_jivo.source import JivoSource

from hub.core.phone import Phone
from hub.core.records import EmployeeId, RecordKind, RecordRef
from hub.messenger import KnownClient, KnownDeal, KnownEmployee
from hub.ports import ChannelConfig, RawRequest

PAYLOADS = Path(__file__).parent / "payloads"
OLENA = KnownEmployee(id=EmployeeId("olena"), name="Olena Koval", email="olena@example.com")
CARD = "https://example.amocrm.com/contacts/detail/77"


def deal(number: int) -> KnownDeal:
    ref = RecordRef(kind=RecordKind.DEAL, id=str(number))
    url = f"https://example.amocrm.com/leads/detail/{number}"
    return KnownDeal(
        shared_id=f"amo-{number}", ref=ref, connection="amo", name=f"Lamp {number}", stage="Offer sent", url=url
    )


MARIA = KnownClient(
    name="Maria Shevchenko",
    phones=(Phone("+380501112233"),),
    emails=("maria@example.org",),
    connection="amo",
    contact=RecordRef(kind=RecordKind.CONTACT, id="77"),
    responsible=OLENA,
    open_deals=(deal(501), deal(502)),
    card_url=CARD,
)

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(make_channel: Callable[..., ChannelConfig], now: datetime) -> Ask:
    """The reply to a payload file for a client of whom so much is known."""

    def asking(name: str, client: KnownClient, **settings: object) -> dict[str, Any]:
        source, channel = JivoSource(), make_channel(**settings)
        request = RawRequest(method="POST", body=(PAYLOADS / f"{name}.json").read_bytes(), received_at=now)
        question = source.owed_question(request, channel)
        assert question is not None
        reply = source.owed_reply(question, client, channel)
        found: dict[str, Any] = json.loads(reply.body)
        event = name.partition("__")[0]
        assert problems_of(event, reply.content_type, found) == (), "the vendor would make nothing of it"
        return found

    return asking


def test_operator_sees_name_responsible_deals_and_the_card(ask: Ask) -> None:
    assert ask("chat_accepted__php_habits", MARIA, language="en") == {
        "result": "ok",
        "custom_data": [
            {"title": "Client", "content": "Maria Shevchenko", "link": CARD},
            {"title": "Responsible", "content": "Olena Koval"},
            {
                "title": "Deal",
                "key": "Offer sent",
                "content": "Lamp 501",
                "link": "https://example.amocrm.com/leads/detail/501",
            },
            {
                "title": "Deal",
                "key": "Offer sent",
                "content": "Lamp 502",
                "link": "https://example.amocrm.com/leads/detail/502",
            },
        ],
        "contact_info": {"name": "Maria Shevchenko", "email": "maria@example.org", "phone": "+380501112233"},
        "crm_link": CARD,
        "enable_assign": True,
    }


def test_what_the_visitor_typed_stays(ask: Ask) -> None:
    """The visitor of this payload told name, e-mail and phone."""
    assert "contact_info" not in ask("chat_accepted__full", MARIA)


def test_contacts_are_kept_from_jivo_where_the_channel_says_so(ask: Ask) -> None:
    assert "contact_info" not in ask("chat_accepted__php_habits", MARIA, tell_contacts=False)


def test_new_client_is_called_new(ask: Ask) -> None:
    assert ask("chat_accepted__full", KnownClient()) == {
        "result": "ok",
        "custom_data": [{"title": "Клиент", "content": "Новый клиент"}],
    }
    in_ukrainian = ask("chat_accepted__full", KnownClient(), language="uk")
    assert in_ukrainian["custom_data"][0]["content"] == "Новий клієнт"


def test_many_deals_are_counted(ask: Ask) -> None:
    rows = ask("chat_accepted__full", MARIA, show_deals=1, language="en")["custom_data"]
    assert [row["content"] for row in rows if row["title"] == "Deal"] == ["Lamp 501", "more open deals: 1"]


@pytest.mark.parametrize(
    "name",
    [
        "chat_finished__rated",
        "chat_assigned__button",
        "offline_message__new",
        "client_updated__contacts",
        "call_event__callback_end",
    ],
)
def test_other_events_get_the_plain_answer(name: str, ask: Ask) -> None:
    assert ask(name, MARIA) == {"result": "ok"}


def test_changed_contacts_are_answered_like_an_accepted_chat_unless_switched_off(ask: Ask) -> None:
    assert ask("chat_updated__phone_left", MARIA)["crm_link"] == CARD
    assert ask("chat_updated__phone_left", MARIA, answer_changes=False) == {"result": "ok"}


@pytest.mark.parametrize("name", ["chat_accepted__not_json", "chat_accepted__array"])
def test_unreadable_request_gets_the_plain_answer(name: str, ask: Ask) -> None:
    """It is kept and shown in the hub; the vendor could do nothing with an error."""
    assert ask(name, MARIA) == {"result": "ok"}
