"""Messages that go out: on which number (W9), once whatever happens to the answer (X5), and what is told of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_amocrm.sandbox import Sandbox
from hub_wazzup.sandbox import ChannelState
from hub_wazzup.sandbox import Sandbox as Wazzup

from hub.core.interaction import Direction, Identity
from hub.core.outgoing import Delivery, Outgoing, OutgoingState
from hub.core.phone import Phone
from hub.core.records import EmployeeId
from hub.errors import ConfigurationError, Rejected
from hub.runtime.composing import Wanted
from hub.runtime.links import ShortLinks
from hub.store import outgoing
from tests.end_to_end.messenger_world import CHATS, MessengerWorld, messenger_world
from tests.end_to_end.world import PROJECT, preset

CLIENT, NUMBER = "380671234567", Phone("+380671234567")
OLEG = EmployeeId("oleg")
TO_CLIENT = Wanted(to=Identity(phones=(NUMBER,)), text="The table is yours", author=OLEG)


@pytest.fixture
async def company(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str]
) -> AsyncIterator[MessengerWorld]:
    async with messenger_world(tmp_path, amocrm, wazzup) as found:
        yield found


async def queue(company: MessengerWorld, wanted: Wanted = TO_CLIENT) -> Outgoing:
    composer = company.hub.services.composer
    assert composer is not None
    return await composer.queue(company.project, wanted)


def texts(company: MessengerWorld) -> list[str]:
    return [str(message["text"]) for message in company.vendor.sent()]


async def test_a_message_goes_out_once_and_becomes_an_interaction_of_its_author(company: MessengerWorld) -> None:
    """W9; the echo of it makes no second one."""
    message = await queue(company)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    [sent] = company.vendor.sent()
    assert (sent["text"], sent["authorId"], sent["chatId"]) == ("The table is yours", "oleg", CLIENT)
    await company.until(lambda: company.outbox()[0].delivery is Delivery.SENT)
    await company.vendor.people.status(sent["messageId"], "read")
    await company.until(lambda: company.outbox()[0].delivery is Delivery.READ)
    # a status that comes late takes nothing back
    await company.vendor.people.status(sent["messageId"], "delivered")
    await company.settled(1)
    [told] = company.messages(Direction.OUTBOUND)
    assert (told.external_id, told.author.staff_id, told.text) == (sent["messageId"], "oleg", message.text)
    assert company.outbox()[0].delivery is Delivery.READ


async def test_the_same_id_twice_is_one_message(company: MessengerWorld) -> None:
    wanted = Wanted(to=Identity(phones=(NUMBER,)), text="Once", author=OLEG, id="order-77")
    assert await queue(company, wanted) == await queue(company, wanted)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    assert texts(company) == ["Once"]


TROUBLE: list[tuple[str, dict[str, Any]]] = [
    ("status", {"status": 429}),
    ("status", {"status": 500}),
    ("cut", {}),
    ("lost", {}),
]


@pytest.mark.parametrize(("kind", "how"), TROUBLE, ids=["throttled", "failed", "cut", "lost"])
async def test_trouble_with_the_answer_doubles_and_loses_nothing(
    company: MessengerWorld, kind: str, how: dict[str, Any]
) -> None:
    """X5: within the vendor's memory a repetition with the same id is safe."""
    company.hub.outbox.EVERY = timedelta(milliseconds=50)
    company.vendor.fail_next("POST", "/v3/message", kind, **how)
    await queue(company)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    assert texts(company) == ["The table is yours"]
    assert company.outbox()[0].attempts == 2
    await company.settled(1)
    assert len(company.messages(Direction.OUTBOUND)) == 1


def forget_when_it_left(company: MessengerWorld, id: str, *, ago: timedelta) -> None:
    """As if the hub had been away: the message left so long ago."""
    services = company.hub.services
    now = services.clock.now()

    def age(conn: Any) -> None:
        from sqlalchemy import update

        from hub.store.messenger_schema import outgoing as table

        values = {"state": "sent", "sent_at": now - ago, "not_before": None}
        conn.execute(update(table).where(table.c.id == id).values(**values))

    services.store.write_now(age)


FILE = replace(TO_CLIENT, text="", content_url="https://shop.example/files/price%20list.pdf")


@pytest.mark.parametrize("wanted", [TO_CLIENT, FILE], ids=["text", "file"])
async def test_an_echo_after_the_answer_repeated_is_the_same_message(company: MessengerWorld, wanted: Wanted) -> None:
    """X5: the answer "repeated" bears no id of the vendor's, so the message stood twice once its echo came."""
    company.hub.outbox.EVERY = timedelta(milliseconds=50)
    company.vendor.sending.fetches_content = False
    company.vendor.sender.is_losing = True
    company.vendor.fail_next("POST", "/v3/message", "lost")
    message = await queue(company, wanted)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    await company.settled(1)
    [told] = company.messages(Direction.OUTBOUND)
    assert told.external_id == outgoing.own_name(message)
    company.vendor.sender.is_losing = False
    [sent] = company.vendor.sent()
    await company.vendor.sender.send({"messages": [sent]})
    await company.until(lambda: company.outbox()[0].external_id == sent["messageId"])
    [told] = company.messages(Direction.OUTBOUND)
    assert told.external_id == sent["messageId"]
    # the same words once more are another message
    again = {**sent, "messageId": "another", "dateTime": (told.started_at + timedelta(minutes=5)).isoformat()}
    await company.vendor.sender.send({"messages": [again]})
    await company.until(lambda: len(company.messages(Direction.OUTBOUND)) == 2)


@pytest.mark.parametrize("wanted", [TO_CLIENT, FILE], ids=["text", "file"])
async def test_a_lost_answer_that_is_too_old_to_repeat_is_proven_by_the_echo(
    company: MessengerWorld, wanted: Wanted
) -> None:
    """After the vendor's 60 seconds a repetition would be sent again: the echo is the proof, so nothing is."""
    company.vendor.sending.fetches_content = False
    message = await queue(company, wanted)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    await company.settled(1)
    sent_before = len(company.vendor.sent())
    services = company.hub.services
    # the answer never came: the hub knows neither the vendor's id nor that it is done
    services.store.write_now(lambda conn: _unlearn(conn, message.id))
    forget_when_it_left(company, message.id, ago=timedelta(seconds=70))
    company.hub.outbox.wake()
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    assert "the vendor told of the message" in company.outbox()[0].note
    assert len(company.vendor.sent()) == sent_before


def _unlearn(conn: Any, id: str) -> None:
    from sqlalchemy import update

    from hub.store.messenger_schema import outgoing as table

    conn.execute(update(table).where(table.c.id == id).values(external_id="", ended_at=None))


async def test_without_any_proof_a_person_decides(company: MessengerWorld) -> None:
    company.vendor.fail_next("POST", "/v3/message", "status", status=500, times=50)
    message = await queue(company)
    await company.until(lambda: bool(company.outbox()[0].attempts))
    forget_when_it_left(company, message.id, ago=timedelta(minutes=5))
    company.hub.outbox.wake()
    await company.until(lambda: company.outbox()[0].state is OutgoingState.IN_DOUBT)
    assert texts(company) == []
    services = company.hub.services
    [troubled] = services.store.read_now(lambda conn: outgoing.list_troubled(conn, PROJECT))
    assert troubled.message.id == message.id
    company.vendor.faults.clear()
    now = services.clock.now()
    assert services.store.write_now(lambda conn: outgoing.settle(conn, PROJECT, message.id, again=True, now=now))
    company.hub.outbox.wake()
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    assert texts(company) == ["The table is yours"]
    assert not services.store.write_now(lambda conn: outgoing.settle(conn, PROJECT, message.id, again=True, now=now))


async def test_a_refused_message_is_told_with_the_vendors_reason_and_holds_up_nobody(company: MessengerWorld) -> None:
    company.vendor.channel.state = "active"
    await queue(company)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    company.vendor.fail_next(
        "POST",
        "/v3/message",
        "status",
        status=400,
        body=b'{"error":"MESSAGES_IS_SPAM","description":"Looks like spam"}',
    )
    await queue(company, Wanted(to=Identity(phones=(NUMBER,)), text="Buy now", author=OLEG))
    await queue(company, Wanted(to=Identity(phones=(NUMBER,)), text="Sorry", author=OLEG))
    await company.until(lambda: company.outbox()[-1].state is OutgoingState.DONE)
    assert [one.state for one in company.outbox()] == [OutgoingState.DONE, OutgoingState.REJECTED, OutgoingState.DONE]
    assert "spam" in company.outbox()[1].note
    assert texts(company) == ["The table is yours", "Sorry"]


async def test_a_message_that_did_not_arrive_is_told(company: MessengerWorld) -> None:
    await queue(company)
    await company.until(lambda: company.outbox()[0].delivery is Delivery.SENT)
    id = company.vendor.sent()[0]["messageId"]
    await company.vendor.people.status(id, "error", error="BAD_CONTACT", description="No such account")
    await company.until(lambda: company.outbox()[0].delivery is Delivery.FAILED)
    assert company.outbox()[0].note == "BAD_CONTACT No such account"


async def test_a_revoked_key_loses_no_message(company: MessengerWorld) -> None:
    """The outbox waits, and goes on by itself once the key is right again."""
    good, company.vendor.account.api_key = company.vendor.account.api_key, "changed"
    with pytest.raises(Exception, match="refused the API key"):
        await queue(company)
    company.vendor.account.api_key = good
    await queue(company)
    await company.until(lambda: company.outbox()[0].state is OutgoingState.DONE)
    assert texts(company) == ["The table is yours"]


# --- which number (W9) ------------------------------------------------------------------------------------------


@pytest.fixture
def two_numbers(wazzup: tuple[Wazzup, str]) -> tuple[ChannelState, ChannelState]:
    sandbox = wazzup[0]
    second = ChannelState(plain_id="380931119999")
    sandbox.account.channels.append(second)
    return sandbox.channel, second


def policy_of(numbers: tuple[ChannelState, ChannelState], oleg: str) -> str:
    text = preset("wazzup-messengers").replace('id = "oleg"\n', f'id = "oleg"\nwrites_from = "{oleg}"\n')
    blocks = [
        f'\n[channels.{name}]\nsource = "wazzup"\naccount = "{one.id}"\n'
        for name, one in zip(("sales", "service"), numbers, strict=True)
    ]
    return text + "".join(blocks)


@pytest.fixture
def world_of(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str], two_numbers: Any
) -> AbstractAsyncContextManager[MessengerWorld]:
    return messenger_world(tmp_path, amocrm, wazzup, policy=policy_of(two_numbers, "service"))


async def test_an_employee_begins_on_the_number_of_their_choice_and_answers_on_the_clients(
    world_of: AbstractAsyncContextManager[MessengerWorld], two_numbers: tuple[ChannelState, ChannelState]
) -> None:
    """W9"""
    sales, service = two_numbers
    async with world_of as company:
        await queue(company)
        await company.until(lambda: len(company.vendor.sent()) == 1)
        assert company.vendor.sent()[0]["channelId"] == service.id
        await company.vendor.people.client_writes(CLIENT, "On the other number", channel=sales)
        await company.settled(2)
        await queue(company)
        await company.until(lambda: len(company.vendor.sent()) == 2)
        assert company.vendor.sent()[1]["channelId"] == sales.id
        # a number that is out of order is not written from
        sales.state = "qr"
        await queue(company)
        await company.until(lambda: len(company.vendor.sent()) == 3)
        assert company.vendor.sent()[2]["channelId"] == service.id


BAD = [
    (Wanted(text="Hello", author=OLEG), ConfigurationError, "to whom"),
    (Wanted(to=Identity(phones=(NUMBER,)), author=OLEG), Rejected, "text"),
    (Wanted(to=Identity(phones=(NUMBER,)), text="x" * 10_001, author=OLEG), Rejected, "10000 characters"),
    (Wanted(to=Identity(handles=(("telegram", "5"),)), text="Hello"), ConfigurationError, "no channel reaches"),
    (Wanted(to=Identity(phones=(NUMBER,)), text="Hello", channel="nowhere"), ConfigurationError, "nowhere"),
]


@pytest.mark.parametrize(("wanted", "error", "text"), BAD, ids=[row[2] for row in BAD])
async def test_what_cannot_be_sent_is_refused_with_its_reason(
    company: MessengerWorld, wanted: Wanted, error: type[Exception], text: str
) -> None:
    """H11"""
    with pytest.raises(error, match=text):
        await queue(company, wanted)
    assert company.outbox() == []


async def test_a_message_of_no_person_leaves_the_counter(company: MessengerWorld) -> None:
    """W6"""
    await company.vendor.people.client_writes(CLIENT, "Hello?")
    await company.settled(1)
    await queue(company, Wanted(to=Identity(phones=(NUMBER,)), text="We open at nine", is_automatic=True))
    await company.until(lambda: len(company.vendor.sent()) == 1)
    chat = company.vendor.account.chats["whatsapp", CLIENT]
    assert chat.unanswered == 1
    await company.settled(2)
    assert company.messages(Direction.OUTBOUND)[0].is_automatic
    await queue(company)
    await company.until(lambda: chat.unanswered == 0)
    assert datetime.now(UTC) > company.messages(Direction.OUTBOUND)[0].started_at
    assert company.messages(Direction.OUTBOUND)[0].channel == CHATS


class _Links(ShortLinks):
    """Knows one link."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def targets(self, links: Sequence[str]) -> Mapping[str, str]:
        self.asked += links
        return dict.fromkeys(links, "https://shop.example/table")


@pytest.mark.parametrize(("is_on", "is_automatic"), [(True, True), (True, False), (False, True)])
async def test_a_robots_short_links_are_expanded_by_the_switch_before_a_message_goes_out(
    tmp_path: Path, amocrm: tuple[Sandbox, str], wazzup: tuple[Wazzup, str], is_on: bool, is_automatic: bool
) -> None:
    """W8: off by default; what a person wrote is left as it is."""
    policy = preset("wazzup-messengers").replace("expand_links = false", f"expand_links = {str(is_on).lower()}")
    async with messenger_world(tmp_path, amocrm, wazzup, policy=policy) as company:
        known, composer = _Links(), company.hub.services.composer
        assert composer is not None
        composer.links = known
        await queue(
            company,
            Wanted(to=Identity(phones=(NUMBER,)), text="Look: https://amo.sh/Ab1", is_automatic=is_automatic),
        )
        await company.until(lambda: len(company.vendor.sent()) == 1)
        is_expanded = is_on and is_automatic
        assert texts(company) == ["Look: https://shop.example/table" if is_expanded else "Look: https://amo.sh/Ab1"]
        assert known.asked == (["https://amo.sh/Ab1"] if is_expanded else [])
