"""Wazzup as a channel: messages in and out, replies owed, our records told, counters read, chats framed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
from pydantic import BaseModel

from hub.core.interaction import Identity
from hub.core.outgoing import Outgoing
from hub.errors import HubError, Rejected
from hub.messenger import Entities, KnownClient, OwedQuestion, SenderAccount, Sent, Subscription
from hub.ports import ChannelConfig, Pace, Parsed, RawRequest, Reply, SetupHint, SourceEmployee

from .client import WazzupClient
from .config import WazzupSettings
from .delivery import Event, parse_delivery
from .mapping import to_account, to_contact_data
from .owed import owed_question, owed_reply
from .sending import REPEATED, check, to_message
from .setup import setup_hints
from .sharing import share
from .subscribing import subscribe

__all__ = ["WazzupSource"]


class WazzupSource:
    """Wazzup's messengers (W): also OwesReply, SendsMessages, SyncsEntities, CountsUnanswered, FramesChats,
    SubscribesWebhooks and ListsEmployees."""

    name = "wazzup"
    settings_model: type[BaseModel] = WazzupSettings
    events: tuple[str, ...] = tuple(event.value for event in Event)
    #: a tenth of the limit stays for other programs with the same key
    pace = Pace(requests=450, per=timedelta(seconds=5), scope="account", source="reference 2.2: 500 requests in 5 s")

    def verify(self, request: RawRequest, channel: ChannelConfig) -> None:
        """Nothing: with an API key Wazzup sends neither signature nor header; the secret stands in the address."""

    def parse(self, request: RawRequest, channel: ChannelConfig) -> Sequence[Parsed]:
        """See `hub_wazzup.delivery.parse_delivery`."""
        return parse_delivery(request, channel, _settings_of(channel))

    def setup_hints(self, channel: ChannelConfig, hook_url: str, forward_url: str) -> Sequence[SetupHint]:
        """What is done in the cabinet, in order (H12, W4)."""
        return setup_hints(_settings_of(channel), hook_url)

    # --- SubscribesWebhooks

    async def subscribe(self, channel: ChannelConfig, http: httpx.AsyncClient, hook_url: str) -> Subscription:
        """See `hub_wazzup.subscribing.subscribe`. Raises VendorError."""
        return await subscribe(_client(channel, http), _settings_of(channel), hook_url)

    # --- OwesReply

    def owed_question(self, request: RawRequest, channel: ChannelConfig) -> OwedQuestion | None:
        """See `hub_wazzup.owed.owed_question`."""
        return owed_question(request, channel, _settings_of(channel))

    def owed_reply(self, question: OwedQuestion, client: KnownClient, channel: ChannelConfig) -> Reply:
        """See `hub_wazzup.owed.owed_reply`."""
        return owed_reply(question, client)

    # --- SendsMessages

    def repeat_window(self, channel: ChannelConfig) -> timedelta:
        """``crmMessageId`` is remembered for 60 seconds (reference 9.1)."""
        return timedelta(seconds=_settings_of(channel).repeat_window_seconds)

    def check(self, message: Outgoing, channel: ChannelConfig) -> None:
        """See `hub_wazzup.sending.check`."""
        check(message)

    async def send(self, channel: ChannelConfig, http: httpx.AsyncClient, message: Outgoing) -> Sent:
        """One ``POST /message``; "repeated" means that an earlier attempt arrived. Raises VendorError."""
        check(message)
        try:
            found = await _client(channel, http).send(to_message(message, _settings_of(channel)))
        except Rejected as err:
            if any(problem.code == REPEATED for problems in err.problems.values() for problem in problems):
                return Sent()
            raise
        return Sent(external_id=str(found.get("messageId") or ""), chat_id=str(found.get("chatId") or ""))

    async def list_accounts(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[SenderAccount]:
        """The account's channels. Raises VendorError."""
        return [to_account(found) for found in await _client(channel, http).channels()]

    # --- SyncsEntities

    def shares(self, channel: ChannelConfig) -> frozenset[str]:
        """What the settings allow."""
        return _settings_of(channel).shared

    async def share(self, channel: ChannelConfig, http: httpx.AsyncClient, changed: Entities) -> Mapping[str, str]:
        """See `hub_wazzup.sharing.share`. Raises VendorError."""
        return await share(_client(channel, http), changed)

    # --- CountsUnanswered

    async def unanswered(
        self, channel: ChannelConfig, http: httpx.AsyncClient, staff_ids: Sequence[str]
    ) -> Mapping[str, int]:
        """One request per employee; a user whom Wazzup does not know is left out. Raises VendorError."""
        settings = _settings_of(channel)
        if not settings.poll_counters or settings.key_kind == "sidecar":
            return {}
        client, found = _client(channel, http), {}
        for staff_id in staff_ids:
            try:
                found[staff_id] = await client.unanswered(staff_id)
            except Rejected:
                continue
        return found

    # --- FramesChats

    async def frame_url(
        self, channel: ChannelConfig, http: httpx.AsyncClient, *, staff_id: str, staff_name: str, client: Identity
    ) -> str:
        """``POST /iframe`` for a card; its life is not documented, so a new one is asked for each opening (9.5)."""
        chats = to_contact_data(client.phones, client.handles)
        question: dict[str, Any] = {
            "user": {"id": staff_id, "name": staff_name or staff_id},
            "scope": "card" if chats else "global",
        }
        if chats:
            question["filter"] = [{**chat, "name": client.name} if client.name else chat for chat in chats]
        return await _client(channel, http).frame(question)

    # --- ListsEmployees

    async def list_employees(self, channel: ChannelConfig, http: httpx.AsyncClient) -> Sequence[SourceEmployee]:
        """The users that Wazzup was told of, by the hub or by an earlier integration. Raises VendorError."""
        if _settings_of(channel).key_kind == "sidecar":
            return []
        return [SourceEmployee(staff_id=id, name=name) for id, name in await _client(channel, http).users()]


def _client(channel: ChannelConfig, http: httpx.AsyncClient) -> WazzupClient:
    return WazzupClient(http, _settings_of(channel), connection=channel.name)


def _settings_of(channel: ChannelConfig) -> WazzupSettings:
    settings = channel.settings
    if not isinstance(settings, WazzupSettings):
        raise HubError(f"channel {channel.name} has the settings of another source")
    return settings
