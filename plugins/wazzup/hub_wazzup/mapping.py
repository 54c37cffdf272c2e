"""Between Wazzup's words and the hub's: the only file that knows both. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hub.core.interaction import Destination, Direction, Identity, InteractionId, Message, ProjectId
from hub.core.outgoing import Delivery, Receipt
from hub.core.phone import Phone, parse_phone
from hub.messenger import SenderAccount
from hub.ports import ChannelConfig, Ignored, Parsed

from . import wire
from .config import WazzupSettings

__all__ = [
    "CHATS_OF_TRANSPORT",
    "PHONE_CHATS",
    "identity_of_chats",
    "phone_of",
    "to_account",
    "to_contact_data",
    "to_message",
    "to_receipt",
]

#: messengers whose chat id is the client's number (reference 2.4)
PHONE_CHATS = ("whatsapp", "viber")
_GROUPS = ("whatsgroup", "telegroup", "maxgroup")
#: which chats a channel serves (reference 2.4)
CHATS_OF_TRANSPORT: Mapping[str, tuple[str, ...]] = {
    "whatsapp": ("whatsapp", "whatsgroup"),
    "wapi": ("whatsapp",),
    "viber": ("viber",),
    "instagram": ("instagram",),
    "tgapi": ("telegram", "telegroup"),
    "telegram": ("telegram",),
    "vk": ("vk",),
    "avito": ("avito",),
    "max": ("max", "maxgroup"),
    "maxbot": ("max",),
}
#: older service messages that arrive as the client's (reference 12.1): never a client's word
_SYSTEM = re.compile(r"\s*===\s*SYSTEM\s+Wazzup\s*===", re.IGNORECASE)
_DELIVERIES = {
    "sent": Delivery.SENT,
    "delivered": Delivery.DELIVERED,
    "read": Delivery.READ,
    "error": Delivery.FAILED,
}
_USERNAME, _AVITO_PROFILE = "telegram_username", "avito_profile"


# --- who ----------------------------------------------------------------------------------------------------------


def phone_of(digits: str, channel: ChannelConfig) -> Phone | None:
    """The number in a chat id, which is international without a plus (reference 2.4); W7 is the project's switch."""
    digits = digits.strip().lstrip("+")
    if not digits.isascii() or not digits.isdigit():
        return None
    is_eight = channel.eight_is_seven and len(digits) == 11 and digits.startswith("8")
    text = digits if is_eight else f"+{digits}"
    return parse_phone(text, channel.region, eight_is_seven=channel.eight_is_seven)


def _identity(
    chat_type: str, chat_id: str, name: str, username: str, phone: str, avito_profile: str, channel: ChannelConfig
) -> Identity:
    handles = [(chat_type, chat_id)] if chat_id else []
    if username:
        handles.append((_USERNAME, username.lstrip("@").lower()))
    if avito_profile:
        handles.append((_AVITO_PROFILE, avito_profile))
    told = chat_id if chat_type in PHONE_CHATS else phone
    found = phone_of(told, channel) if told else None
    # for WhatsApp the name may just be the number (reference 5.1)
    is_name = any(char.isalpha() for char in name)
    return Identity(
        phones=(found,) if found else (), handles=tuple(handles), name=name.strip()[:200] if is_name else ""
    )


def identity_of_chats(chats: list[wire.Chat], name: str, channel: ChannelConfig) -> Identity:
    """The client whose chats these are."""
    parts = [_identity(chat.chat_type, chat.chat_id, name, chat.username, chat.phone, "", channel) for chat in chats]
    return Identity(
        phones=tuple(dict.fromkeys(phone for part in parts for phone in part.phones)),
        handles=tuple(dict.fromkeys(handle for part in parts for handle in part.handles)),
        name=parts[0].name,
    )


# --- what came in -------------------------------------------------------------------------------------------------


def to_message(found: wire.Message, channel: ChannelConfig, settings: WazzupSettings) -> Parsed:
    """One of ``messages``; the order of the questions is the reference's (5.1)."""
    if found.is_deleted:
        return Ignored(reason=f"message {found.message_id} was deleted in the messenger")
    if found.is_edited:
        return Ignored(reason=f"message {found.message_id} was edited; its first text stays")
    if _SYSTEM.match(found.text):
        return Ignored(reason="a service message of Wazzup")
    if found.chat_type in _GROUPS and not settings.read_groups:
        return Ignored(reason=f"a group chat ({found.chat_type})")
    if found.is_echo and found.status == "error":
        problem = " ".join(part for part in (found.error.error, found.error.description) if part) or "error"
        return Receipt(external_id=found.message_id, delivery=Delivery.FAILED, at=found.date_time, problem=problem)
    return Message(
        id=InteractionId(""),
        project=ProjectId(channel.project),
        channel=channel.name,
        source=channel.source,
        external_id=found.message_id,
        started_at=found.date_time,
        direction=Direction.OUTBOUND if found.is_echo else Direction.INBOUND,
        client=_identity(
            found.chat_type,
            found.chat_id,
            found.contact.name,
            found.contact.username,
            found.contact.phone,
            found.avito_profile_id,
            channel,
        ),
        text=_text(found),
        author=Destination(staff_id=found.author_id, name=found.author_name) if found.is_echo else Destination(),
        is_automatic=found.is_echo and _is_robot(found, settings),
        account=found.channel_id,
        parameters=_parameters(found),
    )


def _text(found: wire.Message) -> str:
    """What was written; a file stands as its kind and link, what cannot be shown as its kind."""
    parts = [found.text.strip()]
    if found.content_uri:
        parts.append(f"[{found.type or 'file'}] {found.content_uri}")
    if not any(parts):
        parts = [f"[{found.type or 'unknown'}]"]
    return "\n".join(part for part in parts if part)


def _is_robot(found: wire.Message, settings: WazzupSettings) -> bool:
    if found.interactive or found.author_name in settings.robot_names:
        return True
    is_authorless = not (found.author_id or found.author_name or found.sent_from_app)
    return settings.authorless_is_robot and is_authorless


def _parameters(found: wire.Message) -> dict[str, str]:
    """Everything that conditions and texts may want, "" left out."""
    told: dict[str, Any] = {
        "chat_type": found.chat_type,
        "chat_id": found.chat_id,
        "message_type": found.type,
        "content_url": found.content_uri,
        "username": found.contact.username,
        "quoted_text": found.quoted.get("text"),
        "post_url": found.post.get("src"),
        "post_text": found.post.get("description"),
        "advert_title": found.advert.get("title"),
        "advert_url": found.advert.get("url") or found.advert.get("uri"),
        "is_from_app": "true" if found.sent_from_app else "",
    }
    return {key: str(value)[:2000] for key, value in told.items() if isinstance(value, str | int) and value}


def to_receipt(found: wire.Status) -> Receipt | Ignored:
    """One of ``statuses``."""
    delivery = _DELIVERIES.get(found.status.lower())
    if delivery is None:
        return Ignored(reason=f"message {found.message_id} is now {found.status}")
    problem = ""
    if delivery is Delivery.FAILED:
        problem = " ".join(part for part in (found.error.error, found.error.description) if part) or "error"
    return Receipt(external_id=found.message_id, delivery=delivery, at=found.timestamp, problem=problem)


def to_account(found: wire.Channel) -> SenderAccount:
    """A channel as the hub names it; states are compared without case, an unknown one is not active (reference 3)."""
    return SenderAccount(
        id=found.channel_id,
        chat_kinds=CHATS_OF_TRANSPORT.get(found.transport.lower(), ()),
        address=found.plain_id,
        name=found.name or found.plain_id,
        is_active=found.state.lower() == "active",
        state=found.state,
    )


# --- what goes out ------------------------------------------------------------------------------------------------


def to_contact_data(phones: tuple[Phone, ...], handles: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    """``contactData``: the chats by which Wazzup finds the client, each once (reference 7)."""
    known_kinds = {kind for kinds in CHATS_OF_TRANSPORT.values() for kind in kinds}
    username = next((value for kind, value in handles if kind == _USERNAME), "")
    found: list[dict[str, str]] = []
    for kind, value in handles:
        if kind in known_kinds:
            chat = {"chatType": kind, "chatId": value}
            if kind == "telegram" and username:
                chat["username"] = username
            found.append(chat)
    if username and not any(chat["chatType"] == "telegram" for chat in found):
        found.append({"chatType": "telegram", "username": username})
    found += [{"chatType": "whatsapp", "chatId": phone.lstrip("+")} for phone in phones]
    unique = {(chat["chatType"], chat.get("chatId", "")): chat for chat in reversed(found)}
    return list(reversed(unique.values()))
