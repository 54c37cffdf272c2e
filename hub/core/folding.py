"""Whatever a channel told of one interaction, folded into what is known of it (A9, X8)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hub.core.chat import ChatFragment, fold_chat
from hub.core.interaction import Call, Chat, InteractionId, ProjectId
from hub.core.merge import CallFragment, fold

__all__ = ["folded"]


def folded(
    known: Sequence[CallFragment | ChatFragment],
    id: InteractionId,
    project: str,
    channel: str,
    source: str,
    received_at: datetime,
) -> Call | Chat:
    """The call or the chat that its fragments tell of; a vendor's id is of the one kind or of the other."""
    chats = [one for one in known if isinstance(one, ChatFragment)]
    if len(chats) == len(known):
        return fold_chat(
            chats, id=id, project=ProjectId(project), channel=channel, source=source, received_at=received_at
        )
    calls = [one for one in known if isinstance(one, CallFragment)]
    return fold(calls, id=id, project=ProjectId(project), channel=channel, source=source, received_at=received_at)
