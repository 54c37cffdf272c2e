"""A message of ours as Wazzup takes it (reference 9.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hub.core.outgoing import Outgoing
from hub.errors import Problem, Rejected

from .config import WazzupSettings
from .mapping import CHATS_OF_TRANSPORT

__all__ = ["LONGEST_TEXT", "REPEATED", "check", "to_message"]

#: the lower of what the vendor's tables say (reference 9.1); WABA's own, lower limit is the vendor's to refuse
LONGEST_TEXT: Mapping[str, int] = {
    "whatsapp": 10_000,
    "whatsgroup": 10_000,
    "instagram": 1_000,
    "telegram": 4_096,
    "telegroup": 4_096,
    "max": 4_096,
    "maxgroup": 4_096,
    "vk": 1_000,
    "avito": 1_000,
    "viber": 6_999,
}
#: the code of a repetition that Wazzup recognised, normalised
REPEATED = "repeatedcrmmessageid"
_KINDS = frozenset(kind for kinds in CHATS_OF_TRANSPORT.values() for kind in kinds)


def check(message: Outgoing) -> None:
    """Refuse what Wazzup would refuse. Raises Rejected naming the field."""
    kind, chat_id = message.chat
    problem: Problem | None = None
    if kind not in _KINDS:
        problem = Problem(field="chat", code="wrongtransport", text=f"there is no messenger {kind!r}")
    elif not chat_id:
        problem = Problem(field="chat", code="invalidmessagedata", text="the dialogue has no id")
    elif not message.account:
        problem = Problem(field="account", code="channelnotfound", text="no channel is chosen")
    elif bool(message.text.strip()) == bool(message.content_url):
        problem = Problem(field="text", code="messageonlytextorcontent", text="either a text or a file, not both")
    elif len(message.text) > LONGEST_TEXT[kind]:
        problem = Problem(
            field="text", code="messagetexttoolong", text=f"{kind} takes at most {LONGEST_TEXT[kind]} characters"
        )
    elif message.content_url and urlsplit(message.content_url).scheme not in ("http", "https"):
        problem = Problem(field="content_url", code="messagedownloadcontenterror", text="must be a public web address")
    if problem is not None:
        raise Rejected(problems={"": [problem]}, operation="POST /message")


def to_message(message: Outgoing, settings: WazzupSettings) -> dict[str, Any]:
    """The body of ``POST /message``; a message that no person wrote leaves the counter of unanswered ones (W6)."""
    kind, chat_id = message.chat
    body: dict[str, Any] = {
        "channelId": message.account,
        "chatType": kind,
        "chatId": chat_id,
        "crmMessageId": message.id,
        "clearUnanswered": not message.is_automatic,
    }
    if message.content_url:
        body["contentUri"] = message.content_url
    else:
        body["text"] = message.text
    if message.author and settings.key_kind == "full":
        body["crmUserId"] = message.author
    return body
