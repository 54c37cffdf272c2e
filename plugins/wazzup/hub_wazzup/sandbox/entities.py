"""Users, contacts, deals, pipelines: what the CRUD routes check and keep (reference 6 to 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .reply import Refusal
from .state import Account

__all__ = ["PAGE", "delete_many", "page", "put_contacts", "put_deals", "put_pipelines", "put_users"]

#: most items in one request, and the size of a page
PAGE = 100
_CHAT_TYPES = frozenset(
    {"whatsapp", "whatsgroup", "viber", "instagram", "telegram", "telegroup", "vk", "avito", "max", "maxgroup"}
)


def _batch(items: Any, code: str, check: Callable[[Mapping[str, Any]], list[str]]) -> list[dict[str, Any]]:
    """All or nothing: one bad item refuses the whole."""
    if not isinstance(items, list):
        raise Refusal(400, code, "An array is expected")
    if len(items) > PAGE:
        raise Refusal(400, "TOO_MANY_ENTITIES", "More than 100 entities")
    problems = []
    for index, item in enumerate(items):
        fields = check(item) if isinstance(item, Mapping) else ["id"]
        if fields:
            problems.append({"index": index, "fields": fields})
    if problems:
        raise Refusal(400, code, "Invalid data", problems)
    ids = [item["id"] for item in items]
    if len(set(ids)) < len(ids):
        # seen live: two items with one id break the vendor
        raise Refusal(500)
    return [dict(item) for item in items]


def _text(item: Mapping[str, Any], name: str, most: int) -> list[str]:
    value = item.get(name)
    return [] if isinstance(value, str) and 0 < len(value) <= most else [name]


def _uri(item: Mapping[str, Any], *, is_required: bool) -> list[str]:
    value = item.get("uri")
    if value is None:
        return ["uri"] if is_required else []
    return [] if isinstance(value, str) and len(value) <= 200 else ["uri"]


def put_users(account: Account, items: Any) -> None:
    """Upsert; a phone in a bad format is silently dropped."""
    users = _batch(items, "INVALID_USERS_DATA", lambda one: _text(one, "id", 64) + _text(one, "name", 150))
    if len(account.users.keys() | {user["id"] for user in users}) > account.user_limit:
        raise Refusal(400, "USER_LIMIT_EXCEEDED", "Too many users")
    taken = {user.get("phone"): id for id, user in account.users.items() if user.get("phone")}
    for user in users:
        phone = user.get("phone")
        if not (isinstance(phone, str) and phone.isdigit() and 10 <= len(phone) <= 15):
            user.pop("phone", None)
        elif taken.get(phone, user["id"]) != user["id"]:
            raise Refusal(400, "DUPLICATE_PHONE_NUMBER", "The phone belongs to another user")
        else:
            taken[phone] = user["id"]
    for user in users:
        kept = {key: user[key] for key in ("id", "name", "phone") if key in user}
        account.users[user["id"]] = account.users.get(user["id"], {}) | kept


def _contact_problems(one: Mapping[str, Any]) -> list[str]:
    fields = _text(one, "id", 100) + _text(one, "responsibleUserId", 100) + _text(one, "name", 200)
    fields += _uri(one, is_required=False)
    data = one.get("contactData")
    if not isinstance(data, list) or not data:
        return [*fields, "contactData"]
    for chat in data:
        known = isinstance(chat, Mapping) and chat.get("chatType") in _CHAT_TYPES
        if not known:
            return [*fields, "contactData"]
        has_id = isinstance(chat.get("chatId"), str) and chat["chatId"]
        if not has_id and not (chat["chatType"] == "telegram" and (chat.get("username") or chat.get("phone"))):
            return [*fields, "contactData"]
        if has_id and chat["chatType"] in ("whatsapp", "viber") and not chat["chatId"].isdigit():
            return [*fields, "contactData"]
    return fields


def put_contacts(account: Account, items: Any) -> None:
    for contact in _batch(items, "INVALID_CONTACTS_DATA", _contact_problems):
        account.contacts[contact["id"]] = contact


def _deal_problems(one: Mapping[str, Any]) -> list[str]:
    fields = _text(one, "id", 100) + _text(one, "responsibleUserId", 100) + _text(one, "name", 200)
    fields += _uri(one, is_required=True)
    contacts = one.get("contacts")
    if (
        not isinstance(contacts, list)
        or not 1 <= len(contacts) <= 10
        or not all(isinstance(id, str) for id in contacts)
    ):
        fields.append("contacts")
    if not isinstance(one.get("closed"), bool):
        fields.append("closed")
    return fields


def put_deals(account: Account, items: Any) -> None:
    for deal in _batch(items, "INVALID_DEALS_DATA", _deal_problems):
        account.deals[deal["id"]] = deal


def _pipeline_problems(one: Mapping[str, Any]) -> list[str]:
    fields = _text(one, "id", 100) + _text(one, "name", 100)
    if "stages" in one:
        stages = one["stages"]
        is_good = isinstance(stages, list) and stages
        if not is_good or any(_text(stage, "id", 100) + _text(stage, "name", 100) for stage in stages):
            fields.append("stages")
    return fields


def put_pipelines(account: Account, items: Any) -> None:
    account.pipelines = _batch(items, "INVALID_PIPELINES_DATA", _pipeline_problems)


def delete_many(rows: dict[str, dict[str, Any]], ids: Any) -> list[str]:
    """The ids that were not found."""
    if not isinstance(ids, list):
        raise Refusal(400, "VALIDATION_ERROR", "An array is expected")
    if len(ids) > PAGE:
        raise Refusal(400, "TOO_MANY_ENTITIES", "More than 100 entities")
    return [id for id in ids if rows.pop(id, None) is None]


def page(rows: Mapping[str, dict[str, Any]], offset: str) -> dict[str, Any]:
    """A page of 100, by id."""
    start = int(offset) if offset.isdigit() else 0
    ordered = [rows[id] for id in sorted(rows)]
    return {"count": len(ordered), "data": ordered[start : start + PAGE]}
