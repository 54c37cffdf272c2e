"""Witness: a published client of Wazzup, not ours, works against the sandbox but for the address (DESIGN 7)."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hub_wazzup.sandbox import Sandbox

with warnings.catch_warnings():
    # the client was written for an older pydantic, and ships no types
    warnings.simplefilter("ignore")
    from wazzup_client.exceptions import WazzupAPIError  # type: ignore[import-untyped]
    from wazzup_client.public.client import WazzupPublicClient  # type: ignore[import-untyped]

CLIENT = "380671234567"

pytestmark = pytest.mark.filterwarnings("ignore:The `dict` method is deprecated")


@pytest.fixture
async def witness(wazzup: tuple[Sandbox, str]) -> AsyncIterator[WazzupPublicClient]:
    sandbox, address = wazzup
    client = WazzupPublicClient(address.removesuffix("/v3"), sandbox.account.api_key, max_retries=1)
    yield client
    await client._client.aclose()


async def test_a_published_client_keeps_entities_here(wazzup: tuple[Sandbox, str], witness: WazzupPublicClient) -> None:
    account = wazzup[0].account
    await witness.post_users([{"id": "u-7", "name": "Ivan"}])
    assert await witness.get_users() == [{"id": "u-7", "name": "Ivan"}]
    contact: dict[str, Any] = {
        "id": "c-501",
        "responsibleUserId": "u-7",
        "name": "Olena",
        "contactData": [{"chatType": "whatsapp", "chatId": CLIENT}],
        "uri": "https://crm.example/contacts/501",
    }
    await witness.create_contact(contact)
    assert account.contacts["c-501"]["contactData"] == contact["contactData"]
    assert (await witness.get_contacts())["count"] == 1
    deal = {
        "id": "d-88",
        "responsibleUserId": "u-7",
        "name": "Enquiry",
        "uri": "https://crm.example/deals/88",
        "contacts": ["c-501"],
        "closed": False,
    }
    await witness.post_deals([deal])
    assert account.deals["d-88"]["contacts"] == ["c-501"]
    assert await witness.bulk_delete_contacts(["c-501", "nobody"]) == ["nobody"]


async def test_a_published_client_sends_and_hears_refusals(
    wazzup: tuple[Sandbox, str], witness: WazzupPublicClient
) -> None:
    sandbox = wazzup[0]
    told = {"channelId": sandbox.channel.id, "chatType": "whatsapp", "chatId": CLIENT, "crmMessageId": "m-1"}
    sent = await witness.send_message(told | {"text": "Hello"})
    assert sent["messageId"] == sandbox.sent()[0]["messageId"]
    with pytest.raises(WazzupAPIError) as caught:
        await witness.send_message(told | {"text": "Hello"})
    assert caught.value.status_code == 400
    assert "REPEATED_CRM_MESSAGE_ID" in str(vars(caught.value))
    assert [message["text"] for message in sandbox.sent()] == ["Hello"]


async def test_a_published_client_reads_counters_and_frames(
    wazzup: tuple[Sandbox, str], witness: WazzupPublicClient
) -> None:
    wazzup[0].account.users["u-7"] = {"id": "u-7", "name": "Ivan"}
    assert (await witness.get_unanswered("u-7"))["counterV2"] == 0
    asked = {"user": {"id": "u-7", "name": "Ivan"}, "scope": "global"}
    assert (await witness.generate_iframe_link(asked))["url"].startswith("https://")
