"""Ids that the hub gives: short, unique, and in the order in which they were given."""

from __future__ import annotations

import secrets
from datetime import datetime

__all__ = ["new_client_id", "new_interaction_id"]

from hub.core.interaction import ClientId, InteractionId


def _new(prefix: str, now: datetime) -> str:
    # milliseconds first, so that a lower id is an older one; 40 random bits after them
    return f"{prefix}{int(now.timestamp() * 1000):011x}{secrets.token_hex(5)}"


def new_client_id(now: datetime) -> ClientId:
    """A client's id; of two clients the one with the lower id is the older one."""
    return ClientId(_new("c", now))


def new_interaction_id(now: datetime) -> InteractionId:
    """An interaction's id."""
    return InteractionId(_new("i", now))
