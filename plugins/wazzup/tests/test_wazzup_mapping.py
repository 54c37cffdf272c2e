"""What Wazzup sends, in the hub's words: who wrote, in which direction, what was written (W)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hub_wazzup.config import WazzupSettings
from hub_wazzup.source import WazzupSource

from hub.core.interaction import Direction, Message
from hub.core.outgoing import Delivery, Receipt
from hub.errors import PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest

ParseFile = Callable[..., list[Parsed]]
MakeChannel = Callable[..., ChannelConfig]

CHANNEL = "7d0c2a7e-51c3-4d0e-9c0b-2f8a1f0b6a11"
ROW = {
    "messageId": "m-1",
    "channelId": CHANNEL,
    "chatType": "whatsapp",
    "chatId": "380671234567",
    "dateTime": "2026-07-29T08:15:11.421Z",
    "type": "text",
    "isEcho": False,
    "text": "Hello",
    "status": "inbound",
}


def request_of(body: Any) -> RawRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawRequest(method="POST", body=content, received_at=datetime(2026, 7, 29, 8, 30, tzinfo=UTC))


def only(parsed: list[Parsed]) -> Message:
    [found] = parsed
    assert isinstance(found, Message)
    return found


def test_an_inbound_message_tells_who_wrote_and_to_which_number(parse_file: ParseFile) -> None:
    found = only(parse_file("messages__inbound"))
    assert found.direction is Direction.INBOUND
    assert found.client.phones == ("+380671234567",)
    assert found.client.handles == (("whatsapp", "380671234567"),)
    assert (found.client.name, found.text, found.account) == ("Olena", "Is the table in stock?", CHANNEL)
    assert found.started_at == datetime(2026, 7, 29, 8, 15, 11, 421000, tzinfo=UTC)
    assert (found.external_id, found.author.is_empty, found.is_automatic) == (
        "b1f0a0de-1e0f-4a51-8a3c-6d1d2b4c9e10",
        True,
        False,
    )


WHO = [
    ("messages__telegram", ("+380501112233",), (("telegram", "5551234"), ("telegram_username", "petro_k")), "Петро"),
    ("messages__telegram_without_phone", (), (("telegram", "5559999"),), "Марія"),
    ("messages__instagram_comment", (), (("instagram", "olena.home"),), "olena.home"),
    ("messages__avito", (), (("avito", "u2i-77"), ("avito_profile", "90210")), "Сергей"),
]


@pytest.mark.parametrize(("name", "phones", "handles", "client"), WHO, ids=[row[0] for row in WHO])
def test_each_messenger_names_its_client(
    parse_file: ParseFile, name: str, phones: tuple[str, ...], handles: tuple[Any, ...], client: str
) -> None:
    found = only(parse_file(name)).client
    assert (found.phones, found.handles, found.name) == (phones, handles, client)


TEXTS = [
    ("messages__image", "[image] https://store.wazzup24.com/f/9?filename=table.jpg"),
    ("messages__missing_call", "[missing_call]"),
    ("messages__quoted", "This one"),
]


@pytest.mark.parametrize(("name", "text"), TEXTS, ids=[row[0] for row in TEXTS])
def test_what_is_no_text_stands_as_its_kind_and_link(parse_file: ParseFile, name: str, text: str) -> None:
    assert only(parse_file(name)).text == text


def test_what_a_condition_may_want_is_told(parse_file: ParseFile) -> None:
    assert only(parse_file("messages__quoted")).parameters["quoted_text"] == "Oak or pine?"
    assert only(parse_file("messages__avito")).parameters["advert_title"] == "Стол дубовый"
    assert only(parse_file("messages__instagram_comment")).parameters["post_text"] == "Oak tables"
    assert only(parse_file("messages__image")).parameters["message_type"] == "image"


ECHOES = [
    # the payload                      settings                         who             a robot?
    ("messages__echo_of_employee", {}, "ivan", False),
    ("messages__echo_of_employee", {"robot_names": ("Ivan P.",)}, "ivan", True),
    ("messages__echo_of_phone", {}, "", False),
    ("messages__echo_of_phone", {"authorless_is_robot": True}, "", True),
    ("messages__echo_of_salesbot", {}, "", True),
]


@pytest.mark.parametrize(("name", "settings", "who", "is_robot"), ECHOES)
def test_an_echo_is_outbound_and_tells_whether_a_person_wrote(
    parse_file: ParseFile, name: str, settings: dict[str, Any], who: str, is_robot: bool
) -> None:
    """W6: only a person's reply answers."""
    found = only(parse_file(name, **settings))
    assert (found.direction, found.author.staff_id, found.is_automatic) == (Direction.OUTBOUND, who, is_robot)


ASIDE = [
    ("messages__edited", "edited"),
    ("messages__deleted", "deleted"),
    ("messages__group", "group"),
    ("messages__service", "service message"),
    ("statuses__edited", "is now edited"),
    ("test__address", "tries the address"),
    ("createContact__auto", "a contact"),
    ("createDeal__auto", "a deal"),
    ("channelsUpdates__unauthorized", "is now unauthorized"),
    ("channelsUpdates__tier", "TIER_1K"),
    ("templateStatus__approved", "order_ready is now approved"),
]


@pytest.mark.parametrize(("name", "reason"), ASIDE, ids=[row[0] for row in ASIDE])
def test_what_is_no_message_is_put_aside_with_its_reason(parse_file: ParseFile, name: str, reason: str) -> None:
    [found] = parse_file(name)
    assert isinstance(found, Ignored)
    assert reason in found.reason


def test_a_group_is_read_if_the_channel_says_so(parse_file: ParseFile) -> None:
    assert only(parse_file("messages__group", read_groups=True)).client.handles == (("whatsgroup", "1203630"),)


RECEIPTS = [
    ("statuses__delivered", Delivery.DELIVERED, ""),
    ("statuses__error", Delivery.FAILED, "BAD_CONTACT No such account"),
    ("messages__echo_failed", Delivery.FAILED, "24_HOURS_EXCEEDED The window is closed"),
]


@pytest.mark.parametrize(("name", "delivery", "problem"), RECEIPTS, ids=[row[0] for row in RECEIPTS])
def test_what_became_of_a_message_is_a_receipt(
    parse_file: ParseFile, name: str, delivery: Delivery, problem: str
) -> None:
    [found] = parse_file(name)
    assert isinstance(found, Receipt)
    assert (found.delivery, found.problem) == (delivery, problem)


def test_a_mixed_delivery_is_read_whole(parse_file: ParseFile) -> None:
    assert [one.kind for one in parse_file("messages__with_statuses")] == ["message", "message", "receipt"]


EIGHT = [
    # W7: on for RU and KZ, off elsewhere
    (True, "89161234567", ("+79161234567",)),
    (True, "79161234567", ("+79161234567",)),
    (False, "79161234567", ("+79161234567",)),
    (True, "380671234567", ("+380671234567",)),
    # a Korean number of 11 digits would be misread: that is what the switch is for
    (True, "82105551234", ("+72105551234",)),
    (False, "821055512345", ("+821055512345",)),
]


@pytest.mark.parametrize(("is_on", "chat_id", "phones"), EIGHT)
def test_eight_is_read_as_seven_by_the_projects_switch(
    make_channel: MakeChannel, is_on: bool, chat_id: str, phones: tuple[str, ...]
) -> None:
    """W7"""
    body = {"messages": [ROW | {"chatId": chat_id}]}
    channel = make_channel(region="RU", eight_is_seven=is_on)
    assert only(list(WazzupSource().parse(request_of(body), channel))).client.phones == phones


BROKEN = [
    (b"{", "body"),
    (b"[]", "body"),
    ({"messages": {}}, "messages"),
    ({"messages": [3]}, "messages[0]"),
    ({"messages": [{key: value for key, value in ROW.items() if key != "chatId"}]}, "messages[0].chatId"),
    ({"messages": [ROW | {"dateTime": "yesterday"}]}, "messages[0].dateTime"),
    ({"statuses": [{"messageId": "m"}]}, "statuses[0].timestamp"),
    ({"createContact": {"name": "x"}}, "createContact.contactData"),
    ({"createDeal": {"contacts": []}}, "createDeal.contacts"),
    ({"somethingNew": {"a": 1}}, "somethingNew"),
    # all would be stored in one transaction, for which other projects wait (H8)
    ({"messages": [ROW] * 1001}, "messages"),
]


@pytest.mark.parametrize(("body", "field"), BROKEN, ids=[row[1] for row in BROKEN])
def test_what_cannot_be_read_is_named_by_its_field(make_channel: MakeChannel, body: Any, field: str) -> None:
    """H11; an unknown event is one of them: kept and shown, never an error page."""
    with pytest.raises(PayloadError) as caught:
        WazzupSource().parse(request_of(body), make_channel())
    assert caught.value.field == field
    assert only(list(WazzupSource().parse(request_of({"messages": [ROW]}), make_channel()))).text == "Hello"


def test_one_unreadable_message_keeps_no_other_from_being_read(make_channel: MakeChannel) -> None:
    body = {"messages": [ROW | {"chatId": ""}, ROW], "somethingNew": {}}
    found = list(WazzupSource().parse(request_of(body), make_channel()))
    assert isinstance(found[0], Message)
    reasons = [one.reason for one in found[1:] if isinstance(one, Ignored)]
    assert [reason.partition(": ")[2].partition(":")[0] for reason in reasons] == ["messages[0].chatId", "somethingNew"]


def test_a_key_pasted_with_its_scheme_is_tolerated() -> None:
    settings = WazzupSettings.model_validate({"api_key": " Bearer abc "})
    assert settings.api_key.get_secret_value() == "abc"


@pytest.mark.parametrize(
    "address", ["http://api.example.com/v3", "ftp://api.wazzup24.com", "nonsense", "http://10.0.0.1"]
)
def test_the_key_leaves_over_https_only(address: str) -> None:
    """H8"""
    with pytest.raises(ValueError, match="https"):
        WazzupSettings(api_base=address)
    assert WazzupSettings(api_base="http://127.0.0.1:9/v3/").api_base == "http://127.0.0.1:9/v3"


def test_a_sidecar_key_shares_nothing() -> None:
    assert WazzupSettings.model_validate({"api_key": "k"}).shared == {"users", "contacts", "deals", "pipelines"}
    assert not WazzupSettings.model_validate({"api_key": "k", "key_kind": "sidecar"}).shared
    assert WazzupSettings.model_validate({"api_key": "k", "share_contacts": False, "share_deals": False}).shared == {
        "users",
        "pipelines",
    }
