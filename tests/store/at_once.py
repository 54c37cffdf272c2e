"""What the tests of many writers at once share (H9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Connection

from hub.core.interaction import Call, Direction, Disposition, Identity, InteractionId, ProjectId
from hub.core.phone import Phone
from hub.store.engine import Store
from hub.store.identifier import new_interaction_id

__all__ = ["RunAtOnce", "each", "make_call", "phone"]

RunAtOnce: TypeAlias = Callable[..., list[Any]]


def each(stores: Sequence[Store], make: Callable[[int], Callable[[Connection], Any]]) -> list[Callable[[], Any]]:
    """One write per process."""
    return [partial(store.write_now, make(n)) for n, store in enumerate(stores)]


def make_call(now: datetime, *, external_id: str, id: str = "", seconds: int = 5) -> Call:
    return Call(
        id=InteractionId(id) if id else new_interaction_id(now),
        project=ProjectId("auto"),
        channel="calls",
        source="ringostat",
        external_id=external_id,
        started_at=now,
        direction=Direction.INBOUND,
        disposition=Disposition.ANSWERED,
        client=Identity(),
        is_final=True,
        talk_seconds=seconds,
    )


def phone(number: int) -> Phone:
    return Phone(f"+38050000{number:04}")
