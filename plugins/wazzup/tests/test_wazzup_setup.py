"""What the administrator is told to do in the Wazzup cabinet, and what the plugin asks of the API (H12, W4)."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from hub_wazzup.client import raise_for
from hub_wazzup.sandbox import ChannelState, Sandbox
from hub_wazzup.source import WazzupSource

from hub.core.interaction import Identity
from hub.core.phone import Phone
from hub.errors import NeedsCredentials, Rejected, Throttled, Unavailable, VendorError
from hub.ports import ChannelConfig

MakeChannel = Callable[..., ChannelConfig]
SOURCE = WazzupSource()
HOOK = "https://hub.example/hooks/shop/chats/s3cret"


def test_what_the_api_cannot_set_is_told_as_steps_in_the_cabinet(make_channel: MakeChannel) -> None:
    """W4: roles and the switch are set by a person; the webhook's address is not."""
    hints = SOURCE.setup_hints(make_channel(), HOOK, "")
    told = "\n".join(f"{hint.where} {hint.note}" for hint in hints)
    for word in ("Quality control", "Manager", "Supervisor", "Receives new clients", "Unsorted", "API > Connect"):
        assert word in told
    assert [hint.value for hint in hints if hint.value] == [HOOK]
    sidecar = SOURCE.setup_hints(make_channel(key_kind="sidecar"), HOOK, "")
    assert "Quality control" not in "\n".join(hint.note for hint in sidecar)


STATUSES: list[tuple[int, bytes, type[VendorError], str]] = [
    (401, b"", NeedsCredentials, "refused the API key"),
    (403, b'{"error":"FORBIDDEN"}', NeedsCredentials, "sidecar"),
    (429, b"", Throttled, "slow down"),
    (500, b"", Unavailable, "500"),
    (502, b"<html>", Unavailable, "502"),
    (302, b"", Unavailable, "302"),
    (404, b"", Rejected, "404"),
    (400, b'{"error":"CHANNEL_BLOCKED","description":"The channel is blocked"}', Rejected, "channelblocked"),
    (400, b'{"error":"channelBlocked"}', Rejected, "channelblocked"),
    (400, b'{"error":{"code":"USER_NOT_FOUND"}}', Rejected, "usernotfound"),
    (400, b'{"error":"INVALID_MESSAGE_DATA","data":{"fields":["chatId"]}}', Rejected, "chatId"),
    (400, b'{"error":"INVALID_USERS_DATA","data":[{"index":2,"fields":["name"]}]}', Rejected, "2.name"),
    (400, b"[]", Rejected, "400"),
]


@pytest.mark.parametrize(("status", "body", "error", "text"), STATUSES)
def test_each_answer_becomes_the_error_that_says_what_follows(
    status: int, body: bytes, error: type[VendorError], text: str
) -> None:
    with pytest.raises(error, match=text):
        raise_for(status, body)
    raise_for(200, b"")
    raise_for(201, b"{}")


async def test_numbers_are_listed_with_the_messengers_they_serve(
    wazzup: tuple[Sandbox, str], channel: ChannelConfig, http: httpx.AsyncClient
) -> None:
    """W9, W11: a policy names them by their ids."""
    wazzup[0].account.channels += [
        ChannelState(transport="tgapi", plain_id="shop_bot", state="unauthorized"),
        ChannelState(transport="somethingNew", plain_id="x"),
    ]
    found = await SOURCE.list_accounts(channel, http)
    assert [(one.address, one.chat_kinds, one.is_active) for one in found] == [
        ("380931112233", ("whatsapp", "whatsgroup"), True),
        ("shop_bot", ("telegram", "telegroup"), False),
        ("x", (), True),
    ]


async def test_a_card_shows_the_dialogue_with_its_client(
    wazzup: tuple[Sandbox, str], channel: ChannelConfig, http: httpx.AsyncClient
) -> None:
    wazzup[0].account.users["ivan"] = {"id": "ivan", "name": "Ivan"}
    client = Identity(phones=(Phone("+380671234567"),), name="Olena")
    url = await SOURCE.frame_url(channel, http, staff_id="ivan", staff_name="Ivan", client=client)
    assert url.startswith("https://")
    with pytest.raises(Rejected, match="usernotfound"):
        await SOURCE.frame_url(channel, http, staff_id="nobody", staff_name="", client=client)


async def test_employees_are_read_for_matching(
    wazzup: tuple[Sandbox, str], channel: ChannelConfig, http: httpx.AsyncClient
) -> None:
    wazzup[0].account.users["u-7"] = {"id": "u-7", "name": "Ivan Petrenko"}
    assert [(one.staff_id, one.name) for one in await SOURCE.list_employees(channel, http)] == [
        ("u-7", "Ivan Petrenko")
    ]
