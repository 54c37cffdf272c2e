"""What the vendor accepts as a reply (reference 5)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

__all__ = ["problems_of"]

_TEXTS = ("title", "key", "content", "link")
_CONTACTS = ("name", "email", "phone", "description")


def problems_of(event: str, content_type: str, reply: Any) -> tuple[str, ...]:
    """Why the vendor could make nothing of ``reply``; () if it is right."""
    if not content_type.startswith("application/json"):
        return (f"Content-Type is {content_type!r}",)
    if not isinstance(reply, dict) or not isinstance(reply.get("result"), str):
        return ("there is no result",)
    if reply["result"] != "ok":
        return (f"result: {reply['result']}",)
    found: list[str] = []
    if event not in ("chat_accepted", "chat_updated") and len(reply) > 1:
        found.append(f"only chat_accepted is told more than the result, not {event}")
    rows = reply.get("custom_data", [])
    if not isinstance(rows, list):
        return ("custom_data is no array",)
    for number, row in enumerate(rows):
        for key, value in row.items():
            if key not in _TEXTS or not isinstance(value, str) or not value:
                found.append(f"custom_data[{number}].{key} must be a text that is not empty")
        if "title" not in row or "content" not in row:
            found.append(f"custom_data[{number}] needs title and content")
        if "link" in row and not _is_url(row["link"]):
            found.append(f"custom_data[{number}].link is no address")
    contacts = reply.get("contact_info")
    if "contact_info" in reply:
        if not isinstance(contacts, dict) or not contacts:
            found.append("contact_info is empty: it would blank what the visitor typed")
        else:
            found += [
                f"contact_info.{key} must be a text that is not empty"
                for key, value in contacts.items()
                if key not in _CONTACTS or not isinstance(value, str) or not value
            ]
    if "crm_link" in reply and not _is_url(reply["crm_link"]):
        found.append("crm_link is no address")
    if not isinstance(reply.get("enable_assign", False), bool):
        found.append("enable_assign is no boolean")
    return tuple(found)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc)
