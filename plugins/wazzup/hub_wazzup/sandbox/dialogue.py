"""People in messengers: clients who write, employees who answer, and what Wazzup asks the CRM then (reference 5)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from .clock import SandboxClock, stamp
from .hooks import Delivered, Sender
from .state import Account, ChannelState, ChatState

__all__ = ["Dialogues"]


class Dialogues:
    """Plays both sides of every chat of one account, and sends the webhooks of it."""

    def __init__(self, account: Account, clock: SandboxClock, sender: Sender) -> None:
        self._account, self._clock, self._sender = account, clock, sender
        #: what could not be given because the answer to a creation webhook was no entity
        self.refused_answers: list[bytes] = []

    # --- people -------------------------------------------------------------------------------------------------

    async def client_writes(
        self,
        chat_id: str,
        text: str = "",
        *,
        channel: ChannelState | None = None,
        chat_type: str = "whatsapp",
        name: str = "",
        username: str = "",
        phone: str = "",
        **more: Any,
    ) -> dict[str, Any]:
        """A client's message: the webhook, the counter, and the in-turn distribution of a new client."""
        where = channel or self._account.channels[0]
        chat = self._chat(where, chat_type, chat_id)
        chat.name, chat.username, chat.phone = name or chat.name, username or chat.username, phone or chat.phone
        chat.unanswered += 1
        chat.last_inbound = self._clock.now()
        contact = {"name": chat.name or chat_id, "avatarUri": f"https://store.wazzup24.com/{chat_id}"}
        contact |= {key: value for key, value in (("username", username), ("phone", phone)) if value}
        message: dict[str, Any] = {
            "messageId": str(uuid.uuid4()),
            "channelId": where.id,
            "chatType": chat_type,
            "chatId": chat_id,
            "dateTime": stamp(self._clock.now()),
            "type": "text",
            "isEcho": False,
            "contact": contact,
            "status": "inbound",
            **({"text": text} if text else {}),
            **more,
        }
        self._account.messages.append(message)
        await self._tell_messages([message])
        if where.new_clients == "turn":
            await self._ask_for_entities(chat, self._next_in_turn(where), source="auto")
        return message

    async def employee_writes(
        self, user_id: str, chat_id: str, text: str, *, chat_type: str = "whatsapp", **more: Any
    ) -> dict[str, Any]:
        """An employee answers in Wazzup's own chat: an echo with the author; a first answer may take the client."""
        chat = self._account.chats[chat_type, chat_id]
        where = self._account.channel(chat.channel)
        assert where is not None
        chat.unanswered = 0
        message = self._echo(chat, text) | {
            "authorId": user_id,
            "authorName": self._account.users.get(user_id, {}).get("name", user_id),
            "sentFromApp": True,
            **more,
        }
        self._account.messages.append(message)
        await self._tell_messages([message])
        if where.new_clients == "first" and user_id in self._account.users:
            await self._ask_for_entities(chat, user_id, source="auto")
        return message

    async def phone_writes(self, chat_id: str, text: str, *, chat_type: str = "whatsapp") -> dict[str, Any]:
        """Somebody answers on the telephone of the number: an echo without an author."""
        chat = self._account.chats[chat_type, chat_id]
        chat.unanswered = 0
        message = self._echo(chat, text)
        self._account.messages.append(message)
        await self._tell_messages([message])
        return message

    async def presses_plus(self, user_id: str, chat_id: str, *, chat_type: str = "whatsapp") -> None:
        """The "+" in the Deals list of the chat window."""
        chat = self._account.chats[chat_type, chat_id]
        await self._ask_for_entities(chat, user_id, source="byUser", is_deal_forced=True)

    def presses_no_reply_needed(self, chat_id: str, *, chat_type: str = "whatsapp") -> None:
        """No webhook tells of it."""
        self._account.chats[chat_type, chat_id].unanswered = 0

    async def status(self, message_id: str, status: str, **error: Any) -> None:
        """``sent``, ``delivered``, ``read``, ``error`` or ``edited`` of a message that went out."""
        row: dict[str, Any] = {"messageId": message_id, "timestamp": stamp(self._clock.now()), "status": status}
        if error:
            row["error"] = error
        if self._account.subscription.messages_and_statuses:
            await self._sender.send({"statuses": [row]})

    async def channel_is(self, channel: ChannelState, state: str) -> None:
        """A channel lost its telephone, its money or its login, or is back."""
        channel.state = state
        if self._account.subscription.channels:
            at = int(self._clock.now().timestamp() * 1000)
            await self._sender.send({"channelsUpdates": [{"channelId": channel.id, "state": state, "timestamp": at}]})

    async def tell(self, *messages: Mapping[str, Any], statuses: Sequence[Mapping[str, Any]] = ()) -> Delivered | None:
        """One delivery with just these, in this order: repeated, disordered or mixed, as a test wants."""
        body: dict[str, Any] = {"messages": list(messages)} if messages else {}
        return await self._sender.send(body | ({"statuses": list(statuses)} if statuses else {}))

    # --- what follows -------------------------------------------------------------------------------------------

    def _chat(self, where: ChannelState, chat_type: str, chat_id: str) -> ChatState:
        return self._account.chats.setdefault(
            (chat_type, chat_id), ChatState(channel=where.id, chat_type=chat_type, chat_id=chat_id)
        )

    def _echo(self, chat: ChatState, text: str) -> dict[str, Any]:
        return {
            "messageId": str(uuid.uuid4()),
            "channelId": chat.channel,
            "chatType": chat.chat_type,
            "chatId": chat.chat_id,
            "dateTime": stamp(self._clock.now()),
            "type": "text",
            "isEcho": True,
            "status": "sent",
            "text": text,
        }

    async def _tell_messages(self, messages: list[dict[str, Any]]) -> None:
        if self._account.subscription.messages_and_statuses:
            await self._sender.send({"messages": messages})

    def _next_in_turn(self, where: ChannelState) -> str:
        """The next of those with the "receives new clients" switch; "" if there is none."""
        takers = [id for id, sitting in where.staff.items() if sitting.receives_new and id in self._account.users]
        if not takers:
            return ""
        chosen = takers[where.next_turn % len(takers)]
        where.next_turn += 1
        return chosen

    async def _ask_for_entities(
        self, chat: ChatState, user_id: str, *, source: str, is_deal_forced: bool = False
    ) -> None:
        """createContact, then createDeal with the id that came; never again once both exist (reference 5.4)."""
        if not (self._account.subscription.contacts_and_deals and user_id):
            return
        known = self._account.contact_of(chat)
        if known is not None:
            chat.contact = chat.contact or known["id"]
        if not chat.contact:
            asked: dict[str, Any] = {
                "responsibleUserId": user_id,
                "name": chat.name or chat.chat_id,
                "contactData": [self._contact_data(chat)],
                "source": source,
            }
            entity = self._entity(await self._sender.send({"createContact": asked}), "contactData")
            if entity is None:
                return
            chat.contact = entity["id"]
            self._account.contacts[entity["id"]] = entity
        where = self._account.channel(chat.channel)
        assert where is not None
        if not is_deal_forced and (chat.deal or self._account.deals_of(chat.contact) or not where.pipeline):
            return
        asked = {"responsibleUserId": user_id, "contacts": [chat.contact], "source": source}
        entity = self._entity(await self._sender.send({"createDeal": asked}), "contacts")
        if entity is not None:
            chat.deal = entity["id"]
            self._account.deals[entity["id"]] = entity

    @staticmethod
    def _contact_data(chat: ChatState) -> dict[str, str]:
        told = {"chatType": chat.chat_type, "chatId": chat.chat_id, "username": chat.username, "phone": chat.phone}
        return {key: value for key, value in told.items() if value}

    def _entity(self, delivered: Delivered | None, needed: str) -> dict[str, Any] | None:
        if delivered is None:
            return None
        try:
            found = json.loads(delivered.answer) if delivered.status == 200 else None
        except ValueError:
            found = None
        needs = ("id", "responsibleUserId", "name", needed)
        if not isinstance(found, dict) or not all(found.get(key) for key in needs):
            self.refused_answers.append(delivered.answer)
            return None
        return found
