"""Whether a client waits for an answer in writing, and the keys of the looks at them (W6, X10).

The host keeps who waits and since when; what is done about it is in `hub.core.unanswered`.
"""

from __future__ import annotations

from hub.core.interaction import Call, Chat, ClientId, Direction, Form, Interaction, InteractionId, Message

__all__ = [
    "answers",
    "asks",
    "dismissal_key",
    "dismissed",
    "waiting_key",
    "waits_since",
]

_WAITS = "/unanswered/"
_DISMISSED = "/no_reply_needed/"


def asks(interaction: Interaction) -> bool:
    """True if the client now waits for an answer in writing: a message of theirs, a chat that nobody took."""
    match interaction:
        case Message():
            return interaction.direction is Direction.INBOUND
        case Chat():
            return not interaction.is_answered and any(line.is_from_client for line in interaction.messages)
        case Call() | Form():
            return False


def answers(interaction: Interaction) -> bool:
    """True if a person of ours reached the client, over whatever channel."""
    match interaction:
        case Message():
            return interaction.direction is Direction.OUTBOUND and not interaction.is_automatic
        case Chat() | Call():
            return interaction.is_answered
        case Form():
            return False


def waiting_key(client: ClientId, interaction: InteractionId) -> str:
    """The key of the look at a client who waits since ``interaction``."""
    return f"{client}{_WAITS}{interaction}"


def dismissal_key(client: ClientId, interaction: InteractionId) -> str:
    """The key of the look by which ``interaction`` and what came before it need no reply."""
    return f"{client}{_DISMISSED}{interaction}"


def waits_since(key: str) -> InteractionId | None:
    """The interaction of a `waiting_key`; None for another key."""
    client, mark, interaction = key.partition(_WAITS)
    return InteractionId(interaction) if mark and client else None


def dismissed(key: str) -> InteractionId | None:
    """The interaction of a `dismissal_key`; None for another key."""
    client, mark, interaction = key.partition(_DISMISSED)
    return InteractionId(interaction) if mark and client else None
