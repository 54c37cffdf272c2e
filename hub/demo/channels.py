"""The day's traffic played by the channels' sandboxes: calls and forms, chats, messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx

from hub.demo.stage import order

__all__ = ["MODULES", "hook_up", "play_chats", "play_events", "play_messages", "settings_of"]

#: which program is the vendor's sandbox
MODULES = {"ringostat": "hub_ringostat.sandbox", "jivo": "hub_jivo.sandbox", "wazzup": "hub_wazzup.sandbox"}

_API_KEY = "sandbox-api-key"
_UTM = {"utm_source": "source", "utm_medium": "medium", "utm_campaign": "campaign"}


def settings_of(channel: str, address: str) -> Mapping[str, Any]:
    """The channel's settings as an administrator would enter them for the sandbox at ``address``."""
    match channel:
        case "ringostat":
            return {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": address}
        case "wazzup":
            return {"api_key": _API_KEY, "api_base": address}
        case _:
            return {}


async def hook_up(http: httpx.AsyncClient, channel: str, address: str, hook: str, day: Mapping[str, Any]) -> None:
    """Enter the webhook address at the vendor, as its set-up page says."""
    match channel:
        case "ringostat":
            await order(http, address, "traffic", day)
            await order(http, address, "webhooks", {"url": hook, "mixed": True})
        case "jivo":
            await order(http, address, "hook", {"url": hook})
        case "wazzup":
            wanted = {"messagesAndStatuses": True, "contactsAndDealsCreation": True, "channelsUpdates": True}
            answer = await http.patch(
                f"{address}/webhooks",
                json={"webhooksUri": hook, "subscriptions": wanted},
                headers={"Authorization": f"Bearer {_API_KEY}"},
            )
            answer.raise_for_status()


async def play_events(
    http: httpx.AsyncClient, telephony: str, events: Sequence[Mapping[str, Any]], advance: Callable[[int], None]
) -> None:
    """Calls and forms, in their order, a few at once."""
    for start in range(0, len(events), 5):
        ids = [event["id"] for event in events[start : start + 5]]
        sent = await order(http, telephony, "play", {"ids": ids, "at_once": 4})
        if sent["failed"]:
            raise RuntimeError(f"{sent['failed']} webhooks were not accepted")
        advance(len(ids))


async def play_chats(
    http: httpx.AsyncClient, cabinet: str, day: Mapping[str, Any], advance: Callable[[int], None]
) -> None:
    """Chats from the visitor's first line to the end."""
    people = {person["id"]: person for person in day["employees"]}
    for chat in day["chats"]:
        step: dict[str, Any] = {
            "do": "chat",
            "at": chat["at"],
            "visitor": {"number": chat["visitor"], "name": chat["name"], "phone": f"+{chat['client_number']}"},
            "lines": [["agent" if who == "employee" else "visitor", text] for who, text in chat["lines"]],
            "page": {"url": chat["page"], "title": "Каталог"},
            "utm": {short: chat["attribution"][name] for name, short in _UTM.items() if chat["attribution"].get(name)},
            "rate": chat["rate"],
        }
        if chat["employee"]:
            person = people[chat["employee"]]
            step["agent"] = {"id": person["id"], "name": person["name"], "email": person["email"]}
        played = await order(http, cabinet, "play", [step])
        if played["problems"]:
            raise RuntimeError(f"Jivo would complain: {'; '.join(played['problems'][:3])}")
        advance(1)


async def play_messages(
    http: httpx.AsyncClient, api: str, day: Mapping[str, Any], advance: Callable[[int], None]
) -> None:
    """Messages of clients, and what employees answer in the messenger's own window."""
    address = api.removesuffix("/v3")
    for message in day["messages"]:
        chat = {"chatId": message["client_number"]}
        await order(http, address, "client_writes", {**chat, "text": message["text"], "name": message["name"]})
        if message["employee"]:
            told = {**chat, "userId": message["employee"], "text": message["answer"]}
            await order(http, address, "employee_writes", told)
        advance(1)
