"""Chats of a site for tests, stating only what matters; `hub.testing.builders` has the rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hub.core.interaction import Chat, ChatMessage, Destination, Identity, InteractionId, ProjectId
from hub.testing.builders import NOW, OWNER, PHONE, leg

__all__ = ["chat"]


def chat(by: str = OWNER, **changes: Any) -> Chat:
    """A finished chat that the operator ``by`` took, "" = nobody was there, with ``changes``."""
    place = leg(by).destination if by else Destination()
    said = [ChatMessage(at=NOW - timedelta(minutes=5), is_from_client=True, text="Is the lamp in stock?")]
    if by:
        said.append(ChatMessage(at=NOW - timedelta(minutes=4), is_from_client=False, text="Yes, two.", author=place))
    told: dict[str, Any] = {
        "id": InteractionId("chat-1"),
        "project": ProjectId("project"),
        "channel": "chat",
        "source": "chat",
        "external_id": "chat-1",
        "started_at": NOW - timedelta(minutes=5),
        "ended_at": NOW,
        "client": Identity(phones=(PHONE,), emails=("petro@example.com",), name="Petro"),
        "messages": tuple(said),
        "legs": (leg(by, is_answered=True),) if by else (),
        "page": "https://shop.example.com/lamp",
    }
    return Chat(**{**told, **changes})
