"""The day's traffic played by the channels' sandboxes: calls and forms, chats, messages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from hub.demo.stage import DemoStopped, order
from hub.demo.summary import Forwarded

__all__ = [
    "MODULES",
    "Heard",
    "asking_calls",
    "hook_up",
    "play_chats",
    "play_events",
    "play_messages",
    "settings_of",
]

#: which program is the vendor's sandbox
MODULES = {"ringostat": "hub_ringostat.sandbox", "jivo": "hub_jivo.sandbox", "wazzup": "hub_wazzup.sandbox"}

_API_KEY = "sandbox-api-key"
_UTM = {"utm_source": "source", "utm_medium": "medium", "utm_campaign": "campaign"}


@dataclass(slots=True, kw_only=True)
class Heard:
    """What the vendors heard of the hub during the day."""

    #: told how many events are over
    advance: Callable[[int], None]
    forwarded: Forwarded = field(default_factory=Forwarded)
    #: webhooks that the vendor had no answer to in its time
    late: int = 0


def settings_of(channel: str, address: str) -> Mapping[str, Any]:
    """The channel's settings as an administrator would enter them for the sandbox at ``address``."""
    match channel:
        case "ringostat":
            return {"project_id": "55555", "auth_key": "sandbox-auth-key", "api_base": address}
        case "wazzup":
            return {"api_key": _API_KEY, "api_base": address}
        case _:
            return {}


def asking_calls(day: Mapping[str, Any]) -> frozenset[str]:
    """Ids of the calls before which the telephony's question is counted: each client's first contact of the day.

    The played day takes a minute or two, so how much of a client's earlier contacts is known already when they call
    again is chance; and the channels play side by side, so clients who also write are left out.
    """
    met = {str(one["client_number"]) for kind in ("chats", "messages") for one in day[kind]}
    # a form's number is written in many ways: its last digits tell whose it is
    met_in_forms = {_last_digits(str(form["phone"])) for form in day["forms"]}
    asking: list[str] = []
    for call in sorted(day["calls"], key=lambda call: (str(call["started_at"]), str(call["id"]))):
        number = call["client_number"]
        if call["kind"] != "client" or (number and (number in met or _last_digits(number) in met_in_forms)):
            continue
        if number:
            met.add(number)
        if call["direction"] == "in":
            asking.append(call["id"])
    return frozenset(asking)


def _last_digits(number: str) -> str:
    return "".join(sign for sign in number if sign.isdigit())[-9:]


async def hook_up(
    http: httpx.AsyncClient, channel: str, address: str, hook: str, forward: str, day: Mapping[str, Any]
) -> None:
    """Enter the webhook address at the vendor, as its set-up page says; a telephony also learns whom to ask."""
    match channel:
        case "ringostat":
            await order(http, address, "traffic", day)
            await order(http, address, "webhooks", {"url": hook, "mixed": True})
            await order(http, address, "webhook_number", {"url": forward, "reply_form": "http"})
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
    http: httpx.AsyncClient,
    telephony: str,
    events: Sequence[Mapping[str, Any]],
    asking: Collection[str],
    heard: Heard,
) -> None:
    """Calls and forms, in their order, a few at once; before calls that ring, the telephony asks whom (R2)."""
    for start in range(0, len(events), 5):
        ids = [event["id"] for event in events[start : start + 5]]
        questions = [id for id in ids if id in asking]
        if questions:
            for answer in await order(http, telephony, "ask", {"ids": questions, "at_once": 4}):
                heard.forwarded.questions += 1
                if answer["status"] is None:
                    heard.forwarded.unanswered += 1
                elif answer["error"]:
                    raise DemoStopped(f"Ringostat cannot use the hub's forwarding answer: {answer['error']}")
                elif answer["destination"]:
                    heard.forwarded.to[answer["employee"] or answer["destination"]] += 1
        sent = await order(http, telephony, "play", {"ids": ids, "at_once": 4})
        if sent["failed"] > sent["unanswered"]:
            count = sent["failed"] - sent["unanswered"]
            raise DemoStopped(f"the hub refused {count} webhooks of Ringostat: HUB_LOG_LEVEL=info shows why")
        heard.late += sent["unanswered"]
        heard.advance(len(ids))


async def play_chats(http: httpx.AsyncClient, cabinet: str, day: Mapping[str, Any], heard: Heard) -> None:
    """Chats from the visitor's first line to the end.

    An answer that comes later than Jivo waits leaves the operator's panel empty, and Jivo does not ask again (its
    reference, 1): the day goes on, as it would there.
    """
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
            raise DemoStopped(f"Jivo cannot use the hub's answer: {'; '.join(played['problems'][:3])}")
        heard.late += played["unanswered"]
        heard.advance(1)


async def play_messages(http: httpx.AsyncClient, api: str, day: Mapping[str, Any], heard: Heard) -> None:
    """Messages of clients, and what employees answer in the messenger's own window."""
    address = api.removesuffix("/v3")
    for message in day["messages"]:
        chat = {"chatId": message["client_number"]}
        await order(http, address, "client_writes", {**chat, "text": message["text"], "name": message["name"]})
        if message["employee"]:
            told = {**chat, "userId": message["employee"], "text": message["answer"]}
            await order(http, address, "employee_writes", told)
        heard.advance(1)
