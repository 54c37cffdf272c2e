"""What one Wazzup account holds: channels, entities, chats, and what people set in its cabinet."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

__all__ = ["Account", "ChannelState", "ChatState", "Sitting", "SubscriptionState"]

Role = Literal["auditor", "seller", "manager"]


@dataclass(slots=True, kw_only=True)
class Sitting:
    """An employee on one channel, as set in the cabinet (reference 10)."""

    role: Role = "seller"
    receives_new: bool = False


@dataclass(slots=True, kw_only=True)
class ChannelState:
    """One number or account, with its cabinet settings."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    transport: str = "whatsapp"
    plain_id: str = "380931112233"
    state: str = "active"
    name: str = ""
    #: "first": the first who answers gets the client; "turn": dealt in turn
    new_clients: Literal["first", "turn"] = "turn"
    #: pipeline and stage chosen for new deals; "" = none, so no deal is asked for
    pipeline: str = ""
    staff: dict[str, Sitting] = field(default_factory=dict)
    next_turn: int = 0


@dataclass(slots=True, kw_only=True)
class ChatState:
    """One dialogue."""

    channel: str
    chat_type: str
    chat_id: str
    name: str = ""
    username: str = ""
    phone: str = ""
    #: the ids by which the CRM's entities were created on our request
    contact: str = ""
    deal: str = ""
    unanswered: int = 0
    last_inbound: datetime | None = None


@dataclass(slots=True, kw_only=True)
class SubscriptionState:
    """The one address for webhooks."""

    uri: str = ""
    messages_and_statuses: bool = False
    contacts_and_deals: bool = False
    channels: bool = False
    templates: bool = False


@dataclass(slots=True, kw_only=True)
class Account:
    """Everything of the account."""

    api_key: str = "5f2c9e81a7d34b06b1f09c3e8d7a6542"
    is_sidecar: bool = False
    #: sent as Bearer with each webhook if set (reference 0)
    crm_key: str = ""
    channels: list[ChannelState] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    contacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    deals: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    chats: dict[tuple[str, str], ChatState] = field(default_factory=dict)
    #: every message that went out or came in, in order, as webhooks tell it
    messages: list[dict[str, Any]] = field(default_factory=list)
    #: crmMessageId -> when it was taken
    repeats: dict[str, datetime] = field(default_factory=dict)
    subscription: SubscriptionState = field(default_factory=SubscriptionState)
    templates: list[dict[str, Any]] = field(default_factory=list)
    user_limit: int = 1000

    def channel(self, id: str) -> ChannelState | None:
        return next((found for found in self.channels if found.id == id), None)

    def contact_of(self, chat: ChatState) -> dict[str, Any] | None:
        """The uploaded contact that this chat belongs to."""
        for contact in self.contacts.values():
            for data in contact["contactData"]:
                if data["chatType"] != chat.chat_type:
                    continue
                if data.get("chatId") == chat.chat_id or (chat.username and data.get("username") == chat.username):
                    return contact
        return None

    def deals_of(self, contact_id: str) -> list[dict[str, Any]]:
        return [deal for deal in self.deals.values() if contact_id in deal["contacts"]]
