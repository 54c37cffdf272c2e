"""Notifications: the channel is made and renewed in time, and what it tells is read again (H6, H8, H11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hub_zoho.webhook import channel_token, read_notification

from hub.core.records import RecordKind, RecordRef
from hub.errors import AccessError, PayloadError
from hub.ports import Changes, RawRequest

PAYLOADS = Path(__file__).parent / "payloads"
TOKEN = "f" * 48


def body(name: str) -> bytes:
    return (PAYLOADS / name).read_bytes().replace(b"TOKEN", TOKEN.encode())


def refs(*pairs: tuple[RecordKind, str]) -> tuple[RecordRef, ...]:
    return tuple(RecordRef(kind=kind, id=record_id) for kind, record_id in pairs)


C, D, T = RecordKind.CONTACT, RecordKind.DEAL, RecordKind.TASK
LEAD = "Leads/5725767000001234567"
ROWS = [
    ("insert__lead.json", Changes(touched=refs((C, LEAD), (D, LEAD)))),
    ("update__contacts.json", Changes(touched=refs((C, "5725767000001234567"), (C, "5725767000001234568")))),
    ("update__values.json", Changes(touched=refs((D, "5725767000001234569")))),
    ("delete__lead.json", Changes(deleted=refs((C, LEAD), (D, LEAD)))),
    ("delete__task.json", Changes(deleted=refs((T, "5725767000001234570")))),
]


@pytest.mark.parametrize(("name", "changes"), ROWS, ids=[name for name, _ in ROWS])
def test_notifications_name_records_to_read_again(name: str, changes: Changes) -> None:
    """H6: a lead is a contact and a deal; contents are not taken from what nobody signed."""
    assert read_notification(body(name), TOKEN) == changes


def test_every_payload_file_is_in_the_table() -> None:
    assert {path.name for path in PAYLOADS.iterdir()} == {name for name, _ in ROWS}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"[]", ""),
        (b'{"module": "Leads", "operation": "insert", "token": "TOKEN"}', "ids"),
        (b'{"module": "Leads", "ids": ["x"], "operation": "insert", "token": "TOKEN"}', "ids"),
        (b'{"module": "Leads", "ids": [{}], "operation": "insert", "token": "TOKEN"}', "ids"),
        (b'{"module": "Quotes", "ids": ["1"], "operation": "insert", "token": "TOKEN"}', "module"),
        (b'{"module": "Leads", "ids": ["1"], "operation": "explode", "token": "TOKEN"}', "operation"),
    ],
)
def test_unreadable_notifications_name_the_field(raw: bytes, field: str) -> None:
    """H11: kept and shown by the hub; the field that offended is named."""
    with pytest.raises(PayloadError) as caught:
        read_notification(raw.replace(b"TOKEN", TOKEN.encode()), TOKEN)
    assert caught.value.field.startswith(field)
    assert caught.value.source == "zoho"


@pytest.mark.parametrize("token", ["", "wrong", "ф" * 48])
def test_a_notification_without_the_channels_token_is_not_believed(token: str) -> None:
    """H8: the token is all that Zoho offers."""
    with pytest.raises(AccessError):
        read_notification(body("insert__lead.json").replace(TOKEN.encode(), token.encode()), TOKEN)


def test_each_connection_has_a_token_of_its_own(office: Any) -> None:
    settings = office.context.settings
    tokens = {channel_token(settings, "shop", "zoho"), channel_token(settings, "shop", "other")}
    tokens.add(channel_token(settings, "club", "zoho"))
    assert len(tokens) == 3
    assert max(map(len, tokens)) <= 50


# --- the channel ------------------------------------------------------------------------------------------------


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()


@pytest.fixture
async def hooked(office: Any) -> AsyncIterator[Any]:
    """The office with an address for notifications, which takes them."""
    told: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        told.put_nowait(await reader.readexactly(length))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    context = replace(office.context, webhook_url=f"http://127.0.0.1:{port}/crm/shop/zoho/s3cret", clock=Clock())
    opened = replace(office, context=context, session=office.sink.open(context))
    async with server:
        yield opened, told


async def polled(office: Any) -> None:
    async for _ in office.session.changes(""):
        pass


async def test_connecting_subscribes_and_what_people_do_is_told_at_once(hooked: Any) -> None:
    """H6, 8: one channel for all modules; its token is checked, its records are read again."""
    office, told = hooked
    await office.session.connect()
    (channel,) = office.sandbox.world.channels.values()
    assert [event.partition(".")[2] for event in channel.events] == ["all"] * 5
    lead = office.someone("Leads")
    async with asyncio.timeout(30):
        raw = await told.get()
    request = RawRequest(method="POST", body=raw, received_at=datetime.now(UTC))
    changes = office.sink.parse_webhook(request, office.context)
    assert RecordRef(kind=RecordKind.CONTACT, id=f"Leads/{lead}") in changes.touched


async def test_the_channel_is_renewed_at_half_of_its_life_by_polling(hooked: Any) -> None:
    """8: it lives a week at most; no request while it is fresh."""
    office, _ = hooked
    await office.session.connect()
    (first,) = (channel.expiry for channel in office.sandbox.world.channels.values())
    office.sandbox.reset_stats()
    await polled(office)
    assert office.asked(path="/actions/watch") == []
    office.context.clock.ahead = timedelta(days=3, hours=1)
    office.sandbox.advance(3 * 86400 + 3600)
    await polled(office)
    assert office.asked(path="/actions/watch") == ["PUT /crm/v8/actions/watch"]
    (second,) = (channel.expiry for channel in office.sandbox.world.channels.values())
    assert second - first > 3 * 86400


async def test_a_channel_that_expired_while_the_hub_was_off_is_made_anew(hooked: Any) -> None:
    office, _ = hooked
    await office.session.connect()
    office.sandbox.world.channels.clear()
    office.context.clock.ahead = timedelta(days=8)
    office.sandbox.advance(8 * 86400)
    await polled(office)
    assert len(office.sandbox.world.channels) == 1


async def test_without_the_scope_changes_are_polled_and_the_page_says_so(hooked: Any) -> None:
    """A refused subscription is a warning, not a stop."""
    office, _ = hooked
    office.sandbox.fail_next("POST", "/crm/v8/actions/watch", status=403)
    catalogue = await office.session.connect()
    assert any("polled instead" in warning for warning in catalogue.warnings)
    catalogue = await office.session.connect()
    assert not any("polled" in warning for warning in catalogue.warnings)
    assert len(office.sandbox.world.channels) == 1


async def test_no_address_or_a_switch_means_no_channel(office: Any) -> None:
    await office.session.connect()
    assert office.asked(path="/actions/watch") == []
