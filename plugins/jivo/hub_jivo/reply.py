"""What the operator sees beside the chat: the answer to ``chat_accepted`` (J1, reference 5).

Keys that have nothing to say are left out: an empty ``contact_info`` could blank what the visitor typed (?). All
values are texts.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from hub.messenger import KnownClient, KnownDeal, OwedQuestion
from hub.ports import Reply

from .config import JivoSettings, Language

__all__ = ["PLAIN", "to_reply"]

_TYPE = "application/json; charset=utf-8"
#: what every other event is answered (reference 1)
PLAIN = Reply(body=b'{"result":"ok"}', content_type=_TYPE)

_WORDS: Final = {
    Language.RU: {
        "new": "Новый клиент",
        "client": "Клиент",
        "responsible": "Ответственный",
        "deal": "Сделка",
        "more": "ещё открытых сделок",
        "none": "нет",
    },
    Language.UK: {
        "new": "Новий клієнт",
        "client": "Клієнт",
        "responsible": "Відповідальний",
        "deal": "Угода",
        "more": "ще відкритих угод",
        "none": "немає",
    },
    Language.EN: {
        "new": "New client",
        "client": "Client",
        "responsible": "Responsible",
        "deal": "Deal",
        "more": "more open deals",
        "none": "none",
    },
}
#: longer names are cut: the panel is narrow
_LONGEST = 200


def to_reply(question: OwedQuestion, client: KnownClient, settings: JivoSettings) -> Reply:
    """What is known of ``client`` in the vendor's form; status 200."""
    answer: dict[str, Any] = {"result": "ok", "custom_data": _custom_data(client, settings)}
    contacts = _contacts(question, client) if settings.tell_contacts else {}
    if contacts:
        answer["contact_info"] = contacts
    if client.card_url and client.contact is not None:
        answer["crm_link"] = client.card_url
        answer["enable_assign"] = settings.enable_assign
    return Reply(body=orjson.dumps(answer), content_type=_TYPE)


def _custom_data(client: KnownClient, settings: JivoSettings) -> list[dict[str, str]]:
    words = _WORDS[settings.language]
    if client.contact is None and not client.open_deals:
        return [{"title": words["client"], "content": words["new"]}]
    who = client.responsible.name if client.responsible and client.responsible.name else words["none"]
    known = _linked({"title": words["client"], "content": _short(client.name)}, client.card_url)
    rows = [known] if client.name else []
    rows.append({"title": words["responsible"], "content": _short(who)})
    shown = client.open_deals[: settings.show_deals]
    rows += [_deal(deal, words["deal"]) for deal in shown]
    if len(client.open_deals) > len(shown):
        rows.append({"title": words["deal"], "content": f"{words['more']}: {len(client.open_deals) - len(shown)}"})
    return rows


def _deal(deal: KnownDeal, title: str) -> dict[str, str]:
    row = {"title": title, "content": _short(deal.name or f"#{deal.ref.id}")}
    if deal.stage:
        row["key"] = _short(deal.stage)
    return _linked(row, deal.url)


def _linked(row: dict[str, str], url: str) -> dict[str, str]:
    return row | {"link": url} if url else row


def _contacts(question: OwedQuestion, client: KnownClient) -> dict[str, str]:
    """What the CRM knows and the visitor did not tell: what they typed themselves stays as it is."""
    told = question.client
    known = {
        "name": "" if told.name else _short(client.name),
        "email": "" if told.emails else next(iter(client.emails), ""),
        "phone": "" if told.phones else next(iter(client.phones), ""),
    }
    return {key: value for key, value in known.items() if value} if client.contact is not None else {}


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
