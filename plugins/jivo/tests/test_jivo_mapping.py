"""Each event in the hub's words (J1, reference 2 to 4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hub_jivo.source import JivoSource

from hub.core.chat import ChatFragment, ChatMoment, ClientChanged
from hub.core.interaction import Attribution, Direction, Disposition, Identity, Message
from hub.core.merge import CallFragment, Moment
from hub.errors import PayloadError
from hub.ports import ChannelConfig, Ignored, Parsed, RawRequest

PAYLOADS = Path(__file__).parent / "payloads"
MARIA = Identity(
    phones=("+380501112233",),  # type: ignore[arg-type]
    emails=("maria@example.org",),
    handles=(("jivo", "9012"),),
    name="Maria",
)
Read = Callable[..., Parsed]


@pytest.fixture
def read(make_channel: Callable[..., ChannelConfig], now: datetime) -> Read:
    """Reads a payload file, with settings and with fields changed."""

    def reading(name: str, changed: dict[str, Any] | None = None, **settings: object) -> Parsed:
        body = json.loads((PAYLOADS / f"{name}.json").read_bytes()) | (changed or {})
        request = RawRequest(method="POST", body=json.dumps(body).encode(), received_at=now)
        (found,) = JivoSource().parse(request, make_channel(**settings))
        return found

    return reading


def chat(found: Parsed) -> ChatFragment:
    assert isinstance(found, ChatFragment)
    return found


def test_accepted_chat_tells_client_operator_page_and_where_the_client_came_from(read: Read) -> None:
    found = chat(read("chat_accepted__full"))
    assert (found.external_id, found.moment, found.decides) == ("chat-48151", ChatMoment.ACCEPTED, True)
    assert found.client == MARIA
    assert [(agent.staff_id, agent.email, agent.department) for agent in found.agents] == [
        ("3141", "olena@example.com", "Sales")
    ]
    assert found.attribution == Attribution(
        utm_source="google",
        utm_medium="cpc",
        utm_campaign="spring",
        ga_client_id="1122334455.1785310000",
        landing_page="https://shop.example.org/p/1",
        ip="192.0.2.15",
        country="UA",
        region="Kyiv",
        city="Kyiv",
    )
    assert found.page == "https://shop.example.org/p/1"
    assert found.parameters["city"] == "Kyiv", "the client's location is a condition (J2)"


def test_empty_objects_as_arrays_and_ids_as_numbers_are_read(read: Read) -> None:
    """PHP's habits."""
    found = chat(read("chat_accepted__php_habits"))
    assert found.external_id == "chat-48152"
    assert found.client == Identity(handles=(("jivo", "77"),))


def test_utm_is_split_where_its_object_is_missing(read: Read) -> None:
    found = read("offline_message__old_text_id")
    assert isinstance(found, Message)
    assert (found.attribution.utm_source, found.attribution.utm_medium) == ("insta", "story")


@pytest.mark.parametrize(
    ("name", "settings", "decides"),
    [
        ("chat_accepted__full", {}, True),
        ("chat_accepted__full", {"decide_at": "finished"}, False),
        ("chat_updated__phone_left", {}, False),
        ("chat_assigned__button", {}, False),
        ("chat_finished__rated", {}, True),
        ("chat_finished__rated", {"decide_at": "finished"}, True),
    ],
)
def test_records_are_made_when_the_channel_says(name: str, settings: dict[str, str], decides: bool, read: Read) -> None:
    assert chat(read(name, **settings)).decides is decides


def test_finished_chat_has_its_log_rating_and_transcript(read: Read) -> None:
    found = chat(read("chat_finished__rated"))
    assert [(line.is_from_client, line.text, line.author.staff_id) for line in found.messages] == [
        (True, "Is it in stock?", ""),
        (False, "Yes, two left", "3141"),
    ]
    assert found.parameters["rate"] == "positive"
    assert found.parameters["transcript"].startswith("Maria: Is it in stock?")
    assert [agent.email for agent in found.agents] == ["olena@example.com"]


def test_chat_that_nobody_answered_has_no_operator(read: Read) -> None:
    assert chat(read("chat_finished__unanswered")).agents == ()


def test_operator_who_wrote_nothing_did_not_answer(read: Read) -> None:
    told = {"agents": [{"id": "3141", "name": "Olena Koval", "email": "olena@example.com"}]}
    assert chat(read("chat_finished__unanswered", told)).agents == ()


def test_bound_card_is_kept_with_the_chat(read: Read) -> None:
    found = chat(read("chat_assigned__button"))
    assert found.parameters["assign_to"] == "https://example.amocrm.com/contacts/detail/77"


def test_changed_client_belongs_to_no_chat_of_its_own(read: Read) -> None:
    found = read("client_updated__contacts")
    assert isinstance(found, ClientChanged)
    assert found.client.handles == (("jivo", "9012"), ("jivo-client", "1217"))
    assert found.client.phones == ("+380501112233",)
    assert isinstance(read("chat_updated__without_chat"), ClientChanged), "the vendor's pages disagree on the name"


def test_offline_message_is_an_unanswered_message(read: Read) -> None:
    """W6 for a site: nobody is there, the message waits for somebody."""
    found = read("offline_message__new")
    assert isinstance(found, Message)
    assert (found.external_id, found.direction, found.text) == (
        "offline-1785312999123",
        Direction.INBOUND,
        "Call me back",
    )


@pytest.mark.parametrize(
    ("name", "moment", "disposition"),
    [
        ("call_event__callback_start", Moment.RINGING, None),
        ("call_event__callback_agent_connected", Moment.FORWARDED, None),
        ("call_event__callback_client_connected", Moment.TAKEN, None),
        ("call_event__callback_end", Moment.ENDED, None),
        ("call_event__callback_error", Moment.ENDED, Disposition.FAILED),
        ("call_event__incoming_end", Moment.ENDED, None),
    ],
)
def test_call_goes_through_its_moments(name: str, moment: Moment, disposition: Disposition | None, read: Read) -> None:
    found = read(name)
    assert isinstance(found, CallFragment)
    assert (found.moment, found.disposition) == (moment, disposition)
    assert found.is_callback is ("callback" in name)
    assert found.client.phones == ("+380501112233",)


def test_visitor_on_the_black_list_makes_nothing(read: Read) -> None:
    assert isinstance(read("chat_finished__blacklisted"), Ignored)


def test_unknown_event_is_kept_and_counted_not_refused(read: Read) -> None:
    found = read("chat_accepted__full", {"event_name": "chat_transferred"})
    assert isinstance(found, Ignored)
    assert "chat_transferred" in found.reason


def test_event_of_another_channel_is_left_alone(read: Read) -> None:
    assert isinstance(read("chat_accepted__full", widget_id="other"), Ignored)
    assert isinstance(read("chat_accepted__full", widget_id="aB3xYz9Q"), ChatFragment)


def test_two_accounts_do_not_share_their_visitors_numbers(read: Read) -> None:
    assert chat(read("chat_accepted__full", account="berlin")).client.handles == (("jivo", "berlin:9012"),)


def test_token_identifies_the_client_where_the_channel_says_what_it_means(read: Read) -> None:
    """J4: one further field."""
    assert chat(read("chat_accepted__full")).client.fields == {}
    assert chat(read("chat_accepted__full", token_field="customer")).client.fields == {"customer": "crm-contact-77"}


def test_field_at_fault_is_named_with_what_came(make_channel: Callable[..., ChannelConfig], now: datetime) -> None:
    """H11; with the field mended the same request is read."""
    source, channel = JivoSource(), make_channel()
    broken = RawRequest(method="POST", body=b'{"event_name":"chat_accepted","visitor":{"name":{}}}', received_at=now)
    with pytest.raises(PayloadError, match=r"visitor\.name") as caught:
        source.parse(broken, channel)
    assert caught.value.field == "visitor.name"
    mended = RawRequest(method="POST", body=b'{"event_name":"chat_accepted","chat_id":1}', received_at=now)
    assert chat(source.parse(mended, channel)[0]).external_id == "chat-1"
