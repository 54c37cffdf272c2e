"""What clients write on the day: chats on the site and messages in a messenger, some by people who also call."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from hub.demo import company
from hub.demo.company import KnownClient
from hub.demo.traffic_record import CallRecord, ChatRecord, MessageRecord

__all__ = ["make_chats", "make_messages"]

_QUESTIONS = ("Чи є в наявності?", "Скільки коштує доставка?", "Коли приїде замовлення?", "Чи можна карткою?")
_ANSWERS = ("Так, звичайно.", "Зараз перевірю.", "Сьогодні до вечора.", "Передзвоню вам за хвилину.")


def make_chats(
    dice: random.Random,
    count: int,
    *,
    clients: Sequence[KnownClient],
    calls: Sequence[CallRecord],
    new_number: Callable[[], str],
    instant: Callable[[], datetime],
    attribution: Callable[[], Mapping[str, str]],
) -> list[ChatRecord]:
    """``count`` chats: new visitors, known clients, people who call too; every fifth is left without an answer."""
    chats: list[ChatRecord] = []
    for index in range(count):
        name, number = _who(dice, index, clients, calls, new_number)
        at = instant()
        is_answered = index % 5 != 4
        lines = [["client", dice.choice(_QUESTIONS)]]
        if is_answered:
            lines += [["employee", dice.choice(_ANSWERS)], ["client", "Дякую!"]]
        chats.append(
            {
                "id": f"chat-{index + 1}",
                "at": _iso(at),
                "visitor": 9000 + index,
                "name": name,
                "client_number": number,
                "employee": dice.choice(company.MANAGERS) if is_answered else None,
                "lines": lines,
                "page": f"https://{company.COMPANY['site']}/catalogue",
                "attribution": dict(attribution()),
                "rate": "positive" if is_answered and index % 3 == 0 else None,
            }
        )
    return chats


def make_messages(
    dice: random.Random,
    count: int,
    *,
    clients: Sequence[KnownClient],
    calls: Sequence[CallRecord],
    new_number: Callable[[], str],
    instant: Callable[[], datetime],
) -> list[MessageRecord]:
    """``count`` messages, most of them answered by an employee."""
    messages: list[MessageRecord] = []
    for index in range(count):
        name, number = _who(dice, index, clients, calls, new_number)
        is_answered = index % 4 != 3
        messages.append(
            {
                "id": f"message-{index + 1}",
                "at": _iso(instant()),
                "name": name,
                "client_number": number,
                "text": dice.choice(_QUESTIONS),
                "employee": dice.choice(company.MANAGERS) if is_answered else None,
                "answer": dice.choice(_ANSWERS) if is_answered else "",
            }
        )
    return messages


def _who(
    dice: random.Random,
    index: int,
    clients: Sequence[KnownClient],
    calls: Sequence[CallRecord],
    new_number: Callable[[], str],
) -> tuple[str, str]:
    """A new client, one whom the CRM knows, or one who also calls on this day."""
    callers = [call["client_number"] for call in calls if call["kind"] == "client" and call["client_number"]]
    if index % 3 == 1 and callers:
        return company.person_name(dice), dice.choice(callers)
    if index % 3 == 2:
        client = dice.choice(clients)
        return client.name, client.number
    return company.person_name(dice), new_number()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
