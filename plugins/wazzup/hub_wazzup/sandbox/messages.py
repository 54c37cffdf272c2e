"""``POST /v3/message`` and what follows from it (reference 9)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from .clock import SandboxClock, stamp
from .reply import Refusal
from .state import Account, ChannelState, ChatState

__all__ = ["REMEMBERED", "Sending"]

#: how long a crmMessageId is remembered
REMEMBERED = timedelta(seconds=60)
_CHATS = {
    "whatsapp": {"whatsapp", "whatsgroup"},
    "wapi": {"whatsapp"},
    "viber": {"viber"},
    "instagram": {"instagram"},
    "tgapi": {"telegram", "telegroup"},
    "telegram": {"telegram"},
    "vk": {"vk"},
    "avito": {"avito"},
    "max": {"max", "maxgroup"},
    "maxbot": {"max"},
}
_LONGEST = {
    "whatsapp": 10_000, "instagram": 1_000, "telegram": 4_096, "tgapi": 4_096, "max": 4_096, "maxbot": 4_096,
    "wapi": 1_024, "vk": 1_000, "avito": 1_000, "viber": 6_999,
}  # fmt: skip
_LARGEST = 10 * 1024 * 1024


class Sending:
    """Takes messages for one account."""

    def __init__(self, account: Account, clock: SandboxClock) -> None:
        self._account, self._clock = account, clock
        #: False: contentUri is believed, not fetched
        self.fetches_content = True

    async def take(self, body: Any) -> dict[str, Any]:
        """Check and keep one message; as its echo tells it."""
        if not isinstance(body, Mapping):
            raise Refusal(400, "INVALID_MESSAGE_DATA", "Message data is invalid", {"fields": ["body"]})
        channel = self._check(body)
        chat_type, chat_id = str(body["chatType"]), str(body.get("chatId") or body.get("phone") or body["username"])
        if body.get("contentUri") and self.fetches_content:
            await self._fetch(str(body["contentUri"]))
        self._remember(body)
        chat = self._account.chats.setdefault(
            (chat_type, chat_id), ChatState(channel=channel.id, chat_type=chat_type, chat_id=chat_id)
        )
        if body.get("clearUnanswered", True):
            chat.unanswered = 0
        author = str(body.get("crmUserId") or "")
        message: dict[str, Any] = {
            "messageId": str(uuid.uuid4()),
            "channelId": channel.id,
            "chatType": chat_type,
            "chatId": chat_id,
            "dateTime": stamp(self._clock.now()),
            "type": "text" if body.get("text") else "document",
            "isEcho": True,
            "status": "sent",
            "sentFromApp": False,
        }
        if body.get("text"):
            message["text"] = body["text"]
        if body.get("contentUri"):
            # the vendor keeps a copy and tells its own address (reference 5.1)
            name = quote(unquote(urlsplit(str(body["contentUri"])).path.rpartition("/")[2]))
            message["contentUri"] = f"https://store.wazzup24.com/{uuid.uuid4()}?filename={name}"
        if author and not self._account.is_sidecar:
            message["authorId"] = author
            message["authorName"] = self._account.users.get(author, {}).get("name", "")
        self._account.messages.append(message)
        return message

    def _check(self, body: Mapping[str, Any]) -> ChannelState:
        missing = [name for name in ("channelId", "chatType") if not isinstance(body.get(name), str) or not body[name]]
        if not any(body.get(name) for name in ("chatId", "username", "phone")):
            missing.append("chatId")
        if missing:
            raise Refusal(400, "INVALID_MESSAGE_DATA", "Message data is invalid", {"fields": missing})
        channel = self._account.channel(body["channelId"])
        if channel is None:
            raise Refusal(400, "CHANNEL_NOT_FOUND", "The channel is not found")
        if body["chatType"] not in _CHATS[channel.transport]:
            data = {"channelId": channel.id, "transport": channel.transport, "chatType": body["chatType"]}
            raise Refusal(400, "WRONG_TRANSPORT", "The chat type does not fit the channel", data)
        if channel.state == "blocked":
            raise Refusal(400, "CHANNEL_BLOCKED", "The channel is blocked")
        if channel.state == "notEnoughMoney":
            raise Refusal(400, "CHANNEL_NO_MONEY", "The channel is not paid")
        if channel.state != "active":
            raise Refusal(400, "MESSAGE_CHANNEL_UNAVAILABLE", "The channel is not available")
        text, content = body.get("text"), body.get("contentUri")
        if text and content:
            raise Refusal(400, "MESSAGE_ONLY_TEXT_OR_CONTENT", "Either text or content")
        if not (text or content or body.get("templateId")):
            raise Refusal(400, "MESSAGE_NOTHING_TO_SEND", "Nothing to send")
        if isinstance(text, str) and not text.strip():
            raise Refusal(400, "MESSAGES_TEXT_CAN_NOT_BE_BLANK", "The text is blank")
        if isinstance(text, str) and len(text) > _LONGEST[channel.transport]:
            raise Refusal(400, "MESSAGE_TEXT_TOO_LONG", "The text is too long")
        return channel

    def _remember(self, body: Mapping[str, Any]) -> None:
        key = body.get("crmMessageId")
        if not key:
            return
        now, before = self._clock.now(), self._account.repeats.get(str(key))
        if before is not None and now - before < REMEMBERED:
            raise Refusal(400, "REPEATED_CRM_MESSAGE_ID", "A message with this id was sent", {"crmMessageId": str(key)})
        self._account.repeats[str(key)] = now

    async def _fetch(self, address: str) -> None:
        """At once, and redirects are not followed."""
        try:
            async with httpx.AsyncClient(timeout=10, follow_redirects=False, trust_env=False) as http:
                answer = await http.get(address)
        except (httpx.HTTPError, httpx.InvalidURL) as err:
            raise Refusal(400, "MESSAGE_DOWNLOAD_CONTENT_ERROR", "The content cannot be loaded") from err
        if answer.status_code != 200:
            raise Refusal(400, "MESSAGE_DOWNLOAD_CONTENT_ERROR", "The content cannot be loaded")
        if len(answer.content) > _LARGEST:
            raise Refusal(400, "MESSAGES_CONTENT_SIZE_EXCEEDED", "The content is larger than 10 MB")
