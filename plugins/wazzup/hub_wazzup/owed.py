"""The contact and the deal that Wazzup waits for in the webhook's own response (reference 5.4, DESIGN 7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson

from hub.messenger import KnownClient, KnownEmployee, OwedQuestion
from hub.ports import ChannelConfig, RawRequest, Reply

from . import wire
from .config import WazzupSettings
from .delivery import Event, owed_of
from .mapping import identity_of_chats

__all__ = ["LONGEST_NAME", "LONGEST_URI", "owed_question", "owed_reply"]

LONGEST_NAME, LONGEST_URI = 200, 200
#: how a chat travels from the question to the reply
_NAMES = ("chatType", "chatId", "username", "phone")


def owed_question(request: RawRequest, channel: ChannelConfig, settings: WazzupSettings) -> OwedQuestion | None:
    """Whom a ``createContact`` or ``createDeal`` is about; None for every other webhook."""
    asked = owed_of(request)
    wait = timedelta(seconds=settings.wait_for_crm_seconds)
    match asked:
        case wire.CreateContact():
            told = [(chat.chat_type, chat.chat_id, chat.username, chat.phone) for chat in asked.chats]
            chats = [{name: value for name, value in zip(_NAMES, values, strict=True) if value} for values in told]
            return OwedQuestion(
                kind=Event.CREATE_CONTACT,
                client=identity_of_chats(asked.chats, asked.name, channel),
                needs_client_id=True,
                wait=wait,
                parameters={
                    "responsible": asked.responsible,
                    "name": asked.name,
                    "chats": orjson.dumps(chats).decode(),
                },
            )
        case wire.CreateDeal():
            return OwedQuestion(
                kind=Event.CREATE_DEAL,
                client_id=asked.contacts[0],
                needs_client_id=True,
                needs_deal=True,
                wait=wait,
                parameters={
                    "responsible": asked.responsible,
                    "contacts": orjson.dumps(asked.contacts).decode(),
                },
            )
        case None:
            return None


def owed_reply(question: OwedQuestion, client: KnownClient) -> Reply:
    """The entity in the shape of the CRUD routes; whoever is responsible already stays so, else Wazzup's own pick."""
    if not client.client_id:
        # a deal for a contact that the hub never named: nothing true can be said
        return Reply()
    told = question.parameters
    body: dict[str, Any]
    if question.kind == Event.CREATE_CONTACT:
        body = {
            "id": client.client_id,
            "responsibleUserId": _responsible(client.responsible, told),
            "name": (client.name or told["name"] or client.client_id)[:LONGEST_NAME],
            "contactData": orjson.loads(told["chats"]),
        }
        if client.card_url:
            body["uri"] = client.card_url[:LONGEST_URI]
    else:
        deal = client.open_deals[0] if client.open_deals else None
        name = deal.name if deal else client.name
        body = {
            "id": deal.shared_id if deal else client.promised_deal_id,
            "responsibleUserId": _responsible(deal.responsible if deal else client.responsible, told),
            "name": (name or client.client_id)[:LONGEST_NAME],
            "contacts": orjson.loads(told["contacts"]),
            "uri": ((deal.url if deal else "") or client.card_url)[:LONGEST_URI],
            "closed": False,
        }
    return Reply(body=orjson.dumps(body), content_type="application/json; charset=utf-8")


def _responsible(known: KnownEmployee | None, told: Mapping[str, str]) -> str:
    return known.id if known else told["responsible"]
