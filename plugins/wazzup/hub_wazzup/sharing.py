"""Our employees, clients, deals and pipelines as Wazzup keeps them (reference 6, 7, 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.errors import Rejected
from hub.messenger import Entities, SharedContact, SharedDeal, SharedPipeline, SharedUser

from .client import BATCH, WazzupClient
from .mapping import to_contact_data
from .owed import LONGEST_NAME, LONGEST_URI

__all__ = ["share", "to_contact", "to_deal", "to_pipeline", "to_user"]

_LONGEST_USER_NAME, _LONGEST_PIPELINE_NAME, _MOST_CONTACTS = 150, 100, 10


def to_user(user: SharedUser) -> dict[str, Any]:
    """One of ``POST /users``; a number in a bad format is dropped silently, so only digits go out."""
    found: dict[str, Any] = {"id": user.id, "name": (user.name or user.id)[:_LONGEST_USER_NAME]}
    if user.phone:
        found["phone"] = user.phone.lstrip("+")
    return found


def to_contact(contact: SharedContact) -> dict[str, Any] | None:
    """One of ``POST /contacts``; None for a client without any chat: Wazzup takes none."""
    chats = to_contact_data(contact.phones, contact.handles)
    if not chats:
        return None
    found: dict[str, Any] = {
        "id": contact.id,
        "responsibleUserId": contact.responsible,
        "name": (contact.name or contact.id)[:LONGEST_NAME],
        "contactData": chats,
    }
    # a cut address leads nowhere
    if contact.url and len(contact.url) <= LONGEST_URI:
        found["uri"] = contact.url
    return found


def to_deal(deal: SharedDeal) -> dict[str, Any]:
    """One of ``POST /deals``."""
    return {
        "id": deal.id,
        "responsibleUserId": deal.responsible,
        "name": (deal.name or deal.id)[:LONGEST_NAME],
        "uri": deal.url if len(deal.url) <= LONGEST_URI else "",
        "contacts": list(deal.contacts[:_MOST_CONTACTS]),
        "closed": not deal.is_open,
    }


def to_pipeline(pipeline: SharedPipeline) -> dict[str, Any]:
    """One of ``POST /pipelines``; an empty ``stages`` is an error, a missing one is not."""
    found: dict[str, Any] = {"id": pipeline.id, "name": pipeline.name[:_LONGEST_PIPELINE_NAME]}
    stages = [{"id": stage.id, "name": stage.name[:_LONGEST_PIPELINE_NAME]} for stage in pipeline.stages]
    if stages:
        found["stages"] = stages
    return found


async def share(client: WazzupClient, changed: Entities) -> dict[str, str]:
    """Tell Wazzup; what it refused for itself, ``{"contacts/<id>": why}``. Raises VendorError."""
    refused: dict[str, str] = {}
    await _put(client, "users", [to_user(user) for user in changed.users], refused)
    contacts = [found for contact in changed.contacts if (found := to_contact(contact)) is not None]
    refused.update(
        {f"contacts/{one.id}": "no number and no chat" for one in changed.contacts if to_contact(one) is None}
    )
    await _put(client, "contacts", contacts, refused)
    await _put(client, "deals", [to_deal(deal) for deal in changed.deals if deal.contacts], refused)
    if changed.pipelines:
        # always the full list: whether another one would remove what is left out is not documented (reference 8)
        await client.put("pipelines", [to_pipeline(pipeline) for pipeline in changed.pipelines])
    for kind, ids in (
        ("deals", changed.removed_deals),
        ("contacts", changed.removed_contacts),
        ("users", changed.removed_users),
    ):
        for start in range(0, len(ids), BATCH):
            await client.remove(kind, ids[start : start + BATCH])
    return refused


async def _put(client: WazzupClient, kind: str, items: Sequence[Mapping[str, Any]], refused: dict[str, str]) -> None:
    """Batch by batch, each id once: two items with one id make Wazzup fail (reference 2.2)."""
    unique = list({item["id"]: item for item in items}.values())
    for start in range(0, len(unique), BATCH):
        await _put_batch(client, kind, unique[start : start + BATCH], refused)


async def _put_batch(client: WazzupClient, kind: str, batch: list[Mapping[str, Any]], refused: dict[str, str]) -> None:
    """One request; an item that Wazzup names leaves, the rest is sent again; without names the batch is halved."""
    if not batch:
        return
    try:
        await client.put(kind, batch)
    except Rejected as err:
        if len(batch) == 1:
            refused[f"{kind}/{batch[0]['id']}"] = str(err)
            return
        named = _indexes(err, len(batch))
        if named:
            refused.update({f"{kind}/{batch[index]['id']}": str(err) for index in named})
            rest = [item for index, item in enumerate(batch) if index not in named]
            await _put_batch(client, kind, rest, refused)
            return
        middle = len(batch) // 2
        await _put_batch(client, kind, batch[:middle], refused)
        await _put_batch(client, kind, batch[middle:], refused)


def _indexes(err: Rejected, size: int) -> set[int]:
    heads = {problem.field.partition(".")[0] for problems in err.problems.values() for problem in problems}
    return {int(head) for head in heads if head.isdecimal() and len(head) < 10 and int(head) < size}
